"""What every member's rows are asked: each question tried on a real server, against what the statement itself does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from safemig.execution.steps import plan_files
from safemig.fleet.row_checks import _answer
from safemig.fleet.row_questions import row_questions
from safemig.migrations import Migration
from safemig.postgres.connection.connect import connect

TABLES = """
CREATE TABLE parent (id int PRIMARY KEY, code text UNIQUE);
CREATE TABLE t (id int, a int, b text, parent int, code text, "Odd name" text);
INSERT INTO parent VALUES (1, 'x');
INSERT INTO t VALUES (1, 1, '12', 1, 'x', 'o'), (2, NULL, 'abc', 2, 'y', NULL), (2, 5, '7', NULL, NULL, 'o');
ALTER TABLE t ADD CONSTRAINT late CHECK (a > 3) NOT VALID;
"""
# The statement, and how many rows (or values) are in its way; None: it is not known before. 0: the statement runs.
CASES: list[tuple[str, list[int | None]]] = [
    ("ALTER TABLE t ALTER COLUMN a SET NOT NULL", [1]),
    ('ALTER TABLE t ALTER COLUMN "Odd name" SET NOT NULL', [1]),
    ("ALTER TABLE t ADD CONSTRAINT u UNIQUE (id)", [1]),
    ("CREATE UNIQUE INDEX ON t (lower(b))", [0]),
    ("CREATE UNIQUE INDEX ON t (id) WHERE a > 4", [0]),
    ("ALTER TABLE t ADD PRIMARY KEY (id)", [1, 0]),
    ("ALTER TABLE t ADD FOREIGN KEY (parent) REFERENCES parent", [1]),
    ("ALTER TABLE t ADD FOREIGN KEY (code) REFERENCES parent (code)", [1]),
    ("ALTER TABLE t ADD FOREIGN KEY (parent) REFERENCES parent NOT VALID", []),
    ("ALTER TABLE t ADD CHECK (a < 5)", [1]),
    ("ALTER TABLE t ADD CHECK (a < 6)", [0]),
    ("ALTER TABLE t VALIDATE CONSTRAINT late", [1]),
    ("ALTER TABLE t ALTER COLUMN b TYPE int USING b::int", [1]),
    ("ALTER TABLE t ALTER COLUMN b TYPE varchar(2)", [1]),
    ("ALTER TABLE t ALTER COLUMN b TYPE varchar(3)", [0]),
    ("ALTER TABLE t ALTER COLUMN a TYPE bigint", [0]),
    ("ALTER TABLE t ADD COLUMN z int NOT NULL", [3]),
    ("ALTER TABLE t ADD COLUMN z int NOT NULL DEFAULT 0", []),
    ("ALTER TABLE t ADD COLUMN z serial NOT NULL", []),
    ("CREATE TABLE fresh (a int); ALTER TABLE fresh ALTER COLUMN a SET NOT NULL", []),
    ("ALTER TABLE t ADD COLUMN z int; ALTER TABLE t ADD CHECK (z > 0)", [0]),
    ("UPDATE t SET a = 9 WHERE a IS NULL; ALTER TABLE t ALTER COLUMN a SET NOT NULL", [None]),
    ("ALTER TABLE t ADD CONSTRAINT k CHECK (a < 5) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT k", [1]),
]


@pytest.mark.parametrize(("sql", "expected"), CASES, ids=[sql for sql, _ in CASES])
def test_the_rows_in_the_way_are_those_at_which_the_statement_fails(
    sql: str, expected: list[int | None], database: str
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES.encode())
    questions = row_questions(plan_files([Migration("1", "x", Path("1_x.sql"), sql, "")]))
    with connect(database, "the database") as connection:
        assert [_answer(connection, each, 10)[0] for each in questions] == expected
    with psycopg.connect(database) as connection:
        if None in expected or not any(expected):
            connection.execute(sql.encode())
        else:
            with pytest.raises(psycopg.Error):
                connection.execute(sql.encode())


def test_a_check_is_bounded_in_time_and_a_lock_is_said(new_database: Callable[[], str]) -> None:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(b"CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 3000)")
    files = plan_files(
        [Migration("1", "x", Path("1_x.sql"), "ALTER TABLE t ADD CHECK (pg_sleep(0.01) IS NOT NULL)", "")]
    )
    (question,) = row_questions(files)
    with connect(url, "the database") as connection, psycopg.connect(url) as holder:
        assert _answer(connection, question, 1) == (None, "not answered in 1 s")
        holder.execute("LOCK TABLE t")
        assert _answer(connection, question, 5) == (None, "a lock on the table is held")
