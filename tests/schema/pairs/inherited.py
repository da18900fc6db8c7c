"""Not-null constraints and columns that children have beside their parents'; domains and foreign tables."""

from __future__ import annotations

from ..proof import Pair

INHERITED = (
    Pair(
        "a child's own column goes with its parent's",
        "CREATE TABLE p (id int, name text); CREATE TABLE c (id int) INHERITS (p);",
        "CREATE TABLE p (name text, n int); CREATE TABLE c () INHERITS (p);",
        since=13,
    ),
    Pair(
        "a child is made with a not-null constraint of its own",
        "CREATE TABLE p (a int);",
        "CREATE TABLE p (a int); CREATE TABLE c (CONSTRAINT foo NOT NULL a NO INHERIT) INHERITS (p);",
        since=18,
    ),
    Pair(
        "a child's not-null has another name",
        "CREATE TABLE p (a int CONSTRAINT nn NOT NULL);",
        "CREATE TABLE p (a int CONSTRAINT nn NOT NULL); CREATE TABLE c (CONSTRAINT mine NOT NULL a) INHERITS (p); CREATE TABLE d (PRIMARY KEY (a)) INHERITS (p); CREATE TABLE e () INHERITS (p);",
        since=18,
    ),
    Pair(
        "a not-null constraint without heirs gets some",
        "CREATE TABLE p (a int); CREATE TABLE c (CONSTRAINT foo NOT NULL a NO INHERIT) INHERITS (p);",
        "CREATE TABLE p (a int CONSTRAINT ditto NOT NULL); CREATE TABLE c () INHERITS (p);",
        since=18,
    ),
    Pair(
        "a table with a not-null becomes a child",
        "CREATE TABLE p (a int CONSTRAINT ditto NOT NULL); CREATE TABLE c (a int CONSTRAINT mine NOT NULL NO INHERIT);",
        "CREATE TABLE p (a int CONSTRAINT ditto NOT NULL); CREATE TABLE c (a int CONSTRAINT ditto NOT NULL) INHERITS (p);",
        since=18,
    ),
    Pair(
        "not valid not-null over children",
        "CREATE TABLE p (a int); CREATE TABLE c () INHERITS (p);",
        "CREATE TABLE p (a int); CREATE TABLE c () INHERITS (p); ALTER TABLE p ADD CONSTRAINT nn NOT NULL a NOT VALID;",
        since=18,
    ),
    Pair(
        "not valid not-null validated at the child only",
        "CREATE TABLE p (a int); CREATE TABLE c () INHERITS (p);",
        "CREATE TABLE p (a int); CREATE TABLE c () INHERITS (p); ALTER TABLE p ADD CONSTRAINT nn NOT NULL a NOT VALID; ALTER TABLE c VALIDATE CONSTRAINT nn",
        since=18,
    ),
    Pair(
        "not valid not-null over partitions",
        "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE c PARTITION OF p FOR VALUES IN (1); CREATE TABLE d PARTITION OF p FOR VALUES IN (2)",
        "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE c PARTITION OF p FOR VALUES IN (1); CREATE TABLE d PARTITION OF p FOR VALUES IN (2); ALTER TABLE p ADD CONSTRAINT nn NOT NULL a NOT VALID;",
        since=18,
    ),
    Pair(
        "not valid not-null over partitions, validated",
        "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE c PARTITION OF p FOR VALUES IN (1); ALTER TABLE p ADD CONSTRAINT nn NOT NULL a NOT VALID;",
        "CREATE TABLE p (a int CONSTRAINT nn NOT NULL) PARTITION BY LIST (a); CREATE TABLE c PARTITION OF p FOR VALUES IN (1); ",
        since=18,
    ),
    Pair(
        "not valid not-null over new partitions",
        "",
        "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE c PARTITION OF p FOR VALUES IN (1); ALTER TABLE p ADD CONSTRAINT nn NOT NULL a NOT VALID;",
        since=18,
    ),
    Pair(
        "child's own column comes with its parent's",
        "CREATE TABLE p (x int); CREATE TABLE c () INHERITS (p);",
        "CREATE TABLE p (x int, id int DEFAULT 3, k text NOT NULL); CREATE TABLE c (id int, k text NOT NULL) INHERITS (p);",
        since=13,
    ),
    Pair(
        "inherited not valid gets valid",
        "CREATE TABLE p (a int); CREATE TABLE c () INHERITS (p); ALTER TABLE p ADD CONSTRAINT nn NOT NULL a NOT VALID;",
        "CREATE TABLE p (a int CONSTRAINT nn NOT NULL); CREATE TABLE c () INHERITS (p);",
        since=18,
    ),
    Pair(
        "domain not-null by name",
        "CREATE DOMAIN d AS int; CREATE DOMAIN e AS int CONSTRAINT x NOT NULL; CREATE TABLE t (a d, b e);",
        "CREATE DOMAIN d AS int CONSTRAINT mine NOT NULL; CREATE DOMAIN e AS int NOT NULL; CREATE DOMAIN f AS text CONSTRAINT nn NOT NULL; CREATE TABLE t (a d, b e);",
        since=18,
    ),
    Pair(
        "foreign column's type",
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE f (a text, b int) SERVER s;",
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE f (a int, b text) SERVER s;",
        since=13,
    ),
    Pair(
        "partition's not-null has its own name",
        "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE c (a int); ALTER TABLE p ATTACH PARTITION c FOR VALUES IN (1)",
        "CREATE TABLE p (a int NOT NULL) PARTITION BY LIST (a); CREATE TABLE c (a int NOT NULL); ALTER TABLE p ATTACH PARTITION c FOR VALUES IN (1)",
        since=18,
    ),
    Pair(
        "not-null's usual name is taken",
        "CREATE TABLE p (a int) PARTITION BY LIST (a);",
        "CREATE TABLE p (a int NOT NULL) PARTITION BY LIST (a); CREATE TABLE c PARTITION OF p FOR VALUES IN (1);",
        since=18,
    ),
    Pair(
        "parent's not-null is renamed and it gets a child",
        "CREATE TABLE p (a int CONSTRAINT x NOT NULL);",
        "CREATE TABLE p (a int CONSTRAINT y NOT NULL); CREATE TABLE c (a int NOT NULL) INHERITS (p);",
        since=18,
    ),
    Pair(
        "join using a column that goes elsewhere",
        "CREATE TABLE a (x int, z int); CREATE TABLE b (x int, z int); CREATE TABLE c (z int);",
        "CREATE TABLE a (x int); CREATE TABLE b (x int, z int); CREATE TABLE c (z int); CREATE VIEW v AS SELECT * FROM (a JOIN b USING (x)) JOIN c USING (z);",
        since=13,
    ),
    Pair(
        "partition's not-null has the same name",
        "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE c (a int); ALTER TABLE p ATTACH PARTITION c FOR VALUES IN (1)",
        "CREATE TABLE p (a int CONSTRAINT n NOT NULL) PARTITION BY LIST (a); CREATE TABLE c (a int CONSTRAINT n NOT NULL); ALTER TABLE p ATTACH PARTITION c FOR VALUES IN (1)",
        since=18,
    ),
    Pair(
        "comments on not-null constraints",
        "CREATE TABLE t (a int NOT NULL, b int CONSTRAINT x NOT NULL, c int NOT NULL); CREATE DOMAIN d AS int NOT NULL; COMMENT ON COLUMN t.a IS 'column'; COMMENT ON CONSTRAINT t_c_not_null ON t IS 'gone'",
        "CREATE TABLE t (a int NOT NULL, b int CONSTRAINT x NOT NULL, c int); COMMENT ON COLUMN t.a IS 'column'; COMMENT ON CONSTRAINT t_a_not_null ON t IS 'constraint'; COMMENT ON CONSTRAINT x ON t IS 'x'; CREATE TABLE n (a int NOT NULL); COMMENT ON CONSTRAINT n_a_not_null ON n IS 'new'; CREATE DOMAIN d AS int NOT NULL; COMMENT ON CONSTRAINT d_not_null ON DOMAIN d IS 'd'",
        since=18,
    ),
    Pair(
        "default privileges in a schema for the role itself",
        "",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO CURRENT_USER; ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON SEQUENCES TO CURRENT_USER, PUBLIC; CREATE TABLE t (a int)",
        since=13,
    ),
    Pair(
        "a check of a parent and its child is checked no longer",
        "CREATE TABLE p (a int); CREATE TABLE c (b int) INHERITS (p); CREATE TABLE d () INHERITS (c); ALTER TABLE p ADD CONSTRAINT few CHECK (a < 20);",
        "CREATE TABLE p (a int); CREATE TABLE c (b int) INHERITS (p); CREATE TABLE d () INHERITS (c); ALTER TABLE p ADD CONSTRAINT few CHECK (a < 20) NOT VALID;",
        since=13,
    ),
)
