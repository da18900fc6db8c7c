"""What a safe deployment is, whoever runs the migrations: safemig (`migrate_prod`) or a tool's command (`--run`).

Each step refuses to go before its turn, and stops all at a no.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, TypeVar

from safemig import live
from safemig.approval.approve import Ask, approve
from safemig.approval.approvers import require_approvers
from safemig.approval.plan import Situation
from safemig.approval.rehearsed_rights import approves, require_as_named, what_changed
from safemig.errors import RefusedError, RehearsalError, UnreachableError, explaining_files
from safemig.execution.protocol import Protocol
from safemig.execution.transaction import Committed
from safemig.execution.validation import SchemaPromise, require_none_failed
from safemig.operations.backup_prod import take_backup
from safemig.operations.rehearse import Rehearsed
from safemig.operations.rights import in_words as about_rights
from safemig.operations.segments import Applied
from safemig.operations.try_statements import in_words as about_statements
from safemig.operations.try_statements import require_none_standing
from safemig.operations.validate_deployment import validate_deployment
from safemig.results import Approval, Backup, Deployment, Plan, Preflight, Rehearsal, Step, Validation
from safemig.schema import Schema
from safemig.settings import Settings, command_on
from safemig.views.numbers import counted

T = TypeVar("T")


@explaining_files
class DeploymentSteps:
    """One deployment, a method a step, in the order of `steps`. What it runs, and how, is its subclass's.

    Guarantee: until `deploy` safemig only reads the database.
    """

    steps: ClassVar = ("preflight", "review", "plan", "backup", "rehearse", "approve", "deploy", "validate")

    def __init__(
        self, settings: Settings, environment: str, *, approve: str, accept: Sequence[str], ask: Ask | None
    ) -> None:
        self.settings = settings.model_copy(update={"accept": (*settings.accept, *accept)})
        self.environment = environment
        self.run_id = secrets.token_hex(6)
        self._given = approve
        self._ask = ask
        self._preflight: Preflight | None = None
        self._situation: Situation | None = None
        self._backup: Backup | None = None
        self._rehearsed: Rehearsed | None = None
        self._approval: Approval | None = None
        self._before: Schema | None = None
        self._deployment: Deployment | None = None

    def go(self) -> Deployment:
        """Take every step, in order; the first that says no stops it."""
        for step in self.steps:
            getattr(self, step)()
        return self.result()

    def result(self) -> Deployment:
        """Return the deployment with its validation: what the record is about."""
        return needs(self._deployment, "deploy")

    def backup(self) -> Backup | None:
        """Back up the database in full (see `take_backup`). From here on: None where nothing is pending."""
        if self._has_nothing_to_run():
            return None
        # A rehearsal with the data restores the backup and dumps it again; that proves more than to read it.
        self._backup = take_backup(self.settings, self.environment, read=not self.settings.restores_for_rehearsal)
        return self._backup

    @live.act("validate")
    def validate(self) -> Validation | None:
        """Check the result from a new connection: schema, indexes, constraints, rows, sequences, the project's checks.

        Raises:
            DeploymentStoppedError: it is deployed, and a check says no; the message says how to roll back.
        """
        deployment = needs(self._deployment, "deploy")
        if self._has_nothing_to_run():
            return None
        situation, rehearsed, backup = (
            self._planned(),
            needs(self._rehearsed, "rehearse"),
            needs(self._backup, "backup"),
        )
        what = self._what_was_run()
        with self._protocol(situation, deployment.started_at).checking(what) as connection:
            promise = SchemaPromise(self.settings, rehearsed.start, self._before or situation.schema)
            ran = [file.migration for file in situation.files]
            result = validate_deployment(connection, situation.target, promise, rehearsed, backup, ran)
        self._deployment = replace(deployment, validation=result.checks, rows=result.rows)
        roll_back = command_on(self.environment, "rollback-prod", str(deployment.rollback))
        require_none_failed(result.checks, "deployed", where=what, then=roll_back, result=result)
        return result

    def _planned(self) -> Situation:
        return needs(self._situation, "plan")

    def _has_nothing_to_run(self) -> bool:
        self._planned()
        return False

    def _protocol(self, situation: Situation, started: datetime) -> Protocol:
        raise NotImplementedError

    def _what_was_run(self) -> str:
        raise NotImplementedError

    def _require_ready(self, found: Preflight) -> Preflight:
        self._preflight = found
        return require_ready(found)

    def _bind(self, situation: Situation, plan: Plan, *, verb: str, files: str = "files") -> Plan:
        """Keep the plan of the situation under the id that was approved, if it is that one."""
        if self._given and not approves(self._given, plan):
            raise RefusedError(
                f"approved was plan {self._given}; what is pending now is plan {plan.id}",
                where=f"{self.environment}: {what_changed(self._given, plan, files=files)} since the approval",
                next=f"look at the new plan ({verb}), and approve that one if it is right",
            )
        self._situation = replace(situation, plan=replace(plan, id=self._given or plan.id))
        return self._situation.plan

    def _rollback_script(self) -> Path:
        backup = needs(self._backup, "backup")
        return backup.manifest.with_name(f"rollback_{backup.timestamp}.sql")

    def _approved(self, opening: str, *, verb: str) -> Approval:
        """Ask for the approval of what was rehearsed, which is said in words first (see `approval.approve`)."""
        situation, result = self._planned(), needs(self._rehearsed, "rehearse").result
        what = [opening]
        what += [
            f"{row.table}: the content of {', '.join(row.changed)} changes{row.by and f', by {row.by}'}."
            for row in result.rows
            if row.changed
        ]
        what += about_rights(result.rights) if result.rights else []
        what += about_statements(result.workload) if result.workload else []
        what += [f"Not rehearsed: {each}." for each in result.exceptions]
        gone = result.rollback.cannot_bring_back if result.rollback else ()
        what += [f"A rollback cannot bring back {each}." for each in gone]
        given = approve(situation.plan.id, situation.target, self._given, "\n".join(what), verb=verb, ask=self._ask)
        files = [file.migration.path for file in situation.files]
        self._approval = require_approvers(self.settings, given, verb=verb, files=files)
        return self._approval

    def _deployed(
        self,
        started: datetime,
        done: Applied | Committed,
        *,
        migrations: tuple[str, ...],
        steps: tuple[Step, ...],
        notes: tuple[str, ...],
    ) -> Deployment:
        """Say what was deployed. Its changes of the schema are the rehearsal's: proven the same before each COMMIT."""
        situation, result = self._planned(), needs(self._rehearsed, "rehearse").result
        self._deployment = Deployment(
            act="migrate_prod",
            verdict="DEPLOYED",
            run_id=self.run_id,
            target=situation.target,
            plan_id=situation.plan.id,
            by=needs(self._approval, "approve").by,
            started_at=started,
            finished_at=datetime.now(UTC),
            migrations=migrations,
            steps=steps,
            diff=result.diff,
            backup=needs(self._backup, "backup").manifest,
            rollback=result.rollback.path if result.rollback else None,
            rollback_is_proven=bool(result.rollback and result.rollback.is_proven),
            transaction_id=done.transaction_id,
            commit_lsn=done.commit_lsn,
            notes=notes,
            rights=result.rights,
        )
        return self._deployment


def require_ready(found: Preflight) -> Preflight:
    """Return a pre-flight of which no check says no.

    Raises:
        RefusedError: one does.
        UnreachableError: there was no database to check.
    """
    if not found.is_ready:
        failed = [check for check in found.checks if check.state == "failed"]
        kind = RefusedError if found.is_reached else UnreachableError
        raise kind(
            f"NOT READY: {len(failed)} of {len(found.checks)} checks failed",
            where="; ".join(f"{check.name}: {check.found}" for check in failed),
            next=failed[0].fix or "correct it, then start again",
            result=found,
        )
    return found


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


def needs(fact: T | None, step: str) -> T:
    """Return what an earlier step found.

    Raises:
        RefusedError: that step was not taken yet.
    """
    if fact is None:
        raise RefusedError(f"not yet: {step}() comes first", next=f"run {step}()")
    return fact
