"""The swap: two databases exchange names in one transaction, while anyone who comes waits, and no one is let in between."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from safemig.errors import DeploymentFailedError, OutcomeUnknownError, UnreachableError
from safemig.execution.commit import MY_BACKEND, commit
from safemig.execution.holding import VANISHED_SECONDS
from safemig.fault_points import FaultPoint, pass_point
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect, words_of
from safemig.postgres.connection.network_watchdog import cut, guarded

# Which sessions of whom, but for autovacuum, which gives way by itself.
END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = ANY (%s) AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'
"""
DATABASE_EXISTS = "SELECT 1 FROM pg_database WHERE datname = %s"
_ATTEMPTS = 5
_SETTLE_SECONDS = 60.0


def elsewhere(conninfo: str, database: str) -> str:
    """Return the connection string to another database of the same server: one cannot be renamed from within."""
    other = "postgres" if database != "postgres" else "template1"
    return make_conninfo("", **{**conninfo_to_dict(conninfo), "dbname": other})


def swap(
    conninfo: str, environment: str, current: str, restored: str, kept_as: str, *, note: str, comment: str
) -> None:
    """Let the database `restored` take the name `current`; the one that had it is `kept_as` from then on.

    One transaction: whenever this process or the server ends, each has its old name, or each its new one. RENAME
    locks the database against new sessions, then waits up to 5 s for those that are there to leave; meanwhile a
    second connection ends them. `note` becomes the comment of the kept one, `comment` that of the new.

    Raises:
        DeploymentFailedError: sessions that we may not end hold it, or prepared transactions; nothing was changed.
        OutcomeUnknownError: the server went away at COMMIT and did not come back in time.
    """
    place = elsewhere(conninfo, current)
    for attempt in range(1, _ATTEMPTS + 1):
        connection = connect(place, environment, application_name="safemig swap")
        try:
            with (
                _nobody_stays(place, environment, [current, restored]) as refusals,
                guarded(connection, lambda: connect(place, environment, application_name="safemig watch")),
            ):
                pass_point(FaultPoint.SESSIONS_END)
                connection.execute("BEGIN")
                connection.execute("SET LOCAL lock_timeout = '10s'")
                # No one can connect to either database meanwhile; a client that vanishes is not waited for.
                connection.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{VANISHED_SECONDS}s'".encode())
                for old, new in ((current, kept_as), (restored, current)):
                    connection.execute(
                        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))
                    )
                pass_point(FaultPoint.RENAMED)
                comment_on(connection, kept_as, note)
                pass_point(FaultPoint.FORMER_MARKED)
                comment_on(connection, current, comment)
                backend = connection.execute(MY_BACKEND).fetchone()
            return _commit(connection, place, backend, environment, kept_as)
        except (psycopg.errors.ObjectInUse, psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            if attempt == _ATTEMPTS or refusals:
                raise _failed(error, refusals, current, restored) from None
        except psycopg.Error as error:
            raise _failed(error, [], current, restored) from None
        finally:
            connection.close()
    return None


def comment_on(connection: Connection, database: str, text: str) -> None:
    """Set a database's comment; none for ""."""
    connection.execute(
        sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database), sql.Literal(text or None))
    )


@contextlib.contextmanager
def _nobody_stays(place: str, environment: str, databases: list[str]) -> Iterator[list[str]]:
    """End the sessions of databases, again and again for the length of the block; gives what was refused."""
    refusals: list[str] = []
    over = threading.Event()
    connection = connect(place, environment, application_name="safemig swap sessions")

    def end() -> None:
        while not over.wait(0.05):
            try:
                connection.execute(END_SESSIONS, (databases,))
            except psycopg.Error as error:
                if not over.is_set():
                    refusals.append(words_of(error))
                return

    thread = threading.Thread(target=end, name="safemig swap", daemon=True)
    thread.start()
    try:
        yield refusals
    finally:
        over.set()
        thread.join(timeout=5)
        if thread.is_alive():  # the network swallows what it says
            cut(connection)
            thread.join()
        connection.close()


def _commit(
    connection: Connection, place: str, backend: tuple[Any, ...] | None, environment: str, kept_as: str
) -> None:
    pass_point(FaultPoint.SWAP_COMMIT_BEGINS)
    try:
        commit(connection, place, backend)
    except psycopg.OperationalError as lost:
        try:
            for trial in Retrying(stop=stop_after_delay(_SETTLE_SECONDS), wait=wait_random(0.2, 1.0), reraise=True,
                                  retry=retry_if_exception_type((UnreachableError, psycopg.OperationalError))):  # fmt: skip
                with trial:
                    swapped = database_exists(place, environment, kept_as)
        except (UnreachableError, psycopg.OperationalError):
            raise OutcomeUnknownError(
                "the connection was lost at the swap's COMMIT, and the server cannot be reached to check whether it was committed",
                where=f"it has happened exactly if there is a database {kept_as}",
                next=f"when the server answers again, look for it: psql -l; its name is {kept_as}",
            ) from None
        if not swapped:
            raise DeploymentFailedError(
                "the connection was lost at the swap's COMMIT, and the server did not commit: nothing was changed",
                where=words_of(lost),
                next="check that the server is healthy, then run the same command again",
            ) from None
    pass_point(FaultPoint.SWAP_COMMITTED)


def database_exists(place: str, environment: str, database: str) -> bool:
    """Tell whether the server that `place` leads to has a database of that name.

    Raises:
        UnreachableError: it cannot be asked.
    """
    connection = connect(place, environment)
    try:
        return connection.execute(DATABASE_EXISTS, (database,)).fetchone() is not None
    finally:
        connection.close()


def _failed(error: psycopg.Error, refusals: list[str], current: str, restored: str) -> DeploymentFailedError:
    words = f"the swap failed: {words_of(error)}" + (f"; {refusals[0]}" if refusals else "")
    return DeploymentFailedError(
        words,
        where=f"{current} is as it was; the restored one is {restored}",
        next="as a superuser, or with pg_signal_backend: end what holds it, then run the same command again",
    )
