--- create table
CREATE TABLE IF NOT EXISTS notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text);
--- create table without a guard
CREATE TABLE notes (id bigint PRIMARY KEY, body text);
--- create table with every constraint
CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, code text UNIQUE, n int CHECK (n > 0), owner bigint REFERENCES users (id) ON DELETE CASCADE);
--- create table with its indexes
CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, body text);
CREATE INDEX IF NOT EXISTS notes_body_idx ON notes (body);
CREATE UNIQUE INDEX notes_u ON notes (lower(body));
--- create table in a schema of its own
CREATE SCHEMA IF NOT EXISTS app;
CREATE TABLE IF NOT EXISTS app.notes (id int);
CREATE INDEX ON app.notes (id);
--- create table like
CREATE TABLE users_copy (LIKE users INCLUDING ALL);
--- create table as
CREATE TABLE users_backup AS SELECT * FROM users;
--- create temporary table
CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1 AS a;
--- create partitioned table with partitions
CREATE TABLE events (at date) PARTITION BY RANGE (at);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX ON events (at);
--- create and alter a new table
CREATE TABLE t (a int);
ALTER TABLE t ADD COLUMN b text NOT NULL, ALTER COLUMN a TYPE bigint, ADD CHECK (a > 0), ADD UNIQUE (b);
ALTER TABLE t ALTER COLUMN a SET NOT NULL;
ALTER TABLE t RENAME COLUMN a TO c;
ALTER TABLE t DROP COLUMN b;
--- create, fill and clean a new table
CREATE TABLE t (a int);
INSERT INTO t SELECT generate_series(1, 10);
UPDATE t SET a = a + 1;
DELETE FROM t WHERE a > 5;
TRUNCATE t;
DROP TABLE t;
--- temporary table dropped
CREATE TEMP TABLE t (a int);
DELETE FROM t;
DROP TABLE t;
--- temporary table with a guard dropped
CREATE TEMPORARY TABLE IF NOT EXISTS t (a int);
DROP TABLE IF EXISTS t;
--- new schema dropped again
CREATE SCHEMA s;
CREATE TABLE s.t (a int);
DROP SCHEMA s CASCADE;
--- add column
ALTER TABLE users ADD COLUMN IF NOT EXISTS nickname text;
--- add column without a guard
ALTER TABLE users ADD COLUMN nickname text;
--- add column with constant default
ALTER TABLE users ADD COLUMN IF NOT EXISTS points integer DEFAULT 0;
--- add column not null with constant default
ALTER TABLE users ADD COLUMN IF NOT EXISTS points integer NOT NULL DEFAULT 0;
--- add column with now
ALTER TABLE users ADD COLUMN IF NOT EXISTS at timestamptz NOT NULL DEFAULT now();
--- add column with current_timestamp
ALTER TABLE users ADD COLUMN IF NOT EXISTS at timestamptz DEFAULT CURRENT_TIMESTAMP;
--- add column with an immutable expression
ALTER TABLE users ADD COLUMN IF NOT EXISTS tags text[] NOT NULL DEFAULT ARRAY[]::text[];
--- add column with a cast and a json default
ALTER TABLE users ADD COLUMN IF NOT EXISTS meta jsonb NOT NULL DEFAULT '{}'::jsonb;
--- add column with a stable function
ALTER TABLE users ADD COLUMN IF NOT EXISTS who text DEFAULT current_user;
--- add several columns
ALTER TABLE users ADD COLUMN IF NOT EXISTS a int, ADD COLUMN IF NOT EXISTS b text DEFAULT 'x';
--- add column with a foreign key to a table of this file
CREATE TABLE teams (id int PRIMARY KEY);
ALTER TABLE users ADD COLUMN IF NOT EXISTS team_id int REFERENCES teams (id);
--- set default
ALTER TABLE users ALTER COLUMN points SET DEFAULT 10;
--- drop default
ALTER TABLE users ALTER COLUMN points DROP DEFAULT;
--- drop not null
ALTER TABLE users ALTER COLUMN email DROP NOT NULL;
--- statistics
ALTER TABLE users ALTER COLUMN email SET STATISTICS 500;
--- storage parameters
ALTER TABLE users SET (fillfactor = 90);
--- index concurrently
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email);
--- unique index concurrently
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (lower(email)) WHERE active;
--- drop index concurrently
DROP INDEX CONCURRENTLY IF EXISTS users_old_idx;
--- reindex concurrently
REINDEX INDEX CONCURRENTLY users_email_idx;
--- rename index
ALTER INDEX users_email_idx RENAME TO users_mail_idx;
--- rename constraint
ALTER TABLE users RENAME CONSTRAINT a TO b;
--- constraint using index
ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE USING INDEX users_email_idx;
--- check not valid
ALTER TABLE users ADD CONSTRAINT age CHECK (age > 0) NOT VALID;
--- foreign key not valid
ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID;
--- validate
ALTER TABLE users VALIDATE CONSTRAINT age;
--- create enum
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
--- create composite
CREATE TYPE address AS (street text, zip text);
--- create domain
CREATE DOMAIN email AS text CHECK (VALUE ~ '@');
--- create enum with a guard in DO
DO $$ BEGIN CREATE TYPE mood AS ENUM ('sad', 'ok'); EXCEPTION WHEN duplicate_object THEN NULL; END $$;
--- create enum with IF NOT EXISTS in DO
DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'mood') THEN CREATE TYPE mood AS ENUM ('sad'); END IF; END $$;
--- add value
ALTER TYPE mood ADD VALUE 'calm';
--- add value if not exists
ALTER TYPE mood ADD VALUE IF NOT EXISTS 'calm' BEFORE 'happy';
--- add attribute
ALTER TYPE address ADD ATTRIBUTE country text;
--- create function
CREATE FUNCTION add(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
--- replace function
CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at = now(); RETURN NEW; END $$;
--- function that deletes, defined only
CREATE OR REPLACE FUNCTION purge_sessions() RETURNS void LANGUAGE sql AS 'DELETE FROM sessions WHERE expires < now()';
--- plpgsql function that deletes, defined only
CREATE OR REPLACE FUNCTION purge() RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN DELETE FROM sessions WHERE at < now(); GET DIAGNOSTICS n = ROW_COUNT; RETURN n; END $$;
--- procedure
CREATE OR REPLACE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
--- security definer with a path
CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1';
--- drop and create a function again, with its grants
DROP FUNCTION IF EXISTS f(int);
CREATE FUNCTION f(a bigint) RETURNS int LANGUAGE sql AS 'SELECT 1';
GRANT EXECUTE ON FUNCTION f(bigint) TO app;
--- harmless function called
CREATE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 42';
SELECT answer();
--- seed through a function of this file
CREATE TABLE seeds (a int);
CREATE FUNCTION seed() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seeds VALUES (1); DELETE FROM seeds WHERE a > 1; END $$;
SELECT seed();
--- insert
INSERT INTO countries (code) VALUES ('no'), ('se');
--- insert with conflict
INSERT INTO countries (code) VALUES ('no') ON CONFLICT DO NOTHING;
--- insert from select
INSERT INTO archive SELECT * FROM orders WHERE at < '2020-01-01';
--- insert whose text looks dangerous
INSERT INTO help (body) VALUES ('DROP TABLE users; DELETE FROM users; TRUNCATE x');
--- insert with a dollar quoted text
INSERT INTO help (body) VALUES ($q$DELETE FROM users; EXECUTE 'DROP TABLE x'$q$);
--- settings row
UPDATE settings SET value = '2' WHERE key = 'schema_version';
--- update by primary key list
UPDATE plans SET price = 10 WHERE id IN (1, 2, 3);
--- create view
CREATE VIEW active_users AS SELECT * FROM users WHERE active;
--- replace view
CREATE OR REPLACE VIEW active_users AS SELECT id FROM users;
--- drop and create a view again, with its grants
DROP VIEW IF EXISTS active_users;
CREATE VIEW active_users AS SELECT id FROM users;
GRANT SELECT ON active_users TO reader;
--- materialized view
CREATE MATERIALIZED VIEW IF NOT EXISTS totals AS SELECT count(*) FROM orders;
CREATE UNIQUE INDEX ON totals (count);
--- refresh concurrently
REFRESH MATERIALIZED VIEW CONCURRENTLY totals;
--- comment
COMMENT ON TABLE users IS 'DROP TABLE users; -- never';
--- comment on a column
COMMENT ON COLUMN users.email IS 'DELETE with care';
--- row security on a new table
CREATE TABLE notes (id int, owner uuid);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON notes FOR DELETE USING (owner = auth.uid());
--- trigger on a new table
CREATE TABLE notes (id int, updated_at timestamptz);
CREATE TRIGGER touch BEFORE UPDATE OR DELETE ON notes FOR EACH ROW EXECUTE FUNCTION touch();
--- trigger and rule on a new table that are replaced
CREATE TABLE notes (id int);
DROP TRIGGER IF EXISTS t ON notes;
CREATE TRIGGER t AFTER DELETE ON notes FOR EACH ROW EXECUTE FUNCTION f();
--- grants
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON users TO app;
--- usage to public
GRANT USAGE ON SCHEMA app TO PUBLIC;
--- revoke from public
REVOKE ALL ON FUNCTION f() FROM PUBLIC;
--- roles
CREATE ROLE reader NOLOGIN;
GRANT reader TO app;
--- default privileges
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO reader;
--- extension
CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA extensions;
--- sequence
CREATE SEQUENCE IF NOT EXISTS numbers START 100;
--- new sequence is set
CREATE SEQUENCE numbers;
SELECT setval('numbers', 1000);
--- sequence follows its table
SELECT setval('users_id_seq', (SELECT max(id) FROM users));
--- sequence owner column
ALTER SEQUENCE numbers OWNED BY users.id;
--- select
SELECT count(*), max(id), lower(name) FROM users GROUP BY name;
--- select with a harmless CTE
WITH x AS (SELECT 1 AS a) SELECT * FROM x;
--- explain
EXPLAIN DELETE FROM users;
--- prepared and not executed
PREPARE p AS DELETE FROM users;
DEALLOCATE p;
--- settings
SET lock_timeout = '2s';
SET LOCAL statement_timeout = '1min';
SET search_path = app, public;
RESET search_path;
--- dump preamble
SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
--- replication role back to origin
SET session_replication_role = DEFAULT;
--- statistics object
CREATE STATISTICS IF NOT EXISTS s ON a, b FROM users;
--- analyze
ANALYZE users;
--- vacuum
VACUUM (ANALYZE) users;
--- publication
CREATE PUBLICATION p FOR TABLE users;
--- notify
NOTIFY schema_changed;
--- commented out drop
-- ALTER TABLE users DROP COLUMN legacy;
/* DROP TABLE users; */
SELECT 1;
--- table whose columns are named like dangers
CREATE TABLE IF NOT EXISTS audit ("drop" text, "delete" text, truncated boolean, on_delete_cascade int);
--- table named like a danger
CREATE TABLE IF NOT EXISTS "DROP TABLE users" (a int);
--- foreign key with actions
CREATE TABLE IF NOT EXISTS n (a int REFERENCES users ON DELETE CASCADE ON UPDATE SET NULL);
--- policy for delete on a new table
CREATE TABLE n (a int);
CREATE POLICY p ON n FOR DELETE USING (a = 1);
--- DO with a notice
DO $$ BEGIN RAISE NOTICE 'DROP TABLE users'; END $$;
--- DO with a constant EXECUTE that is harmless
DO $$ BEGIN EXECUTE 'CREATE TABLE IF NOT EXISTS t (a int)'; END $$;
--- DO with a guarded column
DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = 'users' AND column_name = 'a') THEN ALTER TABLE users ADD COLUMN a int; END IF; END $$;
--- DO with seeds
DO $$ DECLARE n int; BEGIN SELECT count(*) INTO n FROM countries; IF n = 0 THEN INSERT INTO countries (code) VALUES ('no'); END IF; END $$;
--- DO that checks and raises
DO $$ BEGIN IF EXISTS (SELECT 1 FROM users WHERE email IS NULL) THEN RAISE EXCEPTION 'DELETE them first'; END IF; END $$;
--- DO with an assertion
DO $$ BEGIN ASSERT (SELECT count(*) FROM users) > 0, 'TRUNCATE'; END $$;
--- cast and operator
CREATE CAST (text AS mood) WITH INOUT AS IMPLICIT;
--- aggregate
CREATE AGGREGATE total (int) (sfunc = int4pl, stype = int);
--- text search configuration
CREATE TEXT SEARCH CONFIGURATION simple_en (COPY = english);
--- range type
CREATE TYPE span AS RANGE (subtype = float8);
--- three part name
CREATE TABLE IF NOT EXISTS public.notes (id int);
CREATE INDEX ON notes (id);
--- quoted names
CREATE TABLE IF NOT EXISTS "Order" ("Id" int);
CREATE INDEX "Order_Id" ON "Order" ("Id");
--- new type dropped
CREATE TYPE t AS ENUM ('a');
DROP TYPE t;
--- new function dropped
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
DROP FUNCTION f();
--- not null in three steps, third
ALTER TABLE users VALIDATE CONSTRAINT users_email_not_null;
--- detach concurrently
ALTER TABLE events DETACH PARTITION events_2020 CONCURRENTLY;
--- upsert into a table of this file
CREATE TABLE kv (k text PRIMARY KEY, v text);
INSERT INTO kv VALUES ('a', 'b') ON CONFLICT (k) DO UPDATE SET v = excluded.v;
--- merge insert
MERGE INTO stock s USING delivery d ON s.id = d.id WHEN NOT MATCHED THEN INSERT (id) VALUES (d.id);
--- cron job as a string of its own table
INSERT INTO jobs (command) VALUES ('DELETE FROM sessions');
--- event log column
ALTER TABLE users ADD COLUMN IF NOT EXISTS deleted_at timestamptz;
--- unicode
CREATE TABLE IF NOT EXISTS "été" ("naïve" text DEFAULT 'DROP TABLE "été"');
COMMENT ON TABLE "été" IS '漢字 😀';
--- select of random is no rewrite
SELECT random(), gen_random_uuid();
--- volatile default set for later rows
ALTER TABLE users ALTER COLUMN token SET DEFAULT gen_random_uuid();
--- volatile default in a new table
CREATE TABLE t (id uuid DEFAULT gen_random_uuid(), at timestamptz DEFAULT clock_timestamp());
--- create table in create schema
CREATE SCHEMA s CREATE TABLE t (a int);
--- owner of new things
CREATE TABLE t (a int);
ALTER TABLE t OWNER TO app;
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER FUNCTION f() OWNER TO app;
--- temporary table by its schema
CREATE TEMP TABLE t (a int);
DELETE FROM pg_temp.t;
DROP TABLE pg_temp.t;
--- harmless operator of this file
CREATE FUNCTION same(int, int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 = $2';
CREATE OPERATOR === (function = same, leftarg = int, rightarg = int);
SELECT 1 === 2;
--- check with a function of this file
CREATE FUNCTION good(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 > 0';
CREATE TABLE t (a int CHECK (good(a)));
INSERT INTO t VALUES (1);
--- a batch by its key
UPDATE users SET active = true WHERE id BETWEEN 1 AND 10000;
--- an enum's new label as another table's text
CREATE TABLE IF NOT EXISTS log (t text PRIMARY KEY);
ALTER TYPE mood ADD VALUE IF NOT EXISTS 'active';
INSERT INTO log (t) VALUES ('active');
--- a virtual column
ALTER TABLE users ADD COLUMN IF NOT EXISTS twice int GENERATED ALWAYS AS (n * 2) VIRTUAL;
--- create table if not exists with everything
CREATE TABLE IF NOT EXISTS shop.baskets (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner uuid NOT NULL DEFAULT gen_random_uuid(), note text CHECK (length(note) < 200), made timestamptz NOT NULL DEFAULT now(), UNIQUE (owner, made));
--- create table comment words
-- this will not DROP TABLE anything
CREATE TABLE IF NOT EXISTS drop_table_log (truncate_reason text, "delete" boolean DEFAULT false);
--- add column nullable
ALTER TABLE customers ADD COLUMN IF NOT EXISTS nickname text;
--- add column default constant not null
ALTER TABLE customers ADD COLUMN IF NOT EXISTS is_vip boolean NOT NULL DEFAULT false;
--- add column default now
ALTER TABLE customers ADD COLUMN IF NOT EXISTS seen_at timestamptz DEFAULT now();
--- add two columns
ALTER TABLE customers ADD COLUMN IF NOT EXISTS a int, ADD COLUMN IF NOT EXISTS b jsonb DEFAULT '{}'::jsonb;
--- add column default array
ALTER TABLE public.customers ADD COLUMN IF NOT EXISTS tags text[] NOT NULL DEFAULT '{}';
--- add column default quoted word
ALTER TABLE customers ADD COLUMN IF NOT EXISTS action varchar(20) DEFAULT 'DELETE';
--- concurrent index
CREATE INDEX CONCURRENTLY IF NOT EXISTS customers_nick_idx ON customers (nickname);
--- unique concurrent index
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS customers_mail_key ON customers (lower(email)) WHERE email IS NOT NULL;
--- concurrent gin
CREATE INDEX CONCURRENTLY IF NOT EXISTS docs_body_idx ON docs USING gin (to_tsvector('english', body));
--- create enum, again
CREATE TYPE shipping_state AS ENUM ('new', 'packed', 'deleted', 'dropped');
--- create composite, again
CREATE TYPE money_amount AS (amount numeric, currency char(3));
--- create range type
CREATE TYPE floatrange AS RANGE (subtype = float8);
--- add value, again
ALTER TYPE shipping_state ADD VALUE 'lost';
--- add value if not exists, again
ALTER TYPE shipping_state ADD VALUE IF NOT EXISTS 'returned' AFTER 'packed';
--- create function sql
CREATE OR REPLACE FUNCTION full_name(first text, last text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT first || ' ' || last $$;
--- create function plpgsql
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END $f$;
--- create procedure
CREATE PROCEDURE note(msg text) LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '%', msg; END $$;
--- insert seed
INSERT INTO countries (code, name) VALUES ('NO', 'Norway'), ('SE', 'Sweden');
--- insert on conflict nothing
INSERT INTO settings (k, v) VALUES ('mode', 'DROP TABLE users') ON CONFLICT (k) DO NOTHING;
--- insert select
INSERT INTO audit_kinds (name) SELECT unnest(ARRAY['create','update','delete']);
--- create view, again
CREATE VIEW active_customers AS SELECT id, email FROM customers WHERE deleted_at IS NULL;
--- create or replace view
CREATE OR REPLACE VIEW open_orders AS SELECT * FROM orders WHERE state = 'open';
--- create schema
CREATE SCHEMA IF NOT EXISTS reporting;
--- create extension
CREATE EXTENSION IF NOT EXISTS pgcrypto;
--- comment on
COMMENT ON TABLE customers IS 'DELETE FROM customers is forbidden; so is TRUNCATE';
--- comment on column
COMMENT ON COLUMN customers.email IS 'unique address';
--- grant select delete
GRANT SELECT, INSERT, UPDATE, DELETE ON customers TO app_rw;
--- grant truncate
GRANT TRUNCATE ON staging_area TO loader;
--- create sequence
CREATE SEQUENCE IF NOT EXISTS invoice_no START 1000;
--- select, again
SELECT count(*) FROM customers WHERE status = 'delete';
--- set lock timeout and add column
SET lock_timeout = '3s';
SET statement_timeout = '30s';
ALTER TABLE customers ADD COLUMN IF NOT EXISTS region text;
--- create table and index it plain
CREATE TABLE IF NOT EXISTS invoices (id bigint PRIMARY KEY, due date);
CREATE INDEX IF NOT EXISTS invoices_due ON invoices (due);
--- create table then constraint on it
CREATE TABLE IF NOT EXISTS invoices (id bigint, due date);
ALTER TABLE invoices ADD CONSTRAINT invoices_pkey PRIMARY KEY (id);
ALTER TABLE invoices ALTER COLUMN due SET NOT NULL;
--- create table as, again
CREATE TABLE IF NOT EXISTS customers_backup AS SELECT * FROM customers;
--- materialized view, again
CREATE MATERIALIZED VIEW IF NOT EXISTS sales_by_day AS SELECT date_trunc('day', made) d, sum(total) FROM orders GROUP BY 1;
--- temp table dropped
CREATE TEMP TABLE scratch (a int);
INSERT INTO scratch VALUES (1);
DROP TABLE scratch;
--- domain
CREATE DOMAIN email_address AS text CHECK (VALUE ~ '@');
--- on delete cascade in a new table
CREATE TABLE IF NOT EXISTS lines (id bigint PRIMARY KEY, tag text REFERENCES new_tags ON DELETE SET NULL);
CREATE TABLE IF NOT EXISTS new_tags (name text PRIMARY KEY);
--- trigger on a new table, again
CREATE TABLE IF NOT EXISTS t1 (id int PRIMARY KEY, updated_at timestamptz);
CREATE FUNCTION touch_t1() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at = now(); RETURN NEW; END $$;
CREATE TRIGGER t1_after_delete AFTER DELETE ON t1 FOR EACH ROW EXECUTE FUNCTION touch_t1();
--- do block that checks and creates
DO $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'mood') THEN
    CREATE TYPE mood AS ENUM ('sad', 'happy');
  END IF;
END $$;
--- do block raise notice
DO $$ BEGIN RAISE NOTICE 'we do not DELETE FROM users'; END $$;
--- do block duplicate object
DO $$ BEGIN CREATE TYPE color AS ENUM ('red'); EXCEPTION WHEN duplicate_object THEN NULL; END $$;
--- analyze, again
ANALYZE customers;
--- string with semicolon
INSERT INTO notes (body) VALUES ('; DROP TABLE users; --');
--- dollar quoted string
INSERT INTO notes (body) VALUES ($x$ DELETE FROM users; $x$);
--- nested comments
/* outer /* DROP TABLE a; */ still */ CREATE TABLE IF NOT EXISTS q (id int PRIMARY KEY);
--- column called drop
ALTER TABLE customers ADD COLUMN IF NOT EXISTS "drop column" text;
--- rls on new table with policy for delete
CREATE TABLE IF NOT EXISTS posts (id bigint PRIMARY KEY, owner uuid);
ALTER TABLE posts ENABLE ROW LEVEL SECURITY;
CREATE POLICY posts_delete ON posts FOR DELETE USING (owner = current_setting('app.user')::uuid);
--- statistics target
ALTER TABLE customers ALTER COLUMN email SET STATISTICS 500;
--- create publication
CREATE PUBLICATION news FOR TABLE customers;
--- create role
CREATE ROLE report_reader NOLOGIN;
--- set default, again
ALTER TABLE customers ALTER COLUMN state SET DEFAULT 'new';
--- lots of ddl new schema
CREATE SCHEMA crm;
CREATE TABLE crm.people (id bigint PRIMARY KEY);
CREATE TABLE crm.calls (id bigint PRIMARY KEY, person bigint NOT NULL REFERENCES crm.people (id) ON DELETE CASCADE);
CREATE INDEX ON crm.calls (person);
--- insert with returning cte
WITH fresh AS (INSERT INTO tags (name) VALUES ('a') RETURNING id) INSERT INTO tag_log (tag_id) SELECT id FROM fresh;
--- create function with insert, select call
CREATE FUNCTION add_one(i int) RETURNS int LANGUAGE sql AS 'SELECT i + 1';
SELECT add_one(1);
--- setval on new sequence
CREATE SEQUENCE fresh_seq;
SELECT setval('fresh_seq', 100);
--- partition table new
CREATE TABLE IF NOT EXISTS events (id bigint, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE IF NOT EXISTS events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
--- update on own new table
CREATE TABLE IF NOT EXISTS knobs (k text PRIMARY KEY, v text);
INSERT INTO knobs VALUES ('a', 'b');
UPDATE knobs SET v = 'c';
--- delete from own new table
CREATE TABLE pads (k text PRIMARY KEY);
INSERT INTO pads VALUES ('a'), ('b');
DELETE FROM pads WHERE k = 'a';
--- column named like keyword in insert
INSERT INTO actions (name, sql) VALUES ('purge', 'TRUNCATE TABLE logs'), ('wipe', 'DELETE FROM logs');
--- virtual view with delete string
CREATE VIEW v_del AS SELECT 'DROP TABLE x'::text AS stmt;
--- event in json
INSERT INTO hooks (payload) VALUES ('{"op": "DROP TABLE", "cascade": true}'::jsonb);
--- alter default privileges
ALTER DEFAULT PRIVILEGES IN SCHEMA crm GRANT SELECT, DELETE ON TABLES TO crm_app;
--- aggregate, again
CREATE AGGREGATE my_sum (int) (sfunc = int4pl, stype = int, initcond = '0');
--- create index concurrently include
CREATE INDEX CONCURRENTLY IF NOT EXISTS o_idx ON orders (customer_id, created_at DESC) INCLUDE (total);
--- unicode text
INSERT INTO langs (name) VALUES ('Ünïcödé — 日本語'), (U&'\0441\043B');
--- bom at the start
﻿CREATE TABLE IF NOT EXISTS bommed (id int PRIMARY KEY);
--- empty file with comment only
-- nothing to do here: DROP TABLE users;
--- long if not exists with check
ALTER TABLE customers ADD COLUMN IF NOT EXISTS metadata jsonb NOT NULL DEFAULT '{"deleted": false}';
--- create trigger function with TG_OP delete
CREATE OR REPLACE FUNCTION log_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    INSERT INTO change_log (op) VALUES ('DELETE');
    RETURN OLD;
  END IF;
  RETURN NEW;
END $$;
--- reset
RESET lock_timeout;
--- function that deletes, only defined
CREATE OR REPLACE FUNCTION purge_old() RETURNS void LANGUAGE sql AS $$ DELETE FROM logs WHERE at < now() - interval '90 days' $$;
--- drop default not null
ALTER TABLE customers ALTER COLUMN email DROP NOT NULL;
--- prisma create table
-- CreateTable
CREATE TABLE "User" (
    "id" SERIAL NOT NULL,
    "email" TEXT NOT NULL,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "User_pkey" PRIMARY KEY ("id")
);
-- CreateIndex
CREATE UNIQUE INDEX "User_email_key" ON "User"("email");
--- prisma two tables with a foreign key
CREATE TABLE "Post" ("id" TEXT NOT NULL, "authorId" TEXT, CONSTRAINT "Post_pkey" PRIMARY KEY ("id"));
CREATE TABLE "Author" ("id" TEXT NOT NULL, CONSTRAINT "Author_pkey" PRIMARY KEY ("id"));
ALTER TABLE "Post" ADD CONSTRAINT "Post_authorId_fkey" FOREIGN KEY ("authorId") REFERENCES "Author"("id") ON DELETE SET NULL ON UPDATE CASCADE;
--- supabase profile table with policies
create table if not exists public.profiles (
  id uuid references auth.users not null primary key,
  username text unique,
  constraint username_length check (char_length(username) >= 3)
);
alter table public.profiles enable row level security;
create policy "Public profiles are viewable by everyone." on public.profiles for select using (true);
create policy "Users can insert their own profile." on public.profiles for insert with check (auth.uid() = id);
create policy "Users can delete own profile." on public.profiles for delete using (auth.uid() = id);
--- updated_at trigger on a new table with function
CREATE OR REPLACE FUNCTION set_updated_at() RETURNS TRIGGER AS $$
BEGIN NEW.updated_at = NOW(); RETURN NEW; END;
$$ LANGUAGE plpgsql;
CREATE TABLE IF NOT EXISTS prefs (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), updated_at timestamptz);
CREATE TRIGGER prefs_updated BEFORE UPDATE ON prefs FOR EACH ROW EXECUTE FUNCTION set_updated_at();
--- user preferences from the mission
CREATE TABLE IF NOT EXISTS user_preferences (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  theme VARCHAR(20) DEFAULT 'light',
  created_at TIMESTAMPTZ DEFAULT NOW()
);
CREATE INDEX IF NOT EXISTS idx_user_preferences_user_id ON user_preferences(user_id);
--- add columns with comments between
ALTER TABLE users
  -- DROP COLUMN was considered
  ADD COLUMN IF NOT EXISTS bio text, /* TRUNCATE */
  ADD COLUMN IF NOT EXISTS age int DEFAULT 0;
--- insert with on conflict on constraint
INSERT INTO plans (id, name) VALUES (1, 'free') ON CONFLICT ON CONSTRAINT plans_pkey DO NOTHING;
--- insert a policy text
INSERT INTO docs (body) VALUES (E'It''s \'DELETE FROM\' \\ not run');
--- insert many rows
INSERT INTO zip (code, city) VALUES ('0150','Oslo'),('5003','Bergen'),('7010','Trondheim'),('9008','Tromsø');
--- create type if not exists by a do block with exception
DO $$ BEGIN
    CREATE TYPE "Role" AS ENUM ('USER', 'ADMIN');
EXCEPTION
    WHEN duplicate_object THEN null;
END $$;
--- create enum used by new table
CREATE TYPE job_state AS ENUM ('queued', 'deleted');
CREATE TABLE jobs (id bigint PRIMARY KEY, state job_state NOT NULL DEFAULT 'queued');
--- function with delete keyword only in a string
CREATE FUNCTION explain_it() RETURNS text LANGUAGE sql AS $$ SELECT 'DELETE FROM users'::text $$;
SELECT explain_it();
--- function that raises
CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'DELETE is not allowed on %', TG_TABLE_NAME; END $$;
--- generic comment block
/*
 DROP TABLE users;
 DELETE FROM users;
*/
SELECT 1;
--- explain without analyze
EXPLAIN DELETE FROM users WHERE id = 1;
--- prepared but not executed
PREPARE gone AS DELETE FROM users WHERE id = $1;
DEALLOCATE gone;
--- not valid constraint
ALTER TABLE orders ADD CONSTRAINT total_ok CHECK (total >= 0) NOT VALID;
--- validate alone
ALTER TABLE orders VALIDATE CONSTRAINT total_ok;
--- set not null behind a validated check made earlier in file
CREATE TABLE fresh_orders (id int PRIMARY KEY, x int);
ALTER TABLE fresh_orders ALTER COLUMN x SET NOT NULL, ADD CONSTRAINT xx CHECK (x > 0);
--- storage parameters, again
ALTER TABLE users SET (fillfactor = 80);
--- foreign data wrapper
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE SERVER IF NOT EXISTS other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'h', dbname 'd');
--- create table partition on a new parent and index
CREATE TABLE logs_new (id bigint, at date) PARTITION BY RANGE (at);
CREATE TABLE logs_new_p1 PARTITION OF logs_new FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE INDEX ON logs_new (at);
--- insert with a subquery named delete
INSERT INTO stats (n) SELECT count(*) FROM (SELECT 1 AS "delete") AS "truncate";
--- with recursive
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) INSERT INTO numbers SELECT n FROM r;
--- temp table delete
CREATE TEMPORARY TABLE tmp_ids (id int) ON COMMIT DROP;
INSERT INTO tmp_ids SELECT id FROM users;
DELETE FROM tmp_ids WHERE id IS NULL;
TRUNCATE tmp_ids;
--- drop what the file itself made
CREATE TABLE scratch_a (id int);
DROP TABLE scratch_a;
--- drop column of a table of this file
CREATE TABLE scratch_b (id int, x int);
ALTER TABLE scratch_b DROP COLUMN x;
--- alter sequence owned by
ALTER SEQUENCE users_id_seq OWNED BY users.id;
--- create text search configuration
CREATE TEXT SEARCH CONFIGURATION my_english (COPY = pg_catalog.english);
--- create collation
CREATE COLLATION IF NOT EXISTS german (provider = icu, locale = 'de-x-icu');
--- create statistics
CREATE STATISTICS IF NOT EXISTS s1 (dependencies) ON city, zip FROM addresses;
--- notify, again
NOTIFY schema_changed, 'DROP TABLE x';
--- grants on schema and sequences
GRANT USAGE ON SCHEMA app TO web; GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA app TO web;
--- security definer with search path
CREATE FUNCTION whoami() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT current_user::text';
--- set local
SET LOCAL lock_timeout = '2s';
CREATE TABLE IF NOT EXISTS qq (id bigint PRIMARY KEY);
--- add enum value before
ALTER TYPE mood ADD VALUE IF NOT EXISTS 'deleted' BEFORE 'happy';
--- default current_date and array
ALTER TABLE users ADD COLUMN IF NOT EXISTS joined date NOT NULL DEFAULT CURRENT_DATE, ADD COLUMN IF NOT EXISTS tags text[] DEFAULT ARRAY[]::text[];
--- view with security invoker
CREATE OR REPLACE VIEW v WITH (security_invoker = true) AS SELECT id FROM users;
--- crlf line ends
CREATE TABLE IF NOT EXISTS crlf (id int PRIMARY KEY);
ALTER TABLE crlf ADD COLUMN IF NOT EXISTS a int;
--- function with dollar tags nested
CREATE FUNCTION nested() RETURNS text LANGUAGE plpgsql AS $outer$ BEGIN RETURN $inner$ DROP TABLE users; $inner$; END $outer$;
--- select for json
SELECT jsonb_build_object('drop', 'table', 'delete', true);
--- insert jsonb function calls
INSERT INTO events (data, at) VALUES (jsonb_build_object('a', 1), now()), (to_jsonb('x'::text), clock_timestamp());
--- uuid extension default on a new table
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
CREATE TABLE IF NOT EXISTS keys (id uuid PRIMARY KEY DEFAULT uuid_generate_v4());
--- insert into auth buckets supabase storage
INSERT INTO storage.buckets (id, name, public) VALUES ('avatars', 'avatars', true) ON CONFLICT (id) DO NOTHING;
--- do block alter only add columns conditionally
DO $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = 'users' AND column_name = 'vip') THEN
    ALTER TABLE users ADD COLUMN vip boolean DEFAULT false;
  END IF;
