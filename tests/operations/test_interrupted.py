"""An interrupt just before and just after the COMMIT of a verb: it says what the database says."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from safemig.fault_points import FaultPoint
from tests.operations.conftest import Shop, approval_of
from tests.operations.striking import Run

FILE = "20260102000000_note.sql"
SQL = "ALTER TABLE users ADD COLUMN IF NOT EXISTS note text;"


def migrate_staging(shop: Shop) -> tuple[str, str]:
    shop.write(FILE, SQL)
    return "project.migrate_staging()", shop.staging


def sync_prod(shop: Shop) -> tuple[str, str]:
    shop.on(shop.production, "TRUNCATE users, orders; TRUNCATE supabase_migrations.schema_migrations")
    shop.on(shop.staging, SQL)
    return f"project.sync_prod(approve={approval_of(shop.project.sync_prod)!r})", shop.production


def baseline_prod(shop: Shop) -> tuple[str, str]:
    shop.write(FILE, SQL)
    shop.on(shop.production, SQL)
    return f"project.baseline_prod(approve={approval_of(shop.project.baseline_prod)!r})", shop.production


@pytest.mark.parametrize("point", [FaultPoint.COMMIT_BEGINS, FaultPoint.COMMITTED], ids=["before", "after"])
@pytest.mark.parametrize("prepare", [migrate_staging, sync_prod, baseline_prod])
def test_at_the_commit(
    shop: Shop, temporary: Path, prepare: Callable[[Shop], tuple[str, str]], point: FaultPoint
) -> None:
    action, url = prepare(shop)
    runs = "SELECT count(*) FROM supabase_migrations.schema_migrations"
    (before,) = shop.on(url, runs)
    run = Run(shop, temporary, action, point)
    run.wait_until_there()
    run.process.send_signal(signal.SIGINT)
    run.go_on()
    code, said = run.ended()
    is_committed = point is FaultPoint.COMMITTED
    assert (shop.on(url, runs) != [before]) is is_committed
    if is_committed:
        assert code == 4, said
        assert "but not validated: interrupted" in said
    else:
        assert code == 130, said
    assert shop.on(url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]
    code, said = Run(shop, temporary, action).ended()
    assert code == 0, said
