REVOKE ALL ON DATABASE {database} FROM PUBLIC;
ALTER DATABASE {database} OWNER TO u7f3c2e1b9a0d4;
ALTER DATABASE {database} SET search_path = "$user", public, heroku_ext;
