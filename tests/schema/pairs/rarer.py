"""Privileges, comments, extensions, and the kinds that no one tests."""

from __future__ import annotations

from ..proof import Pair

_T = "CREATE TABLE t (id integer PRIMARY KEY, a text, b integer DEFAULT 1);"
_ROLES = """DO $$ BEGIN CREATE ROLE safemig_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE "Safemig Writer"; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"""
_T_ROLES = _ROLES + _T
_FDW = "CREATE FOREIGN DATA WRAPPER w;"
_TS = "CREATE TEXT SEARCH CONFIGURATION conf (COPY = simple);"

RARER = (
    # privileges
    Pair(
        "grants on a new table",
        "",
        'CREATE TABLE g (x int); GRANT SELECT, INSERT ON g TO safemig_reader; GRANT ALL ON g TO "Safemig Writer" WITH GRANT OPTION; GRANT SELECT ON g TO PUBLIC',
        _ROLES,
    ),
    Pair(
        "grants change",
        "GRANT SELECT, INSERT ON t TO safemig_reader",
        'GRANT SELECT ON t TO safemig_reader WITH GRANT OPTION; GRANT UPDATE ON t TO "Safemig Writer"',
        _T_ROLES,
    ),
    Pair(
        "grant option lost",
        "GRANT SELECT ON t TO safemig_reader WITH GRANT OPTION",
        "GRANT SELECT ON t TO safemig_reader",
        _T_ROLES,
    ),
    Pair(
        "column grants",
        "GRANT SELECT (a) ON t TO safemig_reader",
        "GRANT SELECT (a), UPDATE (b) ON t TO safemig_reader; GRANT REFERENCES (id) ON t TO PUBLIC",
        _T_ROLES,
    ),
    Pair(
        "table grant gives way to a column grant",
        "GRANT SELECT ON t TO safemig_reader; GRANT SELECT (a) ON t TO safemig_reader",
        "GRANT SELECT (a) ON t TO safemig_reader",
        _T_ROLES,
    ),
    Pair(
        "grants on everything",
        "",
        """CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO safemig_reader; CREATE SEQUENCE q; GRANT USAGE ON SEQUENCE q TO safemig_reader;
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION f() FROM PUBLIC; GRANT EXECUTE ON FUNCTION f() TO safemig_reader;
        CREATE TYPE e AS ENUM ('a'); REVOKE ALL ON TYPE e FROM PUBLIC; GRANT USAGE ON TYPE e TO safemig_reader; CREATE DOMAIN d AS int; GRANT USAGE ON TYPE d TO safemig_reader;
        CREATE PROCEDURE p() LANGUAGE sql AS ''; GRANT EXECUTE ON PROCEDURE p() TO safemig_reader; CREATE VIEW v AS SELECT a FROM t; GRANT SELECT (a) ON v TO safemig_reader;
        CREATE AGGREGATE agg(int) (SFUNC = int4pl, STYPE = int); GRANT EXECUTE ON FUNCTION agg(int) TO safemig_reader""",
        _T_ROLES,
    ),
    Pair(
        "public may not execute any more",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION f() FROM PUBLIC",
        _ROLES,
    ),
    Pair("owner without a privilege", "", "REVOKE INSERT ON t FROM CURRENT_USER", _T),
    Pair(
        "grants of a replaced function and view",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT f() AS x; GRANT SELECT ON v TO safemig_reader; REVOKE ALL ON FUNCTION f() FROM PUBLIC",
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'; CREATE VIEW v AS SELECT f() AS x; GRANT SELECT ON v TO safemig_reader; REVOKE ALL ON FUNCTION f() FROM PUBLIC",
        _ROLES,
    ),
    Pair(
        "grants on the sequence of an identity",
        "CREATE TABLE i (id int GENERATED ALWAYS AS IDENTITY)",
        "CREATE TABLE i (id int GENERATED ALWAYS AS IDENTITY); GRANT USAGE ON SEQUENCE i_id_seq TO safemig_reader; GRANT SELECT ON i TO safemig_reader",
        _ROLES,
    ),
    Pair(
        "default privileges",
        "",
        'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO safemig_reader; ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO "Safemig Writer" WITH GRANT OPTION; ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC; ALTER DEFAULT PRIVILEGES FOR ROLE safemig_reader GRANT USAGE ON TYPES TO "Safemig Writer"; ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO safemig_reader',
        _ROLES,
    ),
    Pair(
        "default privileges change",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT ON TABLES TO safemig_reader",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT, UPDATE ON TABLES TO safemig_reader",
        _ROLES,
    ),
    Pair(
        "a table under default privileges",
        "",
        "CREATE TABLE g (x serial)",
        _ROLES
        + "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO safemig_reader; ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO safemig_reader; ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;",
    ),
    Pair(
        "a table made against default privileges",
        "",
        "CREATE TABLE g (x serial); REVOKE ALL ON g FROM safemig_reader; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON FUNCTION f() TO PUBLIC",
        _ROLES
        + "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO safemig_reader; ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;",
    ),
    Pair(
        "maintain",
        "",
        "GRANT MAINTAIN ON t TO safemig_reader; REVOKE MAINTAIN ON t FROM CURRENT_USER",
        _T_ROLES,
        since=17,
    ),
    # owners
    Pair(
        "owners",
        "",
        "ALTER TABLE t OWNER TO safemig_reader; CREATE SCHEMA s AUTHORIZATION \"Safemig Writer\"; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION f() OWNER TO safemig_reader; CREATE TYPE e AS ENUM ('a'); ALTER TYPE e OWNER TO safemig_reader; CREATE VIEW v AS SELECT 1 AS x; ALTER VIEW v OWNER TO safemig_reader",
        _T_ROLES,
        ownership=True,
    ),
    # schemas and extensions
    Pair(
        "schemas",
        "CREATE SCHEMA old; CREATE TABLE old.t (a int); CREATE FUNCTION old.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA fresh; COMMENT ON SCHEMA fresh IS 'f'; CREATE TABLE fresh.t (a int)",
    ),
    Pair("public goes", "", "DROP SCHEMA public"),
    Pair(
        "extension",
        "",
        "CREATE EXTENSION pgcrypto; COMMENT ON EXTENSION pgcrypto IS 'mine'; CREATE TABLE x (h text DEFAULT encode(digest('x', 'sha256'), 'hex'))",
    ),
    Pair(
        "extension moves",
        "CREATE SCHEMA ext; CREATE EXTENSION pgcrypto",
        "CREATE SCHEMA ext; CREATE EXTENSION pgcrypto SCHEMA ext; CREATE VIEW v AS SELECT ext.gen_random_bytes(4) AS b",
    ),
    Pair(
        "function depends on extension",
        "CREATE EXTENSION pgcrypto; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE EXTENSION pgcrypto; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION f() DEPENDS ON EXTENSION pgcrypto",
    ),
    # foreign data
    Pair(
        "foreign data",
        "",
        "CREATE FOREIGN DATA WRAPPER w OPTIONS (debug 'true'); CREATE SERVER s TYPE 'x' VERSION '1' FOREIGN DATA WRAPPER w OPTIONS (host 'h', port '1'); CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (\"user\" 'u', password 'p''w'); CREATE USER MAPPING FOR PUBLIC SERVER s; CREATE FOREIGN TABLE ft (id int OPTIONS (column_name 'ID') NOT NULL, a text DEFAULT 'x', CHECK (id > 0)) SERVER s OPTIONS (table_name 'T'); COMMENT ON SERVER s IS 's'; COMMENT ON FOREIGN TABLE ft IS 'ft'",
    ),
    Pair(
        "foreign data changes",
        _FDW
        + "CREATE SERVER s VERSION '1' FOREIGN DATA WRAPPER w OPTIONS (host 'h', port '1'); CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (a 'b'); CREATE FOREIGN TABLE ft (id int, a text) SERVER s OPTIONS (t 'T')",
        "CREATE FOREIGN DATA WRAPPER w OPTIONS (o 'p'); CREATE SERVER s VERSION '2' FOREIGN DATA WRAPPER w OPTIONS (host 'i', db 'd'); CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (a 'c', d 'e'); CREATE FOREIGN TABLE ft (id bigint OPTIONS (x 'y'), b int) SERVER s OPTIONS (t 'U')",
    ),
    Pair(
        "foreign server grants",
        _FDW + "CREATE SERVER s FOREIGN DATA WRAPPER w",
        _FDW
        + "CREATE SERVER s FOREIGN DATA WRAPPER w; GRANT USAGE ON FOREIGN SERVER s TO safemig_reader; GRANT USAGE ON FOREIGN DATA WRAPPER w TO safemig_reader",
        _ROLES,
    ),
    Pair(
        "foreign table moves to another server",
        _FDW
        + "CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE SERVER r FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE ft (id int) SERVER s; CREATE VIEW v AS SELECT id FROM ft",
        _FDW
        + "CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE SERVER r FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE ft (id int) SERVER r; CREATE VIEW v AS SELECT id FROM ft",
    ),
    Pair(
        "foreign partition",
        "",
        _FDW
        + "CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE TABLE fp (k int) PARTITION BY LIST (k); CREATE FOREIGN TABLE fp1 PARTITION OF fp FOR VALUES IN (1) SERVER s",
    ),
    # replication
    Pair(
        "publication",
        "",
        "CREATE PUBLICATION pub FOR TABLE t WITH (publish = 'insert, update', publish_via_partition_root = true); COMMENT ON PUBLICATION pub IS 'p'",
        _T,
    ),
    Pair("publication of all tables", "CREATE PUBLICATION pub", "CREATE PUBLICATION pub FOR ALL TABLES", _T),
    Pair(
        "publication changes",
        "CREATE TABLE u (x int); CREATE PUBLICATION pub FOR TABLE t",
        "CREATE TABLE u (x int); CREATE PUBLICATION pub FOR TABLE u WITH (publish = 'delete')",
        _T,
    ),
    Pair(
        "publication with columns, filter and schema",
        "CREATE PUBLICATION pub FOR TABLE t",
        "CREATE SCHEMA s; CREATE PUBLICATION pub FOR TABLE t (id, a) WHERE (b > 1 AND a <> ''); CREATE PUBLICATION pub2 FOR TABLES IN SCHEMA s",
        _T,
        since=15,
    ),
    Pair(
        "publication over a column that changes its type",
        "CREATE PUBLICATION pub FOR TABLE t WHERE (b > 1)",
        "ALTER TABLE t ALTER b TYPE bigint; CREATE PUBLICATION pub FOR TABLE t WHERE (b > 1)",
        _T,
        since=15,
    ),
    Pair(
        "subscription",
        "",
        "CREATE SUBSCRIPTION sub CONNECTION 'host=nowhere dbname=x' PUBLICATION a, b WITH (connect = false, slot_name = 'sl', binary = true)",
        since=14,
    ),
    Pair(
        "subscription changes",
        "CREATE SUBSCRIPTION sub CONNECTION 'host=nowhere dbname=x' PUBLICATION a WITH (connect = false, slot_name = NONE)",
        "CREATE SUBSCRIPTION sub CONNECTION 'host=elsewhere dbname=x' PUBLICATION b WITH (connect = false, slot_name = NONE, synchronous_commit = local)",
    ),
    # statistics
    Pair(
        "statistics",
        "",
        "CREATE STATISTICS st (ndistinct, dependencies) ON a, b FROM t; ALTER STATISTICS st SET STATISTICS 50; COMMENT ON STATISTICS st IS 's'",
        _T,
    ),
    Pair(
        "statistics on expressions",
        "CREATE STATISTICS st ON a, b FROM t",
        "CREATE STATISTICS st ON lower(a), b FROM t",
        _T,
        since=14,
    ),
    Pair(
        "statistics over a column that changes its type",
        "CREATE STATISTICS st ON a, b FROM t",
        "ALTER TABLE t ALTER b TYPE bigint; CREATE STATISTICS st ON a, b FROM t",
        _T,
    ),
    # collations, conversions, casts
    Pair(
        "collation object",
        "",
        "CREATE COLLATION german (provider = libc, locale = 'C'); CREATE TABLE c (x text COLLATE german); CREATE INDEX ci ON c (x); COMMENT ON COLLATION german IS 'g'",
    ),
    Pair(
        "collation object changes",
        "CREATE COLLATION coll (provider = libc, locale = 'C')",
        "CREATE COLLATION coll (provider = libc, locale = 'POSIX')",
    ),
    Pair(
        "icu collation",
        "",
        "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE TABLE c (x text COLLATE ci)",
    ),
    Pair(
        "conversion",
        "",
        "CREATE DEFAULT CONVERSION conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8; COMMENT ON CONVERSION conv IS 'c'",
    ),
    Pair(
        "cast",
        "",
        "CREATE TYPE c1 AS (x int); CREATE FUNCTION c1_int(c1) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1.x'; CREATE CAST (c1 AS int) WITH FUNCTION c1_int(c1) AS ASSIGNMENT; COMMENT ON CAST (c1 AS int) IS 'c'",
    ),
    Pair(
        "cast changes",
        "CREATE TYPE e AS ENUM ('a'); CREATE CAST (text AS e) WITH INOUT AS ASSIGNMENT",
        "CREATE TYPE e AS ENUM ('a'); CREATE CAST (text AS e) WITH INOUT AS IMPLICIT",
    ),
    # operators
    Pair(
        "operator",
        "",
        "CREATE FUNCTION eqi(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2'; CREATE FUNCTION nei(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 <> $2'; CREATE OPERATOR === (FUNCTION = eqi, LEFTARG = int, RIGHTARG = int, COMMUTATOR = ===, NEGATOR = !===, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES); CREATE OPERATOR !=== (FUNCTION = nei, LEFTARG = int, RIGHTARG = int, NEGATOR = ===); COMMENT ON OPERATOR === (int, int) IS 'eq'",
    ),
    Pair(
        "prefix operator",
        "",
        "CREATE FUNCTION dbl(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'; CREATE OPERATOR ## (FUNCTION = dbl, RIGHTARG = int); CREATE VIEW v AS SELECT OPERATOR(public.##) 3 AS x",
    ),
    Pair(
        "operator class and family",
        "",
        """CREATE FUNCTION cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 - $2';
        CREATE OPERATOR CLASS oc FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 cmp(int, int);
        CREATE OPERATOR FAMILY fam USING btree; ALTER OPERATOR FAMILY fam USING btree ADD OPERATOR 1 < (int4, int8), FUNCTION 1 (int4, int8) btint48cmp(int4, int8);
        CREATE TABLE oo (x int); CREATE INDEX oi ON oo (x oc); COMMENT ON OPERATOR CLASS oc USING btree IS 'oc'; COMMENT ON OPERATOR FAMILY fam USING btree IS 'fam'""",
    ),
    Pair(
        "operator family changes",
        "CREATE OPERATOR FAMILY fam USING btree",
        "CREATE OPERATOR FAMILY fam USING btree; ALTER OPERATOR FAMILY fam USING btree ADD OPERATOR 1 < (int4, int8)",
    ),
    # text search
    Pair(
        "text search",
        "",
        "CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = simple, stopwords = 'english', accept = false); CREATE TEXT SEARCH CONFIGURATION conf (PARSER = default); ALTER TEXT SEARCH CONFIGURATION conf ADD MAPPING FOR asciiword, word WITH dict, simple; CREATE TABLE d (x text); CREATE INDEX di ON d USING gin (to_tsvector('conf', x)); COMMENT ON TEXT SEARCH CONFIGURATION conf IS 'c'; COMMENT ON TEXT SEARCH DICTIONARY dict IS 'd'",
    ),
    Pair(
        "text search mapping changes",
        "",
        "ALTER TEXT SEARCH CONFIGURATION conf ALTER MAPPING FOR asciiword WITH english_stem, simple; ALTER TEXT SEARCH CONFIGURATION conf DROP MAPPING FOR url",
        _TS,
    ),
    Pair(
        "text search dictionary changes",
        "CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = simple); CREATE TEXT SEARCH CONFIGURATION conf (PARSER = default); ALTER TEXT SEARCH CONFIGURATION conf ADD MAPPING FOR word WITH dict",
        "CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = simple, accept = false); CREATE TEXT SEARCH CONFIGURATION conf (PARSER = default); ALTER TEXT SEARCH CONFIGURATION conf ADD MAPPING FOR word WITH dict",
    ),
    Pair(
        "text search template and parser",
        "",
        "CREATE TEXT SEARCH TEMPLATE tmpl (INIT = dsimple_init, LEXIZE = dsimple_lexize); CREATE TEXT SEARCH PARSER prs (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype, HEADLINE = prsd_headline)",
    ),
    # languages, access methods, transforms
    Pair(
        "access method",
        "",
        "CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler; CREATE TABLE am (x int) USING heap2",
    ),
    Pair(
        "access method of a table",
        "CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler; CREATE TABLE am (x int)",
        "CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler; CREATE TABLE am (x int) USING heap2",
        since=15,
        destructive=False,
    ),
    Pair(
        "language",
        "",
        "CREATE FUNCTION h() RETURNS language_handler LANGUAGE c AS 'plpgsql', 'plpgsql_call_handler'; CREATE TRUSTED LANGUAGE mine HANDLER h; GRANT USAGE ON LANGUAGE mine TO safemig_reader; COMMENT ON LANGUAGE mine IS 'm'",
        _ROLES,
    ),
    Pair(
        "transform",
        "",
        "CREATE FUNCTION tr(internal) RETURNS internal LANGUAGE internal IMMUTABLE AS 'varchar_support'; CREATE TRANSFORM FOR int LANGUAGE plpgsql (FROM SQL WITH FUNCTION tr(internal)); COMMENT ON TRANSFORM FOR int LANGUAGE plpgsql IS 't'",
    ),
)
