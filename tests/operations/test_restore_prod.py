"""restore_prod: beside production first, verified, swapped in only when that is approved."""

from __future__ import annotations

import psycopg
import pytest

from safemig.errors import BackupError, RefusedError
from safemig.postgres.server import ThrowawayServer
from tests.operations.conftest import Shop


def _databases(shop: Shop) -> set[str]:
    return {str(name) for (name,) in shop.on(shop.production, "SELECT datname FROM pg_database")}


def test_it_stands_beside_production_and_is_verified(shop: Shop, server: ThrowawayServer) -> None:
    backup = shop.project.backup_prod()
    shop.on(shop.production, "DELETE FROM orders")
    before = shop.state()
    restored = shop.project.restore_prod()
    assert not restored.swapped
    assert restored.database.endswith(f"_restored_{backup.timestamp}")
    assert restored.tables == backup.tables
    assert shop.state() == before
    assert shop.on(server.url(restored.database), "SELECT count(*) FROM orders") == [(1000,)]
    server.drop_database(restored.database)


def test_swapped_in_when_approved_and_the_former_is_kept(shop: Shop, server: ThrowawayServer) -> None:
    shop.on(
        shop.production,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''8MB''', current_database()); END $$",
    )
    shop.project.backup_prod()
    before = shop.state()
    shop.on(shop.production, "DROP VIEW big_orders; DELETE FROM orders")
    with psycopg.connect(
        shop.production, autocommit=True
    ) as session:  # the application, which does not let go by itself
        session.execute("SELECT 1")
        with pytest.raises(RefusedError, match="is not approved") as caught:
            shop.project.restore_prod(swap=True)
        restored = shop.project.restore_prod(
            swap=True, approve=str(caught.value.next).split("--approve ")[1].split()[0]
        )
    assert restored.swapped
    assert shop.state() == before
    assert shop.on(shop.production, "SHOW work_mem") == [("8MB",)]
    assert shop.on(server.url(restored.kept_as), "SELECT count(*) FROM orders") == [(0,)]
    server.drop_database(restored.kept_as)


def test_a_cut_backup_is_refused_before_anything_is_made(shop: Shop) -> None:
    backup = shop.project.backup_prod()
    content = backup.full.path.read_bytes()
    backup.full.path.write_bytes(content[: len(content) // 2])
    databases = _databases(shop)
    with pytest.raises(BackupError, match="not the file that its manifest describes"):
        shop.project.restore_prod()
    assert _databases(shop) == databases


def test_an_unknown_backup_is_named(shop: Shop) -> None:
    with pytest.raises(BackupError, match="no backup of production"):
        shop.project.restore_prod()
    with pytest.raises(BackupError, match="no backup 20200101000000 of production"):
        shop.project.restore_prod("20200101000000")


def test_a_role_that_may_not_make_databases_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.project.backup_prod()
    shop.on(shop.production, "DROP ROLE IF EXISTS modest; CREATE ROLE modest LOGIN")
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production.replace("postgres@", "modest@"))
    with pytest.raises(RefusedError, match="cannot be made") as caught:
        shop.project.restore_prod()
    assert "CREATEDB" in str(caught.value.next)


def test_another_id_is_refused(shop: Shop) -> None:
    shop.project.backup_prod()
    databases = _databases(shop)
    with pytest.raises(RefusedError, match="approved was nonsense"):
        shop.project.restore_prod(swap=True, approve="nonsense")
    assert _databases(shop) == databases
