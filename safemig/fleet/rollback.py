"""fleet_rollback: take back, on every member that has it, what a fleet's plan deployed, by the cohorts' proven scripts."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import psycopg

from safemig import live
from safemig.approval.approve import About, Ask, approve
from safemig.approval.plan import identify
from safemig.copies.rollback_script import read_script
from safemig.errors import BackupError, RefusedError, SafemigError, UnsupportedError
from safemig.execution.environment import open_environment, schema_of
from safemig.fleet.deploy_member import MemberJob, member_called, outcome_of_error
from safemig.fleet.members import environment_of, members_of, settings_of
from safemig.fleet.run import FleetRun, on_every_member
from safemig.fleet.survey import survey
from safemig.fleet_facts import FleetDeployment, MemberOutcome
from safemig.operations.rollback_prod import plan_rollback, rollback_prod
from safemig.results import Plan, Target
from safemig.settings import Settings
from safemig.views.numbers import counted


@live.act("fleet_rollback")
def fleet_rollback(
    settings: Settings, plan: str, fleet: str = "", *, approve_id: str = "", ask: Ask | None = None
) -> FleetDeployment:
    """Roll back the deployment of a fleet's plan: each member by `rollback_prod`, with a backup and a copy of its own.

    Members that do not have it, any more or at all, are left as they are; so it can be run again.

    Raises:
        BackupError: there is no rollback script of that plan here.
        UnsupportedError: the members are schemas, whose script names the rehearsed one.
        RefusedError: it is not approved; the message has the ID.
        DeploymentStoppedError: members failed; the others are rolled back.
    """
    name, of = settings.fleet(fleet)
    if of.schemas:
        raise UnsupportedError(
            "a fleet of schemas is not rolled back by safemig: the script names the schema that was rehearsed",
            where=f"[fleets.{name}]",
            next="deploy the reverse as a new migration",
        )
    home = settings.path("backups") / name
    scripts = [each for path in sorted(home.glob("rollback_*.sql")) if (each := read_script(path)).plan_id == plan]
    if not scripts:
        raise BackupError(
            f"no rollback script of plan {plan}", where=str(home), next="fleet migrate writes one for each cohort"
        )
    versions = {version for script in scripts for version in script.versions}
    members = members_of(settings, name)
    with live.stage(f"ask {counted(len(members), 'member')}", len(members), "member"):
        readings = survey(settings, of, name, members)
    to_do, run = [], FleetRun(settings, name, "fleet_rollback", plan)
    for reading in readings:
        name_of = reading.member.name
        applied = {each.version for each in reading.standing.applied} if reading.standing else set()
        if reading.state == "unreachable":
            run.done[name_of] = MemberOutcome(name_of, "set aside", error=reading.error)
        elif versions <= applied:
            to_do.append(reading)
        else:
            run.done[name_of] = MemberOutcome(name_of, "already", version=reading.version)
    identity = identify({"fleet": name, "plan": plan, "scripts": sorted(each.sha256 for each in scripts),
                         "members": sorted(each.member.name for each in to_do)})  # fmt: skip
    gone = dict.fromkeys(words for script in scripts for words in script.cannot_bring_back)
    if to_do:
        words = [f"Rolls back plan {plan} on {counted(len(to_do), 'member')} of fleet {name}."]
        words += [f"It does not bring back {each}." for each in gone]
        target = Target(name, "", counted(len(to_do), "member"), "", 0, "")
        about = About(Plan(identity, target, "", (), (), act="rollback_prod", what=tuple(words)), (), tuple(gone))
        verb = f"fleet rollback {plan} {name}"
        approve(identity, target, approve_id, "\n".join(words), verb=verb, ask=ask, about=about)
    paths = tuple(str(script.path) for script in reversed(scripts))
    jobs = [MemberJob(settings, name, each.member.name, each.member.server, plan, scripts=paths) for each in to_do]
    result = on_every_member(
        run, jobs, rollback_member, verdict="ROLLED BACK", again=f"safemig fleet rollback {plan} {name}"
    )
    return replace(result, notes=(*result.notes, *(f"not brought back: {each}" for each in gone)))


def rollback_member(job: MemberJob) -> MemberOutcome:
    """Roll one member back by that of its plan's scripts which was made for its schema. Raises nothing of ours."""
    started = time.monotonic()
    made = MemberOutcome(job.member, "failed")
    try:
        member = member_called(job.settings, job.fleet, job.member)
        own, environment = settings_of(job.settings, job.fleet, member), environment_of(job.fleet, member.name)
        with open_environment(own, environment) as connection:
            now = schema_of(own, connection).fingerprint
        script = next((path for path in map(Path, job.scripts) if read_script(path).from_fingerprint == now), None)
        if script is None:
            raise RefusedError(
                "its schema has changed since the deployment",
                where=f"fingerprint {now[:12]}",
                next="generate a migration that takes the change back",
            )
        identity = plan_rollback(own, script, environment=environment).id
        done = rollback_prod(own, script, environment=environment, approve=identity)
        made = replace(
            made,
            outcome="rolled back",
            run_id=done.run_id,
            transaction_id=done.transaction_id,
            backup=str(done.backup or ""),
        )
    except (SafemigError, psycopg.Error, OSError) as error:
        made = outcome_of_error(made, error)
    return replace(made, seconds=time.monotonic() - started)
