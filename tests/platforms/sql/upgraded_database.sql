GRANT CONNECT ON DATABASE {database} TO app_rw;
