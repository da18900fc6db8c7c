"""fleet_migrate: one change to all members: a rehearsal a cohort, waves, each member by migrate_prod's own protocol."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safemig import live
from safemig.approval.approve import About, Ask, approve
from safemig.approval.approvers import require_approvers
from safemig.approval.plan import assess
from safemig.errors import DeploymentFailedError, DeploymentStoppedError, OutcomeUnknownError, RefusedError
from safemig.fleet.cohorts import cohorts_of, key_of
from safemig.fleet.deploy_member import MemberJob, deploy_member
from safemig.fleet.evidence import Evidence
from safemig.fleet.members import Member, environment_of, members_of, settings_of
from safemig.fleet.plan import (
    FleetSituation,
    assess_fleet,
    backup_words,
    keep,
    kept,
    require_no_lock,
    require_unchanged_project,
    reviewed,
    unfit,
)
from safemig.fleet.row_checks import Checked, check_rows
from safemig.fleet.run import FleetRun
from safemig.fleet.survey import Reading, ask, open_member, survey
from safemig.fleet_facts import (
    Cohort,
    CohortRehearsal,
    FleetDeployment,
    FleetPlan,
    FleetRehearsal,
    MemberOutcome,
    SetAside,
    Wave,
)
from safemig.operations.backup_prod import take_backup
from safemig.operations.deployment import needs, require_ready, require_rehearsed
from safemig.operations.preflight import preflight
from safemig.operations.rehearse import rehearse_on_copy
from safemig.postgres import resumable
from safemig.results import Approval, Plan, Target
from safemig.settings import Settings
from safemig.views.numbers import counted

_NO_ANSWER = MemberOutcome("", "unknown")
_PATIENCE_S = 30.0  # with the job of a worker that is cut off


@dataclass(frozen=True, slots=True)
class _Todo:
    """What a plan leaves to be done, as the members say now."""

    todo: tuple[Reading, ...]
    already: tuple[Reading, ...]
    aside: tuple[SetAside, ...]  # since the plan was made
    left_out: tuple[SetAside, ...] = ()  # by the plan itself
    checked: Checked = field(default_factory=Checked)


class FleetMigration:
    """A deployment to a fleet, a method a step: `plan`, `rehearse`, `approve`, `deploy`.

    Guarantee: until `deploy` nothing is changed. A member is deployed to only by a rehearsal of exactly its own schema
    and files, under an approved plan, in a transaction of its own. Nothing is kept of how far it came: `resume` (the
    plan's ID) asks all members, does what is left, and does nothing where nothing is left.
    """

    def __init__(
        self, settings: Settings, fleet: str = "", *, approve: str = "", resume: str = "", ask: Ask | None = None,
        accept: Sequence[str] = (), waves: int = 0,
    ) -> None:  # fmt: skip
        self.settings = settings.model_copy(update={"accept": (*settings.accept, *accept)})
        self.name, self.fleet = self.settings.fleet(fleet)
        self._given = approve or resume
        self._is_resumed = bool(resume)
        self._is_resumable = False  # True where the plan was kept, and its members were asked again
        self._ask = ask
        self._only_waves = waves
        self._plan: FleetPlan | None = None
        self._binding: Mapping[str, Any] = {}
        self._members: dict[str, Member] = {}
        self._left: _Todo | None = None
        self._evidence: dict[str, bytes] = {}
        self._approval: Approval | None = None

    @live.act("fleet_plan")
    def plan(self) -> FleetPlan:
        """Make the plan, or take the one that was approved, and ask its members how they stand to it.

        Raises:
            RefusedError: the plan approved is another one, members stop it, or the files have changed.
            ReviewRefusedError: findings stand.
        """
        binding = kept(self.settings, self.name, self._given) if self._given else None
        if binding is None:
            if self._is_resumed:
                raise RefusedError(
                    f"there is no plan {self._given} of fleet {self.name}",
                    where=str(self.settings.path("records") / self.name / "plans"),
                    next="bring that folder here, or make a new plan: what is applied is not applied again",
                )
            situation = assess_fleet(self.settings, self.name)
            self._require_plan(situation)
            self._binding = situation.binding
            self._left = _Todo(tuple(situation.readings.values()), situation.current, situation.plan.set_aside)
            self._plan = situation.plan
            return self._plan
        require_unchanged_project(self.settings, self.fleet, binding, self._given)
        self._binding, self._is_resumable = binding, True
        self._left = self._ask_members(binding)
        self._plan = self._rest(binding, self._left)
        if self._left.aside and self.fleet.unfit == "stop" and self._left.todo:
            raise self._stopped_by(self._left.aside)
        reviewed(self.settings, self.name, [self._reading(each.rehearses) for each in self._plan.cohorts])
        return self._plan

    def _require_plan(self, situation: FleetSituation) -> None:
        plan = situation.plan
        if plan.stops:
            raise self._stopped_by(plan.set_aside, plan)
        if self._given and self._given != plan.id:
            raise RefusedError(
                f"approved was plan {self._given}; what is pending now is plan {plan.id or '(nothing)'}",
                where=f"fleet {self.name}: members, schemas, migrations or settings have changed since the approval",
                next=f"look at the new plan (safemig fleet plan {self.name}), and approve that one if it is right",
            )
        if plan.members:
            keep(self.settings, situation)
        self._members = {each.name: each for each in members_of(self.settings, self.name)}

    def _stopped_by(self, aside: Sequence[SetAside], plan: FleetPlan | None = None) -> RefusedError:
        return RefusedError(
            f"{counted(len(aside), 'member')} cannot be deployed to",
            where="; ".join(f"{each.member}: {each.why}" for each in aside[:5]),
            next=f'{aside[0].next}; or unfit = "set_aside" in [fleets.{self.name}] leaves such members out',
            result=plan or self._plan,
        )

    def _ask_members(self, binding: Mapping[str, Any]) -> _Todo:
        """Ask the fleet how it stands to the plan: what is done, what is left, and who is not as the plan has it."""
        members = members_of(self.settings, self.name)
        self._members = {each.name: each for each in members}
        gone = [name for name in binding["members"] if name not in self._members]
        aside = [SetAside(name, "it is no longer in the fleet", "nothing, or put it back") for name in gone]
        with live.stage(f"ask {counted(len(members), 'member')}", len(members), "member"):
            readings = survey(self.settings, self.fleet, self.name, members)
        todo, already, left_out = [], [], []
        for each in readings:
            name = each.member.name
            bound = binding["members"].get(name)
            if each.state == "current":
                already.append(each)
            elif bound is None:
                why = binding["set_aside"].get(name, "it is not part of this plan")
                drift = why.removeprefix("drifted: ") if why.startswith("drifted: ") else "none"
                left_out.append(
                    unfit(self.name, each, drift) or SetAside(name, why, "correct it, then make a new plan")
                )
            elif each.state == "part-way" and self._is_ours(each):
                todo.append(each)
            elif (found := unfit(self.name, each, "none")) is not None:
                aside.append(found)
            elif key_of(each) != bound["cohort"]:
                why = "its schema, version or pending migrations are not what the plan has"
                aside.append(SetAside(name, why, f"safemig fleet status {self.name} names it; make a new plan for it"))
            else:
                todo.append(each)
        checked = check_rows(self.settings, self.fleet, self.name, todo)
        require_no_lock(self.fleet, checked)
        aside += checked.cannot()
        out = {each.member for each in aside}
        todo = [each for each in todo if each.member.name not in out]
        aside += (locked := checked.all_locked(todo))
        out = {each.member for each in locked}
        still = tuple(each for each in todo if each.member.name not in out)
        return _Todo(still, tuple(already), tuple(aside), tuple(left_out), checked)

    def _is_ours(self, reading: Reading) -> bool:
        with open_member(self.settings, self.name, reading.member) as (_, connection):
            return resumable.find(connection, self._given) is not None

    def _rest(self, binding: Mapping[str, Any], left: _Todo) -> FleetPlan:
        names = {each.member.name for each in left.todo}
        waves = tuple(Wave(each["name"], tuple(each["members"])) for each in binding["waves"])
        still = tuple(
            Wave(each.name, some) for each in waves if (some := tuple(name for name in each.members if name in names))
        )
        return FleetPlan(
            id=self._given,
            fleet=self.name,
            cohorts=cohorts_of(self.fleet, left.todo, still, left.checked.locked),
            waves=still,
            set_aside=(*left.aside, *left.left_out),
            current=tuple(each.member.name for each in left.already),
            checks=tuple(left.checked.found),
            checks_made=left.checked.made,
            sizes=left.checked.sizes,
            warnings=left.checked.warnings,
            backup=backup_words(self.fleet),
            verdict="",
        )

    def _reading(self, name: str) -> Reading:
        left: _Todo = needs(self._left, "plan")
        return next(each for each in left.todo if each.member.name == name)

    @live.act("rehearse")
    def rehearse(self) -> FleetRehearsal | None:
        """Rehearse each cohort on a copy of one of its members, and prove the rollback there; None where nothing is left.

        Raises:
            RehearsalError: it failed on a copy, or a rollback does not bring the schema back.
        """
        plan, started = needs(self._plan, "plan"), time.monotonic()
        if not plan.members:
            return None
        rehearsed = []
        for cohort in plan.cohorts:
            reading = self._reading(cohort.rehearses)
            with live.stage(f"rehearse cohort {cohort.key} on a copy of {cohort.rehearses}"):
                rehearsed.append(self._rehearse(plan, cohort, reading))
        return FleetRehearsal(self.name, plan.id, tuple(rehearsed), time.monotonic() - started)

    def _rehearse(self, plan: FleetPlan, cohort: Cohort, reading: Reading) -> CohortRehearsal:
        member, started = reading.member, time.monotonic()
        environment = environment_of(self.name, member.name)
        ready = preflight(settings_of(self.settings, self.name, member), environment, by_command=True)
        require_ready(ready)  # without drift and history, which every member was asked for
        home = self.settings.path("backups") / self.name
        home.mkdir(parents=True, exist_ok=True)
        with open_member(self.settings, self.name, member) as (own, connection), ExitStack() as within:
            stopped = None if member.schema else resumable.find(connection, plan.id)
            situation = assess(own, connection, environment, resume=stopped.run_id if stopped else "")
            if not situation.files:  # a worker of an earlier run, cut off until now, had its job
                raise RefusedError(
                    f"{member.name} has been deployed to since it was asked",
                    where="a job of an earlier run ended there; this run changed nothing",
                    next="run this again: what is applied is not applied again",
                )
            situation = replace(situation, plan=replace(situation.plan, id=plan.id))  # which the script names
            folder = None
            if self.fleet.backup != "member":
                folder = Path(within.enter_context(tempfile.TemporaryDirectory()))
            backup = take_backup(own, environment, folder=folder, read=False, rows=own.rehearsal == "data")
            script = home / f"rollback_{backup.timestamp}_{cohort.key}.sql"
            made = rehearse_on_copy(own, connection, situation, backup, script)
        require_rehearsed(made.result, script)
        evidence = Evidence(
            cohort=cohort.key,
            fingerprint=reading.fingerprint,
            server_major=cohort.server_major,
            pending=tuple((each.migration.version, each.migration.sha256) for each in situation.files),
            ran=situation.resumes.ran if situation.resumes else (),
            schema=member.schema,
            rehearsed=made,
            found=situation.schema,
        )
        self._evidence[cohort.key] = evidence.packed()
        held = [lock.held_s for step in made.result.steps for lock in step.locks if lock.held_s is not None]
        rollback = made.result.rollback
        return CohortRehearsal(
            cohort=cohort.key,
            member=member.name,
            mode=made.result.mode,
            steps=len(made.result.steps),
            longest_lock_s=max(held, default=None),
            rollback=str(script),
            rollback_is_proven=bool(rollback and rollback.is_proven),
            cannot_bring_back=rollback.cannot_bring_back if rollback else (),
            seconds=time.monotonic() - started,
        )

    def approve(self) -> Approval | None:
        """Ask for the approval of the plan; None where nothing is left.

        Raises:
            RefusedError: it was not given, an author gave it, or more are needed (by setting).
        """
        plan = needs(self._plan, "plan")
        if not plan.members:
            return None
        needs(self._evidence or None, "rehearse")
        first = self._reading(plan.cohorts[0].rehearses)
        assert first.target is not None  # noqa: S101 - it answered
        words = [
            f"{counted(len(plan.members), 'member')} of fleet {self.name} in {counted(len(plan.waves), 'wave')}, rehearsed."
        ]
        words += [f"{each.member} is left out: {each.why}." for each in plan.set_aside[:10]]
        words.append(f"Backup: {plan.backup}.")
        of_all = Target(self.name, "", counted(len(plan.members), "member"), "", 0, "")
        shown = Plan(plan.id, of_all, "", (), (), what=tuple(words))
        verb = f"fleet migrate {self.name}"
        given = approve(plan.id, of_all, self._given, "\n".join(words), verb=verb, ask=self._ask, about=About(shown))
        # Where more than one must approve, the first rehearsed member's database keeps who did.
        own = replace(given, target=replace(first.target, environment=environment_of(self.name, first.member.name)))
        with open_member(self.settings, self.name, first.member) as (settings, _):
            approved = require_approvers(
                settings, own, verb=f"fleet migrate {self.name}", files=[each.path for each in first.pending]
            )
        self._approval = replace(approved, target=of_all)
        return self._approval

    @live.act("fleet_migrate")
    def deploy(self) -> FleetDeployment:
        """Deploy to the members, wave by wave; stop at the set number of failures.

        Raises:
            DeploymentFailedError: no member was changed.
            DeploymentStoppedError: it stopped, or members failed; the message has the command that resumes.
            OutcomeUnknownError: what happened to a member cannot be learned from it.
        """
        plan, left = needs(self._plan, "plan"), needs(self._left, "plan")
        run = FleetRun(self.settings, self.name, "fleet_migrate", plan.id)
        for each in left.already:
            run.done[each.member.name] = MemberOutcome(each.member.name, "already", version=each.version)
        for aside in plan.set_aside:
            run.done[aside.member] = MemberOutcome(aside.member, "set aside", error=aside.why, next=aside.next)
        by = ""
        if plan.members:
            by = needs(self._approval, "approve").by
            run.begin(len(plan.members), by)
            waves = [(wave.name, self._jobs(plan, wave)) for wave in plan.waves]
            run.run(waves, deploy_member, only=self._only_waves)
            self._settle(plan, run)
        return self._told(run.result(lambda members: _verdict(members, run.lost), plan.waves, plan, by))

    def _jobs(self, plan: FleetPlan, wave: Wave) -> list[MemberJob]:
        cohort_of = {name: each.key for each in plan.cohorts for name in each.members}
        return [
            MemberJob(
                settings=self.settings,
                fleet=self.name,
                member=name,
                server=self._members[name].server,
                plan_id=plan.id,
                evidence=self._evidence[cohort_of[name]],
                wave=wave.name,
                cohort=cohort_of[name],
                with_backup=self.fleet.backup == "member",
            )
            for name in wave.members
        ]

    def _settle(self, plan: FleetPlan, run: FleetRun) -> None:
        """Ask the members of whom no answer came, or a doubtful one: their own history decides."""
        without = {
            name: wave.name
            for wave in plan.waves
            for name in wave.members
            if run.done.get(name, _NO_ANSWER).outcome == "unknown"
        }
        if not without:
            return
        until = time.monotonic() + _PATIENCE_S
        members = [self._members[name] for name in without]
        with live.stage("ask the members without an outcome", len(members), "member"):
            for reading in survey(self.settings, self.fleet, self.name, members):
                name = reading.member.name
                known, in_flight = run.done.get(name), name in run.in_flight
                while in_flight and reading.state == "pending" and time.monotonic() < until:
                    time.sleep(1)
                    reading = ask(self.settings, self.name, reading.member)
                outcome = _what_happened(reading, known, without[name], in_flight)
                if known is not None or in_flight:
                    run.keep(outcome)
                run.done[name] = outcome

    def _told(self, result: FleetDeployment) -> FleetDeployment:
        failed = [each for each in result.members if each.is_failure]
        left: _Todo = needs(self._left, "plan")
        since = left.aside if self._binding and self._is_resumable else ()
        if not failed and not result.count("not reached") and not since:
            return result
        deployed = result.count("deployed", "already")
        told = [f"{each.member}: {each.error}" for each in failed[:5]] or [
            f"{each.member}: {each.why}" for each in since[:5]
        ]
        where = "; ".join(told) or "; ".join(result.notes)
        resume = f"safemig fleet migrate {self.name} --resume {result.plan_id}"
        if any(each.outcome == "unknown" for each in failed):
            raise OutcomeUnknownError(
                f"the outcome of {counted(result.count('unknown'), 'member')} is unknown",
                where=where,
                next=f"safemig fleet status {self.name}, when they answer again; then {resume}",
                result=result,
            )
        if not result.count("deployed", "stopped") and result.count("failed"):
            raise DeploymentFailedError(
                f"{counted(len(failed), 'member')} failed and were rolled back; none was changed by this run",
                where=where,
                next=f"{failed[0].next or 'correct the cause'}; then {resume}",
                result=result,
            )
        raise DeploymentStoppedError(
            f"{deployed:,} members have it, {len(failed):,} failed, {result.count('not reached'):,} were not reached"
            + (f", {len(since):,} cannot be deployed to now" if since else "")
            + "".join(f": {each}" for each in result.notes),
            where=where,
            next=f"correct the cause, then {resume}: what is applied is not applied again",
            result=result,
        )


def _what_happened(reading: Reading, known: MemberOutcome | None, wave: str, in_flight: bool) -> MemberOutcome:
    """Return the outcome that a member's own history tells; `in_flight`, a worker that is cut off may still have its job."""
    base = known or MemberOutcome(reading.member.name, "not reached", wave)
    match reading.state:
        case "current":
            return replace(base, outcome="deployed", version=reading.version, error="", next="")
        case "part-way":
            return replace(base, outcome="stopped", version=reading.version, error=reading.error)
        case "unreachable" if known is not None or in_flight:
            return replace(base, outcome="unknown", error=f"{base.error}; {reading.error}".removeprefix("; "))
        case _ if in_flight:
            return replace(
                base,
                outcome="unknown",
                version=reading.version,
                error="not deployed yet, but a worker that is cut off has its job and may still begin",
            )
        case _ if known is not None:
            return replace(base, outcome="failed", version=reading.version)
    return replace(base, version=reading.version)


def _verdict(members: Sequence[MemberOutcome], lost: str) -> str:
    found = {each.outcome for each in members}
    if "unknown" in found:
        return "UNKNOWN"
    if found & {"failed", "stopped"} and not found & {"deployed", "stopped"}:
        return "FAILED"
    if lost or found & {"failed", "stopped", "not reached"}:
        return "STOPPED"
    if "deployed" not in found:
        return "NOTHING TO DEPLOY"
    return "DEPLOYED EXCEPT SET ASIDE" if "set aside" in found else "DEPLOYED"


def fleet_migrate(
    settings: Settings, fleet: str = "", *, approve: str = "", resume: str = "", ask: Ask | None = None,
    accept: Sequence[str] = (), waves: int = 0,
) -> FleetDeployment:  # fmt: skip
    """Deploy what is pending to a fleet: every step of `FleetMigration`, in order. Stops at the first that says no."""
    run = FleetMigration(settings, fleet, approve=approve, resume=resume, ask=ask, accept=accept, waves=waves)
    for step in (run.plan, run.rehearse, run.approve):
        step()
    return run.deploy()