END $$;
--- nextval insert
INSERT INTO orders (id, note) VALUES (nextval('orders_id_seq'), 'x');
--- crypt
INSERT INTO accounts (login, hash) VALUES ('root', crypt('x', gen_salt('bf')));
--- pg dump header and table
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.gadgets (id integer NOT NULL, name text);
ALTER TABLE public.gadgets OWNER TO app;
CREATE SEQUENCE public.gadgets_id_seq AS integer START WITH 1 INCREMENT BY 1 NO MINVALUE NO MAXVALUE CACHE 1;
ALTER SEQUENCE public.gadgets_id_seq OWNED BY public.gadgets.id;
ALTER TABLE ONLY public.gadgets ALTER COLUMN id SET DEFAULT nextval('public.gadgets_id_seq'::regclass);
SELECT pg_catalog.setval('public.gadgets_id_seq', 1, false);
ALTER TABLE ONLY public.gadgets ADD CONSTRAINT gadgets_pkey PRIMARY KEY (id);
CREATE INDEX gadgets_name ON public.gadgets USING btree (name);
--- add attribute, again
ALTER TYPE addr ADD ATTRIBUTE country text;
--- alter function search path
ALTER FUNCTION f(int) SET search_path = pg_catalog;
--- advisory lock
SELECT pg_advisory_xact_lock(42);
CREATE TABLE IF NOT EXISTS locked_in (id int PRIMARY KEY);
--- function with dynamic sql only defined
CREATE OR REPLACE FUNCTION run_any(q text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE q; END $$;
--- function with delete only defined in a plpgsql trigger
CREATE OR REPLACE FUNCTION purge_children() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM child WHERE parent_id = OLD.id; RETURN OLD; END $$;
--- materialized view with no data
CREATE MATERIALIZED VIEW IF NOT EXISTS mv2 AS SELECT 1 AS a WITH NO DATA;
--- insert default values
INSERT INTO counters DEFAULT VALUES;
--- insert multi cte select
WITH src AS (SELECT 1 AS id UNION ALL SELECT 2) INSERT INTO ids SELECT id FROM src;
--- insert where not exists
INSERT INTO roles (name) SELECT 'admin' WHERE NOT EXISTS (SELECT 1 FROM roles WHERE name = 'admin');
--- create type shell then range with subtype diff
CREATE TYPE timerange AS RANGE (subtype = time);
--- commented alter
ALTER TABLE IF EXISTS users ADD COLUMN IF NOT EXISTS locale text DEFAULT 'en-US'; -- DROP COLUMN locale;
--- generated virtual free default expression
ALTER TABLE users ADD COLUMN IF NOT EXISTS created_on date DEFAULT (now() AT TIME ZONE 'utc')::date;
--- interval default
ALTER TABLE jobs ADD COLUMN IF NOT EXISTS ttl interval NOT NULL DEFAULT interval '1 day';
--- enum default
ALTER TABLE users ADD COLUMN IF NOT EXISTS role user_role NOT NULL DEFAULT 'member'::user_role;
--- numeric default negative
ALTER TABLE acc ADD COLUMN IF NOT EXISTS bal numeric(12,2) NOT NULL DEFAULT -1.00;
--- uuid nil default
ALTER TABLE acc ADD COLUMN IF NOT EXISTS tenant uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
--- current user default
ALTER TABLE acc ADD COLUMN IF NOT EXISTS made_by text DEFAULT CURRENT_USER;
--- function with drop in comment
CREATE FUNCTION c1() RETURNS int LANGUAGE sql AS $$ /* DROP TABLE users; */ SELECT 1 -- DELETE FROM users
$$;
SELECT c1();
--- call a pure function of this file in an index
CREATE FUNCTION norm(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(t) $$;
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_norm ON users (norm(email));
--- listen
LISTEN jobs;
--- show
SHOW server_version;
--- discard plans
DISCARD PLANS;
--- security label free event
COMMENT ON FUNCTION f(int) IS 'TRUNCATE';
--- alter index attach
CREATE TABLE pt (a int) PARTITION BY LIST (a);
CREATE TABLE pt1 PARTITION OF pt FOR VALUES IN (1);
CREATE INDEX pti ON ONLY pt (a);
CREATE INDEX pt1i ON pt1 (a);
ALTER INDEX pti ATTACH PARTITION pt1i;
--- do create extension
DO $$ BEGIN CREATE EXTENSION IF NOT EXISTS citext; END $$;
--- do grant
DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'app') THEN GRANT SELECT ON users TO app; END IF; END $$;
--- do create role if missing
DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN CREATE ROLE app NOLOGIN; END IF; END $$;
--- do execute constant create
DO $$ BEGIN EXECUTE 'CREATE TABLE IF NOT EXISTS made_by_do (id int PRIMARY KEY)'; END $$;
--- do raise exception check
DO $$ DECLARE n int; BEGIN SELECT count(*) INTO n FROM users WHERE email IS NULL; IF n > 0 THEN RAISE EXCEPTION '% users without email; DELETE them first', n; END IF; END $$;
--- do get diagnostics insert
DO $$ DECLARE n bigint; BEGIN INSERT INTO kinds (name) VALUES ('a'); GET DIAGNOSTICS n = ROW_COUNT; RAISE NOTICE '%', n; END $$;
--- do insert returning into
DO $$ DECLARE new_id int; BEGIN INSERT INTO teams (name) VALUES ('core') RETURNING id INTO new_id; INSERT INTO members (team) VALUES (new_id); END $$;
--- add nullable column of an array type
ALTER TABLE users ADD COLUMN IF NOT EXISTS tags text[];
--- add column with a default of now
ALTER TABLE users ADD COLUMN IF NOT EXISTS seen_at timestamptz NOT NULL DEFAULT now();
--- add column with a constant interval computed
ALTER TABLE users ADD COLUMN IF NOT EXISTS grace interval NOT NULL DEFAULT interval '1 day' * 3;
--- three nullable columns in one statement
ALTER TABLE users ADD COLUMN a int, ADD COLUMN b text, ADD COLUMN c jsonb;
--- concurrent unique index over an expression
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS users_lower_email ON users (lower(email)) WHERE deleted_at IS NULL;
--- comment that quotes a truncate
COMMENT ON COLUMN users.email IS 'TRUNCATE users; DROP TABLE users CASCADE';
--- delete in a policy of a new table
CREATE TABLE drafts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner uuid NOT NULL);
ALTER TABLE drafts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_delete ON drafts FOR DELETE USING (owner = current_setting('app.user')::uuid);
--- new audit trigger function on a new table with delete branch
CREATE TABLE ledger (id bigint PRIMARY KEY, note text);
CREATE FUNCTION ledger_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER ledger_t AFTER INSERT OR UPDATE OR DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION ledger_log();
--- temporary staging table filled and emptied
CREATE TEMP TABLE stage (id int, name text);
INSERT INTO stage VALUES (1, 'a'), (2, 'b');
INSERT INTO kinds (id, name) SELECT id, name FROM stage ON CONFLICT DO NOTHING;
TRUNCATE stage;
DROP TABLE stage;
--- insert of a string with sql in dollar quotes
INSERT INTO templates (name, body) VALUES ('purge', $sql$DELETE FROM users; DROP TABLE orders;$sql$);
--- column named truncate
CREATE TABLE flags ("truncate" boolean NOT NULL DEFAULT false, "delete" boolean NOT NULL DEFAULT false, "drop table users" text);
--- index concurrently with storage parameters
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_at ON events USING brin (created_at) WITH (pages_per_range = 32);
--- foreign key not valid, once more
ALTER TABLE orders ADD CONSTRAINT orders_user_fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE SET NULL NOT VALID;
--- check not valid with a drop word in its string
ALTER TABLE orders ADD CONSTRAINT orders_state CHECK (state IN ('drop', 'delete', 'truncate')) NOT VALID;
--- validate two constraints
ALTER TABLE orders VALIDATE CONSTRAINT orders_state;
ALTER TABLE orders VALIDATE CONSTRAINT orders_user_fk;
--- set a default and drop it
ALTER TABLE users ALTER COLUMN plan SET DEFAULT 'free';
ALTER TABLE users ALTER COLUMN plan DROP DEFAULT;
--- enum value if not exists after another
ALTER TYPE mood ADD VALUE IF NOT EXISTS 'meh' AFTER 'sad';
--- function that calls a delete in a string only
CREATE OR REPLACE FUNCTION describe() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'DELETE FROM users'::text $$;
--- select of a pure function of the file
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT n * 2 $$;
SELECT twice(21);
--- do block that only raises
DO $$ BEGIN IF (SELECT count(*) FROM users WHERE email IS NULL) > 0 THEN RAISE EXCEPTION 'users without an email: DELETE them first'; END IF; END $$;
--- new schema with all in it and grants
CREATE SCHEMA billing;
CREATE TABLE billing.invoices (id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
GRANT USAGE ON SCHEMA billing TO app_rw;
GRANT SELECT, INSERT, UPDATE, DELETE ON billing.invoices TO app_rw;
--- statement and lock timeouts
SET lock_timeout = '2s';
SET statement_timeout = '30s';
ALTER TABLE users ADD COLUMN IF NOT EXISTS nick text;
RESET statement_timeout;
--- view over several tables with replace
CREATE OR REPLACE VIEW active_users AS SELECT u.id, u.email FROM users u JOIN orders o ON o.user_id = u.id;
--- recursive query as a check
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t;
--- drop a view of the same file
CREATE VIEW tmp_v AS SELECT 1 AS a;
DROP VIEW tmp_v;
--- rename a column of a new table
CREATE TABLE parts (a int);
ALTER TABLE parts RENAME a TO b;
ALTER TABLE parts RENAME TO pieces;
DROP TABLE pieces;
--- drop a function of the same file
CREATE FUNCTION once() RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT once();
DROP FUNCTION once();
--- nothing but transaction settings
SET LOCAL search_path = app, public;
--- insert guarded by where not exists
INSERT INTO kinds (name) SELECT 'gold' WHERE NOT EXISTS (SELECT 1 FROM kinds WHERE name = 'gold');
--- statistics object, once more
CREATE STATISTICS IF NOT EXISTS users_stat (dependencies) ON city, zip FROM users;
--- table with an exclusion constraint and gist
CREATE TABLE bookings (id bigint PRIMARY KEY, room int, during tstzrange, EXCLUDE USING gist (during WITH &&));
--- vacuum analyze of a table
VACUUM (ANALYZE) users;
--- long name in a string
INSERT INTO notes (body) VALUES (repeat('DROP TABLE users; ', 3));
--- insert with e string and semicolons
INSERT INTO notes (body) VALUES (E'it\'s; DELETE FROM users;\n--');
--- line comment ends a file
SELECT 1; -- DROP TABLE users
--- set statistics and storage
ALTER TABLE users ALTER COLUMN bio SET STATISTICS 500, ALTER COLUMN bio SET STORAGE EXTERNAL;
--- fillfactor
ALTER TABLE users SET (fillfactor = 90);
--- identity table with a comment and default privileges
CREATE TABLE IF NOT EXISTS log (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY);
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader;
--- sequence for a new table
CREATE SEQUENCE inv_no START 1000;
CREATE TABLE inv (no bigint PRIMARY KEY DEFAULT nextval('inv_no'));
ALTER SEQUENCE inv_no OWNED BY inv.no;
SELECT setval('inv_no', 5000);
--- procedure with a commit, only defined
CREATE PROCEDURE archive() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO old SELECT * FROM users; COMMIT; END $$;
--- insert with a cte of values
WITH v(name) AS (VALUES ('a'), ('b')) INSERT INTO kinds (name) SELECT name FROM v;
--- index on a materialized view of this file
CREATE MATERIALIZED VIEW totals AS SELECT user_id, sum(amount) AS s FROM orders GROUP BY user_id WITH NO DATA;
CREATE UNIQUE INDEX totals_u ON totals (user_id);
REFRESH MATERIALIZED VIEW totals;
--- virtual column by a view and a stored one in a new table
CREATE TABLE boxes (w int, h int, area int GENERATED ALWAYS AS (w * h) STORED);
--- widen a varchar that this file made
CREATE TABLE words (w varchar(10));
ALTER TABLE words ALTER COLUMN w TYPE varchar(5);
--- do block with a guard on information_schema
DO $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = 'users' AND column_name = 'delete_at') THEN
    ALTER TABLE users ADD COLUMN delete_at timestamptz;
  END IF;
