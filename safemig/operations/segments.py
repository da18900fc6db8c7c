"""The parts of a deployment, one after the other: what each commits, and how to go on where one fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg

from safemig import live
from safemig.approval.plan import Situation
from safemig.errors import (
    DeploymentFailedError,
    DeploymentStoppedError,
    OutcomeUnknownError,
    RefusedError,
    SafemigError,
    UnreachableError,
    words_of_fault,
)
from safemig.execution.commit import reconnected
from safemig.execution.environment import schema_of
from safemig.execution.invalid_indexes import remove_left_invalid
from safemig.execution.layout import make_history
from safemig.execution.protocol import Protocol
from safemig.execution.resume import Trail
from safemig.execution.run import Run
from safemig.execution.steps import Listener, Segment
from safemig.execution.transaction import Committed
from safemig.execution.validation import SchemaPromise
from safemig.fault_points import FaultPoint, pass_point
from safemig.operations.rehearse import Rehearsed
from safemig.postgres import resumable
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connected, explained, read_target, read_timeline, words_of
from safemig.postgres.history import committed_parts, deployment_exists
from safemig.postgres.resumable import Resumable
from safemig.results import Step
from safemig.schema import Schema, compare
from safemig.settings import Settings, command_on


@dataclass(frozen=True, slots=True)
class Applied:
    """What was committed: files, steps, and the last transaction."""

    applied: tuple[str, ...]
    steps: tuple[Step, ...]
    transaction_id: str
    commit_lsn: str


def require_unchanged(settings: Settings, connection: Connection, situation: Situation) -> Schema:
    """Return the schema as it is now.

    Raises:
        RefusedError: it is not the one that was planned for, or the server is another one.
    """
    environment = situation.target.environment
    timeline, target = read_timeline(connection), read_target(connection, environment)
    if (target.system_identifier, timeline) != (situation.target.system_identifier, situation.timeline):
        raise RefusedError(
            f"{environment} is not the server that was backed up: a standby was promoted since",
            where=f"system {situation.target.system_identifier}, timeline {situation.timeline}; "
            f"now {target.system_identifier}, timeline {timeline}",
            next="start again: what the new primary holds must be backed up and rehearsed",
        )
    now = schema_of(settings, connection)
    if now.fingerprint == situation.plan.schema_fingerprint:
        return now
    changes = compare(situation.schema, now).changes
    raise RefusedError(
        f"{environment} has changed since the plan was made",
        where=", ".join(f"{change.action} {change.kind} {change.name}" for change in changes[:5]),
        next="start again: the new plan must be rehearsed and approved",
    )


def trail_of(settings: Settings, situation: Situation, run_id: str, resume_by: str = "") -> Trail | None:
    """Return what a deployment of several parts notes in the database; None for one transaction, which is all or nothing."""
    begun_as, plan = situation.resumes, situation.plan
    if begun_as is None:
        if not situation.files or (len(situation.segments) == 1 and situation.segments[0].transactional):
            return None
        migrations = {each.version: each.sha256 for each in plan.migrations}
        begun_as = Resumable(run_id, plan.id, migrations, plan.schema_fingerprint)
    resumed = command_on(situation.target.environment, "migrate-prod", f"--resume {begun_as.run_id}")
    return Trail(settings, begun_as, resume_by or resumed)


def protocol_of(
    settings: Settings,
    situation: Situation,
    run_id: str,
    started: datetime,
    rehearsed: Rehearsed | None,
    resume_by: str = "",
) -> Protocol:
    """Return the protocol of a deployment; `resume_by` is the command that goes on, where it is not migrate-prod's."""
    run = Run(
        settings=settings,
        act="migrate_prod",
        environment=situation.target.environment,
        run_id=run_id,
        plan_id=situation.plan.id,
        started_at=started,
        schema_before=situation.plan.schema_fingerprint,
        trail=trail_of(settings, situation, run_id, resume_by),
        files_make=rehearsed.files_make if rehearsed else None,
    )
    names = ", ".join(file.migration.file for file in situation.files)
    return Protocol(run, "deployed", f"run {run_id}: {names}", go_on=run.trail.go_on if run.trail else "")


def deploy_segments(
    protocol: Protocol, situation: Situation, rehearsed: Rehearsed, listen: Listener | None = None
) -> tuple[Applied, Schema]:
    """Deploy what was rehearsed, as the only deployment there; return what was applied, and the schema before it.

    Raises:
        RefusedError: the database is no longer as it was planned for, or another deployment is under way.
        DeploymentFailedError, DeploymentStoppedError, OutcomeUnknownError: as `run_segments`.
    """
    run, settings = protocol.run, protocol.run.settings
    with protocol.told(), protocol.lock():
        with explained(protocol.conninfo, run.environment), protocol.connection() as connection:
            before = require_unchanged(settings, connection, situation)
            run.settle_earlier(connection)
            pass_point(FaultPoint.HISTORY_BEGINS)
            make_history(settings, connection)
            if situation.resumes and run.trail:
                # The copy never had it: pg_dump leaves invalid indexes out.
                if remove_left_invalid(connection, situation.plan.steps, settings.deploy_as):
                    before = schema_of(settings, connection)
                run.trail.goes_on(connection)
        promise = SchemaPromise(settings, rehearsed.start, before)
        live.planned(situation.plan.steps)
        with run.noted():
            return run_segments(protocol, situation.segments, rehearsed, promise, listen), before


