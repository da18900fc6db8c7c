"""One schema with nearly every kind of object in it, in words that PostgreSQL 13 and later understand."""

RICH = """
CREATE SCHEMA app; CREATE SCHEMA "Odd ""name"" here";
COMMENT ON SCHEMA app IS 'the application''s own';
CREATE TYPE app.state AS ENUM ('new', 'it''s', 'Über');
CREATE DOMAIN app.amount AS numeric(12, 2) DEFAULT 0 NOT NULL CONSTRAINT not_negative CHECK (VALUE >= 0);
CREATE TYPE app.address AS (street text, city text COLLATE "C");
CREATE TYPE app.span AS RANGE (subtype = timestamptz);
CREATE COLLATION app.plain (provider = libc, locale = 'C');
CREATE SEQUENCE app.numbers AS integer START 10 INCREMENT 5 CACHE 3 CYCLE;

CREATE FUNCTION app.area(w integer, h integer DEFAULT 1) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  AS $$ SELECT w * h $$;
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.touched := now(); RETURN new; END $$;
CREATE FUNCTION app.count_them() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE PROCEDURE app.sweep(keep interval) LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE FUNCTION app.join_texts(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1 || $2 $$;
CREATE AGGREGATE app.joined(text) (SFUNC = app.join_texts, STYPE = text, INITCOND = '');
CREATE OPERATOR app.|+| (FUNCTION = app.join_texts, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION app.to_integer(app.state) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 1 $$;
CREATE CAST (app.state AS integer) WITH FUNCTION app.to_integer(app.state) AS ASSIGNMENT;

CREATE TABLE app.people (
  id bigint GENERATED ALWAYS AS IDENTITY (START 100) PRIMARY KEY,
  name varchar(80) NOT NULL DEFAULT 'nobody', "Mixed Case" text COLLATE app.plain,
  state app.state DEFAULT 'new', home app.address, balance app.amount,
  width integer DEFAULT app.area(2, 3), area integer GENERATED ALWAYS AS (width * 2) STORED,
  active app.span, touched timestamptz,
  CONSTRAINT wide_enough CHECK (width > 0), CONSTRAINT one_name UNIQUE (name) DEFERRABLE INITIALLY DEFERRED,
  EXCLUDE USING gist (active WITH &&)
) WITH (fillfactor = 80, autovacuum_enabled = false);
ALTER TABLE app.people ALTER name SET STATISTICS 500, ALTER "Mixed Case" SET STORAGE EXTERNAL;
COMMENT ON TABLE app.people IS 'people'; COMMENT ON COLUMN app.people."Mixed Case" IS E'two\\nlines';
CREATE INDEX people_lower ON app.people (lower(name) varchar_pattern_ops, id DESC) INCLUDE (state) WHERE width > 3;
CREATE INDEX people_home ON app.people (((home).city));
CREATE STATISTICS app.people_together (dependencies) ON name, width FROM app.people;
CREATE TABLE app.children (parent bigint, n integer);
ALTER TABLE app.children ADD CONSTRAINT of_whom FOREIGN KEY (parent) REFERENCES app.people (id) ON DELETE CASCADE NOT VALID;
CREATE SEQUENCE app.children_n_seq OWNED BY app.children.n;
ALTER TABLE app.children ALTER n SET DEFAULT nextval('app.children_n_seq'), REPLICA IDENTITY FULL;
CREATE TABLE app.base (a integer, b text); CREATE TABLE app.derived (c integer) INHERITS (app.base);
CREATE UNLOGGED TABLE app.cache (k text PRIMARY KEY, v jsonb);
CREATE TABLE app.typed OF app.address (street NOT NULL);
CREATE TABLE app.events (id bigint, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.events_2025 PARTITION OF app.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE app.events_rest PARTITION OF app.events DEFAULT;
CREATE INDEX events_at ON app.events (at);

CREATE VIEW app.grown AS SELECT id, name, area FROM app.people WHERE state <> 'new' WITH LOCAL CHECK OPTION;
CREATE VIEW app.over_it WITH (security_barrier) AS SELECT name, app.joined(name) OVER () AS all_of_them FROM app.grown;
CREATE MATERIALIZED VIEW app.totals AS SELECT state, count(*) AS n FROM app.people GROUP BY state;
CREATE UNIQUE INDEX totals_state ON app.totals (state);
CREATE RULE no_delete AS ON DELETE TO app.cache DO INSTEAD NOTHING;
CREATE TRIGGER touch BEFORE UPDATE ON app.people FOR EACH ROW WHEN (old.name IS DISTINCT FROM new.name)
  EXECUTE FUNCTION app.touch();
CREATE TRIGGER count_them AFTER INSERT ON app.people REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT
  EXECUTE FUNCTION app.count_them();
ALTER TABLE app.people DISABLE TRIGGER count_them;
ALTER TABLE app.people ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.people FOR SELECT TO PUBLIC USING (width > 1);
CREATE TABLE "Odd ""name"" here"."select" ("from" integer PRIMARY KEY, "Ünï" text CHECK ("Ünï" <> 'a;b'));

CREATE TEXT SEARCH DICTIONARY app.plain_words (TEMPLATE = simple, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION app.plain_search (COPY = simple);
CREATE FOREIGN DATA WRAPPER files; CREATE SERVER far FOREIGN DATA WRAPPER files OPTIONS (place 'there');
CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (password 'se;cret');
CREATE FOREIGN TABLE app.away (x integer OPTIONS (column_name 'y')) SERVER far OPTIONS (file 'z');
CREATE PUBLICATION changes FOR TABLE app.people, app.children WITH (publish = 'insert, update');
GRANT SELECT ON app.people TO PUBLIC; GRANT UPDATE (name) ON app.people TO PUBLIC; GRANT USAGE ON SCHEMA app TO PUBLIC;
REVOKE EXECUTE ON FUNCTION app.area(integer, integer) FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC;
CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION app.on_ddl();
ALTER EVENT TRIGGER watch DISABLE;
"""
