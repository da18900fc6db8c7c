"""What is said to write a table again does so, and what is said to be free is: the file nodes before and after are compared."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from safemig.review import TargetFacts, review
from safemig.review.types import cost_of_change
from safemig.sql import SourceFile

FILE_NODE = "SELECT pg_relation_filenode('measured')"
SAMPLE = {
    "text": "'1'", "character varying(50)": "'1'", "character varying": "'1'", "numeric(10,2)": "1.25", "numeric": "1.257",
    "integer": "1", "bigint": "1", "smallint": "1", "double precision": "1.2345678901",
    "real": "1.5", "cidr": "'10.0.0.0/8'", "inet": "'10.0.0.1'",
    "timestamp without time zone": "'2026-01-01 10:00:00.123456'", "timestamp with time zone": "'2026-01-01 10:00:00.123456+00'",
    "date": "'2026-01-01'", "boolean": "true", "character(10)": "'a'", "bit varying(8)": "B'101'", "bit(8)": "B'10101010'",
    "timestamp(6) without time zone": "'2026-01-01 10:00:00.123456'", "json": "'{}'", "time without time zone": "'10:00:00.123'",
}  # fmt: skip
# old, new, what it costs
CHANGES = [
    ("character varying(50)", "character varying(100)", "free"),
    ("character varying(50)", "text", "free"),
    ("character varying(50)", "character varying", "free"),
    ("character varying(50)", "character varying(20)", "rewrite"),
    ("text", "character varying(255)", "rewrite"),
    ("text", "character varying", "free"),
    ("numeric(10,2)", "numeric(12,2)", "free"),
    ("numeric(10,2)", "numeric", "free"),
    ("numeric(10,2)", "numeric(12,4)", "rewrite"),
    ("numeric(10,2)", "numeric(10,1)", "lossy"),
    ("numeric(10,2)", "integer", "lossy"),
    ("numeric", "numeric(10,2)", "lossy"),
    ("integer", "bigint", "rewrite"),
    ("bigint", "integer", "rewrite"),
    ("smallint", "integer", "rewrite"),
    ("integer", "text", "rewrite"),
    ("integer", "numeric", "rewrite"),
    ("double precision", "integer", "lossy"),
    ("double precision", "real", "lossy"),
    ("real", "double precision", "rewrite"),
    ("double precision", "numeric(10,0)", "lossy"),
    ("cidr", "inet", "free"),
    ("inet", "text", "rewrite"),
    ("timestamp without time zone", "timestamp with time zone", "free"),
    ("timestamp with time zone", "timestamp without time zone", "free"),
    ("timestamp without time zone", "date", "lossy"),
    ("timestamp with time zone", "date", "lossy"),
    ("timestamp without time zone", "timestamp(0) without time zone", "lossy"),
    ("timestamp without time zone", "time without time zone", "lossy"),
    ("timestamp(6) without time zone", "timestamp without time zone", "free"),
    ("time without time zone", "time(0) without time zone", "lossy"),
    ("date", "timestamp without time zone", "rewrite"),
    ("boolean", "text", "rewrite"),
    ("character(10)", "text", "rewrite"),
    ("text", "character(10)", "rewrite"),
    ("bit varying(8)", "bit varying(16)", "free"),
    ("json", "jsonb", "rewrite"),
]


@pytest.mark.in_turn
@pytest.mark.parametrize(("old", "new", "cost"), CHANGES, ids=[f"{old} to {new}" for old, new, _ in CHANGES])
def test_a_change_of_type_costs_what_is_said(
    shop_connection: psycopg.Connection[Any], old: str, new: str, cost: str
) -> None:
    connection = shop_connection
    assert cost_of_change(old, new, utc=True) == cost
    connection.execute(b"SET LOCAL TimeZone = 'UTC'")
    connection.execute(f"CREATE TABLE measured (a {old})".encode())
    connection.execute(f"INSERT INTO measured VALUES ({SAMPLE[old]})".encode())
    [(value,)] = connection.execute(b"SELECT a::text FROM measured").fetchall()
    [before] = connection.execute(FILE_NODE).fetchall()
    connection.execute(f"ALTER TABLE measured ALTER COLUMN a TYPE {new}".encode())
    [after] = connection.execute(FILE_NODE).fetchall()
    [(kept,)] = connection.execute(b"SELECT a::text FROM measured").fetchall()
    assert (before == after) == (cost == "free")
    if cost == "lossy":
        assert kept != value


@pytest.mark.parametrize("zone", ["Europe/Oslo"])
def test_a_time_zone_other_than_utc_makes_a_timestamp_a_rewrite(
    shop_connection: psycopg.Connection[Any], zone: str
) -> None:
    assert cost_of_change("timestamp without time zone", "timestamp with time zone", utc=False) == "rewrite"
    shop_connection.execute(f"SET LOCAL TimeZone = '{zone}'".encode())
    shop_connection.execute(b"CREATE TABLE measured (a timestamp)")
    [before] = shop_connection.execute(FILE_NODE).fetchall()
    shop_connection.execute(b"ALTER TABLE measured ALTER COLUMN a TYPE timestamptz")
    [after] = shop_connection.execute(FILE_NODE).fetchall()
    assert before != after


# what is added, whether it rewrites the table
COLUMNS = [
    ("x int", False),
    ("x int DEFAULT 1", False),
    ("x int NOT NULL DEFAULT 1", False),
    ("x timestamptz DEFAULT now()", False),
    ("x timestamptz DEFAULT CURRENT_TIMESTAMP", False),
    ("x text DEFAULT upper('a')", False),
    ("x jsonb NOT NULL DEFAULT '{}'::jsonb", False),
    ("x int DEFAULT answer()", False),
    ("x plain DEFAULT 1", False),
    ("x uuid DEFAULT gen_random_uuid()", True),
    ("x timestamptz DEFAULT clock_timestamp()", True),
    ("x float8 DEFAULT random()", True),
    ("x int DEFAULT (random() * 5)::int", True),
    ("x serial", True),
    ("x bigserial", True),
    ("x int GENERATED ALWAYS AS IDENTITY", True),
    ("x int GENERATED ALWAYS AS (n + 1) STORED", True),
    ("x positive", True),
    ("x positive DEFAULT 5", True),
]


@pytest.mark.in_turn
@pytest.mark.parametrize(("column", "rewrites"), COLUMNS, ids=[column for column, _ in COLUMNS])
def test_adding_a_column_writes_the_table_again_only_where_the_review_says_so(
    shop_connection: psycopg.Connection[Any], shop_facts: TargetFacts, column: str, rewrites: bool
) -> None:
    sql = f"ALTER TABLE users ADD COLUMN {column}"
    said = {finding.rule for finding in review([SourceFile("m.sql", sql)], target=shop_facts).findings}
    node = "SELECT pg_relation_filenode('users')"
    [before] = shop_connection.execute(node).fetchall()
    shop_connection.execute(sql.encode())
    [after] = shop_connection.execute(node).fetchall()
    assert ("add-column-rewrites" in said, before != after) == (rewrites, rewrites)
