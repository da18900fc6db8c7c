"""Statements that refuse a transaction, one by one: CREATE INDEX CONCURRENTLY and its like."""

from __future__ import annotations

import time

import psycopg

from safemig.errors import DeploymentFailedError, DeploymentStoppedError
from safemig.operations.batches import Keeping
from safemig.operations.bookkeeping import Run
from safemig.operations.execution import Listener, Segment, run_steps
from safemig.postgres import activity
from safemig.postgres.connect import Connection, set_session, words_of
from safemig.results import Step

_NOTE_EVERY_SECONDS = 1.0


def run_apart(run: Run, connection: Connection, segment: Segment, listen: Listener | None = None) -> tuple[Step, ...]:
    """Run statements that refuse a transaction, one by one. An index that a failure left invalid is removed.

    Raises:
        DeploymentFailedError: the first one failed; nothing was changed.
        DeploymentStoppedError: a later one failed; those before it stay, and running them again changes nothing
            where they say IF NOT EXISTS.
    """
    done: list[Step] = []
    came_to: list[str] = []
    try:
        for planned in segment.steps:
            run.note("step", number=planned.number, state="running", attempt=1)
            # CREATE INDEX CONCURRENTLY waits for others' transactions without blocking them; a short limit would only
            # leave an invalid index behind. A batch is a transaction like any other.
            set_session(connection, lock_timeout=f"{run.settings.lock_timeout_ms}ms" if planned.batches else 0)
            came_to.clear()
            (step,) = run_steps(connection, [planned], listen=listen, keeping=_keeping(run, planned, came_to))
            done.append(step)
            _require_valid_indexes(connection, step)
            run.note("step", number=step.number, state="ran")
    except KeyboardInterrupt:
        _remove_invalid_indexes(connection, segment.steps[len(done)])
        raise
    except psycopg.Error as error:
        failing = segment.steps[len(done)]
        removed = _remove_invalid_indexes(connection, failing)
        # What ran before it stays: only where nothing did is it true that nothing was changed.
        raise (DeploymentStoppedError if done or came_to else DeploymentFailedError)(
            words_of(error),
            where=f"step {failing.number}, {failing.file}, line {failing.line}: {failing.kind}"
            + (f"; the invalid {', '.join(removed)} was removed" if removed else "")
            + (f"; done {came_to[-1]}" if came_to else "")
            + (f"; applied: step {', '.join(str(step.number) for step in done)}" if done else ""),
            next="correct the cause, then deploy again" + (": it goes on there" if came_to else ""),
        ) from None
    finally:
        if not connection.closed:
            set_session(connection, lock_timeout=f"{run.settings.lock_timeout_ms}ms")
    return tuple(done)


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


def _remove_invalid_indexes(connection: Connection, step: Step) -> list[str]:
    if connection.closed:
        return []
    invalid = _invalid_indexes_of(connection, step)
    for name in invalid:  # as the server quoted it
        connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}".encode())
    return invalid
