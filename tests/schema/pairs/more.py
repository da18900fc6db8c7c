"""Pairs written without looking at the others, as a stranger to the engine would: every kind once more, and many a type."""

from __future__ import annotations

from ..proof import Pair

_COMMON_0 = "CREATE TABLE t (id integer PRIMARY KEY, a text, b integer DEFAULT 1); "

_COMMON_1 = "CREATE TABLE ix(a int, b text, c jsonb, d tsrange, e int[], f point); "

_COMMON_2 = (
    "CREATE TABLE t (id integer PRIMARY KEY, a text, b integer DEFAULT 1); "
    "CREATE FUNCTION f(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'; "
    "CREATE VIEW v AS SELECT a FROM t; "
    "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
    "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf(); "
    "CREATE POLICY po ON t; "
    "CREATE SEQUENCE sq; "
    "CREATE TYPE ty AS ENUM('a'); "
    "CREATE DOMAIN dm AS int; "
    "CREATE RULE ru AS ON DELETE TO t DO INSTEAD NOTHING; "
    "CREATE STATISTICS stt ON a, b FROM t; "
    "CREATE MATERIALIZED VIEW mv AS SELECT a FROM t; "
    "CREATE INDEX mi ON mv(a); "
    "CREATE PROCEDURE pr(text) LANGUAGE sql AS 'SELECT 1'; "
    "CREATE AGGREGATE ag(integer) (SFUNC=int4pl, STYPE=integer); "
    "CREATE OPERATOR ### (LEFTARG=integer, RIGHTARG=integer, FUNCTION=int4pl); "
    "CREATE FUNCTION tt(ty) RETURNS text LANGUAGE sql AS 'SELECT ''x'''; "
    "CREATE CAST (ty AS text) WITH FUNCTION tt(ty); "
    'CREATE COLLATION co FROM "C"; '
    "CREATE EXTENSION hstore; "
    "CREATE FOREIGN DATA WRAPPER fw; "
    "CREATE SERVER sv FOREIGN DATA WRAPPER fw; "
    "CREATE FOREIGN TABLE ft (x int) SERVER sv; "
    "CREATE PUBLICATION pu; "
    "CREATE FUNCTION ef() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; "
    "CREATE EVENT TRIGGER et ON ddl_command_start WHEN TAG IN ('CREATE CAST') EXECUTE FUNCTION ef(); "
    "CREATE TEXT SEARCH CONFIGURATION tc (COPY=english); "
    "CREATE TEXT SEARCH DICTIONARY td (TEMPLATE=simple); "
    "CREATE TYPE ct AS (x int); "
    "CREATE CONVERSION cv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8; "
    "CREATE OPERATOR FAMILY ofa USING btree; "
    "CREATE OPERATOR CLASS oc FOR TYPE integer USING btree FAMILY ofa AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int4,int4); "
)