END $$;
--- trigger when clause on a new table
CREATE TABLE t1 (a int, b int);
CREATE FUNCTION f1() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.b := 1; RETURN NEW; END $$;
CREATE TRIGGER tr BEFORE UPDATE ON t1 FOR EACH ROW WHEN (OLD.a IS DISTINCT FROM NEW.a) EXECUTE FUNCTION f1();
UPDATE t1 SET a = 2;
--- explain a delete without analyze
EXPLAIN (VERBOSE, COSTS OFF) DELETE FROM users;
--- prepare a delete and drop it
PREPARE d AS DELETE FROM users WHERE id = $1;
DEALLOCATE d;
--- deleting function for later, plpgsql with a where
CREATE OR REPLACE FUNCTION forget_user(p bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM sessions WHERE user_id = p; END $$;
--- constant select of pg functions
SELECT pg_size_pretty(pg_total_relation_size('users')), version(), current_date;
--- batch update by id range
UPDATE users SET plan = 'free' WHERE id BETWEEN 1 AND 10000;
--- grant execute to public
GRANT EXECUTE ON FUNCTION secret() TO PUBLIC;
--- drop not null, once more
ALTER TABLE users ALTER COLUMN email DROP NOT NULL;
--- deferrable constraint
ALTER TABLE orders ALTER CONSTRAINT orders_user_fk DEFERRABLE INITIALLY DEFERRED;
--- drop statistics
DROP STATISTICS users_stat;
--- a call of the overload that does not delete, by the number of arguments
CREATE PROCEDURE work() LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE work(a text, b int) LANGUAGE sql AS 'DELETE FROM users';
CALL work();
--- a call of the overload that does not delete, by a cast
CREATE FUNCTION work(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION work(a text) RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
SELECT work(7), work('7'::int);
--- a function replaced by a harmless one before it is called
CREATE FUNCTION work(a character varying(10)) RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
CREATE OR REPLACE FUNCTION work(a varchar) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT work('x');
--- a job of pg_cron that refreshes concurrently
SELECT cron.schedule('0 3 * * *', 'REFRESH MATERIALIZED VIEW CONCURRENTLY totals');
--- the version of Alembic
UPDATE alembic_version SET version_num='b1027a6acf' WHERE alembic_version.version_num = 'ae1027a6acf';
--- security definer whose path is fixed by the next statement
CREATE PROCEDURE app.f(a int[]) LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
ALTER PROCEDURE app.f(int[]) SET search_path = app, pg_temp;
--- calls of a function with defaults, of an aggregate, by name and with a list
CREATE FUNCTION work(a int, b text DEFAULT 'x', VARIADIC c int[] DEFAULT '{}') RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE longest(text) (SFUNC = textcat, STYPE = text);
SELECT work(1), work(1, 'y', 2, 3), work(b => 'z', a => 1), work(1, 'y', VARIADIC ARRAY[1]), longest(name) FROM users;
--- a job of pg_cron that vacuums
SELECT cron.schedule('nightly', '0 3 * * *', 'VACUUM ANALYZE');
--- functions called by what PostgreSQL casts by itself
CREATE DOMAIN email AS text;
CREATE FUNCTION f(a date, b bigint, c numeric, d email, e anyelement) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT f('2026-01-01', 1, 2, 'a'::text, true);
--- begin and commit
BEGIN;
CREATE TABLE IF NOT EXISTS t (a int);
COMMIT;
--- alembic begin commit
BEGIN;
CREATE TABLE alembic_thing (id int PRIMARY KEY);
COMMIT;
--- copy from stdin with data
COPY users (id) FROM stdin;
1
\.
--- psql's settings
\set ON_ERROR_STOP on
SELECT 1;
