"""plan: what is pending for a database, as ordered steps, bound to its state by an id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from safemig import live
from safemig.approval.rehearsed_rights import with_rehearsed_rights
from safemig.approval.rehearsed_workload import with_rehearsed_workload
from safemig.execution.base_file import read_base_text
from safemig.execution.environment import open_environment, schema_of, standing_of
from safemig.execution.expected_locks import with_expected_locks
from safemig.execution.resume import rest_of
from safemig.execution.steps import PlannedFile, Segment, plan_files, segments
from safemig.migrations import Standing
from safemig.postgres.access import access_now
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import read_target, read_timeline
from safemig.postgres.resumable import Resumable
from safemig.postgres.stand_in.needs import needs_of
from safemig.results import Plan, PlannedMigration, Target
from safemig.schema import Schema
from safemig.settings import PRODUCTION, Settings
from safemig.workload.file import fingerprint_of, read_workload

ID_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Situation:
    """A database as it was found, what is pending for it, and the plan that binds the two."""

    target: Target
    schema: Schema
    standing: Standing
    files: tuple[PlannedFile, ...]
    plan: Plan
    segments: tuple[Segment, ...]  # what is committed together, in order
    resumes: Resumable | None  # the deployment that this goes on with
    timeline: int  # of the server's WAL: another one means that a standby was promoted since


@live.act("plan")
def plan(settings: Settings, environment: str = PRODUCTION, *, resume: str = "") -> Plan:
    """Say what would be done to a database, statement by statement. Reads only.

    With `resume`, the id of a deployment that stopped part-way or of its plan: what is left of exactly that one. Else the
    plan names what roles gain and lose, and what the application will notice, where these migrations were rehearsed on this
    machine.

    Raises:
        FileError: what the last rehearsal found is damaged.
        MigrationError: files and history contradict each other, or a file cannot be run.
        RefusedError: that deployment cannot be gone on with.
        UnreachableError: the database cannot be read.
    """
    with open_environment(settings, environment) as connection:
        found = assess(settings, connection, environment, resume=resume).plan
    if resume:
        return found
    named = with_rehearsed_rights(settings, environment, found)
    return with_rehearsed_workload(settings, environment, named)


def assess(
    settings: Settings, connection: Connection, environment: str, *, resume: str = "", recorded: bool = False
) -> Situation:
    """Read a database's identity, schema and history, and make the plan for what is pending. Reads only.

    With `recorded` the files are only recorded as applied: they may be as psql ran them.

    Raises:
        MigrationError, RefusedError: as `plan`.
    """
    situation = situate(settings, connection, environment, resume=resume, recorded=recorded)
    target, resumes, made = situation.target, situation.resumes, situation.plan
    binding: dict[str, object] = {
        "target": {"system_identifier": target.system_identifier, "database": target.database},
        "schema": made.schema_fingerprint,
        "migrations": [(each.version, each.sha256) for each in made.migrations],
        "settings": {
            "accept": settings.accept,
            "rehearsal": "clone" if settings.gets_a_clone else settings.rehearsal,
            "approvals": (settings.required_approvals, settings.authors_may_approve),
            "schemas": settings.schemas,
            "transaction": settings.transaction,
            "deploy_as": settings.deploy_as,
        },
    }
    beside = [(each.version, each.down, each.verify) for file in situation.files if (each := file.migration)]
    if any(down or verify for _, down, verify in beside):
        binding["ways back and verify scripts"] = beside
    if stored := read_base_text(settings):
        binding["base"] = stored.sha256
    binding |= bound_workload(settings, environment)
    with live.stage("look at its locks, its rights and what a copy cannot show"):
        if situation.files and not settings.scratch and (exceptions := needs_of(connection).exceptions):
            binding["not rehearsed"] = exceptions
        steps = with_expected_locks(connection, made.steps)
        access = access_now(connection, made.role, {lock.object for step in steps for lock in step.locks})
    if resumes:
        binding["resumes"] = (resumes.run_id, resumes.ran)
    made = replace(made, id=identify(binding), steps=steps, access=access, base=stored.words if stored else "")
    return replace(situation, plan=made)


def situate(
    settings: Settings,
    connection: Connection,
    environment: str,
    *,
    resume: str = "",
    recorded: bool = False,
    schema: Schema | None = None,
) -> Situation:
    """Return what is pending for a database as it is, under a plan without ID, locks and rights. Reads only.

    A `schema` that is given is not read: the deployment refuses to go on where it is another one (`require_unchanged`).

    Raises:
        MigrationError, RefusedError: as `plan`.
    """
    with live.stage(f"read {environment}"):
        target = read_target(connection, environment)
        standing = standing_of(settings, connection)
        standing.require_consistent(environment)
        files = plan_files(standing.pending, applied=recorded)
        schema = schema or schema_of(settings, connection)
    resumes = None
    if resume:
        resumes, files = rest_of(settings, connection, environment, resume, files, schema)
    migrations = tuple(
        PlannedMigration(file.migration.version, file.migration.name, file.migration.file, file.migration.sha256)
        for file in files
    )
    return Situation(
        target=target,
        schema=schema,
        standing=standing,
        files=files,
        plan=Plan(
            id="",
            target=target,
            schema_fingerprint=schema.fingerprint,
            migrations=migrations,
            steps=tuple(step for file in files for step in file.steps),
            role=settings.deploy_as or target.user,
        ),
        segments=segments(files, together=settings.transaction == "all"),
        resumes=resumes,
        timeline=read_timeline(connection),
    )


def bound_workload(settings: Settings, environment: str) -> dict[str, object]:
    """Return what binds a plan to the statements that were collected; nothing where none were.

    Raises:
        FileError: the workload file is damaged.
    """
    path = settings.workload_file(environment)
    return {"workload": fingerprint_of(read_workload(path))} if path.is_file() else {}


def identify(binding: Mapping[str, object]) -> str:
    """Return the id of what is approved: the first hex digits of a sha256 over all of it."""
    canonical = json.dumps(binding, sort_keys=True, separators=(",", ":"), default=asdict)
    return hashlib.sha256(canonical.encode()).hexdigest()[:ID_LENGTH]
