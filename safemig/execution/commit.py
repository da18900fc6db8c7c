"""COMMIT, and what happened to it: watched while it runs, and learned from the server where its answer was lost."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from safemig.errors import (
    DeploymentFailedError,
    DeploymentStoppedError,
    OutcomeUnknownError,
    SafemigError,
    UnreachableError,
    words_of_fault,
)
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect, connected, words_of
from safemig.postgres.connection.network_watchdog import cut
from safemig.postgres.history import deployment_exists

WHAT_BECAME_OF = "SELECT pg_xact_status(%s::text::xid8)"
END_BACKEND = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"
MY_BACKEND = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
IS_ACTIVE = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND backend_start = %s AND state = 'active'"
_SETTLE_SECONDS = 60.0
_COMMIT_PATIENCE_SECONDS = 5.0


def commit(connection: Connection, conninfo: str, backend: tuple[Any, ...] | None) -> None:
    """COMMIT, watched: where the network swallows it, the client would wait forever while the locks are held.

    Raises:
        psycopg.OperationalError: the connection is lost; whether the COMMIT happened is not known from here.
    """
    outcome: list[BaseException] = []

    def send() -> None:
        try:
            connection.execute("COMMIT")
        except psycopg.Error as error:
            outcome.append(error)

    worker = threading.Thread(target=send, name="safemig COMMIT", daemon=True)
    worker.start()
    while worker.is_alive():
        with contextlib.suppress(KeyboardInterrupt):  # too late: COMMIT is on its way, and its answer must be heard
            worker.join(_COMMIT_PATIENCE_SECONDS)
        # Slow is no reason: a COMMIT may wait for a synchronous replica, or check deferred constraints.
        if worker.is_alive() and not _is_committing(conninfo, backend):
            cut(connection)
            worker.join(_COMMIT_PATIENCE_SECONDS)
            raise psycopg.OperationalError("COMMIT was sent, but the server did not answer")
    if outcome:
        raise outcome[0]


@contextmanager
def reconnected(connection: Connection | None, conninfo: str, backend: tuple[Any, ...] | None) -> Iterator[Connection]:
    """Give the connection, or, where it was lost, a new one from which the old session has been seen to end.

    Raises:
        UnreachableError: there is none to be had in time.
    """
    if connection is not None and not connection.closed:
        yield connection
        return
    for trial in Retrying(stop=stop_after_delay(_SETTLE_SECONDS), wait=wait_random(0.2, 1.0), reraise=True,
                          retry=retry_if_exception_type((UnreachableError, psycopg.OperationalError))):  # fmt: skip
        with trial:
            alive = connect(conninfo, "the database")
            if backend and alive.execute(END_BACKEND, backend).fetchone():
                alive.close()
                raise UnreachableError("the old session is still open")
    try:
        yield alive
    finally:
        alive.close()


def _is_committing(conninfo: str, backend: tuple[Any, ...] | None) -> bool:
    try:
        watch = connect(conninfo, "the database", application_name="safemig watch")
    except UnreachableError:
        return False
    try:
        return watch.execute(IS_ACTIVE, backend).fetchone() is not None
    except psycopg.OperationalError:
        return False
    finally:
        watch.close()


def settle(
    conninfo: str, run_id: str, transaction_id: str, backend: tuple[Any, ...] | None, lost: psycopg.Error
) -> None:
    """Learn what happened to a COMMIT whose answer was lost: return if it was committed.

    The error of a commit that happened and of one that did not is the same, so the server is asked: the old
    session is ended if it still lives, and once its transaction is over, our own row, which is of that transaction,
    decides. `pg_xact_status` alone would not do: after a failover the same number may be another transaction's.

    Raises:
        DeploymentFailedError: it was not committed.
        OutcomeUnknownError: the server could not be asked in time.
    """
    try:
        for trial in Retrying(stop=stop_after_delay(_SETTLE_SECONDS), wait=wait_random(0.2, 1.0), reraise=True,
                              retry=retry_if_exception_type((UnreachableError, psycopg.OperationalError))):  # fmt: skip
            with trial:
                status = _status_of(conninfo, run_id, transaction_id, backend)
    except (UnreachableError, psycopg.OperationalError):
        raise OutcomeUnknownError(
            "the connection was lost at COMMIT, and the server cannot be reached to check whether it was committed",
            where=f"run {run_id}, transaction {transaction_id}",
            next=f"when the server answers again: SELECT pg_xact_status('{transaction_id}'); or safemig status",
        ) from None
    if status == "committed":
        return
    raise DeploymentFailedError(
        "the connection was lost at COMMIT, and the server did not commit: nothing was changed",
        where=words_of(lost),
        next="check that the server is healthy, then deploy again",
    )


def _status_of(conninfo: str, run_id: str, transaction_id: str, backend: tuple[Any, ...] | None) -> str:
    connection = connect(conninfo, "the database")
    try:
        if backend:
            connection.execute(END_BACKEND, backend)
            time.sleep(0.2)
        try:
            row = connection.execute(WHAT_BECAME_OF, (transaction_id,)).fetchone()
            status = row[0] if row else None
        except psycopg.errors.InvalidParameterValue:
            # "in the future": a crash (synchronous_commit = off) or a failover has taken the server back before it.
            status = None
        if deployment_exists(connection, run_id):
            return "committed"
        if status == "in progress":
            raise UnreachableError("the old session is still open")
        return "aborted"
    finally:
        connection.close()


@contextmanager
def told_when_interrupted(conninfo: str, environment: str, run_id: str, did: str, where: str) -> Iterator[None]:
    """Say what is true where an interrupt, or a fault, comes at a run's COMMIT or after it: the server is asked.

    Raises:
        KeyboardInterrupt: it came, and nothing is done. A fault that came so is raised as it was, too.
        DeploymentStoppedError: it came when what `did` says was done.
        OutcomeUnknownError: it came, and the server cannot be asked.
    """
    try:
        yield
    except SafemigError:
        raise  # who raised it knew what is done
    except (Exception, KeyboardInterrupt) as fault:
        words = words_of_fault(fault)
        try:
            with connected(conninfo, environment) as connection:
                is_done = deployment_exists(connection, run_id)
        except (UnreachableError, psycopg.Error):
            raise OutcomeUnknownError(
                f"{words}, and the server cannot be reached to check whether it completed",
                where=f"run {run_id}",
                next="safemig status, when the server answers again",
            ) from None
        if not is_done:
            raise
        raise DeploymentStoppedError(
            f"{did}, but not validated: {words}", where=where, next="safemig status"
        ) from fault
