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
--- copy from stdin with data that has no end
COPY users (id) FROM stdin;
1
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
--- drop table, again
DROP TABLE customers;
--- drop table if exists list
drop table if exists a, b, "C" cascade;
--- drop column, again
ALTER TABLE customers DROP COLUMN email;
--- drop column short form
alter table only public.customers drop email;
--- drop column amid others
ALTER TABLE customers ADD COLUMN IF NOT EXISTS a int, DROP COLUMN IF EXISTS b, ALTER COLUMN c SET DEFAULT 1;
--- drop column comment gap
ALTER TABLE customers DROP/**/COLUMN/* x */email;
--- truncate, again
TRUNCATE customers;
--- truncate many
TRUNCATE TABLE ONLY a, b RESTART IDENTITY CASCADE;
--- delete
DELETE FROM customers;
--- delete where
DELETE FROM customers WHERE created < '2020-01-01';
--- delete using, again
DELETE FROM orders o USING customers c WHERE c.id = o.customer_id AND c.banned;
--- delete single row
DELETE FROM feature_flags WHERE name = 'old';
--- drop schema, again
DROP SCHEMA legacy CASCADE;
--- drop schema plain
DROP SCHEMA IF EXISTS legacy;
--- drop owned, again
DROP OWNED BY old_app;
--- drop attribute, again
ALTER TYPE money_amount DROP ATTRIBUTE currency;
--- delete from pg_enum
DELETE FROM pg_enum WHERE enumlabel = 'lost' AND enumtypid = 'shipping_state'::regtype;
--- delete from pg_catalog.pg_enum in do
DO $$ BEGIN DELETE FROM pg_catalog.pg_enum WHERE enumlabel = 'lost'; END $$;
--- enum rebuild
ALTER TYPE state RENAME TO state_old;
CREATE TYPE state AS ENUM ('new', 'open');
ALTER TABLE orders ALTER COLUMN state TYPE state USING state::text::state;
DROP TYPE state_old;
--- cte delete
WITH gone AS (DELETE FROM logs RETURNING *) INSERT INTO logs_archive SELECT * FROM gone;
--- cte delete nested
WITH a AS (SELECT 1), b AS (DELETE FROM logs WHERE id IN (SELECT * FROM a) RETURNING 1) SELECT * FROM b;
--- copy delete
COPY (DELETE FROM logs RETURNING *) TO STDOUT;
--- prepare execute delete
PREPARE wipe AS DELETE FROM logs; EXECUTE wipe;
--- merge delete, again
MERGE INTO stock s USING gone g ON g.id = s.id WHEN MATCHED THEN DELETE;
--- merge not matched by source delete
MERGE INTO stock s USING feed f ON f.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE;
--- explain analyze delete, again
EXPLAIN (ANALYZE, BUFFERS) DELETE FROM logs;
--- do drop
DO $do$ BEGIN DROP TABLE customers; END $do$;
--- do conditional drop
DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_tables WHERE tablename = 'old') THEN DROP TABLE old; END IF; END $$;
--- execute const
DO $$ BEGIN EXECUTE 'DROP TABLE customers'; END $$;
--- execute format
DO $$ DECLARE t text := 'customers'; BEGIN EXECUTE format('TRUNCATE %I', t); END $$;
--- execute concat
DO $$ BEGIN EXECUTE 'DR' || 'OP TABLE ' || 'customers'; END $$;
--- execute chr
DO $$ BEGIN EXECUTE chr(68) || 'ROP TABLE customers'; END $$;
--- execute loop drop
DO $$ DECLARE r record; BEGIN FOR r IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP EXECUTE 'DROP TABLE ' || quote_ident(r.tablename); END LOOP; END $$;
--- execute reverse
DO $$ BEGIN EXECUTE reverse('sremotsuc ELBAT PORD'); END $$;
--- execute decode hex
DO $$ BEGIN EXECUTE convert_from(decode('44524f50205441424c4520637573746f6d657273', 'hex'), 'UTF8'); END $$;
--- function defined and called
CREATE FUNCTION clean() RETURNS void LANGUAGE sql AS 'DELETE FROM logs';
SELECT clean();
--- plpgsql function performed in do
CREATE FUNCTION clean() RETURNS void LANGUAGE plpgsql AS $$ BEGIN TRUNCATE logs; END $$;
DO $$ BEGIN PERFORM clean(); END $$;
--- procedure called, again
CREATE PROCEDURE sweep() LANGUAGE plpgsql AS $$ BEGIN DELETE FROM logs; COMMIT; END $$;
CALL sweep();
--- function called in where of update
CREATE FUNCTION sneaky() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM logs; RETURN true; END $$;
UPDATE settings SET v = 'x' WHERE k = 'a' AND sneaky();
--- function in default
CREATE FUNCTION sneaky() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM logs; RETURN 1; END $$;
ALTER TABLE customers ADD COLUMN IF NOT EXISTS x int DEFAULT sneaky();
--- trigger fired in the same file
CREATE TABLE IF NOT EXISTS bait (id int PRIMARY KEY);
CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM customers; RETURN NEW; END $$;
CREATE TRIGGER boom AFTER INSERT ON bait FOR EACH STATEMENT EXECUTE FUNCTION boom();
INSERT INTO bait VALUES (1);
--- rule fired in the same file
CREATE TABLE IF NOT EXISTS bait (id int PRIMARY KEY);
CREATE RULE r AS ON INSERT TO bait DO ALSO DELETE FROM customers;
INSERT INTO bait VALUES (1);
--- unicode identifier
DELETE FROM U&"cust\006Fmers";
--- upper lower mix with newlines
dElEtE
  -- comment
FROM
  customers
