"""COMMITs that the network loses, before and after; a journal that cannot be written. All else is in test_every_fault."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import unquote

import psycopg
import pytest

from safemig.errors import DeploymentFailedError
from safemig.execution import commit
from tests.operations.conftest import Shop

FIRST_PART = "20260102000000_second.sql"
SECOND = """
CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, body text);
ALTER TABLE users ADD COLUMN IF NOT EXISTS active boolean NOT NULL DEFAULT true;
"""

LOCKS_ON_USERS = """
SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = 'users' AND l.pid <> pg_backend_pid()
"""
FIRST_ONLY = (FIRST_PART,)


def _applied(shop: Shop) -> tuple[str, ...]:
    rows = shop.on(
        shop.production, "SELECT version || '_' || name || '.sql' FROM supabase_migrations.schema_migrations ORDER BY 1"
    )
    return tuple(str(name) for (name,) in rows[1:])


def test_a_journal_that_cannot_be_written_stops_it_before_anything(shop: Shop) -> None:
    shop.write(FIRST_PART, SECOND)
    (shop.folder / "records" / "production").mkdir()
    (shop.folder / "records" / "production" / "journal.jsonl").mkdir()
    before = shop.state()
    with pytest.raises(Exception, match="journal"):
        shop.deploy()
    assert shop.state() == before


def test_a_transaction_that_a_crash_took_back_is_settled_as_not_done(shop: Shop) -> None:
    lost = psycopg.OperationalError("server closed the connection unexpectedly")
    with pytest.raises(DeploymentFailedError, match="did not commit"):
        commit.settle(shop.production, "run", "99999999", None, lost)


@pytest.mark.parametrize("how", ["swallowed", "dropped"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_that_the_network_loses_is_settled(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, how: str, when: str
) -> None:
    """A proxy of the test's own lets everything through, until the COMMIT, which it loses, or the answer to it."""
    monkeypatch.setattr(commit, "_COMMIT_PATIENCE_SECONDS", 0.5)
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


class BlackHole:
    """A TCP proxy before the test server that loses the COMMIT, or (`when` "after") the answer to it.

    `how` "swallowed": neither passed on nor refused, forever; "dropped": the connection ends.
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