def run_segments(
    protocol: Protocol,
    segments: Sequence[Segment],
    rehearsed: Rehearsed,
    promise: SchemaPromise,
    listen: Listener | None = None,
) -> Applied:
    """Run what was rehearsed, segment by segment, each validated against the schema that the rehearsal reached there.

    Raises:
        DeploymentFailedError: the first one failed and was rolled back; nothing was changed.
        DeploymentStoppedError: a later one failed; the message says what is applied and the command that goes on.
        OutcomeUnknownError: the server went away, and what it did could not be learned.
    """
    run, conninfo, rehearsal = protocol.run, protocol.conninfo, rehearsed.result
    seen = rehearsal.steps if rehearsal.mode == "data" else ()
    done: list[Step] = []
    applied: list[str] = []
    last: Committed | None = None
    for number, (segment, reached) in enumerate(zip(segments, rehearsed.reached, strict=True)):
        part = str(number + 1) if number else ""
        try:
            # A connection each: the one before may have been lost at its COMMIT, and that settled.
            with protocol.connection() as connection:
                validate = promise.validator(reached, segment.migrations)
                last = protocol.commit_segment(connection, segment, validate, part=part, rehearsed=seen, listen=listen)
        except KeyboardInterrupt:
            raise _cut_short("interrupted", run, conninfo, applied, segment, part) from None
        except psycopg.Error as error:  # the connection, between two statements of ours
            raise _cut_short(words_of(error), run, conninfo, applied, segment, part) from None
        except OSError as error:
            raise _cut_short(words_of_fault(error), run, conninfo, applied, segment, part) from error
        except OutcomeUnknownError:
            raise  # whether this part is applied is just what is not known
        except SafemigError as error:
            if applied and (still := _still_applied(run, conninfo, applied)):
                raise _stopped(run, still, segment, error) from error
            raise
        done += last.steps
        applied += segment.names
    assert last is not None  # noqa: S101 - there is a segment
    return Applied(tuple(applied), _with_locks(done, rehearsal.steps), last.transaction_id, last.commit_lsn)


def _with_locks(done: Sequence[Step], rehearsed: Sequence[Step]) -> tuple[Step, ...]:
    # Read on the copy after every statement; on production no one is made to wait for that.
    seen = {step.number: step for step in rehearsed}
    return tuple(
        replace(step, locks=seen[step.number].locks, rewrites=seen[step.number].rewrites, scans=seen[step.number].scans)
        for step in done
    )


def _cut_short(what: str, run: Run, conninfo: str, applied: Sequence[str], segment: Segment, part: str) -> SafemigError:
    """Return what to raise where it ended between two statements: whether the part was committed, the server knows."""
    resume = run.trail.go_on if run.trail else ""
    try:
        with reconnected(None, conninfo, None) as connection:
            is_in = deployment_exists(connection, run.id_of(part))
            applied = committed_parts(
                connection, run.run_id
            )  # after a failover, perhaps not all of what was acknowledged
            stays = run.trail is not None and resumable.find(connection, run.trail.begun_as.run_id) is not None
    except (UnreachableError, psycopg.Error):
        return OutcomeUnknownError(
            f"{what}, and the server cannot be reached to check what is applied",
            where=f"run {run.run_id}, at {', '.join(segment.names)}",
            next="safemig status, when the server answers again",
        )
    if is_in:
        return DeploymentStoppedError(
            f"{what}, after the COMMIT",
            where=f"applied: {', '.join(applied)}",
            next=f"{resume}: what is applied is not run again" if stays else "safemig status; it is not validated",
        )
    failed = DeploymentFailedError(what, where="rolled back, nothing was changed", next="deploy again")
    if applied:
        return _stopped(run, applied, segment, failed)
    if not stays:
        return failed
    return DeploymentStoppedError(
        what, where=f"in {', '.join(segment.names)}, of which a statement ran", next=f"{resume}: it is not run again"
    )


def _still_applied(run: Run, conninfo: str, applied: Sequence[str]) -> Sequence[str]:
    """Return what is applied by the database's word: a failover may have lost what was acknowledged."""
    try:
        with connected(conninfo, run.environment) as connection:
            return committed_parts(connection, run.run_id)
    except (UnreachableError, psycopg.Error):
        return applied


def _stopped(run: Run, applied: Sequence[str], segment: Segment, error: SafemigError) -> DeploymentStoppedError:
    assert run.trail is not None  # noqa: S101 - a deployment of several parts has one
    return DeploymentStoppedError(
        f"stopped part-way at {', '.join(segment.names)}: {error.what}",
        where=f"applied: {', '.join(applied)}; not applied: from {segment.names[0]} on"
        + (f" ({error.where})" if error.where else ""),
        next=f"correct the cause, then {run.trail.go_on}: what is applied is not run again",
    )
