"""A deployment killed at every point: production is exactly before or exactly after, and the next run ends well."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psycopg
import pytest

from safemig.errors import DeploymentFailedError
from safemig.operations import outcome, transaction
from safemig.postgres.history import make_history, record_applied
from safemig.postgres.server import ThrowawayServer
from tests.operations.conftest import FIRST, FIRST_FILE, ROWS, Shop
from tests.operations.killing import DEPLOY, kill_at, wait_until_alone

FIRST_PART = "20260102000000_second.sql"
SECOND_PART = "20260103000000_index.sql"
SECOND = """
CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, body text);
ALTER TABLE users ADD COLUMN IF NOT EXISTS active boolean NOT NULL DEFAULT true;
"""
INDEX = "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_legacy ON users (legacy);"

LOCKS_ON_USERS = """
SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = 'users' AND l.pid <> pg_backend_pid()
"""
NOTHING: tuple[str, ...] = ()
FIRST_ONLY = (FIRST_PART,)
BOTH = (FIRST_PART, SECOND_PART)
POINTS = [
    # (where, before or after, which time, what is applied)
    ("safemig.postgres.dump._Dump.write", "after", 1, NOTHING),
    ("safemig.postgres.dump.DumpReader._data", "after", 1, NOTHING),
    ("safemig.operations.rehearse.observe_steps", "before", 1, NOTHING),
    ("safemig.operations.rehearse.write_new", "before", 1, NOTHING),
    ("safemig.operations.migrate_prod.make_history", "after", 1, NOTHING),
    ("safemig.operations.transaction.run_steps", "before", 1, NOTHING),
    ("safemig.operations.transaction.run_steps", "after", 2, NOTHING),
    ("safemig.operations.bookkeeping.Run.record", "after", 1, NOTHING),
    ("safemig.operations.transaction.commit", "before", 1, NOTHING),
    ("safemig.operations.transaction.commit", "after", 1, FIRST_ONLY),
    ("safemig.operations.migrate_prod.run_apart", "before", 1, FIRST_ONLY),
    ("safemig.operations.apart._require_valid_indexes", "after", 1, FIRST_ONLY),
    ("safemig.operations.transaction.commit", "after", 2, BOTH),
    ("safemig.operations.migrate_prod.check_schema", "before", 1, BOTH),
]


def _applied(shop: Shop) -> tuple[str, ...]:
    rows = shop.on(
        shop.production, "SELECT version || '_' || name || '.sql' FROM supabase_migrations.schema_migrations ORDER BY 1"
    )
    return tuple(str(name) for (name,) in rows[1:])


@pytest.mark.parametrize(("where", "when", "count", "applied"), POINTS)
def test_killed_at_any_point(
    shop: Shop, temporary: Path, where: str, when: str, count: int, applied: tuple[str, ...]
) -> None:
    shop.write(FIRST_PART, SECOND)
    shop.write(SECOND_PART, INDEX)
    before = shop.state()
    assert kill_at(shop, temporary, DEPLOY, where, when, count) == -signal.SIGKILL
    wait_until_alone(shop)
    assert _applied(shop) == applied
    if not applied:
        assert shop.state() == before
    has_table = shop.on(shop.production, "SELECT to_regclass('notes') IS NOT NULL")[0][0]
    assert has_table is (FIRST_PART in applied)
    deadline = time.monotonic() + 10
    while list(temporary.glob("safemig-*/data")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not list(temporary.glob("safemig-*/data"))  # the copy's server went with it
    problems = " ".join(shop.project.db_status().problems)
    begun = (shop.folder / "records" / "production" / "journal.jsonl").exists()
    # In the validation the database is done with already; what is missing then is the record's end.
    cut_off = begun and not where.endswith("check_schema")
    assert ("was cut off" in problems) is cut_off
    if cut_off:
        assert ("; nothing was applied" in problems) is (not applied)
        assert all(name in problems for name in applied)
    second = shop.deploy() if applied != BOTH else shop.project.migrate_prod()
    assert second.verdict == ("NOTHING TO DEPLOY" if applied == BOTH else "DEPLOYED")
    assert _applied(shop) == BOTH
    assert shop.project.migrate_prod().verdict == "NOTHING TO DEPLOY"
    assert shop.on(shop.production, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
    assert not [each for each in shop.project.db_status().problems if "cut off" in each]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_in_the_middle_of_a_statement(shop: Shop, number: signal.Signals) -> None:
    shop.on(
        shop.production,
        """
        CREATE FUNCTION slow(x bigint) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
          IF current_database() LIKE 'production%' THEN PERFORM pg_sleep(0.1); END IF; RETURN true; END $$
        """,
    )
    shop.write(FIRST_PART, SECOND + "UPDATE users SET legacy = legacy WHERE slow(id);")
    project = shop.project
    findings = [f"{each.rule}:{each.object}: the test needs it" for each in project.review().standing]
    (shop.folder / "safemig.toml").write_text(f"accept = {json.dumps(findings)}")
    before = shop.state()
    code = "import sys, safemig; p = safemig.Project.open(sys.argv[1]); p.migrate_prod(approve=p.plan().id)"
    process = subprocess.Popen([sys.executable, "-c", code, str(shop.folder)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not shop.on(
        shop.production, "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'UPDATE users%' AND state = 'active'"
    ):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate()
    killed = time.monotonic()
    wait_until_alone(shop)
    assert time.monotonic() - killed < 10  # the statement itself would take 20 s
    assert shop.state() == before
    assert shop.on(shop.production, LOCKS_ON_USERS) == [(0,)]


def test_a_journal_that_cannot_be_written_stops_it_before_anything(shop: Shop) -> None:
    shop.write(FIRST_PART, SECOND)
    (shop.folder / "records" / "production").mkdir()
    (shop.folder / "records" / "production" / "journal.jsonl").mkdir()
    before = shop.state()
    with pytest.raises(Exception, match="journal"):
        shop.deploy()
    assert shop.state() == before


class Production:
    """A server of its own that is stopped as a crash does, and started again a moment later."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = self._started()

    def _started(self) -> ThrowawayServer:
        # As production servers are: what was acknowledged is on disk.
        return ThrowawayServer.start(folder=self.folder, settings={"synchronous_commit": "on", "fsync": "on"})

    def crash(self, how: signal.Signals) -> None:
        """Stop it (SIGQUIT: immediately, as a crash; SIGINT: fast), and start it again in the background."""
        os.kill(int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0]), how)
        self.server.stop()
        self.thread = threading.Thread(target=self._start)
        self.thread.start()

    def _start(self) -> None:
        time.sleep(1)
        self.server = self._started()


