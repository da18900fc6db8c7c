"""Schemas of two major versions: compared in the words of one of them, and asked for nothing that the base cannot have."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

import safemig
from safemig.postgres.server.throwaway import ThrowawayServer
from tests.conftest import MAJORS

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, mail varchar(80) NOT NULL, at timestamptz, kind text CHECK (kind IN ('a', 'b')));
CREATE TABLE orders (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users, total numeric(10, 2) DEFAULT 0);
CREATE VIEW totals AS SELECT u.mail, sum(o.total) AS total FROM users u JOIN orders o ON o.user_id = u.id GROUP BY u.id;
CREATE VIEW late AS SELECT id, EXTRACT(year FROM at) AS year FROM users u WHERE kind IN ('a', 'b');
CREATE MATERIALIZED VIEW cached AS SELECT mail, at + '1 day' AS next FROM users;
CREATE TABLE parts (id int NOT NULL, at date) PARTITION BY RANGE (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE FUNCTION one() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END;
GRANT ALL ON users TO PUBLIC;
"""
MORE = "ALTER TABLE users ADD COLUMN nick text; CREATE VIEW nicks AS SELECT nick FROM users WHERE nick <> '';"
_numbers = itertools.count(os.getpid() * 1000)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[int, ThrowawayServer]]:
    """One server of each major version of this machine."""
    if len(MAJORS) < 2:
        pytest.skip("one major version of PostgreSQL is on this machine")
    with ExitStack() as stack:
        yield {major: stack.enter_context(ThrowawayServer.start(major=major)) for major in MAJORS}


def made(server: ThrowawayServer, *scripts: str) -> str:
    url = server.create_database(f"alike_{next(_numbers)}")
    with psycopg.connect(url, autocommit=True) as connection:
        for script in scripts:
            connection.execute(script.encode())
    return url


@pytest.mark.parametrize(("older", "newer"), list(itertools.combinations(MAJORS, 2)))
def test_one_schema_on_two_major_versions_is_equal(servers: dict[int, ThrowawayServer], older: int, newer: int) -> None:
    one, other = made(servers[older], SCHEMA), made(servers[newer], SCHEMA)
    for diff in (safemig.diff(one, other), safemig.diff(other, one)):
        assert diff.sql == ""
        assert diff.is_empty
        assert diff.warnings == ()


@pytest.mark.parametrize(("older", "newer"), list(itertools.combinations(MAJORS, 2)))
def test_what_differs_applies_to_the_other_version(servers: dict[int, ThrowawayServer], older: int, newer: int) -> None:
    for base, target in ((older, newer), (newer, older)):
        one, other = made(servers[base], SCHEMA), made(servers[target], SCHEMA, MORE)
        diff = safemig.diff(one, other)
        assert {(each.action, each.kind, each.name) for each in diff.changes} == {
            ("add", "column", "public.users.nick"),
            ("add", "view", "public.nicks"),
        }
        with psycopg.connect(one, autocommit=True) as connection:
            connection.execute(diff.sql.encode())
        assert safemig.diff(one, other).is_empty


def test_names_that_only_18_knows_are_neither_asked_of_an_older_server_nor_taken_from_a_newer(
    servers: dict[int, ThrowawayServer],
) -> None:
    if MAJORS[-1] < 18:
        pytest.skip("PostgreSQL 18 is not on this machine")
    named = """
    CREATE TABLE n (a int CONSTRAINT mine NOT NULL, b int NOT NULL, c int);
    CREATE DOMAIN d AS int CONSTRAINT theirs NOT NULL;
    COMMENT ON CONSTRAINT mine ON n IS 'said';
    ALTER TABLE n ADD CONSTRAINT later NOT NULL c NOT VALID;
    GRANT MAINTAIN ON n TO PUBLIC;
    """
    plain = "CREATE TABLE n (a int NOT NULL, b int NOT NULL, c int); CREATE DOMAIN d AS int NOT NULL;"
    new, old = made(servers[MAJORS[-1]], named), made(servers[MAJORS[0]], plain)
    assert safemig.diff(old, new).sql == ""
    back = safemig.diff(new, old).sql
    assert back == "ALTER TABLE public.n ALTER COLUMN c DROP NOT NULL;\n"


def test_without_a_copy_it_compares_as_they_stand_and_says_so(
    servers: dict[int, ThrowawayServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = made(servers[MAJORS[0]], SCHEMA), made(servers[MAJORS[-1]], SCHEMA)
    monkeypatch.setattr("safemig.copies.database_copy.HOW_MANY_OBJECTS", "SELECT 1 << 30")  # more memory than there is
    diff = safemig.diff(one, other)
    (warning,) = (each for each in diff.warnings if each.startswith("compared as PostgreSQL"))
    assert "did not start" in warning
