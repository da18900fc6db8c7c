"""What only the newest PostgreSQL knows."""

from __future__ import annotations

from ..proof import Pair

_T = "CREATE TABLE t (id integer PRIMARY KEY, a text, b integer DEFAULT 1);"

NEWER = (
    Pair(
        "named not-null constraints", "", "CREATE TABLE n (a int CONSTRAINT a_must NOT NULL, b int NOT NULL)", since=18
    ),
    Pair(
        "not-null constraint renamed",
        "CREATE TABLE n (a int CONSTRAINT one NOT NULL)",
        "CREATE TABLE n (a int CONSTRAINT two NOT NULL)",
        since=18,
    ),
    Pair("named not-null set", "", "ALTER TABLE t ADD CONSTRAINT has_a NOT NULL a", _T, since=18),
    Pair("not-null that is not inherited", "", "CREATE TABLE n (a int NOT NULL NO INHERIT)", since=18),
    Pair(
        "not-null becomes inherited",
        "CREATE TABLE n (a int NOT NULL NO INHERIT)",
        "CREATE TABLE n (a int NOT NULL)",
        since=18,
    ),
    Pair("virtual column", "", "ALTER TABLE t ADD COLUMN v integer GENERATED ALWAYS AS (b * 2) VIRTUAL", _T, since=18),
    Pair(
        "virtual column changes",
        "CREATE TABLE t (b int, v int GENERATED ALWAYS AS (b * 2) VIRTUAL)",
        "CREATE TABLE t (b int, v int GENERATED ALWAYS AS (b * 3) VIRTUAL)",
        since=18,
    ),
    Pair(
        "virtual to stored",
        "CREATE TABLE t (b int, v int GENERATED ALWAYS AS (b * 2) VIRTUAL)",
        "CREATE TABLE t (b int, v int GENERATED ALWAYS AS (b * 2) STORED)",
        since=18,
    ),
    Pair(
        "constraint that is not enforced",
        "",
        "ALTER TABLE t ADD CONSTRAINT ck CHECK (b > 0) NOT ENFORCED; CREATE TABLE u (x int, CONSTRAINT fk FOREIGN KEY (x) REFERENCES t (id) NOT ENFORCED)",
        _T,
        since=18,
    ),
    Pair(
        "foreign key comes into force",
        "CREATE TABLE u (x int, CONSTRAINT fk FOREIGN KEY (x) REFERENCES t (id) NOT ENFORCED)",
        "CREATE TABLE u (x int, CONSTRAINT fk FOREIGN KEY (x) REFERENCES t (id))",
        _T,
        since=18,
    ),
    Pair(
        "temporal keys",
        "",
        "CREATE TABLE r (during daterange, k int4range, CONSTRAINT pk PRIMARY KEY (k, during WITHOUT OVERLAPS)); CREATE TABLE q (during daterange, k int4range, CONSTRAINT qfk FOREIGN KEY (k, PERIOD during) REFERENCES r (k, PERIOD during))",
        since=18,
    ),
    Pair("not-null that is not valid", "", "ALTER TABLE t ADD CONSTRAINT later NOT NULL a NOT VALID", _T, since=18),
    Pair(
        "identity of a partitioned table",
        "",
        "CREATE TABLE p (id bigint GENERATED ALWAYS AS IDENTITY, k int) PARTITION BY LIST (k); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
        since=17,
    ),
    Pair(
        "publication of generated columns",
        "CREATE PUBLICATION pub FOR TABLE t",
        "CREATE PUBLICATION pub FOR TABLE t WITH (publish_generated_columns = stored)",
        _T,
        since=18,
    ),
    Pair("builtin collation", "", "CREATE COLLATION bc (provider = builtin, locale = 'C.UTF-8')", since=17),
    Pair(
        "parent's not null in 18",
        "",
        "CREATE TABLE a (x int NOT NULL, y int); CREATE TABLE b (z int, PRIMARY KEY (z)) INHERITS (a)",
        since=13,
    ),
)
