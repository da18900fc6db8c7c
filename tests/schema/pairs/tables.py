"""Tables, columns, defaults, constraints, indexes, sequences."""

from __future__ import annotations

from ..proof import Pair

_T = (
    "CREATE TABLE t (id integer PRIMARY KEY, a text, b integer DEFAULT 1, c numeric(10,2), d timestamp, e varchar(20));"
)
_TWO = _T + "CREATE TABLE u (id integer PRIMARY KEY, t_id integer, x integer, y integer);"
_PARENT = "CREATE TABLE p (id integer NOT NULL, at date NOT NULL, v text) PARTITION BY RANGE (at);"
_P1 = "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"
_P2 = "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');"

TABLES = (
    # tables
    Pair("an empty table", "", "CREATE TABLE nothing ();"),
    Pair(
        "a table with every inline thing",
        "",
        """CREATE TABLE t (id serial PRIMARY KEY, "Odd Name" text COLLATE "C" NOT NULL DEFAULT 'it''s',
        n numeric(8,3) CHECK (n > 0), arr integer[] DEFAULT '{}', j jsonb, UNIQUE ("Odd Name", n), CONSTRAINT "weird ""name" CHECK (arr IS NOT NULL))""",
    ),
    Pair(
        "names that must be quoted",
        "",
        """CREATE SCHEMA "Sch""ema"; CREATE TABLE "Sch""ema"."select" ("from" int, "größe" int, "new
line" int, "UPPER" int);
        CREATE INDEX "I x" ON "Sch""ema"."select" ("from", "UPPER"); COMMENT ON COLUMN "Sch""ema"."select"."größe" IS 'a \\ b '' c';""",
    ),
    Pair("an unlogged table", "", "CREATE UNLOGGED TABLE t (id int)"),
    Pair("logged to unlogged", "CREATE TABLE t (id int)", "CREATE UNLOGGED TABLE t (id int)", destructive=False),
    Pair(
        "storage parameters",
        "",
        "ALTER TABLE t SET (fillfactor = 70, autovacuum_enabled = false, toast.autovacuum_enabled = false)",
        _T,
    ),
    Pair(
        "storage parameters change",
        "CREATE TABLE t (a text) WITH (fillfactor = 70, autovacuum_vacuum_threshold = 5)",
        "CREATE TABLE t (a text) WITH (fillfactor = 80)",
    ),
    Pair("replica identity full", "", "ALTER TABLE t REPLICA IDENTITY FULL", _T),
    Pair(
        "replica identity nothing to full",
        "CREATE TABLE t (a int); ALTER TABLE t REPLICA IDENTITY NOTHING",
        "CREATE TABLE t (a int); ALTER TABLE t REPLICA IDENTITY FULL",
    ),
    Pair(
        "replica identity by index",
        "",
        "ALTER TABLE t ALTER a SET NOT NULL; CREATE UNIQUE INDEX t_a ON t (a); ALTER TABLE t REPLICA IDENTITY USING INDEX t_a",
        _T,
    ),
    Pair(
        "replica identity by index that changes",
        "CREATE TABLE t (a int NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX i ON t (a); ALTER TABLE t REPLICA IDENTITY USING INDEX i",
        "CREATE TABLE t (a int NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX i ON t (a, b); ALTER TABLE t REPLICA IDENTITY USING INDEX i",
    ),
    Pair("clustered", "", "ALTER TABLE t CLUSTER ON t_pkey", _T),
    Pair(
        "clustered on another index",
        "CREATE TABLE t (a int, b int); CREATE INDEX i ON t (a); CREATE INDEX j ON t (b); CLUSTER t USING i",
        "CREATE TABLE t (a int, b int); CREATE INDEX i ON t (a); CREATE INDEX j ON t (b); CLUSTER t USING j",
    ),
    Pair(
        "typed table",
        "",
        "CREATE TYPE ty AS (a int, b text); CREATE TABLE t OF ty (a WITH OPTIONS NOT NULL DEFAULT 3, PRIMARY KEY (a))",
    ),
    Pair("typed table without more", "", "CREATE TYPE ty AS (a int, b text); CREATE TABLE t OF ty"),
    Pair(
        "table becomes typed",
        "CREATE TYPE ty AS (a int, b text); CREATE TABLE t (a int, b text)",
        "CREATE TYPE ty AS (a int, b text); CREATE TABLE t OF ty",
        destructive=False,
    ),
    Pair(
        "attribute added to a typed table",
        "",
        "ALTER TYPE ty ADD ATTRIBUTE c int CASCADE",
        "CREATE TYPE ty AS (a int, b text); CREATE TABLE t OF ty;",
    ),
    Pair("row security", "", "ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY", _T),
    Pair(
        "ordinary table becomes partitioned",
        "CREATE TABLE t (a int)",
        "CREATE TABLE t (a int) PARTITION BY LIST (a)",
        destructive=True,
    ),
    Pair(
        "table becomes view",
        "CREATE TABLE s (a int); CREATE TABLE t (a int)",
        "CREATE TABLE s (a int); CREATE VIEW t AS SELECT a FROM s",
        destructive=True,
    ),
    Pair(
        "table in another schema",
        "CREATE SCHEMA x; CREATE TABLE x.t (a int)",
        "CREATE SCHEMA x; CREATE TABLE t (a int)",
        destructive=True,
    ),
    # inheritance
    Pair("inheritance", "", "CREATE TABLE kid (extra int) INHERITS (t); ALTER TABLE kid ALTER b SET DEFAULT 5", _T),
    Pair(
        "inheritance begins",
        "CREATE TABLE a (x int, y int); CREATE TABLE b (x int, y int)",
        "CREATE TABLE a (x int, y int); CREATE TABLE b (x int, y int); ALTER TABLE b INHERIT a",
    ),
    Pair(
        "inherited column added",
        "",
        "ALTER TABLE a ADD COLUMN z int DEFAULT 3",
        "CREATE TABLE a (x int); CREATE TABLE b (y int) INHERITS (a); CREATE TABLE c () INHERITS (b);",
    ),
    Pair(
        "inherited column dropped",
        "",
        "ALTER TABLE a DROP COLUMN x",
        "CREATE TABLE a (x int, w int); CREATE TABLE b (y int) INHERITS (a);",
    ),
    Pair(
        "inherited column changes its type",
        "",
        "ALTER TABLE a ALTER x TYPE bigint",
        "CREATE TABLE a (x int); CREATE TABLE b (y int) INHERITS (a);",
    ),
    Pair(
        "inherited not null and default",
        "",
        "ALTER TABLE a ALTER x SET NOT NULL, ALTER x SET DEFAULT 5",
        "CREATE TABLE a (x int); CREATE TABLE b (y int) INHERITS (a);",
    ),
    Pair(
        "inherited check",
        "",
        "ALTER TABLE a ADD CONSTRAINT pos CHECK (x > 0)",
        "CREATE TABLE a (x int); CREATE TABLE b (y int) INHERITS (a);",
    ),
    Pair(
        "check that is not inherited",
        "",
        "ALTER TABLE a ADD CONSTRAINT pos CHECK (x > 0) NO INHERIT",
        "CREATE TABLE a (x int); CREATE TABLE b (y int) INHERITS (a);",
    ),
    Pair(
        "two parents",
        "",
        "CREATE TABLE c (z int) INHERITS (a, b)",
        "CREATE TABLE a (x int); CREATE TABLE b (y int, x int);",
    ),
    # columns
    Pair(
        "columns added and dropped",
        "",
        "ALTER TABLE t DROP COLUMN a, ADD COLUMN f boolean DEFAULT true NOT NULL, ADD COLUMN g text[]",
        _T,
        destructive=True,
    ),
    Pair("int to bigint", "", "ALTER TABLE t ALTER b TYPE bigint", _T, destructive=False),
    Pair(
        "int to bigint of a key that is referenced",
        "",
        "ALTER TABLE t ALTER id TYPE bigint; ALTER TABLE u ALTER t_id TYPE bigint",
        _TWO + "ALTER TABLE u ADD FOREIGN KEY (t_id) REFERENCES t (id);",
        destructive=False,
    ),
    Pair("varchar widened", "", "ALTER TABLE t ALTER e TYPE varchar(50)", _T, destructive=False),
    Pair("varchar to text", "", "ALTER TABLE t ALTER e TYPE text", _T),
    Pair("numeric scale", "", "ALTER TABLE t ALTER c TYPE numeric(12,4)", _T),
    Pair("text to integer", "", "ALTER TABLE t ALTER a TYPE integer USING a::integer", _T, destructive=True),
    Pair("text to integer with default", "CREATE TABLE t (a text DEFAULT '0')", "CREATE TABLE t (a integer DEFAULT 0)"),
    Pair(
        "text to boolean with index and check",
        "CREATE TABLE t (a text, CHECK (a <> '')); CREATE INDEX i ON t (a) WHERE a <> 'x'",
        "CREATE TABLE t (a boolean); CREATE INDEX i ON t (a) WHERE a",
    ),
    Pair("timestamp to timestamptz", "", "ALTER TABLE t ALTER d TYPE timestamptz", _T),
    Pair("text to json", "CREATE TABLE t (a text)", "CREATE TABLE t (a jsonb)"),
    Pair("integer to array", "CREATE TABLE t (a integer)", "CREATE TABLE t (a integer[])"),
    Pair("text to uuid", "CREATE TABLE t (a text)", "CREATE TABLE t (a uuid)"),
    Pair("integer to boolean", "CREATE TABLE t (a integer DEFAULT 1)", "CREATE TABLE t (a boolean DEFAULT true)"),
    Pair(
        "text to enum",
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t (a text DEFAULT 'ok')",
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t (a mood DEFAULT 'ok')",
    ),
    Pair(
        "a new enum for a column",
        "CREATE TABLE t (a text DEFAULT 'ok' NOT NULL)",
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t (a mood DEFAULT 'ok' NOT NULL)",
    ),
    Pair("collation", "", 'ALTER TABLE t ALTER a TYPE text COLLATE "C"', _T),
    Pair(
        "collation with view and index",
        "CREATE TABLE t (a text); CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT a FROM t",
        'CREATE TABLE t (a text COLLATE "C"); CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT a FROM t',
        destructive=False,
    ),
    Pair("not null", "", "ALTER TABLE t ALTER a SET NOT NULL", _T),
    Pair("defaults", "", "ALTER TABLE t ALTER b DROP DEFAULT, ALTER a SET DEFAULT 'x', ALTER d SET DEFAULT now()", _T),
    Pair("default changes", "", "ALTER TABLE t ALTER b SET DEFAULT 2", _T),
    Pair(
        "identity added",
        "",
        "ALTER TABLE t ALTER id ADD GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 5)",
        _T,
    ),
    Pair(
        "identity kind and options",
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY)",
        "CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY (CACHE 5 CYCLE MAXVALUE 1000))",
    ),
    Pair(
        "identity column type",
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY)",
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY)",
        destructive=False,
    ),
    Pair(
        "identity with its own sequence name",
        "",
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME other_name))",
    ),
    Pair(
        "serial to identity",
        "CREATE TABLE t (id serial PRIMARY KEY)",
        "CREATE TABLE t (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY)",
    ),
    Pair("integer to serial", "CREATE TABLE t (id integer NOT NULL)", "CREATE TABLE t (id serial)"),
    Pair("generated stored", "", "ALTER TABLE t ADD COLUMN g integer GENERATED ALWAYS AS (b * 2) STORED", _T),
    Pair(
        "generated expression changes",
        "CREATE TABLE t (a int, g int GENERATED ALWAYS AS (a * 2) STORED)",
        "CREATE TABLE t (a int, g int GENERATED ALWAYS AS (a * 3) STORED)",
    ),
    Pair(
        "generated to plain",
        "CREATE TABLE t (a int, g int GENERATED ALWAYS AS (a * 2) STORED)",
        "CREATE TABLE t (a int, g int)",
    ),
    Pair(
        "generated over a column that changes its type",
        "CREATE TABLE t (a int, g text GENERATED ALWAYS AS (a::text) STORED)",
        "CREATE TABLE t (a bigint, g text GENERATED ALWAYS AS (a::text) STORED)",
    ),
    Pair(
        "storage and compression",
        "",
        "ALTER TABLE t ALTER a SET STORAGE EXTERNAL, ALTER e SET STORAGE MAIN, ALTER a SET COMPRESSION lz4",
        _T,
        since=14,
    ),
    Pair("statistics and options", "", "ALTER TABLE t ALTER a SET STATISTICS 500, ALTER b SET (n_distinct = 5)", _T),
    Pair(
        "column comment",
        "COMMENT ON COLUMN t.a IS 'one'",
        "COMMENT ON COLUMN t.a IS 'two'; COMMENT ON COLUMN t.b IS 'new'; COMMENT ON TABLE t IS 't'",
        _T,
    ),
    # constraints
    Pair("primary key added", "", "ALTER TABLE u ADD PRIMARY KEY (a)", "CREATE TABLE u (a int NOT NULL, b int);"),
    Pair(
        "primary key changes",
        "CREATE TABLE t (a int NOT NULL, b int NOT NULL, PRIMARY KEY (a))",
        "CREATE TABLE t (a int NOT NULL, b int NOT NULL, PRIMARY KEY (a, b))",
    ),
    Pair("primary key dropped", "CREATE TABLE t (a int NOT NULL PRIMARY KEY)", "CREATE TABLE t (a int)"),
    Pair(
        "primary key under a foreign key changes",
        "CREATE TABLE t (a int NOT NULL, b int NOT NULL, CONSTRAINT pk PRIMARY KEY (a), CONSTRAINT un UNIQUE (b)); CREATE TABLE u (a int REFERENCES t (a))",
        "CREATE TABLE t (a int NOT NULL, b int NOT NULL, CONSTRAINT pk PRIMARY KEY (b), CONSTRAINT un UNIQUE (a)); CREATE TABLE u (a int REFERENCES t (a))",
    ),
    Pair(
        "unique with everything",
        "",
        "ALTER TABLE t ADD CONSTRAINT un UNIQUE (a, b) INCLUDE (c) WITH (fillfactor = 80) DEFERRABLE INITIALLY DEFERRED",
        _T,
    ),
    Pair(
        "unique nulls not distinct",
        "ALTER TABLE t ADD CONSTRAINT un UNIQUE (a)",
        "ALTER TABLE t ADD CONSTRAINT un UNIQUE NULLS NOT DISTINCT (a)",
        _T,
        since=15,
    ),
    Pair(
        "check changes",
        "ALTER TABLE t ADD CONSTRAINT ck CHECK (b > 0)",
        "ALTER TABLE t ADD CONSTRAINT ck CHECK (b > 1)",
        _T,
    ),
    Pair(
        "check not valid becomes valid",
        "ALTER TABLE t ADD CONSTRAINT ck CHECK (b > 0) NOT VALID",
        "ALTER TABLE t ADD CONSTRAINT ck CHECK (b > 0)",
        _T,
    ),
    Pair(
        "foreign key not valid",
        "",
        "ALTER TABLE u ADD CONSTRAINT fk FOREIGN KEY (t_id) REFERENCES t (id) NOT VALID",
        _TWO,
    ),
    Pair(
        "foreign key options",
        "ALTER TABLE u ADD CONSTRAINT fk FOREIGN KEY (t_id) REFERENCES t (id)",
        "ALTER TABLE u ADD CONSTRAINT fk FOREIGN KEY (t_id) REFERENCES t (id) MATCH FULL ON UPDATE CASCADE ON DELETE SET NULL",
        _TWO,
    ),
    Pair(
        "foreign key deferrable",
        "ALTER TABLE u ADD CONSTRAINT fk FOREIGN KEY (t_id) REFERENCES t (id)",
        "ALTER TABLE u ADD CONSTRAINT fk FOREIGN KEY (t_id) REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED",
        _TWO,
    ),
    Pair(
        "foreign key set null of some columns",
        "",
        "ALTER TABLE t ADD UNIQUE (id, b); ALTER TABLE u ADD FOREIGN KEY (t_id, x) REFERENCES t (id, b) ON DELETE SET NULL (x)",
        _TWO,
        since=15,
    ),
    Pair(
        "mutual foreign keys",
        "",
        "CREATE TABLE a (id int PRIMARY KEY, b_id int); CREATE TABLE b (id int PRIMARY KEY, a_id int REFERENCES a); ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b",
    ),
    Pair("foreign key to itself", "", "CREATE TABLE a (id int PRIMARY KEY, up int REFERENCES a)"),
    Pair(
        "exclusion",
        "",
        "CREATE TABLE r (during tsrange, EXCLUDE USING gist (during WITH &&) WHERE (NOT isempty(during)))",
    ),
    Pair(
        "constraint comments",
        "",
        "ALTER TABLE t ADD CONSTRAINT ck CHECK (b > 0); COMMENT ON CONSTRAINT ck ON t IS 'why'; COMMENT ON CONSTRAINT t_pkey ON t IS 'key'; COMMENT ON INDEX t_pkey IS 'idx'",
        _T,
    ),
    Pair(
        "table under a foreign key is dropped",
        "CREATE TABLE u (id int, t_id int REFERENCES t)",
        "",
        _T,
        destructive=True,
    ),
    Pair(
        "constraint moves to another index name",
        "CREATE TABLE t (a int, CONSTRAINT x UNIQUE (a))",
        "CREATE TABLE t (a int); CREATE UNIQUE INDEX x ON t (a)",
    ),
    Pair(
        "check uses a function",
        "",
        "CREATE FUNCTION ok(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0'; ALTER TABLE t ADD CHECK (ok(b))",
        _T,
    ),
    # indexes
    Pair(
        "indexes of every sort",
        "",
        """CREATE INDEX i1 ON t (a DESC NULLS LAST, b); CREATE UNIQUE INDEX i2 ON t (lower(a)) WHERE b > 0;
        CREATE INDEX i3 ON t USING hash (a); CREATE INDEX i4 ON t USING brin (d) WITH (pages_per_range = 16);
        CREATE INDEX i5 ON t (a text_pattern_ops) INCLUDE (b); CREATE INDEX i6 ON t USING gin (to_tsvector('english', a));
        CREATE INDEX i7 ON t USING gist (point(b, b)); CREATE INDEX i8 ON t (a COLLATE "C")""",
        _T,
    ),
    Pair("index changes", "CREATE INDEX i ON t (a)", "CREATE INDEX i ON t (a, b)", _T),
    Pair(
        "index options change",
        "CREATE INDEX i ON t (a) WITH (fillfactor = 70)",
        "CREATE INDEX i ON t (a) WITH (fillfactor = 90, deduplicate_items = off)",
        _T,
    ),
    Pair("index becomes unique", "CREATE INDEX i ON t (a)", "CREATE UNIQUE INDEX i ON t (a)", _T),
    Pair("index nulls not distinct", "", "CREATE UNIQUE INDEX i ON t (a) NULLS NOT DISTINCT", _T, since=15),
    Pair(
        "index statistics",
        "",
        "CREATE INDEX i ON t (lower(a), (b + 1)); ALTER INDEX i ALTER COLUMN 2 SET STATISTICS 77",
        _T,
    ),
    Pair("index comment", "CREATE INDEX i ON t (a)", "CREATE INDEX i ON t (a); COMMENT ON INDEX i IS 'fast'", _T),
    Pair("index goes with its column", "CREATE INDEX i ON t (a, b)", "ALTER TABLE t DROP COLUMN a", _T),
    Pair("index name moves to another table", "CREATE INDEX i ON t (a)", "CREATE INDEX i ON u (x)", _TWO),
    Pair(
        "index with a column that is recreated",
        "CREATE TABLE t (a int, g int GENERATED ALWAYS AS (a * 2) STORED); CREATE INDEX i ON t (g); CREATE VIEW v AS SELECT g FROM t",
        "CREATE TABLE t (a int, g int); CREATE INDEX i ON t (g); CREATE VIEW v AS SELECT g FROM t",
    ),
    # sequences
    Pair("sequence", "", "CREATE SEQUENCE s AS integer START 5 INCREMENT 2 MINVALUE 1 MAXVALUE 999 CACHE 3 CYCLE"),
    Pair(
        "sequence changes",
        "CREATE SEQUENCE s",
        "CREATE SEQUENCE s AS smallint INCREMENT -1 MINVALUE -5 MAXVALUE 5 START 0",
    ),
    Pair(
        "sequence is owned",
        "CREATE SEQUENCE s",
        "CREATE SEQUENCE s; ALTER SEQUENCE s OWNED BY t.b; ALTER TABLE t ALTER b SET DEFAULT nextval('s')",
        _T,
    ),
    Pair(
        "sequence of a dropped column lives on",
        "CREATE SEQUENCE s; ALTER SEQUENCE s OWNED BY t.b",
        "CREATE SEQUENCE s; ALTER TABLE t DROP COLUMN b",
        _T,
    ),
    Pair(
        "sequence serves two tables",
        "",
        "CREATE SEQUENCE s; CREATE TABLE a (id bigint DEFAULT nextval('s')); CREATE TABLE b (id bigint DEFAULT nextval('s'))",
    ),
    Pair(
        "sequence for the default of an existing table",
        "",
        "CREATE SEQUENCE s; ALTER TABLE t ALTER b SET DEFAULT nextval('s')",
        _T,
    ),
    Pair("unlogged sequence", "CREATE SEQUENCE s", "CREATE UNLOGGED SEQUENCE s", since=15),
    # partitions
    Pair("partitioned table with partitions", "", _PARENT + _P1 + _P2 + "CREATE TABLE pd PARTITION OF p DEFAULT;"),
    Pair(
        "partition with its own things",
        "",
        _PARENT
        + "CREATE TABLE p1 PARTITION OF p (v DEFAULT 'x', CHECK (id > 0)) FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); CREATE INDEX own ON p1 (v)",
    ),
    Pair(
        "partition added", "", _P2, _PARENT + _P1 + "ALTER TABLE p ADD PRIMARY KEY (id, at); CREATE INDEX pv ON p (v);"
    ),
    Pair(
        "partition attached",
        _PARENT + "CREATE TABLE p1 (id integer NOT NULL, at date NOT NULL, v text)",
        _PARENT + _P1,
        destructive=False,
    ),
    Pair(
        "partition bound changes",
        _PARENT + _P1,
        _PARENT + "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2024-07-01');",
        destructive=False,
    ),
    Pair("partitioned index", "", "CREATE INDEX pv ON p (v)", _PARENT + _P1 + _P2),
    Pair(
        "partitioned index with other names",
        _PARENT + _P1,
        _PARENT + _P1 + "CREATE INDEX oddly ON p1 (v); CREATE INDEX pv ON p (v);",
    ),
    Pair("partitioned index changes", "CREATE INDEX pv ON p (v)", "CREATE INDEX pv ON p (v, id)", _PARENT + _P1),
    Pair("partitioned primary key", "", "ALTER TABLE p ADD PRIMARY KEY (id, at)", _PARENT + _P1 + _P2),
    Pair("partitioned unique", "", "ALTER TABLE p ADD CONSTRAINT un UNIQUE (at, v)", _PARENT + _P1 + _P2),
    Pair(
        "partitioned column",
        "",
        "ALTER TABLE p ADD COLUMN w integer DEFAULT 3 NOT NULL; ALTER TABLE p ALTER v SET NOT NULL; ALTER TABLE p ALTER v SET DEFAULT 'a'",
        _PARENT + _P1 + _P2,
    ),
    Pair("partitioned column dropped", "", "ALTER TABLE p DROP COLUMN v", _PARENT + _P1 + "CREATE INDEX pv ON p (v);"),
    Pair(
        "partitioned column type",
        "",
        "ALTER TABLE p ALTER id TYPE bigint",
        _PARENT + _P1 + "ALTER TABLE p ADD PRIMARY KEY (id, at);",
        destructive=False,
    ),
    Pair("partitioned check", "", "ALTER TABLE p ADD CONSTRAINT ck CHECK (id > 0)", _PARENT + _P1),
    Pair(
        "foreign key to and from a partitioned table",
        "",
        "CREATE TABLE o (id int PRIMARY KEY); ALTER TABLE p ADD PRIMARY KEY (id, at); ALTER TABLE p ADD FOREIGN KEY (id) REFERENCES o; CREATE TABLE q (id int, at date, FOREIGN KEY (id, at) REFERENCES p)",
        _PARENT + _P1,
    ),
    Pair(
        "partitioned trigger",
        "",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER tr BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION f()",
        _PARENT + _P1,
    ),
    Pair(
        "sub-partitions",
        "",
        _PARENT
        + "CREATE TABLE ps PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY HASH (id); CREATE TABLE ps0 PARTITION OF ps FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE ps1 PARTITION OF ps FOR VALUES WITH (MODULUS 2, REMAINDER 1); CREATE INDEX i ON p (v); ALTER TABLE p ADD PRIMARY KEY (id, at);",
    ),
    Pair(
        "list partitions with default",
        "",
        "CREATE TABLE l (k text NOT NULL) PARTITION BY LIST (k); CREATE TABLE la PARTITION OF l FOR VALUES IN ('a', 'b'); CREATE TABLE lz PARTITION OF l DEFAULT",
    ),
    Pair(
        "partition with columns in another order",
        "",
        _PARENT
        + "CREATE TABLE p1 (v text, at date NOT NULL, id integer NOT NULL); ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
    ),
    Pair(
        "partition replaced by two",
        _PARENT + _P1,
        _PARENT
        + "CREATE TABLE pa PARTITION OF p FOR VALUES FROM ('2024-01-01') TO ('2024-07-01'); CREATE TABLE pb PARTITION OF p FOR VALUES FROM ('2024-07-01') TO ('2025-01-01');",
    ),
    Pair("index on only the parent", "", "CREATE INDEX pv ON ONLY p (v)", _PARENT + _P1),
)
