"""What is gone when a view or function is dropped and re-created, by the target; overloads, told apart by the target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.postgres.target_facts import read_target_facts
from safemig.review import Review, TargetFacts, Verdict, review
from safemig.sql import SourceFile

ROLES = ("made_reader", "made_writer", '"Made admin"')
TARGET = """
CREATE SCHEMA app;
CREATE TABLE users (id int, name text);
CREATE VIEW plain AS SELECT id FROM users;
CREATE VIEW app."Names" AS SELECT id, name FROM users;
GRANT SELECT, INSERT ON app."Names" TO made_reader;
GRANT SELECT ON app."Names" TO "Made admin" WITH GRANT OPTION;
GRANT UPDATE (name) ON app."Names" TO made_writer;
COMMENT ON VIEW app."Names" IS 'it''s read by the shop';
COMMENT ON COLUMN app."Names".name IS 'in full';
CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER fill INSTEAD OF INSERT ON app."Names" FOR EACH ROW EXECUTE FUNCTION fill();
CREATE MATERIALIZED VIEW totals AS SELECT id, count(*) AS n FROM users GROUP BY id;
CREATE UNIQUE INDEX totals_key ON totals (id);
CREATE FUNCTION secret(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION secret(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION secret(int) TO made_reader;
CREATE FUNCTION secret(a text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION open_to_all() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE work(a int) LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE work(a text, b int DEFAULT 0) LANGUAGE sql AS 'DELETE FROM users';
CREATE SCHEMA given;
ALTER DEFAULT PRIVILEGES IN SCHEMA given GRANT SELECT ON TABLES TO made_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA given REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
CREATE VIEW given.by_default AS SELECT id FROM users;
"""
MADE_AGAIN = {
    'app."Names"': 'DROP VIEW app."Names"; CREATE VIEW app."Names" AS SELECT id, name FROM users;',
    "totals": "DROP MATERIALIZED VIEW totals; CREATE MATERIALIZED VIEW totals AS SELECT id, count(*) AS n FROM users GROUP BY id;",
    "secret": "DROP FUNCTION secret(int); CREATE FUNCTION secret(a int) RETURNS int LANGUAGE sql AS 'SELECT 2';",
}
QUIET = (
    "DROP VIEW plain; CREATE VIEW plain AS SELECT id FROM users",
    "DROP VIEW IF EXISTS nowhere; CREATE VIEW nowhere AS SELECT 1 AS a",
    "DROP VIEW given.by_default; CREATE VIEW given.by_default AS SELECT id FROM users",
    "DROP FUNCTION open_to_all(); CREATE FUNCTION open_to_all() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
    "DROP FUNCTION secret(text); CREATE FUNCTION secret(a text) RETURNS int LANGUAGE sql AS 'SELECT 2'",
    "CALL work(1)",
    "CALL work(1::bigint)",
)
ACLS = """
SELECT coalesce(relacl::text, ''), ARRAY(SELECT attacl::text FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL),
       ARRAY(SELECT description FROM pg_description WHERE objoid = c.oid ORDER BY objsubid),
       ARRAY(SELECT tgname::text FROM pg_trigger WHERE tgrelid = c.oid), ARRAY(SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = c.oid)
FROM pg_class c WHERE relname IN ('Names', 'totals')
UNION ALL SELECT array_to_string(ARRAY(SELECT a::text FROM unnest(proacl) AS a ORDER BY 1), ','), NULL, NULL, NULL, NULL
FROM pg_proc WHERE proname = 'secret' ORDER BY 1
"""


@pytest.fixture(scope="module")
def target(every_server: ThrowawayServer) -> Iterator[tuple[psycopg.Connection[Any], TargetFacts]]:
    url = every_server.create_database("made_again")
    with psycopg.connect(url, autocommit=True) as connection:
        for role in ROLES:
            connection.execute(f"CREATE ROLE {role}".encode())
        connection.execute(TARGET.encode())
        yield connection, read_target_facts(connection, "target")
    every_server.drop_database("made_again")
    with psycopg.connect(every_server.url("postgres"), autocommit=True) as connection:
        for role in ROLES:
            connection.execute(f"DROP ROLE {role}".encode())


def reviewed(sql: str, facts: TargetFacts) -> Review:
    return review([SourceFile("m.sql", sql)], target=facts)


@pytest.mark.parametrize("name", MADE_AGAIN)
def test_what_is_lost_is_named_and_the_safer_form_brings_it_back(
    target: tuple[psycopg.Connection[Any], TargetFacts], name: str
) -> None:
    connection, facts = target
    made = reviewed(MADE_AGAIN[name], facts)
    [finding] = made.standing
    assert finding.rule == "made-again-without-grants"
    assert made.verdict is Verdict.ATTENTION
    before = connection.execute(ACLS.encode()).fetchall()
    with connection.transaction(force_rollback=True):
        connection.execute(MADE_AGAIN[name].encode())
        assert connection.execute(ACLS.encode()).fetchall() != before
        connection.execute(finding.safer.encode())
        assert connection.execute(ACLS.encode()).fetchall() == before
    grants = "\n".join(line for line in finding.safer.splitlines() if line.startswith(("GRANT", "REVOKE")))
    rest = reviewed(f"{MADE_AGAIN[name]}\n{grants}", facts).standing
    assert not any("GRANT" in one.message or "REVOKE" in one.message for one in rest)


@pytest.mark.in_turn
@pytest.mark.parametrize("sql", QUIET)
def test_where_nothing_is_lost_nothing_is_said(target: tuple[psycopg.Connection[Any], TargetFacts], sql: str) -> None:
    assert reviewed(sql, target[1]).verdict is Verdict.SAFE


@pytest.mark.parametrize("sql", ["CALL work('x'::text)", "CALL work('x', 1)", "CALL work((SELECT name FROM users))"])
def test_the_overload_that_deletes_is_followed(target: tuple[psycopg.Connection[Any], TargetFacts], sql: str) -> None:
    made = reviewed(sql, target[1])
    assert [one.rule for one in made.standing] == ["delete-rows"]


def test_a_function_of_the_target_that_the_file_replaces_runs_no_more(
    target: tuple[psycopg.Connection[Any], TargetFacts],
) -> None:
    replaced = (
        "CREATE OR REPLACE PROCEDURE work(a text, b int DEFAULT 0) LANGUAGE sql AS 'SELECT 1'; CALL work('x'::text)"
    )
    assert reviewed(replaced, target[1]).verdict is Verdict.SAFE


def test_a_role_with_an_odd_name_can_read_what_a_review_wants_to_know(
    target: tuple[psycopg.Connection[Any], TargetFacts],
) -> None:
    connection, facts = target
    with connection.transaction(force_rollback=True):
        connection.execute(b'SET LOCAL ROLE "Made admin"')
        assert read_target_facts(connection, "target").view_extras.keys() == facts.view_extras.keys()
