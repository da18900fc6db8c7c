"""migrate_staging: apply what is pending to staging; what staging has become by hand already is only recorded."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime

from safemig import live
from safemig.approval.plan import Situation, assess
from safemig.copies.shadow import Shadow, open_shadow
from safemig.errors import (
    DeploymentFailedError,
    DeploymentStoppedError,
    MigrationError,
    SafemigError,
    SettingsError,
)
from safemig.execution.autocommit import run_apart
from safemig.execution.commit import told_when_interrupted
from safemig.execution.environment import open_environment, schema_of, schema_with_rows
from safemig.execution.layout import make_history
from safemig.execution.run import Run
from safemig.execution.steps import Listener, Segment, rows_not_written
from safemig.execution.transaction import Committed, commit_steps, deploying_connection, only_deployment
from safemig.execution.validation import told_when_cut_short
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
    conninfo, run_id, started = settings.conninfo(environment), secrets.token_hex(6), datetime.now(UTC)
    with open_environment(settings, environment) as connection:
        situation = assess(settings, connection, environment)
        pass_point(FaultPoint.ASSESSED)
        there = already_there(settings, connection, situation) if situation.files else ()
    to_run = [segment for segment in map(lambda each: _without(each, there), situation.segments) if segment.files]  # noqa: C417
    done: list[Step] = []
    last: Committed | None = None
    applied: list[str] = []
    if situation.files:
        with (
            only_deployment(conninfo, environment, run_id),
            deploying_connection(settings, conninfo, environment, run_id) as connection,
        ):
            make_history(settings, connection)
            act = Run(
                settings,
                "migrate_staging",
                environment,
                run_id,
                situation.plan.id,
                started,
                situation.schema.fingerprint,
            )
            recorded = Segment(tuple(file for file in situation.files if file.migration.file in there), True)
            act.settle_earlier(connection)
            with act.noted():
                for number, segment in enumerate((recorded, *to_run)):
                    if not segment.files:
                        continue
                    part = str(number) if number else "recorded"
                    now = ", ".join((*applied, *segment.names))
                    with told_when_interrupted(conninfo, environment, act.id_of(part), "applied or recorded", now):
                        try:
                            last = _commit(connection, conninfo, segment, act, part, listen)
                        except SafemigError as error:
                            if not applied:
                                raise
                            raise DeploymentStoppedError(
                                f"stopped part-way at {', '.join(segment.names)}: {error.what}",
                                where=f"applied or recorded: {', '.join(applied)} ({error.where or ''})",
                                next="correct the cause, then safemig migrate-staging: what is applied is not run again",
                            ) from error
                    done += last.steps
                    applied += segment.names
        with (
            told_when_cut_short("applied or recorded", ", ".join(applied)) if applied else nullcontext(),
            open_environment(settings, environment) as connection,
        ):
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
        notes=rows_not_written(
            [file for file in situation.files if file.migration.file in there], table_names(settings.configuration_rows)
        ),
    )


def already_there(settings: Settings, staging: Connection, situation: Situation) -> tuple[str, ...]:
    """Return the files whose result staging has already, seen on a shadow that replays them one by one."""
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
    return tuple(there)


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


def _commit(
    connection: Connection, conninfo: str, segment: Segment, act: Run, part: str, listen: Listener | None
) -> Committed:
    """Commit a segment; the part "recorded" is only that."""
    runs = part != "recorded"
    apart = run_apart(act, connection, conninfo, segment, listen) if runs and not segment.transactional else ()
    try:
        committed = commit_steps(
            act,
            connection,
            conninfo,
            segment.steps if runs and segment.transactional else (),
            part=part,
            role=act.settings.deploy_as if runs else "",
            validate=lambda connection: schema_of(act.settings, connection),
            record=lambda connection, steps, schema: act.record_segment(
                connection, segment, (*apart, *steps), schema, part
            ),
            listen=listen,
        )
    except (DeploymentFailedError, SettingsError) as error:
        if not apart:
            raise
        raise DeploymentStoppedError(
            error.what,
            where=f"the statements of {', '.join(segment.names)} ran and are in effect, but are not recorded; {error.where}",
            next="correct the cause, then safemig migrate-staging",
        ) from error
    return replace(committed, steps=(*apart, *committed.steps))
