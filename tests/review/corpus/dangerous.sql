--- drop table
DROP TABLE users;
--- drop table if exists
DROP TABLE IF EXISTS users;
--- drop table cascade
DROP TABLE users CASCADE;
--- drop several tables
DROP TABLE a, b, app.c;
--- drop table in lower case with comments as blanks
drop/* not a table */table/**/"users";
--- drop table split over lines
DROP -- gone
TABLE -- soon
  users;
--- drop table with a unicode escaped name
DROP TABLE U&"us\0065rs";
--- drop table behind an empty statement and a byte order mark
﻿;;DROP TABLE users;
--- drop a table that CREATE IF NOT EXISTS may have found
CREATE TABLE IF NOT EXISTS users (id int);
DROP TABLE users;
--- drop a table that was renamed a line before
ALTER TABLE users RENAME TO users_old;
DROP TABLE users_old;
--- drop the real table after the temporary one of its name
CREATE TEMP TABLE users (id int);
DROP TABLE users;
DROP TABLE users;
--- drop the schema qualified table while a temporary one has its name
CREATE TEMP TABLE users (id int);
DROP TABLE public.users;
--- drop a table that was moved to another schema
ALTER TABLE users SET SCHEMA trash;
DROP TABLE trash.users;
--- drop a partitioned table made here that took an old partition
CREATE TABLE parts (a int) PARTITION BY LIST (a);
ALTER TABLE parts ATTACH PARTITION old_rows FOR VALUES IN (1);
DROP TABLE parts;
--- create in one schema, drop in the other
SET search_path = staging;
CREATE TABLE users (id int);
SET search_path = public;
DROP TABLE users;
--- drop after a rollback of the create
CREATE TABLE users (id int);
ROLLBACK;
DROP TABLE users;
--- swap a table
CREATE TABLE users_new (LIKE users INCLUDING ALL);
DROP TABLE users;
ALTER TABLE users_new RENAME TO users;
--- drop column
ALTER TABLE users DROP COLUMN email;
--- drop column without the keyword
ALTER TABLE users DROP email;
--- drop column if exists cascade
ALTER TABLE IF EXISTS ONLY users DROP COLUMN IF EXISTS email CASCADE;
--- drop column between other commands
ALTER TABLE users ADD COLUMN IF NOT EXISTS a int, DROP email, ALTER b SET DEFAULT 1;
--- drop a column that was renamed a line before
ALTER TABLE users RENAME COLUMN email TO old_email;
ALTER TABLE users DROP COLUMN old_email;
--- drop a column of a foreign table
ALTER FOREIGN TABLE remote DROP COLUMN a;
--- add if not exists then drop the same column
ALTER TABLE users ADD COLUMN IF NOT EXISTS email text;
ALTER TABLE users DROP COLUMN email;
--- drop schema
DROP SCHEMA app CASCADE;
--- drop schema of this file that holds an old table by now
CREATE SCHEMA attic;
ALTER TABLE users SET SCHEMA attic;
DROP SCHEMA attic CASCADE;
--- drop database
DROP DATABASE shop;
--- drop owned
DROP OWNED BY app;
--- drop type cascade
DROP TYPE mood CASCADE;
--- drop domain cascade
DROP DOMAIN email CASCADE;
--- drop extension cascade
DROP EXTENSION hstore CASCADE;
--- drop sequence
DROP SEQUENCE users_id_seq;
--- drop attribute
ALTER TYPE address DROP ATTRIBUTE zip;
--- truncate
TRUNCATE users;
--- truncate cascade
TRUNCATE TABLE users RESTART IDENTITY CASCADE;
--- truncate only
TRUNCATE ONLY users, orders;
--- delete everything
DELETE FROM users;
--- delete some
DELETE FROM users WHERE last_seen < '2020-01-01';
--- delete using
DELETE FROM users USING banned WHERE users.id = banned.id;
--- delete with a tautology
DELETE FROM users WHERE 1 = 1;
--- delete one row
DELETE FROM settings WHERE key = 'old';
--- delete in a CTE
WITH gone AS (DELETE FROM users WHERE id > 10 RETURNING *) SELECT count(*) FROM gone;
--- delete in a CTE of an insert
WITH moved AS (DELETE FROM users RETURNING *) INSERT INTO archive SELECT * FROM moved;
--- delete in a CTE of an update
WITH x AS (DELETE FROM a RETURNING id) UPDATE b SET n = 1 FROM x WHERE b.id = x.id;
--- delete in a CTE of a CTE
WITH x AS (WITH y AS (DELETE FROM a RETURNING 1 AS n) SELECT n FROM y) SELECT * FROM x;
--- delete in a CTE of create table as
CREATE TABLE kept AS WITH x AS (DELETE FROM users RETURNING *) SELECT * FROM x;
--- delete in COPY
COPY (DELETE FROM users RETURNING *) TO STDOUT;
--- delete through a prepared statement
PREPARE p AS DELETE FROM users;
EXECUTE p;
--- delete where current of
DECLARE c CURSOR FOR SELECT * FROM users;
FETCH c;
DELETE FROM users WHERE CURRENT OF c;
--- delete through an updatable view made here
CREATE VIEW v AS SELECT * FROM users;
DELETE FROM v;
--- merge delete
MERGE INTO users u USING banned b ON u.id = b.id WHEN MATCHED THEN DELETE;
--- merge delete by source
MERGE INTO users u USING banned b ON u.id = b.id WHEN NOT MATCHED BY SOURCE THEN DELETE;
--- merge delete in a CTE
WITH x AS (MERGE INTO users u USING b ON u.id = b.id WHEN MATCHED THEN DELETE RETURNING u.id) SELECT * FROM x;
--- explain analyze delete
EXPLAIN ANALYZE DELETE FROM users;
--- explain (analyze) truncating CTE
EXPLAIN (ANALYZE, VERBOSE) WITH x AS (DELETE FROM users RETURNING 1) SELECT * FROM x;
--- update to null
UPDATE users SET email = NULL;
--- update to typed null
UPDATE users SET email = NULL::text WHERE active;
--- update to the empty string
UPDATE users SET email = '';
--- update to default
UPDATE users SET email = DEFAULT;
--- update of two columns, one to null
UPDATE users SET name = 'x', email = NULL WHERE id > 5;
--- delete an enum label by hand
DELETE FROM pg_enum WHERE enumlabel = 'sad';
--- update a catalog
UPDATE pg_catalog.pg_attribute SET attnotnull = false WHERE attname = 'a';
--- insert into a catalog
INSERT INTO pg_depend VALUES (1, 2, 3, 4, 5, 6, 'n');
--- delete from pg_class
DELETE FROM pg_class WHERE relname = 'users';
--- enum made anew with fewer values
ALTER TYPE mood RENAME TO mood_old;
CREATE TYPE mood AS ENUM ('ok', 'happy');
ALTER TABLE people ALTER COLUMN m TYPE mood USING m::text::mood;
DROP TYPE mood_old;
--- enum made anew under a new name
CREATE TYPE mood_new AS ENUM ('ok', 'happy');
ALTER TABLE people ALTER COLUMN m TYPE mood_new USING (m::text::mood_new);
ALTER TYPE mood RENAME TO mood_old;
ALTER TYPE mood_new RENAME TO mood;
DROP TYPE mood_old;
--- type change that cuts
ALTER TABLE users ALTER COLUMN code TYPE varchar(3) USING left(code, 3);
--- type change that rounds
ALTER TABLE prices ALTER COLUMN amount TYPE integer USING round(amount);
--- type change that forgets
ALTER TABLE users ALTER COLUMN note TYPE integer USING NULL;
--- type change to a constant
ALTER TABLE users ALTER COLUMN note TYPE text USING 'x';
--- type change by substring
ALTER TABLE users ALTER note SET DATA TYPE varchar(5) USING substring(note from 1 for 5);
--- type change with known old type rounds silently
CREATE TABLE IF NOT EXISTS prices (amount numeric(10,4));
ALTER TABLE prices ALTER COLUMN amount TYPE numeric(10,2);
--- DO with a plain drop
DO $$ BEGIN DROP TABLE users; END $$;
--- DO with a delete under IF
DO $$ BEGIN IF EXISTS (SELECT 1 FROM users) THEN DELETE FROM users; END IF; END $$;
--- DO with a delete in a loop
DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM users LOOP DELETE FROM users WHERE id = r.id; END LOOP; END $$;
--- DO with a delete in an exception handler
DO $$ BEGIN PERFORM 1; EXCEPTION WHEN others THEN TRUNCATE users; END $$;
--- DO with a delete in a CASE
DO $$ BEGIN CASE 1 WHEN 1 THEN DROP TABLE users; ELSE NULL; END CASE; END $$;
--- DO with a delete in a while loop
DO $$ BEGIN WHILE true LOOP DELETE FROM users; EXIT; END LOOP; END $$;
--- DO with a drop column
DO $do$ BEGIN ALTER TABLE users DROP COLUMN IF EXISTS email; END $do$;
--- DO with EXECUTE of a constant
DO $$ BEGIN EXECUTE 'DROP TABLE users'; END $$;
--- DO with EXECUTE of joined constants
DO $$ BEGIN EXECUTE 'DR' || 'OP ' || 'TABLE users'; END $$;
--- DO with EXECUTE format of constants
DO $$ BEGIN EXECUTE format('%s TABLE %I', 'DROP', 'users'); END $$;
--- DO with EXECUTE format of a loop variable
DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables LOOP EXECUTE format('TRUNCATE %I', t); END LOOP; END $$;
--- DO with EXECUTE of a variable set before
DO $$ DECLARE q text := 'DROP '; BEGIN q := q || 'TABLE users'; EXECUTE q; END $$;
--- DO with EXECUTE of chr
DO $$ BEGIN EXECUTE chr(68) || 'ROP TABLE users'; END $$;
--- DO with EXECUTE of reverse
DO $$ BEGIN EXECUTE reverse('sresu ELBAT PORD'); END $$;
--- DO with EXECUTE of base64
DO $$ BEGIN EXECUTE convert_from(decode('RFJPUCBUQUJMRSB1c2Vycw==', 'base64'), 'UTF8'); END $$;
--- DO with EXECUTE of hex bytes
DO $$ BEGIN EXECUTE convert_from('\x44524f50205441424c45207573657273', 'UTF8'); END $$;
--- DO with EXECUTE of replace
DO $$ BEGIN EXECUTE replace('DR_OP TABLE users', '_', ''); END $$;
--- DO with EXECUTE of an array
DO $$ BEGIN EXECUTE array_to_string(ARRAY['DROP', 'TABLE', 'users'], ' '); END $$;
--- DO with EXECUTE of concat_ws
DO $$ BEGIN EXECUTE concat_ws(' ', 'DROP', 'TABLE', 'users'); END $$;
--- DO with EXECUTE of an escape string
DO $$ BEGIN EXECUTE E'\x44ROP TABLE users'; END $$;
--- DO with EXECUTE of a table's text
DO $$ DECLARE r record; BEGIN FOR r IN SELECT stmt FROM todo LOOP EXECUTE r.stmt; END LOOP; END $$;
--- DO with EXECUTE of a catalog loop
DO $$ DECLARE r record; BEGIN FOR r IN SELECT 'DROP TABLE ' || tablename AS q FROM pg_tables LOOP EXECUTE r.q; END LOOP; END $$;
--- DO with EXECUTE INTO
DO $$ DECLARE n int; BEGIN EXECUTE 'DELETE FROM users RETURNING 1' INTO n; END $$;
--- DO with RETURN QUERY EXECUTE like loop over dynamic query
DO $$ DECLARE r record; BEGIN FOR r IN EXECUTE 'DELETE FROM users RETURNING id' LOOP NULL; END LOOP; END $$;
--- DO with an OPEN FOR EXECUTE
DO $$ DECLARE c refcursor; BEGIN OPEN c FOR EXECUTE 'SELECT ' || current_setting('x.y'); END $$;
--- DO with EXECUTE of a setting
DO $$ BEGIN EXECUTE current_setting('app.todo'); END $$;
--- DO with a dynamic command word
DO $$ DECLARE w text := current_setting('a.b'); BEGIN EXECUTE w || ' TABLE users'; END $$;
--- DO with a dynamic ALTER TABLE command
DO $$ DECLARE w text; BEGIN SELECT cmd INTO w FROM todo; EXECUTE 'ALTER TABLE users ' || w; END $$;
--- DO that calls a dynamic function
DO $$ DECLARE f text; BEGIN SELECT name INTO f FROM todo; EXECUTE 'SELECT ' || f || '()'; END $$;
--- DO with nested DO
DO $$ BEGIN DO $in$ BEGIN DELETE FROM users; END $in$; END $$;
--- DO with EXECUTE of a DO
DO $$ BEGIN EXECUTE 'DO $x$ BEGIN TRUNCATE users; END $x$'; END $$;
--- DO with a body as an ordinary string
DO 'BEGIN DELETE FROM users; END';
--- DO with a body as an escape string
DO E'BEGIN D\x45LETE FROM users; END';
--- DO with a language before the body
DO LANGUAGE plpgsql $$ BEGIN DELETE FROM users; END $$;
--- DO in Python
DO LANGUAGE plpython3u $$ plpy.execute("select 1") $$;
--- DO in Perl
DO $$ spi_exec_query('DROP TABLE users'); $$ LANGUAGE plperl;
--- DO whose body cannot be read
DO $$ BEGIN this is no plpgsql END $$;
--- DO with a perform of a function of this file
CREATE FUNCTION wipe() RETURNS void LANGUAGE sql AS 'DELETE FROM users';
DO $$ BEGIN PERFORM wipe(); END $$;
--- function defined and selected
CREATE FUNCTION wipe() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; END $$;
SELECT wipe();
--- function with BEGIN ATOMIC, selected
CREATE FUNCTION wipe() RETURNS void BEGIN ATOMIC DELETE FROM users; END;
SELECT wipe();
--- procedure called
CREATE PROCEDURE wipe() LANGUAGE sql AS $$ TRUNCATE users $$;
CALL wipe();
--- function called through another
CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'DELETE FROM users; SELECT 1';
CREATE FUNCTION b() RETURNS int LANGUAGE sql AS 'SELECT a()';
SELECT b();
--- function called in a WHERE of an insert
CREATE FUNCTION a() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN TRUNCATE users; RETURN true; END $$;
INSERT INTO log SELECT 1 WHERE a();
--- function called by a default of this file
CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'DELETE FROM users; SELECT 1';
CREATE TABLE t (id int, n int DEFAULT a());
INSERT INTO t (id) VALUES (1);
--- function called by a volatile default of a new column
CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'DELETE FROM users; SELECT 1';
ALTER TABLE orders ADD COLUMN n int DEFAULT a();
--- function called in USING
CREATE FUNCTION a(int) RETURNS bigint LANGUAGE sql AS 'DELETE FROM users; SELECT 1::bigint';
ALTER TABLE orders ALTER COLUMN n TYPE bigint USING a(n);
--- function called in create table as
CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'DELETE FROM users; SELECT 1';
CREATE TABLE t AS SELECT a();
--- function called in VALUES
CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'DELETE FROM users; SELECT 1';
INSERT INTO t VALUES (a());
--- function called by explain analyze
CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'DELETE FROM users; SELECT 1';
EXPLAIN ANALYZE SELECT a();
--- function called from FROM
CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'DELETE FROM users; SELECT 1';
SELECT * FROM a();
--- function with a dynamic drop, called
CREATE FUNCTION a(t text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DROP TABLE ' || quote_ident(t); END $$;
SELECT a('users');
--- function in another language, called
CREATE FUNCTION a() RETURNS void LANGUAGE plpython3u AS $$ plpy.execute('x') $$;
SELECT a();
--- function called through a view that is read
CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'DELETE FROM users; SELECT 1';
CREATE VIEW v AS SELECT a() AS n;
SELECT * FROM v;
--- one overload deletes, the other replaces nothing
CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'DELETE FROM users; SELECT 1';
CREATE OR REPLACE FUNCTION a(x int) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT a();
--- trigger defined and fired
CREATE FUNCTION wipe() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN NEW; END $$;
CREATE TABLE t (a int);
CREATE TRIGGER w AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION wipe();
INSERT INTO t VALUES (1);
--- trigger on truncate fired
CREATE FUNCTION wipe() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN NULL; END $$;
CREATE TABLE t (a int);
CREATE TRIGGER w AFTER TRUNCATE ON t FOR EACH STATEMENT EXECUTE FUNCTION wipe();
TRUNCATE t;
--- rule defined and fired
CREATE TABLE t (a int);
CREATE RULE r AS ON INSERT TO t DO ALSO DELETE FROM users;
INSERT INTO t VALUES (1);
--- large object
SELECT lo_unlink(16401);
--- large objects of a table
SELECT lo_unlink(oid) FROM pg_largeobject_metadata;
--- dblink
SELECT dblink_exec('dbname=prod', 'DROP TABLE users');
--- copy to program
COPY users TO PROGRAM 'rm -rf /';
--- copy from program
COPY users FROM PROGRAM 'curl http://example.org/x';
--- copy to a file of the server
COPY users TO '/var/lib/postgresql/data/postgresql.conf';
--- replication role
SET session_replication_role = replica;
--- local replication role
SET LOCAL session_replication_role TO 'replica';
--- replication role through set_config
SELECT set_config('session_replication_role', 'replica', true);
--- system table mods
SET allow_system_table_mods = on;
--- psql set
\set x 1
SELECT 1;
--- psql shell
\! rm -rf /
--- psql gexec
SELECT 'DROP TABLE users' \gexec
--- psql include
\i other.sql
--- psql copy
\copy users from 'users.csv'
--- psql variable
DELETE FROM users WHERE id = :id;
--- copy from stdin with data
COPY users (id) FROM stdin;
1
\.
--- template
ALTER TABLE {{ table }} ADD COLUMN a int;
--- other dialect
CREATE TABLE `users` (id INT AUTO_INCREMENT);
--- syntax error
ALTER TABLE users ADD COLUM email text,;
--- unterminated string
INSERT INTO users VALUES ('a);
--- unterminated comment
SELECT 1; /* DROP TABLE users;
--- half a migration
CREATE TABLE IF NOT EXISTS t (a int);
CREATE TABLE IF NOT EXISTS u (a int
--- execute of something prepared elsewhere
EXECUTE cleanup;
--- drop replication slot
SELECT pg_drop_replication_slot('standby');
--- schema with a table dropped through an extension
DROP EXTENSION IF EXISTS postgis CASCADE;
--- function cascade
DROP FUNCTION total(int) CASCADE;
--- delete from a table that got its rows from an old one by rename
CREATE TABLE t (a int);
DROP TABLE t;
ALTER TABLE users RENAME TO t;
DELETE FROM t;
--- delete below a DELETE word in a comment and a string
SELECT 'harmless'; -- DELETE
DELETE FROM users; /* harmless */
--- many statements, one bad
CREATE TABLE IF NOT EXISTS a (id int);
CREATE INDEX IF NOT EXISTS a_idx ON a (id);
INSERT INTO a VALUES (1);
TRUNCATE users;
--- conditional create is not a certain one
DO $$ BEGIN CREATE TABLE users (id int); EXCEPTION WHEN duplicate_table THEN NULL; END $$;
DROP TABLE users;
--- inheritance
CREATE TABLE parent (a int);
ALTER TABLE users INHERIT parent;
DROP TABLE parent CASCADE;
--- delete on a new table that old rows refer to with cascade
CREATE TABLE groups (id int PRIMARY KEY);
ALTER TABLE users ADD CONSTRAINT k FOREIGN KEY (group_id) REFERENCES groups ON DELETE CASCADE NOT VALID;
DELETE FROM groups;
--- drop subscription slot and table in one
ALTER TABLE users DROP COLUMN a, ADD COLUMN IF NOT EXISTS b int;
--- select into then drop of the source
SELECT * INTO users_copy FROM users;
DROP TABLE users;
--- drop through create schema
CREATE SCHEMA s CREATE TABLE s.t (a int);
DROP TABLE t;
--- index expression that deletes
CREATE FUNCTION a(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN 1; END $$;
CREATE INDEX i ON orders (a(id));
--- check expression that deletes
CREATE FUNCTION a(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN true; END $$;
ALTER TABLE orders ADD CHECK (a(id));
--- refresh of a materialized view that deletes
CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'DELETE FROM users; SELECT 1';
CREATE MATERIALIZED VIEW m AS SELECT a() AS n;
--- upsert into a table with a deleting update trigger
CREATE FUNCTION wipe() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN NEW; END $$;
CREATE TRIGGER w BEFORE UPDATE ON kv FOR EACH ROW EXECUTE FUNCTION wipe();
INSERT INTO kv VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET b = 2;
--- prepare transaction
PREPARE TRANSACTION 'x';
--- zero byte kept out by name only
SELECT 1; DROP TABLE "users";
--- operator of this file that deletes
CREATE FUNCTION ev(int, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN true; END $$;
CREATE OPERATOR === (function = ev, leftarg = int, rightarg = int);
SELECT 1 === 2;
--- cast of this file that deletes
CREATE FUNCTION ev(text) RETURNS mood LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN 'x'; END $$;
CREATE CAST (text AS mood) WITH FUNCTION ev(text);
SELECT 'a'::text::mood;
--- event trigger of this file that deletes
CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; END $$;
CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE FUNCTION e();
CREATE TABLE x (a int);
--- domain of this file whose check deletes
CREATE FUNCTION c(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN true; END $$;
CREATE DOMAIN d AS int CHECK (c(VALUE));
CREATE TABLE t (a d);
INSERT INTO t VALUES (1);
--- check of a new table that deletes
CREATE FUNCTION c(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN true; END $$;
CREATE TABLE t (a int, CHECK (c(a)));
INSERT INTO t VALUES (1);
--- generated column that deletes
CREATE FUNCTION c(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN 1; END $$;
CREATE TABLE t (a int, b int GENERATED ALWAYS AS (c(a)) STORED);
INSERT INTO t VALUES (1);
--- index expression of a new table that deletes
CREATE FUNCTION c(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN 1; END $$;
CREATE TABLE t (a int);
CREATE INDEX i ON t (c(a));
INSERT INTO t VALUES (1);
--- aggregate of this file that deletes
CREATE FUNCTION c(int, int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN 1; END $$;
CREATE AGGREGATE ag (int) (sfunc = c, stype = int);
SELECT ag(id) FROM users;
--- text that query_to_xml runs
CREATE FUNCTION c() RETURNS int LANGUAGE sql AS 'DELETE FROM users; SELECT 1';
SELECT query_to_xml('SELECT c()', true, true, '');
--- drop a column of a table that may have been there
CREATE TABLE IF NOT EXISTS users (id int, email text);
ALTER TABLE users DROP COLUMN email;
--- update of a row of columns to null
UPDATE users SET (email, name) = (NULL, NULL);
--- update of a row of columns to selected nulls
UPDATE users SET (email, name) = (SELECT 'a', NULL);
--- type change that keeps one key
ALTER TABLE users ALTER COLUMN data TYPE text USING data ->> 'name';
--- type change that keeps one element
ALTER TABLE users ALTER COLUMN tags TYPE text USING tags[1];
--- upsert that erases
INSERT INTO users (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET email = NULL;
--- merge that erases
MERGE INTO users u USING s ON u.id = s.id WHEN MATCHED THEN UPDATE SET email = NULL;
--- EXECUTE of an array variable
DO $$ DECLARE a text[] := ARRAY['DROP', 'TABLE', 'users']; BEGIN EXECUTE array_to_string(a, ' '); END $$;
--- EXECUTE of a query's text
DO $$ BEGIN EXECUTE (SELECT string_agg('DROP TABLE ' || tablename, ';') FROM pg_tables); END $$;
--- EXECUTE of a CASE
DO $$ BEGIN EXECUTE CASE WHEN true THEN 'DROP TABLE users' ELSE 'SELECT 1' END; END $$;
--- EXECUTE of a setting that was just set
DO $$ BEGIN PERFORM set_config('x.q', 'DROP TABLE users', false); EXECUTE current_setting('x.q'); END $$;
