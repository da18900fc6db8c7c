"""A run over a fleet: its jobs on Dask, an outcome for each member, and a line of the journal for each outcome."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from safemig import live
from safemig.errors import DeploymentStoppedError, RefusedError, SettingsError
from safemig.execution import journal
from safemig.fleet.deploy_member import MemberJob
from safemig.fleet.engine import Act, SchedulerLostError, run_jobs, workers
from safemig.fleet.progress import Progress
from safemig.fleet_facts import Cohort, FleetDeployment, FleetPlan, MemberOutcome, Wave
from safemig.identity import who
from safemig.settings import Settings
from safemig.views.numbers import counted

_RANK = {"unknown": 0, "stopped": 1, "failed": 2, "set aside": 3, "not reached": 4}


class FleetRun:
    """What a run has come to so far; `lost` says why it ended before all jobs were done, "" where it did not."""

    def __init__(self, settings: Settings, fleet: str, verb: str, plan_id: str = "") -> None:
        self.settings, self.verb, self.plan_id = settings, verb, plan_id
        self.name, self.fleet = settings.fleet(fleet)
        self.run_id = secrets.token_hex(6)
        self.done: dict[str, MemberOutcome] = {}
        self.lost = ""
        self.in_flight: frozenset[str] = frozenset()  # whose jobs were with a worker when the scheduler was lost
        self._started = time.monotonic()

    @property
    def failures(self) -> int:
        """How many members failed."""
        return sum(each.is_failure for each in self.done.values())

    def may_go_on(self) -> bool:
        """Tell whether fewer members than `max_failures` failed."""
        return self.failures < self.fleet.max_failures

    def begin(self, members: int, by: str) -> None:
        """Note in the journal that it begins."""
        self._note("begun", act=self.verb, plan=self.plan_id, by=by, members=members)

    def keep(self, outcome: MemberOutcome) -> None:
        """Keep a member's outcome, and note it in the journal."""
        self.done[outcome.member] = outcome
        self._note_what_is_done(
            "member", member=outcome.member, outcome=outcome.outcome, version=outcome.version, wave=outcome.wave,
            member_run=outcome.run_id, transaction=outcome.transaction_id, error=outcome.error,
        )  # fmt: skip

    def run(self, waves: Sequence[tuple[str, Sequence[MemberJob]]], act: Act, *, only: int = 0) -> None:
        """Run the jobs, wave by wave, until too many members failed, or so many waves as `only` says are done."""
        try:
            with workers(self.settings, self.name) as client, Progress(self.settings, self.name, self.done) as progress:
                for number, (name, jobs) in enumerate(waves, 1):
                    if not self.may_go_on():
                        break
                    if only and number > only:
                        self.lost = f"paused after wave {number - 1}, as --waves {only} says"
                        return
                    what = f"wave {number}, {name}: " if name else ""
                    with live.stage(f"{what}{counted(len(jobs), 'member')}", len(jobs), "member"):
                        for outcome in run_jobs(client, self.fleet, jobs, act, self.may_go_on, progress.look):
                            self.keep(outcome)
                            live.advance(1)
        except SchedulerLostError as error:
            self.lost, self.in_flight = str(error), error.in_flight
            return
        if not self.may_go_on():
            self.lost = f"{counted(self.failures, 'member')} failed"

    def result(
        self, verdict: Callable[[Sequence[MemberOutcome]], str], waves: Sequence[Wave], plan: FleetPlan | None = None, by: str = ""
    ) -> FleetDeployment:  # fmt: skip
        """Return what it came to, failed members first, and note its end."""
        cohorts: tuple[Cohort, ...] = plan.cohorts if plan else ()
        cohort_of = {name: each.key for each in cohorts for name in each.members}
        members = sorted(self.done.values(), key=lambda each: (_RANK.get(each.outcome, 9), each.member))
        result = FleetDeployment(
            fleet=self.name,
            act=self.verb,
            verdict=verdict(members),
            plan_id=self.plan_id,
            run_id=self.run_id,
            by=by or who(),
            members=tuple(replace(each, cohort=cohort_of.get(each.member, each.cohort)) for each in members),
            cohorts=cohorts,
            waves=tuple(waves),
            migrations=tuple(dict.fromkeys(file for each in cohorts for file in each.pending)),
            seconds=time.monotonic() - self._started,
            backup=plan.backup if plan and plan.members else "",
            notes=(self.lost,) if self.lost else (),
        )
        if any(wave.members for wave in waves):
            self._note_what_is_done("ended", verdict=result.verdict)
        return result

    def _note(self, event: journal.Event, **facts: Any) -> None:
        journal.write(self.settings.path("records") / self.name / journal.FILE_NAME, self.run_id, event, **facts)

    def _note_what_is_done(self, event: journal.Event, **facts: Any) -> None:
        with suppress(SettingsError):  # members are changed, and their own histories know it
            self._note(event, **facts)


def on_every_member(run: FleetRun, jobs: Sequence[MemberJob], act: Act, *, verdict: str, again: str) -> FleetDeployment:
    """Run a job for each member, without waves: a backup or a rollback. `run` may know outcomes of others already.

    Raises:
        DeploymentStoppedError: members failed or were not reached, and some may have been changed.
        RefusedError: members could not be backed up.
    """
    if jobs:
        run.begin(len(jobs), who())
        run.run([("", jobs)], act)
    for job in jobs:
        if job.member in run.in_flight:
            run.keep(MemberOutcome(job.member, "unknown", error="the scheduler was lost while a worker had its job"))
        run.done.setdefault(job.member, MemberOutcome(job.member, "not reached"))

    def bad(members: Sequence[MemberOutcome]) -> list[MemberOutcome]:
        return [each for each in members if each.is_failure or each.outcome == "not reached"]

    result = run.result(
        lambda members: "STOPPED" if bad(members) else verdict if jobs else "NOTHING TO DO",
        [Wave("all", tuple(job.member for job in jobs))] if jobs else [],
    )
    if failed := bad(result.members):
        kind = RefusedError if run.verb == "fleet_backup" else DeploymentStoppedError
        raise kind(
            f"{counted(len(failed), 'member')} of {len(jobs):,} failed or were not reached",
            where="; ".join(f"{each.member}: {each.error or each.outcome}" for each in failed[:5]),
            next=f"correct the cause, then {again}",
            result=result,
        )
    return result
