"""fleet_migrate: one change to all members: a rehearsal a cohort, waves, each member by migrate_prod's own protocol."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safemig import live
from safemig.approval.approve import Ask, approve
from safemig.approval.approvers import require_approvers
from safemig.approval.plan import assess
from safemig.errors import (
    DeploymentFailedError,
    DeploymentStoppedError,
    OutcomeUnknownError,
    RefusedError,
    SettingsError,
)
from safemig.execution import journal
from safemig.fleet.cohorts import cohorts_of, key_of
from safemig.fleet.deploy_member import MemberJob, deploy_member
from safemig.fleet.engine import Placed, SchedulerLostError, run_jobs, workers
from safemig.fleet.evidence import Evidence
from safemig.fleet.members import Member, environment_of, members_of
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
    violations,
)
from safemig.fleet.row_checks import check_rows
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
from safemig.identity import who
from safemig.operations.backup_prod import take_backup
from safemig.operations.deployment import needs, require_rehearsed
from safemig.operations.rehearse import rehearse_on_copy
from safemig.postgres import resumable
from safemig.results import Approval, Target
from safemig.settings import Settings
from safemig.views.numbers import counted


@dataclass(frozen=True, slots=True)
class _Todo:
    """What a plan leaves to be done, as the members say now."""

    todo: tuple[Reading, ...]
    already: tuple[Reading, ...]
    aside: tuple[SetAside, ...]  # since the plan was made
    left_out: tuple[SetAside, ...] = ()  # by the plan itself
    locked: frozenset[str] = frozenset()  # whose tables are locked: no copy is made of these


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
        self.run_id = secrets.token_hex(6)
        self._given = approve or resume
        self._is_resumed = bool(resume)
        self._is_resumable = False  # True where the plan was kept, and its members were asked again
        self._ask = ask
        self._only_waves = waves
        self._plan: FleetPlan | None = None
        self._binding: Mapping[str, Any] = {}
        self._members: dict[str, Member] = {}
        self._left: _Todo | None = None
        self._evidence: dict[str, tuple[Evidence, bytes]] = {}
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
                next="look at the new plan (safemig fleet plan), and approve that one if it is right",
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
        with live.stage(f"ask {counted(len(members), 'member')}", len(members)):
            readings = survey(self.settings, self.fleet, self.name, members)
        todo, already, left_out = [], [], []
        for each in readings:
            name = each.member.name
            bound = binding["members"].get(name)
            if each.state == "current":
                already.append(each)
            elif bound is None:
                why = binding["set_aside"].get(name, "it is not part of this plan")
                left_out.append(SetAside(name, why, "correct it, then make a new plan"))
            elif each.state == "part-way" and self._is_ours(each):
                todo.append(each)
            elif (found := unfit(each, "none")) is not None:
                aside.append(found)
            elif key_of(each) != bound["cohort"]:
                why = "its schema, version or pending migrations are not what the plan has"
                aside.append(SetAside(name, why, "safemig fleet status names it; make a new plan for it"))
            else:
                todo.append(each)
        checked = check_rows(self.settings, self.fleet, self.name, todo)
        require_no_lock(self.fleet, checked)
        aside += violations(checked.found)
        out = {each.member for each in aside}
        todo = [each for each in todo if each.member.name not in out]
        aside += (locked := checked.all_locked(todo))
        out = {each.member for each in locked}
        still = tuple(each for each in todo if each.member.name not in out)
        return _Todo(still, tuple(already), tuple(aside), tuple(left_out), checked.locked)

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
            cohorts=cohorts_of(self.fleet, left.todo, still, left.locked),
            waves=still,
            set_aside=(*left.aside, *left.left_out),
            current=tuple(each.member.name for each in left.already),
            checks=(),
            checks_made=0,
            sizes={},
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
        home = self.settings.path("backups") / self.name
        home.mkdir(parents=True, exist_ok=True)
        with open_member(self.settings, self.name, member) as (own, connection), ExitStack() as within:
            stopped = None if member.schema else resumable.find(connection, plan.id)
            situation = assess(own, connection, environment, resume=stopped.run_id if stopped else "")
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
        self._evidence[cohort.key] = evidence, evidence.packed()
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
        of_all = Target(self.name, "", f"{len(plan.members)} members", "", 0, "")
        given = approve(
            plan.id, of_all, self._given, "\n".join(words), verb=f"fleet migrate {self.name}", ask=self._ask
        )
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
        plan, left, started = needs(self._plan, "plan"), needs(self._left, "plan"), time.monotonic()
        done: dict[str, MemberOutcome] = {}
        for each in left.already:
            done[each.member.name] = MemberOutcome(each.member.name, "already", version=each.version)
        for aside in plan.set_aside:
            done[aside.member] = MemberOutcome(aside.member, "set aside", error=aside.why, next=aside.next)
        lost = ""
        if plan.members:
            approval = needs(self._approval, "approve")
            self._note("begun", act="fleet_migrate", plan=plan.id, by=approval.by, members=len(plan.members))
            lost = self._run_waves(plan, done)
            self._settle(plan, done)
        result = self._result(plan, done, started, lost)
        if plan.members:
            self._note_what_is_done("ended", verdict=result.verdict)
        return self._told(result)

    def _run_waves(self, plan: FleetPlan, done: dict[str, MemberOutcome]) -> str:
        """Run the waves; return why it ended before the last one, "" where it did not."""
        try:
            with workers(self.fleet) as client:
                for number, wave in enumerate(plan.waves, 1):
                    failures = sum(each.is_failure for each in done.values())
                    if failures >= self.fleet.max_failures:
                        return f"{counted(failures, 'member')} failed"
                    if self._only_waves and number > self._only_waves:
                        return f"paused after wave {number - 1}, as --waves {self._only_waves} says"
                    with live.stage(
                        f"wave {number}, {wave.name}: {counted(len(wave.members), 'member')}", len(wave.members)
                    ):
                        for outcome in run_jobs(
                            client, self.fleet, self._jobs(plan, wave), deploy_member, self._may_go_on(done)
                        ):
                            done[outcome.member] = outcome
                            self._note_member(outcome)
                            live.advance(1)
        except SchedulerLostError:
            return "the scheduler was lost"
        failures = sum(each.is_failure for each in done.values())
        return f"{counted(failures, 'member')} failed" if failures >= self.fleet.max_failures else ""

    def _may_go_on(self, done: Mapping[str, MemberOutcome]) -> Callable[[], bool]:
        return lambda: sum(each.is_failure for each in done.values()) < self.fleet.max_failures

    def _jobs(self, plan: FleetPlan, wave: Wave) -> list[Placed]:
        cohort_of = {name: each.key for each in plan.cohorts for name in each.members}
        return [
            Placed(
                MemberJob(
                    settings=self.settings,
                    fleet=self.name,
                    member=name,
                    plan_id=plan.id,
                    evidence=self._evidence[cohort_of[name]][1],
                    wave=wave.name,
                    cohort=cohort_of[name],
                    with_backup=self.fleet.backup == "member",
                ),
                self._members[name].server,
            )
            for name in wave.members
        ]

    def _settle(self, plan: FleetPlan, done: dict[str, MemberOutcome]) -> None:
        """Ask the members of whom no answer came, or a doubtful one: their own history decides."""
        for wave in plan.waves:
            for name in wave.members:
                known = done.get(name)
                if known is not None and known.outcome != "unknown":
                    continue
                reading = ask(self.settings, self.name, self._members[name])
                if reading.state == "current":
                    base = known or MemberOutcome(name, "deployed", wave.name)
                    done[name] = replace(base, outcome="deployed", version=reading.version, error="", next="")
                elif reading.state == "part-way":
                    done[name] = MemberOutcome(name, "stopped", wave.name, version=reading.version, error=reading.error)
                elif reading.state == "unreachable" and known is not None:
                    done[name] = replace(known, error=f"{known.error}; {reading.error}")
                elif known is not None:
                    done[name] = replace(known, outcome="failed", version=reading.version)
                else:
                    done[name] = MemberOutcome(name, "not reached", wave.name, version=reading.version)
                if known is not None:
                    self._note_member(done[name])

    def _result(self, plan: FleetPlan, done: Mapping[str, MemberOutcome], started: float, lost: str) -> FleetDeployment:
        rank = {"unknown": 0, "stopped": 1, "failed": 2, "set aside": 3, "not reached": 4}
        members = sorted(done.values(), key=lambda each: (rank.get(each.outcome, 9), each.member))
        cohort_of = {name: each.key for each in plan.cohorts for name in each.members}
        return FleetDeployment(
            fleet=self.name,
            act="fleet_migrate",
            verdict=_verdict(members, lost),
            plan_id=plan.id,
            run_id=self.run_id,
            by=self._approval.by if self._approval else who(),
            members=tuple(replace(each, cohort=cohort_of.get(each.member, each.cohort)) for each in members),
            cohorts=plan.cohorts,
            waves=plan.waves,
            migrations=tuple(dict.fromkeys(file for each in plan.cohorts for file in each.pending)),
            seconds=time.monotonic() - started,
            backup=plan.backup if plan.members else "",
            notes=(lost,) if lost else (),
        )

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
                f"what happened to {counted(result.count('unknown'), 'member')} cannot be learned from them",
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

    def _note(self, event: journal.Event, **facts: Any) -> None:
        journal.write(self.settings.path("records") / self.name / journal.FILE_NAME, self.run_id, event, **facts)

    def _note_what_is_done(self, event: journal.Event, **facts: Any) -> None:
        with suppress(SettingsError):  # members are changed, and their own histories know it
            self._note(event, **facts)

    def _note_member(self, outcome: MemberOutcome) -> None:
        self._note_what_is_done(
            "member", member=outcome.member, outcome=outcome.outcome, version=outcome.version, wave=outcome.wave,
            member_run=outcome.run_id, transaction=outcome.transaction_id, error=outcome.error,
        )  # fmt: skip


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
