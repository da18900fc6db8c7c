"""migrate_prod: the safe deployment of the migration files that are pending."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

from safemig import live
from safemig.approval.approve import Ask
from safemig.approval.plan import Situation, assess
from safemig.approval.rehearsed_rights import with_rehearsed_rights
from safemig.errors import (
    ReviewRefusedError,
    UnreachableError,
    explaining_files,
)
from safemig.execution.environment import open_environment
from safemig.execution.protocol import Protocol
from safemig.execution.resume import begun_steps, index_of
from safemig.execution.steps import Listener
from safemig.fault_points import FaultPoint, pass_point
from safemig.identity import who
from safemig.operations.deployment import DeploymentSteps, needs, require_rehearsed
from safemig.operations.preflight import preflight
from safemig.operations.rehearse import rehearse_on_copy
from safemig.operations.review import review
from safemig.operations.segments import deploy_segments, protocol_of
from safemig.postgres import resumable
from safemig.results import Approval, Deployment, Plan, Preflight, Rehearsal, Step
from safemig.review import Finding, Review, Verdict
from safemig.settings import PRODUCTION, Settings, command_on
from safemig.views.numbers import counted


@explaining_files
class ProductionDeployment(DeploymentSteps):
    """One deployment of what is pending.

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
        super().__init__(settings, environment, approve=approve, accept=accept, ask=ask)
        self._resume = resume
        self._options = [f"--accept {shlex.quote(each)}" for each in accept]
        self._listen = listen
        self._files_make: dict[str, str] = {}
        self._review: Review | None = None

    def preflight(self) -> Preflight:
        """Check everything that a deployment needs.

        Raises:
            RefusedError: a check said no; the message has all of them.
        """
        pass_point(FaultPoint.PREFLIGHT_BEGINS)
        found = preflight(self.settings, self.environment, found_out=self._files_make)
        pass_point(FaultPoint.PREFLIGHT_DONE)
        return self._require_ready(found)

    def review(self) -> Review:
        """Review what is pending; only SAFE TO DEPLOY lets it go on.

        Raises:
            ReviewRefusedError: findings stand; the message names them.
        """
        needs(self._preflight, "preflight")
        pass_point(FaultPoint.REVIEW_BEGINS)
        try:
            self._review = review(self.settings, environment=self.environment)
        except UnreachableError as error:  # a review without a target is no way on here
            raise UnreachableError(
                error.what, where=error.where, next="make it reachable, then run this again"
            ) from None
        if self._resume and (left := self._left_by_it(self._review)):
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
                    go_on = command_on(self.environment, "migrate-prod", f"--resume {stopped[0]}")
                    return f"deployment {stopped[0]} stopped part-way; {go_on} continues it"
        return made.way_on

    @live.act("plan")
    def plan(self) -> Plan:
        """Bind what was reviewed to the database as it is now, by the plan's id.

        Raises:
            RefusedError: another plan was approved, or the deployment to go on with is not to be gone on with.
        """
        needs(self._review, "review")
        with open_environment(self.settings, self.environment) as connection:
            situation = assess(self.settings, connection, self.environment, resume=self._resume)
        plan = situation.plan
        if not self._resume:
            plan = with_rehearsed_rights(self.settings, self.environment, plan)
        return self._bind(situation, plan, verb=command_on(self.environment, "plan"))

    def rehearse(self) -> Rehearsal | None:
        """Rehearse on a copy made from the backup, which proves that too; write the rollback script and run it there.

        Raises:
            RehearsalError: it failed on the copy, the rollback script does not bring the schema back, roles gain or
                lose something else than the plan names, or a finding about rights or the application's statements stands.
        """
        if self._has_nothing_to_run():
            return None
        situation, backup, script = self._planned(), needs(self._backup, "backup"), self._rollback_script()
        with open_environment(self.settings, self.environment) as connection:
            self._rehearsed = rehearse_on_copy(self.settings, connection, situation, backup, script, self._files_make)
        require_rehearsed(self._rehearsed.result, script, situation.plan)
        return self._rehearsed.result

    def approve(self) -> Approval | None:
        """Ask for the approval of the plan (see `approval.approve`).

        Raises:
            RefusedError: it was not given, an author gave it, or more are needed (by setting).
        """
        if self._has_nothing_to_run():
            return None
        plan = self._planned().plan
        steps, migrations = counted(len(plan.steps), "step"), counted(len(plan.migrations), "migration")
        verb = " ".join(["migrate-prod", *self._options, *(["--resume", self._resume] if self._resume else [])])
        return self._approved(f"{steps} of {migrations}, rehearsed.", verb=verb)

    @live.act("deploy")
    def deploy(self) -> Deployment:
        """Run the plan, validate the schema inside the transaction, record it, and commit.

        Raises:
            RefusedError: the database is no longer as it was rehearsed, or another deployment is under way.
            DeploymentFailedError: it failed and was rolled back; nothing was changed.
            DeploymentStoppedError: a part is applied; the message says which and how to go on.
            OutcomeUnknownError: the server went away and its answer could not be learned.
        """
        situation, started = needs(self._situation, "plan"), datetime.now(UTC)
        if not situation.files:
            with self._protocol(situation, started).alone():
                pass  # what was cut off earlier is settled
            self._deployment = _nothing_to_deploy(situation, self.run_id, started)
            return self._deployment
        needs(self._approval, "approve")
        protocol = self._protocol(situation, started)
        done, self._before = deploy_segments(protocol, situation, needs(self._rehearsed, "rehearse"), self._listen)
        return self._deployed(started, done, migrations=done.applied, steps=done.steps, notes=_gone_on(situation))

    def _has_nothing_to_run(self) -> bool:
        return not self._planned().files

    def _what_was_run(self) -> str:
        return f"applied: {', '.join(self.result().migrations)}"

    def _left_by_it(self, found: Review) -> list[str]:
        """Return the acceptances of what the deployment to resume left: what it created, and an index that is rebuilt."""
        with open_environment(self.settings, self.environment) as connection:
            ran, running = begun_steps(self.settings, connection, self._resume)
        index = index_of(running) if running else ""
        left = [
            each
            for each in found.standing
            if (each.rule == "already-there" and any(_is_of(step, each) for step in ran))
            or (
                each.rule in ("index-invalid", "already-there")
                and index == each.object.rpartition(".")[2].strip('"') != ""
            )
        ]
        return [f"{each.rule}:{each.object}: left by deployment {self._resume}, which is resumed" for each in left]

    def _protocol(self, situation: Situation, started: datetime) -> Protocol:
        return protocol_of(self.settings, situation, self.run_id, started, self._rehearsed)


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
    return ProductionDeployment(
        settings, environment, approve=approve, accept=accept, resume=resume, ask=ask, listen=listen
    ).go()


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


def _is_of(step: Step, finding: Finding) -> bool:
    return step.file == finding.file and step.line <= finding.line <= step.line + step.sql.count("\n")


def _gone_on(situation: Situation) -> tuple[str, ...]:
    if situation.resumes is None:
        return ()
    ran = [f"{step.file}, line {step.line}" for file in situation.files for step in file.ran]
    what = f"; it had run {'; '.join(ran)}" if ran else ""
    return (f"continues deployment {situation.resumes.run_id} of plan {situation.resumes.plan_id}{what}",)
