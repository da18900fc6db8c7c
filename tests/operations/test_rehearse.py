"""rehearse: what the migration does on the copy is measured, and what it was not to touch is proven untouched."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from safemig.errors import RehearsalError, ToolError
from safemig.fault_points import FaultPoint
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.sql.locks import LockMode
from tests.conftest import QUIET
from tests.operations.conftest import Shop
from tests.operations.striking import kill_at

SECOND_FILE = "20260102000000_second.sql"
TRIGGER = """
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.legacy := 'touched'; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
"""


def test_locks_with_how_long_they_are_held_and_scans(shop: Shop) -> None:
    shop.write(
        SECOND_FILE,
        "ALTER TABLE users ADD COLUMN IF NOT EXISTS more text;"
        "ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0) NOT VALID;"
        "SELECT count(*) FROM generate_series(1, 300000);",
    )
    first, second, third = shop.project.rehearse().steps
    (users,), (orders,) = first.locks, second.locks
    assert (users.object, users.mode) == ("public.users", LockMode.ACCESS_EXCLUSIVE)
    assert users.held_s is not None
    assert orders.held_s is not None
    assert third.ran_s is not None
    assert users.held_s > orders.held_s > third.ran_s  # to the end of the transaction
    assert first.scans == second.scans == ()
    shop.write(SECOND_FILE, "ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0);")
    (checked,) = shop.project.rehearse().steps
    assert checked.scans == ("public.orders",)
    assert checked.rewrites == ()


def test_what_it_would_have_blocked_with_how_large_the_table_is(shop: Shop) -> None:
    shop.on(shop.production, "ANALYZE users")
    shop.write(SECOND_FILE, "ALTER TABLE users ADD COLUMN IF NOT EXISTS more text;")
    result = shop.project.rehearse()
    (lock,) = result.steps[0].locks
    assert lock.rows == 200
    assert lock.size_bytes is not None
    assert lock.size_bytes % 8192 == 0
    assert lock.size_bytes > 0
    line = next(line for line in result.render("text").splitlines() if "SELECT FOR UPDATE" in line)
    for word in ("public.users", "200", "ACCESS EXCLUSIVE", "reads, SELECT FOR UPDATE, writes, VACUUM and ANALYZE"):
        assert word in line


def test_a_statement_by_itself_is_seen_too(shop: Shop) -> None:
    shop.write(
        SECOND_FILE,
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS a ON users (legacy); CREATE INDEX CONCURRENTLY IF NOT EXISTS b ON orders (total);",
    )
    first, second = shop.project.rehearse().steps
    assert [(lock.object, lock.mode, lock.held_s) for lock in first.locks] == [
        ("public.users", LockMode.SHARE_UPDATE_EXCLUSIVE, first.ran_s)
    ]
    assert first.scans == ("public.users",)
    assert [lock.object for lock in second.locks] == ["public.orders"]
    assert second.scans == ("public.orders",)


def test_columns_that_change_are_named_and_the_others_proven_the_same(shop: Shop) -> None:
    shop.write(
        SECOND_FILE,
        "ALTER TABLE users ADD COLUMN IF NOT EXISTS more text; UPDATE users SET email = email || 'x' WHERE id < 3;",
    )
    rows = {row.table: row for row in shop.project.rehearse().rows}
    assert rows["public.users"].changed == ("email",)
    assert rows["public.orders"].changed == ()


def test_what_a_trigger_writes_is_seen(shop: Shop) -> None:
    shop.on(shop.production, TRIGGER)
    shop.write(SECOND_FILE, "UPDATE users SET email = email || 'x' WHERE id < 3;")
    rows = {row.table: row for row in shop.project.rehearse().rows}
    assert rows["public.users"].changed == ("email", "legacy")


def test_content_that_changes_beside_a_change_of_the_schema_is_refused(shop: Shop) -> None:
    """An event trigger writes into another column of the very table that a statement names."""
    shop.on(
        shop.production,
        """
        CREATE FUNCTION more() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
          UPDATE public.users SET legacy = 'changed' WHERE id = 7; END $$;
        CREATE EVENT TRIGGER more ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION more();
        """,
    )
    shop.write(SECOND_FILE, "ALTER TABLE users ADD COLUMN IF NOT EXISTS more text;")
    before = shop.state()
    with pytest.raises(RehearsalError, match=r"content that it does not name: public\.users\.legacy"):
        shop.project.rehearse()
    assert shop.state() == before


def test_a_rename_is_taken_back_by_a_rename(shop: Shop) -> None:
    """As drop and addition it would lose the content."""
    shop.write(SECOND_FILE, 'ALTER TABLE users RENAME COLUMN legacy TO "old one"; ALTER TABLE users RENAME TO people;')
    rollback = shop.project.rehearse().rollback
    assert rollback is not None
    assert rollback.is_proven
    assert rollback.cannot_bring_back == ()


def test_a_renamed_value_of_an_enum_is_taken_back_by_a_rename(shop: Shop) -> None:
    shop.on(
        shop.production,
        "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE moods AS SELECT n AS id, 'a'::mood AS mood FROM generate_series(1, 9) n",
    )
    shop.write(SECOND_FILE, "ALTER TYPE mood RENAME VALUE 'a' TO 'c';")
    rollback = shop.project.rehearse().rollback
    assert rollback is not None
    assert rollback.is_proven
    assert rollback.cannot_bring_back == ()


def test_a_migration_that_cannot_be_taken_back_is_refused_with_the_reason(shop: Shop) -> None:
    shop.on(
        shop.production,
        "CREATE TABLE moods AS SELECT n AS id FROM generate_series(1, 9) n; ALTER TABLE moods ALTER id SET NOT NULL",
    )
    shop.write(SECOND_FILE, "ALTER TABLE moods ALTER id DROP NOT NULL; UPDATE moods SET id = NULL WHERE id = 3;")
    before = shop.state()
    with pytest.raises(RehearsalError, match=r"no rollback script that runs on the copy.*contains null values"):
        shop.project.rehearse()
    assert shop.state() == before


@pytest.fixture
def scratch(shop: Shop, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThrowawayServer]:
    """Another server, which the settings name as the one for copies; in a folder of its own it has its own identity."""
    with ThrowawayServer.start(settings=QUIET, folder=temporary / "scratch") as other:
        monkeypatch.setenv("SCRATCH_DATABASE_URL", other.url())
        (shop.folder / "safemig.toml").write_text('[scratch]\nurl = "env:SCRATCH_DATABASE_URL"\n')
        yield other


def _databases(server: ThrowawayServer) -> list[str]:
    with psycopg.connect(server.url()) as connection:
        return [name for (name,) in connection.execute("SELECT datname FROM pg_database ORDER BY 1").fetchall()]


def test_a_scratch_server_by_url_leaves_no_database_behind(
    shop: Shop, scratch: ThrowawayServer, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _databases(scratch)
    shop.write(SECOND_FILE, "ALTER TABLE users ADD COLUMN IF NOT EXISTS more text;")
    # Killed in the middle, what it leaves is dropped by the next one.
    point = FaultPoint.COPY_STATEMENTS_BEGIN
    assert kill_at(shop, temporary, "project.rehearse()", point) == -signal.SIGKILL
    assert len(_databases(scratch)) == len(before) + 1
    rehearsal = shop.project.rehearse()
    assert rehearsal.backup_verified == "restored"
    assert rehearsal.rollback
    assert rehearsal.rollback.is_proven
    assert _databases(scratch) == before
    monkeypatch.setenv("SCRATCH_DATABASE_URL", shop.production)
    with pytest.raises(ToolError, match="is the server of the database itself"):
        shop.project.rehearse()


ALLOWED = [
    # (on production before, the migration, which columns of which table change)
    ("", "ALTER TABLE users RENAME COLUMN legacy TO former;", {}),
    ("", "ALTER TABLE users DROP COLUMN legacy;", {}),
    ("", "ALTER TABLE users RENAME TO people;", {}),
    ("DROP VIEW big_orders;", "ALTER TABLE orders ALTER COLUMN total TYPE numeric(12,4);", {"public.orders": ("total",)}),
    (
        "CREATE TABLE p (id int, at int) PARTITION BY RANGE (at); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);"
        "INSERT INTO p VALUES (1, 1);",
        "ALTER TABLE p ADD COLUMN IF NOT EXISTS more text;",
        {},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("before", "migration", "changed"), ALLOWED)
def test_a_change_of_a_column_s_own_may_change_its_content(
    shop: Shop, before: str, migration: str, changed: dict[str, tuple[str, ...]]
) -> None:
    shop.on(shop.production, before)
    shop.write(SECOND_FILE, migration)
    assert {row.table: row.changed for row in shop.project.rehearse().rows if row.changed} == changed


def test_a_rehearsal_without_rows_takes_none(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("rows were dumped")

    monkeypatch.setattr("safemig.operations.backup_prod._Dump.full", never)
    monkeypatch.setenv("SAFEMIG_REHEARSAL", "schema")
    shop.write("20260102000000_second.sql", "ALTER TABLE users ADD nick text;")
    assert shop.project.rehearse().mode == "schema"
    monkeypatch.setenv("SAFEMIG_REHEARSAL", "data")
    with pytest.raises(AssertionError, match="rows were dumped"):
        shop.project.rehearse()