;
--- do with tag and nested quotes
DO LANGUAGE plpgsql $a$ BEGIN EXECUTE $b$DELETE FROM customers$b$; END $a$;
--- do old quotes
DO 'BEGIN EXECUTE ''DROP TABLE customers''; END';
--- update to null, again
UPDATE customers SET phone = NULL;
--- copy program
COPY customers FROM PROGRAM 'curl http://x/y';
--- jinja
DROP TABLE {{ table }};
--- syntax error, again
CREAT TABLE x (id int);
--- mysql
ALTER TABLE `users` DROP COLUMN `a`;
--- lo_unlink
SELECT lo_unlink(12345);
--- dblink, again
SELECT dblink_exec('dbname=prod', 'DROP TABLE customers');
--- plpython
DO LANGUAGE plpython3u $$ plpy.execute("DROP TABLE customers") $$;
--- execute dynamic drop prefix
CREATE FUNCTION drop_it(t text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DROP TABLE ' || t; END $$;
SELECT drop_it('customers');
--- type narrowing with left
ALTER TABLE customers ALTER COLUMN name TYPE varchar(3) USING left(name, 3);
--- type to using null
ALTER TABLE customers ALTER COLUMN data TYPE jsonb USING NULL;
--- delete returning into select into
CREATE TABLE kept AS WITH d AS (DELETE FROM logs RETURNING *) SELECT * FROM d;
--- drop partition
DROP TABLE events_2019;
--- detach then drop
ALTER TABLE events DETACH PARTITION events_2019;
DROP TABLE events_2019;
--- drop sequence cascade
DROP SEQUENCE invoice_no CASCADE;
--- drop domain cascade, again
DROP DOMAIN email_address CASCADE;
--- cursor delete
DO $$ DECLARE c CURSOR FOR SELECT * FROM logs FOR UPDATE; r record; BEGIN OPEN c; FETCH c INTO r; DELETE FROM logs WHERE CURRENT OF c; END $$;
--- sql standard body called
CREATE FUNCTION zap() RETURNS void LANGUAGE sql BEGIN ATOMIC DELETE FROM logs; END;
SELECT zap();
--- nested function call
CREATE FUNCTION inner_zap() RETURNS void LANGUAGE sql AS 'DELETE FROM logs';
CREATE FUNCTION outer_zap() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM inner_zap(); END $$;
SELECT outer_zap();
--- delete via view
DELETE FROM active_customers WHERE id = 1;
--- create table if not exists does not make it new for sure then truncates
TRUNCATE TABLE audit_log;
CREATE TABLE IF NOT EXISTS audit_log (id int PRIMARY KEY);
--- drop and recreate table
DROP TABLE IF EXISTS customers;
CREATE TABLE customers (id bigint PRIMARY KEY);
--- query_to_xml
SELECT query_to_xml('DELETE FROM customers RETURNING 1', true, false, '');
--- policy call
CREATE FUNCTION pol() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM logs; RETURN true; END $$;
CREATE POLICY p ON customers USING (pol());
SELECT * FROM customers;
--- when clause call
CREATE FUNCTION w() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM logs; RETURN true; END $$;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TABLE IF NOT EXISTS fire (id int PRIMARY KEY);
CREATE TRIGGER t BEFORE INSERT ON fire FOR EACH ROW WHEN (w()) EXECUTE FUNCTION nothing();
INSERT INTO fire VALUES (1);
--- check constraint call on insert
CREATE FUNCTION w2(i int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM logs; RETURN true; END $$;
CREATE TABLE IF NOT EXISTS fire2 (id int CHECK (w2(id)));
INSERT INTO fire2 VALUES (1);
--- view with function selected
CREATE FUNCTION w3() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM logs; RETURN 1; END $$;
CREATE VIEW innocent AS SELECT w3() AS x;
SELECT * FROM innocent;
--- expression index builds with a function
CREATE FUNCTION w4(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN DELETE FROM logs; RETURN t; END $$;
CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON customers (w4(email));
--- materialized view body call
CREATE FUNCTION w5() RETURNS int LANGUAGE sql AS 'DELETE FROM logs RETURNING 1';
CREATE MATERIALIZED VIEW mv AS SELECT w5();
--- generated column calls
CREATE FUNCTION w6(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN DELETE FROM logs; RETURN i; END $$;
ALTER TABLE customers ADD COLUMN g int GENERATED ALWAYS AS (w6(id)) STORED;
--- operator behind function
CREATE FUNCTION w7(a int, b int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM logs; RETURN true; END $$;
CREATE OPERATOR === (leftarg = int, rightarg = int, function = w7);
SELECT 1 === 2;
--- aggregate state function
CREATE FUNCTION w8(s int, v int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM logs; RETURN 0; END $$;
CREATE AGGREGATE agg8 (int) (sfunc = w8, stype = int);
SELECT agg8(id) FROM customers;
--- cast function
CREATE TYPE tt AS (a text);
CREATE FUNCTION w9(text) RETURNS tt LANGUAGE plpgsql AS $$ BEGIN DELETE FROM logs; RETURN ROW($1)::tt; END $$;
CREATE CAST (text AS tt) WITH FUNCTION w9(text);
SELECT 'x'::text::tt;
--- alter column using call
CREATE FUNCTION w10(t text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN DELETE FROM logs; RETURN t; END $$;
ALTER TABLE customers ALTER COLUMN name TYPE text USING w10(name);
--- exception handler holds the delete
DO $$ BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN DELETE FROM customers; END $$;
--- perform with cte delete
DO $$ BEGIN WITH x AS (DELETE FROM customers RETURNING id) INSERT INTO gone SELECT id FROM x; END $$;
--- for loop over delete returning
DO $$ DECLARE r record; BEGIN FOR r IN DELETE FROM customers RETURNING * LOOP RAISE NOTICE '%', r; END LOOP; END $$;
--- execute using variable assigned in branch
DO $$ DECLARE s text; BEGIN IF true THEN s := 'DELETE FROM customers'; ELSE s := 'SELECT 1'; END IF; EXECUTE s; END $$;
--- execute of select result
DO $$ DECLARE s text; BEGIN SELECT sql INTO s FROM maintenance_jobs WHERE id = 7; EXECUTE s; END $$;
--- execute string_agg
DO $$ DECLARE s text; BEGIN SELECT string_agg(format('DROP TABLE %I CASCADE', tablename), ';') INTO s FROM pg_tables; EXECUTE s; END $$;
--- event trigger function that drops
CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN DROP TABLE customers; END $$;
CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION ev();
CREATE TABLE IF NOT EXISTS poke (id int PRIMARY KEY);
--- update set empty string
UPDATE customers SET address = '';
--- delete in lateral-less subselect function with default arg
CREATE FUNCTION d1(a int DEFAULT 1) RETURNS int LANGUAGE sql AS 'DELETE FROM logs RETURNING 1';
INSERT INTO counters (n) VALUES (d1());
--- listen to window: function in order by
CREATE FUNCTION d2() RETURNS int LANGUAGE sql AS 'DELETE FROM logs RETURNING 1';
SELECT * FROM customers ORDER BY d2() LIMIT 1;
--- update removes enum usage then rebuild in do
DO $$ BEGIN
 ALTER TYPE mood RENAME TO mood_old;
 CREATE TYPE mood AS ENUM ('happy');
 ALTER TABLE person ALTER COLUMN mood TYPE mood USING mood::text::mood;
 DROP TYPE mood_old;
END $$;
--- reassign via catalog update
UPDATE pg_attribute SET attisdropped = true WHERE attrelid = 'customers'::regclass AND attname = 'email';
--- drop user mapping server cascade foreign tables
DROP SERVER warehouse CASCADE;
--- drop materialised table-like via drop routine cascade column default
DROP FUNCTION make_code() CASCADE;
ALTER TABLE customers DROP COLUMN code;
--- pg_terminate style destructive builtin
SELECT pg_drop_replication_slot('standby1');
--- lo_put truncates
SELECT lo_truncate(lo_open(12, 131072), 0);
--- copy to program, again
COPY customers TO PROGRAM 'cat > /dev/null';
--- delete inside create schema-less sql function with begin atomic performed by procedure
CREATE PROCEDURE p9() LANGUAGE sql BEGIN ATOMIC DELETE FROM logs; END;
CALL p9();
--- create table as execute
PREPARE q AS DELETE FROM logs RETURNING *;
CREATE TABLE kept2 AS EXECUTE q;
--- do inside function body executed
CREATE FUNCTION f_do() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DO $x$ BEGIN DROP TABLE customers; END $x$'; END $$;
SELECT f_do();
--- insert default values fires new default
CREATE FUNCTION dv() RETURNS int LANGUAGE sql AS 'DELETE FROM logs RETURNING 1';
CREATE TABLE IF NOT EXISTS withdef (id int DEFAULT dv());
INSERT INTO withdef DEFAULT VALUES;
--- drop column on a partitioned parent only
ALTER TABLE IF EXISTS ONLY measurements DROP COLUMN IF EXISTS city_id RESTRICT;
--- drop column in view form
ALTER FOREIGN TABLE remote_orders DROP COLUMN note;
--- drop not-null constraint fk cascade rename
ALTER TABLE orders RENAME CONSTRAINT a TO b, RENAME TO c;
--- prisma drop column warning
/*
  Warnings:
  - You are about to drop the column `name` on the `User` table. All the data in the column will be lost.
*/
-- AlterTable
ALTER TABLE "User" DROP COLUMN "name",
ADD COLUMN     "fullName" TEXT;
--- prisma drop table
-- DropForeignKey
ALTER TABLE "Post" DROP CONSTRAINT "Post_authorId_fkey";
-- DropTable
DROP TABLE "Post";
--- prisma enum rebuild
BEGIN;
CREATE TYPE "Role_new" AS ENUM ('USER', 'ADMIN');
ALTER TABLE "User" ALTER COLUMN "role" DROP DEFAULT;
ALTER TABLE "User" ALTER COLUMN "role" TYPE "Role_new" USING ("role"::text::"Role_new");
ALTER TYPE "Role" RENAME TO "Role_old";
ALTER TYPE "Role_new" RENAME TO "Role";
DROP TYPE "Role_old";
COMMIT;
--- delete duplicates before unique
DELETE FROM users a USING users b WHERE a.id < b.id AND a.email = b.email;
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS u ON users (email);
--- rename swap then drop
ALTER TABLE users RENAME TO users_old;
CREATE TABLE users (id int PRIMARY KEY);
INSERT INTO users SELECT id FROM users_old;
DROP TABLE users_old;
--- temp shadow does not help
CREATE TEMP TABLE users (id int);
DELETE FROM public.users;
--- search path games
SET search_path = other;
CREATE TABLE users (id int);
DELETE FROM public.users;
--- truncate after rollback
BEGIN;
CREATE TABLE logs (id int);
ROLLBACK;
TRUNCATE logs;
--- conditional create then delete
DO $$ BEGIN IF false THEN CREATE TABLE logs (id int); END IF; END $$;
DELETE FROM logs;
--- attach old table to a new parent then drop parent
CREATE TABLE newp (id int, at date) PARTITION BY RANGE (at);
ALTER TABLE newp ATTACH PARTITION old_data FOR VALUES FROM ('2000-01-01') TO ('2030-01-01');
DROP TABLE newp;
--- inherit old into new then truncate
CREATE TABLE base (id int);
ALTER TABLE old_child INHERIT base;
TRUNCATE base;
--- rename old over new
CREATE TABLE n (id int);
DROP TABLE n;
ALTER TABLE users RENAME TO n;
DROP TABLE n;
--- set schema then drop schema
CREATE SCHEMA trash;
ALTER TABLE users SET SCHEMA trash;
DROP SCHEMA trash CASCADE;
--- cascade from a new referenced table
CREATE TABLE fresh (id int PRIMARY KEY);
ALTER TABLE users ADD COLUMN f int REFERENCES fresh ON DELETE CASCADE;
DELETE FROM fresh;
--- truncate cascade of a new table
CREATE TABLE fresh (id int PRIMARY KEY);
ALTER TABLE users ADD CONSTRAINT k FOREIGN KEY (f) REFERENCES fresh NOT VALID;
TRUNCATE fresh CASCADE;
--- view over old, delete through the view
CREATE VIEW easy AS SELECT * FROM users;
DELETE FROM easy;
--- update through returning cte overwritten null
WITH x AS (UPDATE users SET email = NULL RETURNING id) SELECT * FROM x;
--- merge with do nothing and delete
MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.gone THEN DELETE WHEN MATCHED THEN DO NOTHING;
--- execute with hex escapes
DO $$ BEGIN EXECUTE E'\x44\x52\x4f\x50 TABLE users'; END $$;
--- execute unicode string
DO $$ BEGIN EXECUTE U&'\0044ROP TABLE users'; END $$;
--- execute replace
DO $$ BEGIN EXECUTE replace('DxROP TABLE users', 'x', ''); END $$;
--- execute translate upper
DO $$ BEGIN EXECUTE upper('drop table users'); END $$;
--- execute array_to_string
DO $$ BEGIN EXECUTE array_to_string(ARRAY['DROP','TABLE','users'], ' '); END $$;
--- execute substring
DO $$ BEGIN EXECUTE substring('xxDROP TABLE users' from 3); END $$;
--- execute overlay
DO $$ BEGIN EXECUTE overlay('XXXX TABLE users' placing 'DROP' from 1 for 4); END $$;
--- execute coalesce
DO $$ BEGIN EXECUTE coalesce(NULL, 'DROP TABLE users'); END $$;
--- execute setting
DO $$ BEGIN EXECUTE current_setting('my.sql'); END $$;
--- execute subselect constant
DO $$ BEGIN EXECUTE (SELECT 'DROP TABLE users'); END $$;
--- execute variable built up
DO $$ DECLARE s text := ''; BEGIN s := s || 'DELETE '; s := s || 'FROM users'; EXECUTE s; END $$;
--- execute using parameter
DO $$ BEGIN EXECUTE 'DELETE FROM users WHERE id = $1' USING 5; END $$;
--- execute immediate multi statement
DO $$ BEGIN EXECUTE 'SELECT 1; DROP TABLE users'; END $$;
--- execute in return query
CREATE FUNCTION rq() RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'DELETE FROM users RETURNING 1'; END $$;
SELECT * FROM rq();
--- open cursor for execute
DO $$ DECLARE c refcursor; r record; BEGIN OPEN c FOR EXECUTE 'DELETE FROM users RETURNING 1'; FETCH c INTO r; END $$;
--- assignment by a subquery with function
CREATE FUNCTION kill() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
DO $$ DECLARE n int; BEGIN n := kill(); END $$;
--- function in if condition
CREATE FUNCTION kill() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN true; END $$;
DO $$ BEGIN IF kill() THEN NULL; END IF; END $$;
--- function in raise
CREATE FUNCTION kill() RETURNS text LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN 'x'; END $$;
DO $$ BEGIN RAISE NOTICE '%', kill(); END $$;
--- function in an assert
CREATE FUNCTION kill() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN true; END $$;
DO $$ BEGIN ASSERT kill(); END $$;
--- function in returning
CREATE FUNCTION kill() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
INSERT INTO notes (a) VALUES (1) RETURNING kill();
--- function in on conflict where
CREATE FUNCTION kill() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN true; END $$;
INSERT INTO notes (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2 WHERE kill();
--- function in values list
CREATE FUNCTION kill() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
VALUES (kill());
--- function in limit
CREATE FUNCTION kill() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
SELECT 1 LIMIT kill();
--- function in from rows
CREATE FUNCTION kill() RETURNS SETOF int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
SELECT * FROM ROWS FROM (kill()) AS t;
--- function in window frame
CREATE FUNCTION kill() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
SELECT sum(1) OVER (ORDER BY kill()) FROM notes;
--- function in set command via select set_config
CREATE FUNCTION kill() RETURNS text LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN '1s'; END $$;
SELECT set_config('lock_timeout', kill(), true);
--- function in check added to an existing table
CREATE FUNCTION kill(i int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN true; END $$;
ALTER TABLE orders ADD CONSTRAINT k CHECK (kill(id));
--- function in refreshed matview
CREATE FUNCTION kill() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
CREATE MATERIALIZED VIEW mv AS SELECT kill() WITH NO DATA;
REFRESH MATERIALIZED VIEW mv;
--- cursor declared over a function
CREATE FUNCTION kill() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
DECLARE c CURSOR FOR SELECT kill();
FETCH c;
--- explain analyze of a select with function
CREATE FUNCTION kill() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
EXPLAIN ANALYZE SELECT kill();
--- copy of a select with function
CREATE FUNCTION kill() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
COPY (SELECT kill()) TO STDOUT;
--- procedure with transaction calling function
CREATE FUNCTION kill() RETURNS void LANGUAGE sql AS 'DELETE FROM users';
CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN PERFORM kill(); END $$;
DO $$ BEGIN CALL p(); END $$;
--- overloaded function
CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION f(a text) RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
SELECT f('x'::text);
--- replaced function
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
SELECT f();
--- renamed function
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
ALTER FUNCTION f() RENAME TO harmless;
SELECT harmless();
--- function in another schema
CREATE SCHEMA s;
CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
ALTER FUNCTION s.f() SET SCHEMA public;
SELECT f();
--- trigger enabled later fires
CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN NULL; END $$;
CREATE TRIGGER b AFTER UPDATE ON settings FOR EACH STATEMENT EXECUTE FUNCTION boom();
UPDATE settings SET v = '1' WHERE k = 'x';
--- trigger fires by a cte insert
CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN TRUNCATE users; RETURN NULL; END $$;
CREATE TRIGGER b AFTER INSERT ON settings FOR EACH STATEMENT EXECUTE FUNCTION boom();
WITH i AS (INSERT INTO settings VALUES ('a') RETURNING 1) SELECT * FROM i;
--- trigger on view instead of
CREATE VIEW w AS SELECT 1 AS a;
CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN NEW; END $$;
CREATE TRIGGER b INSTEAD OF INSERT ON w FOR EACH ROW EXECUTE FUNCTION boom();
INSERT INTO w VALUES (1);
--- rule do instead on select
CREATE TABLE r1 (a int);
CREATE RULE x AS ON UPDATE TO r1 DO INSTEAD DELETE FROM users;
UPDATE r1 SET a = 1;
--- deferred by copy from program
COPY users FROM PROGRAM 'rm -rf /tmp/x' WITH (FORMAT csv);
--- alter column drop and add same name
ALTER TABLE users DROP COLUMN email;
ALTER TABLE users ADD COLUMN email text;
--- type conversion to boolean constant
ALTER TABLE users ALTER COLUMN flags TYPE boolean USING false;
--- numeric to int by cast
ALTER TABLE users ALTER COLUMN score TYPE int USING round(score)::int;
--- using substring
ALTER TABLE users ALTER COLUMN code TYPE char(2) USING substr(code, 1, 2);
--- drop expression-less default pg_class update
UPDATE pg_class SET relname = 'x' WHERE relname = 'users';
--- drop table inside explain analyze create table as
EXPLAIN ANALYZE CREATE TABLE z AS WITH d AS (DELETE FROM users RETURNING *) SELECT * FROM d;
--- drop all tables in schema
DO $$ DECLARE r RECORD; BEGIN FOR r IN (SELECT tablename FROM pg_tables WHERE schemaname = current_schema()) LOOP EXECUTE 'DROP TABLE IF EXISTS ' || quote_ident(r.tablename) || ' CASCADE'; END LOOP; END $$;
--- psql gexec, again
SELECT 'DROP TABLE ' || tablename FROM pg_tables \gexec
--- go template
{{ if .drop }} DROP TABLE users; {{ end }}
--- erb
<% drop_table %>
--- sql server
IF OBJECT_ID('users') IS NOT NULL DROP TABLE users;
GO
--- unterminated string, again
INSERT INTO users VALUES ('abc);
--- unterminated dollar
DO $$ BEGIN DROP TABLE users; END;
--- null byte is unreadable
SELECT 1; \set x 'DROP TABLE'
--- drop tablespace and database
DROP DATABASE IF EXISTS prod WITH (FORCE);
--- alter type drop attribute cascade
ALTER TYPE addr DROP ATTRIBUTE IF EXISTS zip CASCADE;
--- drop sequence, again
DROP SEQUENCE IF EXISTS invoice_numbers;
--- dblink in perform
DO $$ BEGIN PERFORM dblink('dbname=prod', 'DELETE FROM users'); END $$;
--- large object delete loop
SELECT lo_unlink(l.oid) FROM pg_largeobject_metadata l;
--- plperl function called
CREATE FUNCTION perl() RETURNS void LANGUAGE plperlu AS $$ system("rm -rf /"); $$;
SELECT perl();
--- multi statement with comment tricks
SELECT 1; --
DROP/**/TABLE/**/users;
--- delete in a nested cte of a cte
WITH a AS (WITH b AS (SELECT 1) SELECT * FROM b), c AS (DELETE FROM users WHERE id IN (SELECT * FROM a) RETURNING *) SELECT * FROM c;
--- insert from a deleting cte inside create view is refused; so function
CREATE FUNCTION mv_rows() RETURNS void LANGUAGE sql AS $$ WITH d AS (DELETE FROM users RETURNING *) INSERT INTO users_archive SELECT * FROM d $$;
SELECT mv_rows();
--- only the second file of statements hurts
CREATE TABLE IF NOT EXISTS ok1 (id int PRIMARY KEY);
INSERT INTO ok1 VALUES (1);
ALTER TABLE ok1 ADD COLUMN IF NOT EXISTS z int;
TRUNCATE users;
--- delete with limit subquery
DELETE FROM logs WHERE id IN (SELECT id FROM logs ORDER BY id LIMIT 1000);
--- delete returning only
DELETE FROM users RETURNING id;
--- delete with cte input
WITH old AS (SELECT id FROM users WHERE x) DELETE FROM users WHERE id IN (SELECT id FROM old);
--- delete where exists
DELETE FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.id = a.id);
--- truncate only, again
TRUNCATE ONLY logs CONTINUE IDENTITY RESTRICT;
--- drop column in do execute format with column loop
DO $$ DECLARE c text; BEGIN FOREACH c IN ARRAY ARRAY['a','b'] LOOP EXECUTE format('ALTER TABLE users DROP COLUMN IF EXISTS %I', c); END LOOP; END $$;
--- drop column with quotes and tabs
ALTER	TABLE	"users"	DROP	COLUMN	"e-mail";
--- drop table by executing selected text
DO $$ BEGIN EXECUTE (SELECT string_agg('DROP TABLE ' || quote_ident(tablename), '; ') FROM pg_tables WHERE tablename LIKE 'tmp%'); END $$;
--- rebuild table without a column
CREATE TABLE users_new AS SELECT id, name FROM users;
DROP TABLE users;
ALTER TABLE users_new RENAME TO users;
--- enum value removed by update of pg_enum
UPDATE pg_enum SET enumlabel = 'b' WHERE enumlabel = 'a';
--- enum with text detour
ALTER TABLE orders ALTER COLUMN status TYPE text;
DROP TYPE status;
CREATE TYPE status AS ENUM ('open');
ALTER TABLE orders ALTER COLUMN status TYPE status USING status::status;
--- two line psql
\set ON_ERROR_STOP on
\connect other
DROP TABLE x;
--- oracle
DROP TABLE users PURGE;
--- sqlite pragma
PRAGMA foreign_keys = OFF;
--- envsubst
DROP TABLE ${TABLE};
--- drop table in the middle of many
CREATE TABLE a1 (id int);
DROP TABLE orders;
CREATE TABLE a2 (id int);
--- drop column if exists in mixed list
ALTER TABLE users ADD COLUMN x int, DROP COLUMN IF EXISTS legacy CASCADE, ALTER COLUMN y SET DEFAULT 1;
--- delete with using
DELETE FROM users USING banned b WHERE b.id = users.id;
--- delete only returning into a cte that is not read
WITH d AS MATERIALIZED (DELETE FROM orders WHERE at < now() - interval '1 year' RETURNING id) SELECT 1;
--- truncate only with restart identity
TRUNCATE TABLE ONLY app.orders RESTART IDENTITY;
--- merge not matched by source delete, once more
MERGE INTO users u USING staging s ON u.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN MATCHED THEN UPDATE SET name = s.name;
--- drop behind a nested comment with a quote in it
/* it's /* nested */ fine */ DROP /* ' */ TABLE /* " */ "Users" -- end
;
--- nested DO by dollar tags
DO $outer$ BEGIN EXECUTE $in$ DO $x$ BEGIN DELETE FROM users; END $x$ $in$; END $outer$;
--- execute with a format of identifiers
DO $$ BEGIN EXECUTE format('DROP TABLE %I.%I CASCADE', 'app', 'users'); END $$;
--- execute with a format of positional arguments
DO $$ BEGIN EXECUTE format('%2$s %1$s', 'TABLE users', 'DROP'); END $$;
--- execute of a variable set by select into
DO $$ DECLARE q text; BEGIN SELECT 'TRUNCATE ' || 'users' INTO q; EXECUTE q; END $$;
--- execute of a concatenation in a loop over a constant array
DO $$ DECLARE t text; BEGIN FOREACH t IN ARRAY ARRAY['users', 'orders'] LOOP EXECUTE 'DELETE FROM ' || quote_ident(t); END LOOP; END $$;
--- execute of rows of pg_tables
DO $$ DECLARE r record; BEGIN FOR r IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP EXECUTE 'DROP TABLE IF EXISTS ' || quote_ident(r.tablename) || ' CASCADE'; END LOOP; END $$;
--- execute of what a table holds
DO $$ DECLARE r record; BEGIN FOR r IN SELECT stmt FROM pending_sql LOOP EXECUTE r.stmt; END LOOP; END $$;
--- execute of a lower and translate
DO $$ BEGIN EXECUTE lower(translate('XROP TABLE USERS', 'X', 'D')); END $$;
--- execute of chr and left
DO $$ BEGIN EXECUTE chr(68) || left('ROPxx', 3) || ' TABLE users'; END $$;
--- execute of string_agg over pg_class
DO $$ DECLARE q text; BEGIN SELECT string_agg(format('TRUNCATE %I', relname), ';') INTO q FROM pg_class; EXECUTE q; END $$;
--- return query execute in a called function
CREATE FUNCTION purge() RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'DELETE FROM users RETURNING 1'; END $$;
SELECT * FROM purge();
--- open for execute
DO $$ DECLARE c refcursor; r record; BEGIN OPEN c FOR EXECUTE 'WITH d AS (DELETE FROM users RETURNING *) SELECT * FROM d'; FETCH c INTO r; END $$;
--- for in execute
DO $$ DECLARE r record; BEGIN FOR r IN EXECUTE 'DELETE FROM users RETURNING id' LOOP NULL; END LOOP; END $$;
--- assignment by a deleting function
CREATE FUNCTION d() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
DO $$ DECLARE n int; BEGIN n := d(); END $$;
--- deleting function as a declared default
CREATE FUNCTION d() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
DO $$ DECLARE n int := d(); BEGIN NULL; END $$;
--- deleting function in a raise
CREATE FUNCTION d() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
DO $$ BEGIN RAISE NOTICE '%', d(); END $$;
--- deleting function in a return of a called function
CREATE FUNCTION d() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
CREATE FUNCTION e() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN d() + 1; END $$;
SELECT e();
--- deleting function in a limit
CREATE FUNCTION d() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
SELECT 1 FROM users LIMIT d();
--- deleting function in a join of a from list
CREATE FUNCTION d() RETURNS SETOF int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
SELECT * FROM kinds k JOIN LATERAL d() AS x(i) ON true;
--- deleting function by rows from
CREATE FUNCTION d() RETURNS SETOF int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
SELECT * FROM ROWS FROM (d(), generate_series(1, 3)) AS z(a, b);
--- deleting function in a filter
CREATE FUNCTION d() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
SELECT count(*) FILTER (WHERE d() > 0) FROM kinds;
--- deleting function in an upsert where
CREATE FUNCTION d() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
INSERT INTO kinds (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 1 WHERE d() > 0;
--- deleting function in a returning list
CREATE FUNCTION d() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
INSERT INTO kinds (id) VALUES (1) RETURNING d();
--- deleting function in values
CREATE FUNCTION d() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
VALUES (1), (d());
--- deleting function in copy to
CREATE FUNCTION d() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
COPY (SELECT d()) TO STDOUT;
--- deleting function with arguments by name
CREATE FUNCTION app.d(a int, b text DEFAULT '') RETURNS int LANGUAGE sql AS 'DELETE FROM users WHERE id = a RETURNING 1';
SELECT app.d(a => 7);
--- deleting function in a new domain's check, used by an insert
CREATE FUNCTION d(a int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN true; END $$;
CREATE DOMAIN dd AS int CHECK (d(VALUE));
SELECT 1::dd;
--- deleting aggregate
CREATE FUNCTION d(s int, a int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users WHERE id = a; RETURN s; END $$;
CREATE AGGREGATE killer (int) (SFUNC = d, STYPE = int);
SELECT killer(id) FROM kinds;
--- deleting cast
CREATE FUNCTION d(a app.x) RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN 1; END $$;
CREATE CAST (app.x AS int) WITH FUNCTION d(app.x);
SELECT (ROW(1)::app.x)::int;
--- procedure calls a procedure that truncates
CREATE PROCEDURE p1() LANGUAGE sql AS 'TRUNCATE users';
CREATE PROCEDURE p2() LANGUAGE plpgsql AS $$ BEGIN CALL p1(); END $$;
CALL p2();
--- begin atomic body called
CREATE FUNCTION d() RETURNS void LANGUAGE sql BEGIN ATOMIC DELETE FROM users; END;
SELECT d();
--- statement trigger on truncate fired by an insert rule
CREATE FUNCTION d() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN NULL; END $$;
CREATE TRIGGER t AFTER INSERT ON kinds FOR EACH STATEMENT EXECUTE FUNCTION d();
COPY kinds FROM '/srv/kinds.csv';
--- instead of trigger on a view
CREATE VIEW v AS SELECT 1 AS a;
CREATE FUNCTION d() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; RETURN NEW; END $$;
CREATE TRIGGER t INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION d();
INSERT INTO v VALUES (1);
--- trigger fired by merge
CREATE FUNCTION d() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN TRUNCATE users; RETURN NEW; END $$;
CREATE TRIGGER t BEFORE INSERT ON kinds FOR EACH ROW EXECUTE FUNCTION d();
MERGE INTO kinds k USING s ON k.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id);
--- rule that deletes, fired by update
CREATE RULE r AS ON UPDATE TO kinds DO ALSO DELETE FROM users;
UPDATE kinds SET name = 'x' WHERE id = 1;
--- event trigger that drops, fired by the next ddl
CREATE FUNCTION d() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN DROP TABLE users; END $$;
CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION d();
CREATE TABLE fire (a int);
--- update to an empty array
UPDATE users SET tags = '{}';
--- update to null inside a case of everything
UPDATE users SET phone = CASE WHEN true THEN NULL ELSE phone END;
--- update to nullif of itself
UPDATE users SET phone = nullif(phone, phone);
--- update json minus key
UPDATE users SET data = data - 'address';
--- update substr
UPDATE users SET name = left(name, 10);
--- alter type with using null
ALTER TABLE users ALTER COLUMN data TYPE jsonb USING NULL;
--- alter type with substring
ALTER TABLE users ALTER COLUMN code TYPE varchar(3) USING substring(code from 1 for 3);
--- alter type to integer by round
ALTER TABLE users ALTER COLUMN price TYPE integer USING round(price)::integer;
--- alter type to boolean of a text
ALTER TABLE users ALTER COLUMN state TYPE boolean USING (state = 'active');
--- drop table by a prepared transaction block with savepoints
BEGIN; SAVEPOINT a; DROP TABLE users; RELEASE a; COMMIT;
--- drop database with force
DROP DATABASE app WITH (FORCE);
--- drop owned by several with cascade
DROP OWNED BY app_rw, app_ro CASCADE;
--- drop extension that has columns
DROP EXTENSION hstore CASCADE;
--- drop function cascade of a type's own input
DROP TYPE mood CASCADE;
--- sequence with cascade
DROP SEQUENCE IF EXISTS order_no CASCADE;
--- detach then drop, once more
ALTER TABLE events DETACH PARTITION events_2019;
DROP TABLE events_2019;
--- rename then drop in a later statement through another name
ALTER TABLE users RENAME TO users_bak;
CREATE TABLE users (id int);
DROP TABLE users_bak;
--- swap of tables by create as with a filter
CREATE TABLE users_new AS SELECT * FROM users WHERE active;
DROP TABLE users;
ALTER TABLE users_new RENAME TO users;
--- update of pg_attribute
UPDATE pg_catalog.pg_attribute SET attisdropped = true WHERE attname = 'x';
--- update of pg_database through quoted name
UPDATE "pg_database" SET datallowconn = false;
--- large objects over a query
SELECT lo_unlink(oid) FROM pg_largeobject_metadata;
--- dblink with a truncate
SELECT * FROM dblink('dbname=prod', 'TRUNCATE users') AS t(a text);
--- copy to program, once more
COPY users TO PROGRAM 'gzip > /tmp/x.gz';
--- psql include, once more
\i cleanup.sql
--- psql gexec, once more
SELECT format('DROP TABLE %I', tablename) FROM pg_tables \gexec
--- a go template
DROP TABLE IF EXISTS {{ .Prefix }}_users;
--- unterminated string, once more
INSERT INTO notes VALUES ('abc);
--- do in python
DO LANGUAGE plpython3u $$ plpy.execute("DROP TABLE users") $$;
--- query_to_xml runs a delete
SELECT query_to_xml('DELETE FROM users RETURNING *', true, false, '');
--- unicode escaped table name with uescape
DROP TABLE U&"us!0065rs" UESCAPE '!';
--- form feeds as blanks
DROP	TABLE users;
--- drop column without the keyword and quoted
ALTER TABLE "users" DROP "E-Mail";
--- alter foreign table drop column
ALTER FOREIGN TABLE remote_users DROP COLUMN x;
--- drop attribute cascade
ALTER TYPE address DROP ATTRIBUTE IF EXISTS zip CASCADE;
--- replication role by alter role
ALTER ROLE CURRENT_USER SET session_replication_role = 'replica';
--- set constraints and truncate in plpgsql exception handler
DO $$ BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN TRUNCATE orders; END $$;
--- delete in an else branch
DO $$ BEGIN IF false THEN NULL; ELSE DELETE FROM orders WHERE id > 5; END IF; END $$;
--- create table as execute of a prepared delete
PREPARE p AS WITH d AS (DELETE FROM users RETURNING id) SELECT id FROM d;
CREATE TABLE gone AS EXECUTE p;
--- view that calls the deleter, read by an insert
CREATE FUNCTION d() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
CREATE VIEW dv AS SELECT d() AS n;
INSERT INTO kinds (id) SELECT n FROM dv;
--- materialized view refreshed with the deleter in it
CREATE FUNCTION d() RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
CREATE MATERIALIZED VIEW mv AS SELECT d() AS n WITH NO DATA;
REFRESH MATERIALIZED VIEW mv;
--- delete by cursor in a loop
DO $$ DECLARE c CURSOR FOR SELECT * FROM users FOR UPDATE; BEGIN FOR r IN c LOOP DELETE FROM users WHERE CURRENT OF c; END LOOP; END $$;
--- explain analyze of an insert with a deleting cte
EXPLAIN (ANALYZE true, BUFFERS) WITH d AS (DELETE FROM users RETURNING *) INSERT INTO old SELECT * FROM d;
--- search path shadows a new temp name
CREATE TEMP TABLE users (id int);
DELETE FROM public.users;
--- drop table if it was conditionally created in a DO
DO $$ BEGIN IF to_regclass('users') IS NULL THEN CREATE TABLE users (id int); END IF; END $$;
DROP TABLE users;
--- partition dropped with a list
DROP TABLE IF EXISTS ONLY_2019, events_2018 RESTRICT;
--- truncate foreign and local
TRUNCATE remote_users, kinds CONTINUE IDENTITY CASCADE;
--- shell by pg function
SELECT pg_read_file('/etc/passwd'), lo_import('/etc/passwd');
DELETE FROM app.sessions;
--- set column default then update to default
ALTER TABLE users ALTER COLUMN bio SET DEFAULT NULL;
UPDATE users SET bio = DEFAULT;
--- a call of the overload that deletes, by a cast
CREATE FUNCTION work(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION work(a text) RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
SELECT work(7::text);
--- a call that may mean the overload that deletes
CREATE FUNCTION work(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION work(a text) RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
SELECT work(note) FROM orders;
--- a call of the overload that deletes, by its default
CREATE FUNCTION work() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION work(a int, b int DEFAULT 0) RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
SELECT work(1);
--- a call of the variadic overload that deletes
CREATE FUNCTION work(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION work(VARIADIC a int[]) RETURNS int LANGUAGE sql AS 'DELETE FROM users RETURNING 1';
SELECT work(1, 2, 3);
--- a job of pg_cron that deletes
SELECT cron.schedule('purge', '0 3 * * *', 'DELETE FROM users');
--- a job of pg_cron that truncates in another database
SELECT cron.schedule_in_database('purge', '0 3 * * *', $$TRUNCATE events$$, 'other');
--- a delete in an exception handler
DO $$ BEGIN INSERT INTO marks VALUES (1); EXCEPTION WHEN unique_violation THEN TRUNCATE marks; END $$;
--- a drop in an arm of CASE
DO $$ BEGIN CASE current_setting('server_version_num')::int / 10000 WHEN 15 THEN DROP TABLE legacy; ELSE NULL; END CASE; END $$;
--- a loop over what a delete returns
DO $$ DECLARE r record; BEGIN FOR r IN DELETE FROM carts RETURNING * LOOP RAISE NOTICE '%', r; END LOOP; END $$;
--- a function of this file in ORDER BY
CREATE FUNCTION z(int) RETURNS int LANGUAGE sql AS 'DELETE FROM payments RETURNING 1';
SELECT 1 FROM generate_series(1, 2) g ORDER BY z(g);
--- a function of this file in LIMIT
CREATE FUNCTION z() RETURNS int LANGUAGE sql AS 'DELETE FROM payments RETURNING 1';
SELECT 1 LIMIT z();
--- a function of this file in a check that the next row runs
CREATE FUNCTION ok(int) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN DELETE FROM payments; RETURN true; END $f$;
ALTER TABLE orders ADD CONSTRAINT c CHECK (ok(id)) NOT VALID;
INSERT INTO orders (id) VALUES (1);
