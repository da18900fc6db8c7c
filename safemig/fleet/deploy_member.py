"""Deploy to one member, by the protocol of migrate_prod: what a worker does, whoever started it and however often.

Guarantee: asked of the member itself, what is applied is not applied again; a member that is not as its cohort was
rehearsed is not touched. Whatever kills the worker, the member's own history tells what happened.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from safemig.approval.plan import Situation, situate
from safemig.errors import RefusedError, SafemigError, words_of_fault
from safemig.execution.environment import open_environment, schema_of
from safemig.execution.layout import layout_for
from safemig.execution.validation import (
    SchemaPromise,
    check_left_behind,
    check_rows,
    check_schema,
    check_sequences,
    count_rows,
    project_checks,
    rows_changed,
)
from safemig.fleet.evidence import Evidence, unpacked
from safemig.fleet.members import Member, environment_of, members_of, settings_of
from safemig.fleet_facts import MemberOutcome, Outcome
from safemig.operations.backup_prod import take_backup
from safemig.operations.rehearse import Rehearsed
from safemig.operations.segments import deploy_segments, protocol_of
from safemig.postgres import resumable
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import words_of
from safemig.results import Check, TableContent
from safemig.settings import Settings

WAIT_AT_MOST, WAIT_AS_BEFORE = "SET lock_timeout = '5s'", "SET lock_timeout = 0"
_OUTCOMES: dict[int, Outcome] = {4: "stopped", 5: "unknown"}
_known: dict[tuple[str, str], dict[str, Member]] = {}


@dataclass(frozen=True, slots=True)
class MemberJob:
    """What a worker is told: a member's name, never how to connect to it, which the worker reads for itself."""

    settings: Settings
    fleet: str
    member: str
    server: str  # whose jobs are bounded together
    plan_id: str = ""
    evidence: bytes = b""
    wave: str = ""
    cohort: str = ""
    with_backup: bool = True
    scripts: tuple[str, ...] = ()  # of a rollback


def deploy_member(job: MemberJob) -> MemberOutcome:
    """Deploy to a member what its cohort rehearsed. Raises nothing of ours: what went wrong is the outcome."""
    started, run_id = time.monotonic(), secrets.token_hex(6)
    made = MemberOutcome(job.member, "failed", job.wave, job.cohort, run_id=run_id)
    try:
        made = _deploy(job, made)
    except (SafemigError, psycopg.Error, OSError) as error:
        made = outcome_of_error(made, error)
    return replace(made, seconds=time.monotonic() - started)


def outcome_of_error(made: MemberOutcome, error: SafemigError | psycopg.Error | OSError) -> MemberOutcome:
    """Return the outcome of a member whose job ended by an error."""
    if isinstance(error, SafemigError):
        where = f" ({error.where})" if error.where else ""
        outcome = _OUTCOMES.get(error.exit_code, "failed")
        return replace(made, outcome=outcome, error=f"{error.what}{where}", next=error.next or "")
    return replace(made, error=words_of(error) if isinstance(error, psycopg.Error) else words_of_fault(error))


def member_called(settings: Settings, fleet: str, name: str) -> Member:
    """Return a member of a fleet; the list is read once in a process, and again where it lacks that name.

    Raises:
        RefusedError: the fleet has no such member.
    """
    key = (str(settings.folder), fleet)
    if name not in _known.get(key, {}):
        _known[key] = {each.name: each for each in members_of(settings, fleet)}
    try:
        return _known[key][name]
    except KeyError:
        raise RefusedError(
            f"the fleet {fleet} no longer has the member {name}", where="its source", next="make a new plan"
        ) from None


