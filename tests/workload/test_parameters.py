"""What a statement's parameters stand for, by its text; and values for them that a copy accepts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import psycopg
import pytest

from safemig.workload.parameters import read_parameters
from safemig.workload.values import Values

SCHEMA = """
CREATE TABLE owner (id int PRIMARY KEY, email varchar(20) NOT NULL UNIQUE, born date);
CREATE TABLE pet (owner_id int NOT NULL REFERENCES owner, number int NOT NULL, name text NOT NULL CHECK (name <> ''),
  weight numeric(6,2), tags text[], PRIMARY KEY (owner_id, number));
INSERT INTO owner SELECT n, 'o' || n, date '2000-01-01' + n FROM generate_series(1, 200) n;
INSERT INTO pet SELECT n, n % 3, 'pet ' || n, n, ARRAY['a', 'b'] FROM generate_series(1, 200) n;
"""


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("SELECT * FROM t WHERE a = $1", [(1, "compared", "", "a")]),
        ("SELECT * FROM t AS u WHERE $1 = u.a AND lower(u.b) = $2", [(1, "compared", "u", "u.a"), (2, "compared", "u", "lower(u.b)")]),
        ("SELECT * FROM t WHERE a >= $1 AND $2 > a", [(1, "low", "", "a"), (2, "high", "", "a")]),
        ("SELECT * FROM t WHERE a BETWEEN $1 AND $2", [(1, "low", "", "a"), (2, "high", "", "a")]),
        ("SELECT * FROM t WHERE a IN ($1, $2)", [(1, "compared", "", "a"), (2, "compared", "", "a")]),
        ("SELECT * FROM t WHERE a = ANY ($1)", [(1, "array", "", "a")]),
        ("SELECT * FROM t WHERE a = $1::int LIMIT $2 OFFSET $3", [(1, "compared", "", "a"), (2, "limit", "", ""), (3, "offset", "", "")]),
        ('INSERT INTO s.t (a, "B") VALUES ($1, $2)', [(1, "written", "t", '"a"'), (2, "written", "t", '"B"')]),
        ("UPDATE t SET a = $1 WHERE b = $2", [(1, "written", "t", '"a"'), (2, "compared", "", "b")]),
        ("SELECT * FROM t WHERE a = b + $1", []),
        ("SELECT $1", []),
    ],
)  # fmt: skip
def test_parameters_stand_for_columns(text: str, uses: list[tuple[int, str, str, str]]) -> None:
    found = read_parameters(text)
    assert found is not None
    assert [(each.number, each.use, each.relation, each.expression) for each in found.uses] == uses


@pytest.mark.parametrize(
    ("text", "is_read_only"),
    [
        ("SELECT 1", True),
        ("WITH a AS (SELECT 1) SELECT * FROM a", True),
        ("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", False),
        ("SELECT * FROM t FOR UPDATE", False),
        ("SELECT * INTO u FROM t", False),
        ("UPDATE t SET a = 1", False),
        ("TRUNCATE t", False),
    ],
)
def test_what_only_reads_is_known(text: str, is_read_only: bool) -> None:
    found = read_parameters(text)
    assert found is not None
    assert found.is_read_only is is_read_only


def test_what_does_not_parse_has_no_parameters() -> None:
    assert read_parameters("SELECT FROM WHERE $1") is None


@pytest.fixture
def copy(new_database: Callable[[], str]) -> Iterator[psycopg.Connection]:
    with psycopg.connect(new_database(), autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
        connection.execute("ANALYZE")
        yield connection


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM pet WHERE owner_id = $1 AND number = $2",
        "SELECT * FROM owner WHERE born BETWEEN $1 AND $2",
        "SELECT * FROM owner WHERE id = ANY ($1)",
        "SELECT p.* FROM pet p JOIN owner o ON o.id = p.owner_id WHERE o.email = $1 LIMIT $2",
        "SELECT * FROM owner WHERE lower(email) = $1",
        "UPDATE pet SET name = $1, weight = $2 WHERE owner_id = $3 AND number = $4",
        "UPDATE owner SET email = $1 WHERE id = $2",
        "DELETE FROM pet WHERE owner_id = $1",
    ],
)
def test_drawn_values_meet_rows(copy: psycopg.Connection, text: str) -> None:
    chance = random.Random(1)
    source = Values(copy, chance).of(text)
    assert source is not None
    assert source.drawn == source.count
    for _ in range(20):
        with copy.transaction(force_rollback=True):
            assert psycopg.RawCursor(copy).execute(text.encode(), source.draw(chance)).rowcount > 0


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO owner (id, email, born) VALUES ($1, $2, $3)",
        "INSERT INTO pet (owner_id, number, name, weight, tags) VALUES ($1, $2, $3, $4, $5)",
    ],
)
def test_inserted_rows_get_keys_that_no_row_has(copy: psycopg.Connection, text: str) -> None:
    chance = random.Random(1)
    source = Values(copy, chance).of(text)
    assert source is not None
    for _ in range(50):
        assert psycopg.RawCursor(copy).execute(text.encode(), source.draw(chance)).rowcount == 1
