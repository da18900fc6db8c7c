"""migrate_staging: apply what is pending to staging; what staging has become by hand already is only recorded."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from safemig import live
from safemig.approval.plan import Situation, assess
from safemig.commands import command_on
from safemig.copies.shadow import Shadow, open_shadow
from safemig.errors import (
    DeploymentStoppedError,
    MigrationError,
    SafemigError,
)
from safemig.execution.environment import open_environment, schema_of, schema_with_rows
from safemig.execution.layout import make_history
from safemig.execution.protocol import Protocol
from safemig.execution.run import Run
from safemig.execution.steps import Listener, Segment, rows_not_written
from safemig.execution.transaction import Committed, Transaction
from safemig.execution.validation import require_verified
from safemig.fault_points import FaultPoint, pass_point
from safemig.identity import who
from safemig.migrations import Migration
from safemig.postgres.catalog.configuration import table_names
from safemig.postgres.connection import Connection
from safemig.results import Deployment, Step
from safemig.schema import Schema, compare
from safemig.settings import STAGING, Settings


@live.act("migrate_staging")
def migrate_staging(settings: Settings, environment: str = STAGING, *, listen: Listener | None = None) -> Deployment:
    """Apply the pending migrations to staging, in one transaction where they allow it.

    A migration whose result is there already (staging was changed by hand, and the file generated from it) is
    recorded as applied without running.

    Raises:
        MigrationError: a migration's result is there in part; the message says what is missing.
        DeploymentFailedError: a statement failed; it was rolled back, nothing was changed.
    """
    run_id, started = secrets.token_hex(6), datetime.now(UTC)
    with open_environment(settings, environment) as connection:
        situation = assess(settings, connection, environment)
        pass_point(FaultPoint.ASSESSED)
        there, base = already_there(settings, connection, situation) if situation.files else ((), "")
    to_run = [segment for segment in map(lambda each: _without(each, there), situation.segments) if segment.files]  # noqa: C417
    done: list[Step] = []
    last: Committed | None = None
    applied: list[str] = []
    if situation.files:
        fingerprint = situation.schema.fingerprint
        run = Run(settings, "migrate_staging", environment, run_id, situation.plan.id, started, fingerprint)
        recorded = Segment(tuple(file for file in situation.files if file.migration.file in there), True)
        parts = [(str(number) if number else "recorded", each) for number, each in enumerate((recorded, *to_run))]
        protocol = Protocol(run, "applied or recorded", "", go_on=command_on(environment, "migrate-staging"))
        with protocol.alone() as connection:
            make_history(settings, connection)
            with run.noted():
                for part, segment in parts:
                    if segment.files:
                        last = _commit_part(protocol, connection, segment, part, applied, listen)
                        done += last.steps
                        applied += segment.names
        with protocol.checking(", ".join(applied)) as connection:
            after = schema_of(settings, connection)
    return Deployment(
        act="migrate_staging",
        verdict="DEPLOYED" if situation.files else "NOTHING TO DEPLOY",
        run_id=run_id,
        target=situation.target,
        plan_id=situation.plan.id,
        by=who(),
        started_at=started,
        finished_at=datetime.now(UTC),
        migrations=tuple(name for segment in to_run for name in segment.names),
        steps=tuple(done),
        diff=compare(situation.schema, after) if situation.files else None,
        recorded_only=there,
        transaction_id=last.transaction_id if last else "",
        commit_lsn=last.commit_lsn if last else "",
        notes=(
            *rows_not_written(
                [file for file in situation.files if file.migration.file in there],
                table_names(settings.configuration_rows),
            ),
            *([f"replayed on the base {base}"] if base else ()),
        ),
    )


def already_there(settings: Settings, staging: Connection, situation: Situation) -> tuple[tuple[str, ...], str]:
    """Return the files whose result staging has already, seen on a shadow that replays them one by one; and its base."""
    there: list[str] = []
    found = schema_with_rows(settings, staging) if settings.configuration_rows else situation.schema
    with open_shadow(settings, staging) as shadow:
        name = shadow.make(situation.standing.applied)
        before = shadow.schema(name)
        for file in situation.files:
            name = shadow.make([file.migration], template=name)
            after = shadow.schema(name)
            if _is_there(shadow, file.migration, before, after, found):
                there.append(file.migration.file)
            before = after
    return tuple(there), shadow.base.words


def _is_there(shadow: Shadow, migration: Migration, before: Schema, after: Schema, staging: Schema) -> bool:
    made = {(change.kind, change.name) for change in shadow.against(before, after)[0].changes}
    outstanding = {(change.kind, change.name) for change in shadow.against(staging, after)[0].changes}
    missing = made & outstanding
    if not made or missing == made:
        return False
    if not missing:
        return True
    raise MigrationError(
        f"staging has a part of {migration.file} already; missing: "
        + ", ".join(f"{kind} {name}" for kind, name in sorted(missing)),
        where=str(migration.path),
        next="make or drop the rest on staging by hand, then migrate_staging again; or put it into a migration of its own",
    )


def _without(segment: Segment, there: Sequence[str]) -> Segment:
    return Segment(tuple(file for file in segment.files if file.migration.file not in there), segment.transactional)


def _commit_part(
    protocol: Protocol,
    connection: Connection,
    segment: Segment,
    part: str,
    applied: Sequence[str],
    listen: Listener | None,
) -> Committed:
    run = protocol.run

    def validate(connection: Connection) -> Schema:
        require_verified(connection, () if part == "recorded" else segment.migrations)
        return schema_of(run.settings, connection)

    def record(connection: Connection, steps: Sequence[Step], schema: Schema) -> None:
        run.record_segment(connection, segment, steps, schema, part)

    with protocol.told(part, ", ".join((*applied, *segment.names))):
        try:
            if part == "recorded":
                return protocol.commit(connection, Transaction((), validate, record, part=part))
            return protocol.commit_segment(connection, segment, validate, part=part, listen=listen)
        except SafemigError as error:
            if not applied:
                raise
            raise DeploymentStoppedError(
                f"stopped part-way at {', '.join(segment.names)}: {error.what}",
                where=f"applied or recorded: {', '.join(applied)} ({error.where or ''})",
                next=f"correct the cause, then {protocol.go_on}: what is applied is not run again",
            ) from error