def _deploy(job: MemberJob, made: MemberOutcome) -> MemberOutcome:
    evidence, member = unpacked(job.evidence), member_called(job.settings, job.fleet, job.member)
    own, environment = settings_of(job.settings, job.fleet, member), environment_of(job.fleet, member.name)
    found, rehearsed = evidence.for_schema(member.schema)
    with open_environment(own, environment) as connection:
        stopped = None if member.schema else resumable.find(connection, job.plan_id)
        # Its schema is read once it is the only deployment there, and held against the rehearsed member's.
        situation = situate(
            own,
            connection,
            environment,
            resume=stopped.run_id if stopped else "",
            schema=schema_of(own, connection) if stopped else found,
        )
        if not situation.files:
            return replace(made, outcome="already", version=situation.standing.applied[-1].version)
        _require_as_rehearsed(job.fleet, evidence, situation)
        before = _count(connection, member.schema)
    backup = take_backup(own, environment) if job.with_backup else None
    made = replace(made, backup=str(backup.manifest) if backup else "")
    situation = replace(situation, plan=replace(situation.plan, id=job.plan_id))
    resume_by = f"safemig fleet migrate {job.fleet} --resume {job.plan_id}"
    protocol = protocol_of(own, situation, made.run_id, datetime.now(UTC), rehearsed, resume_by)
    done, start = deploy_segments(protocol, situation, rehearsed)
    made = replace(
        made,
        outcome="deployed",
        version=situation.files[-1].migration.version,
        transaction_id=done.transaction_id,
        lock_wait_s=max((step.lock_wait_s or 0.0 for step in done.steps), default=0.0),
    )
    with protocol.checking(f"applied: {', '.join(done.applied)}") as connection:
        checks = _checks_after(connection, SchemaPromise(own, rehearsed.start, start), rehearsed, before)
    failed = [each for each in checks if each.state == "failed"]
    if failed:
        words = "; ".join(f"{each.name}: {each.found}" for each in failed)
        return replace(made, outcome="stopped", error=f"deployed, but checks after it said no: {words}")
    return made


def _require_as_rehearsed(fleet: str, evidence: Evidence, situation: Situation) -> None:
    differs = []
    if tuple((each.migration.version, each.migration.sha256) for each in situation.files) != evidence.pending:
        differs.append("what is pending")
    if situation.target.server_version_num // 10000 != evidence.server_major:
        differs.append("the server's major version")
    if (situation.resumes.ran if situation.resumes else ()) != evidence.ran:
        differs.append("what an earlier run has done")
    if differs:
        raise RefusedError(
            f"it is not as its cohort {evidence.cohort} was rehearsed: {', '.join(differs)} changed since",
            where="nothing was changed",
            next=f"safemig fleet status {fleet} names the difference; then make a new plan, or --resume this one",
        )


def _checks_after(
    connection: Connection, promise: SchemaPromise, rehearsed: Rehearsed, before: dict[str, int]
) -> Sequence[Check]:
    # The rehearsal's own numbers are those of another member; which tables the migration itself changes is the same.
    changed = {each.table for each in rehearsed.result.rows if each.before != each.after}
    own, then = promise.settings, [TableContent(name, rows, "") for name, rows in before.items()]
    after = _count(connection, own.member_schema)
    rows = [each for each in rows_changed(then, after, layout_for(own).hides) if each.table not in changed]
    checks = [check_schema(promise, rehearsed.reached[-1], schema_of(own, connection)), *check_rows(rows, {})]
    if not own.member_schema:  # these look at the whole database, which other members share
        checks += [*check_left_behind(connection), check_sequences(connection)]
    return [*checks, *project_checks(own, connection)]


def _count(connection: Connection, schema: str) -> dict[str, int]:
    """Count the rows, and wait for no lock for longer than a moment: one member must not hold up the others."""
    connection.execute(WAIT_AT_MOST)
    try:
        return count_rows(connection, schema)
    finally:
        if not connection.closed:
            connection.execute(WAIT_AS_BEFORE)


def backup_member(job: MemberJob) -> MemberOutcome:
    """Back a member up, and read the backup back. Raises nothing of ours."""
    started = time.monotonic()
    made = MemberOutcome(job.member, "failed", job.wave, job.cohort)
    try:
        member = member_called(job.settings, job.fleet, job.member)
        own = settings_of(job.settings, job.fleet, member)
        backup = take_backup(own, environment_of(job.fleet, member.name))
        made = replace(made, outcome="backed up", backup=str(Path(backup.manifest)))
    except (SafemigError, psycopg.Error, OSError) as error:
        made = outcome_of_error(made, error)
    return replace(made, seconds=time.monotonic() - started)
