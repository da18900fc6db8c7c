"""The protocol of every change to a database: one deployer, bounded lock waits, validation before COMMIT, its outcome settled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg
from psycopg import errors as pg
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from safemig import live
from safemig.errors import DeploymentFailedError, RefusedError, UnreachableError
from safemig.operations.bookkeeping import Run
from safemig.operations.execution import Listener, run_steps
from safemig.operations.outcome import commit, settle
from safemig.operations.watching import watched
from safemig.postgres import activity
from safemig.postgres.connect import Connection, connect, require_primary, set_session, words_of
from safemig.results import Step
from safemig.settings import Settings

TRY_LOCK = "SELECT pg_try_advisory_lock(%s)"
CURRENT_TRANSACTION = "SELECT pg_current_xact_id()::text"
ASSIGNED_TRANSACTION = "SELECT pg_current_xact_id_if_assigned()::text"
WHERE_IN_THE_LOG = "SELECT pg_current_wal_lsn()::text"
MY_BACKEND = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
WHO_BLOCKS = """
SELECT a.pid, a.usename, a.state, coalesce(extract(epoch FROM clock_timestamp() - a.xact_start)::int, 0)
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.pid <> pg_backend_pid() AND format('%%I.%%I', c.relnamespace::regnamespace, c.relname) = ANY (%s)
ORDER BY a.xact_start LIMIT 3
"""

# What may be tried again as a whole: nothing of a failed transaction stays.
_RETRIED = (pg.LockNotAvailable, pg.DeadlockDetected, pg.SerializationFailure)


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction that was committed: its steps as they ran, its id, and where its commit stands in the WAL."""

    steps: tuple[Step, ...]
    transaction_id: str
    commit_lsn: str


@contextmanager
def only_deployment(conninfo: str, environment: str, run_id: str) -> Iterator[None]:
    """Be the only deployment on this database for the length of the block.

    The lock is held by a connection of its own and tried, not waited for: a session waiting in pg_advisory_lock()
    has a snapshot, and CREATE INDEX CONCURRENTLY would wait for it for ever.

    Raises:
        RefusedError: another one is under way; the message says who and since when.
    """
    connection = connect(conninfo, environment, application_name=f"safemig {run_id} lock")
    try:
        require_primary(connection, environment)
        row = connection.execute(TRY_LOCK, (activity.DEPLOYMENT_LOCK,)).fetchone()
        if not (row and row[0]):
            holders = activity.ask(connection, activity.WHO_HOLDS_DEPLOYMENT_LOCK, activity.DEPLOYMENT_LOCK)
            who = ", ".join(
                f"pid {pid} {name} ({user}) since {since:%Y-%m-%dT%H:%M:%SZ}" for pid, name, user, since in holders
            )
            raise RefusedError(
                f"another deployment is under way on {environment}",
                where=who or "it has just ended",
                next="try again when it has ended",
            )
        yield
    finally:
        connection.close()


@contextmanager
def deploying_connection(settings: Settings, conninfo: str, environment: str, run_id: str) -> Iterator[Connection]:
    """Open a connection that may change the database, with every limit set by us.

    Raises:
        UnreachableError: not reachable, a standby, or behind a transaction pooler.
    """
    connection = connect(conninfo, environment, application_name=f"safemig {run_id}")
    try:
        require_primary(connection, environment)
        if activity.is_pooled(connection):
            raise UnreachableError(
                f"{environment} is behind a transaction pooler, where session settings and locks get lost or leak",
                where=environment,
                next="use the server's own URL, not the pooler's",
            )
        limits: dict[str, str | int] = {
            "lock_timeout": f"{settings.lock_timeout_ms}ms",
            "statement_timeout": f"{settings.statement_timeout_s}s",
            "idle_in_transaction_session_timeout": "10min",
        }
        if connection.info.server_version >= 140000:
            # Without it a killed client's statement runs on, with its locks, until it ends by itself.
            limits["client_connection_check_interval"] = "1s"
        set_session(connection, **limits)
        yield connection
    finally:
        connection.close()


