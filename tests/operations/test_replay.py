"""Applied migrations are replayed as psql and other tools once ran them; pending ones are held to safemig's own rules."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from safemig.copies.replay import STATEMENTS_TOGETHER, replay
from safemig.errors import MigrationError
from safemig.migrations import Migration
from safemig.migrations.files import read_migration
from safemig.postgres.dump.plain import dump_schema
from safemig.postgres.server.throwaway import ThrowawayServer
from tests.operations.conftest import FIRST_FILE, Shop, approval_of


def migration(folder: Path, name: str, sql: str) -> Migration:
    """One file as the migrations folder holds it."""
    path = folder / f"{name}.sql"
    path.write_text(sql)
    return read_migration(path)


def test_transactions_commands_and_copied_rows_are_replayed(database: str, tmp_path: Path) -> None:
    files = [
        migration(tmp_path, "20260101000000_first", "BEGIN;\nCREATE TABLE t (id int PRIMARY KEY, name text);\nCOMMIT;\n"),
        migration(tmp_path, "20260102000000_rows", "\\set ON_ERROR_STOP on\nCOPY public.t (id, name) FROM stdin;\n1\ta\\tb\n2\t\\N\n\\.\n\\echo done\n"),
        migration(tmp_path, "20260103000000_index", "CREATE TABLE u (t int REFERENCES t); INSERT INTO u VALUES (2);\nCOMMIT;\nCREATE INDEX CONCURRENTLY i ON u (t);"),
    ]  # fmt: skip
    with psycopg.connect(database, autocommit=True) as connection:
        replay(connection, files)
        assert connection.execute("SELECT id, name FROM t ORDER BY 1").fetchall() == [(1, "a\tb"), (2, None)]
        assert connection.execute("SELECT to_regclass('i') IS NOT NULL, count(*) FROM u").fetchall() == [(True, 1)]


def test_a_dump_as_first_migration_builds_the_same_schema_and_leaves_the_session_as_it_was(
    database: str, server: ThrowawayServer, tmp_path: Path, new_database: object
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE public.t (id int PRIMARY KEY); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$;"
        )
    dump = dump_schema(database, server.programs.version_num)
    assert "\\restrict" in dump
    files = [
        migration(tmp_path, "20260101000000_remote_schema", dump),
        migration(tmp_path, "20260102000000_more", "CREATE TABLE more (t int REFERENCES t);"),
    ]
    with psycopg.connect(new_database(), autocommit=True) as connection:  # type: ignore[operator]
        replay(connection, files)
        assert connection.execute("SHOW search_path").fetchone() == ('"$user", public',)
        assert connection.execute("SELECT to_regclass('public.more') IS NOT NULL").fetchone() == (True,)


TABLES = "".join(f"CREATE TABLE t_{n} (id int PRIMARY KEY);\n" for n in range(STATEMENTS_TOGETHER + 10))
LOOP = """
CREATE TABLE a (id int PRIMARY KEY, b int);
CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a {how});
INSERT INTO b VALUES (1, 1);
"""


@pytest.mark.parametrize(
    ("sql", "transactions"),
    [
        (TABLES, 2),
        (f"BEGIN;\n{TABLES}COMMIT;\n", 2),
        (f"SELECT pg_catalog.set_config('search_path', '', false);\n{TABLES.replace('t_', 'public.t_')}", 2),
        ("CREATE SCHEMA other; SET LOCAL search_path = public;\n" + TABLES, 1),
        (LOOP.format(how="DEFERRABLE INITIALLY DEFERRED") + TABLES + "INSERT INTO a VALUES (1, 1);", 1),
        (TABLES + "DO $$ BEGIN PERFORM set_config('search_path', 'other', true); END $$;", 1),
        ("CREATE TEMPORARY TABLE seen ON COMMIT DROP AS SELECT 1;\n" + TABLES + "SELECT * FROM seen;", 1),
        ("SELECT 1;\n" + TABLES, 1),
    ],
)
def test_a_long_file_is_replayed_in_parts_where_no_statement_may_count_on_its_transaction(
    database: str, tmp_path: Path, sql: str, transactions: int
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        replay(connection, [migration(tmp_path, "20260101000000_first", sql)])
        made = "SELECT count(*), count(DISTINCT xmin::text) FROM pg_class WHERE relname ~ '^t_[0-9]+$'"
        assert connection.execute(made.encode()).fetchone() == (STATEMENTS_TOGETHER + 10, transactions)


def test_what_fails_in_a_later_part_of_a_long_file_is_named_by_its_line(database: str, tmp_path: Path) -> None:
    file = migration(tmp_path, "20260101000000_first", f"{TABLES}CREATE TABLE t_1 ();\n")
    with psycopg.connect(database, autocommit=True) as connection, pytest.raises(MigrationError) as failed:
        replay(connection, [file])
    assert f"line {STATEMENTS_TOGETHER + 11}: CREATE TABLE" in str(failed.value.where)


@pytest.mark.parametrize(
    ("sql", "words", "line"),
    [
        ("BEGIN;\nSELECT 1/0;\nCOMMIT;", "division by zero", 2),
        ("BEGIN;\n\\echo x\nSELEKT;\nCOMMIT;", "does not parse", 3),
        ("\\i other.sql\n", "psql's command", 1),
        ("CREATE TABLE t (a int);\nCOPY t FROM stdin;\nx\n\\.\n", "invalid input syntax", 2),
    ],
)
def test_what_fails_is_named_by_file_and_line(database: str, tmp_path: Path, sql: str, words: str, line: int) -> None:
    with psycopg.connect(database, autocommit=True) as connection, pytest.raises(MigrationError, match=words) as failed:
        replay(connection, [migration(tmp_path, "20260101000000_first", sql)])
    assert f"20260101000000_first.sql, line {line}" in str(failed.value.where)


def test_what_psql_applied_by_hand_is_recorded_and_what_is_pending_is_still_refused(shop: Shop) -> None:
    shop.on(shop.production, "DELETE FROM supabase_migrations.schema_migrations")
    shop.on(shop.production, "CREATE TABLE tags (id int PRIMARY KEY); INSERT INTO tags VALUES (1)")
    shop.write(
        "20260102000000_tags.sql",
        "\\set ON_ERROR_STOP 1\nBEGIN;\nCREATE TABLE tags (id int PRIMARY KEY);\nCOPY tags FROM stdin;\n1\n\\.\nCOMMIT;\n",
    )
    approval = approval_of(shop.project.baseline_prod)
    result = shop.project.baseline_prod(approve=approval)
    assert result.recorded_only == (FIRST_FILE, "20260102000000_tags.sql")
    assert result.notes == ("20260102000000_tags.sql was recorded only: its COPY in line 4 was not run",)
    assert shop.project.db_status().environments[1].drift == "none"
    shop.write("20260103000000_more.sql", "CREATE TABLE more ();\nCOMMIT;\nSELECT 1;\n")
    with pytest.raises(MigrationError, match="COMMIT in a migration"):
        shop.project.plan()
