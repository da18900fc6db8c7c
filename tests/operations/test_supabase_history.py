"""The history is Supabase's own: what its CLI applied counts here, and what we applied counts there.

The statements below are those that the Supabase CLI sends (pkg/migration/history.go; seen with its 3.1.0, whose
`migration list` and `db push` said of a history of ours that it is up to date).
"""

from __future__ import annotations

import pytest

from tests.operations.conftest import FIRST_FILE, Shop

SECOND_FILE = "20260102000000_second.sql"
SECOND = """-- with a comment
CREATE TABLE notes (id bigint PRIMARY KEY); -- tail

/* block */ INSERT INTO notes VALUES (1);
"""
MADE_BY_THE_CLI = """
SET lock_timeout = '4s';
CREATE SCHEMA IF NOT EXISTS supabase_migrations;
CREATE TABLE IF NOT EXISTS supabase_migrations.schema_migrations (version text NOT NULL PRIMARY KEY);
ALTER TABLE supabase_migrations.schema_migrations ADD COLUMN IF NOT EXISTS statements text[];
ALTER TABLE supabase_migrations.schema_migrations ADD COLUMN IF NOT EXISTS name text;
"""
APPLIED_BY_THE_CLI = r"""
INSERT INTO supabase_migrations.schema_migrations(version, name, statements) VALUES('20260102000000', 'second',
ARRAY[E'-- with a comment\nCREATE TABLE notes (id bigint PRIMARY KEY)', E'-- tail\n\n/* block */ INSERT INTO notes VALUES (1)'])
"""
REPAIRED = "DELETE FROM supabase_migrations.schema_migrations WHERE version = ANY(ARRAY['20260102000000'])"
READ_BY_THE_CLI = """
SELECT version, coalesce(name, '') as name, statements FROM supabase_migrations.schema_migrations ORDER BY version
"""
COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = 'supabase_migrations.schema_migrations'::regclass AND attnum > 0 ORDER BY attnum
"""


def _states(shop: Shop) -> dict[str, str]:
    return {each.file: each.states["production"] for each in shop.project.db_status().migrations}


def _accept_all(shop: Shop) -> None:
    accepted = [f"{each.rule}:{each.object}: the test needs it" for each in shop.project.review().standing]
    (shop.folder / "safemig.toml").write_text(f"accept = {accepted!r}\n")


def test_what_its_cli_applied_is_applied(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    shop.on(shop.production, SECOND)
    shop.on(shop.production, APPLIED_BY_THE_CLI)
    assert _states(shop) == {FIRST_FILE: "applied", SECOND_FILE: "applied"}
    assert shop.project.plan().migrations == ()
    (drift,) = [check for check in shop.project.preflight().checks if check.name == "drift"]
    assert drift.state == "ok"
    shop.write(SECOND_FILE, SECOND.replace("-- tail", "-- another comment"))
    assert _states(shop)[SECOND_FILE] == "applied"
    shop.write(SECOND_FILE, SECOND.replace("VALUES (1)", "VALUES (2)"))
    assert _states(shop)[SECOND_FILE] == "edited"


def test_what_we_applied_is_applied_for_its_cli(shop: Shop) -> None:
    shop.on(
        shop.production,
        "DROP SCHEMA safemig, supabase_migrations CASCADE; DROP VIEW big_orders; DROP TABLE orders, users",
    )
    shop.write(SECOND_FILE, SECOND)
    _accept_all(shop)
    shop.deploy()
    rows = shop.on(shop.production, READ_BY_THE_CLI)
    assert [row[:2] for row in rows] == [("20260101000000", "first"), ("20260102000000", "second")]
    assert rows[1][2] == ["CREATE TABLE notes (id bigint PRIMARY KEY)", "INSERT INTO notes VALUES (1)"]
    ours = shop.on(shop.production, COLUMNS)
    shop.on(shop.production, "DROP SCHEMA supabase_migrations CASCADE;" + MADE_BY_THE_CLI)
    assert shop.on(shop.production, COLUMNS) == ours


@pytest.mark.parametrize(
    "columns", ["", "ALTER TABLE supabase_migrations.schema_migrations ADD COLUMN statements text[]"]
)
def test_the_table_of_an_older_cli_is_read_and_completed(shop: Shop, columns: str) -> None:
    shop.on(
        shop.production,
        "DROP SCHEMA safemig, supabase_migrations CASCADE; CREATE SCHEMA supabase_migrations;"
        "CREATE TABLE supabase_migrations.schema_migrations (version text NOT NULL PRIMARY KEY);"
        f"INSERT INTO supabase_migrations.schema_migrations VALUES ('20260101000000'); {columns}",
    )
    shop.write(SECOND_FILE, "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);")
    assert _states(shop) == {FIRST_FILE: "applied", SECOND_FILE: "pending"}
    assert shop.deploy().migrations == (SECOND_FILE,)
    assert [row[:2] for row in shop.on(shop.production, READ_BY_THE_CLI)] == [
        ("20260101000000", ""),
        ("20260102000000", "second"),
    ]


def test_what_its_cli_took_out_of_the_history_can_be_deployed_again(shop: Shop) -> None:
    """`supabase migration repair --status reverted`: it knows nothing of our table of checksums."""
    shop.write(SECOND_FILE, SECOND)
    _accept_all(shop)
    shop.deploy()
    shop.on(shop.production, REPAIRED + "; DROP TABLE notes")
    assert _states(shop)[SECOND_FILE] == "pending"
    shop.write(SECOND_FILE, SECOND.replace("VALUES (1)", "VALUES (2)"))
    _accept_all(shop)
    assert shop.deploy().migrations == (SECOND_FILE,)
    assert _states(shop)[SECOND_FILE] == "applied"
