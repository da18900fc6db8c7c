"""preflight: one table, always all rows; a standby and a pooler are told from the primary itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from safemig.errors import RefusedError, UnreachableError
from safemig.operations.transaction import deploying_connection
from safemig.postgres import activity
from tests.operations.conftest import Shop


def _states(shop: Shop) -> dict[str, str]:
    return {check.name: check.state for check in shop.project.preflight().checks}


def test_all_rows_are_there_whether_yes_or_no(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = shop.project.preflight()
    assert ready.is_ready
    assert {check.state for check in ready.checks} <= {"ok", "warning"}
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", "postgresql://app:hunter2@127.0.0.1:1/x")
    unreachable = shop.project.preflight()
    assert not unreachable.is_ready
    assert [check.name for check in unreachable.checks] == [check.name for check in ready.checks]
    assert "hunter2" not in repr(unreachable)


def test_what_stands_in_the_way_is_named(shop: Shop) -> None:
    shop.on(shop.production, "INSERT INTO users VALUES (0, 'zero', 'old')")
    with psycopg.connect(shop.production, autocommit=True) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY invalid ON users (legacy)")
    states = _states(shop)
    assert states["invalid indexes"] == "warning"


def test_the_rows_are_those_of_the_list(shop: Shop) -> None:
    assert [check.name for check in shop.project.preflight().checks] == [
        "reachable", "server version", "primary", "writable", "direct connection", "pg_dump and psql",
        "server for the copy", "extensions", "rights", "long transactions", "prepared transactions",
        "sessions waiting for locks", "replicas", "invalid indexes", "disk for backup", "disk for copy",
        "disk for records", "history", "drift", "clocks", "another deployment", "earlier runs",
    ]  # fmt: skip


def test_each_full_disk_is_told_by_its_place(
    shop: Shop, small_disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk(1)))
    (shop.folder / "safemig.toml").write_text(f"backups = '{small_disk(1)}'\nrecords = '{small_disk(1)}'\n")
    states = _states(shop)
    assert [states[f"disk for {place}"] for place in ("backup", "copy", "records")] == ["failed"] * 3


def test_a_missing_extension_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "EXTENSIONS", "SELECT unnest(ARRAY['pg_trgm', 'no_such_thing'])")
    (check,) = [check for check in shop.project.preflight().checks if check.name == "extensions"]
    assert (check.state, check.found) == ("failed", "missing: no_such_thing")


def test_a_role_without_rights_is_told_which(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.on(
        shop.production,
        "DROP ROLE IF EXISTS lowly; CREATE ROLE lowly LOGIN; ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
    )
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production.replace("postgres@", "lowly@"))
    (rights,) = [check for check in shop.project.preflight().checks if check.name == "rights"]
    assert rights.state == "failed"
    for word in ("row security on 1 tables", "not owned: public.", "not readable: public."):
        assert word in rights.found


def test_a_read_only_role_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.on(
        shop.production,
        "DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN SUPERUSER;"
        "ALTER ROLE reader SET default_transaction_read_only = on",
    )
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production.replace("postgres@", "reader@"))
    assert _states(shop)["writable"] == "failed"


def test_a_standby_is_told_and_refused(shop: Shop, standby: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", standby)
    assert _states(shop)["primary"] == "failed"
    shop.write("20260102000000_second.sql", "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);")
    with pytest.raises(RefusedError, match="NOT READY") as caught:
        shop.project.migrate_prod()
    assert "standby" in str(caught.value)
    with (
        pytest.raises(UnreachableError, match="is a standby"),
        deploying_connection(shop.project.settings, standby, "production", "run"),
    ):
        pass
    assert shop.project.backup_prod().rows > 1000  # a backup may well be taken from a standby


def test_a_transaction_pooler_is_told_and_refused(shop: Shop, pooler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", pooler)
    assert _states(shop)["direct connection"] == "failed"
    with (
        pytest.raises(UnreachableError, match="transaction pooler"),
        deploying_connection(shop.project.settings, pooler, "production", "run"),
    ):
        pass
    shop.write("20260102000000_second.sql", "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);")
    plan = shop.project.plan().id
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production)
    before = shop.state()
    run = shop.project.deployment(approve=plan)
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve):
        step()
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", pooler)
    for attempt in (lambda: shop.project.migrate_prod(approve=plan), run.deploy):
        with pytest.raises(RefusedError, match=r"direct connection|transaction pooler"):
            attempt()  # type: ignore[operator]
    assert shop.state() == before
    assert not shop.on(shop.production, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")  # and none leaked
