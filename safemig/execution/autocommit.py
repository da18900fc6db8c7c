"""Statements that refuse a transaction, one by one: CREATE INDEX CONCURRENTLY and its like."""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg import errors as pg
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from safemig import live
from safemig.errors import (
    DeploymentFailedError,
    DeploymentStoppedError,
    OutcomeUnknownError,
    SettingsError,
    UnreachableError,
)
from safemig.execution.acting import act_as, acting_as, as_ourselves, be_ourselves
from safemig.execution.batches import Keeping
from safemig.execution.commit import MY_BACKEND, reconnected
from safemig.execution.expected_locks import blocks_while_it_waits
from safemig.execution.invalid_indexes import clear_the_name, remove_invalid_indexes, was_cut_off
from safemig.execution.lock_watch import watched
from safemig.execution.resume import has_run, mark_of
from safemig.execution.run import Run
from safemig.execution.steps import Listener, Segment, run_steps
from safemig.fault_points import FaultPoint, pass_point
from safemig.postgres import resumable
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import set_session, words_of
from safemig.results import Step

_NOTE_EVERY_SECONDS = 1.0
_RETRIED = (pg.LockNotAvailable, pg.DeadlockDetected, pg.SerializationFailure)


def run_apart(
    run: Run, connection: Connection, conninfo: str, segment: Segment, listen: Listener | None = None
) -> tuple[Step, ...]:
    """Run statements that refuse a transaction, one by one. An index that a failure left invalid is removed.

    They run under `deploy_as` where it is set, and we are ourselves again at the end.

    Raises:
        DeploymentFailedError: the first one failed; nothing was changed.
        DeploymentStoppedError: a later one failed; those before it stay, and are not run again by who resumes.
        OutcomeUnknownError: the connection was lost, and the server cannot be asked whether the statement ran.
    """
    pass_point(FaultPoint.APART_BEGINS)
    apart = _Apart(run, connection, conninfo, segment, connection.execute(MY_BACKEND).fetchone())
    done, came_to = apart.done, apart.came_to
    has_ended = False  # the statement in hand
    live.planned(segment.steps)
    role = run.settings.deploy_as
    try:
        connection.execute("RESET search_path")  # the role's own, by which also what they name is looked for
        act_as(connection, role)
        for planned in segment.steps:
            came_to.clear()
            has_ended = False
            with as_ourselves(connection, role):
                is_ours = was_cut_off(connection, planned)
            clear_the_name(connection, planned, done, is_ours=is_ours)
            run.note("step", number=planned.number, state="running", attempt=1)
            if run.trail and not planned.transactional:
                with as_ourselves(connection, role):
                    run.trail.begins(connection, planned)
            with watched(conninfo, run.environment, connection):
                pass_point(FaultPoint.APART_STATEMENT_BEGINS)
                step = _run_alone(run, connection, planned, listen, came_to)
                pass_point(FaultPoint.APART_STATEMENT_RAN)
                has_ended = True
                if run.trail and not planned.transactional:
                    with as_ourselves(connection, role):
                        run.trail.ran(connection, planned)
            done.append(step)
            run.note_what_is_done("step", number=step.number, state="ran")
    except KeyboardInterrupt:  # it may come at any moment: also between the statement's end and the note of it
        raise apart.ended_early("interrupted", may_have_ended=True) from None
    except psycopg.Error as error:
        raise apart.ended_early(words_of(error), may_have_ended=has_ended) from None
    except SettingsError as error:  # the journal cannot be written
        if not (done or came_to or has_ended):
            raise
        raise apart.ended_early(error.what, may_have_ended=has_ended) from None
    finally:
        if not connection.closed:
            with suppress(psycopg.Error):
                be_ourselves(connection)
                set_session(connection, lock_timeout=f"{run.settings.lock_timeout_ms}ms")
    return tuple(done)