@pytest.fixture
def production(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Production]:
    """The shop's production, on a server of its own."""
    folder = Path(tempfile.mkdtemp(prefix="safemig-crash-", dir="/tmp"))
    made = Production(folder)
    url = made.server.create_database("production_1")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FIRST.encode())
        connection.execute(ROWS.encode())
        make_history(connection)
        record_applied(
            connection, FIRST_FILE[:14], "first", [FIRST], hashlib.sha256(FIRST.encode()).hexdigest(), "test"
        )
    shop.production = url
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", url)
    yield made
    made.server.stop()
    shutil.rmtree(folder)


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT], ids=["immediate", "fast"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_server_that_crashes_at_commit_is_asked_what_became_of_it(
    shop: Shop, production: Production, monkeypatch: pytest.MonkeyPatch, when: str, how: signal.Signals
) -> None:
    shop.write(FIRST_PART, SECOND)
    before, real = shop.state(), transaction.commit

    def crashing(*arguments: Any) -> None:
        monkeypatch.setattr(transaction, "commit", real)
        if when == "after":
            real(*arguments)
        production.crash(how)
        if when == "before":
            real(*arguments)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(transaction, "commit", crashing)
    if when == "after":
        assert shop.deploy().verdict == "DEPLOYED"
        production.thread.join()
        assert _applied(shop) == FIRST_ONLY
    else:
        with pytest.raises(DeploymentFailedError, match="did not commit: nothing was changed"):
            shop.deploy()
        production.thread.join()
        assert shop.state() == before
        assert shop.deploy().verdict == "DEPLOYED"


def test_a_transaction_that_a_crash_took_back_is_settled_as_not_done(shop: Shop) -> None:
    lost = psycopg.OperationalError("server closed the connection unexpectedly")
    with pytest.raises(DeploymentFailedError, match="did not commit"):
        outcome.settle(shop.production, "run", "99999999", None, lost)


@pytest.mark.parametrize("how", ["swallowed", "dropped"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_that_the_network_loses_is_settled(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, how: str, when: str
) -> None:
    """A proxy of the test's own lets everything through, until the COMMIT, which it loses, or the answer to it."""
    monkeypatch.setattr(outcome, "_COMMIT_PATIENCE_SECONDS", 0.5)
    shop.write(FIRST_PART, SECOND)
    before = shop.state()
    run = shop.project.deployment(approve=shop.project.plan().id)
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve):
        step()
    with BlackHole(shop, how, when) as hole:
        monkeypatch.setenv("PRODUCTION_DATABASE_URL", hole.url)
        if when == "after":
            assert run.deploy().verdict == "DEPLOYED"
        else:
            with pytest.raises(DeploymentFailedError, match="did not commit: nothing was changed"):
                run.deploy()
        assert hole.struck
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production)
    if when == "before":
        assert shop.state() == before
        assert shop.deploy().verdict == "DEPLOYED"
    assert _applied(shop) == FIRST_ONLY
    assert shop.on(shop.production, LOCKS_ON_USERS) == [(0,)]
    assert shop.project.migrate_prod().verdict == "NOTHING TO DEPLOY"


def test_a_backend_that_is_terminated_in_a_statement_leaves_nothing(shop: Shop) -> None:
    name = shop.production.split("/")[3].split("?")[0]
    shop.on(
        shop.production,
        f"""
        CREATE FUNCTION strike(x bigint) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
          IF current_database() = '{name}' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN true; END $$
        """,
    )
    shop.write(FIRST_PART, SECOND + "UPDATE users SET legacy = legacy WHERE strike(id);")
    findings = [f"{each.rule}:{each.object}: the test needs it" for each in shop.project.review().standing]
    (shop.folder / "safemig.toml").write_text(f"accept = {json.dumps(findings)}")
    before = shop.state()
    with pytest.raises(DeploymentFailedError, match="terminating connection") as caught:
        shop.deploy()
    assert "step 3" in str(caught.value)
    assert shop.state() == before
    assert shop.on(shop.production, LOCKS_ON_USERS) == [(0,)]


class BlackHole:
    """A TCP proxy before the test server that loses the COMMIT, or (`when` "after") the answer to it.

    `how` "swallowed": neither passed on nor refused, for ever; "dropped": the connection ends.
    """

    def __init__(self, shop: Shop, how: str, when: str) -> None:
        self._how, self._when = how, when
        self._doomed: list[socket.socket] = []
        folder = unquote(shop.production.split("host=")[1].split("&")[0])
        name = shop.production.split("/")[3].split("?")[0]
        self._target = f"{folder}/.s.PGSQL.5432"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self.url = f"postgresql://postgres@127.0.0.1:{self._listener.getsockname()[1]}/{name}?sslmode=disable"
        self.struck = False
        self._over = threading.Event()
        self._sockets = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> BlackHole:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._threads[0].join()
        for each in self._sockets[1:]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            self._sockets += [client, server]
            for arguments in ((client, server, True), (server, client, False)):
                thread = threading.Thread(target=self._pump, args=arguments)
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket, outgoing: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if outgoing and b"COMMIT\0" in data and not self.struck:
                    self.struck = True
                    self._doomed += [source, sink]
                    if self._when == "before":
                        self._strike()
                        return
                elif self.struck and source in self._doomed:
                    self._strike()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _strike(self) -> None:
        if self._how == "swallowed":
            self._over.wait(60)
            return
        for each in self._doomed:
            each.shutdown(socket.SHUT_RDWR)
