"""sync_prod: the emergency schema sync, only for a production without a single row of data."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from psycopg import sql

from safemig import live
from safemig.approval.approve import About, Ask
from safemig.approval.approve import approve as ask_for_approval
from safemig.approval.approvers import require_approvers
from safemig.approval.plan import identify
from safemig.copies.same_version import alike
from safemig.errors import RefusedError
from safemig.execution.environment import filter_of, open_environment, schema_of
from safemig.execution.layout import files_of, layout_for, make_history, read_history, record_applied
from safemig.execution.protocol import Protocol
from safemig.execution.run import Run
from safemig.execution.steps import Listener, plan_files
from safemig.execution.transaction import Transaction
from safemig.execution.validation import SchemaPromise, check_schema
from safemig.identity import who
from safemig.migrations import Migration, hash_of
from safemig.operations.backup_prod import take_backup
from safemig.postgres import activity
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import read_target
from safemig.postgres.owners import whom_may_own
from safemig.postgres.platforms import TABLES_FOR_THE_TEAM, platform_of
from safemig.results import AppliedMigration, Deployment, Plan, PlannedMigration, Step, Target
from safemig.schema import Schema, SchemaDiff, compare
from safemig.schema.owners import with_owners
from safemig.settings import PRODUCTION, STAGING, Settings
from safemig.sql.identifiers import quote_name


@live.act("sync_prod")
def sync_prod(
    settings: Settings,
    *,
    source: str = STAGING,
    environment: str = PRODUCTION,
    approve: str = "",
    ask: Ask | None = None,
    listen: Listener | None = None,
) -> Deployment:
    """Give production the schema of `source`, destructive statements included, where it holds no data.

    Guarantee: refused when any user table of production holds a row, before anything and again inside the
    transaction; a backup is taken first; the result must equal the source's schema before COMMIT.

    Raises:
        RefusedError: production holds data (the message names the tables), or the sync is not approved.
        DeploymentFailedError: it failed and was rolled back; nothing was changed.
    """
    run_id, started = secrets.token_hex(6), datetime.now(UTC)
    target, before, start, wanted, history, diff = _difference(settings, source, environment)
    if diff.is_empty:
        return _result("NOTHING TO SYNC", run_id, target, "", started, diff)
    plan_id = _identify(target, before, diff)
    what = f"{diff.summary}: {environment} gets the schema of {source}."
    (file,) = plan_files([Migration("", "sync", Path(f"schema of {source}"), diff.sql, "")])
    plan = Plan(plan_id, target, before.fingerprint, (), file.steps, act="sync_prod", what=(what,))
    about = About(plan, (("Empty", f"no table of {environment} holds a row"),))
    verb = "sync-prod" if source == STAGING else f"sync-prod --source {shlex.quote(source)}"
    given = ask_for_approval(plan_id, target, approve, what, verb=verb, ask=ask, about=about)
    require_approvers(settings, given, verb=verb)
    backup = take_backup(settings, environment)
    promise = SchemaPromise(settings, start, before)
    run = Run(settings, "sync_prod", environment, run_id, plan_id, started, before.fingerprint)

    def validate(connection: Connection) -> Schema:
        _require_empty(settings, connection, environment)
        return promise.validator(wanted)(connection)

    def record(connection: Connection, steps: Sequence[Step], schema: Schema) -> None:
        _take_over(settings, connection, history, run_id)
        run.record(connection, (), steps, schema)

    protocol = Protocol(run, "synced", diff.summary)
    transaction = Transaction(file.steps, validate, record, role=settings.deploy_as, listen=listen)
    done = protocol.change(transaction, prepare=lambda connection: make_history(settings, connection))
    with protocol.checking() as connection:
        after = schema_of(settings, connection)
    result = _result("SYNCED", run_id, target, plan_id, started, compare(before, after))
    return replace(
        result,
        steps=done.steps,
        validation=(check_schema(promise, wanted, after),),
        backup=backup.manifest,
        transaction_id=done.transaction_id,
        commit_lsn=done.commit_lsn,
        recorded_only=tuple(f"{each.version}_{each.name}" for each in history),
    )


def plan_sync(settings: Settings, *, source: str = STAGING, environment: str = PRODUCTION) -> Plan:
    """Return what a sync would do, with the id that approves it. Reads only.

    Raises:
        RefusedError: production holds data (the message names the tables).
    """
    target, before, _, _, _, diff = _difference(settings, source, environment)
    if diff.is_empty:
        return Plan(_identify(target, before, diff), target, before.fingerprint, (), (), act="sync_prod")
    text = Migration("", "sync", Path(f"schema of {source}"), diff.sql, hash_of(diff.sql))
    (file,) = plan_files([text])
    return Plan(
        id=_identify(target, before, diff),
        target=target,
        schema_fingerprint=before.fingerprint,
        migrations=(PlannedMigration("", "sync", text.file, text.sha256),),
        steps=file.steps,
        act="sync_prod",
        what=(f"{diff.summary}: {environment} gets the schema of {source}.",),
    )


def _difference(
    settings: Settings, source: str, environment: str
) -> tuple[Target, Schema, Schema, Schema, tuple[AppliedMigration, ...], SchemaDiff]:
    """Return the target, its schema, the two schemas as one server writes them, the source's history, and the difference."""
    with open_environment(settings, source) as connection:
        wanted, history = schema_of(settings, connection), read_history(settings, connection)
    with open_environment(settings, environment) as connection:
        target = read_target(connection, environment)
        _require_empty(settings, connection, environment)
        before = schema_of(settings, connection)
        may_own = whom_may_own(connection, before.current_user)
    ends = (settings.conninfo(environment), environment), (settings.conninfo(source), source)
    start, wanted, reason = alike(ends, (before, wanted), filter_of(settings), settings.scratch)
    if settings.owners == "compare":  # what is made has the owner that it has there, as far as the role may give it
        of_start, of_wanted, not_compared = with_owners(start, wanted, may_own)
        diff = compare(of_start, of_wanted)
        diff = replace(diff, warnings=(*diff.warnings, *not_compared))
    else:
        diff = compare(start, wanted)
    if reason:
        diff = replace(diff, warnings=(*diff.warnings, reason))
    return target, before, start, wanted, history, diff


