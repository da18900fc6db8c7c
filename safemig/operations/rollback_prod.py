"""rollback_prod: run a proven rollback script with the care of a deployment: backup, copy, approval, one transaction."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from safemig import live
from safemig.approval.approve import About, Ask, approve
from safemig.approval.approvers import require_approvers
from safemig.approval.plan import identify
from safemig.copies.database_copy import open_server_like, restore_copy, run_on_copy
from safemig.copies.roles import deploying_role, url_as
from safemig.copies.rollback_script import RollbackScript, read_script
from safemig.errors import (
    BackupError,
    RefusedError,
    RehearsalError,
    ToolError,
)
from safemig.execution.environment import open_environment, schema_of
from safemig.execution.expected_locks import with_expected_locks
from safemig.execution.layout import layout_for, read_history
from safemig.execution.protocol import Protocol
from safemig.execution.run import Run
from safemig.execution.steps import Listener, plan_files
from safemig.execution.transaction import Transaction
from safemig.execution.validation import (
    SchemaPromise,
    check_left_behind,
    check_rows,
    check_schema,
    check_sequences,
    count_rows,
    require_none_failed,
    rows_changed,
)
from safemig.fault_points import FaultPoint, pass_point
from safemig.identity import who
from safemig.migrations import Migration
from safemig.operations.backup_prod import take_backup
from safemig.operations.by_command import BY_COMMAND
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect, read_target
from safemig.postgres.dump.plain import require_unchanged
from safemig.results import Backup, Check, Deployment, Plan, PlannedMigration, RowChange, Step, Target
from safemig.schema import Schema, compare
from safemig.settings import PRODUCTION, Settings
from safemig.views.numbers import counted


@live.act("rollback_prod")
def rollback_prod(
    settings: Settings,
    script: str | Path = "",
    *,
    environment: str = PRODUCTION,
    approve: str = "",
    ask: Ask | None = None,
    listen: Listener | None = None,
) -> Deployment:
    """Take back a deployment by its rollback script (the latest where none is named).

    Guarantee: before anything is changed, a backup is taken, and the script is run on a copy made from it and must
    lead to exactly the schema that it promises; then it runs in one transaction that is validated before COMMIT.

    Raises:
        BackupError: there is no such script.
        RefusedError: it does not fit what is applied, or is not approved; the message has the id to approve.
        RehearsalError: it does not keep its promise on the copy.
        DeploymentFailedError: it failed and was rolled back; nothing was changed.
        DeploymentStoppedError: it was done, and could not be validated after it.
    """
    run_id, started = secrets.token_hex(6), datetime.now(UTC)
    chosen = read_script(_find(settings, environment, script))
    pass_point(FaultPoint.SCRIPT_READ)
    (file,) = plan_files([_as_migration(chosen)])
    plan, before, backup, promise, reached = _tried(settings, chosen, file.steps, environment, approve)
    _approve(settings, chosen, plan, backup, approve, ask)
    taken_back = f"rolled back: {', '.join(chosen.files)}"
    run = Run(settings, "rollback_prod", environment, run_id, plan.id, started, before.fingerprint)
    protocol = Protocol(run, "rolled back", taken_back)
    done = protocol.change(
        Transaction(
            file.steps,
            validate=promise.validator(reached),
            record=lambda connection, steps, schema: run.record(connection, chosen.files, steps, schema),
            listen=listen,
        )
    )
    with protocol.checking() as connection:
        after, rows, checks = _validate(connection, promise, reached, backup)
    result = Deployment(
        act="rollback_prod",
        verdict="ROLLED BACK",
        run_id=run_id,
        target=backup.target,
        plan_id=plan.id,
        by=who(),
        started_at=started,
        finished_at=datetime.now(UTC),
        migrations=chosen.files,
        steps=done.steps,
        diff=compare(before, after),
        rows=rows,
        validation=checks,
        backup=backup.manifest,
        rollback=chosen.path,
        rollback_is_proven=True,
        transaction_id=done.transaction_id,
        commit_lsn=done.commit_lsn,
        notes=tuple(f"not brought back: {each}" for each in chosen.cannot_bring_back),
    )
    require_none_failed(checks, "rolled back", where=taken_back, then="look at what they name", result=result)
    return result


def _tried(
    settings: Settings, script: RollbackScript, steps: Sequence[Step], environment: str, approved: str
) -> tuple[Plan, Schema, Backup, SchemaPromise, Schema]:
    """Back the database up and run the script on a copy of it.

    Return the plan, the schema as it is, the backup, what the database has to be like then, and what the copy came to.
    """
    with open_environment(settings, environment) as connection:
        target = read_target(connection, environment)
        before = schema_of(settings, connection)
        _require_fitting(settings, connection, script, environment)
        plan_id = _identify(script, target, before)
        if approved and approved != plan_id:
            raise RefusedError(
                f"approved was {approved}; this rollback is {plan_id}",
                where=f"{script.path.name} on {environment}",
                next="look at what it reverts, and approve that ID if it is right",
            )
        backup = take_backup(settings, environment)
        with live.stage("run it on a copy"):
            pass_point(FaultPoint.ROLLBACK_REHEARSAL_BEGINS)
            start, reached = _rehearse(settings, connection, script, backup)
        steps = with_expected_locks(connection, steps)
    plan = Plan(plan_id, target, before.fingerprint, (), steps, act="rollback_prod", what=_in_words(script)[:1])
    return plan, before, backup, SchemaPromise(settings, start, before), reached


def _as_migration(script: RollbackScript) -> Migration:
    return Migration("", "rollback", script.path, script.sql, script.sha256)


def _validate(
    connection: Connection, promise: SchemaPromise, reached: Schema, backup: Backup
) -> tuple[Schema, tuple[RowChange, ...], tuple[Check, ...]]:
    after = schema_of(promise.settings, connection)
    pass_point(FaultPoint.VALIDATION_BEGINS)
    rows = rows_changed(backup.tables, count_rows(connection), layout_for(promise.settings).keeps_history_in)
    checks = (
        check_schema(promise, reached, after),
        *check_left_behind(connection),
        *check_rows([row for row in rows if row.after is not None], {}),  # the others the rollback itself drops
        check_sequences(connection),
    )
    return after, rows, checks


def plan_rollback(settings: Settings, script: str | Path = "", *, environment: str = PRODUCTION) -> Plan:
    """Return what a rollback by that script would do, with the id that approves it. Reads only: no copy is made.

    Raises:
        BackupError: there is no such script.
        RefusedError: it does not fit what is applied.
    """
    chosen = read_script(_find(settings, environment, script))
    (file,) = plan_files([_as_migration(chosen)])
    with open_environment(settings, environment) as connection:
        target, before = read_target(connection, environment), schema_of(settings, connection)
        _require_fitting(settings, connection, chosen, environment)
        if before.fingerprint != chosen.from_fingerprint:
            raise _changed_since(chosen, before)
        steps = with_expected_locks(connection, file.steps)
    return Plan(
        id=_identify(chosen, target, before),
        target=target,
        schema_fingerprint=before.fingerprint,
        migrations=(PlannedMigration("", "rollback", chosen.path.name, chosen.sha256),),
        steps=steps,
        act="rollback_prod",
        what=_in_words(chosen),
    )


def _identify(script: RollbackScript, target: Target, before: Schema) -> str:
    return identify(
        {
            "rollback": script.sha256,
            "target": {"system_identifier": target.system_identifier, "database": target.database},
            "schema": before.fingerprint,
        }
    )


def _in_words(script: RollbackScript) -> tuple[str, ...]:
    return (
        f"Rollback of {', '.join(script.files)}.",
        *(f"It does not bring back {each}." for each in script.cannot_bring_back),
    )


def _find(settings: Settings, environment: str, script: str | Path) -> Path:
    if script:
        path = Path(script)
        return path if path.is_absolute() else settings.folder / path
    folder = settings.path("backups") / environment
    scripts = sorted(folder.glob("rollback_*.sql"))
    if not scripts:
        raise BackupError(
            f"no rollback script of {environment}", where=str(folder), next="migrate_prod writes one before it deploys"
        )
    return scripts[-1]


def _require_fitting(settings: Settings, connection: Connection, script: RollbackScript, environment: str) -> None:
    if not script.is_proven:
        raise RefusedError(
            "this rollback script is not proven", where=str(script.path), next="use restore_prod instead"
        )
    if all(version.startswith(BY_COMMAND) for version in script.versions):
        return  # another tool's command did it, and keeps its own history; the schema must be the script's all the same
    applied = [each.version for each in read_history(settings, connection)]
    if missing := [file for version, file in zip(script.versions, script.files, strict=True) if version not in applied]:
        raise RefusedError(
            f"nothing to roll back: {', '.join(missing)} is not applied to {environment}",
            where=str(script.path),
            next="name the script of the deployment to roll back",
        )
    last = max(applied.index(version) for version in script.versions)
    if later := applied[last + 1 :]:
        raise RefusedError(
            f"migrations were applied after those: {', '.join(later)}",
            where=str(script.path),
            next="roll back the later deployments first, each by its own script",
        )


def _changed_since(script: RollbackScript, now: Schema) -> RefusedError:
    return RefusedError(
        "the database has changed since this script was made and proven",
        where=f"schema {now.fingerprint[:12]} now, {script.from_fingerprint[:12]} in {script.path.name}",
        next="generate a migration that takes the change back, or restore_prod",
    )


def _rehearse(settings: Settings, source: Connection, script: RollbackScript, backup: Backup) -> tuple[Schema, Schema]:
    require_unchanged(backup.full)
    with open_server_like(source, settings.scratch) as server:
        url = restore_copy(source, server, "copy", backup.full.path, jobs=settings.backup_jobs).url
        with connect(url, "the copy") as copy:
            start = schema_of(settings, copy)
            if start.fingerprint != script.from_fingerprint:
                raise _changed_since(script, start)
            try:
                run_on_copy(server, url_as(url, server, deploying_role(source)), script.path)
            except ToolError as error:
                raise RehearsalError(
                    f"the rollback script fails on a copy of the database as it is now: {error.what}",
                    where=f"{script.path} · {error.where or ''}",
                    next="data written since then prevents it; restore_prod restores the backup",
                ) from None
            reached = schema_of(settings, copy)
    if reached.fingerprint != script.to_fingerprint:
        raise RehearsalError(
            "the rollback script does not produce the expected schema",
            where=str(script.path),
            next="production was not touched; restore_prod restores the backup",
        )
    return start, reached


def _approve(
    settings: Settings, script: RollbackScript, plan: Plan, backup: Backup, given: str, ask: Ask | None
) -> None:
    what = ["Run on a copy just now.", *_in_words(script)]
    verb = f"rollback-prod {shlex.quote(str(script.path))}"
    own = backup.own_tables
    evidence = (
        ("Backed up", f"{sum(each.rows for each in own):,} rows in {counted(len(own), 'table')}, read back"),
        ("Rehearsed", "run on a copy just now: it leads to exactly the schema that it promises"),
    )
    about = About(plan, evidence, script.cannot_bring_back)
    approval = approve(plan.id, backup.target, given, "\n".join(what), verb=verb, ask=ask, about=about)
    # Anyone who wrote the migration may well take it back.
    everyone = settings.model_copy(update={"authors_may_approve": True})
    require_approvers(everyone, approval, verb=verb)
