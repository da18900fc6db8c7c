"""restore_prod: beside production first, verified, swapped in only when that is approved."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest
from psycopg import sql

from safemig.backups import swap
from safemig.errors import BackupError, DeploymentFailedError, RefusedError, SettingsError
from safemig.postgres.server.throwaway import ThrowawayServer
from tests.operations.conftest import Shop, approval_of


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
    (told,) = shop.project.db_status().problems
    assert f"database {restored.database} was left by a restore that was not swapped in" in told
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
    (told,) = shop.project.db_status().problems
    assert f"when it is no longer needed: safemig restore-prod --drop {restored.kept_as}" in told
    server.drop_database(restored.kept_as)


def test_the_former_is_dropped_when_that_is_told_and_approved(shop: Shop, server: ThrowawayServer) -> None:
    shop.project.backup_prod()
    restored = shop.project.restore_prod(swap=True, approve=approval_of(lambda: shop.project.restore_prod(swap=True)))
    name = shop.production.split("/")[3].split("?")[0]
    good, databases = shop.state(), _databases(shop)
    command = f"safemig restore-prod --drop {restored.kept_as}"
    assert command in restored.render("text")
    for other in ("postgres", name, "no such"):  # none that a restore left
        with pytest.raises(RefusedError, match="no restore of safemig left") as caught:
            shop.project.restore_prod(drop=other)
        assert restored.kept_as in str(caught.value.where)
    with pytest.raises(SettingsError, match="drop cannot be combined with other options"):
        shop.project.restore_prod(drop=restored.kept_as, swap=True)
    with pytest.raises(RefusedError, match="is not approved") as caught:
        shop.project.restore_prod(drop=restored.kept_as)
    assert f"{command} --approve " in str(caught.value.next)
    approval = str(caught.value.next).split("--approve ")[1].split()[0]
    with pytest.raises(RefusedError, match="is not approved"):
        shop.project.restore_prod(drop=restored.kept_as, approve="yes")
    with (
        psycopg.connect(server.url(restored.kept_as)),  # someone looks into it
        pytest.raises(RefusedError, match="being accessed by other users"),
    ):
        shop.project.restore_prod(drop=restored.kept_as, approve=approval)
    assert _databases(shop) == databases
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return f"production {approval}"

    dropped = shop.project.restore_prod(drop=restored.kept_as, ask=ask)
    assert dropped.dropped
    assert restored.kept_as in asked[0]
    assert dropped.render("text").startswith("DROPPED")
    assert _databases(shop) == databases - {restored.kept_as}
    assert shop.state() == good
    with pytest.raises(RefusedError, match="no restore of safemig left"):
        shop.project.restore_prod(drop=restored.kept_as, approve=approval)


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


def test_a_cut_off_restore_is_made_anew_but_nobody_else_s_database_is_dropped(
    shop: Shop, server: ThrowawayServer
) -> None:
    backup = shop.project.backup_prod()
    name = shop.production.split("/")[3].split("?")[0] + f"_restored_{backup.timestamp}"
    url = server.create_database(name)
    shop.on(url, "CREATE TABLE precious (id int)")
    with pytest.raises(RefusedError, match="this restore did not create it"):
        shop.project.restore_prod()
    assert shop.on(url, "SELECT count(*) FROM precious") == [(0,)]
    server.drop_database(name)


def test_a_restored_database_that_was_changed_since_is_not_swapped_in(shop: Shop, server: ThrowawayServer) -> None:
    shop.project.backup_prod()
    restored = shop.project.restore_prod()
    shop.on(server.url(restored.database), "DELETE FROM orders WHERE id = 1")
    before = shop.state()
    with pytest.raises(RefusedError, match="has been changed since"):
        shop.project.restore_prod(swap=True)
    assert shop.state() == before


def test_an_application_that_keeps_coming_back_meets_one_database_or_the_other(
    shop: Shop, server: ThrowawayServer
) -> None:
    """Eight threads reconnect without a pause all through the swap."""
    shop.project.backup_prod()
    approval = approval_of(lambda: shop.project.restore_prod(swap=True))
    shop.on(shop.production, "DELETE FROM orders WHERE id > 500")
    over, seen, odd = threading.Event(), set(), []

    def application() -> None:
        while not over.is_set():
            try:
                with psycopg.connect(shop.production, autocommit=True, application_name="app") as connection:
                    for _ in range(3):
                        seen.add(connection.execute("SELECT count(*) FROM orders").fetchone()[0])  # type: ignore[index]
            except psycopg.OperationalError as error:
                # Ended by the swap, or turned away in the moment of renaming.
                if not any(words in str(error) for words in ("terminat", "does not exist", "renamed", "closed")):
                    odd.append(str(error))

    threads = [threading.Thread(target=application) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        assert shop.project.restore_prod(swap=True, approve=approval).swapped
        time.sleep(0.3)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert seen == {500, 1000}
    assert odd == []


def test_a_prepared_transaction_stops_the_swap_and_nothing_is_changed(
    shop: Shop, server: ThrowawayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "_ATTEMPTS", 1)
    shop.project.backup_prod()
    approval = approval_of(lambda: shop.project.restore_prod(swap=True))
    with psycopg.connect(shop.production, autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute("UPDATE orders SET total = 0 WHERE id = 1")
        try:
            connection.execute("PREPARE TRANSACTION 'held'")
        except psycopg.errors.ObjectNotInPrerequisiteState:
            pytest.fail("the test server must allow prepared transactions")
    before = _databases(shop)
    try:
        with pytest.raises(DeploymentFailedError, match="prepared transaction"):
            shop.project.restore_prod(swap=True, approve=approval)
        assert _databases(shop) == before
        assert shop.on(shop.production, "SELECT count(*) FROM orders") == [(1000,)]
    finally:
        shop.on(shop.production, "ROLLBACK PREPARED 'held'")


def test_settings_owner_and_comment_of_the_database_go_along(shop: Shop, server: ThrowawayServer) -> None:
    name = shop.production.split("/")[3].split("?")[0]
    with psycopg.connect(shop.production, autocommit=True) as connection:
        for statement in (
            "DROP ROLE IF EXISTS landlord", "CREATE ROLE landlord", "ALTER DATABASE {} OWNER TO landlord",
            "COMMENT ON DATABASE {} IS 'the shop''s own'", "ALTER DATABASE {} CONNECTION LIMIT 77",
            "ALTER ROLE landlord IN DATABASE {} SET search_path TO a, \"B\"", "GRANT CONNECT ON DATABASE {} TO landlord",
        ):  # fmt: skip
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
    question = """
    SELECT pg_get_userbyid(datdba), shobj_description(oid, 'pg_database'), datconnlimit,
           (SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 'landlord'::regrole)
    FROM pg_database d WHERE datname = current_database()
    """
    before = shop.on(shop.production, question)
    shop.project.backup_prod()
    restored = shop.project.restore_prod(swap=True, approve=approval_of(lambda: shop.project.restore_prod(swap=True)))
    assert restored.swapped
    assert shop.on(shop.production, question) == before
    shop.on(
        shop.production,
        f'ALTER DATABASE "{name}" OWNER TO postgres; ALTER ROLE landlord IN DATABASE "{name}" RESET ALL',
    )


@pytest.mark.parametrize("form", ["plain", "directory"])
def test_a_child_table_that_got_its_parents_column_later_is_restored_and_equal(
    shop: Shop, server: ThrowawayServer, form: str
) -> None:
    """Restored, it has its columns in another order: the parent's before its own; its rows are the same."""
    shop.on(
        shop.production,
        """CREATE TABLE basis (id int, "a, b" text); CREATE TABLE child (own int) INHERITS (basis);
        ALTER TABLE basis ADD COLUMN later text DEFAULT 'x'; ALTER TABLE basis ADD COLUMN "last, one" int;
        INSERT INTO child SELECT n, E'tab\\t, line\\n' || n, n, n::text, n FROM generate_series(1, 50) n; INSERT INTO basis VALUES (1)""",
    )
    if form == "directory":
        (shop.folder / "safemig.toml").write_text('backup_format = "directory"\n')
    backup = shop.project.backup_prod()
    assert backup.verified == "restored"
    restored = shop.project.restore_prod()
    url = server.url(restored.database)
    assert shop.on(url, "SELECT * FROM child LIMIT 0") == []
    same = "SELECT md5(string_agg(ROW(id, own, later)::text, '' ORDER BY id)) FROM child"
    assert shop.on(url, same) == shop.on(shop.production, same)
    shop.on(url, "UPDATE child SET own = 0 WHERE id = 3")  # as many rows, and other content
    with pytest.raises(RefusedError, match="an earlier restore has been changed since"):
        shop.project.restore_prod()
    server.drop_database(restored.database)
