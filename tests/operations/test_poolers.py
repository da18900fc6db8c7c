"""Poolers before production: in session mode everything works, in transaction mode it is refused with the place to go to."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from safemig.errors import UnfitDatabaseError
from safemig.execution.transaction import only_deployment
from safemig.postgres.connection import poolers
from safemig.postgres.connection.connect import connect
from safemig.postgres.server.throwaway import ThrowawayServer
from tests.operations.conftest import Shop, approval_of, pgbouncer

SECOND = "CREATE TABLE notes (id bigint PRIMARY KEY, body text); ALTER TABLE users ADD nick text;"


def test_a_session_pooler_takes_a_whole_deployment_and_its_rollback(
    shop: Shop, session_pooler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A limit of the role's must not end pg_dump, which cannot be given options here.
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", session_pooler)
    shop.write("20260102000000_second.sql", SECOND)
    shop.on(shop.staging, SECOND)
    checks = {check.name: check for check in shop.project.preflight().checks}
    assert (checks["direct connection"].state, checks["direct connection"].found) == ("ok", "a pooler in session mode")
    assert shop.deploy().verdict == "DEPLOYED"
    assert shop.project.backup_prod().rows > 1000
    shop.on(shop.production, "DELETE FROM orders WHERE id <= 10")
    run = lambda **more: shop.project.restore_prod(tables="orders", put_back=True, **more)  # noqa: E731
    assert run(approve=approval_of(run)).verdict == "PUT BACK"
    back = shop.project.rollback_prod(approve=approval_of(shop.project.rollback_prod))
    assert back.verdict == "ROLLED BACK"


def test_a_long_statement_through_a_session_pooler_is_not_taken_for_lost(
    session_pooler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safemig.postgres.connection import network_watchdog
    from safemig.postgres.connection.connect import connected

    monkeypatch.setattr(network_watchdog, "PATIENCE_SECONDS", 0.2)
    with connected(session_pooler, "production") as connection:
        assert poolers.server_pid(connection) != connection.info.backend_pid
        assert connection.execute("SELECT 'here' FROM pg_sleep(1.5)").fetchone() == ("here",)


@pytest.mark.parametrize("settings", ["", "server_round_robin = 1", "min_pool_size = 5"])
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_the_mode_is_told_by_what_it_does(shop: Shop, server: ThrowawayServer, mode: str, settings: str) -> None:
    with pgbouncer(server, mode, settings) as through:
        url = through(shop.production)
        busy = [psycopg.connect(url, autocommit=True, prepare_threshold=None) for _ in range(6)]
        over = threading.Event()

        def work(client: psycopg.Connection[tuple[object, ...]]) -> None:
            while not over.is_set():
                client.execute("SELECT pg_sleep(0.002)")
                time.sleep(0.003)

        threads = [threading.Thread(target=work, args=[client]) for client in busy]
        for thread in threads:
            thread.start()
        try:
            connection = connect(url, "production")
            assert poolers.mode_of(connection) == mode
            connection.close()
        finally:
            over.set()
            for thread in threads:
                thread.join()
            for client in busy:
                client.close()


def test_the_server_itself_is_told_without_a_second_session(shop: Shop) -> None:
    connection = connect(shop.production, "production")
    assert poolers.mode_of(connection) == "direct"
    assert not poolers.refuses_options(shop.production)
    connection.close()


def test_a_transaction_pooler_is_refused_with_the_place_to_go_to(pooler: str) -> None:
    with (
        pytest.raises(UnfitDatabaseError, match="transaction pooler") as caught,
        only_deployment(pooler, "production", "r"),
    ):
        pass
    assert "port 5432 on the server's own host" in str(caught.value.next)


class _Info:
    host, port = "", 5432


class _Connection:
    def __init__(self, host: str, port: int) -> None:
        self.info = _Info()
        self.info.host, self.info.port = host, port


@pytest.mark.parametrize(
    ("host", "port", "says"),
    [
        ("aws-0-eu-central-1.pooler.supabase.com", 6543, "aws-0-eu-central-1.pooler.supabase.com:5432"),
        ("db.abcdefgh.supabase.co", 6543, "db.abcdefgh.supabase.co:5432"),
        ("ep-cool-1-pooler.eu-central-1.aws.neon.tech", 5432, "ep-cool-1.eu-central-1.aws.neon.tech:5432"),
    ],
)
def test_a_platform_s_pooler_is_answered_by_the_platform_s_own_place(host: str, port: int, says: str) -> None:
    # Their hosts cannot be had here: only what is said of them.
    assert poolers.instead(_Connection(host, port)).startswith(says)  # type: ignore[arg-type]
