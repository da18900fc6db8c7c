"""migrate_prod: the safe deployment, step by step. Each step refuses to go before its turn, and stops all at a no."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from safemig import live
from safemig.approval.approve import Ask, approve
from safemig.approval.approvers import require_approvers
from safemig.approval.plan import Situation, assess
from safemig.approval.rehearsed_rights import approves, require_as_named, what_changed, with_rehearsed_rights
from safemig.errors import (
    RefusedError,
    RehearsalError,
    ReviewRefusedError,
    UnreachableError,
    UnreadTargetError,
    explaining_files,
)
from safemig.execution.environment import open_environment
from safemig.execution.protocol import Protocol
from safemig.execution.resume import left_invalid
from safemig.execution.run import Run
from safemig.execution.steps import Listener
from safemig.execution.validation import SchemaPromise, require_none_failed
from safemig.fault_points import FaultPoint, pass_point
from safemig.identity import who
from safemig.operations.backup_prod import take_backup
from safemig.operations.preflight import preflight
from safemig.operations.rehearse import Rehearsed, rehearse_on_copy
from safemig.operations.review import review
from safemig.operations.rights import in_words
from safemig.operations.segments import deploy_segments, trail_of
from safemig.operations.try_statements import in_words as about_statements
from safemig.operations.try_statements import require_none_standing
from safemig.operations.validate_deployment import validate_deployment
from safemig.postgres import resumable
from safemig.results import Approval, Backup, Deployment, Plan, Preflight, Rehearsal, Validation
from safemig.review import Review, Verdict
from safemig.schema import Schema
from safemig.settings import PRODUCTION, Settings
from safemig.views.numbers import counted

T = TypeVar("T")


@explaining_files
class ProductionDeployment:
    """One deployment of what is pending, a method a step, in this order: `preflight`, `review`, `plan`, `backup`,
    `rehearse`, `approve`, `deploy`, `validate`.

    Guarantee: until `deploy` nothing is changed; `deploy` runs exactly the plan that was reviewed, rehearsed and
    approved, on the schema that they saw, or not at all. With `resume`, the id of a deployment that stopped part-way
    or of its plan, that is what is left of it; statements of it that ran are not run again.
    """

    def __init__(
        self,
        settings: Settings,
        environment: str = PRODUCTION,
        *,
        approve: str = "",
        accept: Sequence[str] = (),
        resume: str = "",
        ask: Ask | None = None,
        listen: Listener | None = None,
    ) -> None:
        self.settings = settings.model_copy(update={"accept": (*settings.accept, *accept)})
        self.environment = environment
        self.run_id = secrets.token_hex(6)
        self._given = approve
        self._resume = resume
        self._ask = ask
        self._listen = listen
        self._preflight: Preflight | None = None
        self._files_make: dict[str, str] = {}
        self._review: Review | None = None
        self._situation: Situation | None = None
        self._backup: Backup | None = None
        self._rehearsed: Rehearsed | None = None
        self._approval: Approval | None = None
        self._before: Schema | None = None
        self._deployment: Deployment | None = None

    def preflight(self) -> Preflight:
        """Check everything that a deployment needs.

        Raises:
            RefusedError: a check said no; the message has all of them.
        """
        pass_point(FaultPoint.PREFLIGHT_BEGINS)
        self._preflight = preflight(self.settings, self.environment, found_out=self._files_make)
        pass_point(FaultPoint.PREFLIGHT_DONE)
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
        pass_point(FaultPoint.REVIEW_BEGINS)
        try:
            self._review = review(self.settings, environment=self.environment)
        except UnreadTargetError as error:  # checks were made: the database went away since
            raise UnreachableError(
                error.what, where=error.where, next="make it reachable, then run this again"
            ) from None
        if self._resume and (left := self._left_invalid(self._review)):
            self._review = review(self.settings, environment=self.environment, accept=left)
        if self._review.verdict not in (Verdict.SAFE, Verdict.NOTHING):  # with nothing pending, nothing is changed
            standing = self._review.standing
            raise ReviewRefusedError(
                f"{self._review.verdict}: {len(standing)} findings stand",
                where="; ".join(f"{each.file}:{each.line} {each.rule} {each.object}".strip() for each in standing[:5]),
                next=self._way_on(self._review),
                result=self._review,
            )
        return self._review

    def _way_on(self, made: Review) -> str:
        """Return what to do about findings that stand: first to go on with a deployment that stopped part-way."""
        if not self._resume:
            with open_environment(self.settings, self.environment) as connection:
                if stopped := resumable.stopped(connection):
                    return f"deployment {stopped[0]} stopped part-way; safemig migrate-prod --resume {stopped[0]} continues it"
        return made.way_on

    @live.act("plan")
    def plan(self) -> Plan:
        """Bind what was reviewed to the database as it is now, by the plan's id.

        Raises:
            RefusedError: another plan was approved, or the deployment to go on with is not to be gone on with.
        """
        _needs(self._review, "review")
        with open_environment(self.settings, self.environment) as connection:
            situation = assess(self.settings, connection, self.environment, resume=self._resume)
        plan = situation.plan
        if not self._resume:
            plan = with_rehearsed_rights(self.settings, self.environment, plan)
        if self._given and not approves(self._given, plan):
            raise RefusedError(
                f"approved was plan {self._given}; what is pending now is plan {plan.id}",
                where=f"{self.environment}: {what_changed(self._given, plan)} since the approval",
                next="look at the new plan (safemig plan), and approve that one if it is right",
            )
        self._situation = replace(situation, plan=replace(plan, id=self._given or plan.id))
        return self._situation.plan

    def backup(self) -> Backup | None:
        """Back up the database in full (see `take_backup`). From here on: None where nothing is pending."""
        if not _needs(self._situation, "plan").files:
            return None
        # A rehearsal with the data restores the backup and dumps it again; that proves more than to read it.
        self._backup = take_backup(self.settings, self.environment, read=not self.settings.restores_for_rehearsal)
        return self._backup

    def rehearse(self) -> Rehearsal | None:
        """Rehearse on a copy made from the backup, which proves that too; write the rollback script and run it there.

        Raises:
            RehearsalError: it failed on the copy, the rollback script does not bring the schema back, roles gain or
                lose something else than the plan names, or a finding about rights or the application's statements stands.
        """
        situation = _needs(self._situation, "plan")
        if not situation.files:
            return None
        backup = _needs(self._backup, "backup")
        script = backup.manifest.with_name(f"rollback_{backup.timestamp}.sql")
        with open_environment(self.settings, self.environment) as connection:
            self._rehearsed = rehearse_on_copy(self.settings, connection, situation, backup, script, self._files_make)
        require_rehearsed(self._rehearsed.result, script, situation.plan)
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
        verb = f"migrate-prod --resume {self._resume}" if self._resume else "migrate-prod"
        gone = rehearsed.result.rollback.cannot_bring_back if rehearsed.result.rollback else ()
        steps, migrations = len(situation.plan.steps), len(situation.plan.migrations)
        what = [f"{counted(steps, 'step')} of {counted(migrations, 'migration')}, rehearsed."]
        what += [
            f"{row.table}: the content of {', '.join(row.changed)} changes{row.by and f', by {row.by}'}."
            for row in rehearsed.result.rows
            if row.changed
        ]
        what += in_words(rehearsed.result.rights) if rehearsed.result.rights else []
        what += about_statements(rehearsed.result.workload) if rehearsed.result.workload else []
        what += [f"Not rehearsed: {each}." for each in rehearsed.result.exceptions]
        what += [f"A rollback cannot bring back {each}." for each in gone]
        self._approval = approve(
            situation.plan.id, situation.target, self._given, "\n".join(what), verb=verb, ask=self._ask
        )
        self._approval = require_approvers(
            self.settings,
            self._approval,
            verb=verb,
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
            OutcomeUnknownError: the server went away and its answer could not be learned.
        """
        situation, started = _needs(self._situation, "plan"), datetime.now(UTC)
        if not situation.files:
            with self._protocol(situation, started).alone():
                pass  # what was cut off earlier is settled
            self._deployment = _nothing_to_deploy(situation, self.run_id, started)
            return self._deployment
        rehearsed, backup = _needs(self._rehearsed, "rehearse"), _needs(self._backup, "backup")
        approval, protocol = _needs(self._approval, "approve"), self._protocol(situation, started)
        done, self._before = deploy_segments(protocol, situation, rehearsed, self._listen)
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
            migrations=done.applied,
            steps=done.steps,
            diff=rehearsed.result.diff,  # proven the same before each COMMIT
            backup=backup.manifest,
            rollback=script.path if script else None,
            rollback_is_proven=bool(script and script.is_proven),
            transaction_id=done.transaction_id,
            commit_lsn=done.commit_lsn,
            notes=_gone_on(situation),
            rights=rehearsed.result.rights,
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
        applied = f"applied: {', '.join(deployment.migrations)}"
        with self._protocol(situation, deployment.started_at).checking(applied) as connection:
            promise = SchemaPromise(self.settings, rehearsed.start, self._before or situation.schema)
            result = validate_deployment(connection, situation.target, promise, rehearsed, backup)
        self._deployment = replace(deployment, validation=result.checks, rows=result.rows)
        roll_back = f"safemig rollback-prod {deployment.rollback}"
        require_none_failed(result.checks, "deployed", where=applied, then=roll_back, result=result)
        return result

    def result(self) -> Deployment:
        """Return the deployment with its validation: what the record is about."""
        return _needs(self._deployment, "deploy")

    def _left_invalid(self, found: Review) -> list[str]:
        """Return the acceptance of the index that the deployment to go on with left invalid: it is rebuilt."""
        with open_environment(self.settings, self.environment) as connection:
            index = left_invalid(self.settings, connection, self._resume)
        return [
            f"{each.rule}:{each.object}: left by deployment {self._resume}, removed before it is rebuilt"
            for each in found.standing
            if each.rule == "index-invalid" and index and each.object.rpartition(".")[2].strip('"') == index
        ]

    def _protocol(self, situation: Situation, started: datetime) -> Protocol:
        run = Run(
            settings=self.settings,
            act="migrate_prod",
            environment=self.environment,
            run_id=self.run_id,
            plan_id=situation.plan.id,
            started_at=started,
            schema_before=situation.plan.schema_fingerprint,
            trail=trail_of(self.settings, situation, self.run_id),
            files_make=self._rehearsed.files_make if self._rehearsed else None,
        )
        names = ", ".join(file.migration.file for file in situation.files)
        go_on = f"safemig migrate-prod --resume {run.trail.begun_as.run_id}" if run.trail else ""
        return Protocol(run, "deployed", f"run {self.run_id}: {names}", go_on=go_on)