def commit_steps(
    run: Run,
    connection: Connection,
    conninfo: str,
    steps: Sequence[Step],
    *,
    part: str = "",
    validate: Callable[[Connection], None],
    record: Callable[[Connection, Sequence[Step]], None],
    listen: Listener | None = None,
) -> Committed:
    """Run steps in one transaction, validate, record, COMMIT. All of it, or nothing.

    A lock that is not had within `lock_timeout_ms` ends the attempt, so that nobody queues behind us for longer;
    the whole transaction is tried again after a pause, `lock_attempts` times.

    Raises:
        DeploymentFailedError: a statement or the validation failed; it was rolled back, nothing was changed.
        OutcomeUnknownError: the server went away at COMMIT and did not come back in time.
    """
    settings = run.settings
    trial = _Trial(run, connection, steps, validate, record, listen)
    try:
        retrying = Retrying(
            retry=retry_if_exception_type(_RETRIED),
            stop=stop_after_attempt(settings.lock_attempts),
            wait=wait_random(0.05, 0.05 + 10 * settings.lock_timeout_ms / 1000),
        )
        live.planned(steps)
        with watched(conninfo, run.environment, connection):
            done, transaction_id = retrying(trial.attempt)
    except RetryError as error:
        last = error.last_attempt.exception()
        assert isinstance(last, psycopg.Error)  # noqa: S101 - only these are retried
        raise _failed(connection, steps, trial.running, last, settings.lock_attempts) from None
    except psycopg.Error as error:
        raise _failed(connection, steps, trial.running, error, 1) from None
    except KeyboardInterrupt:
        # psycopg has cancelled the statement, and the attempt has rolled back.
        raise DeploymentFailedError(
            "interrupted",
            where=f"{_place(steps, trial.running)}; rolled back, nothing was changed",
            next="deploy again when you are ready",
        ) from None
    backend = connection.execute(MY_BACKEND).fetchone()
    run.note("committing", transaction=transaction_id, part=part)
    try:
        commit(connection, conninfo, backend)
    except psycopg.OperationalError as error:
        settle(conninfo, run.id_of(part), transaction_id, backend, error)
        lsn = ""
    except psycopg.Error as error:  # a deferred constraint, checked at COMMIT
        raise _failed(connection, steps, trial.running, error, 1) from None
    else:
        row = connection.execute(WHERE_IN_THE_LOG).fetchone()
        lsn = str(row[0]) if row else ""
    run.note("committed", transaction=transaction_id, part=part)
    return Committed(done, transaction_id, lsn)


class _Trial:
    """The transaction up to its COMMIT, as often as it is tried."""

    def __init__(
        self,
        run: Run,
        connection: Connection,
        steps: Sequence[Step],
        validate: Callable[[Connection], None],
        record: Callable[[Connection, Sequence[Step]], None],
        listen: Listener | None,
    ) -> None:
        self.running: list[Step] = []
        self._run = run
        self._connection = connection
        self._steps = steps
        self._validate = validate
        self._record = record
        self._listen = listen
        self._waited = [0.0] * len(steps)
        self._attempts = [0] * len(steps)

    def attempt(self) -> tuple[tuple[Step, ...], str]:
        """Go once from BEGIN to just before COMMIT; after an error, nothing of it stays."""
        self.running.clear()
        connection = self._connection
        connection.execute("BEGIN")
        try:
            row = connection.execute(CURRENT_TRANSACTION).fetchone()
            transaction_id = str(row[0]) if row else ""
            for position, step in enumerate(self._steps):
                self._step(position, step)
            _require_same_transaction(connection, transaction_id)
            self._validate(connection)
            self._record(connection, self.running)
        except BaseException:
            _rollback(connection)
            raise
        return tuple(self.running), transaction_id

    def _step(self, position: int, step: Step) -> None:
        begun = time.monotonic()
        self._attempts[position] += 1
        self._run.note("step", number=step.number, state="running", attempt=self._attempts[position])
        step = replace(step, attempts=self._attempts[position] - 1, lock_wait_s=self._waited[position])
        try:
            (done,) = run_steps(self._connection, [step])
        except _RETRIED:
            self._waited[position] += time.monotonic() - begun
            live.became(
                replace(step, state="waiting", attempts=self._attempts[position], lock_wait_s=self._waited[position])
            )
            raise
        self.running.append(done)
        self._run.note("step", number=step.number, state="ran")
        if self._listen:
            self._listen(done)


def _require_same_transaction(connection: Connection, transaction_id: str) -> None:
    row = connection.execute(ASSIGNED_TRANSACTION).fetchone()
    if not row or row[0] != transaction_id:
        raise DeploymentFailedError(
            "the migration ended safemig's transaction and began another one",
            where=f"transaction {transaction_id} became {row[0] if row else 'none'}",
            next="look for a COMMIT or ROLLBACK in a procedure that it calls; see safemig status for what is applied",
        )


def _rollback(connection: Connection) -> None:
    if not connection.closed and connection.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
        try:
            connection.execute("ROLLBACK")
        except psycopg.OperationalError:
            connection.close()  # the server rolls back by itself


def _failed(
    connection: Connection, steps: Sequence[Step], ran: Sequence[Step], error: psycopg.Error, attempts: int
) -> DeploymentFailedError:
    failing = steps[len(ran)] if len(ran) < len(steps) else None
    what = words_of(error)
    if isinstance(error, pg.LockNotAvailable):
        what = f"a lock was not to be had in {attempts} attempts: {what}{_blockers(connection, failing)}"
    return DeploymentFailedError(
        what,
        where=f"{_place(steps, ran)}; rolled back, nothing was changed",
        next="end what blocks it, or deploy at a quieter hour"
        if attempts > 1
        else "correct the migration, then deploy again",
    )


def _place(steps: Sequence[Step], ran: Sequence[Step]) -> str:
    if len(ran) == len(steps):
        return "at COMMIT"
    failing = steps[len(ran)]
    return f"step {failing.number}, {failing.file}, line {failing.line}: {failing.kind}"


def _blockers(connection: Connection, step: Step | None) -> str:
    if step is None or connection.closed:
        return ""
    from safemig.sql import parse

    tables = [name if "." in name else f"public.{name}" for statement in parse(step.sql) for name in statement.tables]
    rows = connection.execute(WHO_BLOCKS, (tables,)).fetchall()
    return "".join(f"; pid {pid} {user}, {state} for {age:,} s, holds locks there" for pid, user, state, age in rows)
