"""What stands on something that is replaced, and what follows something else: foreign tables, sequences, children."""

from __future__ import annotations

from ..proof import Pair

_WRAPPERS = "CREATE FOREIGN DATA WRAPPER w; CREATE FOREIGN DATA WRAPPER w2;"
_FOREIGN = (
    "CREATE FOREIGN TABLE ft (a int DEFAULT 3, b text OPTIONS (x 'y')) SERVER s; COMMENT ON FOREIGN TABLE ft IS 'far';"
)
_SEEN = "CREATE VIEW fv AS SELECT * FROM ft; GRANT SELECT ON ft, fv TO pg_monitor;"
_TYPE = "CREATE TYPE ct AS (a int, b text);"
_OWNED = "TO pg_monitor"

REBUILT = (
    Pair(
        "server gets another wrapper under a foreign table",
        f"CREATE SERVER s FOREIGN DATA WRAPPER w; {_FOREIGN} {_SEEN} CREATE USER MAPPING FOR PUBLIC SERVER s",
        f"CREATE SERVER s FOREIGN DATA WRAPPER w2; {_FOREIGN} {_SEEN} CREATE USER MAPPING FOR PUBLIC SERVER s",
        common=_WRAPPERS,
    ),
    Pair(
        "server gets another type",
        f"CREATE SERVER s TYPE 'a' FOREIGN DATA WRAPPER w; {_FOREIGN} {_SEEN}",
        f"CREATE SERVER s TYPE 'b' VERSION '2' FOREIGN DATA WRAPPER w; {_FOREIGN} {_SEEN}",
        common=_WRAPPERS,
        destructive=False,
    ),
    Pair(
        "server loses its version, its foreign table is a partition",
        "CREATE SERVER s VERSION '1' FOREIGN DATA WRAPPER w; CREATE TABLE p (a int) PARTITION BY LIST (a);"
        "CREATE FOREIGN TABLE p1 PARTITION OF p FOR VALUES IN (1) SERVER s; CREATE TABLE p2 PARTITION OF p DEFAULT",
        "CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE TABLE p (a int) PARTITION BY LIST (a);"
        "CREATE FOREIGN TABLE p1 PARTITION OF p FOR VALUES IN (1) SERVER s; CREATE TABLE p2 PARTITION OF p DEFAULT",
        common=_WRAPPERS,
        destructive=False,
    ),
    Pair(
        "an attribute comes to a typed table, with a default of its own",
        f"{_TYPE} CREATE TABLE tt OF ct (a DEFAULT 5)",
        "CREATE TYPE ct AS (a int, b text, c int, d text);"
        "CREATE TABLE tt OF ct (a DEFAULT 5, c WITH OPTIONS NOT NULL DEFAULT 7, d DEFAULT 'x', CHECK (c > 1))",
    ),
    Pair(
        "a child keeps its parent's check",
        "CREATE TABLE b (id int, CONSTRAINT c CHECK (id > 0)); CREATE TABLE k () INHERITS (b); CREATE TABLE l () INHERITS (k)",
        "CREATE TABLE b (id int); CREATE TABLE k (CONSTRAINT c CHECK (id > 0)) INHERITS (b); CREATE TABLE l () INHERITS (k)",
        back=False,  # what a child has of its own no statement takes away
    ),
    Pair(
        "a column goes from one of two parents",
        "CREATE TABLE b1 (id int, x int); CREATE TABLE b2 (x int); CREATE TABLE k () INHERITS (b1, b2)",
        "CREATE TABLE b1 (id int); CREATE TABLE b2 (x int); CREATE TABLE k () INHERITS (b1, b2)",
        destructive=True,
    ),
    Pair(
        "a linked sequence gets its owner with its table",
        "CREATE TABLE t (id serial)",
        f"CREATE TABLE t (id serial); ALTER TABLE t OWNER {_OWNED}",
        ownership=True,
    ),
    Pair(
        "a new table with its sequence has another owner",
        "CREATE TABLE other ()",
        f"CREATE TABLE other (); CREATE TABLE t (id serial, n int GENERATED ALWAYS AS IDENTITY); ALTER TABLE t OWNER {_OWNED}",
        ownership=True,
    ),
    Pair(
        "a sequence is linked to a table of another owner",
        "CREATE TABLE t (id int); CREATE SEQUENCE s",
        f"CREATE TABLE t (id int); CREATE SEQUENCE s; ALTER TABLE t OWNER {_OWNED}; ALTER SEQUENCE s OWNER {_OWNED};"
        "ALTER SEQUENCE s OWNED BY t.id",
        ownership=True,
    ),
    Pair(
        "an index names the new value of its column's enum",
        "CREATE TYPE e AS ENUM ('a', 'z'); CREATE TABLE t (id int, s e DEFAULT 'a'); CREATE INDEX i ON t (id) WHERE s = 'a'",
        "CREATE TYPE e AS ENUM ('a', 'm', 'z'); CREATE TABLE t (id int, s e DEFAULT 'm');"
        "CREATE INDEX i ON t (id) WHERE s IN ('a', 'm'); CREATE VIEW v AS SELECT * FROM t WHERE s = 'm'",
    ),
)