def _run_alone(run: Run, connection: Connection, planned: Step, listen: Listener | None, came_to: list[str]) -> Step:
    # CREATE INDEX CONCURRENTLY waits for others' transactions without blocking them; a short limit would only leave an
    # invalid index behind. A batch is a transaction like any other, and so is what could have run in one.
    is_in_the_way = not planned.batches and blocks_while_it_waits(planned)
    waits_briefly = planned.transactional or planned.batches or is_in_the_way
    set_session(connection, lock_timeout=f"{run.settings.lock_timeout_ms}ms" if waits_briefly else 0)
    if not planned.transactional and not is_in_the_way:
        (step,) = run_steps(connection, [planned], listen=listen, keeping=_keeping(run, planned, came_to))
        return step
    for attempt in Retrying(retry=retry_if_exception_type(_RETRIED), stop=stop_after_attempt(run.settings.lock_attempts),
                            wait=wait_random(0.05, 1), reraise=True):  # fmt: skip
        with attempt, connection.transaction() if planned.transactional else nullcontext():
            (step,) = run_steps(connection, [planned], listen=listen)
            if run.trail and planned.transactional:
                with as_ourselves(connection, run.settings.deploy_as):
                    run.trail.ran(connection, planned)
    return step


@dataclass(frozen=True, slots=True)
class _Apart:
    """A segment without a transaction under way: the steps that ran, and how far the batches of the next one came."""

    run: Run
    connection: Connection
    conninfo: str
    segment: Segment
    backend: tuple[Any, ...] | None
    done: list[Step] = field(default_factory=list)
    came_to: list[str] = field(default_factory=list)

    def ended_early(
        self, what: str, *, may_have_ended: bool
    ) -> DeploymentStoppedError | DeploymentFailedError | OutcomeUnknownError:
        """Clean up after the statement that failed, over a new connection where it took ours, and return what to raise."""
        run, done, came_to = self.run, self.done, self.came_to
        failing = self.segment.steps[len(done)]
        where = f"step {failing.number}, {failing.file}, line {failing.line}: {failing.kind}"
        go_on = run.trail.go_on if run.trail else "deploy again"
        try:
            with reconnected(self.connection, self.conninfo, self.backend) as alive:
                be_ourselves(alive)
                has_ended = (may_have_ended or alive is not self.connection) and _has_ended(run, alive, failing)
                with acting_as(alive, run.settings.deploy_as):
                    removed, left = ([], []) if has_ended else remove_invalid_indexes(alive, failing)
                if run.trail and not has_ended:
                    run.trail.failed(alive, is_clean=not (left or came_to))
        except (UnreachableError, psycopg.Error):
            return OutcomeUnknownError(
                f"the connection was lost in a statement that refuses a transaction: {what}",
                where=where + "; it is unknown whether it ran",
                next=f"when the server answers again: {go_on}",
            )
        # What ran before it stays: only where nothing did is it true that nothing was changed.
        stays = done or came_to or has_ended
        return (DeploymentStoppedError if stays else DeploymentFailedError)(
            what,
            where=where
            + ("; it ran, but that was not recorded" if has_ended else "")
            + (f"; the invalid {', '.join(removed)} was removed" if removed else "")
            + "".join(f"; when those who hold it have ended: DROP INDEX CONCURRENTLY {name}" for name in left)
            + (f"; done {came_to[-1]}" if came_to else "")
            + (f"; applied: step {', '.join(str(step.number) for step in done)}" if done else ""),
            next="correct the cause, then "
            + (go_on if stays else "deploy again")
            + (": it continues there" if came_to else ""),
        )


def _has_ended(run: Run, connection: Connection, step: Step) -> bool:
    found = resumable.find(connection, run.trail.begun_as.run_id) if run.trail else None
    if found is not None and mark_of(step) in found.ran:
        return True
    return not (step.transactional and run.trail) and has_run(connection, step)


def _keeping(run: Run, step: Step, came_to: list[str]) -> Keeping:
    noted = 0.0

    def note(key: str, rows: int) -> None:
        nonlocal noted
        came_to[:] = [f"up to key {key}, {rows:,} rows"]
        live.became(replace(step, state="running", rows=rows))
        if time.monotonic() - noted > _NOTE_EVERY_SECONDS:
            run.note("step", number=step.number, state="running", key=key, rows=rows)
            noted = time.monotonic()

    return Keeping(run.run_id, run.settings.lock_attempts, note, run.settings.deploy_as)
