"""migrate_prod --run: the steps of a safe deployment around another tool's own command."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import psycopg

from safemig import live
from safemig.approval.approve import Ask
from safemig.approval.plan import Situation
from safemig.approval.rehearsed_rights import (
    basis_of,
    with_rehearsed_rights,
)
from safemig.commands import command_on
from safemig.errors import (
    DeploymentFailedError,
    DeploymentStoppedError,
    OutcomeUnknownError,
    RefusedError,
    ReviewRefusedError,
    SafemigError,
    UnreachableError,
    explaining_files,
    words_of_fault,
)
from safemig.execution.command import Ran, environment_for, run_command
from safemig.execution.environment import open_environment, schema_of
from safemig.execution.expected_locks import locks_by_kind
from safemig.execution.layout import layout_for
from safemig.execution.protocol import Protocol
from safemig.execution.run import Run
from safemig.execution.transaction import Committed, Transaction
from safemig.execution.validation import (
    SchemaPromise,
)
from safemig.operations.by_command import (
    ONE_TRANSACTION_IT_IS_NOT,
    Command,
    histories_as_they_are,
    rehearsed_command,
    situation_of,
)
from safemig.operations.deployment import DeploymentSteps, needs, require_rehearsed
from safemig.operations.preflight import preflight
from safemig.operations.rehearse import Rehearsed
from safemig.operations.segments import require_unchanged
from safemig.postgres.connection import Connection
from safemig.postgres.history import make_own_history
from safemig.postgres.target_facts import read_target_facts
from safemig.results import Approval, Deployment, Plan, Preflight, Rehearsal, Step
from safemig.review import Acceptance, Evidence, Review, Verdict
from safemig.review import review as review_sources
from safemig.schema import Schema
from safemig.settings import PRODUCTION, Settings
from safemig.sql import SourceFile
from safemig.views.numbers import counted


@explaining_files
class CommandDeployment(DeploymentSteps):
    """One deployment by a command.

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
        super().__init__(settings, environment, approve=approve, accept=accept, ask=ask)
        self.command = command

    def preflight(self) -> Preflight:
        """Check everything that a deployment needs, but for what only migration files tell.

        Raises:
            RefusedError: a check said no; the message has all of them.
        """
        return self._require_ready(preflight(self.settings, self.environment, by_command=True))

    def review(self) -> None:
        """Leave the review for the rehearsal, which sees the statements: a program has no SQL to read before it."""
        needs(self._preflight, "preflight")

    def plan(self) -> Plan:
        """Bind the command and its files to the database as it is now, by the plan's id.

        Raises:
            RefusedError: another plan was approved.
        """
        needs(self._preflight, "preflight")
        with open_environment(self.settings, self.environment) as connection:
            situation = situation_of(self.settings, connection, self.environment, self.command)
        plan = with_rehearsed_rights(self.settings, self.environment, situation.plan)
        return self._bind(
            situation, plan, verb=command_on(self.environment, "plan", self._options), files="files, command"
        )

    @property
    def _options(self) -> str:
        down = f" --run-down {shlex.quote(self.command.down)}" if self.command.down else ""
        return f"--run {shlex.quote(self.command.up)}{down}"

    @property
    def _undo(self) -> str:
        return command_on(self.environment, "restore-prod", needs(self._backup, "backup").timestamp)

    def rehearse(self) -> Rehearsal:
        """Run the command on a copy made from the backup; review the statements that it sent; prove the way back.

        Raises:
            RehearsalError: it failed on the copy, the rollback script does not bring the schema back, or a finding stands.
            ReviewRefusedError: findings stand about its statements; the message names them.
        """
        situation, backup, script = self._planned(), needs(self._backup, "backup"), self._rollback_script()
        with open_environment(self.settings, self.environment) as connection:
            self._rehearsed = rehearsed_command(self.settings, connection, situation, backup, script, self.command)
        result = self._rehearsed.result
        require_rehearsed(result, script, situation.plan)
        made = self.reviewed(result.steps)
        if made.verdict not in (Verdict.SAFE, Verdict.NOTHING):
            raise ReviewRefusedError(
                f"{made.verdict}: {counted(len(made.standing), 'finding')} about the command's statements",
                where="; ".join(f"{each.rule} {each.object}: {each.message}".strip() for each in made.standing[:5]),
                next=made.way_on,
                result=made,
            )
        return result

    def reviewed(self, steps: Sequence[Step]) -> Review:
        """Review statements that the command sent to the copy, but those of its own bookkeeping, against what production holds."""
        with open_environment(self.settings, self.environment) as connection:
            facts = read_target_facts(connection, self.environment)
        known = set(layout_for(self.settings).tables_of_tools)
        sql = "".join(
            f"{step.sql.rstrip(';')};\n"
            for step in steps
            if not step.kind.startswith("statement that") and not _is_bookkeeping(step, known)
        )
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
        opening = f"{self.command.up!r}, rehearsed: {ONE_TRANSACTION_IT_IS_NOT}."
        return self._approved(opening, verb=f"migrate-prod {self._options}")

    @live.act("deploy")
    def deploy(self) -> Deployment:
        """Run the command on production, compare the schema with the rehearsal's, and record the run.

        Raises:
            RefusedError: the database, the files or the command are no longer as they were rehearsed.
            DeploymentFailedError: it failed, and left the schema and its tool's history as they were.
            DeploymentStoppedError: it failed half-way, or did something else than on the copy; the message says what is there.
            OutcomeUnknownError: the server cannot be asked what the command left.
        """
        situation, started = self._planned(), datetime.now(UTC)
        rehearsed = needs(self._rehearsed, "rehearse")
        needs(self._approval, "approve")
        protocol = self._protocol(situation, started)
        with protocol.lock():
            with protocol.connection() as connection:
                self._before = require_unchanged(self.settings, connection, situation)
                self._require_same_files(connection, situation)
                protocol.run.settle_earlier(connection)
                make_own_history(connection)
                histories = tuple(histories_as_they_are(self.settings, connection))
            with protocol.run.noted():
                ran = self._run(protocol.conninfo, histories)
                done = self._record(protocol, SchemaPromise(self.settings, rehearsed.start, self._before), rehearsed)
        notes = (
            f"by the command {self.command.up!r}, {ran.seconds:.1f} s; its steps are those that the rehearsal saw",
            ONE_TRANSACTION_IT_IS_NOT,
        )
        steps = rehearsed.result.steps
        return self._deployed(started, done, migrations=(self.command.up,), steps=steps, notes=notes)

    def _run(self, conninfo: str, histories: Sequence[str]) -> Ran:
        environment = environment_for(self.settings, conninfo, lock_timeout=True)
        try:
            ran = run_command(self.command.up, self.settings.folder, environment)
        except KeyboardInterrupt:
            raise self._left("interrupted", histories) from None
        if ran.exit_code:
            raise self._left(f"exit code {ran.exit_code}: {ran.last_words}", histories)
        return ran

    def _record(self, protocol: Protocol, promise: SchemaPromise, rehearsed: Rehearsed) -> Committed:
        """Compare the schema with the rehearsal's and record the run, in one transaction."""

        def validate(connection: Connection) -> Schema:
            return self._validator(promise, rehearsed, connection)

        def record(connection: Connection, _: Sequence[Step], schema: Schema) -> None:
            protocol.run.record(connection, [self.command.up], rehearsed.result.steps, schema)

        try:
            with protocol.connection() as connection:
                return protocol.commit(connection, Transaction((), validate, record))
        except OutcomeUnknownError:
            raise
        except (SafemigError, psycopg.Error) as error:
            what = error.what if isinstance(error, SafemigError) else words_of_fault(error)
            raise DeploymentStoppedError(
                f"the command is done, and stays: {what}",
                where=f"--run {self.command.up!r} on {self.environment}; the run is not recorded in the database",
                next=f"safemig status; to undo: {self._undo}",
            ) from error

    def _what_was_run(self) -> str:
        return f"by the command {self.command.up!r}"

    def _protocol(self, situation: Situation, started: datetime) -> Protocol:
        fingerprint = situation.plan.schema_fingerprint
        run = Run(self.settings, "migrate_prod", self.environment, self.run_id, situation.plan.id, started, fingerprint)
        return Protocol(run, "deployed", f"by {self.command.up!r}")

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
        again = command_on(self.environment, "migrate-prod", self._options)
        next_ = f"{again}, once the cause is corrected: the tool continues where it stopped"
        try:
            with open_environment(self.settings, self.environment) as connection:
                now, kept = (
                    schema_of(self.settings, connection),
                    tuple(histories_as_they_are(self.settings, connection)),
                )
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
            next=f"{next_}; or to undo all of it: {self._undo}",
        )


def _is_bookkeeping(step: Step, tables: Collection[str]) -> bool:
    """Tell whether a statement touches nothing but the tools' own tables."""
    return len(touched := set(locks_by_kind(step))) > 0 and touched <= set(tables)


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
    return CommandDeployment(settings, command, environment, approve=approve, accept=accept, ask=ask).go()
