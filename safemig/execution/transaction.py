"""The protocol of every change to a database: one deployer, bounded lock waits, validation before COMMIT, its outcome settled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg import errors as pg
from tenacity import RetryCallState, RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from safemig import live
from safemig.errors import DeploymentFailedError, RefusedError, UnfitDatabaseError
from safemig.execution.acting import act_as, be_ourselves
from safemig.execution.commit import MY_BACKEND, commit, settle
from safemig.execution.holding import VANISHED, VANISHED_SECONDS, begin_holding, longest_of
from safemig.execution.lock_watch import watched
from safemig.execution.run import Run
from safemig.execution.steps import Listener, run_steps
from safemig.fault_points import FaultPoint, pass_point
from safemig.postgres import activity
from safemig.postgres.connection import Connection, poolers
from safemig.postgres.connection.connect import connect, is_pooled, require_primary, set_session, words_of
from safemig.postgres.connection.network_watchdog import guarded
from safemig.postgres.connection.search_path import catalog_first, own_search_path
from safemig.results import Step
from safemig.schema import Schema
from safemig.settings import Settings
from safemig.sql import parse
from safemig.sql.locks import LockMode

TRY_LOCK = "SELECT pg_try_advisory_lock(%(key)s)"
UNLOCK = "SELECT pg_advisory_unlock(%(key)s)"
# Of a fleet's member that is a schema: beside other members, and never beside a deployment to the whole database. The
# first lock is not given back when the second is refused: the session, which ends then, has it.
TRY_SCHEMA_LOCK = """
SELECT pg_try_advisory_lock_shared(%(key)s) AND pg_try_advisory_lock(hashtextextended('safemig ' || %(schema)s, 0))
"""
UNLOCK_SCHEMA = """
SELECT pg_advisory_unlock(hashtextextended('safemig ' || %(schema)s, 0)), pg_advisory_unlock_all()
"""
# And what comes after the project's statements finds PostgreSQL's own names first.
ASSIGNED_TRANSACTION = """
SELECT pg_catalog.pg_current_xact_id_if_assigned()::text, pg_catalog.set_config('search_path', %s, true)
"""
WHERE_IN_THE_LOG = "SELECT pg_current_wal_lsn()::text"
WHO_BLOCKS = """
SELECT a.pid, a.usename, a.state, coalesce(extract(epoch FROM clock_timestamp() - a.xact_start)::int, 0)
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.pid <> pg_backend_pid() AND format('%%I.%%I', c.relnamespace::regnamespace, c.relname) = ANY (%s)
ORDER BY a.xact_start LIMIT 3
"""

_LONGEST_PAUSE_SECONDS = 5.0
_JUST_ENDED_SECONDS = 2.0  # a holder whose session ends is gone from the list before its lock is free

# What may be tried again as a whole: nothing of a failed transaction stays.
_RETRIED = (pg.LockNotAvailable, pg.DeadlockDetected, pg.SerializationFailure)


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction that was committed: its steps as they ran, its id, and where its commit stands in the WAL."""

    steps: tuple[Step, ...]
    transaction_id: str
    commit_lsn: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is done in one transaction: its steps, what it must lead to, and what is written of it before COMMIT."""

    steps: Sequence[Step]
    validate: Callable[[Connection], Schema]
    record: Callable[[Connection, Sequence[Step], Schema], None]
    part: str = ""  # of a run of several transactions
    locks: Mapping[str, LockMode] = field(default_factory=dict)  # by table: taken before the first step
    role: str = ""  # under which the steps run; we validate and record as ourselves
    rehearsed_s: float | None = None  # how long the steps took on the copy
    listen: Listener | None = None


@contextmanager
def only_deployment(conninfo: str, environment: str, run_id: str, schema: str = "") -> Iterator[None]:
    """Be the only deployment on this database for the length of the block; with `schema`, the only one on that schema.

    The lock is held by a connection of its own and tried, not waited for: a session waiting in pg_advisory_lock()
    has a snapshot, and CREATE INDEX CONCURRENTLY would wait for it forever.

    Raises:
        RefusedError: another one is under way; the message says who and since when.
    """
    connection = connect(conninfo, environment, application_name=f"safemig {run_id} lock")
    try:
        require_primary(connection, environment)
        _require_direct(connection, environment)
        deadline = time.monotonic() + _JUST_ENDED_SECONDS
        try_lock, unlock = (TRY_SCHEMA_LOCK, UNLOCK_SCHEMA) if schema else (TRY_LOCK, UNLOCK)
        key = {"key": activity.DEPLOYMENT_LOCK, "schema": schema}
        while not connection.execute(try_lock, key).fetchone()[0]:  # type: ignore[index]
            who = activity.who_deploys(connection)
            if who or time.monotonic() > deadline:
                raise RefusedError(
                    f"another deployment is under way on {environment}",
                    where=who or "holder unknown",
                    next="try again when it has ended",
                )
            time.sleep(0.05)
        with _guarded(connection, conninfo, environment):
            try:
                yield
            finally:
                # Not left to the end of the session, which the server notices a moment later.
                with suppress(psycopg.Error):
                    connection.execute(unlock, key)
    finally:
        connection.close()


@contextmanager
def deploying_connection(settings: Settings, conninfo: str, environment: str, run_id: str) -> Iterator[Connection]:
    """Open a connection that may change the database, with every limit set by us.

    Raises:
        UnreachableError: not reachable.
        UnfitDatabaseError: a standby, or behind a transaction pooler.
    """
    connection = connect(conninfo, environment, application_name=f"safemig {run_id}")
    try:
        require_primary(connection, environment)
        _require_direct(connection, environment)
        limits: dict[str, str | int] = {
            "lock_timeout": f"{settings.lock_timeout_ms}ms",
            "statement_timeout": f"{settings.statement_timeout_s}s",
            "idle_in_transaction_session_timeout": f"{VANISHED_SECONDS}s",
        }
        if connection.info.server_version >= 140000:
            # Without it a killed client's statement runs on, with its locks, until it ends by itself.
            limits["client_connection_check_interval"] = "1s"
        set_session(connection, **limits)
        with _guarded(connection, conninfo, environment):
            yield connection
    finally:
        connection.close()


def _require_direct(connection: Connection, environment: str) -> None:
    if is_pooled(connection):
        raise UnfitDatabaseError(
            f"{environment} is behind a transaction pooler, where session settings and locks get lost or leak",
            where=environment,
            next=f"connect to {poolers.instead(connection)}",
        )


def _guarded(connection: Connection, conninfo: str, environment: str) -> AbstractContextManager[None]:
    return guarded(connection, lambda: connect(conninfo, environment, application_name="safemig watch"))


def commit_steps(run: Run, connection: Connection, conninfo: str, transaction: Transaction) -> Committed:
    """Run steps in one transaction, validate, record, COMMIT. All of it, or nothing.

    A lock that is not had within `lock_timeout_ms` ends the attempt, so that no one queues behind us for longer;
    the whole transaction is tried again after a pause, `lock_attempts` times. Its locks on tables are taken before the
    first step, all within that time: else who holds the second table makes everyone wait for the first.

    A client that vanishes in the middle (see `holding`) has its transaction ended by the server after seconds.

    Raises:
        DeploymentFailedError: a statement or the validation failed; it was rolled back, nothing was changed.
        OutcomeUnknownError: the server went away at COMMIT and did not come back in time.
    """
    settings = run.settings
    trial = _Trial(run, connection, transaction)
    try:
        trial.set_limits()
        retrying = Retrying(
            retry=retry_if_exception_type(_RETRIED),
            stop=stop_after_attempt(settings.lock_attempts),
            wait=wait_random(0.05, 0.05 + min(_LONGEST_PAUSE_SECONDS, 10 * settings.lock_timeout_ms / 1000)),
            before_sleep=trial.note_wait,
        )
        live.planned(transaction.steps)
        backend = connection.execute(MY_BACKEND).fetchone()
        with watched(conninfo, run.environment, connection):
            done, transaction_id = retrying(trial.attempt)
    except RetryError as error:
        last = error.last_attempt.exception()
        assert isinstance(last, psycopg.Error)  # noqa: S101 - only these are retried
        raise _failed(trial.failing_step, last, settings.lock_attempts, trial.blockers()) from None
    except psycopg.Error as error:
        raise _failed(trial.failing_step, error, 1) from None
    except KeyboardInterrupt:
        # psycopg has cancelled the statement, and the attempt has rolled back.
        raise DeploymentFailedError(
            "interrupted",
            where=f"{_place(trial.failing_step)}; rolled back, nothing was changed",
            next="deploy again when you are ready",
        ) from None
    lsn = _commit(run, connection, conninfo, transaction.part, transaction_id, backend)
    return Committed(done, transaction_id, lsn)


def _commit(
    run: Run, connection: Connection, conninfo: str, part: str, transaction_id: str, backend: tuple[Any, ...] | None
) -> str:
    """COMMIT, learn what happened where the answer is lost, and return its place in the WAL, "" where it is not known."""
    run.note("committing", transaction=transaction_id, part=part)
    try:
        pass_point(FaultPoint.COMMIT_BEGINS)
        commit(connection, conninfo, backend)
        pass_point(FaultPoint.COMMITTED)
    except psycopg.OperationalError as error:
        settle(conninfo, run.id_of(part), transaction_id, backend, error)
        lsn = ""
    except psycopg.Error as error:  # a deferred constraint, checked at COMMIT
        raise _failed(None, error, 1) from None
    else:
        try:
            row = connection.execute(WHERE_IN_THE_LOG).fetchone()
            lsn = str(row[0]) if row else ""
        except psycopg.Error as error:  # lost after the COMMIT, which a failover may have lost as well
            settle(conninfo, run.id_of(part), transaction_id, backend, error)
            lsn = ""
    run.note_what_is_done("committed", transaction=transaction_id, part=part)
    pass_point(FaultPoint.COMMIT_NOTED)
    return lsn


class _Trial:
    """The transaction up to its COMMIT, as often as it is tried."""

    def __init__(self, run: Run, connection: Connection, transaction: Transaction) -> None:
        self.running: list[Step] = []
        self.failing = 0  # the position of the step that runs, or whose lock is waited for
        self._wanted: list[str] = []  # the tables whose locks are asked for
        self._run = run
        self._connection = connection
        self._transaction = transaction
        self._steps = transaction.steps
        self._locks = transaction.locks
        self._search_path = ""  # the role's own
        self._longest_s: float | None = None
        self._waited = [0.0] * len(transaction.steps)
        self._attempts = [0] * len(transaction.steps)

    def set_limits(self) -> None:
        """Set what each attempt begins with: the role's search path, and how long the transaction may take."""
        self._search_path = own_search_path(self._connection)
        self._longest_s = longest_of(self._connection, self._transaction.rehearsed_s, self._steps)

    def attempt(self) -> tuple[tuple[Step, ...], str]:
        """Go once from BEGIN to just before COMMIT; after an error, nothing of it stays."""
        self.running.clear()
        connection = self._connection
        connection.execute("BEGIN")
        try:
            transaction_id = begin_holding(connection, search_path=self._search_path, longest_s=self._longest_s)
            act_as(connection, self._transaction.role)
            self._lock()
            for position, step in enumerate(self._steps):
                self._step(position, step)
            self.failing = len(self._steps)
            _require_same_transaction(connection, transaction_id, catalog_first(self._search_path))
            be_ourselves(connection)
            self._transaction.record(connection, self.running, self._transaction.validate(connection))
        except BaseException:
            _rollback(connection)
            raise
        return tuple(self.running), transaction_id

    @property
    def failing_step(self) -> Step | None:
        """The step at which it failed; None where all of them ran."""
        return self._steps[self.failing] if self.failing < len(self._steps) else None

    def blockers(self) -> tuple[str, ...]:
        """Return who holds locks on the tables that were asked for last."""
        rows = [] if self._connection.closed else self._connection.execute(WHO_BLOCKS, (self._wanted,)).fetchall()
        return tuple(f"pid {pid} {user}, {state} for {age:,} s, holds locks there" for pid, user, state, age in rows)

    def _lock(self) -> None:
        pass_point(FaultPoint.LOCKS_BEGIN)
        if not self._locks:
            return
        begun = time.monotonic()
        settings = self._run.settings
        try:
            # The strongest first, then by name: anyone who else does so too cannot meet us in a deadlock.
            for mode in sorted(set(self._locks.values()), key=lambda mode: -mode.strength):
                # lock_timeout is for each lock by itself; this is for all of them.
                left_ms = settings.lock_timeout_ms - 1000 * (time.monotonic() - begun)
                set_session(self._connection, statement_timeout=f"{max(1, round(left_ms))}ms")
                tables = ", ".join(sorted(f"ONLY {table}" for table, of in self._locks.items() if of is mode))
                self._connection.execute(f"LOCK TABLE {tables} IN {mode.value} MODE".encode())
            set_session(self._connection, statement_timeout=f"{settings.statement_timeout_s}s")
        except (*_RETRIED, pg.QueryCanceled) as error:
            wanting = [number for number, step in enumerate(self._steps) if self._locks.keys() & set(_tables_of(step))]
            self.failing, self._wanted = wanting[0] if wanting else 0, list(self._locks)
            for number in wanting:
                self._attempts[number] += 1
                self._waited[number] += time.monotonic() - begun
            raise pg.LockNotAvailable("canceling statement due to lock timeout") from error

    def note_wait(self, state: RetryCallState) -> None:
        """Note who stands in the way, before the pause between two attempts."""
        step = self.failing_step
        number = step.number if step else 0
        self._run.note("waiting", attempt=state.attempt_number, step=number, blockers=self.blockers())

    def _step(self, position: int, step: Step) -> None:
        begun = time.monotonic()
        self.failing, self._wanted = position, _tables_of(step)
        self._attempts[position] += 1
        self._run.note("step", number=step.number, state="running", attempt=self._attempts[position])
        step = replace(step, attempts=self._attempts[position] - 1, lock_wait_s=self._waited[position])
        try:
            pass_point(FaultPoint.STATEMENT_BEGINS)
            (done,) = run_steps(self._connection, [step])
        except _RETRIED:
            self._waited[position] += time.monotonic() - begun
            live.became(
                replace(step, state="waiting", attempts=self._attempts[position], lock_wait_s=self._waited[position])
            )
            raise
        self.running.append(done)
        self._run.note("step", number=step.number, state="ran")
        if self._transaction.listen:
            self._transaction.listen(done)


