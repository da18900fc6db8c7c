-- A Neon project. Run by cloud_admin, the bootstrap superuser.
CREATE ROLE neon_superuser NOLOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS;
GRANT pg_read_all_data, pg_write_all_data, pg_monitor, pg_create_subscription TO neon_superuser WITH ADMIN OPTION;
CREATE ROLE neondb_owner LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS;
GRANT neon_superuser TO neondb_owner;
CREATE ROLE app_rw LOGIN;
GRANT app_rw TO neondb_owner WITH ADMIN OPTION;
