-- The application's own roles, as a provider's dashboard or an administrator makes them: once a server, not by a migration.
DO $roles$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shop_app') THEN
        CREATE ROLE shop_app NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shop_readonly') THEN
        CREATE ROLE shop_readonly NOLOGIN;
    END IF;
END
$roles$;
