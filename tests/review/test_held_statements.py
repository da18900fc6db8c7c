"""Which changes break a prepared statement that a session holds (0A000) is what the review says: each is run and executed again."""

from __future__ import annotations

import psycopg
import pytest

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.postgres.target_facts import read_target_facts
from safemig.review import review
from safemig.sql import SourceFile

TABLES = """
CREATE TABLE t (id int, name text, n int, c varchar(10), d int);
CREATE VIEW v AS SELECT id, name FROM t;
CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION g(OUT a int, OUT b int) LANGUAGE sql AS 'SELECT 1, 2';
"""
# What a session may hold -> how the review names it.
HELD = {
    "SELECT * FROM t": "SELECT * and RETURNING * of t",
    "UPDATE t SET n = n RETURNING *": "SELECT * and RETURNING * of t",
    "SELECT n FROM t": "t.n",
    "SELECT c FROM t": "t.c",
    "SELECT * FROM v": "SELECT * and RETURNING * of v",
    "SELECT f(1)": "calls of f()",
    "SELECT * FROM g()": "calls of g()",
    "SELECT id, name FROM t": "t.id",
    "SELECT id FROM t WHERE c = 'x'": "t.id",
    "INSERT INTO t (id, n) VALUES (2, 2)": "t.id",
    "SELECT count(*) FROM t": "t.id",
}
STAR = {"SELECT * FROM t", "UPDATE t SET n = n RETURNING *"}
# The change -> which of them fail with 0A000.
CHANGES = {
    "ALTER TABLE t ADD COLUMN z int": STAR,
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS d int": set(),
    "ALTER TABLE t ADD COLUMN z int GENERATED ALWAYS AS (n + 1) STORED": STAR,
    "ALTER TABLE t DROP COLUMN d": STAR,
    "ALTER TABLE t RENAME COLUMN d TO e": STAR,
    "ALTER TABLE t ALTER COLUMN n TYPE bigint": {*STAR, "SELECT n FROM t"},
    "DROP VIEW v; ALTER TABLE t ALTER COLUMN c TYPE varchar(20)": {*STAR, "SELECT c FROM t", "SELECT * FROM v"},
    "ALTER TABLE t ALTER COLUMN c TYPE text": {*STAR, "SELECT c FROM t"},
    'ALTER TABLE t ALTER COLUMN c TYPE varchar(10) COLLATE "C"': {*STAR, "SELECT c FROM t"},
    "ALTER TABLE t ALTER COLUMN c TYPE varchar(10)": set(),
    "ALTER TABLE t ALTER COLUMN n SET DEFAULT 4": set(),
    "ALTER TABLE t ALTER COLUMN n SET NOT NULL": set(),
    "ALTER TABLE t ADD CONSTRAINT positive CHECK (n > 0)": set(),
    "CREATE INDEX i ON t (n)": set(),
    "ALTER TABLE t RENAME TO u; CREATE VIEW t AS SELECT * FROM u": set(),
    "CREATE OR REPLACE VIEW v AS SELECT id, name FROM t WHERE n > 0": set(),
    "CREATE OR REPLACE VIEW v AS SELECT id, name, n FROM t": {"SELECT * FROM v"},
    "CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 2'": set(),
    "DROP FUNCTION f(int); CREATE FUNCTION f(int) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'": {"SELECT f(1)"},
    "DROP FUNCTION g(); CREATE FUNCTION g(OUT a int, OUT b text) LANGUAGE sql AS $$ SELECT 1, 'x' $$": {"SELECT * FROM g()"},
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_session_holds_breaks_as_the_review_says(server: ThrowawayServer, change: str) -> None:
    url = server.create_database("held")
    try:
        broken = set()
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            connection.execute(TABLES.encode() + b"INSERT INTO t VALUES (1, 'a', 1, 'c', 1)")
            facts = read_target_facts(connection, "production")
            for number, text in enumerate(HELD):
                connection.execute(f"PREPARE p{number} AS {text}; EXECUTE p{number}".encode())
            connection.execute(change.encode())
            for number, text in enumerate(HELD):
                try:
                    connection.execute(f"EXECUTE p{number}".encode())
                except psycopg.errors.FeatureNotSupported:
                    broken.add(text)
                except psycopg.errors.UndefinedTable:
                    assert "DROP VIEW" in change
    finally:
        server.drop_database("held")
    expected = {text for text in CHANGES[change] if not ("DROP VIEW" in change and text.endswith("FROM v"))}
    assert broken == expected
    made = review([SourceFile("0.sql", TABLES), SourceFile("1.sql", change)], by_themselves=True)
    for said in (
        made.files[1].recommendations,
        review([SourceFile("1.sql", change)], target=facts).files[0].recommendations,
    ):
        if "FROM v" in "".join(expected) and said is not made.files[1].recommendations:
            continue  # of a view in the target only the functions that it calls are read
        lines = [line for line in said if "0A000" in line]
        assert bool(lines) == bool(expected)
        for text in expected:
            assert HELD[text] in lines[0]
        for text in set(HELD) - expected:
            assert all(HELD[text] not in line for line in lines) or HELD[text] in {HELD[one] for one in expected}


def test_a_new_table_has_no_statements_that_sessions_hold() -> None:
    made = review(
        [SourceFile("1.sql", "CREATE TABLE t (a int); ALTER TABLE t ADD COLUMN b int, ALTER COLUMN a TYPE bigint;")]
    )
    assert not [line for line in made.files[0].recommendations if "0A000" in line]