def _require_same_transaction(connection: Connection, transaction_id: str, search_path: str) -> None:
    row = connection.execute(ASSIGNED_TRANSACTION, (search_path,)).fetchone()
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
    failing: Step | None, error: psycopg.Error, attempts: int, blockers: Sequence[str] = ()
) -> DeploymentFailedError:
    what = words_of(error)
    if isinstance(error, pg.LockNotAvailable):
        what = f"could not acquire a lock after {attempts} attempts: {what}" + "".join(f"; {each}" for each in blockers)
    if isinstance(error, VANISHED):
        return DeploymentFailedError(
            f"the server ended the transaction because this process was silent for too long: {what}",
            where=f"{_place(failing)}; rolled back, nothing was changed; limit {VANISHED_SECONDS} s while locks are held",
            next="keep this machine awake (run it on a server or in CI), then deploy again",
        )
    return DeploymentFailedError(
        what,
        where=f"{_place(failing)}; rolled back, nothing was changed",
        next="end what blocks it, or deploy off-peak" if attempts > 1 else "correct the migration, then deploy again",
    )


def _place(failing: Step | None) -> str:
    if failing is None:
        return "at COMMIT"
    return f"step {failing.number}, {failing.file}, line {failing.line}: {failing.kind}"


def _tables_of(step: Step) -> list[str]:
    return [name if "." in name else f"public.{name}" for statement in parse(step.sql) for name in statement.tables]
