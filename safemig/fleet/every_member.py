"""What a backup and a rollback of a fleet have in common: one job a member, no waves, one result."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress

from safemig import live
from safemig.errors import DeploymentStoppedError, RefusedError, SettingsError
from safemig.execution import journal
from safemig.fleet.deploy_member import MemberJob
from safemig.fleet.engine import Act, Placed, SchedulerLostError, run_jobs, workers
from safemig.fleet.members import Member
from safemig.fleet_facts import FleetDeployment, MemberOutcome, Wave
from safemig.identity import who
from safemig.settings import FleetSettings, Settings
from safemig.views.numbers import counted


def on_every_member(
    settings: Settings,
    name: str,
    fleet: FleetSettings,
    jobs: Sequence[tuple[Member, MemberJob]],
    act: Act,
    *,
    verb: str,
    verdict: str,
    plan_id: str = "",
    changes: bool = True,
    known: Sequence[MemberOutcome] = (),
    again: str,
) -> FleetDeployment:
    """Run a job for each member, on Dask; stop at the set number of failures.

    Raises:
        DeploymentStoppedError: members failed or were not reached, and some may have been changed (`changes`).
        RefusedError: members failed, where the act changes none.
    """
    started, run_id = time.monotonic(), secrets.token_hex(6)
    path = settings.path("records") / name / journal.FILE_NAME
    done = {each.member: each for each in known}
    journal.write(path, run_id, "begun", act=verb, plan=plan_id, by=who(), members=len(jobs))
    notes: tuple[str, ...] = ()

    def may_go_on() -> bool:
        return sum(each.is_failure for each in done.values()) < fleet.max_failures

    if jobs:
        try:
            with workers(fleet) as client, live.stage(counted(len(jobs), "member"), len(jobs)):
                placed = [Placed(job, member.server) for member, job in jobs]
                for outcome in run_jobs(client, fleet, placed, act, may_go_on):
                    done[outcome.member] = outcome
                    with suppress(SettingsError):  # what is done is done, and the members' own histories know it
                        journal.write(
                            path, run_id, "member", member=outcome.member, outcome=outcome.outcome, error=outcome.error
                        )
                    live.advance(1)
        except SchedulerLostError:
            notes = ("the scheduler was lost",)
    for member, _ in jobs:
        done.setdefault(member.name, MemberOutcome(member.name, "not reached"))
    rank = {"unknown": 0, "stopped": 1, "failed": 2, "set aside": 3, "not reached": 4}
    members = tuple(sorted(done.values(), key=lambda each: (rank.get(each.outcome, 9), each.member)))
    bad = [each for each in members if each.is_failure or each.outcome == "not reached"]
    result = FleetDeployment(
        fleet=name,
        act=verb,
        verdict="STOPPED" if bad else verdict if jobs else "NOTHING TO DO",
        plan_id=plan_id,
        run_id=run_id,
        by=who(),
        members=members,
        cohorts=(),
        waves=(Wave("all", tuple(member.name for member, _ in jobs)),) if jobs else (),
        migrations=(),
        seconds=time.monotonic() - started,
        notes=notes,
    )
    with suppress(SettingsError):
        journal.write(path, run_id, "ended", verdict=result.verdict)
    if bad:
        kind = DeploymentStoppedError if changes else RefusedError
        raise kind(
            f"{counted(len(bad), 'member')} of {len(jobs):,} failed or were not reached",
            where="; ".join(f"{each.member}: {each.error or each.outcome}" for each in bad[:5]),
            next=f"correct the cause, then {again}",
            result=result,
        )
    return result