def migrate_prod(
    settings: Settings,
    environment: str = PRODUCTION,
    *,
    approve: str = "",
    accept: Sequence[str] = (),
    resume: str = "",
    ask: Ask | None = None,
    listen: Listener | None = None,
) -> Deployment:
    """Deploy what is pending: every step of `ProductionDeployment`, in order. Stops at the first that says no."""
    run = ProductionDeployment(
        settings, environment, approve=approve, accept=accept, resume=resume, ask=ask, listen=listen
    )
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve, run.deploy, run.validate):
        step()
    return run.result()


def require_rehearsed(result: Rehearsal, script: Path, plan: Plan | None = None) -> None:
    """Look whether a rehearsal lets a deployment go on; `plan` is one that names the rights that change.

    Raises:
        RehearsalError: the rollback script does not bring the schema back, roles gain or lose something else than the
            plan names, or a finding about rights or the application's statements stands.
    """
    rollback = result.rollback
    if rollback is None or not rollback.is_proven:
        raise RehearsalError(
            "the rollback script does not bring the schema back: " + "; ".join(rollback.remaining if rollback else ()),
            where=str(script),
            next="production was not touched; report this difference, or deploy in smaller migrations",
            result=result,
        )
    rights = result.rights
    if plan is not None:
        require_as_named(plan, rights, result)
    if rights and rights.standing:
        first = rights.standing[0]
        raise RehearsalError(
            f"{counted(len(rights.standing), 'finding')} about rights: "
            + "; ".join(f"{each.rule} {each.object}: {each.message}" for each in rights.standing[:5]),
            where="production was not touched",
            next=f"{first.safer.splitlines()[0]} (in the migration), "
            f'or accept = ["{first.rule}:{first.object}: reason"]',
            result=result,
        )
    require_none_standing(result)


def _needs(fact: T | None, step: str) -> T:
    if fact is None:
        raise RefusedError(f"not yet: {step}() comes first", next=f"run {step}()")
    return fact


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


def _gone_on(situation: Situation) -> tuple[str, ...]:
    if situation.resumes is None:
        return ()
    ran = [f"{step.file}, line {step.line}" for file in situation.files for step in file.ran]
    what = f"; it had run {'; '.join(ran)}" if ran else ""
    return (f"continues deployment {situation.resumes.run_id} of plan {situation.resumes.plan_id}{what}",)
