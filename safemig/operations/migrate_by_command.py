"""migrate_prod --run: the steps of a safe deployment around another tool's own command."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import psycopg

from safemig import live
from safemig.approval.approve import Ask, approve
from safemig.approval.approvers import require_approvers
from safemig.approval.plan import Situation
from safemig.approval.rehearsed_rights import (
    approves,
    basis_of,
    require_as_named,
    what_changed,
    with_rehearsed_rights,
)
from safemig.copies.observed import NOT_OBSERVED
from safemig.errors import (
    DeploymentFailedError,
    DeploymentStoppedError,
    OutcomeUnknownError,
    RefusedError,
    RehearsalError,
    ReviewRefusedError,
    SafemigError,
    UnreachableError,
    explaining_files,
    words_of_fault,
)
from safemig.execution.command import Ran, environment_for, run_command
from safemig.execution.environment import open_environment, schema_of
from safemig.execution.protocol import Protocol
from safemig.execution.run import Run
from safemig.execution.transaction import Transaction
from safemig.execution.validation import (
    SchemaPromise,
    require_none_failed,
)
from safemig.operations.backup_prod import take_backup
from safemig.operations.by_command import (
    ONE_TRANSACTION_IT_IS_NOT,
    Command,
    histories_as_they_are,
    rehearsed_command,
    situation_of,
)
from safemig.operations.preflight import preflight
from safemig.operations.rehearse import Rehearsed
from safemig.operations.rights import in_words
from safemig.operations.segments import require_unchanged
from safemig.operations.try_statements import in_words as about_statements
from safemig.operations.try_statements import require_none_standing
from safemig.operations.validate_deployment import validate_deployment
from safemig.postgres.connection import Connection
from safemig.postgres.history import make_own_history
from safemig.postgres.target_facts import read_target_facts
from safemig.results import Approval, Backup, Deployment, Plan, Preflight, Rehearsal, Step, Validation
from safemig.review import Acceptance, Evidence, Review, Verdict
from safemig.review import review as review_sources
from safemig.review.engine import CANNOT_BE_WRITTEN
from safemig.schema import Schema
from safemig.settings import PRODUCTION, Settings
from safemig.sql import SourceFile
from safemig.views.numbers import counted

T = TypeVar("T")


@explaining_files
class CommandDeployment:
    """One deployment by a command, a method a step, in the order of `ProductionDeployment`.

    Guarantee: until `deploy` production is only read, by safemig; `deploy` runs exactly the command that was rehearsed
    and approved, with the files that it had then, on the schema that the rehearsal saw, or not at all.
    """

    def __init__(
        self,
        settings: Settings,
        command: Command,
        environment: str = PRODUCTION,
        *,
        approve: str = "",
        accept: Sequence[str] = (),
        ask: Ask | None = None,
    ) -> None:
        self.settings = settings.model_copy(update={"accept": (*settings.accept, *accept)})
        self.environment = environment
        self.command = command
        self.run_id = secrets.token_hex(6)
        self._given = approve
        self._ask = ask
        self._preflight: Preflight | None = None
        self._situation: Situation | None = None
        self._backup: Backup | None = None
        self._rehearsed: Rehearsed | None = None
        self._review: Review | None = None
        self._approval: Approval | None = None
        self._before: Schema | None = None
        self._deployment: Deployment | None = None

    def preflight(self) -> Preflight:
        """Check everything that a deployment needs, but for what only migration files tell.

        Raises:
            RefusedError: a check said no; the message has all of them.
        """
        self._preflight = preflight(self.settings, self.environment, by_command=True)
        if not self._preflight.is_ready:
            failed = [check for check in self._preflight.checks if check.state == "failed"]
            raise RefusedError(
                f"NOT READY: {len(failed)} of {len(self._preflight.checks)} checks failed",
                where="; ".join(f"{check.name}: {check.found}" for check in failed),
                next=failed[0].fix or "correct it, then start again",
                result=self._preflight,
            )
        return self._preflight

    def review(self) -> None:
        """Leave the review for the rehearsal, which sees the statements: a program has no SQL to read before it."""
        _needs(self._preflight, "preflight")

    def plan(self) -> Plan:
        """Bind the command and its files to the database as it is now, by the plan's id.

        Raises:
            RefusedError: another plan was approved.
        """
        _needs(self._preflight, "preflight")
        with open_environment(self.settings, self.environment) as connection:
            situation = situation_of(self.settings, connection, self.environment, self.command)
        plan = with_rehearsed_rights(self.settings, self.environment, situation.plan)
        if self._given and not approves(self._given, plan):
            raise RefusedError(
                f"approved was plan {self._given}; the command's plan is now {plan.id}",
                where=f"{self.environment}: {what_changed(self._given, plan, files='files, command')} since the approval",
                next=f"look at the new plan, and approve that one if it is right: safemig plan {self._options}",
            )
        self._situation = replace(situation, plan=replace(plan, id=self._given or plan.id))
        return self._situation.plan

    @property
    def _options(self) -> str:
        down = f' --run-down "{self.command.down}"' if self.command.down else ""
        return f'--run "{self.command.up}"{down}'

    def backup(self) -> Backup:
        """Back up the database in full (see `take_backup`)."""
        _needs(self._situation, "plan")
        self._backup = take_backup(self.settings, self.environment, read=not self.settings.restores_for_rehearsal)
        return self._backup

    def rehearse(self) -> Rehearsal:
        """Run the command on a copy made from the backup; review the statements that it sent; prove the way back.

        Raises:
            RehearsalError: it failed on the copy, the rollback script does not bring the schema back, or a finding stands.
            ReviewRefusedError: findings stand about its statements; the message names them.
        """
        situation, backup = _needs(self._situation, "plan"), _needs(self._backup, "backup")
        script = backup.manifest.with_name(f"rollback_{backup.timestamp}.sql")
        with open_environment(self.settings, self.environment) as connection:
            self._rehearsed = rehearsed_command(self.settings, connection, situation, backup, script, self.command)
        result = self._rehearsed.result
        require_as_named(situation.plan, result.rights, result)
        if result.rollback is None or not result.rollback.is_proven:
            raise RehearsalError(
                "the rollback script does not bring the schema back: "
                + "; ".join(result.rollback.remaining if result.rollback else ()),
                where=str(script),
                next="production was not touched; report this difference, or deploy in smaller migrations",
                result=result,
            )
        if result.rights and result.rights.standing:
            first = result.rights.standing[0]
            raise RehearsalError(
                f"{counted(len(result.rights.standing), 'finding')} about rights: {first.rule} {first.object}: {first.message}",
                where="production was not touched",
                next=f'{first.safer.splitlines()[0]} (in the migration), or accept = ["{first.rule}:{first.object}: reason"]',
                result=result,
            )
        require_none_standing(result)
        self._review = self.reviewed(result.steps, observed=NOT_OBSERVED not in result.exceptions)
        if self._review.verdict not in (Verdict.SAFE, Verdict.NOTHING):
            standing = self._review.standing
            raise ReviewRefusedError(
                f"{self._review.verdict}: {counted(len(standing), 'finding')} about the command's statements",
                where="; ".join(f"{each.rule} {each.object}: {each.message}".strip() for each in standing[:5]),
                next=self._review.way_on,
                result=self._review,
            )
        return result

    def reviewed(self, steps: Sequence[Step], *, observed: bool = True) -> Review:
        """Review statements that the command sent to the copy, against what production holds.

        Of those that nobody observed there is one finding, `not-written-as-sql`, which a person has to accept.
        """
        with open_environment(self.settings, self.environment) as connection:
            facts = read_target_facts(connection, self.environment)
        sql = "".join(f"{step.sql.rstrip(';')};\n" for step in steps if not step.kind.startswith("statement that"))
        if not observed:
            sql += f"-- {CANNOT_BE_WRITTEN}\n"
        return review_sources(
            [SourceFile(self.command.up, sql)] if sql else [],
            target=facts,
            accept=[Acceptance.parse(each) for each in self.settings.accept],
            evidence=Evidence(self.environment),
        )

    def approve(self) -> Approval:
        """Ask for the approval of the plan (see `approval.approve`).

        Raises:
            RefusedError: it was not given, or more are needed (by setting).
        """
        situation, rehearsed = _needs(self._situation, "plan"), _needs(self._rehearsed, "rehearse")
        verb = f"migrate-prod {self._options}"
        result = rehearsed.result
        what = [f"{self.command.up!r}, rehearsed: {ONE_TRANSACTION_IT_IS_NOT}."]
        what += [
            f"{row.table}: the content of {', '.join(row.changed)} changes{row.by and f', by {row.by}'}."
            for row in result.rows
            if row.changed
        ]
        what += in_words(result.rights) if result.rights else []
        what += about_statements(result.workload) if result.workload else []
        what += [f"Not rehearsed: {each}." for each in result.exceptions]
        what += [
            f"A rollback cannot bring back {each}."
            for each in (result.rollback.cannot_bring_back if result.rollback else ())
        ]
        given = approve(situation.plan.id, situation.target, self._given, "\n".join(what), verb=verb, ask=self._ask)
        self._approval = require_approvers(self.settings, given, verb=verb)
        return self._approval

    @live.act("deploy")
    def deploy(self) -> Deployment:
        """Run the command on production, compare the schema with the rehearsal's, and record the run.

        Raises:
            RefusedError: the database, the files or the command are no longer as they were rehearsed.
            DeploymentFailedError: it failed, and left the schema and its tool's history as they were.
            DeploymentStoppedError: it failed half-way, or did something else than on the copy; the message says what is there.
            OutcomeUnknownError: the server cannot be asked what the command left.
        """
        situation, started = _needs(self._situation, "plan"), datetime.now(UTC)
        rehearsed, backup, approval = (
            _needs(self._rehearsed, "rehearse"),
            _needs(self._backup, "backup"),
            _needs(self._approval, "approve"),
        )
        protocol = self._protocol(situation, started)
        run = protocol.run
        with protocol.lock():
            with protocol.connection() as connection:
                self._before = require_unchanged(self.settings, connection, situation)
                self._require_same_files(connection, situation)
                run.settle_earlier(connection)
                make_own_history(connection)
                histories = tuple(histories_as_they_are(connection))
            promise = SchemaPromise(self.settings, rehearsed.start, self._before)

            def validate(connection: Connection) -> Schema:
                return self._validator(promise, rehearsed, connection)

            def record(connection: Connection, _: Sequence[Step], schema: Schema) -> None:
                run.record(connection, [self.command.up], rehearsed.result.steps, schema)

            with run.noted():
                environment = environment_for(self.settings, protocol.conninfo, lock_timeout=True)
                ran: Ran | None = None
                try:
                    ran = run_command(self.command.up, self.settings.folder, environment)
                except KeyboardInterrupt:
                    raise self._left("interrupted", histories) from None
                if ran.exit_code:
                    raise self._left(f"exit code {ran.exit_code}: {ran.last_words}", histories)
                try:
                    with protocol.connection() as connection:
                        done = protocol.commit(connection, Transaction((), validate, record))
                except OutcomeUnknownError:
                    raise
                except (SafemigError, psycopg.Error) as error:
                    what = error.what if isinstance(error, SafemigError) else words_of_fault(error)
                    raise DeploymentStoppedError(
                        f"the command is done, and stays: {what}",
                        where=f"--run {self.command.up!r} on {self.environment}; the run is not recorded in the database",
                        next=f"safemig status; to undo: safemig restore-prod {backup.timestamp}",
                    ) from error
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
            migrations=(self.command.up,),
            steps=rehearsed.result.steps,
            diff=rehearsed.result.diff,
            backup=backup.manifest,
            rollback=script.path if script else None,
            rollback_is_proven=bool(script and script.is_proven),
            transaction_id=done.transaction_id,
            commit_lsn=done.commit_lsn,
            notes=(
                f"by the command {self.command.up!r}, {ran.seconds:.1f} s; its steps are those that the rehearsal saw",
                ONE_TRANSACTION_IT_IS_NOT,
            ),
            rights=rehearsed.result.rights,
        )
        return self._deployment

    @live.act("validate")
    def validate(self) -> Validation:
        """Check the result from a new connection: schema, indexes, constraints, rows, sequences, the project's checks.

        Raises:
            DeploymentStoppedError: it is deployed, and a check says no; the message says how to roll back.
        """
        situation, deployment = _needs(self._situation, "plan"), _needs(self._deployment, "deploy")
        rehearsed, backup = _needs(self._rehearsed, "rehearse"), _needs(self._backup, "backup")
        with self._protocol(situation, deployment.started_at).checking() as connection:
            promise = SchemaPromise(self.settings, rehearsed.start, self._before or situation.schema)
            result = validate_deployment(connection, situation.target, promise, rehearsed, backup)
        self._deployment = replace(deployment, validation=result.checks, rows=result.rows)
        roll_back = f"safemig rollback-prod {deployment.rollback}"
        where = f"by the command {self.command.up!r}"
        require_none_failed(result.checks, "deployed", where=where, then=roll_back, result=result)
        return result

    def _protocol(self, situation: Situation, started: datetime) -> Protocol:
        fingerprint = situation.plan.schema_fingerprint
        run = Run(self.settings, "migrate_prod", self.environment, self.run_id, situation.plan.id, started, fingerprint)
        return Protocol(run, "deployed", f"by {self.command.up!r}")

    def result(self) -> Deployment:
        """Return the deployment with its validation: what the record is about."""
        return _needs(self._deployment, "deploy")

    def _require_same_files(self, connection: Connection, situation: Situation) -> None:
        now = situation_of(self.settings, connection, self.environment, self.command).plan
        if now.id != basis_of(situation.plan.id):
            raise RefusedError(
                "the files that the command reads have changed since it was rehearsed",
                where=f"plan {situation.plan.id} then, {now.id} now",
                next="start again: the new plan must be rehearsed and approved",
            )

    def _validator(self, promise: SchemaPromise, rehearsed: Rehearsed, connection: Connection) -> Schema:
        now = schema_of(self.settings, connection)
        if differences := promise.differences(rehearsed.reached[-1], now):
            raise DeploymentFailedError(
                f"the schema is not what the rehearsal reached: {', '.join(differences[:5])}",
                where="after the command",
                next="safemig status",
            )
        return now

    def _left(self, what: str, histories: Sequence[str]) -> SafemigError:
        """Return what to raise where the command did not end well: what it has left, the database is asked."""
        next_ = (
            f"safemig migrate-prod {self._options}, once the cause is corrected: the tool continues where it stopped"
        )
        try:
            with open_environment(self.settings, self.environment) as connection:
                now, kept = schema_of(self.settings, connection), tuple(histories_as_they_are(connection))
        except (UnreachableError, psycopg.Error):
            return OutcomeUnknownError(
                f"the command failed ({what}), and the server cannot be asked what it left",
                where=f"--run {self.command.up!r} on {self.environment}",
                next="safemig status, when the server answers again",
            )
        before, rehearsed = self._before, self._rehearsed
        writes = rehearsed is not None and any(row.changed for row in rehearsed.result.rows)
        if before is not None and now.fingerprint == before.fingerprint and kept == histories:
            may = "; rows that it may have written by then are not looked for" if writes else ""
            return DeploymentFailedError(
                f"the command failed: {what}",
                where=f"--run {self.command.up!r}; schema and history of {self.environment} are as they were{may}",
                next=next_,
            )
        from safemig.schema import compare

        changes = compare(before, now).changes if before else ()
        there = (
            ", ".join(f"{each.action} {each.kind} {each.name}" for each in changes[:5]) or "only its history and rows"
        )
        return DeploymentStoppedError(
            f"the command stopped part-way: {what}",
            where=f"--run {self.command.up!r}; done on {self.environment}, and stays: {there}",
            next=f"{next_}; or to undo all of it: safemig restore-prod",
        )


def migrate_by_command(
    settings: Settings,
    command: Command,
    environment: str = PRODUCTION,
    *,
    approve: str = "",
    accept: Sequence[str] = (),
    ask: Ask | None = None,
) -> Deployment:
    """Deploy by a command: every step of `CommandDeployment`, in order. Stops at the first that says no."""
    run = CommandDeployment(settings, command, environment, approve=approve, accept=accept, ask=ask)
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve, run.deploy, run.validate):
        step()
    return run.result()


def _needs(fact: T | None, step: str) -> T:
    if fact is None:
        raise RefusedError(f"not before its turn: {step}() comes first", next=f"run {step}()")
    return fact
