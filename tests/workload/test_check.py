"""Statements tried before, after and rolled back: what is a finding, what is left out, and in which order to deploy."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.review.model import Acceptance
from safemig.sql.names import Name
from safemig.sql.reads import reads_of
from safemig.workload.check import reason_for
from safemig.workload.statement import SeenWorkload
from tests.workload.test_prepared import checked, seen

SCHEMA = """
CREATE TABLE users (id int PRIMARY KEY, email text, legacy text);
CREATE SCHEMA tenant_7; CREATE TABLE tenant_7.visits (id int, page text);
INSERT INTO users VALUES (1, 'a', NULL);
"""


@pytest.fixture
def shop(database: str) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
    return database


def test_what_fails_on_the_unchanged_copy_is_left_out_and_counted(shop: str) -> None:
    found = checked(
        shop,
        SeenWorkload(
            "production",
            (
                *seen(
                    "SELECT id FROM users", "INSERT INTO my_temp VALUES ($1)", "SELECT nothing FROM users"
                ).statements,
                *seen("SELECT email FROM users", role="gone").statements,
            ),
            skipped=(("utility statements", 3),),
        ),
        "ALTER TABLE users DROP COLUMN legacy",
    )
    assert (found.statements, found.checked, found.findings) == (4, 1, ())
    assert found.skipped == {
        "cannot act as gone on the copy": 1,
        "fails before the migration too (42703)": 1,
        "fails before the migration too (42P01)": 1,
        "utility statements": 3,
    }


def test_a_search_path_that_nothing_records_is_found(shop: str) -> None:
    found = checked(shop, seen("SELECT page FROM visits"), "ALTER TABLE tenant_7.visits RENAME COLUMN page TO url")
    assert [(each.sqlstate, each.object) for each in found.findings] == [("42703", "visits.page")]


def test_a_parameter_whose_type_the_text_does_not_tell_is_tried(shop: str) -> None:
    texts = (
        "SELECT $1",
        "SELECT current_date - $1 > id + $2 FROM users",
        "SELECT email FROM users WHERE current_date > $1::date - $2",
    )
    assert checked(shop, seen(*texts)).checked == 3


def test_a_rollback_that_leaves_statements_broken_is_a_finding(shop: str) -> None:
    found = checked(
        shop, seen("SELECT legacy FROM users", "SELECT email FROM users"), "ALTER TABLE users DROP COLUMN legacy",
        "ALTER TABLE users RENAME COLUMN email TO mail", back="ALTER TABLE users RENAME COLUMN mail TO email",
    )  # fmt: skip
    assert {(each.after, each.kind, each.object) for each in found.findings} == {
        ("migration", "breaks", "users.legacy"), ("migration", "breaks", "users.email"), ("rollback", "breaks", "users.legacy"),
    }  # fmt: skip
    assert {(each.statement, each.after_rollback) for each in found.outcomes} == {
        ("SELECT email FROM users", "works"),
        ("SELECT legacy FROM users", 'breaks (42703): column "legacy" does not exist'),
    }


@pytest.mark.parametrize(
    ("old", "new", "change", "order"),
    [
        ("SELECT id FROM users", "SELECT phone FROM users", "ALTER TABLE users ADD COLUMN phone text", "schema first"),
        ("SELECT legacy FROM users", "SELECT id FROM users", "ALTER TABLE users DROP COLUMN legacy", "application first"),
        ("SELECT id FROM users", "SELECT email FROM users", "ALTER TABLE users ADD COLUMN phone text", "either"),
        ("SELECT email FROM users", "SELECT mail FROM users", "ALTER TABLE users RENAME COLUMN email TO mail", "neither"),
        ("SELECT id FROM users", "INSERT INTO users (id) VALUES ($1)",
         "ALTER TABLE users ADD COLUMN z int DEFAULT 1 NOT NULL; ALTER TABLE users ALTER z DROP DEFAULT", "application first, with a fault"),
    ],
)  # fmt: skip
def test_the_order_of_schema_and_application_is_told_with_evidence(
    shop: str, old: str, new: str, change: str, order: str
) -> None:
    found = checked(shop, seen(old), change, newer=seen(new, role="staging_only"))
    if "fault" in order:  # the new application fails once the schema is there, too
        assert any("new application, after the migration: 1 of 1" in each for each in found.order_reasons)
    else:
        assert found.order == order
    assert len(found.order_reasons) == 3


def test_values_are_named_as_what_was_not_checked(shop: str) -> None:
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('glad', 'sad'); ALTER TABLE users ADD mood mood")
    found = checked(
        shop, seen("UPDATE users SET legacy = $1", "SELECT id FROM users WHERE mood = $1", "SELECT id FROM users"),
        "UPDATE users SET legacy = ''; ALTER TABLE users ALTER legacy SET NOT NULL",
        "ALTER TABLE users ADD CONSTRAINT short CHECK (length(legacy) < 9)", "ALTER TYPE mood RENAME VALUE 'sad' TO 'low'",
    )  # fmt: skip
    assert found.findings == ()
    assert found.not_checked == (
        "whether the values that 1 statement (10 calls) write meet CHECK short of users",
        "whether 1 statement (10 calls) still write NULL to users.legacy, which is NOT NULL now: rows held NULL before",
        "whether 1 statement (10 calls) that use users.mood send 'sad', which mood no longer has",
    )


def test_a_finding_is_accepted_by_its_object_or_its_statement(shop: str) -> None:
    (finding,) = checked(shop, seen("SELECT legacy FROM users"), "ALTER TABLE users DROP COLUMN legacy").findings
    for name in (finding.object, finding.id):
        assert reason_for(finding, [Acceptance.parse(f"breaks-statement:{name}: gone")]) == "gone"
    other = replace(finding, object="users.other", id="0" * 12)
    assert reason_for(other, [Acceptance.parse(f"breaks-statement:{finding.object}: gone")]) is None
    assert reason_for(finding, [Acceptance.parse(f"changes-result-type:{finding.object}: gone")]) is None


BODIES = """
CREATE TABLE log (who text);
CREATE FUNCTION find(int) RETURNS text LANGUAGE plpgsql AS $$ DECLARE l text; BEGIN SELECT u.legacy INTO l FROM users u WHERE u.id = $1; RETURN l; END $$;
CREATE FUNCTION find_all() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN find(1) || find(2); END $$;
CREATE FUNCTION count_users() RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE legacy int := 1; BEGIN RETURN (SELECT count(id) FROM users); END $$;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (who) VALUES (NEW.email); RETURN NEW; END $$;
CREATE TRIGGER noted AFTER UPDATE OF email ON users FOR EACH ROW EXECUTE FUNCTION noted();
"""


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("ALTER TABLE users DROP COLUMN legacy", {"SELECT find($1)", "SELECT find_all()"}),
        ("ALTER TABLE users RENAME COLUMN legacy TO old", {"SELECT find($1)", "SELECT find_all()"}),
        ("ALTER TABLE users DROP COLUMN legacy; CREATE OR REPLACE FUNCTION find(int) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'", set()),
        ("ALTER TABLE log RENAME TO notes", {"UPDATE users SET email = $1"}),
        ("ALTER TABLE log RENAME COLUMN who TO email", {"UPDATE users SET email = $1"}),
        ("DROP TRIGGER noted ON users; DROP TABLE log", set()),
        ("ALTER TABLE log ADD COLUMN more int", set()),
        ("ALTER TABLE users ALTER id TYPE text USING id::text", {"SELECT find($1)", "SELECT find_all()"}),
        ("ALTER TABLE users ALTER id TYPE bigint", set()),
        ("ALTER TABLE log ALTER who TYPE int USING NULL", {"UPDATE users SET email = $1"}),
        ("DROP FUNCTION find(int)", {"SELECT find($1)", "SELECT find_all()"}),
        ("ALTER FUNCTION find(int) RENAME TO seek", {"SELECT find($1)", "SELECT find_all()"}),
    ],
)  # fmt: skip
def test_bodies_that_name_what_is_gone_break_what_runs_them(shop: str, change: str, broken: set[str]) -> None:
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute(BODIES.encode())
    texts = {
        "SELECT find($1)": "SELECT find(1)", "SELECT find_all()": "SELECT find_all()", "SELECT count_users()": "SELECT count_users()",
        "UPDATE users SET email = $1": "UPDATE users SET email = 'x'", "UPDATE users SET id = $1": "UPDATE users SET id = 1",
    }  # fmt: skip
    found = checked(shop, seen(*texts), change)
    failing = set()
    for text, with_values in texts.items():
        with psycopg.connect(shop) as connection:
            try:
                connection.execute(with_values.encode())
            except psycopg.Error:
                failing.add(text)
            connection.rollback()
    assert failing == broken
    assert {each.statement for each in found.findings} == broken
    assert all(each.cause and each.sqlstate in ("42703", "42P01", "42883", "42804") for each in found.findings)


def test_statements_inside_functions_that_nothing_can_check_are_counted(shop: str) -> None:
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION all_of() RETURNS void LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM users LOOP "
            "UPDATE users SET email = r.legacy WHERE id = r.id; EXECUTE 'SELECT ' || r.legacy; END LOOP; END $$"
        )
    found = checked(shop, seen("SELECT all_of()"), "ALTER TABLE users ADD COLUMN more int")
    assert found.findings == ()
    assert found.not_checked == ("3 of 4 statements inside functions: records or dynamic SQL decide what they do",)
    with psycopg.connect(shop) as connection:
        rows = connection.execute("SELECT count(*) FROM pg_proc WHERE proname = 'safemig_body'").fetchone()
    assert rows == (0,)


def test_every_version_tells_the_same(every_server: ThrowawayServer) -> None:
    url = every_server.create_database("statements")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
    found = checked(
        url, seen("SELECT * FROM users WHERE id = $1", "SELECT legacy FROM users LIMIT $1", "INSERT INTO users (id) VALUES ($1)"),
        "ALTER TABLE users DROP COLUMN legacy", "ALTER TABLE users ADD COLUMN more int NOT NULL DEFAULT 1",
        "ALTER TABLE users ALTER COLUMN more DROP DEFAULT",
    )  # fmt: skip
    every_server.drop_database("statements")
    assert sorted((each.kind, each.sqlstate, each.object) for each in found.findings) == [
        ("breaks", "23502", "users.more"), ("breaks", "42703", "users.legacy"), ("result-type", "0A000", "users"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "column", "names"),
    [
        ("SELECT u.legacy FROM users u", "legacy", True),
        ("SELECT * FROM users", "legacy", True),
        ("SELECT u FROM users u", "legacy", True),
        ("SELECT o.legacy FROM users u, orders o", "legacy", False),
        ("SELECT count(*) FROM users", "legacy", False),
        ("WITH users AS (SELECT 1) SELECT legacy FROM users", "legacy", False),
        ("SELECT legacy FROM app.users", "legacy", False),
        ("INSERT INTO users VALUES ($1)", "legacy", True),
        ("INSERT INTO users (id) VALUES ($1) ON CONFLICT (legacy) DO NOTHING", "legacy", True),
        ("UPDATE users SET legacy = $1", "legacy", True),
        ("MERGE INTO users u USING o ON o.id = u.id WHEN MATCHED THEN UPDATE SET legacy = $1", "legacy", True),
        ("not SQL at all", "legacy", False),
    ],
)
def test_a_text_tells_which_columns_it_names(text: str, column: str, names: bool) -> None:
    assert reads_of(text).names_column(Name("", "users"), column) is names
