-- What RDS puts into a database, and the extensions that rds_superuser had made; they belong to rdsadmin.
CREATE SCHEMA rds_tools AUTHORIZATION rdsadmin;
CREATE FUNCTION rds_tools.role_password_encryption_type() RETURNS TABLE (rolname name, encryption_type text) LANGUAGE sql SECURITY DEFINER
  AS $$ SELECT rolname, 'scram-sha-256'::text FROM pg_roles $$;
REVOKE ALL ON FUNCTION rds_tools.role_password_encryption_type FROM PUBLIC;
GRANT USAGE ON SCHEMA rds_tools TO rds_superuser;
GRANT EXECUTE ON FUNCTION rds_tools.role_password_encryption_type TO rds_superuser;
CREATE EXTENSION pg_stat_statements;
CREATE EXTENSION "uuid-ossp";
CREATE EXTENSION postgis;
