"""migrate_prod: the safe deployment, step by step. Each step refuses to go before its turn, and stops all at a no."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import psycopg

from safemig import live
from safemig.errors import (
    DeploymentStoppedError,
    OutcomeUnknownError,
    RefusedError,
    RehearsalError,
    ReviewRefusedError,
    SafemigError,
    UnreachableError,
)
from safemig.operations.apart import run_apart
from safemig.operations.approval import Ask, approve
from safemig.operations.approvers import require_approvers
from safemig.operations.backup_prod import backup_prod
from safemig.operations.bookkeeping import Run
from safemig.operations.databases import open_environment, schema_of, who
from safemig.operations.execution import Listener, Segment, locks_up_front
from safemig.operations.plan import Situation, assess
from safemig.operations.preflight import preflight
from safemig.operations.rehearse import Rehearsed, rehearse_on_copy
from safemig.operations.review import review
from safemig.operations.transaction import Committed, commit_steps, deploying_connection, only_deployment
from safemig.operations.validation import (
    SchemaPromise,
    check_left_behind,
    check_rows,
    check_schema,
    check_sequences,
    count_rows,
    project_checks,
    rows_changed,
)
from safemig.postgres.connect import Connection, read_target, read_timeline
from safemig.postgres.history import make_history
from safemig.results import Approval, Backup, Deployment, Plan, Preflight, Rehearsal, Step, Validation
from safemig.review import Review, Verdict
from safemig.schema import Schema, compare
from safemig.settings import PRODUCTION, Settings
from safemig.views.numbers import counted

T = TypeVar("T")


class ProductionDeployment:
    """One deployment of what is pending, a method a step, in this order: `preflight`, `review`, `plan`, `backup`,
    `rehearse`, `approve`, `deploy`, `validate`.

    Guarantee: until `deploy` nothing is changed; `deploy` runs exactly the plan that was reviewed, rehearsed and
    approved, on the schema that they saw, or not at all.
    """

    def __init__(
        self,
        settings: Settings,
        environment: str = PRODUCTION,
        *,
        approve: str = "",
        accept: Sequence[str] = (),
        ask: Ask | None = None,
        listen: Listener | None = None,
    ) -> None:
        self.settings = settings.model_copy(update={"accept": (*settings.accept, *accept)})
        self.environment = environment
        self.run_id = secrets.token_hex(6)
        self._given = approve
        self._ask = ask
        self._listen = listen
        self._preflight: Preflight | None = None
        self._review: Review | None = None
        self._situation: Situation | None = None
        self._backup: Backup | None = None
        self._rehearsed: Rehearsed | None = None
        self._approval: Approval | None = None
        self._deployment: Deployment | None = None

    def preflight(self) -> Preflight:
        """Check everything that a deployment needs.

        Raises:
            RefusedError: a check said no; the message has all of them.
        """
        self._preflight = preflight(self.settings, self.environment)
        if not self._preflight.is_ready:
            failed = [check for check in self._preflight.checks if check.state == "failed"]
            raise RefusedError(
                f"NOT READY: {len(failed)} of {len(self._preflight.checks)} checks failed",
                where="; ".join(f"{check.name}: {check.found}" for check in failed),
                next=failed[0].fix or "correct it, then start again",
                result=self._preflight,
            )
        return self._preflight

    def review(self) -> Review:
        """Review what is pending; only SAFE TO DEPLOY lets it go on.

        Raises:
            ReviewRefusedError: findings stand; the message names them.
        """
        _needs(self._preflight, "preflight")
        self._review = review(self.settings, environment=self.environment)
        if self._review.verdict is not Verdict.SAFE:
            standing = self._review.standing
            raise ReviewRefusedError(
                f"{self._review.verdict}: {len(standing)} findings stand",
                where="; ".join(f"{each.file}:{each.line} {each.rule} {each.object}".strip() for each in standing[:5]),
                next='correct the migration, or accept each by name with a reason: accept = ["rule:object: reason"]',
                result=self._review,
            )
        return self._review

    def plan(self) -> Plan:
        """Bind what was reviewed to the database as it is now, by the plan's id.

        Raises:
            RefusedError: another plan was approved.
        """
        _needs(self._review, "review")
        with open_environment(self.settings, self.environment) as connection:
            self._situation = assess(self.settings, connection, self.environment)
        plan = self._situation.plan
        if self._given and self._given != plan.id:
            raise RefusedError(
                f"approved was plan {self._given}; what is pending now is plan {plan.id}",
                where=f"{self.environment}: migrations, schema or settings have changed since the approval",
                next="look at the new plan (safemig plan), and approve that one if it is right",
            )
        return plan

    def backup(self) -> Backup | None:
        """Back up the database in full (see `backup_prod`). From here on: None where nothing is pending."""
        if not _needs(self._situation, "plan").files:
            return None
        # A rehearsal with the data restores the backup and dumps it again; that proves more than to read it.
        self._backup = backup_prod(self.settings, self.environment, read=self.settings.rehearsal != "data")
        return self._backup

    def rehearse(self) -> Rehearsal | None:
        """Rehearse on a copy made from the backup, which proves that too; write the rollback script and run it there.

        Raises:
            RehearsalError: it failed on the copy, or the rollback script does not bring the schema back.
        """
        situation = _needs(self._situation, "plan")
        if not situation.files:
            return None
        backup = _needs(self._backup, "backup")
        script = backup.manifest.with_name(f"rollback_{backup.timestamp}.sql")
        with open_environment(self.settings, self.environment) as connection:
            self._rehearsed = rehearse_on_copy(self.settings, connection, situation, backup, script)
        rollback = self._rehearsed.result.rollback
        if rollback is None or not rollback.is_proven:
            raise RehearsalError(
                "the rollback script does not bring the schema back: "
                + "; ".join(rollback.remaining if rollback else ()),
                where=str(script),
                next="production was not touched; report this difference, or deploy in smaller migrations",
                result=self._rehearsed.result,
            )
        return self._rehearsed.result

    def approve(self) -> Approval | None:
        """Ask for the approval of the plan (see `approval.approve`).

        Raises:
            RefusedError: it was not given, an author gave it, or more are needed (by setting).
        """
        situation = _needs(self._situation, "plan")
        if not situation.files:
            return None
        rehearsed = _needs(self._rehearsed, "rehearse")
        gone = rehearsed.result.rollback.cannot_bring_back if rehearsed.result.rollback else ()
        steps, migrations = len(situation.plan.steps), len(situation.plan.migrations)
        what = [f"{counted(steps, 'step')} of {counted(migrations, 'migration')}, rehearsed."]
        what += [
            f"{row.table}: the content of {', '.join(row.changed)} changes."
            for row in rehearsed.result.rows
            if row.changed
        ]
        what += [f"A rollback cannot bring back {each}." for each in gone]
        self._approval = approve(
            situation.plan.id, situation.target, self._given, "\n".join(what), verb="migrate-prod", ask=self._ask
        )
        self._approval = require_approvers(
            self.settings,
            self._approval,
            verb="migrate-prod",
            files=[file.migration.path for file in situation.files],
        )
        return self._approval

    @live.act("deploy")
    def deploy(self) -> Deployment:
        """Run the plan, validate the schema inside the transaction, record it, and commit.

        Raises:
            RefusedError: the database is no longer as it was rehearsed, or another deployment is under way.
            DeploymentFailedError: it failed and was rolled back; nothing was changed.
            DeploymentStoppedError: a part is applied; the message says which and how to go on.
            OutcomeUnknownError: the server went away and its answer could not be learnt.
        """
        situation, started = _needs(self._situation, "plan"), datetime.now(UTC)
        conninfo = self.settings.conninfo(self.environment)
        if not situation.files:
            run = self._run_of(situation, started)
            with only_deployment(conninfo, self.environment, self.run_id), self._connection(conninfo) as connection:
                run.settle_earlier(connection)
            self._deployment = _nothing_to_deploy(situation, self.run_id, started)
            return self._deployment
        rehearsed, backup = _needs(self._rehearsed, "rehearse"), _needs(self._backup, "backup")
        approval, run = _needs(self._approval, "approve"), self._run_of(situation, started)
        done: list[Step] = []
        applied: list[str] = []
        last: Committed | None = None
        with only_deployment(conninfo, self.environment, self.run_id):
            with self._connection(conninfo) as connection:
                before = self._unchanged(connection, situation)
                run.settle_earlier(connection)
                make_history(connection)
            promise = SchemaPromise(self.settings, rehearsed.start, before)
            live.planned(situation.plan.steps)
            with run.noted():
                for number, (segment, reached) in enumerate(zip(situation.segments, rehearsed.reached, strict=True)):
                    try:
                        # A connection each: the one before may have been lost at its COMMIT, and that settled.
                        with self._connection(conninfo) as connection:
                            part = str(number + 1) if number else ""
                            validate = promise.validator(reached)
                            last = self._run(connection, conninfo, segment, rehearsed.result, validate, run, part)
                    except OutcomeUnknownError:
                        raise  # whether this part is applied is just what is not known
                    except SafemigError as error:
                        if applied:
                            raise _stopped(applied, segment, error) from error
                        raise
                    done += last.steps
                    applied += segment.names
        script = rehearsed.result.rollback
        self._deployment = Deployment(
            act="migrate_prod",
            verdict="DEPLOYED",
            run_id=self.run_id,
            target=situation.target,
            plan_id=situation.plan.id,
            by=approval.by,
            started_at=started,
            finished_at=datetime.now(UTC),
            migrations=tuple(applied),
            steps=_with_locks(done, rehearsed.result.steps),
            diff=rehearsed.result.diff,  # proven the same before each COMMIT
            backup=backup.manifest,
            rollback=script.path if script else None,
            rollback_is_proven=bool(script and script.is_proven),
            transaction_id=last.transaction_id if last else "",
            commit_lsn=last.commit_lsn if last else "",
        )
        return self._deployment

    @live.act("validate")
    def validate(self) -> Validation | None:
        """Check the result from a new connection: schema, indexes, constraints, rows, sequences, the project's checks.

        Raises:
            DeploymentStoppedError: it is deployed, and a check says no; the message says how to roll back.
        """
        situation, deployment = _needs(self._situation, "plan"), _needs(self._deployment, "deploy")
        if not situation.files:
            return None
        rehearsed, backup = _needs(self._rehearsed, "rehearse"), _needs(self._backup, "backup")
        try:
            result = self._validated(situation, rehearsed, backup)
        except (UnreachableError, psycopg.Error) as error:
            raise DeploymentStoppedError(
                f"deployed, but not validated: {error}",
                where=f"applied: {', '.join(deployment.migrations)}",
                next="safemig status, when the server answers again",
            ) from None
        self._deployment = replace(deployment, validation=result.checks, rows=result.rows)
        if not result.is_valid:
            failed = [check for check in result.checks if check.state == "failed"]
            raise DeploymentStoppedError(
                f"deployed, but {len(failed)} checks after it say no: "
                + "; ".join(f"{check.name}: {check.found}" for check in failed),
                where=f"applied: {', '.join(deployment.migrations)}",
                next=f"safemig rollback-prod {deployment.rollback}",
                result=result,
            )
        return result

    def result(self) -> Deployment:
        """Return the deployment with its validation: what the record is about."""
        return _needs(self._deployment, "deploy")

    def _run_of(self, situation: Situation, started: datetime) -> Run:
        return Run(
            settings=self.settings,
            act="migrate_prod",
            environment=self.environment,
            run_id=self.run_id,
            plan_id=situation.plan.id,
            started_at=started,
            schema_before=situation.plan.schema_fingerprint,
        )

    def _unchanged(self, connection: Connection, situation: Situation) -> Schema:
        """Return the schema as it is now; it must be the one that was planned for."""
        timeline, target = read_timeline(connection), read_target(connection, self.environment)
        if (target.system_identifier, timeline) != (situation.target.system_identifier, situation.timeline):
            raise RefusedError(
                f"{self.environment} is another server than the one that was backed up: a standby was promoted since",
                where=f"system {situation.target.system_identifier}, timeline {situation.timeline}; "
                f"now {target.system_identifier}, timeline {timeline}",
                next="start again: what the new primary holds must be backed up and rehearsed",
            )
        now = schema_of(self.settings, connection)
        if now.fingerprint == situation.plan.schema_fingerprint:
            return now
        changes = compare(situation.schema, now).changes
        raise RefusedError(
            f"{self.environment} has changed since the plan was made",
            where=", ".join(f"{change.action} {change.kind} {change.name}" for change in changes[:5]),
            next="start again: the new plan must be rehearsed and approved",
        )

    def _validated(self, situation: Situation, rehearsed: Rehearsed, backup: Backup) -> Validation:
        with open_environment(self.settings, self.environment) as connection:
            promise = SchemaPromise(self.settings, rehearsed.start, situation.schema)
            rows = rows_changed(backup.tables, count_rows(connection))
            return Validation(
                situation.target,
                (
                    check_schema(promise, rehearsed.reached[-1], schema_of(self.settings, connection)),
                    *check_left_behind(connection),
                    *check_rows(rows, {row.table: row for row in rehearsed.result.rows}),
                    check_sequences(connection),
                    *project_checks(self.settings, connection),
                ),
                rows,
            )

    def _connection(self, conninfo: str) -> AbstractContextManager[Connection]:
        return deploying_connection(self.settings, conninfo, self.environment, self.run_id)

    def _run(
        self,
        connection: Connection,
        conninfo: str,
        segment: Segment,
        rehearsal: Rehearsal,
        validate: Callable[[Connection], Schema],
        run: Run,
        part: str,
    ) -> Committed:
        apart = () if segment.transactional else run_apart(run, connection, conninfo, segment, self._listen)
        numbers = {step.number for step in segment.steps if segment.transactional and rehearsal.mode == "data"}
        rehearsed = [step for step in rehearsal.steps if step.number in numbers]
        committed = commit_steps(
            run,
            connection,
            conninfo,
            segment.steps if segment.transactional else (),
            part=part,
            locks=locks_up_front(connection, rehearsed),
            validate=validate,
            record=lambda connection, steps, schema: run.record_segment(
                connection, segment, (*apart, *steps), schema, part
            ),
            listen=self._listen,
        )
        return replace(committed, steps=(*apart, *committed.steps))


def migrate_prod(
    settings: Settings,
    environment: str = PRODUCTION,
    *,
    approve: str = "",
    accept: Sequence[str] = (),
    ask: Ask | None = None,
    listen: Listener | None = None,
) -> Deployment:
    """Deploy what is pending: every step of `ProductionDeployment`, in order. Stops at the first that says no."""
    run = ProductionDeployment(settings, environment, approve=approve, accept=accept, ask=ask, listen=listen)
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve, run.deploy, run.validate):
        step()
    return run.result()


def _needs(fact: T | None, step: str) -> T:
    if fact is None:
        raise RefusedError(f"not before its turn: {step}() comes first", next=f"run {step}()")
    return fact


def _with_locks(done: Sequence[Step], rehearsed: Sequence[Step]) -> tuple[Step, ...]:
    # Read on the copy after every statement; on production nobody is made to wait for that.
    seen = {step.number: step for step in rehearsed}
    return tuple(
        replace(step, locks=seen[step.number].locks, rewrites=seen[step.number].rewrites, scans=seen[step.number].scans)
        for step in done
    )


def _nothing_to_deploy(situation: Situation, run_id: str, started: datetime) -> Deployment:
    return Deployment(
        act="migrate_prod",
        verdict="NOTHING TO DEPLOY",
        run_id=run_id,
        target=situation.target,
        plan_id=situation.plan.id,
        by=who(),
        started_at=started,
        finished_at=datetime.now(UTC),
        migrations=(),
        steps=(),
    )


def _stopped(applied: Sequence[str], segment: Segment, error: SafemigError) -> DeploymentStoppedError:
    return DeploymentStoppedError(
        f"stopped part-way at {', '.join(segment.names)}: {error.what}",
        where=f"applied: {', '.join(applied)}; not applied: from {segment.names[0]} on"
        + (f" ({error.where})" if error.where else ""),
        next="correct the cause, then safemig migrate-prod: what is applied is not run again",
    )
