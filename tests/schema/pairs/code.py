"""Types, routines, views, triggers, rules, policies."""

from __future__ import annotations

from ..proof import Pair

_T = "CREATE TABLE t (id integer PRIMARY KEY, a text, b integer DEFAULT 1);"
_TRIGGER = "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
_MOOD = "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');"

CODE = (
    # enums
    Pair("enum", "", _MOOD),
    Pair(
        "enum values added everywhere",
        _MOOD,
        "CREATE TYPE mood AS ENUM ('awful', 'sad', 'meh', 'ok', 'happy', 'great', 'best')",
    ),
    Pair(
        "enum value added and used in a default",
        _MOOD + "CREATE TABLE m (x mood DEFAULT 'sad')",
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'new'); CREATE TABLE m (x mood DEFAULT 'new')",
    ),
    Pair(
        "enum value added and used in a view",
        _MOOD + "CREATE TABLE m (x mood)",
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'new'); CREATE TABLE m (x mood); CREATE VIEW v AS SELECT x FROM m WHERE x = 'new'",
    ),
    Pair(
        "enum reordered",
        _MOOD + "CREATE TABLE m (x mood DEFAULT 'ok', y mood[])",
        "CREATE TYPE mood AS ENUM ('happy', 'ok', 'sad'); CREATE TABLE m (x mood DEFAULT 'ok', y mood[])",
    ),
    Pair(
        "enum value removed with everything on it",
        _MOOD
        + "CREATE TABLE m (id int, x mood DEFAULT 'ok' NOT NULL, CHECK (x <> 'sad')); CREATE INDEX i ON m (x); CREATE INDEX j ON m (id) WHERE x = 'ok'; CREATE VIEW v AS SELECT x FROM m; CREATE FUNCTION f(mood) RETURNS mood LANGUAGE sql AS 'SELECT $1'; CREATE POLICY pol ON m USING (x = 'ok'); COMMENT ON VIEW v IS 'view'; COMMENT ON TYPE mood IS 'feel'",
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE m (id int, x mood DEFAULT 'ok' NOT NULL, CHECK (x <> 'sad')); CREATE INDEX i ON m (x); CREATE INDEX j ON m (id) WHERE x = 'ok'; CREATE VIEW v AS SELECT x FROM m; CREATE FUNCTION f(mood) RETURNS mood LANGUAGE sql AS 'SELECT $1'; CREATE POLICY pol ON m USING (x = 'ok'); COMMENT ON VIEW v IS 'view'; COMMENT ON TYPE mood IS 'feel'",
        destructive=True,
    ),
    Pair("enum dropped with its column", _MOOD + "CREATE TABLE m (id int, x mood)", "CREATE TABLE m (id int)"),
    Pair(
        "enum under a domain loses a value",
        _MOOD + "CREATE DOMAIN dm AS mood; CREATE TABLE m (x dm)",
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN dm AS mood; CREATE TABLE m (x dm)",
    ),
    # domains
    Pair(
        "domain",
        "",
        "CREATE DOMAIN email AS text COLLATE \"C\" DEFAULT 'x@y' NOT NULL CONSTRAINT form CHECK (VALUE LIKE '%@%')",
    ),
    Pair(
        "domain changes",
        "CREATE DOMAIN d AS integer DEFAULT 1; ",
        "CREATE DOMAIN d AS integer NOT NULL CHECK (VALUE > 0)",
    ),
    Pair(
        "domain constraint changes",
        "CREATE DOMAIN d AS integer CONSTRAINT c CHECK (VALUE > 0); CREATE TABLE m (x d)",
        "CREATE DOMAIN d AS integer CONSTRAINT c CHECK (VALUE > 5); CREATE TABLE m (x d); COMMENT ON CONSTRAINT c ON DOMAIN d IS 'c'",
    ),
    Pair(
        "domain base changes",
        "CREATE DOMAIN d AS varchar(10); CREATE TABLE m (x d)",
        "CREATE DOMAIN d AS text; CREATE TABLE m (x d)",
    ),
    Pair(
        "domain constraint not valid",
        "CREATE DOMAIN d AS integer",
        "CREATE DOMAIN d AS integer; ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID",
    ),
    Pair(
        "domain over domain",
        "",
        "CREATE DOMAIN a AS integer CHECK (VALUE > 0); CREATE DOMAIN b AS a CHECK (VALUE < 9); CREATE TABLE m (x b DEFAULT 3)",
    ),
    Pair(
        "domain check uses a function",
        "",
        "CREATE FUNCTION ok(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0'; CREATE DOMAIN d AS integer CHECK (ok(VALUE))",
    ),
    # composites, ranges, base types
    Pair(
        "composite",
        "",
        'CREATE TYPE pt AS (x integer, "Y y" text COLLATE "C"); CREATE TABLE m (p pt, ps pt[]); COMMENT ON COLUMN pt.x IS \'ex\'',
    ),
    Pair("composite changes", "CREATE TYPE pt AS (x integer, y text)", "CREATE TYPE pt AS (x bigint, z integer)"),
    Pair(
        "composite in use grows",
        "CREATE TYPE pt AS (x integer); CREATE TABLE m (p pt)",
        "CREATE TYPE pt AS (x integer, y text); CREATE TABLE m (p pt)",
    ),
    Pair(
        "composite in use changes an attribute",
        "CREATE TYPE pt AS (x integer); CREATE TABLE m (p pt)",
        "CREATE TYPE pt AS (x bigint); CREATE TABLE m (p pt)",
    ),
    Pair("range", "", "CREATE TYPE fr AS RANGE (subtype = float8, subtype_diff = float8mi)"),
    Pair(
        "range with other multirange",
        "",
        "CREATE TYPE fr AS RANGE (subtype = float8, multirange_type_name = many); CREATE TABLE m (a fr, b many)",
        since=14,
    ),
    Pair("range changes", "CREATE TYPE fr AS RANGE (subtype = float8)", "CREATE TYPE fr AS RANGE (subtype = numeric)"),
    Pair("shell type", "", "CREATE TYPE shell"),
    Pair(
        "base type",
        "",
        "CREATE TYPE my; CREATE FUNCTION my_in(cstring) RETURNS my LANGUAGE internal IMMUTABLE STRICT AS 'int4in'; CREATE FUNCTION my_out(my) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out'; CREATE TYPE my (INPUT = my_in, OUTPUT = my_out, INTERNALLENGTH = 4, PASSEDBYVALUE, ALIGNMENT = int4); CREATE TABLE m (x my)",
    ),
    # routines
    Pair(
        "functions of every sort",
        "",
        """CREATE FUNCTION f1(a int, b text DEFAULT 'x', OUT c int, OUT d text) LANGUAGE plpgsql AS $$ BEGIN c := a; d := b; END $$;
        CREATE FUNCTION f2(VARIADIC xs int[]) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5 AS $$ SELECT 1 $$;
        CREATE FUNCTION f3() RETURNS TABLE (x int, y text) LANGUAGE sql STABLE ROWS 5 SECURITY DEFINER SET search_path = pg_catalog AS $$ SELECT 1, 'a' $$;
        CREATE FUNCTION f4(anyelement) RETURNS SETOF anyelement LANGUAGE sql STRICT LEAKPROOF AS $$ SELECT $1 $$;
        CREATE PROCEDURE p1(INOUT x int) LANGUAGE plpgsql AS $$ BEGIN x := x + 1; END $$;
        COMMENT ON FUNCTION f1(int, text) IS 'f1'; COMMENT ON PROCEDURE p1(int) IS 'p1'""",
    ),
    Pair(
        "sql-standard bodies",
        "",
        "CREATE TABLE s (x int); CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT count(x) FROM s; END; CREATE FUNCTION g() RETURNS bigint RETURN f() + 1",
        since=14,
    ),
    Pair(
        "sql-standard body over a column that changes its type",
        "CREATE TABLE s (x int); CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT count(x) FROM s; END",
        "CREATE TABLE s (x bigint); CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT count(x) FROM s; END",
        since=14,
    ),
    Pair(
        "function body",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
    ),
    Pair(
        "function result",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT f() AS x; COMMENT ON VIEW v IS 'v'",
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'; CREATE VIEW v AS SELECT f() AS x; COMMENT ON VIEW v IS 'v'",
    ),
    Pair(
        "function result under a default, a check, an index, a trigger",
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; CREATE TABLE m (a int DEFAULT f(1), CHECK (f(a) > 0)); CREATE INDEX i ON m (f(a)); CREATE POLICY p ON m USING (f(a) > 1)",
        "CREATE FUNCTION f(int) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 1::bigint'; CREATE TABLE m (a int DEFAULT f(1), CHECK (f(a) > 0)); CREATE INDEX i ON m (f(a)); CREATE POLICY p ON m USING (f(a) > 1)",
    ),
    Pair(
        "function argument name and default",
        "CREATE FUNCTION f(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f(x int, b int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ),
    Pair(
        "function argument type",
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT f(1) AS x",
        "CREATE FUNCTION f(a bigint) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT f(1) AS x",
    ),
    Pair(
        "function gets an overload with a default",
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT f(1) AS x",
        "CREATE FUNCTION f(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT f(1) AS x",
    ),
    Pair(
        "function becomes procedure",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS ''",
        "CREATE PROCEDURE f() LANGUAGE sql AS ''",
    ),
    Pair(
        "function settings",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql VOLATILE SECURITY DEFINER COST 7 SET work_mem = '5MB' AS 'SELECT 1'",
    ),
    Pair(
        "function takes and returns a row of a new table",
        "",
        "CREATE TABLE m (x int); CREATE FUNCTION f(m) RETURNS SETOF m LANGUAGE sql AS 'SELECT $1'; ALTER TABLE m ADD CHECK (x > 0)",
    ),
    Pair(
        "table's default needs a function that needs the table",
        "",
        "CREATE TABLE m (x int); CREATE FUNCTION f(r m) RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER TABLE m ALTER x SET DEFAULT f(NULL)",
    ),
    Pair(
        "sql function over a table of the same script",
        "",
        "CREATE TABLE zz (x int); CREATE FUNCTION aa() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM zz'; CREATE TABLE yy (n bigint DEFAULT aa())",
    ),
    Pair(
        "sql functions that call each other",
        "",
        "SET check_function_bodies = off; CREATE FUNCTION a(int) RETURNS int LANGUAGE sql AS 'SELECT b($1)'; CREATE FUNCTION b(int) RETURNS int LANGUAGE sql AS 'SELECT CASE WHEN $1 > 0 THEN a($1 - 1) ELSE 0 END'",
    ),
    Pair(
        "plpgsql over %type of a new table",
        "",
        "CREATE TABLE zt (x int); CREATE FUNCTION ff() RETURNS void LANGUAGE plpgsql AS 'DECLARE v zt.x%TYPE; BEGIN NULL; END'",
    ),
    Pair(
        "aggregate",
        "",
        "CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0', COMBINEFUNC = int4pl, PARALLEL = SAFE); COMMENT ON AGGREGATE total(int) IS 'sum'",
    ),
    Pair(
        "aggregate changes",
        "CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')",
        "CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '5')",
    ),
    Pair(
        "aggregate over its own function, moving, ordered set",
        "",
        """CREATE FUNCTION st(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
        CREATE AGGREGATE mine(int) (SFUNC = st, STYPE = int, MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = int, MINITCOND = '0');
        CREATE AGGREGATE pct(float8 ORDER BY anyelement) (SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA);
        CREATE AGGREGATE smallest(int) (SFUNC = int4smaller, STYPE = int, SORTOP = <)""",
    ),
    # views
    Pair(
        "view",
        "",
        "CREATE VIEW v WITH (security_barrier = true) AS SELECT id, a FROM t WHERE b > 0 WITH LOCAL CHECK OPTION; COMMENT ON VIEW v IS 'v'; COMMENT ON COLUMN v.a IS 'a'",
        _T,
    ),
    Pair(
        "view options",
        "CREATE VIEW v AS SELECT id FROM t",
        "CREATE VIEW v WITH (security_invoker = true, security_barrier = true) AS SELECT id FROM t",
        _T,
        since=15,
    ),
    Pair(
        "view keeps its options when replaced",
        "CREATE VIEW v WITH (security_barrier = true) AS SELECT id FROM t",
        "CREATE VIEW v WITH (security_barrier = true) AS SELECT id, a FROM t",
        _T,
    ),
    Pair(
        "view loses its options when replaced",
        "CREATE VIEW v WITH (security_barrier = true) AS SELECT id FROM t",
        "CREATE VIEW v AS SELECT id, a FROM t",
        _T,
    ),
    Pair(
        "view loses a column",
        "CREATE VIEW v AS SELECT id, a FROM t; CREATE VIEW w AS SELECT id FROM v; COMMENT ON VIEW w IS 'w'",
        "CREATE VIEW v AS SELECT id FROM t; CREATE VIEW w AS SELECT id FROM v; COMMENT ON VIEW w IS 'w'",
        _T,
    ),
    Pair(
        "views over views over a changed column",
        "CREATE VIEW v1 AS SELECT id, b FROM t; CREATE VIEW v2 AS SELECT b FROM v1; CREATE MATERIALIZED VIEW v3 AS SELECT b FROM v2; CREATE INDEX i ON v3 (b); GRANT SELECT ON v2 TO PUBLIC",
        "ALTER TABLE t ALTER b TYPE bigint; CREATE VIEW v1 AS SELECT id, b FROM t; CREATE VIEW v2 AS SELECT b FROM v1; CREATE MATERIALIZED VIEW v3 AS SELECT b FROM v2; CREATE INDEX i ON v3 (b); GRANT SELECT ON v2 TO PUBLIC",
        _T,
        destructive=False,
    ),
    Pair(
        "view column default",
        "CREATE VIEW v AS SELECT id, a FROM t",
        "CREATE VIEW v AS SELECT id, a FROM t; ALTER VIEW v ALTER COLUMN a SET DEFAULT 'x'",
        _T,
    ),
    Pair(
        "recursive view and cte",
        "",
        "CREATE RECURSIVE VIEW n (x) AS VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 5",
    ),
    Pair(
        "view over a dropped column",
        "CREATE VIEW v AS SELECT id, a FROM t",
        "CREATE VIEW v AS SELECT id FROM t; ALTER TABLE t DROP COLUMN a",
        _T,
    ),
    Pair(
        "view's star over an added column",
        "CREATE VIEW v AS SELECT * FROM t",
        "ALTER TABLE t ADD COLUMN z int; CREATE VIEW v AS SELECT * FROM t",
        _T,
    ),
    Pair("view becomes table", "CREATE VIEW v AS SELECT 1 AS x", "CREATE TABLE v (x int)"),
    Pair(
        "view becomes materialized",
        "CREATE VIEW v AS SELECT 1 AS x; CREATE VIEW w AS SELECT x FROM v",
        "CREATE MATERIALIZED VIEW v AS SELECT 1 AS x; CREATE VIEW w AS SELECT x FROM v",
    ),
    Pair(
        "materialized view",
        "",
        "CREATE MATERIALIZED VIEW mv WITH (fillfactor = 70) AS SELECT id, a FROM t WITH NO DATA; CREATE UNIQUE INDEX mi ON mv (id); COMMENT ON MATERIALIZED VIEW mv IS 'mv'",
        _T,
    ),
    Pair(
        "materialized view changes",
        "CREATE MATERIALIZED VIEW mv AS SELECT id FROM t; CREATE INDEX mi ON mv (id); CREATE VIEW w AS SELECT id FROM mv",
        "CREATE MATERIALIZED VIEW mv AS SELECT id, b FROM t; CREATE INDEX mi ON mv (id); CREATE VIEW w AS SELECT id FROM mv",
        _T,
    ),
    Pair(
        "materialized view column settings and cluster",
        "CREATE MATERIALIZED VIEW mv AS SELECT id, a FROM t; CREATE INDEX mi ON mv (id)",
        "CREATE MATERIALIZED VIEW mv AS SELECT id, a FROM t; CREATE INDEX mi ON mv (id); ALTER MATERIALIZED VIEW mv ALTER a SET STATISTICS 50; ALTER MATERIALIZED VIEW mv CLUSTER ON mi",
        _T,
    ),
    Pair(
        "materialized view populated",
        "CREATE MATERIALIZED VIEW mv AS SELECT 1 AS x WITH NO DATA",
        "CREATE MATERIALIZED VIEW mv AS SELECT 1 AS x",
    ),
    Pair("view grouped by primary key", "", "CREATE VIEW g AS SELECT id, a, count(*) FROM t GROUP BY id", _T),
    # triggers
    Pair(
        "triggers of every sort",
        "",
        """CREATE TRIGGER t1 BEFORE INSERT OR UPDATE OF a, b ON t FOR EACH ROW WHEN (NEW.a IS NOT NULL) EXECUTE FUNCTION tf();
        CREATE TRIGGER t2 AFTER UPDATE ON t REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION tf('x', 'y z');
        CREATE CONSTRAINT TRIGGER t3 AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tf();
        ALTER TABLE t DISABLE TRIGGER t1; ALTER TABLE t ENABLE ALWAYS TRIGGER t2; COMMENT ON TRIGGER t3 ON t IS 't3'""",
        _T + _TRIGGER,
    ),
    Pair(
        "trigger changes",
        "CREATE TRIGGER t1 BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf()",
        "CREATE TRIGGER t1 AFTER DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION tf(); ALTER TABLE t ENABLE REPLICA TRIGGER t1",
        _T + _TRIGGER,
    ),
    Pair(
        "constraint trigger changes",
        "CREATE CONSTRAINT TRIGGER t3 AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf()",
        "CREATE CONSTRAINT TRIGGER t3 AFTER INSERT ON t DEFERRABLE FOR EACH ROW EXECUTE FUNCTION tf()",
        _T + _TRIGGER,
    ),
    Pair(
        "instead of trigger",
        "",
        "CREATE VIEW v AS SELECT id FROM t; CREATE TRIGGER iv INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION tf()",
        _T + _TRIGGER,
    ),
    Pair(
        "view with a trigger is rebuilt",
        "CREATE VIEW v AS SELECT id, b FROM t; CREATE TRIGGER iv INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION tf()",
        "ALTER TABLE t ALTER b TYPE bigint; CREATE VIEW v AS SELECT id, b FROM t; CREATE TRIGGER iv INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION tf()",
        _T + _TRIGGER,
    ),
    Pair(
        "trigger on a column that changes its type",
        "CREATE TRIGGER t1 BEFORE UPDATE OF b ON t FOR EACH ROW WHEN (NEW.b > 1) EXECUTE FUNCTION tf()",
        "ALTER TABLE t ALTER b TYPE bigint; CREATE TRIGGER t1 BEFORE UPDATE OF b ON t FOR EACH ROW WHEN (NEW.b > 1) EXECUTE FUNCTION tf()",
        _T + _TRIGGER,
    ),
    Pair(
        "trigger function goes",
        "CREATE TRIGGER t1 BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf()",
        "DROP FUNCTION tf()",
        _T + _TRIGGER,
    ),
    Pair(
        "event trigger",
        "",
        "CREATE FUNCTION et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER evt ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'DROP TABLE') EXECUTE FUNCTION et(); COMMENT ON EVENT TRIGGER evt IS 'e'",
    ),
    Pair(
        "event trigger state",
        "CREATE FUNCTION et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER evt ON sql_drop EXECUTE FUNCTION et()",
        "CREATE FUNCTION et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER evt ON sql_drop EXECUTE FUNCTION et(); ALTER EVENT TRIGGER evt DISABLE",
    ),
    # rules
    Pair(
        "rules",
        "",
        "CREATE RULE r1 AS ON INSERT TO t WHERE NEW.b > 5 DO ALSO NOTHING; CREATE RULE r2 AS ON DELETE TO t DO INSTEAD UPDATE t SET a = 'gone' WHERE id = OLD.id; ALTER TABLE t DISABLE RULE r1; COMMENT ON RULE r2 ON t IS 'r'",
        _T,
    ),
    Pair(
        "rule changes",
        "CREATE RULE r AS ON UPDATE TO t DO INSTEAD NOTHING",
        "CREATE RULE r AS ON UPDATE TO t DO ALSO NOTHING; ALTER TABLE t ENABLE ALWAYS RULE r",
        _T,
    ),
    Pair(
        "rule over a column that changes its type",
        "CREATE RULE r AS ON UPDATE TO t WHERE NEW.b > 1 DO INSTEAD NOTHING",
        "ALTER TABLE t ALTER b TYPE bigint; CREATE RULE r AS ON UPDATE TO t WHERE NEW.b > 1 DO INSTEAD NOTHING",
        _T,
    ),
    # policies
    Pair(
        "policies",
        "",
        "CREATE POLICY p1 ON t AS RESTRICTIVE FOR UPDATE TO CURRENT_USER USING (b > 0) WITH CHECK (b > 1); CREATE POLICY p2 ON t; COMMENT ON POLICY p2 ON t IS 'p'; ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        _T,
    ),
    Pair(
        "policy in place",
        "CREATE POLICY p ON t USING (b > 0)",
        "CREATE POLICY p ON t TO CURRENT_USER USING (b > 1) WITH CHECK (a <> '')",
        _T,
    ),
    Pair(
        "policy replaced",
        "CREATE POLICY p ON t FOR SELECT USING (b > 0)",
        "CREATE POLICY p ON t AS RESTRICTIVE FOR DELETE USING (b > 0)",
        _T,
    ),
    Pair(
        "policy over another table and a column that changes",
        "CREATE TABLE o (id int, who text); CREATE POLICY p ON t USING (EXISTS (SELECT FROM o WHERE o.id = t.b))",
        "CREATE TABLE o (id bigint, who text); CREATE POLICY p ON t USING (EXISTS (SELECT FROM o WHERE o.id = t.b))",
        _T,
    ),
    Pair(
        "policies over each other's tables",
        "",
        "CREATE TABLE o (id int); CREATE POLICY p ON t USING (EXISTS (SELECT FROM o WHERE o.id = t.b)); CREATE POLICY q ON o USING (EXISTS (SELECT FROM t WHERE o.id = t.b))",
        _T,
    ),
)
