"""preflight: one table, always all rows; a standby and a pooler are told from the primary itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from safemig.errors import RefusedError, UnreachableError
from safemig.operations.transaction import deploying_connection
from safemig.postgres.server import ThrowawayServer, _as_user, _server_user
from tests.conftest import QUIET
from tests.operations.conftest import Shop

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


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


@pytest.fixture
def standby(shop: Shop, server: ThrowawayServer) -> Iterator[str]:
    """A real hot standby of the test server; its URL for production's database."""
    user = _server_user()
    folder = Path("/tmp") / f"safemig-standby-{os.getpid()}"
    folder.mkdir(mode=0o700)
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    subprocess.run(
        [server.programs.folder / "pg_basebackup", "-D", folder / "data", "-R", "-h", server.folder, "-p", "5432",
         "-U", "postgres", "-c", "fast"],
        check=True, cwd="/", **_as_user(user),  # type: ignore[call-overload]
    )  # fmt: skip
    try:
        with ThrowawayServer.start(folder=folder, major=server.major, settings=QUIET) as started:
            yield shop.production.replace(quote(str(server.folder), safe=""), quote(str(folder), safe=""))
        assert started
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


@pytest.fixture
def pooler(shop: Shop, server: ThrowawayServer, tmp_path: Path) -> Iterator[str]:
    """pgbouncer in transaction mode before the test server; its URL for production's database."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not on this machine")
    user = _server_user()
    folder = Path("/tmp") / f"safemig-pooler-{os.getpid()}"
    folder.mkdir()
    name = shop.production.split("/")[3].split("?")[0]
    (folder / "users.txt").write_text('"postgres" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{name} = host={server.folder} port=5432\n[pgbouncer]\nlisten_port = 6432\nunix_socket_dir = {folder}\n"
        f"auth_type = trust\nauth_file = {folder}/users.txt\npool_mode = transaction\nignore_startup_parameters = extra_float_digits\n"
    )
    if user:
        shutil.chown(folder, user.pw_uid, user.pw_gid)
    process = subprocess.Popen(
        [PGBOUNCER, "-q", str(folder / "pgbouncer.ini")],
        cwd="/",
        stderr=subprocess.DEVNULL,
        **_as_user(user),  # type: ignore[call-overload]
    )
    try:
        deadline = time.monotonic() + 10
        while not (folder / ".s.PGSQL.6432").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"postgresql://postgres@/{name}?host={quote(str(folder), safe='')}&port=6432"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def test_a_transaction_pooler_is_told_and_refused(shop: Shop, pooler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", pooler)
    assert _states(shop)["direct connection"] == "failed"
    with (
        pytest.raises(UnreachableError, match="transaction pooler"),
        deploying_connection(shop.project.settings, pooler, "production", "run"),
    ):
        pass
