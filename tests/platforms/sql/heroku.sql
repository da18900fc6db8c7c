-- Extensions live in heroku_ext (since 2022), and the platform watches over them.
CREATE SCHEMA heroku_ext;
GRANT USAGE, CREATE ON SCHEMA heroku_ext TO u7f3c2e1b9a0d4;
ALTER SCHEMA public OWNER TO u7f3c2e1b9a0d4;
CREATE SCHEMA _heroku AUTHORIZATION heroku_admin;
CREATE FUNCTION _heroku.validate_extension() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE named name;
BEGIN
  SELECT nspname INTO named FROM pg_event_trigger_ddl_commands() c JOIN pg_extension e ON e.oid = c.objid JOIN pg_namespace n ON n.oid = e.extnamespace
  WHERE c.classid = 'pg_extension'::regclass;
  IF named IS DISTINCT FROM 'heroku_ext' THEN RAISE EXCEPTION 'Extensions must be created in the heroku_ext schema'; END IF;
END $$;
CREATE EVENT TRIGGER validate_extension ON ddl_command_end WHEN TAG IN ('CREATE EXTENSION') EXECUTE FUNCTION _heroku.validate_extension();
CREATE EXTENSION pg_stat_statements SCHEMA heroku_ext;
CREATE EXTENSION "uuid-ossp" SCHEMA heroku_ext;
