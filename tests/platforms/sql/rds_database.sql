ALTER DATABASE {database} OWNER TO dba;
ALTER DATABASE {database} SET "rds.force_autovacuum_logging_level" = 'warning';
GRANT CONNECT ON DATABASE {database} TO app_reader;