MORE = (
    Pair(
        "more: fillfactor changed",
        "ALTER TABLE t SET (fillfactor=80)",
        "ALTER TABLE t SET (fillfactor=70, autovacuum_vacuum_scale_factor=0.02)",
        _COMMON_0,
    ),
    Pair("more: toast option", "", "ALTER TABLE t SET (toast.autovacuum_enabled=false)", _COMMON_0),
    Pair("more: toast tuple target", "ALTER TABLE t SET (toast_tuple_target=256)", "", _COMMON_0),
    Pair("more: unlogged with seq", "CREATE TABLE s (id serial, x int)", "CREATE UNLOGGED TABLE s (id serial, x int)"),
    Pair(
        "more: unlogged identity",
        "CREATE TABLE s (id int generated always as identity, x int)",
        "CREATE UNLOGGED TABLE s (id int generated always as identity, x int)",
    ),
    Pair(
        "more: parallel workers",
        "ALTER TABLE t SET (parallel_workers=2)",
        "ALTER TABLE t SET (parallel_workers=4)",
        _COMMON_0,
    ),
    Pair(
        "more: replica identity index dropped",
        "CREATE TABLE r(a int not null, b int); CREATE UNIQUE INDEX ri ON r(a); ALTER TABLE r REPLICA IDENTITY USING INDEX ri",
        "CREATE TABLE r(a int not null, b int)",
    ),
    Pair(
        "more: replica identity other index",
        "CREATE TABLE r(a int not null, b int not null); CREATE UNIQUE INDEX ri ON r(a); CREATE UNIQUE INDEX rj ON r(b); ALTER TABLE r REPLICA IDENTITY USING INDEX ri",
        "CREATE TABLE r(a int not null, b int not null); CREATE UNIQUE INDEX ri ON r(a); CREATE UNIQUE INDEX rj ON r(b); ALTER TABLE r REPLICA IDENTITY USING INDEX rj",
    ),
    Pair(
        "more: replica identity index changed def",
        "CREATE TABLE r(a int not null, b int not null); CREATE UNIQUE INDEX ri ON r(a); ALTER TABLE r REPLICA IDENTITY USING INDEX ri",
        "CREATE TABLE r(a int not null, b int not null); CREATE UNIQUE INDEX ri ON r(b);  ALTER TABLE r REPLICA IDENTITY USING INDEX ri",
    ),
    Pair(
        "more: replica identity pk replaced",
        "CREATE TABLE r(a int not null, b int not null, primary key(a)); ALTER TABLE r REPLICA IDENTITY USING INDEX r_pkey",
        "CREATE TABLE r(a int not null, b int not null, primary key(a,b)); ALTER TABLE r REPLICA IDENTITY USING INDEX r_pkey",
    ),
    Pair(
        "more: cluster index replaced",
        "CREATE TABLE r(a int, b int); CREATE INDEX ci ON r(a); ALTER TABLE r CLUSTER ON ci",
        "CREATE TABLE r(a int, b int); CREATE INDEX ci ON r(b); ALTER TABLE r CLUSTER ON ci",
    ),
    Pair(
        "more: partition key changed to range",
        "CREATE TABLE pk(a int, b int) PARTITION BY LIST (a)",
        "CREATE TABLE pk(a int, b int) PARTITION BY RANGE (a)",
    ),
    Pair(
        "more: hash partitions",
        "CREATE TABLE h(a int) PARTITION BY HASH(a); CREATE TABLE h0 PARTITION OF h FOR VALUES WITH (modulus 2, remainder 0)",
        "CREATE TABLE h(a int) PARTITION BY HASH(a); CREATE TABLE h0 PARTITION OF h FOR VALUES WITH (modulus 4, remainder 0); CREATE TABLE h1 PARTITION OF h FOR VALUES WITH (modulus 4, remainder 1)",
    ),
    Pair("more: type integer to bigint", "CREATE TABLE c (k int, v integer)", "CREATE TABLE c (k int, v bigint)"),
    Pair("more: type bigint to integer", "CREATE TABLE c (k int, v bigint)", "CREATE TABLE c (k int, v integer)"),
    Pair("more: type text to integer", "CREATE TABLE c (k int, v text)", "CREATE TABLE c (k int, v integer)"),
    Pair("more: type integer to text", "CREATE TABLE c (k int, v integer)", "CREATE TABLE c (k int, v text)"),
    Pair(
        "more: type varchar(10) to varchar(20)",
        "CREATE TABLE c (k int, v varchar(10))",
        "CREATE TABLE c (k int, v varchar(20))",
    ),
    Pair(
        "more: type varchar(20) to varchar(10)",
        "CREATE TABLE c (k int, v varchar(20))",
        "CREATE TABLE c (k int, v varchar(10))",
    ),
    Pair("more: type text to varchar(5)", "CREATE TABLE c (k int, v text)", "CREATE TABLE c (k int, v varchar(5))"),
    Pair("more: type char(5) to text", "CREATE TABLE c (k int, v char(5))", "CREATE TABLE c (k int, v text)"),
    Pair(
        "more: type numeric(10,2) to numeric(12,4)",
        "CREATE TABLE c (k int, v numeric(10,2))",
        "CREATE TABLE c (k int, v numeric(12,4))",
    ),
    Pair("more: type numeric to integer", "CREATE TABLE c (k int, v numeric)", "CREATE TABLE c (k int, v integer)"),
    Pair(
        "more: type timestamp to timestamptz",
        "CREATE TABLE c (k int, v timestamp)",
        "CREATE TABLE c (k int, v timestamptz)",
    ),
    Pair(
        "more: type timestamptz to timestamp",
        "CREATE TABLE c (k int, v timestamptz)",
        "CREATE TABLE c (k int, v timestamp)",
    ),
    Pair("more: type date to timestamp", "CREATE TABLE c (k int, v date)", "CREATE TABLE c (k int, v timestamp)"),
    Pair("more: type timestamp to date", "CREATE TABLE c (k int, v timestamp)", "CREATE TABLE c (k int, v date)"),
    Pair("more: type time to timetz", "CREATE TABLE c (k int, v time)", "CREATE TABLE c (k int, v timetz)"),
    Pair("more: type text to uuid", "CREATE TABLE c (k int, v text)", "CREATE TABLE c (k int, v uuid)"),
    Pair("more: type uuid to text", "CREATE TABLE c (k int, v uuid)", "CREATE TABLE c (k int, v text)"),
    Pair("more: type text to jsonb", "CREATE TABLE c (k int, v text)", "CREATE TABLE c (k int, v jsonb)"),
    Pair("more: type json to jsonb", "CREATE TABLE c (k int, v json)", "CREATE TABLE c (k int, v jsonb)"),
    Pair("more: type jsonb to text", "CREATE TABLE c (k int, v jsonb)", "CREATE TABLE c (k int, v text)"),
    Pair("more: type text to bytea", "CREATE TABLE c (k int, v text)", "CREATE TABLE c (k int, v bytea)"),
    Pair("more: type boolean to integer", "CREATE TABLE c (k int, v boolean)", "CREATE TABLE c (k int, v integer)"),
    Pair("more: type integer to boolean", "CREATE TABLE c (k int, v integer)", "CREATE TABLE c (k int, v boolean)"),
    Pair("more: type text to boolean", "CREATE TABLE c (k int, v text)", "CREATE TABLE c (k int, v boolean)"),
    Pair("more: type text to text[]", "CREATE TABLE c (k int, v text)", "CREATE TABLE c (k int, v text[])"),
    Pair(
        "more: type integer[] to bigint[]", "CREATE TABLE c (k int, v integer[])", "CREATE TABLE c (k int, v bigint[])"
    ),
    Pair("more: type text[] to integer[]", "CREATE TABLE c (k int, v text[])", "CREATE TABLE c (k int, v integer[])"),
    Pair(
        "more: type real to double precision",
        "CREATE TABLE c (k int, v real)",
        "CREATE TABLE c (k int, v double precision)",
    ),
    Pair("more: type inet to cidr", "CREATE TABLE c (k int, v inet)", "CREATE TABLE c (k int, v cidr)"),
    Pair("more: type cidr to text", "CREATE TABLE c (k int, v cidr)", "CREATE TABLE c (k int, v text)"),
    Pair(
        "more: type bit(4) to bit varying(8)",
        "CREATE TABLE c (k int, v bit(4))",
        "CREATE TABLE c (k int, v bit varying(8))",
    ),
    Pair(
        "more: type interval to interval day to second",
        "CREATE TABLE c (k int, v interval)",
        "CREATE TABLE c (k int, v interval day to second)",
    ),
    Pair("more: type interval to text", "CREATE TABLE c (k int, v interval)", "CREATE TABLE c (k int, v text)"),
    Pair("more: type money to numeric", "CREATE TABLE c (k int, v money)", "CREATE TABLE c (k int, v numeric)"),
    Pair("more: type point to text", "CREATE TABLE c (k int, v point)", "CREATE TABLE c (k int, v text)"),
    Pair("more: type xml to text", "CREATE TABLE c (k int, v xml)", "CREATE TABLE c (k int, v text)"),
    Pair("more: type text to xml", "CREATE TABLE c (k int, v text)", "CREATE TABLE c (k int, v xml)"),
    Pair("more: type int4range to text", "CREATE TABLE c (k int, v int4range)", "CREATE TABLE c (k int, v text)"),
    Pair("more: type text to int4range", "CREATE TABLE c (k int, v text)", "CREATE TABLE c (k int, v int4range)"),
    Pair(
        "more: type int4range to int8range",
        "CREATE TABLE c (k int, v int4range)",
        "CREATE TABLE c (k int, v int8range)",
    ),
    Pair("more: type smallint to boolean", "CREATE TABLE c (k int, v smallint)", "CREATE TABLE c (k int, v boolean)"),
    Pair("more: type oid to bigint", "CREATE TABLE c (k int, v oid)", "CREATE TABLE c (k int, v bigint)"),
    Pair("more: type name to text", "CREATE TABLE c (k int, v name)", "CREATE TABLE c (k int, v text)"),
    Pair('more: type "char" to text', 'CREATE TABLE c (k int, v "char")', "CREATE TABLE c (k int, v text)"),
    Pair("more: type tsvector to text", "CREATE TABLE c (k int, v tsvector)", "CREATE TABLE c (k int, v text)"),
    Pair("more: type text to tsvector", "CREATE TABLE c (k int, v text)", "CREATE TABLE c (k int, v tsvector)"),
    Pair("more: type macaddr to macaddr8", "CREATE TABLE c (k int, v macaddr)", "CREATE TABLE c (k int, v macaddr8)"),
    Pair("more: type jsonb to json", "CREATE TABLE c (k int, v jsonb)", "CREATE TABLE c (k int, v json)"),
    Pair("more: type text to date", "CREATE TABLE c (k int, v text)", "CREATE TABLE c (k int, v date)"),
    Pair("more: type integer to date", "CREATE TABLE c (k int, v integer)", "CREATE TABLE c (k int, v date)"),
    Pair("more: type bytea to text", "CREATE TABLE c (k int, v bytea)", "CREATE TABLE c (k int, v text)"),
    Pair("more: type bytea to uuid", "CREATE TABLE c (k int, v bytea)", "CREATE TABLE c (k int, v uuid)"),
    Pair("more: type regclass to text", "CREATE TABLE c (k int, v regclass)", "CREATE TABLE c (k int, v text)"),
    Pair("more: type varbit to text", "CREATE TABLE c (k int, v varbit)", "CREATE TABLE c (k int, v text)"),
    Pair("more: type float8 to numeric", "CREATE TABLE c (k int, v float8)", "CREATE TABLE c (k int, v numeric)"),
    Pair("more: type integer to smallint", "CREATE TABLE c (k int, v integer)", "CREATE TABLE c (k int, v smallint)"),
    Pair("more: type boolean to text", "CREATE TABLE c (k int, v boolean)", "CREATE TABLE c (k int, v text)"),
    Pair(
        "more: type with default changes", "CREATE TABLE c (v integer DEFAULT 5)", "CREATE TABLE c (v text DEFAULT 'x')"
    ),
    Pair(
        "more: type with default kept text",
        "CREATE TABLE c (v integer DEFAULT 5)",
        "CREATE TABLE c (v bigint DEFAULT 5)",
    ),
    Pair(
        "more: type with default bool",
        "CREATE TABLE c (v text DEFAULT 'true')",
        "CREATE TABLE c (v boolean DEFAULT true)",
    ),
    Pair(
        "more: type indexed",
        "CREATE TABLE c (v integer); CREATE INDEX ci ON c(v) WHERE v > 3",
        "CREATE TABLE c (v text); CREATE INDEX ci ON c(v) WHERE v > '3'",
    ),
    Pair(
        "more: type indexed opclass",
        "CREATE TABLE c (v text); CREATE INDEX ci ON c(v text_pattern_ops)",
        "CREATE TABLE c (v integer); CREATE INDEX ci ON c(v)",
    ),
    Pair(
        "more: type in pk fk",
        "CREATE TABLE a (id integer PRIMARY KEY); CREATE TABLE b (aid integer REFERENCES a)",
        "CREATE TABLE a (id bigint PRIMARY KEY); CREATE TABLE b (aid bigint REFERENCES a)",
    ),
    Pair(
        "more: type in pk fk to text",
        "CREATE TABLE a (id integer PRIMARY KEY); CREATE TABLE b (aid integer REFERENCES a)",
        "CREATE TABLE a (id text PRIMARY KEY); CREATE TABLE b (aid text REFERENCES a)",
    ),
    Pair(
        "more: type in check",
        "CREATE TABLE a (v integer CHECK (v > 0))",
        "CREATE TABLE a (v text CHECK (length(v) > 0))",
    ),
    Pair(
        "more: type to domain",
        "CREATE TABLE a (v integer)",
        "CREATE DOMAIN d AS integer CHECK (VALUE>0); CREATE TABLE a (v d)",
    ),
    Pair(
        "more: type domain to other",
        "CREATE DOMAIN d AS integer CHECK (VALUE>0); CREATE TABLE a (v d)",
        "CREATE DOMAIN e AS integer CHECK (VALUE>1); CREATE TABLE a (v e)",
    ),
    Pair(
        "more: type to enum with default",
        "CREATE TABLE a (v text DEFAULT 'x')",
        "CREATE TYPE e AS ENUM('x','y'); CREATE TABLE a (v e DEFAULT 'x')",
    ),
    Pair(
        "more: type to other enum",
        "CREATE TYPE e AS ENUM('x','y'); CREATE TABLE a (v e DEFAULT 'x')",
        "CREATE TYPE f AS ENUM('x','y','z'); CREATE TABLE a (v f DEFAULT 'y')",
    ),
    Pair(
        "more: type trigger when",
        "CREATE TABLE a (v integer); CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER x BEFORE UPDATE OF v ON a FOR EACH ROW WHEN (NEW.v IS NOT NULL) EXECUTE FUNCTION tf()",
        "CREATE TABLE a (v bigint); CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER x BEFORE UPDATE OF v ON a FOR EACH ROW WHEN (NEW.v IS NOT NULL) EXECUTE FUNCTION tf()",
    ),
    Pair(
        "more: type rls",
        "CREATE TABLE a (v integer); CREATE POLICY q ON a USING (v > 1)",
        "CREATE TABLE a (v bigint); CREATE POLICY q ON a USING (v > 1)",
    ),
    Pair(
        "more: type pub where",
        "CREATE TABLE a (v integer primary key); CREATE PUBLICATION pp FOR TABLE a WHERE (v > 1)",
        "CREATE TABLE a (v bigint primary key); CREATE PUBLICATION pp FOR TABLE a WHERE (v > 1)",
        since=15,
    ),
    Pair(
        "more: type statistics",
        "CREATE TABLE a (v integer, w int); CREATE STATISTICS st ON (v+1), w FROM a",
        "CREATE TABLE a (v bigint, w int); CREATE STATISTICS st ON (v+1), w FROM a",
    ),
    Pair(
        "more: type generated dep",
        "CREATE TABLE a (v integer, w text GENERATED ALWAYS AS (v::text) STORED)",
        "CREATE TABLE a (v bigint, w text GENERATED ALWAYS AS (v::text) STORED)",
    ),
    Pair(
        "more: type view chain",
        "CREATE TABLE a (v integer); CREATE VIEW v1 AS SELECT v FROM a; CREATE VIEW v2 AS SELECT v+1 AS x FROM v1; CREATE MATERIALIZED VIEW m AS SELECT x FROM v2; CREATE INDEX mi ON m(x); COMMENT ON VIEW v2 IS 'c'; GRANT SELECT ON v2 TO PUBLIC; COMMENT ON COLUMN m.x IS 'cc'",
        "CREATE TABLE a (v bigint); CREATE VIEW v1 AS SELECT v FROM a; CREATE VIEW v2 AS SELECT v+1 AS x FROM v1; CREATE MATERIALIZED VIEW m AS SELECT x FROM v2; CREATE INDEX mi ON m(x); COMMENT ON VIEW v2 IS 'c'; GRANT SELECT ON v2 TO PUBLIC; COMMENT ON COLUMN m.x IS 'cc'",
    ),
    Pair(
        "more: type view with trigger and rule",
        "CREATE TABLE a (v integer); CREATE VIEW v1 AS SELECT v FROM a; CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER x INSTEAD OF INSERT ON v1 FOR EACH ROW EXECUTE FUNCTION tf(); CREATE RULE r AS ON DELETE TO v1 DO INSTEAD DELETE FROM a WHERE v=OLD.v; ALTER VIEW v1 ALTER v SET DEFAULT 3",
        "CREATE TABLE a (v bigint); CREATE VIEW v1 AS SELECT v FROM a; CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER x INSTEAD OF INSERT ON v1 FOR EACH ROW EXECUTE FUNCTION tf(); CREATE RULE r AS ON DELETE TO v1 DO INSTEAD DELETE FROM a WHERE v=OLD.v; ALTER VIEW v1 ALTER v SET DEFAULT 3",
    ),
    Pair(
        "more: type function uses rowtype",
        "CREATE TABLE a (v integer); CREATE FUNCTION f(x a) RETURNS integer LANGUAGE sql AS 'SELECT x.v'; CREATE VIEW v AS SELECT f(a.*) FROM a",
        "CREATE TABLE a (v bigint); CREATE FUNCTION f(x a) RETURNS bigint LANGUAGE sql AS 'SELECT x.v'; CREATE VIEW v AS SELECT f(a.*) FROM a",
    ),
    Pair(
        "more: type atomic function",
        "CREATE TABLE a (v integer); CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM a WHERE v > 0; END",
        "CREATE TABLE a (v bigint); CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM a WHERE v > 0; END",
        since=14,
    ),
    Pair("more: collation change", "CREATE TABLE c(v text)", 'CREATE TABLE c(v text COLLATE "C")'),
    Pair(
        "more: collation and type",
        'CREATE TABLE c(v text COLLATE "C")',
        'CREATE TABLE c(v varchar(10) COLLATE "POSIX")',
    ),
    Pair("more: enum unused append", "CREATE TYPE e AS ENUM('a','b','c');", "CREATE TYPE e AS ENUM('a','b','c','d')"),
    Pair(
        "more: enum used append",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TABLE t1(v e DEFAULT 'a', w e[] DEFAULT '{a}', CHECK (v <> 'c')); CREATE INDEX ix ON t1(v) WHERE v='a'; CREATE VIEW vv AS SELECT v FROM t1 WHERE v='a'; CREATE FUNCTION fe(x e) RETURNS e LANGUAGE sql AS 'SELECT x'; CREATE POLICY pe ON t1 USING (v='a'); COMMENT ON TYPE e IS 'ee'; GRANT USAGE ON TYPE e TO pg_monitor;",
        "CREATE TYPE e AS ENUM('a','b','c','d');CREATE TABLE t1(v e DEFAULT 'a', w e[] DEFAULT '{a}', CHECK (v <> 'c')); CREATE INDEX ix ON t1(v) WHERE v='a'; CREATE VIEW vv AS SELECT v FROM t1 WHERE v='a'; CREATE FUNCTION fe(x e) RETURNS e LANGUAGE sql AS 'SELECT x'; CREATE POLICY pe ON t1 USING (v='a'); COMMENT ON TYPE e IS 'ee'; GRANT USAGE ON TYPE e TO pg_monitor;",
    ),
    Pair(
        "more: enum in composite, domain append",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TYPE cc AS (x e); CREATE DOMAIN dd AS e CHECK (VALUE <> 'a'); CREATE TABLE tt(c cc, d dd)",
        "CREATE TYPE e AS ENUM('a','b','c','d'); CREATE TYPE cc AS (x e); CREATE DOMAIN dd AS e CHECK (VALUE <> 'a'); CREATE TABLE tt(c cc, d dd)",
    ),
    Pair("more: enum unused prepend", "CREATE TYPE e AS ENUM('a','b','c');", "CREATE TYPE e AS ENUM('z','a','b','c')"),
    Pair(
        "more: enum used prepend",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TABLE t1(v e DEFAULT 'a', w e[] DEFAULT '{a}', CHECK (v <> 'c')); CREATE INDEX ix ON t1(v) WHERE v='a'; CREATE VIEW vv AS SELECT v FROM t1 WHERE v='a'; CREATE FUNCTION fe(x e) RETURNS e LANGUAGE sql AS 'SELECT x'; CREATE POLICY pe ON t1 USING (v='a'); COMMENT ON TYPE e IS 'ee'; GRANT USAGE ON TYPE e TO pg_monitor;",
        "CREATE TYPE e AS ENUM('z','a','b','c');CREATE TABLE t1(v e DEFAULT 'a', w e[] DEFAULT '{a}', CHECK (v <> 'c')); CREATE INDEX ix ON t1(v) WHERE v='a'; CREATE VIEW vv AS SELECT v FROM t1 WHERE v='a'; CREATE FUNCTION fe(x e) RETURNS e LANGUAGE sql AS 'SELECT x'; CREATE POLICY pe ON t1 USING (v='a'); COMMENT ON TYPE e IS 'ee'; GRANT USAGE ON TYPE e TO pg_monitor;",
    ),
    Pair(
        "more: enum in composite, domain prepend",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TYPE cc AS (x e); CREATE DOMAIN dd AS e CHECK (VALUE <> 'a'); CREATE TABLE tt(c cc, d dd)",
        "CREATE TYPE e AS ENUM('z','a','b','c'); CREATE TYPE cc AS (x e); CREATE DOMAIN dd AS e CHECK (VALUE <> 'a'); CREATE TABLE tt(c cc, d dd)",
    ),
    Pair(
        "more: enum unused middle", "CREATE TYPE e AS ENUM('a','b','c');", "CREATE TYPE e AS ENUM('a','x','y','b','c')"
    ),
    Pair(
        "more: enum used middle",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TABLE t1(v e DEFAULT 'a', w e[] DEFAULT '{a}', CHECK (v <> 'c')); CREATE INDEX ix ON t1(v) WHERE v='a'; CREATE VIEW vv AS SELECT v FROM t1 WHERE v='a'; CREATE FUNCTION fe(x e) RETURNS e LANGUAGE sql AS 'SELECT x'; CREATE POLICY pe ON t1 USING (v='a'); COMMENT ON TYPE e IS 'ee'; GRANT USAGE ON TYPE e TO pg_monitor;",
        "CREATE TYPE e AS ENUM('a','x','y','b','c');CREATE TABLE t1(v e DEFAULT 'a', w e[] DEFAULT '{a}', CHECK (v <> 'c')); CREATE INDEX ix ON t1(v) WHERE v='a'; CREATE VIEW vv AS SELECT v FROM t1 WHERE v='a'; CREATE FUNCTION fe(x e) RETURNS e LANGUAGE sql AS 'SELECT x'; CREATE POLICY pe ON t1 USING (v='a'); COMMENT ON TYPE e IS 'ee'; GRANT USAGE ON TYPE e TO pg_monitor;",
    ),
    Pair(
        "more: enum in composite, domain middle",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TYPE cc AS (x e); CREATE DOMAIN dd AS e CHECK (VALUE <> 'a'); CREATE TABLE tt(c cc, d dd)",
        "CREATE TYPE e AS ENUM('a','x','y','b','c'); CREATE TYPE cc AS (x e); CREATE DOMAIN dd AS e CHECK (VALUE <> 'a'); CREATE TABLE tt(c cc, d dd)",
    ),
    Pair("more: enum unused remove", "CREATE TYPE e AS ENUM('a','b','c');", "CREATE TYPE e AS ENUM('a','c')"),
    Pair(
        "more: enum used remove",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TABLE t1(v e DEFAULT 'a', w e[] DEFAULT '{a}', CHECK (v <> 'c')); CREATE INDEX ix ON t1(v) WHERE v='a'; CREATE VIEW vv AS SELECT v FROM t1 WHERE v='a'; CREATE FUNCTION fe(x e) RETURNS e LANGUAGE sql AS 'SELECT x'; CREATE POLICY pe ON t1 USING (v='a'); COMMENT ON TYPE e IS 'ee'; GRANT USAGE ON TYPE e TO pg_monitor;",
        "CREATE TYPE e AS ENUM('a','c');CREATE TABLE t1(v e DEFAULT 'a', w e[] DEFAULT '{a}', CHECK (v <> 'c')); CREATE INDEX ix ON t1(v) WHERE v='a'; CREATE VIEW vv AS SELECT v FROM t1 WHERE v='a'; CREATE FUNCTION fe(x e) RETURNS e LANGUAGE sql AS 'SELECT x'; CREATE POLICY pe ON t1 USING (v='a'); COMMENT ON TYPE e IS 'ee'; GRANT USAGE ON TYPE e TO pg_monitor;",
    ),
    Pair(
        "more: enum in composite, domain remove",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TYPE cc AS (x e); CREATE DOMAIN dd AS e CHECK (VALUE <> 'a'); CREATE TABLE tt(c cc, d dd)",
        "CREATE TYPE e AS ENUM('a','c'); CREATE TYPE cc AS (x e); CREATE DOMAIN dd AS e CHECK (VALUE <> 'a'); CREATE TABLE tt(c cc, d dd)",
    ),
    Pair("more: enum unused reorder", "CREATE TYPE e AS ENUM('a','b','c');", "CREATE TYPE e AS ENUM('c','b','a')"),
    Pair(
        "more: enum used reorder",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TABLE t1(v e DEFAULT 'a', w e[] DEFAULT '{a}', CHECK (v <> 'c')); CREATE INDEX ix ON t1(v) WHERE v='a'; CREATE VIEW vv AS SELECT v FROM t1 WHERE v='a'; CREATE FUNCTION fe(x e) RETURNS e LANGUAGE sql AS 'SELECT x'; CREATE POLICY pe ON t1 USING (v='a'); COMMENT ON TYPE e IS 'ee'; GRANT USAGE ON TYPE e TO pg_monitor;",
        "CREATE TYPE e AS ENUM('c','b','a');CREATE TABLE t1(v e DEFAULT 'a', w e[] DEFAULT '{a}', CHECK (v <> 'c')); CREATE INDEX ix ON t1(v) WHERE v='a'; CREATE VIEW vv AS SELECT v FROM t1 WHERE v='a'; CREATE FUNCTION fe(x e) RETURNS e LANGUAGE sql AS 'SELECT x'; CREATE POLICY pe ON t1 USING (v='a'); COMMENT ON TYPE e IS 'ee'; GRANT USAGE ON TYPE e TO pg_monitor;",
    ),
    Pair(
        "more: enum in composite, domain reorder",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TYPE cc AS (x e); CREATE DOMAIN dd AS e CHECK (VALUE <> 'a'); CREATE TABLE tt(c cc, d dd)",
        "CREATE TYPE e AS ENUM('c','b','a'); CREATE TYPE cc AS (x e); CREATE DOMAIN dd AS e CHECK (VALUE <> 'a'); CREATE TABLE tt(c cc, d dd)",
    ),
    Pair("more: enum unused replace", "CREATE TYPE e AS ENUM('a','b','c');", "CREATE TYPE e AS ENUM('a','q','c')"),
    Pair(
        "more: enum used replace",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TABLE t1(v e DEFAULT 'a', w e[] DEFAULT '{a}', CHECK (v <> 'c')); CREATE INDEX ix ON t1(v) WHERE v='a'; CREATE VIEW vv AS SELECT v FROM t1 WHERE v='a'; CREATE FUNCTION fe(x e) RETURNS e LANGUAGE sql AS 'SELECT x'; CREATE POLICY pe ON t1 USING (v='a'); COMMENT ON TYPE e IS 'ee'; GRANT USAGE ON TYPE e TO pg_monitor;",
        "CREATE TYPE e AS ENUM('a','q','c');CREATE TABLE t1(v e DEFAULT 'a', w e[] DEFAULT '{a}', CHECK (v <> 'c')); CREATE INDEX ix ON t1(v) WHERE v='a'; CREATE VIEW vv AS SELECT v FROM t1 WHERE v='a'; CREATE FUNCTION fe(x e) RETURNS e LANGUAGE sql AS 'SELECT x'; CREATE POLICY pe ON t1 USING (v='a'); COMMENT ON TYPE e IS 'ee'; GRANT USAGE ON TYPE e TO pg_monitor;",
    ),
    Pair(
        "more: enum in composite, domain replace",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TYPE cc AS (x e); CREATE DOMAIN dd AS e CHECK (VALUE <> 'a'); CREATE TABLE tt(c cc, d dd)",
        "CREATE TYPE e AS ENUM('a','q','c'); CREATE TYPE cc AS (x e); CREATE DOMAIN dd AS e CHECK (VALUE <> 'a'); CREATE TABLE tt(c cc, d dd)",
    ),
    Pair("more: enum unused all other", "CREATE TYPE e AS ENUM('a','b','c');", "CREATE TYPE e AS ENUM('m','n')"),
    Pair("more: enum unused empty", "CREATE TYPE e AS ENUM('a','b','c');", "CREATE TYPE e AS ENUM()"),
    Pair(
        "more: enum default new value",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TABLE t1(v e DEFAULT 'a')",
        "CREATE TYPE e AS ENUM('a','b','c','d'); CREATE TABLE t1(v e DEFAULT 'd', CHECK (v <> 'd'))",
    ),
    Pair(
        "more: enum partition key",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TABLE pt(v e) PARTITION BY LIST(v); CREATE TABLE pa PARTITION OF pt FOR VALUES IN ('a')",
        "CREATE TYPE e AS ENUM('a','b','c','d'); CREATE TABLE pt(v e) PARTITION BY LIST(v); CREATE TABLE pa PARTITION OF pt FOR VALUES IN ('a'); CREATE TABLE pd PARTITION OF pt FOR VALUES IN ('d')",
    ),
    Pair(
        "more: enum moved to schema",
        "CREATE TYPE e AS ENUM('a','b','c');CREATE TABLE t1(v e)",
        "CREATE SCHEMA s; CREATE TYPE s.e AS ENUM('a','b','c'); CREATE TABLE t1(v s.e)",
    ),
    Pair(
        "more: domain check added",
        "CREATE DOMAIN d AS text;CREATE TABLE td(x d, y d[]);",
        "CREATE DOMAIN d AS text CHECK (VALUE <> '');CREATE TABLE td(x d, y d[]);",
    ),
    Pair(
        "more: domain default",
        "CREATE DOMAIN d AS text;CREATE TABLE td(x d, y d[]);",
        "CREATE DOMAIN d AS text DEFAULT 'q';CREATE TABLE td(x d, y d[]);",
    ),
    Pair(
        "more: domain not null",
        "CREATE DOMAIN d AS text;CREATE TABLE td(x d, y d[]);",
        "CREATE DOMAIN d AS text NOT NULL;CREATE TABLE td(x d, y d[]);",
    ),
    Pair(
        "more: domain base",
        "CREATE DOMAIN d AS text;CREATE TABLE td(x d, y d[]);",
        "CREATE DOMAIN d AS varchar(7);CREATE TABLE td(x d, y d[]);",
    ),
    Pair(
        "more: domain collation",
        "CREATE DOMAIN d AS text;CREATE TABLE td(x d, y d[]);",
        'CREATE DOMAIN d AS text COLLATE "C";CREATE TABLE td(x d, y d[]);',
    ),
    Pair(
        "more: domain check renamed",
        "CREATE DOMAIN d AS int CONSTRAINT c1 CHECK (VALUE>0)",
        "CREATE DOMAIN d AS int CONSTRAINT c2 CHECK (VALUE>0)",
    ),
    Pair(
        "more: domain check changed",
        "CREATE DOMAIN d AS int CONSTRAINT c1 CHECK (VALUE>0);CREATE TABLE q(v d)",
        "CREATE DOMAIN d AS int CONSTRAINT c1 CHECK (VALUE>1);CREATE TABLE q(v d)",
    ),
    Pair(
        "more: domain not valid",
        "CREATE DOMAIN d AS int",
        "CREATE DOMAIN d AS int; ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE>0) NOT VALID",
    ),
    Pair(
        "more: domain over domain",
        "CREATE DOMAIN d AS int",
        "CREATE DOMAIN d AS int CHECK(VALUE>0); CREATE DOMAIN d2 AS d CHECK(VALUE<10); CREATE TABLE q(v d2)",
    ),
    Pair(
        "more: domain check with function",
        "",
        "CREATE FUNCTION ok(x int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT x>0'; CREATE DOMAIN d AS int CHECK(ok(VALUE)); CREATE TABLE q(v d); CREATE FUNCTION use(x d) RETURNS d LANGUAGE sql AS 'SELECT x'",
    ),
    Pair(
        "more: domain comment",
        "CREATE DOMAIN d AS int CONSTRAINT c1 CHECK (VALUE>0)",
        "CREATE DOMAIN d AS int CONSTRAINT c1 CHECK (VALUE>0); COMMENT ON DOMAIN d IS 'x'; COMMENT ON CONSTRAINT c1 ON DOMAIN d IS 'y'",
    ),
    Pair("more: comment on TABLE t", "COMMENT ON TABLE t IS 'one'", "COMMENT ON TABLE t IS 'two''s'", _COMMON_2),
    Pair(
        "more: comment on COLUMN t.a", "COMMENT ON COLUMN t.a IS 'one'", "COMMENT ON COLUMN t.a IS 'two''s'", _COMMON_2
    ),
    Pair(
        "more: comment on INDEX t_pkey",
        "COMMENT ON INDEX t_pkey IS 'one'",
        "COMMENT ON INDEX t_pkey IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on CONSTRAINT t_pkey ON t",
        "COMMENT ON CONSTRAINT t_pkey ON t IS 'one'",
        "COMMENT ON CONSTRAINT t_pkey ON t IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on SCHEMA public",
        "COMMENT ON SCHEMA public IS 'one'",
        "COMMENT ON SCHEMA public IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on FUNCTION f(integer)",
        "COMMENT ON FUNCTION f(integer) IS 'one'",
        "COMMENT ON FUNCTION f(integer) IS 'two''s'",
        _COMMON_2,
    ),
    Pair("more: comment on VIEW v", "COMMENT ON VIEW v IS 'one'", "COMMENT ON VIEW v IS 'two''s'", _COMMON_2),
    Pair(
        "more: comment on COLUMN v.a", "COMMENT ON COLUMN v.a IS 'one'", "COMMENT ON COLUMN v.a IS 'two''s'", _COMMON_2
    ),
    Pair(
        "more: comment on TRIGGER tr ON t",
        "COMMENT ON TRIGGER tr ON t IS 'one'",
        "COMMENT ON TRIGGER tr ON t IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on POLICY po ON t",
        "COMMENT ON POLICY po ON t IS 'one'",
        "COMMENT ON POLICY po ON t IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on SEQUENCE sq",
        "COMMENT ON SEQUENCE sq IS 'one'",
        "COMMENT ON SEQUENCE sq IS 'two''s'",
        _COMMON_2,
    ),
    Pair("more: comment on TYPE ty", "COMMENT ON TYPE ty IS 'one'", "COMMENT ON TYPE ty IS 'two''s'", _COMMON_2),
    Pair("more: comment on DOMAIN dm", "COMMENT ON DOMAIN dm IS 'one'", "COMMENT ON DOMAIN dm IS 'two''s'", _COMMON_2),
    Pair(
        "more: comment on RULE ru ON t",
        "COMMENT ON RULE ru ON t IS 'one'",
        "COMMENT ON RULE ru ON t IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on STATISTICS stt",
        "COMMENT ON STATISTICS stt IS 'one'",
        "COMMENT ON STATISTICS stt IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on MATERIALIZED VIEW mv",
        "COMMENT ON MATERIALIZED VIEW mv IS 'one'",
        "COMMENT ON MATERIALIZED VIEW mv IS 'two''s'",
        _COMMON_2,
    ),
    Pair("more: comment on INDEX mi", "COMMENT ON INDEX mi IS 'one'", "COMMENT ON INDEX mi IS 'two''s'", _COMMON_2),
    Pair(
        "more: comment on PROCEDURE pr(text)",
        "COMMENT ON PROCEDURE pr(text) IS 'one'",
        "COMMENT ON PROCEDURE pr(text) IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on AGGREGATE ag(integer)",
        "COMMENT ON AGGREGATE ag(integer) IS 'one'",
        "COMMENT ON AGGREGATE ag(integer) IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on OPERATOR ### (integer, integer)",
        "COMMENT ON OPERATOR ### (integer, integer) IS 'one'",
        "COMMENT ON OPERATOR ### (integer, integer) IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on CAST (ty AS text)",
        "COMMENT ON CAST (ty AS text) IS 'one'",
        "COMMENT ON CAST (ty AS text) IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on COLLATION co",
        "COMMENT ON COLLATION co IS 'one'",
        "COMMENT ON COLLATION co IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on EXTENSION hstore",
        "COMMENT ON EXTENSION hstore IS 'one'",
        "COMMENT ON EXTENSION hstore IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on FOREIGN DATA WRAPPER fw",
        "COMMENT ON FOREIGN DATA WRAPPER fw IS 'one'",
        "COMMENT ON FOREIGN DATA WRAPPER fw IS 'two''s'",
        _COMMON_2,
    ),
    Pair("more: comment on SERVER sv", "COMMENT ON SERVER sv IS 'one'", "COMMENT ON SERVER sv IS 'two''s'", _COMMON_2),
    Pair(
        "more: comment on FOREIGN TABLE ft",
        "COMMENT ON FOREIGN TABLE ft IS 'one'",
        "COMMENT ON FOREIGN TABLE ft IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on PUBLICATION pu",
        "COMMENT ON PUBLICATION pu IS 'one'",
        "COMMENT ON PUBLICATION pu IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on EVENT TRIGGER et",
        "COMMENT ON EVENT TRIGGER et IS 'one'",
        "COMMENT ON EVENT TRIGGER et IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on TEXT SEARCH CONFIGURATION tc",
        "COMMENT ON TEXT SEARCH CONFIGURATION tc IS 'one'",
        "COMMENT ON TEXT SEARCH CONFIGURATION tc IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on TEXT SEARCH DICTIONARY td",
        "COMMENT ON TEXT SEARCH DICTIONARY td IS 'one'",
        "COMMENT ON TEXT SEARCH DICTIONARY td IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on LANGUAGE plpgsql",
        "COMMENT ON LANGUAGE plpgsql IS 'one'",
        "COMMENT ON LANGUAGE plpgsql IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on COLUMN ct.x",
        "COMMENT ON COLUMN ct.x IS 'one'",
        "COMMENT ON COLUMN ct.x IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on CONVERSION cv",
        "COMMENT ON CONVERSION cv IS 'one'",
        "COMMENT ON CONVERSION cv IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on OPERATOR FAMILY ofa USING btree",
        "COMMENT ON OPERATOR FAMILY ofa USING btree IS 'one'",
        "COMMENT ON OPERATOR FAMILY ofa USING btree IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: comment on OPERATOR CLASS oc USING btree",
        "COMMENT ON OPERATOR CLASS oc USING btree IS 'one'",
        "COMMENT ON OPERATOR CLASS oc USING btree IS 'two''s'",
        _COMMON_2,
    ),
    Pair(
        "more: everything from nothing",
        "",
        "CREATE TABLE t (id integer PRIMARY KEY, a text, b integer DEFAULT 1);CREATE FUNCTION f(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT a FROM t; CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf(); CREATE POLICY po ON t; CREATE SEQUENCE sq; CREATE TYPE ty AS ENUM('a'); CREATE DOMAIN dm AS int; CREATE RULE ru AS ON DELETE TO t DO INSTEAD NOTHING; CREATE STATISTICS stt ON a, b FROM t; CREATE MATERIALIZED VIEW mv AS SELECT a FROM t; CREATE INDEX mi ON mv(a); CREATE PROCEDURE pr(text) LANGUAGE sql AS 'SELECT 1'; CREATE AGGREGATE ag(integer) (SFUNC=int4pl, STYPE=integer); CREATE OPERATOR ### (LEFTARG=integer, RIGHTARG=integer, FUNCTION=int4pl); CREATE FUNCTION tt(ty) RETURNS text LANGUAGE sql AS 'SELECT ''x'''; CREATE CAST (ty AS text) WITH FUNCTION tt(ty); CREATE COLLATION co FROM \"C\"; CREATE EXTENSION hstore; CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER sv FOREIGN DATA WRAPPER fw; CREATE FOREIGN TABLE ft (x int) SERVER sv; CREATE PUBLICATION pu; CREATE FUNCTION ef() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER et ON ddl_command_start WHEN TAG IN ('CREATE CAST') EXECUTE FUNCTION ef(); CREATE TEXT SEARCH CONFIGURATION tc (COPY=english); CREATE TEXT SEARCH DICTIONARY td (TEMPLATE=simple); CREATE TYPE ct AS (x int); CREATE CONVERSION cv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8; CREATE OPERATOR FAMILY ofa USING btree; CREATE OPERATOR CLASS oc FOR TYPE integer USING btree FAMILY ofa AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int4,int4);",
    ),
    Pair(
        "more: grant SELECT ON t",
        "GRANT SELECT ON t TO pg_monitor",
        "GRANT SELECT ON t TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair("more: revoke from public SELECT ON t", "", "REVOKE SELECT ON t FROM PUBLIC", _COMMON_2),
    Pair(
        "more: grant ALL ON t",
        "GRANT ALL ON t TO pg_monitor",
        "GRANT ALL ON t TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair("more: revoke from public ALL ON t", "", "REVOKE ALL ON t FROM PUBLIC", _COMMON_2),
    Pair(
        "more: grant SELECT (a), UPDATE (b) ON t",
        "GRANT SELECT (a), UPDATE (b) ON t TO pg_monitor",
        "GRANT SELECT (a), UPDATE (b) ON t TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair(
        "more: grant USAGE ON SCHEMA public",
        "GRANT USAGE ON SCHEMA public TO pg_monitor",
        "GRANT USAGE ON SCHEMA public TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair("more: revoke from public USAGE ON SCHEMA public", "", "REVOKE USAGE ON SCHEMA public FROM PUBLIC", _COMMON_2),
    Pair(
        "more: grant CREATE ON SCHEMA public",
        "GRANT CREATE ON SCHEMA public TO pg_monitor",
        "GRANT CREATE ON SCHEMA public TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair(
        "more: revoke from public CREATE ON SCHEMA public", "", "REVOKE CREATE ON SCHEMA public FROM PUBLIC", _COMMON_2
    ),
    Pair(
        "more: grant EXECUTE ON FUNCTION f(integer)",
        "GRANT EXECUTE ON FUNCTION f(integer) TO pg_monitor",
        "GRANT EXECUTE ON FUNCTION f(integer) TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair(
        "more: revoke from public EXECUTE ON FUNCTION f(integer)",
        "",
        "REVOKE EXECUTE ON FUNCTION f(integer) FROM PUBLIC",
        _COMMON_2,
    ),
    Pair(
        "more: grant USAGE ON SEQUENCE sq",
        "GRANT USAGE ON SEQUENCE sq TO pg_monitor",
        "GRANT USAGE ON SEQUENCE sq TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair("more: revoke from public USAGE ON SEQUENCE sq", "", "REVOKE USAGE ON SEQUENCE sq FROM PUBLIC", _COMMON_2),
    Pair(
        "more: grant USAGE ON TYPE ty",
        "GRANT USAGE ON TYPE ty TO pg_monitor",
        "GRANT USAGE ON TYPE ty TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair("more: revoke from public USAGE ON TYPE ty", "", "REVOKE USAGE ON TYPE ty FROM PUBLIC", _COMMON_2),
    Pair(
        "more: grant USAGE ON DOMAIN dm",
        "GRANT USAGE ON DOMAIN dm TO pg_monitor",
        "GRANT USAGE ON DOMAIN dm TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair("more: revoke from public USAGE ON DOMAIN dm", "", "REVOKE USAGE ON DOMAIN dm FROM PUBLIC", _COMMON_2),
    Pair(
        "more: grant USAGE ON FOREIGN SERVER sv",
        "GRANT USAGE ON FOREIGN SERVER sv TO pg_monitor",
        "GRANT USAGE ON FOREIGN SERVER sv TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair(
        "more: revoke from public USAGE ON FOREIGN SERVER sv",
        "",
        "REVOKE USAGE ON FOREIGN SERVER sv FROM PUBLIC",
        _COMMON_2,
    ),
    Pair(
        "more: grant USAGE ON FOREIGN DATA WRAPPER fw",
        "GRANT USAGE ON FOREIGN DATA WRAPPER fw TO pg_monitor",
        "GRANT USAGE ON FOREIGN DATA WRAPPER fw TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair(
        "more: revoke from public USAGE ON FOREIGN DATA WRAPPER fw",
        "",
        "REVOKE USAGE ON FOREIGN DATA WRAPPER fw FROM PUBLIC",
        _COMMON_2,
    ),
    Pair(
        "more: grant USAGE ON LANGUAGE plpgsql",
        "GRANT USAGE ON LANGUAGE plpgsql TO pg_monitor",
        "GRANT USAGE ON LANGUAGE plpgsql TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair(
        "more: revoke from public USAGE ON LANGUAGE plpgsql",
        "",
        "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC",
        _COMMON_2,
    ),
    Pair(
        "more: grant SELECT ON v",
        "GRANT SELECT ON v TO pg_monitor",
        "GRANT SELECT ON v TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair("more: revoke from public SELECT ON v", "", "REVOKE SELECT ON v FROM PUBLIC", _COMMON_2),
    Pair(
        "more: grant EXECUTE ON PROCEDURE pr(text)",
        "GRANT EXECUTE ON PROCEDURE pr(text) TO pg_monitor",
        "GRANT EXECUTE ON PROCEDURE pr(text) TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair(
        "more: revoke from public EXECUTE ON PROCEDURE pr(text)",
        "",
        "REVOKE EXECUTE ON PROCEDURE pr(text) FROM PUBLIC",
        _COMMON_2,
    ),
    Pair(
        "more: grant EXECUTE ON ROUTINE f(integer)",
        "GRANT EXECUTE ON ROUTINE f(integer) TO pg_monitor",
        "GRANT EXECUTE ON ROUTINE f(integer) TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair(
        "more: revoke from public EXECUTE ON ROUTINE f(integer)",
        "",
        "REVOKE EXECUTE ON ROUTINE f(integer) FROM PUBLIC",
        _COMMON_2,
    ),
    Pair(
        "more: grant EXECUTE ON FUNCTION ag(integer)",
        "GRANT EXECUTE ON FUNCTION ag(integer) TO pg_monitor",
        "GRANT EXECUTE ON FUNCTION ag(integer) TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair(
        "more: revoke from public EXECUTE ON FUNCTION ag(integer)",
        "",
        "REVOKE EXECUTE ON FUNCTION ag(integer) FROM PUBLIC",
        _COMMON_2,
    ),
    Pair(
        "more: grant SELECT ON mv",
        "GRANT SELECT ON mv TO pg_monitor",
        "GRANT SELECT ON mv TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair("more: revoke from public SELECT ON mv", "", "REVOKE SELECT ON mv FROM PUBLIC", _COMMON_2),
    Pair(
        "more: grant SELECT ON ft",
        "GRANT SELECT ON ft TO pg_monitor",
        "GRANT SELECT ON ft TO pg_read_all_data WITH GRANT OPTION",
        _COMMON_2,
    ),
    Pair("more: revoke from public SELECT ON ft", "", "REVOKE SELECT ON ft FROM PUBLIC", _COMMON_2),
    Pair("more: revoke owner", "", "REVOKE DELETE ON t FROM postgres", _COMMON_0),
    Pair(
        "more: default privileges",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT ON TABLES TO pg_monitor; ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC; ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC; CREATE TABLE fresh(x int); CREATE FUNCTION ff() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ),
    Pair(
        "more: default privileges removed",
        "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC; CREATE FUNCTION ff() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION ff() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION f2() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ),
    Pair(
        "more: default privileges schemas",
        "",
        "CREATE SCHEMA z; ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO pg_monitor; ALTER DEFAULT PRIVILEGES IN SCHEMA z GRANT USAGE ON SEQUENCES TO PUBLIC; CREATE SEQUENCE z.q",
    ),
    Pair(
        "more: fdw handler",
        "CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER sv FOREIGN DATA WRAPPER fw OPTIONS (host 'a');CREATE FOREIGN TABLE ft (x int OPTIONS (n '1'), y text) SERVER sv OPTIONS (tn 'z')",
        "CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER sv FOREIGN DATA WRAPPER fw OPTIONS (host 'a');CREATE FOREIGN TABLE ft (x bigint OPTIONS (n '2', m '3'), w text NOT NULL) SERVER sv OPTIONS (tn 'q', o 'p'); ALTER FOREIGN TABLE ft ADD CHECK (x > 0)",
    ),
    Pair(
        "more: fdw server options",
        "CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER sv FOREIGN DATA WRAPPER fw OPTIONS (host 'a');",
        "CREATE FOREIGN DATA WRAPPER fw OPTIONS (dbg 'true'); CREATE SERVER sv TYPE 'x' VERSION '2' FOREIGN DATA WRAPPER fw OPTIONS (port '1')",
    ),
    Pair(
        "more: fdw server moved",
        "CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER sv FOREIGN DATA WRAPPER fw OPTIONS (host 'a');CREATE FOREIGN TABLE ft (x int) SERVER sv",
        "CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER sv FOREIGN DATA WRAPPER fw OPTIONS (host 'a');CREATE SERVER s2 FOREIGN DATA WRAPPER fw; CREATE FOREIGN TABLE ft (x int) SERVER s2",
    ),
    Pair(
        "more: fdw mapping",
        "CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER sv FOREIGN DATA WRAPPER fw OPTIONS (host 'a');CREATE USER MAPPING FOR PUBLIC SERVER sv OPTIONS (u 'x')",
        "CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER sv FOREIGN DATA WRAPPER fw OPTIONS (host 'a');CREATE USER MAPPING FOR PUBLIC SERVER sv OPTIONS (u 'y', p 'z'); CREATE USER MAPPING FOR postgres SERVER sv",
    ),
    Pair(
        "more: table to foreign table",
        "CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER sv FOREIGN DATA WRAPPER fw OPTIONS (host 'a');CREATE TABLE ft (x int)",
        "CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER sv FOREIGN DATA WRAPPER fw OPTIONS (host 'a');CREATE FOREIGN TABLE ft (x int) SERVER sv",
    ),
    Pair(
        "more: foreign partition",
        "CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER sv FOREIGN DATA WRAPPER fw OPTIONS (host 'a');CREATE TABLE pt(x int) PARTITION BY LIST(x)",
        "CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER sv FOREIGN DATA WRAPPER fw OPTIONS (host 'a');CREATE TABLE pt(x int) PARTITION BY LIST(x); CREATE FOREIGN TABLE fp PARTITION OF pt FOR VALUES IN (1) SERVER sv OPTIONS (a 'b')",
    ),
    Pair(
        "more: foreign table trigger",
        "CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER sv FOREIGN DATA WRAPPER fw OPTIONS (host 'a');CREATE FOREIGN TABLE ft (x int) SERVER sv;CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';",
        "CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER sv FOREIGN DATA WRAPPER fw OPTIONS (host 'a');CREATE FOREIGN TABLE ft (x int) SERVER sv;CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';CREATE TRIGGER g AFTER INSERT ON ft FOR EACH ROW EXECUTE FUNCTION tf(); COMMENT ON FOREIGN TABLE ft IS 'f'",
    ),
    Pair(
        "more: pub all tables",
        "CREATE PUBLICATION q FOR ALL TABLES",
        "CREATE PUBLICATION q FOR TABLE t (id, a) WHERE (id > 1) WITH (publish='insert')",
        _COMMON_0,
        since=15,
    ),
    Pair(
        "more: pub schemas",
        "CREATE PUBLICATION q FOR TABLES IN SCHEMA public",
        "CREATE PUBLICATION q FOR TABLE t",
        _COMMON_0,
        since=15,
    ),
    Pair(
        "more: pub options",
        "CREATE PUBLICATION q FOR TABLE t",
        "CREATE PUBLICATION q FOR TABLE t WITH (publish='insert,update', publish_via_partition_root=true)",
        _COMMON_0,
    ),
    Pair(
        "more: pub table dropped column",
        "CREATE TABLE z(id int primary key, a int, b int); CREATE PUBLICATION q FOR TABLE z (id, a)",
        "CREATE TABLE z(id int primary key, b int); CREATE PUBLICATION q FOR TABLE z (id, b)",
        since=15,
    ),
    Pair(
        "more: pub partitioned",
        "CREATE TABLE z(id int primary key) PARTITION BY LIST(id); CREATE TABLE z1 PARTITION OF z FOR VALUES IN (1); CREATE PUBLICATION q FOR TABLE z1",
        "CREATE TABLE z(id int primary key) PARTITION BY LIST(id); CREATE TABLE z1 PARTITION OF z FOR VALUES IN (1); CREATE PUBLICATION q FOR TABLE z WITH (publish_via_partition_root)",
    ),
    Pair(
        "more: rules",
        "CREATE RULE r AS ON INSERT TO t DO ALSO NOTIFY x",
        "CREATE RULE r AS ON INSERT TO t WHERE NEW.id > 1 DO INSTEAD (UPDATE t SET a='q' WHERE id=NEW.id; DELETE FROM t WHERE id=3); ALTER TABLE t DISABLE RULE r",
        _COMMON_0,
    ),
    Pair(
        "more: casts",
        "CREATE TYPE ty AS ENUM('a'); CREATE FUNCTION c1(ty) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1'; CREATE CAST (ty AS integer) WITH FUNCTION c1(ty)",
        "CREATE TYPE ty AS ENUM('a'); CREATE FUNCTION c1(ty) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1'; CREATE CAST (ty AS integer) WITH FUNCTION c1(ty) AS IMPLICIT; CREATE CAST (ty AS bytea) WITH INOUT AS ASSIGNMENT",
    ),
    Pair(
        "more: stats",
        "CREATE STATISTICS s1 (ndistinct) ON a, b FROM t",
        "CREATE STATISTICS s1 (ndistinct, mcv) ON a, b, (b+1) FROM t; ALTER STATISTICS s1 SET STATISTICS 50; CREATE STATISTICS s2 ON (lower(a)) FROM t",
        _COMMON_0,
    ),
    Pair(
        "more: ts",
        "CREATE TEXT SEARCH CONFIGURATION c (COPY=simple); CREATE TEXT SEARCH DICTIONARY d (TEMPLATE=simple)",
        "CREATE TEXT SEARCH DICTIONARY d (TEMPLATE=simple, accept=false); CREATE TEXT SEARCH CONFIGURATION c (PARSER=default); ALTER TEXT SEARCH CONFIGURATION c ADD MAPPING FOR word, asciiword WITH d, simple; CREATE INDEX gi ON t USING gin(to_tsvector('c'::regconfig, a))",
        _COMMON_0,
    ),
    Pair(
        "more: event trigger",
        "CREATE FUNCTION ef() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION ef()",
        "CREATE FUNCTION ef() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER e ON ddl_command_end WHEN TAG IN ('CREATE CAST','DROP CAST') EXECUTE FUNCTION ef(); ALTER EVENT TRIGGER e ENABLE REPLICA",
    ),
    Pair(
        "more: subscription",
        "CREATE SUBSCRIPTION s CONNECTION 'dbname=x' PUBLICATION a WITH (connect=false, slot_name=NONE)",
        "CREATE SUBSCRIPTION s CONNECTION 'dbname=y' PUBLICATION a, b WITH (connect=false, slot_name=NONE, binary=true, synchronous_commit='remote_apply')",
    ),
    Pair(
        "more: typed table",
        "CREATE TYPE ct AS (x int, y text); CREATE TABLE tt OF ct",
        "CREATE TYPE ct AS (x int, y text, z date); CREATE TABLE tt OF ct (PRIMARY KEY (x), y WITH OPTIONS NOT NULL DEFAULT 'q')",
    ),
    Pair(
        "more: typed to plain",
        "CREATE TYPE ct AS (x int, y text); CREATE TABLE tt OF ct",
        "CREATE TYPE ct AS (x int, y text); CREATE TABLE tt (x int, y text)",
    ),
    Pair(
        "more: index CREATE INDEX i ON ix(a DESC NULLS LAST)",
        "CREATE INDEX i ON ix(a)",
        "CREATE INDEX i ON ix(a DESC NULLS LAST)",
        _COMMON_1,
    ),
    Pair(
        "more: index CREATE INDEX i ON ix(b text_pattern_ops) INCLUDE (a)",
        "CREATE INDEX i ON ix(b)",
        "CREATE INDEX i ON ix(b text_pattern_ops) INCLUDE (a)",
        _COMMON_1,
    ),
    Pair(
        "more: index CREATE INDEX i ON ix USING gin(c jsonb_path_ops) WITH (fastu",
        "CREATE INDEX i ON ix USING gin(c)",
        "CREATE INDEX i ON ix USING gin(c jsonb_path_ops) WITH (fastupdate=off)",
        _COMMON_1,
    ),
    Pair(
        "more: index CREATE INDEX i ON ix USING spgist(d)",
        "CREATE INDEX i ON ix USING gist(d)",
        "CREATE INDEX i ON ix USING spgist(d)",
        _COMMON_1,
    ),
    Pair(
        "more: index CREATE INDEX i ON ix USING brin(a) WITH (pages_per_range=16)",
        "CREATE INDEX i ON ix USING brin(a)",
        "CREATE INDEX i ON ix USING brin(a) WITH (pages_per_range=16)",
        _COMMON_1,
    ),
    Pair(
        'more: index CREATE INDEX i ON ix USING btree(lower(b) COLLATE "C")',
        "CREATE INDEX i ON ix USING hash(b)",
        'CREATE INDEX i ON ix USING btree(lower(b) COLLATE "C")',
        _COMMON_1,
    ),
    Pair(
        "more: index CREATE UNIQUE INDEX i ON ix(a) NULLS NOT DISTINCT",
        "CREATE UNIQUE INDEX i ON ix(a)",
        "CREATE UNIQUE INDEX i ON ix(a) NULLS NOT DISTINCT",
        _COMMON_1,
        since=15,
    ),
    Pair(
        "more: index CREATE INDEX i ON ix((a+1)); ALTER INDEX i ALTER COLUMN 1 SE",
        "CREATE INDEX i ON ix((a+1))",
        "CREATE INDEX i ON ix((a+1)); ALTER INDEX i ALTER COLUMN 1 SET STATISTICS 200",
        _COMMON_1,
    ),
    Pair(
        "more: index CREATE INDEX i ON ix(a) WITH (deduplicate_items=off)",
        "CREATE INDEX i ON ix(a) WITH (fillfactor=70)",
        "CREATE INDEX i ON ix(a) WITH (deduplicate_items=off)",
        _COMMON_1,
    ),
    Pair(
        "more: index CREATE INDEX i ON ix(a) WITH (fillfactor=60) WHERE b='x WHER",
        "CREATE INDEX i ON ix(a) WHERE b='x WITH (y)'",
        "CREATE INDEX i ON ix(a) WITH (fillfactor=60) WHERE b='x WHERE (y)'",
        _COMMON_1,
    ),
    Pair(
        "more: index ALTER TABLE ix ADD EXCLUDE USING gist (d WITH &&, f WITH ~=)",
        "ALTER TABLE ix ADD EXCLUDE USING gist (d WITH &&)",
        "ALTER TABLE ix ADD EXCLUDE USING gist (d WITH &&, f WITH ~=) WHERE (a > 0) DEFERRABLE",
        _COMMON_1,
    ),
    Pair(
        "more: index ALTER TABLE ix ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (a",
        "ALTER TABLE ix ADD CONSTRAINT u UNIQUE (a) INCLUDE (b)",
        "ALTER TABLE ix ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (a) WITH (fillfactor=50) DEFERRABLE INITIALLY DEFERRED",
        _COMMON_1,
        since=15,
    ),
    Pair(
        "more: index ALTER TABLE ix ADD CONSTRAINT u UNIQUE (a)",
        "CREATE UNIQUE INDEX u ON ix(a)",
        "ALTER TABLE ix ADD CONSTRAINT u UNIQUE (a)",
        _COMMON_1,
    ),
    Pair(
        "more: index ALTER TABLE ix ADD CONSTRAINT ck CHECK (b <> ' NOT VALID') N",
        "ALTER TABLE ix ADD CONSTRAINT ck CHECK (b <> ' WHERE (') NO INHERIT",
        "ALTER TABLE ix ADD CONSTRAINT ck CHECK (b <> ' NOT VALID') NOT VALID",
        _COMMON_1,
    ),
    Pair(
        "more: not null added with pk",
        "CREATE TABLE n(a int, b int)",
        "CREATE TABLE n(a int, b int NOT NULL, PRIMARY KEY (a))",
    ),
    Pair("more: pk dropped not null stays", "CREATE TABLE n(a int PRIMARY KEY)", "CREATE TABLE n(a int NOT NULL)"),
    Pair("more: pk dropped not null goes", "CREATE TABLE n(a int PRIMARY KEY)", "CREATE TABLE n(a int)"),
    Pair("more: identity to serial", "CREATE TABLE n(a int GENERATED ALWAYS AS IDENTITY)", "CREATE TABLE n(a serial)"),
    Pair(
        "more: serial to identity",
        "CREATE TABLE n(a serial PRIMARY KEY)",
        "CREATE TABLE n(a int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY)",
    ),
    Pair(
        "more: serial to bigserial", "CREATE TABLE n(a serial PRIMARY KEY)", "CREATE TABLE n(a bigserial PRIMARY KEY)"
    ),
    Pair("more: serial dropped", "CREATE TABLE n(a serial PRIMARY KEY)", "CREATE TABLE n(a int PRIMARY KEY)"),
    Pair(
        "more: sequence shared",
        "CREATE SEQUENCE q; CREATE TABLE n(a int DEFAULT nextval('q'), b int)",
        "CREATE SEQUENCE q; CREATE TABLE n(a int, b int DEFAULT nextval('q')); ALTER SEQUENCE q OWNED BY n.b",
    ),
    Pair(
        "more: seq options",
        "CREATE SEQUENCE q",
        "CREATE SEQUENCE q AS smallint START 5 INCREMENT -2 MINVALUE -100 MAXVALUE 10 CACHE 5 CYCLE",
    ),
    Pair(
        "more: generated added",
        "CREATE TABLE n(a int, b int)",
        "CREATE TABLE n(a int, b int GENERATED ALWAYS AS (a*2) STORED)",
    ),
    Pair(
        "more: generated expr changed",
        "CREATE TABLE n(a int, b int GENERATED ALWAYS AS (a*3) STORED)",
        "CREATE TABLE n(a int, b int GENERATED ALWAYS AS (a*2) STORED)",
    ),
    Pair(
        "more: generated dropped",
        "CREATE TABLE n(a int, b int GENERATED ALWAYS AS (a*3) STORED)",
        "CREATE TABLE n(a int, b int DEFAULT 3)",
    ),
    Pair(
        "more: fn return type changed",
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW fv AS SELECT f(1) AS x",
        "CREATE FUNCTION f(a int) RETURNS text LANGUAGE sql AS 'SELECT 1::text'; CREATE VIEW fv AS SELECT f(1) AS x",
    ),
    Pair(
        "more: fn arg renamed",
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT $1'; CREATE TABLE g(x int DEFAULT f(2), y int CHECK (f(y) > 0))",
        "CREATE FUNCTION f(b int) RETURNS int LANGUAGE sql AS 'SELECT $1'; CREATE TABLE g(x int DEFAULT f(2), y int CHECK (f(y) > 0))",
    ),
    Pair(
        "more: fn default removed",
        "CREATE FUNCTION f(a int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT $1'",
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT $1'",
    ),
    Pair(
        "more: fn out params",
        "CREATE FUNCTION f(a int, OUT b int) LANGUAGE sql AS 'SELECT $1'",
        "CREATE FUNCTION f(a int, OUT b int, OUT c text) LANGUAGE sql AS 'SELECT $1, ''x'''",
    ),
    Pair(
        "more: fn to procedure",
        "CREATE FUNCTION f(a int) RETURNS void LANGUAGE sql AS 'SELECT 1'",
        "CREATE PROCEDURE f(a int) LANGUAGE sql AS 'SELECT 1'",
    ),
    Pair(
        "more: fn attrs",
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql IMMUTABLE STRICT LEAKPROOF SECURITY DEFINER PARALLEL SAFE COST 7 SET search_path = pg_catalog, \"A b\" SET work_mem = '4MB' AS 'SELECT 1'",
    ),
    Pair(
        "more: fn rows support",
        "CREATE FUNCTION f(a int) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f(a int) RETURNS SETOF int LANGUAGE sql ROWS 5 AS 'SELECT 1'",
    ),
    Pair(
        "more: fn variadic",
        "CREATE FUNCTION f(VARIADIC a int[]) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION f(VARIADIC a text[]) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION f(a anyelement) RETURNS anyelement LANGUAGE sql AS 'SELECT $1'",
    ),
    Pair(
        "more: fn in index",
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE TABLE g(x int); CREATE INDEX gi ON g(f(x)); CREATE TABLE h(y int GENERATED ALWAYS AS (f(3)) STORED)",
        "CREATE FUNCTION f(b int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1+1'; CREATE TABLE g(x int); CREATE INDEX gi ON g(f(x)); CREATE TABLE h(y int GENERATED ALWAYS AS (f(3)) STORED)",
    ),
    Pair(
        "more: fn table default uses table",
        "",
        "CREATE TABLE cnt(n int); CREATE FUNCTION nx() RETURNS int LANGUAGE sql AS 'SELECT n FROM cnt'; CREATE TABLE us(id int DEFAULT nx()); CREATE FUNCTION us_ct(u us) RETURNS int LANGUAGE sql AS 'SELECT u.id'; CREATE VIEW uv AS SELECT us_ct(us) FROM us",
    ),
    Pair(
        "more: aggregate changed",
        "CREATE AGGREGATE ag(int) (SFUNC=int4pl, STYPE=int)",
        "CREATE AGGREGATE ag(int) (SFUNC=int4pl, STYPE=int, INITCOND='3', PARALLEL=safe)",
    ),
    Pair(
        "more: ordered set agg",
        "",
        "CREATE AGGREGATE pct(float8 ORDER BY float8) (SFUNC=ordered_set_transition, STYPE=internal, FINALFUNC=percentile_disc_final, FINALFUNC_EXTRA)",
    ),
    Pair(
        "more: operator class",
        "CREATE OPERATOR === (LEFTARG=int, RIGHTARG=int, FUNCTION=int4eq)",
        "CREATE OPERATOR === (LEFTARG=int, RIGHTARG=int, FUNCTION=int4eq, COMMUTATOR= ===, HASHES, RESTRICT=eqsel)",
    ),
    Pair(
        "more: view column added mid",
        "CREATE VIEW vv AS SELECT id, a FROM t; CREATE VIEW v2 AS SELECT * FROM vv",
        "CREATE VIEW vv AS SELECT id, b, a FROM t; CREATE VIEW v2 AS SELECT * FROM vv",
        _COMMON_0,
    ),
    Pair(
        "more: view options",
        "CREATE VIEW vv AS SELECT id FROM t",
        "CREATE VIEW vv WITH (security_invoker=true, check_option=local) AS SELECT id FROM t",
        _COMMON_0,
        since=15,
    ),
    Pair(
        "more: view to matview",
        "CREATE VIEW vv AS SELECT id FROM t",
        "CREATE MATERIALIZED VIEW vv AS SELECT id FROM t",
        _COMMON_0,
    ),
    Pair("more: view to table", "CREATE VIEW vv AS SELECT id FROM t", "CREATE TABLE vv (id int)", _COMMON_0),
    Pair(
        "more: matview def",
        "CREATE MATERIALIZED VIEW vv AS SELECT id FROM t; CREATE UNIQUE INDEX vi ON vv(id); GRANT SELECT ON vv TO PUBLIC; CREATE VIEW vw AS SELECT * FROM vv",
        "CREATE MATERIALIZED VIEW vv AS SELECT id, a FROM t WITH NO DATA; CREATE UNIQUE INDEX vi ON vv(id); GRANT SELECT ON vv TO PUBLIC; CREATE VIEW vw AS SELECT * FROM vv",
        _COMMON_0,
    ),
    Pair(
        "more: recursive view",
        "",
        "CREATE RECURSIVE VIEW nums (n) AS VALUES (1) UNION ALL SELECT n+1 FROM nums WHERE n < 100",
    ),
    Pair(
        "more: view group by pk",
        "CREATE TABLE gp(id int PRIMARY KEY, x text); CREATE VIEW gv AS SELECT id, x FROM gp GROUP BY id",
        "CREATE TABLE gp(id int, x text, PRIMARY KEY (id) INCLUDE (x))",
    ),
    Pair(
        "more: view group by pk kept",
        "CREATE TABLE gp(id int PRIMARY KEY, x text); CREATE VIEW gv AS SELECT id, x FROM gp GROUP BY id",
        "CREATE TABLE gp(id int CONSTRAINT other PRIMARY KEY, x text); CREATE VIEW gv AS SELECT id, x FROM gp GROUP BY id",
    ),
    Pair(
        "more: view circle",
        "CREATE VIEW a1 AS SELECT 1 AS x; CREATE VIEW a2 AS SELECT x FROM a1; CREATE OR REPLACE VIEW a1 AS SELECT x FROM a2",
        "",
    ),
    Pair(
        "more: on conflict rule",
        "",
        "CREATE RULE oc AS ON INSERT TO w DO INSTEAD INSERT INTO t VALUES (NEW.id, 'x', 1) ON CONFLICT ON CONSTRAINT t_pkey DO UPDATE SET a = excluded.a",
        "CREATE TABLE t (id integer PRIMARY KEY, a text, b integer DEFAULT 1);CREATE TABLE w (id int);",
    ),
    Pair(
        "more: quoting",
        'CREATE SCHEMA "S s"; CREATE TABLE "S s"."T""t" ("a b" int, "select" text); CREATE INDEX "I i" ON "S s"."T""t" ("a b")',
        'CREATE SCHEMA "S s"; CREATE TABLE "S s"."T""t" ("a b" bigint, "select" text DEFAULT \'x\', "ünï" int); CREATE INDEX "I i" ON "S s"."T""t" ("select"); CREATE VIEW "S s"."v\n" AS SELECT "a b" FROM "S s"."T""t"; COMMENT ON COLUMN "S s"."T""t"."a b" IS E\'back\\\\slash\'',
    ),
    Pair("more: move table to schema", "CREATE TABLE mt(a int)", "CREATE SCHEMA z; CREATE TABLE z.mt(a int)"),
    Pair("more: extension moved", "CREATE EXTENSION hstore", "CREATE SCHEMA z; CREATE EXTENSION hstore SCHEMA z"),
    Pair(
        "more: extension used",
        "",
        "CREATE EXTENSION citext; CREATE TABLE ci(x citext DEFAULT 'q'::citext); CREATE INDEX cii ON ci(x); CREATE FUNCTION fc(citext) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ),
    Pair(
        "more: inherit",
        "CREATE TABLE a(x int, y text); CREATE TABLE b(z int) INHERITS (a)",
        "CREATE TABLE a(x int, y text NOT NULL, w int DEFAULT 4, CHECK (x > 0)); CREATE TABLE b(z int, v text) INHERITS (a)",
    ),
    Pair(
        "more: multi inherit",
        "CREATE TABLE a(x int); CREATE TABLE a2(x int, q int); CREATE TABLE b(z int, q int) INHERITS (a)",
        "CREATE TABLE a(x int); CREATE TABLE a2(x int, q int); CREATE TABLE b(z int, q int) INHERITS (a, a2)",
    ),
    Pair(
        "more: fk options",
        "CREATE TABLE a(x int primary key, y int unique); CREATE TABLE b(m int, n int, CONSTRAINT f FOREIGN KEY (m) REFERENCES a)",
        "CREATE TABLE a(x int primary key, y int unique); CREATE TABLE b(m int, n int, CONSTRAINT f FOREIGN KEY (m) REFERENCES a(y) MATCH FULL ON UPDATE SET NULL ON DELETE SET DEFAULT DEFERRABLE INITIALLY DEFERRED)",
    ),
    Pair(
        "more: fk set null cols",
        "CREATE TABLE a(x int, y int, primary key(x,y)); CREATE TABLE b(m int, n int, CONSTRAINT f FOREIGN KEY (m,n) REFERENCES a)",
        "CREATE TABLE a(x int, y int, primary key(x,y)); CREATE TABLE b(m int, n int, CONSTRAINT f FOREIGN KEY (m,n) REFERENCES a ON DELETE SET NULL (n))",
        since=15,
    ),
    Pair(
        "more: fk mutual",
        "",
        "CREATE TABLE a(x int primary key, y int); CREATE TABLE b(m int primary key, n int references a); ALTER TABLE a ADD FOREIGN KEY (y) REFERENCES b",
    ),
    Pair(
        "more: fk self",
        "CREATE TABLE a(x int primary key, y int)",
        "CREATE TABLE a(x int primary key, y int references a)",
    ),
    Pair(
        "more: fk not valid",
        "CREATE TABLE a(x int primary key, y int); CREATE TABLE b(m int)",
        "CREATE TABLE a(x int primary key, y int); CREATE TABLE b(m int); ALTER TABLE b ADD CONSTRAINT f FOREIGN KEY (m) REFERENCES a NOT VALID",
    ),
    Pair(
        "more: trigger kinds",
        "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER g AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION tf('a')",
        "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER g AFTER UPDATE ON t REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION tf('b','c'); CREATE CONSTRAINT TRIGGER ct AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tf(); ALTER TABLE t ENABLE ALWAYS TRIGGER g",
        _COMMON_0,
    ),
    Pair(
        "more: policies",
        "CREATE POLICY q ON t USING (id > 0)",
        "CREATE POLICY q ON t AS RESTRICTIVE FOR UPDATE TO pg_monitor, pg_read_all_data USING (a = current_user) WITH CHECK (id IN (SELECT id FROM t)); ALTER TABLE t FORCE ROW LEVEL SECURITY, ENABLE ROW LEVEL SECURITY",
        _COMMON_0,
    ),
    Pair(
        "more: column acl dropped col",
        "CREATE TABLE n(a int, b int); GRANT SELECT (a), UPDATE (b) ON n TO pg_monitor",
        "CREATE TABLE n(a int); GRANT SELECT (a) ON n TO pg_monitor",
    ),
    Pair(
        "more: collation icu",
        'CREATE COLLATION cc FROM "C"',
        "CREATE COLLATION cc (lc_collate='C', lc_ctype='POSIX'); CREATE TABLE ct(x text COLLATE cc); CREATE DOMAIN cd AS text COLLATE cc",
    ),
    Pair(
        "more: composite change used",
        "CREATE TYPE ct AS (x int); CREATE TABLE n(v ct)",
        "CREATE TYPE ct AS (x int, y text); CREATE TABLE n(v ct)",
    ),
    Pair(
        "more: composite type change used",
        "CREATE TYPE ct AS (x int); CREATE TABLE n(v ct, w ct[])",
        "CREATE TYPE ct AS (x bigint); CREATE TABLE n(v ct, w ct[])",
    ),
    Pair(
        "more: composite attr removed used",
        "CREATE TYPE ct AS (x int, y int); CREATE TABLE n(v ct); CREATE FUNCTION fc(ct) RETURNS ct LANGUAGE sql AS 'SELECT $1'; CREATE VIEW vc AS SELECT (v).x FROM n",
        "CREATE TYPE ct AS (x int); CREATE TABLE n(v ct); CREATE FUNCTION fc(ct) RETURNS ct LANGUAGE sql AS 'SELECT $1'; CREATE VIEW vc AS SELECT (v).x FROM n",
    ),
    Pair(
        "more: range",
        "CREATE TYPE fr AS RANGE (subtype=float8); CREATE TABLE n(v fr)",
        "CREATE TYPE fr AS RANGE (subtype=float8, subtype_diff=float8mi); CREATE TABLE n(v fr)",
    ),
    Pair(
        "more: storage",
        "ALTER TABLE t ALTER a SET STORAGE EXTERNAL, ALTER a SET COMPRESSION pglz",
        "ALTER TABLE t ALTER a SET (n_distinct=5), ALTER a SET STATISTICS 7",
        _COMMON_0,
    ),
    Pair(
        "more: pk of parent dropped, partition keeps",
        "ALTER TABLE p ADD CONSTRAINT p_pkey PRIMARY KEY (id);",
        "ALTER TABLE p1 ADD CONSTRAINT p1_pkey PRIMARY KEY (id);",
        "CREATE TABLE p (id int NOT NULL, v text) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);",
    ),
    Pair(
        "more: idx of parent dropped, partition keeps",
        "CREATE INDEX pi ON p (v);",
        "CREATE INDEX p1_v_idx ON p1 (v);",
        "CREATE TABLE p (id int NOT NULL, v text) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);",
    ),
    Pair(
        "more: index attached",
        "ALTER INDEX pi ATTACH PARTITION a1;",
        "ALTER INDEX pi ATTACH PARTITION a1;ALTER INDEX pi ATTACH PARTITION a2;",
        "CREATE TABLE p (id int NOT NULL, v text) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);CREATE INDEX pi ON ONLY p (v); CREATE INDEX a1 ON p1(v); CREATE INDEX a2 ON p2(v);",
    ),
    Pair(
        "more: fk detach keeps",
        "ALTER TABLE p DETACH PARTITION p1",
        "",
        "CREATE TABLE r(a int primary key); CREATE TABLE p (id int NOT NULL, v int references r) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);",
    ),
    Pair(
        "more: fk on partitioned changes",
        "ALTER TABLE p ADD CONSTRAINT f FOREIGN KEY (v) REFERENCES r",
        "ALTER TABLE p ADD CONSTRAINT f FOREIGN KEY (v) REFERENCES r ON DELETE CASCADE",
        "CREATE TABLE r(a int primary key); CREATE TABLE p (id int NOT NULL, v int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);",
    ),
    Pair(
        "more: fk own of partition becomes parents",
        "ALTER TABLE p1 ADD CONSTRAINT f FOREIGN KEY (v) REFERENCES r",
        "ALTER TABLE p ADD CONSTRAINT f FOREIGN KEY (v) REFERENCES r",
        "CREATE TABLE r(a int primary key); CREATE TABLE p (id int NOT NULL, v int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);",
    ),
    Pair(
        "more: fk to partitioned",
        "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
        "ALTER TABLE c ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES p",
        "CREATE TABLE p (id int primary key, v int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);CREATE TABLE c(a int);",
    ),
    Pair(
        "more: fk to partitioned with partition dropped",
        "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
        "",
        "CREATE TABLE p (id int primary key, v int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);CREATE TABLE c(a int references p);",
    ),
    Pair(
        "more: fk to partitioned with partition detached",
        "",
        "ALTER TABLE p DETACH PARTITION p2",
        "CREATE TABLE p (id int primary key, v int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);CREATE TABLE c(a int references p);CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
    ),
    Pair(
        "more: partition moves between parents",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
        "CREATE TABLE p1 PARTITION OF q FOR VALUES IN (1)",
        "CREATE TABLE p (id int, v int) PARTITION BY LIST (id);CREATE TABLE q (id int, v int) PARTITION BY LIST (id);",
    ),
    Pair(
        "more: subpartition",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) PARTITION BY RANGE (v); CREATE TABLE p1a PARTITION OF p1 FOR VALUES FROM (1) TO (10); CREATE TABLE p1d PARTITION OF p1 DEFAULT",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) PARTITION BY RANGE (v); CREATE TABLE p1a PARTITION OF p1 FOR VALUES FROM (1) TO (5);  CREATE TABLE p1b PARTITION OF p1 FOR VALUES FROM (5) TO (10);",
        "CREATE TABLE p (id int, v int) PARTITION BY LIST (id);",
    ),
    Pair(
        "more: unique constraint of parent, with partitions",
        "",
        "ALTER TABLE p ADD CONSTRAINT u UNIQUE (id, v); CREATE UNIQUE INDEX ui ON p (v, id)",
        "CREATE TABLE p (id int, v int) PARTITION BY LIST (id);CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);",
    ),
    Pair(
        "more: trigger on partitioned",
        "",
        "CREATE TRIGGER t AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION tf(); ALTER TABLE p1 DISABLE TRIGGER t",
        "CREATE TABLE p (id int, v int) PARTITION BY LIST (id);CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;",
    ),
    Pair(
        "more: lang",
        "GRANT USAGE ON LANGUAGE plpgsql TO pg_monitor",
        "GRANT USAGE ON LANGUAGE plpgsql TO pg_read_all_data WITH GRANT OPTION",
    ),
    Pair("more: lang revoke", "", "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC"),
    Pair(
        "more: ext fn",
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO pg_monitor",
        "REVOKE EXECUTE ON FUNCTION hstore(text,text) FROM PUBLIC",
        "CREATE EXTENSION hstore",
    ),
    Pair(
        "more: ext fn from nothing",
        "",
        "CREATE EXTENSION hstore;REVOKE EXECUTE ON FUNCTION hstore(text,text) FROM PUBLIC; GRANT USAGE ON TYPE hstore TO pg_monitor",
    ),
    Pair(
        "more: catalog fn",
        "",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_backend_pid() FROM PUBLIC; GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO pg_monitor",
    ),
    Pair("more: catalog view", "", "REVOKE SELECT ON pg_catalog.pg_roles FROM PUBLIC"),
    Pair(
        "more: check in",
        "",
        "CREATE TABLE g(c varchar(20) CHECK (c IN ('a','b''c', E'd\\\\e')), d varchar DEFAULT 'x', CHECK (d NOT IN ('q','r')))",
    ),
    Pair(
        "more: check any",
        "",
        "CREATE TABLE g(c varchar(20) CHECK (c = ANY (ARRAY['a','b'])), d text CHECK (d IN ('x','y')), e char(3) CHECK (e IN ('x','y')), f varchar[] CHECK (f && ARRAY['a','b']::varchar[]), h int CHECK (h IN (1,2)), i numeric CHECK (i IN (1, 2.5)), j smallint CHECK (j BETWEEN 1 AND 5), k bigint CHECK (k IN (1,2)))",
    ),
    Pair(
        "more: view in",
        "",
        "CREATE VIEW v AS SELECT c, c || 'x' AS cx, CASE WHEN c IN ('a','b') THEN 1 ELSE 2 END AS q, coalesce(c,'z') AS z, d + interval '1 day' AS dd, extract(year from d) AS y, n::int, e = 'abc' AS ee, j->>'a' AS ja, c LIKE 'x%' AS l, c ~ ANY (ARRAY['a','b']) AS an, nullif(c,'') AS nn, greatest(c,'b') AS gr, substring(c from 2 for 3) AS su, trim(c) AS tr, d AT TIME ZONE 'UTC' AS tz, current_date AS cd, n BETWEEN 1 AND 2 AS bt, (c, n) = ('a', 3) AS rw, c COLLATE \"C\" AS co FROM g WHERE c IN ('a','b') AND NOT (c = ANY (ARRAY['q'])) OR c ILIKE 'z'; CREATE INDEX gi ON g(c) WHERE c IN ('a','b'); CREATE POLICY p ON g USING (c IN ('a','b')); CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE UPDATE ON g FOR EACH ROW WHEN (NEW.c IN ('a','b')) EXECUTE FUNCTION tf(); CREATE RULE r AS ON DELETE TO g WHERE OLD.c IN ('a','b') DO INSTEAD NOTHING; CREATE DOMAIN dom AS varchar CHECK (VALUE IN ('a','b')); CREATE FUNCTION at(x varchar) RETURNS bool LANGUAGE sql BEGIN ATOMIC SELECT x IN ('a','b'); END; CREATE MATERIALIZED VIEW mv AS SELECT * FROM g WHERE c NOT IN ('a','b'); CREATE TABLE gg (c varchar, d bool GENERATED ALWAYS AS (c IN ('a','b')) STORED, e varchar DEFAULT 'a'::text || 'b', f varchar(3)[] DEFAULT '{a}', i interval DEFAULT '1 day', t timestamptz DEFAULT now(), u text DEFAULT 'x'::varchar, dt date DEFAULT ('now'::text)::date, nm numeric(10,2) DEFAULT 0, b boolean DEFAULT 't', ch char(2) DEFAULT 'ab', dp double precision DEFAULT -1, bi bigint DEFAULT -5, bb bytea DEFAULT '\\\\x01', bt bit(3) DEFAULT B'101')",
        "CREATE TABLE g(c varchar(20), d timestamp, n numeric, e char(3), j jsonb)",
        since=14,
    ),
    Pair(
        "more: view unions",
        "",
        "CREATE VIEW v1 AS SELECT 'a' AS x UNION SELECT c FROM g UNION ALL SELECT NULL; CREATE VIEW v2 AS WITH w AS (SELECT c, row_number() OVER (PARTITION BY c ORDER BY n DESC) AS r FROM g) SELECT * FROM w WHERE r = 1 LIMIT 5; CREATE VIEW v3 AS SELECT g.*, (SELECT max(n) FROM g g2 WHERE g2.c = g.c) AS m FROM g LEFT JOIN LATERAL (SELECT 1 AS o) l ON true; CREATE VIEW v4 AS SELECT count(*) FILTER (WHERE n > 1) AS f, string_agg(c, ',' ORDER BY n) AS s, array_agg(DISTINCT c) AS d FROM g GROUP BY ROLLUP (n) HAVING count(*) > 0; CREATE VIEW v5 AS VALUES (1,'a'),(2,'b'); CREATE VIEW v6 AS SELECT * FROM g TABLESAMPLE system (5); CREATE VIEW v7 AS SELECT DISTINCT ON (c) c, n FROM g ORDER BY c, n; CREATE VIEW v8 AS SELECT * FROM generate_series(1,3) WITH ORDINALITY AS s(a,b), unnest(ARRAY[1,2]) u; CREATE VIEW v9 AS SELECT n::text || c AS x, n/2.0 AS y, -n AS z, n IS NOT NULL AS nn FROM g",
        "CREATE TABLE g(c varchar(20), n int)",
    ),
    Pair(
        "more: between",
        "",
        "CREATE VIEW v AS SELECT a FROM g WHERE a BETWEEN 1 AND 5 AND b = 2 AND c IN ('x','y'); CREATE VIEW v2 AS SELECT a FROM g WHERE a NOT BETWEEN 1 AND 5 OR b = 2; CREATE VIEW v3 AS SELECT a FROM g WHERE (a BETWEEN (SELECT min(b) FROM g WHERE b BETWEEN 1 AND 2 AND a = 3) AND 5 AND b = 2) OR (d BETWEEN '2024-01-01' AND current_date AND c = ')(''AND') ; ALTER TABLE g ADD CHECK (a BETWEEN 1 AND 10 AND b > 3), ADD CHECK (b = 2 AND a BETWEEN 1 AND 10), ADD CHECK (a + 1 BETWEEN b AND b + 2 AND c IS NOT NULL); CREATE INDEX i ON g(a) WHERE d BETWEEN '2024-01-01' AND '2025-01-01' AND c <> 'E'",
        "CREATE TABLE g(a int, b int, c varchar, d date)",
    ),
    Pair(
        "more: fk adopted by attach",
        "",
        "CREATE TABLE p (id int, v int REFERENCES r) PARTITION BY LIST (id); CREATE TABLE p1 (id int, v int REFERENCES r) PARTITION BY LIST (v); CREATE TABLE p1a PARTITION OF p1 DEFAULT; ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1)",
        "CREATE TABLE r(a int primary key)",
    ),
    Pair(
        "more: fk adopted, other options",
        "CREATE TABLE p (id int, v int REFERENCES r ON DELETE CASCADE) PARTITION BY LIST (id); CREATE TABLE p1 (id int, v int REFERENCES r ON DELETE CASCADE); ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1)",
        "CREATE TABLE p (id int, v int REFERENCES r) PARTITION BY LIST (id); CREATE TABLE p1 (id int, v int REFERENCES r); ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1)",
        "CREATE TABLE r(a int primary key)",
    ),
    Pair(
        "more: lists columns, drop",
        "CREATE VIEW vv AS SELECT * FROM (tt5 CROSS JOIN tt6) j(aa,bb,cc,dd)",
        "ALTER TABLE tt5 DROP COLUMN cc; CREATE VIEW vv AS SELECT * FROM (tt5 CROSS JOIN tt6) j(aa,bb,dd)",
        "CREATE TABLE tt5(a int, b int, cc int); CREATE TABLE tt6(d int);",
    ),
    Pair(
        "more: lists columns of function",
        "CREATE VIEW vv AS SELECT f1, f4 FROM f14()",
        "CREATE VIEW vv AS SELECT f1, f4 FROM f14(); ALTER TABLE t14 DROP f3 CASCADE; CREATE OR REPLACE VIEW vv AS SELECT f1, f4 FROM f14()",
        "CREATE TABLE t14(f1 text, f3 text, f4 text); CREATE FUNCTION f14() RETURNS SETOF t14 LANGUAGE sql AS 'SELECT * FROM t14'",
    ),
)
