"""COMMITs that the network loses, before and after; a journal that cannot be written. All else is in test_every_fault."""

from __future__ import annotations

import contextlib
import socket

import psycopg
import pytest

from safemig.errors import DeploymentFailedError
from safemig.execution import commit
from tests.operations.conftest import Shop
from tests.operations.outages import Network

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
    with contextlib.closing(LosingTheCommit(shop.production, how, when)) as network:
        monkeypatch.setenv("PRODUCTION_DATABASE_URL", network.url)
        if when == "after":
            assert run.deploy().verdict == "DEPLOYED"
        else:
            with pytest.raises(DeploymentFailedError, match="did not commit: nothing was changed"):
                run.deploy()
        assert network.struck
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production)
    if when == "before":
        assert shop.state() == before
        assert shop.deploy().verdict == "DEPLOYED"
    assert _applied(shop) == FIRST_ONLY
    assert shop.on(shop.production, LOCKS_ON_USERS) == [(0,)]
    assert shop.project.migrate_prod().verdict == "NOTHING TO DEPLOY"


class LosingTheCommit(Network):
    """Loses the COMMIT, or (`when` "after") the answer to it, with all that follows.

    `how` "swallowed": neither passed on nor refused, forever; "dropped": the connection ends.
    """

    def __init__(self, url: str, how: str, when: str) -> None:
        self._how, self._when = how, when
        self._doomed: tuple[socket.socket, ...] = ()
        super().__init__(url)

    @property
    def struck(self) -> bool:
        """Whether a COMMIT came by."""
        return bool(self._doomed)

    def passes(self, source: socket.socket, sink: socket.socket, data: bytes) -> bool:
        """Let all through until the COMMIT, which comes from the client, by TCP."""
        if not self.struck and b"COMMIT\0" in data and source.family == socket.AF_INET:
            self._doomed = (source, sink)
            if self._when == "after":
                return True
        if source not in self._doomed:
            return True
        if self._how == "swallowed":
            self._swallowed |= set(self._doomed)
        else:
            for each in self._doomed:
                each.shutdown(socket.SHUT_RDWR)
        return False
