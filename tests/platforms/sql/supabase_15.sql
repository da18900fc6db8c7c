-- What an older project has besides: pgjwt, pgsodium, and rights on every new table in public (given until 2026-10-30).
CREATE SCHEMA pgsodium;
CREATE EXTENSION pgsodium;
CREATE EXTENSION pgjwt SCHEMA extensions;
GRANT USAGE ON SCHEMA pgsodium TO postgres;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public GRANT ALL ON TABLES TO postgres, anon, authenticated, service_role;
