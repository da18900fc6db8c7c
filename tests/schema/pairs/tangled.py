"""Objects that stand on each other: what must be taken apart and put together again in the right order."""

from __future__ import annotations

from ..proof import Pair

_T = "CREATE TABLE t (id integer PRIMARY KEY, a text, b integer DEFAULT 1);"
_TRIGGER = "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
_PARENT = "CREATE TABLE p (id integer NOT NULL, at date NOT NULL, v text) PARTITION BY RANGE (at);"
_P1 = "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"
_MOOD = "CREATE TYPE mood AS ENUM ('sad', 'ok');"
_LESS = "CREATE TYPE mood AS ENUM ('ok');"

TANGLED = (
    # partitions and parents
    Pair(
        "partition detached",
        _PARENT + _P1 + "CREATE INDEX pv ON p (v); ALTER TABLE p ADD PRIMARY KEY (id, at);",
        _PARENT
        + "CREATE TABLE p1 (id integer NOT NULL, at date NOT NULL, v text, CONSTRAINT p1_pkey PRIMARY KEY (id, at)); CREATE INDEX p1_v_idx ON p1 (v); CREATE INDEX pv ON p (v); ALTER TABLE p ADD PRIMARY KEY (id, at);",
        destructive=False,
    ),
    Pair(
        "partitioned parent goes, partition stays",
        _PARENT + _P1,
        "CREATE TABLE p1 (id integer NOT NULL, at date NOT NULL, v text)",
    ),
    Pair(
        "inheritance parent goes, child stays",
        "CREATE TABLE a (x int); CREATE TABLE b (y int) INHERITS (a)",
        "CREATE TABLE b (x int, y int)",
        back=False,
    ),
    Pair(
        "partition is new and parent gets a column",
        "",
        "ALTER TABLE p ADD COLUMN w int; CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
        _PARENT + _P1,
    ),
    Pair(
        "partition is attached and parent loses a column",
        _PARENT + "CREATE TABLE p1 (id integer NOT NULL, at date NOT NULL, v text)",
        "CREATE TABLE p (id integer NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
    ),
    Pair(
        "partition default differs",
        "",
        "ALTER TABLE p ALTER v SET DEFAULT 'parent'; ALTER TABLE p1 ALTER v SET DEFAULT 'child'",
        _PARENT + _P1,
    ),
    Pair("partition default only on the parent", "", "ALTER TABLE ONLY p ALTER v SET DEFAULT 'parent'", _PARENT + _P1),
    Pair("partition not null only in the child", "", "ALTER TABLE p1 ALTER v SET NOT NULL", _PARENT + _P1),
    Pair(
        "partition key changes",
        _PARENT + _P1,
        "CREATE TABLE p (id integer NOT NULL, at date NOT NULL, v text) PARTITION BY LIST (at); CREATE TABLE p1 PARTITION OF p FOR VALUES IN ('2024-01-01')",
        destructive=True,
    ),
    Pair(
        "partition by expression with a function",
        "",
        "CREATE FUNCTION k(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 10'; CREATE TABLE pe (x int) PARTITION BY RANGE (k(x)); CREATE TABLE pe1 PARTITION OF pe FOR VALUES FROM (0) TO (5)",
    ),
    Pair(
        "partitioned table with everything",
        "",
        _PARENT
        + "ALTER TABLE p ADD PRIMARY KEY (id, at); CREATE INDEX ON p (v); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); ALTER TABLE p ENABLE ROW LEVEL SECURITY; ALTER TABLE p1 ENABLE ROW LEVEL SECURITY; CREATE POLICY po ON p USING (id > 0); CREATE STATISTICS ps ON id, v FROM p; COMMENT ON TABLE p1 IS 'p1'",
    ),
    Pair(
        "trigger on a partition differs in state",
        "",
        "CREATE TRIGGER tr BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION tf(); ALTER TABLE p1 DISABLE TRIGGER tr",
        _PARENT + _P1 + _TRIGGER,
    ),
    Pair(
        "foreign key of a partitioned table goes",
        _PARENT
        + _P1
        + "CREATE TABLE o (id int PRIMARY KEY); ALTER TABLE p ADD CONSTRAINT fk FOREIGN KEY (id) REFERENCES o",
        _PARENT + _P1 + "CREATE TABLE o (id int PRIMARY KEY)",
    ),
    Pair(
        "index of a partitioned table goes",
        _PARENT + _P1 + "CREATE INDEX pv ON p (v); CREATE UNIQUE INDEX pu ON p (id, at)",
        _PARENT + _P1,
    ),
    Pair(
        "partition's own index joins the parent's",
        _PARENT + _P1 + "CREATE INDEX own ON p1 (v)",
        _PARENT + _P1 + "CREATE INDEX own ON p1 (v); CREATE INDEX pv ON p (v)",
    ),
    Pair(
        "child overrides a default and drops it",
        "CREATE TABLE a (x int DEFAULT 1); CREATE TABLE b () INHERITS (a); ALTER TABLE b ALTER x SET DEFAULT 2",
        "CREATE TABLE a (x int DEFAULT 1); CREATE TABLE b () INHERITS (a); ALTER TABLE b ALTER x DROP DEFAULT",
    ),
    Pair(
        "inherited column with another default is added",
        "",
        "ALTER TABLE a ADD COLUMN z int DEFAULT 1; ALTER TABLE b ALTER z SET DEFAULT 2",
        "CREATE TABLE a (x int); CREATE TABLE b () INHERITS (a);",
    ),
    Pair(
        "inherited column is local too",
        "",
        "CREATE TABLE b (x int DEFAULT 7, z int) INHERITS (a)",
        "CREATE TABLE a (x int);",
    ),
    Pair(
        "inherited check of three generations",
        "",
        "ALTER TABLE a ADD CONSTRAINT ck CHECK (x > 0)",
        "CREATE TABLE a (x int); CREATE TABLE b () INHERITS (a); CREATE TABLE c () INHERITS (b);",
    ),
    # functions, views and rows
    Pair(
        "function returns rows of a view that is rebuilt",
        "CREATE VIEW v AS SELECT id, b FROM t; CREATE FUNCTION f() RETURNS SETOF v LANGUAGE sql AS 'SELECT * FROM v'; CREATE VIEW w AS SELECT * FROM f()",
        "ALTER TABLE t ALTER b TYPE bigint; CREATE VIEW v AS SELECT id, b FROM t; CREATE FUNCTION f() RETURNS SETOF v LANGUAGE sql AS 'SELECT * FROM v'; CREATE VIEW w AS SELECT * FROM f()",
        _T,
    ),
    Pair(
        "function over a table's row that changes",
        "CREATE FUNCTION f(t) RETURNS text LANGUAGE sql AS 'SELECT $1.a'; CREATE VIEW v AS SELECT f(t) AS x FROM t",
        "ALTER TABLE t ADD COLUMN c int, DROP COLUMN b; CREATE FUNCTION f(t) RETURNS text LANGUAGE sql AS 'SELECT $1.a'; CREATE VIEW v AS SELECT f(t) AS x FROM t",
        _T,
    ),
    Pair(
        "whole-row view",
        "CREATE VIEW v AS SELECT t FROM t",
        "ALTER TABLE t ADD COLUMN c int; CREATE VIEW v AS SELECT t FROM t",
        _T,
    ),
    Pair(
        "view column renamed",
        "CREATE VIEW v AS SELECT id, a FROM t; CREATE VIEW w AS SELECT a FROM v",
        "CREATE VIEW v AS SELECT id, a AS z FROM t; CREATE VIEW w AS SELECT z AS a FROM v",
        _T,
    ),
    Pair(
        "view column in the middle",
        "CREATE VIEW v AS SELECT id, b FROM t",
        "CREATE VIEW v AS SELECT id, a, b FROM t",
        _T,
    ),
    Pair(
        "view with rules and grants is rebuilt",
        "CREATE VIEW v AS SELECT id, b FROM t; CREATE RULE r AS ON INSERT TO v DO INSTEAD INSERT INTO t (id) VALUES (NEW.id); GRANT SELECT ON v TO PUBLIC; COMMENT ON COLUMN v.b IS 'b'",
        "ALTER TABLE t ALTER b TYPE bigint; CREATE VIEW v AS SELECT id, b FROM t; CREATE RULE r AS ON INSERT TO v DO INSTEAD INSERT INTO t (id) VALUES (NEW.id); GRANT SELECT ON v TO PUBLIC; COMMENT ON COLUMN v.b IS 'b'",
        _T,
    ),
    Pair(
        "three functions in a chain change their results",
        "CREATE FUNCTION a() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION b() RETURNS int LANGUAGE sql AS 'SELECT a()'; CREATE VIEW v AS SELECT b() AS x",
        "CREATE FUNCTION a() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'; CREATE FUNCTION b() RETURNS bigint LANGUAGE sql AS 'SELECT a()'; CREATE VIEW v AS SELECT b() AS x",
    ),
    Pair(
        "default uses a function that goes",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE m (x int DEFAULT f())",
        "CREATE TABLE m (x int DEFAULT 2)",
    ),
    Pair(
        "function's argument default uses a function",
        "",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION b(x int DEFAULT f()) RETURNS int LANGUAGE sql AS 'SELECT x'",
    ),
    Pair(
        "generated column over a function whose result changes",
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'; CREATE TABLE m (a int, g text GENERATED ALWAYS AS (f(a)::text) STORED); CREATE INDEX i ON m (g)",
        "CREATE FUNCTION f(int) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1::bigint'; CREATE TABLE m (a int, g text GENERATED ALWAYS AS (f(a)::text) STORED); CREATE INDEX i ON m (g)",
    ),
    Pair(
        "materialized views in a chain",
        "CREATE MATERIALIZED VIEW a AS SELECT id, b FROM t; CREATE MATERIALIZED VIEW c AS SELECT id FROM a; CREATE UNIQUE INDEX ci ON c (id); COMMENT ON INDEX ci IS 'x'; CREATE FUNCTION f() RETURNS SETOF c LANGUAGE sql AS 'SELECT * FROM c'",
        "CREATE MATERIALIZED VIEW a AS SELECT id, b + 1 AS b FROM t; CREATE MATERIALIZED VIEW c AS SELECT id FROM a; CREATE UNIQUE INDEX ci ON c (id); COMMENT ON INDEX ci IS 'x'; CREATE FUNCTION f() RETURNS SETOF c LANGUAGE sql AS 'SELECT * FROM c'",
        _T,
    ),
    Pair(
        "trigger function with another name",
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf()",
        "CREATE FUNCTION tg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tg(); DROP FUNCTION tf()",
        _T + _TRIGGER,
    ),
    Pair(
        "view and function in two schemas that change places",
        "CREATE SCHEMA x; CREATE FUNCTION x.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT x.f() AS n",
        "CREATE SCHEMA y; CREATE FUNCTION y.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT y.f() AS n",
    ),
    # types
    Pair(
        "enum in a composite, an array and a function",
        _MOOD
        + "CREATE TYPE c AS (m mood, n int); CREATE TABLE e (a mood[] DEFAULT '{ok}', b c); CREATE FUNCTION f(c, mood[]) RETURNS SETOF mood LANGUAGE sql AS 'SELECT ''ok''::mood'",
        _LESS
        + "CREATE TYPE c AS (m mood, n int); CREATE TABLE e (a mood[] DEFAULT '{ok}', b c); CREATE FUNCTION f(c, mood[]) RETURNS SETOF mood LANGUAGE sql AS 'SELECT ''ok''::mood'",
        destructive=True,
    ),
    Pair(
        "enum of partitions loses a value",
        _MOOD
        + "CREATE TABLE q (m mood DEFAULT 'ok', k int) PARTITION BY LIST (k); CREATE TABLE q1 PARTITION OF q FOR VALUES IN (1)",
        _LESS
        + "CREATE TABLE q (m mood DEFAULT 'ok', k int) PARTITION BY LIST (k); CREATE TABLE q1 PARTITION OF q FOR VALUES IN (1)",
    ),
    Pair(
        "enum under a materialized view, a trigger and a rule",
        _MOOD
        + "CREATE TABLE e (m mood); CREATE MATERIALIZED VIEW mv AS SELECT m FROM e; CREATE INDEX mi ON mv (m); CREATE TRIGGER tr BEFORE UPDATE ON e FOR EACH ROW WHEN (NEW.m = 'ok') EXECUTE FUNCTION tf(); CREATE RULE r AS ON INSERT TO e WHERE NEW.m = 'ok' DO ALSO NOTHING",
        _LESS
        + "CREATE TABLE e (m mood); CREATE MATERIALIZED VIEW mv AS SELECT m FROM e; CREATE INDEX mi ON mv (m); CREATE TRIGGER tr BEFORE UPDATE ON e FOR EACH ROW WHEN (NEW.m = 'ok') EXECUTE FUNCTION tf(); CREATE RULE r AS ON INSERT TO e WHERE NEW.m = 'ok' DO ALSO NOTHING",
        _TRIGGER,
    ),
    Pair(
        "enum in a generated column",
        _MOOD + "CREATE TABLE e (m mood, g boolean GENERATED ALWAYS AS (m = 'ok') STORED)",
        _LESS + "CREATE TABLE e (m mood, g boolean GENERATED ALWAYS AS (m = 'ok') STORED)",
    ),
    Pair(
        "enum becomes text",
        _MOOD + "CREATE TABLE e (m mood DEFAULT 'ok'); CREATE VIEW v AS SELECT m FROM e WHERE m = 'ok'",
        "CREATE TABLE e (m text DEFAULT 'ok'); CREATE VIEW v AS SELECT m FROM e WHERE m = 'ok'",
    ),
    Pair(
        "enum moves to another schema",
        _MOOD + "CREATE SCHEMA s; CREATE TABLE e (m mood)",
        "CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('sad', 'ok'); CREATE TABLE e (m s.mood)",
    ),
    Pair(
        "enum value added and a table that uses it",
        "CREATE TABLE e (m mood)",
        "ALTER TYPE mood ADD VALUE 'new' BEFORE 'ok'; CREATE TABLE z (m mood CHECK (m <> 'sad'))",
        _MOOD,
    ),
    Pair(
        "enum value added and used in a policy, a check, an index",
        _MOOD + "CREATE TABLE e (m mood)",
        "CREATE TYPE mood AS ENUM ('sad', 'new', 'ok'); CREATE TABLE e (m mood, CHECK (m <> 'new')); CREATE INDEX i ON e (m) WHERE m = 'new'; CREATE POLICY p ON e USING (m = 'new')",
    ),
    Pair(
        "domain under everything changes its base",
        "CREATE DOMAIN d AS varchar(5) CHECK (VALUE <> ''); CREATE TABLE e (x d DEFAULT 'a', y d[]); CREATE VIEW v AS SELECT x FROM e; CREATE FUNCTION f(d) RETURNS d LANGUAGE sql AS 'SELECT $1'; CREATE INDEX i ON e (x)",
        "CREATE DOMAIN d AS text CHECK (VALUE <> ''); CREATE TABLE e (x d DEFAULT 'a', y d[]); CREATE VIEW v AS SELECT x FROM e; CREATE FUNCTION f(d) RETURNS d LANGUAGE sql AS 'SELECT $1'; CREATE INDEX i ON e (x)",
    ),
    Pair(
        "domain goes and its column becomes plain",
        "CREATE DOMAIN d AS text; CREATE TABLE e (x d)",
        "CREATE TABLE e (x text)",
    ),
    Pair("composite becomes enum", "CREATE TYPE x AS (a int)", "CREATE TYPE x AS ENUM ('a')"),
    Pair(
        "composite in a function changes",
        "CREATE TYPE c AS (a int, b int); CREATE FUNCTION f() RETURNS c LANGUAGE sql AS 'SELECT NULL::c'",
        "CREATE TYPE c AS (a int, z text); CREATE FUNCTION f() RETURNS c LANGUAGE sql AS 'SELECT NULL::c'",
    ),
    Pair(
        "composite of composites in use changes in the middle",
        "CREATE TYPE c AS (a int, b text); CREATE TYPE o AS (c c, n int); CREATE TABLE e (o o)",
        "CREATE TYPE c AS (a bigint, b text); CREATE TYPE o AS (c c, n int); CREATE TABLE e (o o)",
    ),
    Pair(
        "range over an enum that loses a value",
        _MOOD + "CREATE TYPE mr AS RANGE (subtype = mood); CREATE TABLE e (r mr)",
        _LESS + "CREATE TYPE mr AS RANGE (subtype = mood); CREATE TABLE e (r mr)",
    ),
    # names that change hands
    Pair(
        "constraint renamed",
        "CREATE TABLE m (a int, CONSTRAINT one CHECK (a > 0), CONSTRAINT u1 UNIQUE (a))",
        "CREATE TABLE m (a int, CONSTRAINT two CHECK (a > 0), CONSTRAINT u2 UNIQUE (a))",
    ),
    Pair(
        "index and table swap names",
        "CREATE TABLE one (a int); CREATE INDEX two ON one (a)",
        "CREATE TABLE two (a int); CREATE INDEX one ON two (a)",
    ),
    Pair(
        "table and enum swap names",
        "CREATE TABLE one (a int); CREATE TYPE two AS ENUM ('x')",
        "CREATE TABLE two (a int); CREATE TYPE one AS ENUM ('x')",
    ),
    Pair(
        "sequence owner moves",
        "CREATE TABLE a (x serial); CREATE TABLE b (y int)",
        "CREATE TABLE a (x int NOT NULL); CREATE SEQUENCE a_x_seq AS integer; CREATE TABLE b (y int DEFAULT nextval('a_x_seq')); ALTER SEQUENCE a_x_seq OWNED BY b.y",
    ),
    Pair(
        "primary key becomes a foreign key's target elsewhere",
        "CREATE TABLE a (x int PRIMARY KEY); CREATE TABLE b (y int REFERENCES a)",
        "CREATE TABLE a (x int, z int PRIMARY KEY); CREATE TABLE b (y int REFERENCES a)",
    ),
    Pair(
        "foreign keys in a ring are dropped with their tables",
        "CREATE TABLE a (id int PRIMARY KEY, c int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a); CREATE TABLE c (id int PRIMARY KEY, b int REFERENCES b); ALTER TABLE a ADD FOREIGN KEY (c) REFERENCES c",
        "",
    ),
    Pair(
        "types of a key and its references change",
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int REFERENCES a, c int); CREATE INDEX bi ON b (a); CREATE VIEW v AS SELECT a.id, b.c FROM a JOIN b ON a.id = b.a",
        "CREATE TABLE a (id uuid PRIMARY KEY); CREATE TABLE b (a uuid REFERENCES a, c int); CREATE INDEX bi ON b (a); CREATE VIEW v AS SELECT a.id, b.c FROM a JOIN b ON a.id = b.a",
    ),
    Pair(
        "column becomes generated",
        "CREATE TABLE m (a int, b int, c int)",
        "CREATE TABLE m (a int, b int GENERATED ALWAYS AS (a + 1) STORED, c int)",
        destructive=True,
    ),
    Pair(
        "exclusion over an extension's operator class",
        "",
        "CREATE EXTENSION btree_gist; CREATE TABLE m (room int, during tsrange, EXCLUDE USING gist (room WITH =, during WITH &&))",
    ),
    Pair(
        "extension goes with what uses it",
        "CREATE EXTENSION citext; CREATE TABLE m (x citext); CREATE INDEX i ON m (x)",
        "CREATE TABLE m (x text); CREATE INDEX i ON m (x)",
    ),
    Pair(
        "everything at once",
        _T
        + _TRIGGER
        + _MOOD
        + "CREATE TABLE e (m mood, t_id int REFERENCES t); CREATE VIEW v AS SELECT id, m FROM t JOIN e ON t.id = e.t_id; CREATE MATERIALIZED VIEW mv AS SELECT * FROM v; CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf()",
        "CREATE SCHEMA n; CREATE TABLE n.t (id bigint PRIMARY KEY, z jsonb); CREATE VIEW v AS SELECT id, z FROM n.t; CREATE FUNCTION tf(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE e (m text, n_id bigint REFERENCES n.t)",
    ),
    Pair(
        "the built-in comment on a schema",
        "COMMENT ON SCHEMA public IS NULL",
        "COMMENT ON SCHEMA public IS 'ours'; REVOKE USAGE ON SCHEMA public FROM PUBLIC; GRANT CREATE ON SCHEMA public TO PUBLIC",
    ),
    Pair(
        "a table named like a keyword with a serial",
        "",
        'CREATE TABLE "order" (id serial PRIMARY KEY, "user" text DEFAULT \'x\'); CREATE VIEW "view" AS SELECT "user" FROM "order"; CREATE FUNCTION "select"("from" int) RETURNS int LANGUAGE sql AS \'SELECT "from"\'',
    ),
    Pair(
        "view with a column default is new",
        "",
        "CREATE VIEW v AS SELECT id, a FROM t; ALTER VIEW v ALTER COLUMN a SET DEFAULT 'x'",
        _T,
    ),
    Pair(
        "policies over each other's tables go with them",
        "CREATE TABLE x (a int); CREATE TABLE y (b int); CREATE POLICY p ON x USING (EXISTS (SELECT FROM y)); CREATE POLICY q ON y USING (EXISTS (SELECT FROM x))",
        "",
    ),
    Pair(
        "index on only the parent of new partitions",
        "",
        _PARENT
        + _P1
        + "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2025-01-01') TO ('2026-01-01'); CREATE INDEX pv ON ONLY p (v); CREATE INDEX p1v ON p1 (v); ALTER INDEX pv ATTACH PARTITION p1v;",
    ),
)
