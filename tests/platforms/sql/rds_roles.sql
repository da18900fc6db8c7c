-- An Amazon RDS instance: nobody of ours is superuser; the master user is a member of rds_superuser. Run by rdsadmin.
CREATE ROLE rds_superuser NOLOGIN;
GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO rds_superuser WITH ADMIN OPTION;
CREATE ROLE rds_replication NOLOGIN;
CREATE ROLE rds_password NOLOGIN;
CREATE ROLE rds_iam NOLOGIN;
CREATE ROLE rds_ad NOLOGIN;
GRANT rds_replication, rds_password TO rds_superuser WITH ADMIN OPTION;
CREATE ROLE rdstopmgr LOGIN;
GRANT pg_monitor TO rdstopmgr;
CREATE ROLE dba LOGIN CREATEDB CREATEROLE;
GRANT rds_superuser TO dba;
-- The team's own roles: two owners, one for each application, and one that only reads.
CREATE ROLE app_owner NOLOGIN;
CREATE ROLE app_billing NOLOGIN;
CREATE ROLE app_reader LOGIN;
GRANT app_owner, app_billing TO dba WITH ADMIN OPTION;
ALTER ROLE app_reader SET statement_timeout = '30s';
ALTER ROLE rdsadmin SET statement_timeout = '0';
