CREATE TABLE users (id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), email text NOT NULL UNIQUE);
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id uuid NOT NULL REFERENCES users, total numeric(10,2));
GRANT SELECT, INSERT, UPDATE, DELETE ON users, orders TO app_rw;
GRANT SELECT ON users, orders TO app_ro;
CREATE FUNCTION note_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER note_ddl ON ddl_command_end EXECUTE FUNCTION note_ddl();
