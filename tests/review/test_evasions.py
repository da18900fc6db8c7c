"""A hundred ways to lose rows or values unseen, and look-alikes that lose none: labelled first, then run on a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.review import Verdict, review
from safemig.sql import SourceFile

CASES: list[dict[str, str]] = [
    json.loads(line)
    for line in (Path(__file__).parent / "corpus/evasions.jsonl").read_text(encoding="utf-8").splitlines()
]
TABLES = """
CREATE TABLE users (id int PRIMARY KEY, email text, n int, tags text[], data jsonb);
CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users ON DELETE CASCADE, total numeric(10,2), note varchar(50));
CREATE TABLE audit (id int GENERATED ALWAYS AS IDENTITY, what text);
CREATE TABLE empty_one (id int);
INSERT INTO users SELECT i, 'u' || i || '@example.org', i, ARRAY['a', 'b'], '{"a": 1, "b": 2}' FROM generate_series(1, 20) i;
INSERT INTO orders SELECT i, i, i * 1.25, 'note ' || i FROM generate_series(1, 20) i;
INSERT INTO audit (what) SELECT 'x' || i FROM generate_series(1, 5) i;
"""
COLUMNS = (
    ("users", "email"),
    ("users", "n"),
    ("users", "tags"),
    ("users", "data"),
    ("orders", "total"),
    ("orders", "note"),
    ("audit", "what"),
)
HELD = "SELECT md5(string_agg(coalesce({column}::text, '~'), ',' ORDER BY id)) FROM public.{table} WHERE id <= 20"


def held(connection: psycopg.Connection[Any]) -> dict[str, object]:
    found: dict[str, object] = {}
    for table, column in COLUMNS:
        try:
            row = connection.execute(HELD.format(table=table, column=column).encode()).fetchone()
            found[f"{table}.{column}"] = row and row[0]
        except psycopg.Error:
            found[f"{table}.{column}"] = "gone"
    return found


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_an_evasion_is_called_what_it_is(case: dict[str, str]) -> None:
    found = review([SourceFile("m.sql", case["sql"])])
    if case["danger"] == "dangerous":
        assert found.verdict is Verdict.STOP
    else:
        assert found.verdict is not Verdict.STOP


RUN = [
    pytest.param(case, id=case["id"], marks=() if number % 12 == 0 else pytest.mark.thorough)
    for number, case in enumerate(CASES)
]


@pytest.mark.parametrize("case", RUN)
def test_the_label_is_what_a_server_shows(case: dict[str, str], server: ThrowawayServer) -> None:
    url = server.create_database("evasions")
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(TABLES.encode())
            before, failed = held(connection), False
            setup, copy, query = case["sql"].partition("COPY (")
            try:
                connection.execute(setup.encode())
                if copy:
                    with connection.cursor().copy((copy + query).encode()) as rows:
                        list(rows)
            except psycopg.Error:
                failed = True
            after = held(connection)
    finally:
        server.drop_database("evasions")
    assert (after != before) is (case["outcome"] == "lost")
    assert failed is (case["outcome"] == "fails")
