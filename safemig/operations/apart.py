"""Statements that refuse a transaction, one by one: CREATE INDEX CONCURRENTLY and its like."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psycopg

from safemig import live
from safemig.errors import DeploymentFailedError, DeploymentStoppedError
from safemig.operations.batches import Keeping
from safemig.operations.bookkeeping import Run
from safemig.operations.execution import Listener, Segment, run_steps
from safemig.operations.watching import watched
from safemig.postgres import activity
from safemig.postgres.connect import Connection, set_session, words_of
from safemig.results import Step

_REMOVAL_LOCK_TIMEOUT = "5s"
_NOTE_EVERY_SECONDS = 1.0


def run_apart(
    run: Run, connection: Connection, conninfo: str, segment: Segment, listen: Listener | None = None
) -> tuple[Step, ...]:
    """Run statements that refuse a transaction, one by one. An index that a failure left invalid is removed.

    Raises:
        DeploymentFailedError: the first one failed; nothing was changed.
        DeploymentStoppedError: a later one failed; those before it stay, and running them again changes nothing
            where they say IF NOT EXISTS.
    """
    done: list[Step] = []
    came_to: list[str] = []
    live.planned(segment.steps)
    try:
        for planned in segment.steps:
            run.note("step", number=planned.number, state="running", attempt=1)
            # CREATE INDEX CONCURRENTLY waits for others' transactions without blocking them; a short limit would only
            # leave an invalid index behind. A batch is a transaction like any other.
            set_session(connection, lock_timeout=f"{run.settings.lock_timeout_ms}ms" if planned.batches else 0)
            came_to.clear()
            with watched(conninfo, run.environment, connection):
                (step,) = run_steps(connection, [planned], listen=listen, keeping=_keeping(run, planned, came_to))
            done.append(step)
            _require_valid_indexes(connection, step)
            run.note("step", number=step.number, state="ran")
    except KeyboardInterrupt:
        failing = segment.steps[len(done)]
        raise _ended_early(
            "interrupted", connection, failing, done, came_to, "deploy again when you are ready"
        ) from None
    except psycopg.Error as error:
        failing = segment.steps[len(done)]
        raise _ended_early(
            words_of(error), connection, failing, done, came_to, "correct the cause, then deploy again"
        ) from None
    finally:
        if not connection.closed:
            set_session(connection, lock_timeout=f"{run.settings.lock_timeout_ms}ms")
    return tuple(done)


def _ended_early(
    what: str, connection: Connection, failing: Step, done: Sequence[Step], came_to: Sequence[str], next_step: str
) -> DeploymentStoppedError | DeploymentFailedError:
    removed, left = _remove_invalid_indexes(connection, failing)
    # What ran before it stays: only where nothing did is it true that nothing was changed.
    return (DeploymentStoppedError if done or came_to else DeploymentFailedError)(
        what,
        where=f"step {failing.number}, {failing.file}, line {failing.line}: {failing.kind}"
        + (f"; the invalid {', '.join(removed)} was removed" if removed else "")
        + "".join(f"; when those who hold it have ended: DROP INDEX CONCURRENTLY {name}" for name in left)
        + (f"; done {came_to[-1]}" if came_to else "")
        + (f"; applied: step {', '.join(str(step.number) for step in done)}" if done else ""),
        next=next_step + (": it goes on there" if came_to else ""),
    )


def _keeping(run: Run, step: Step, came_to: list[str]) -> Keeping:
    noted = 0.0

    def note(key: str, rows: int) -> None:
        nonlocal noted
        came_to[:] = [f"up to key {key}, {rows:,} rows"]
        if time.monotonic() - noted > _NOTE_EVERY_SECONDS:
            run.note("step", number=step.number, state="running", key=key, rows=rows)
            noted = time.monotonic()

    return Keeping(run.run_id, run.settings.lock_attempts, note)


def _invalid_indexes_of(connection: Connection, step: Step) -> list[str]:
    names = [name for (name,) in activity.ask(connection, activity.INVALID_INDEXES)]
    return [name for name in names if name.rpartition(".")[2].strip('"') in step.sql]


def _require_valid_indexes(connection: Connection, step: Step) -> None:
    # CREATE INDEX CONCURRENTLY IF NOT EXISTS says yes to an invalid index of that name, which enforces nothing.
    if invalid := _invalid_indexes_of(connection, step):
        raise DeploymentFailedError(
            f"an invalid index of that name was there already: {', '.join(invalid)}",
            where=f"step {step.number}, {step.file}, line {step.line}: {step.kind}",
            next=f"DROP INDEX CONCURRENTLY {invalid[0]}; then deploy again",
        )


def _remove_invalid_indexes(connection: Connection, step: Step) -> tuple[list[str], list[str]]:
    """Remove what a build that failed left invalid; return the names of those removed, and of those that others hold."""
    removed: list[str] = []
    left: list[str] = []
    if connection.closed:
        return removed, left
    # Who stopped the build may hold the table for longer than anybody wants to wait.
    set_session(connection, lock_timeout=_REMOVAL_LOCK_TIMEOUT)
    for name in _invalid_indexes_of(connection, step):  # as the server quoted it
        try:
            connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}".encode())
            removed.append(name)
        except psycopg.errors.LockNotAvailable:
            left.append(name)
    return removed, left
