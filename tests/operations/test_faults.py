"""What goes wrong around a deployment: locks, other deployers, full disks, bad backups, programs that lie, a failover."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from safemig.errors import (
    BackupError,
    DeploymentFailedError,
    RefusedError,
    SafemigError,
    SettingsError,
    ToolError,
    UnfitDatabaseError,
)
from safemig.execution import journal
from safemig.operations.migrate_prod import ProductionDeployment
from safemig.postgres.dump import tools
from safemig.postgres.server.programs import PROGRAMS_VARIABLE, server_programs
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.results import Deployment
from tests.operations.conftest import Shop

SECOND_FILE = "20260102000000_second.sql"
SECOND = """
CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, body text);
ALTER TABLE users ADD COLUMN IF NOT EXISTS active boolean NOT NULL DEFAULT true;
"""
BOTH_TABLES = (
    "ALTER TABLE orders ADD COLUMN IF NOT EXISTS note text; ALTER TABLE users ADD COLUMN IF NOT EXISTS note text;"
)
PGBENCH = shutil.which("pgbench") or next(iter(map(str, Path("/usr/lib/postgresql").glob("*/bin/pgbench"))), None)


def approved(shop: Shop) -> ProductionDeployment:
    """A deployment that has gone every step before `deploy`."""
    run = ProductionDeployment(shop.project.settings, approve=shop.project.plan().id)
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve):
        step()
    return run


# Locks


class Reader:
    """An application that reads a table all the time, and remembers when it had to wait for how long."""

    def __init__(self, url: str, table: str) -> None:
        self.waits: list[tuple[float, float]] = []
        self.errors: list[str] = []
        self._url, self._table = url, table
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._over.wait(0.002):
                begun = time.monotonic()
                try:
                    connection.execute(f"SELECT count(*) FROM {self._table} WHERE id = 7".encode())
                except psycopg.Error as error:
                    self.errors.append(str(error))
                self.waits.append((time.monotonic() - begun, begun))

    def worst_s(self, before: float = float("inf")) -> float:
        """The longest wait that began before a time."""
        return max(wait for wait, begun in self.waits if begun < before)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_readers_beside_a_lock_holder_wait_for_little_more_than_the_lock_timeout(
    shop: Shop, record_property: Callable[[str, object], None]
) -> None:
    """For 5 s someone holds the second table; the first one, which the deployment locks too, is read beside it.

    The bar is for what waiting for a lock does to others; at the end, what is done under the locks comes on top.
    """
    shop.on(shop.production, "CREATE TABLE beside (id int); INSERT INTO beside SELECT generate_series(1, 1000)")
    shop.write(SECOND_FILE, BOTH_TABLES)
    run = approved(shop)
    with (
        psycopg.connect(shop.production, application_name="report") as holder,
        Reader(shop.production, "beside") as noise,  # no lock is taken on it: what this machine makes everyone wait
        Reader(shop.production, "orders") as first,
        Reader(shop.production, "users") as second,
    ):
        holder.execute("LOCK TABLE users IN ACCESS SHARE MODE")
        pid = holder.info.backend_pid
        released = time.monotonic() + 5
        threading.Timer(5, holder.rollback).start()
        done = run.deploy()
        time.sleep(0.1)
    assert done.verdict == "DEPLOYED"
    assert (first.errors, second.errors) == ([], [])
    bar = 0.1 + 0.05 + noise.worst_s()
    worst = max(reader.worst_s(before=released - 0.3) for reader in (first, second))
    record_property("worst_ms", round(1000 * worst))
    record_property("noise_ms", round(1000 * noise.worst_s()))
    assert worst < bar, (worst, noise.worst_s())
    events = [
        each
        for each in journal.read(journal.path_of(shop.project.settings, "production"))
        if each["run"] == done.run_id
    ]
    waits = [each for each in events if each["event"] == "waiting"]
    assert len(waits) > 3
    assert f"pid {pid} postgres, idle in transaction" in waits[0]["blockers"][0]
    begun = [datetime.fromisoformat(each["at"]) for each in events if each["event"] in ("waiting", "committed")]
    at_work = (begun[-1] - begun[-2]).total_seconds()  # the pause before the last attempt, too
    assert max(first.worst_s(), second.worst_s()) < bar + at_work


def test_readers_beside_one_who_never_lets_go_wait_no_longer(
    shop: Shop, record_property: Callable[[str, object], None]
) -> None:
    """The deployment gives up; until then, and when it does, who reads waits for little more than the lock timeout."""
    shop.on(shop.production, "CREATE TABLE beside (id int); INSERT INTO beside SELECT generate_series(1, 1000)")
    shop.write(SECOND_FILE, BOTH_TABLES)
    (shop.folder / "safemig.toml").write_text("lock_attempts = 8\n")
    run = approved(shop)
    before = shop.state()
    with (
        psycopg.connect(shop.production, application_name="report") as holder,
        Reader(shop.production, "beside") as noise,
        Reader(shop.production, "orders") as first,
        Reader(shop.production, "users") as second,
    ):
        holder.execute("LOCK TABLE users IN ACCESS SHARE MODE")
        pid = holder.info.backend_pid
        with pytest.raises(DeploymentFailedError, match="could not acquire a lock after 8 attempts") as caught:
            run.deploy()
        holder.rollback()
    assert f"pid {pid} postgres, idle in transaction" in caught.value.what
    assert (first.errors, second.errors) == ([], [])
    worst = max(first.worst_s(), second.worst_s())
    record_property("worst_ms", round(1000 * worst))
    record_property("noise_ms", round(1000 * noise.worst_s()))
    assert worst < 0.1 + 0.05 + noise.worst_s(), (worst, noise.worst_s())
    assert shop.state() == before


def test_a_deadlock_is_tried_again(shop: Shop) -> None:
    """The application holds what we want second, and wants what we hold first; our limit is too long to end it."""
    (shop.folder / "safemig.toml").write_text("lock_timeout_ms = 20000\nrehearsal = 'schema'\n")  # no locks up front
    shop.write(SECOND_FILE, BOTH_TABLES)
    run, victims = approved(shop), []
    with psycopg.connect(shop.production) as application:
        application.execute("SET deadlock_timeout = '60s'; LOCK TABLE users IN ROW EXCLUSIVE MODE")

        def want() -> None:
            while not shop.on(
                shop.production, "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass"
            ):
                time.sleep(0.02)
            try:
                application.execute("UPDATE orders SET total = 0 WHERE id = 1")
                application.rollback()
            except psycopg.errors.DeadlockDetected:
                victims.append("the application")

        thread = threading.Thread(target=want)
        thread.start()
        done = run.deploy()
        thread.join()
    assert done.verdict == "DEPLOYED"
    assert victims == []
    assert max(step.attempts for step in done.steps) == 2


@pytest.mark.parametrize("limit", ["1ms", "200ms"])
def test_limits_of_the_role_do_not_end_a_deployment(shop: Shop, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    shop.on(
        shop.production,
        "DROP ROLE IF EXISTS hurried; CREATE ROLE hurried LOGIN SUPERUSER;"
        + "".join(f"ALTER ROLE hurried SET {name} = '{limit}';" for name in names),
    )
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production.replace("postgres@", "hurried@"))
    shop.write(SECOND_FILE, SECOND + "INSERT INTO notes SELECT count(*), 'slow' FROM generate_series(1, 4000000);")
    (shop.folder / "safemig.toml").write_text(
        'accept = ["owner-differs:public.notes: only this role has the limits"]\n'
    )
    assert shop.deploy().verdict == "DEPLOYED"


# Others at the same time


def race(run: ProductionDeployment, number: int) -> list[Deployment | RefusedError]:
    """Let two deployers of an approved run begin at the same moment, and return what each came to."""
    barrier = threading.Barrier(2)
    ended: list[Deployment | RefusedError] = []

    def deploy(twin: ProductionDeployment) -> None:
        barrier.wait()
        try:
            ended.append(twin.deploy())
        except RefusedError as error:
            ended.append(error)

    twins = [copy.copy(run), copy.copy(run)]
    threads = [threading.Thread(target=deploy, args=(twin,)) for twin in twins]
    for name, twin, thread in zip("ab", twins, threads, strict=True):
        twin.run_id = f"run{number}{name}"
        thread.start()
    for thread in threads:
        thread.join()
    return ended


RACES = 15


def test_of_two_deployers_at_once_exactly_one_deploys_each_time(shop: Shop, server: ThrowawayServer) -> None:
    shop.write(SECOND_FILE, "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, body text);")
    run = approved(shop)
    undo = "DROP TABLE notes; DELETE FROM supabase_migrations.schema_migrations WHERE name = 'second'; DELETE FROM safemig.migrations WHERE version LIKE '20260102%'"
    refused = 0
    for number in range(RACES):
        ended = race(run, number)
        assert len(ended) == 2, ended
        deployed = [each for each in ended if isinstance(each, Deployment)]
        assert len(deployed) == 1, ended
        (other,) = [each for each in ended if isinstance(each, RefusedError)]
        # It came while the first was at work, or just after, and saw another schema than the one it had planned for.
        assert "another deployment is under way" in other.what or "has changed since the plan" in other.what
        refused += "under way" in other.what
        shop.on(shop.production, undo)
    assert refused  # they did meet
    assert shop.on(shop.production, "SELECT count(*) FROM safemig.deployments WHERE act = 'migrate_prod'") == [(RACES,)]


# What pgbouncer itself keeps for each client, and gives its own value to each.
SET_BY_SESSIONS = """
SELECT name, setting FROM pg_settings
WHERE source = 'session' AND name NOT IN ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings')
"""


def test_of_two_deployers_through_a_pooler_none_ever_deploys(
    shop: Shop, pooler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In transaction mode both would get the same session lock; so both are refused, and leave nothing to other clients."""
    shop.write(SECOND_FILE, "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, body text);")
    run = approved(shop)
    before = shop.state()
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", pooler)
    for number in range(RACES):
        ended = race(run, number)
        assert [type(each) for each in ended] == [UnfitDatabaseError, UnfitDatabaseError], ended
        assert all("behind a transaction pooler" in each.what and each.next for each in ended)
    # Nor does what only reads, or the pre-flight, leave a setting behind.
    assert [check.state for check in shop.project.preflight().checks if check.name == "direct connection"] == ["failed"]
    shop.project.plan()
    clients = [
        psycopg.connect(pooler) for _ in range(6)
    ]  # each in a transaction: together on every connection there is
    try:
        for client in clients:
            assert client.execute(SET_BY_SESSIONS).fetchall() == []
            assert client.execute("SHOW transaction_read_only").fetchone() == ("off",)
    finally:
        for client in clients:
            client.close()
    assert shop.state() == before
    assert not shop.on(shop.production, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")


def test_an_application_that_goes_on_loses_no_row_and_sees_no_error(shop: Shop, tmp_path: Path) -> None:
    if PGBENCH is None:
        pytest.skip("pgbench is not on this machine")
    script = tmp_path / "application.sql"
    script.write_text(
        "\\set user random(1, 200)\nBEGIN;\nINSERT INTO orders (user_id, total) VALUES (:user, 1);\n"
        "UPDATE users SET legacy = 'seen' WHERE id = :user;\nSELECT count(*) FROM big_orders WHERE user_id = :user;\nCOMMIT;\n"
    )
    shop.write(SECOND_FILE, SECOND + BOTH_TABLES)
    folder, name = (
        shop.production.split("host=")[1].split("&")[0].replace("%2F", "/"),
        shop.production.split("/")[3].split("?")[0],
    )
    command = [
        PGBENCH,
        "-h",
        folder,
        "-p",
        "5432",
        "-U",
        "postgres",
        "-n",
        "-c",
        "4",
        "-T",
        "60",
        "-R",
        "200",
        "-f",
        str(script),
        name,
    ]
    bench = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        done = shop.deploy()
    finally:
        time.sleep(0.5)
        shop.on(shop.production, "SELECT 1")
        bench.send_signal(2)
        output, errors = bench.communicate()
    assert done.verdict == "DEPLOYED"
    assert {check.state for check in done.validation} == {"ok"}
    assert "ERROR" not in errors, errors
    assert "aborted" not in errors, errors
    inserted = int(shop.on(shop.production, "SELECT count(*) FROM orders WHERE total = 1 AND id > 1000")[0][0])  # type: ignore[call-overload]
    assert inserted > 50, output
    assert shop.on(shop.production, "SELECT count(*) FROM orders WHERE id <= 1000") == [(1000,)]
    assert shop.on(shop.production, "SELECT count(*), bool_and(active) FROM users") == [(200, True)]


def test_a_standby_promoted_in_between_is_another_production(
    shop: Shop, standby: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write(SECOND_FILE, SECOND)
    run = approved(shop)
    shop.on(standby, "SELECT pg_promote()")
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", standby)
    shop.production = standby
    before = shop.state()
    with pytest.raises(RefusedError, match="a standby was promoted since"):
        run.deploy()
    assert shop.state() == before
    assert shop.deploy().verdict == "DEPLOYED"
    assert shop.project.migrate_prod().verdict == "NOTHING TO DEPLOY"


# Backups that are not what they were


def _cut(content: bytes, _: bytes) -> bytes:
    return content[: content.index(b"user100@")]


def _flip(content: bytes, _: bytes) -> bytes:
    place = content.index(b"CREATE VIEW public.big_orders") + 50
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def _replace(_: bytes, other: bytes) -> bytes:
    return other


@pytest.mark.parametrize("damage", [_cut, _flip, _replace])
def test_a_backup_that_changed_on_disk_stops_the_deployment(
    shop: Shop, damage: Callable[[bytes, bytes], bytes]
) -> None:
    other = shop.project.backup_prod().full.path.read_bytes()
    shop.on(shop.production, "DELETE FROM orders WHERE id = 1000")
    shop.write(SECOND_FILE, SECOND)
    before = shop.state()
    run = ProductionDeployment(shop.project.settings, approve=shop.project.plan().id)
    for step in (run.preflight, run.review, run.plan):
        step()
    backup = run.backup()
    assert backup
    backup.full.path.write_bytes(damage(backup.full.path.read_bytes(), other))
    with pytest.raises(BackupError, match="not the file that its manifest describes"):
        run.rehearse()
    assert shop.state() == before
    with pytest.raises(BackupError, match="not the file that its manifest describes"):
        shop.project.restore_prod()


PROGRAMS = [
    # (what stands for pg_dump, error, what it says)
    ("echo 'pg_dump: error: out of luck' >&2; exit 1", ToolError, "out of luck"),
    ("exit 0", BackupError, "before the dump was complete"),
    ('"$REAL" "$@" | head -c 3000; exit 0', BackupError, "before the dump was complete"),
    ('"$REAL" "$@" | head -c 3000; sleep 60', BackupError, "sent nothing for"),
    ("kill -9 $$", ToolError, "pg_dump"),
]


@pytest.mark.parametrize(("script", "error", "words"), PROGRAMS, ids=["fails", "nothing", "half", "hangs", "killed"])
def test_a_pg_dump_that_does_not_do_its_work(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, error: type[SafemigError], words: str
) -> None:
    if "sleep" in script:
        monkeypatch.setattr(tools, "SILENT_SECONDS", 1.0)
    real = server_programs().folder
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "psql").symlink_to(real / "psql")
    (programs / "pg_dump").write_text(
        f'#!/bin/bash\nREAL={real}/pg_dump\nif [ "$1" = --version ]; then exec "$REAL" --version; fi\n{script}\n'
    )
    (programs / "pg_dump").chmod(0o755)
    monkeypatch.setenv(PROGRAMS_VARIABLE, f"{programs}:{real}")
    shop.write(SECOND_FILE, SECOND)
    before_files = set(shop.folder.rglob("*"))
    with pytest.raises(error, match=words):
        shop.project.backup_prod()
    assert {each for each in shop.folder.rglob("*") if each.is_file()} <= before_files
    with pytest.raises(error, match=words):
        shop.project.migrate_prod()
    assert {each for each in shop.folder.rglob("*") if each.is_file()} <= before_files


# Full disks


def _fill(folder: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        (folder / "filler").write_bytes(bytes(2 * shutil.disk_usage(folder).free + 1))


LARGE_IN_A_DUMP = "INSERT INTO users SELECT n, n::text, repeat('x', 1000000) FROM generate_series(1000, 1029) n"  # 30 MB, compressed well by TOAST


def test_a_disk_full_of_backup(shop: Shop, small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(24)
    (shop.folder / "safemig.toml").write_text(f"backups = '{disk}'\n")
    shop.on(shop.production, LARGE_IN_A_DUMP)
    before = shop.state()
    with pytest.raises(BackupError, match="No space left on device"):
        shop.project.backup_prod()
    assert [each for each in disk.rglob("*") if each.is_file()] == []
    assert shop.state() == before


def test_a_disk_full_of_the_copy(
    shop: Shop, small_disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write(SECOND_FILE, SECOND)
    run = ProductionDeployment(shop.project.settings, approve=shop.project.plan().id)
    for step in (run.preflight, run.review, run.plan, run.backup):
        step()
    before, disk = shop.state(), small_disk(30)
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    with pytest.raises(SafemigError, match=r"could not make|did not start|cannot be restored|does not restore"):
        run.rehearse()
    assert list(disk.iterdir()) == []
    assert shop.state() == before
    monkeypatch.undo()


@pytest.mark.parametrize("full_at", ["begun", "step", "committed"])
def test_a_disk_full_of_records(
    shop: Shop, small_disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch, full_at: str
) -> None:
    """Before COMMIT it stops all; after COMMIT what is done is done, and is said so."""
    disk = small_disk(80)  # the pre-flight wants 64
    (shop.folder / "safemig.toml").write_text(f"records = '{disk}'\n")
    shop.write(SECOND_FILE, SECOND)
    run, before, real, filled = approved(shop), shop.state(), journal.write, []

    def write(path: Path, run_id: str, event: journal.Event, **facts: object) -> None:
        if event == full_at and not filled:
            if path.exists():  # the rest of its last page would still take a line
                with path.open("a") as file:
                    file.write(" " * (4096 - path.stat().st_size % 4096 - 1) + "\n")
            filled.append(_fill(disk))
        real(path, run_id, event, **facts)

    monkeypatch.setattr(journal, "write", write)
    if full_at == "committed":
        assert run.deploy().verdict == "DEPLOYED"
    else:
        with pytest.raises(SettingsError, match="the journal cannot be written: No space left on device"):
            run.deploy()
        assert shop.state() == before
    (disk / "filler").unlink()
    again = shop.deploy() if full_at != "committed" else shop.project.migrate_prod()
    assert again.verdict == ("NOTHING TO DEPLOY" if full_at == "committed" else "DEPLOYED")
    assert not [each for each in shop.project.db_status().problems if "cut off" in each]


def test_a_statement_that_fills_the_disk_is_rolled_back(
    shop: Shop, small_disk: Callable[[int], Path], server: ThrowawayServer
) -> None:
    """The server's own disk: a tablespace that cannot hold what the migration writes. The copy has room."""
    disk = small_disk(2)
    if os.geteuid() != 0:
        pytest.skip("needs root, to give the folder to the server's user")
    place = disk / "place"
    place.mkdir()
    owner = (server.folder / "data").stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    name = shop.production.split("/")[3].split("?")[0]
    shop.on(shop.production, f"CREATE TABLESPACE small LOCATION '{place}'")
    shop.on(shop.production, f"ALTER DATABASE \"{name}\" SET default_tablespace = 'small'")
    shop.write(
        SECOND_FILE,
        "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, body text); INSERT INTO notes SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 5000) n;",
    )
    run = approved(shop)
    before = shop.state()
    with pytest.raises(DeploymentFailedError, match="No space left on device"):
        run.deploy()
    assert shop.state() == before
    shop.on(shop.production, f'ALTER DATABASE "{name}" RESET default_tablespace')
    assert shop.deploy().verdict == "DEPLOYED"
    shop.on(shop.production, "DROP TABLESPACE small")