def _identify(target: Target, before: Schema, diff: SchemaDiff) -> str:
    return identify(
        {
            "sync": diff.sql,
            "target": {"system_identifier": target.system_identifier, "database": target.database},
            "schema": before.fingerprint,
        }
    )


def tables_with_rows(connection: Connection, hides: Callable[[str], bool] = lambda _: False) -> list[str]:
    """Return the team's tables that hold at least one row. Reads at most one row a table.

    A platform's own rows (an empty Supabase project has some in auth.schema_migrations) are not the team's, but rows that the
    team puts into its tables are: users, files, secrets.
    """
    found = []
    platform = platform_of(connection)
    for schema, table in activity.ask(connection, activity.WHICH_TABLES_HOLD_DATA):
        if schema in platform.schemas and f"{schema}.{table}" not in TABLES_FOR_THE_TEAM:
            continue
        if hides(quote_name(schema, table)):
            continue
        name = sql.Identifier(schema, table)
        row = connection.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(name)).fetchone()
        if row and row[0]:
            found.append(f"{schema}.{table}")
    return found


def _require_empty(settings: Settings, connection: Connection, environment: str) -> None:
    if filled := tables_with_rows(connection, layout_for(settings).hides):
        raise RefusedError(
            f"{environment} holds data in {len(filled)} tables: {', '.join(filled)}",
            where="sync_prod drops and re-creates, and is only for a production without a single row",
            next="generate a migration, review it, and deploy it by migrate_prod",
        )


def _take_over(settings: Settings, connection: Connection, history: tuple[AppliedMigration, ...], run_id: str) -> None:
    files = {each.version: each for each in files_of(settings)}
    have = {each.version for each in read_history(settings, connection)}
    for each in history:
        if each.version not in have:
            migration = Migration(each.version, each.name, Path(), "", each.sha256)
            record_applied(settings, connection, files.get(each.version, migration), each.statements, run_id)


def _result(verdict: str, run_id: str, target: Target, plan_id: str, started: datetime, diff: SchemaDiff) -> Deployment:
    return Deployment(
        act="sync_prod",
        verdict=verdict,  # type: ignore[arg-type]
        run_id=run_id,
        target=target,
        plan_id=plan_id,
        by=who(),
        started_at=started,
        finished_at=datetime.now(UTC),
        migrations=(),
        steps=(),
        diff=diff,
    )
