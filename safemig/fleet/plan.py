"""fleet_plan: who would be deployed to, in which order, by which rehearsals; who cannot be, and why. Reads only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safemig import live
from safemig.approval.plan import ID_LENGTH, identify
from safemig.errors import RefusedError, ReviewRefusedError, UnsupportedError
from safemig.execution.layout import files_of
from safemig.execution.steps import plan_files
from safemig.fleet.cohorts import cohorts_of, key_of, waves_of
from safemig.fleet.members import environment_of, members_of, settings_of
from safemig.fleet.row_checks import LOCKED, Checked, check_rows
from safemig.fleet.status import drift_of
from safemig.fleet.survey import Reading, survey
from safemig.fleet_facts import Cohort, FleetPlan, SetAside, Wave
from safemig.operations.review import review
from safemig.review import Verdict
from safemig.settings import FleetSettings, Settings
from safemig.views.numbers import counted
from safemig.whole_files import write_atomically

VERSION = 1


@dataclass(frozen=True, slots=True)
class FleetSituation:
    """A fleet as it was found, and the plan that binds it."""

    name: str
    fleet: FleetSettings
    plan: FleetPlan
    readings: Mapping[str, Reading]  # of the members that are deployed to
    current: tuple[Reading, ...]  # who have everything
    binding: Mapping[str, Any]


@live.act("fleet_plan")
def fleet_plan(settings: Settings, fleet: str = "") -> FleetPlan:
    """Say what would be done to a fleet, and keep the plan by its ID in the fleet's records. Reads the databases only.

    Raises:
        SettingsError: there is no such fleet, or its members cannot be told.
        MigrationError: the migrations folder is not as it must be.
        ReviewRefusedError: findings stand.
    """
    situation = assess_fleet(settings, fleet)
    if situation.plan.members and not situation.plan.stops:
        keep(settings, situation)
    return situation.plan


def assess_fleet(settings: Settings, fleet: str = "") -> FleetSituation:
    """Ask all members, check their rows, review, and make the plan. Raises as `fleet_plan`."""
    name, of = settings.fleet(fleet)
    with live.stage("read who belongs to the fleet"):
        members = members_of(settings, name)
    with live.stage(f"ask {counted(len(members), 'member')}", len(members), "member"):
        readings = survey(settings, of, name, members)
    drifts = drift_of(settings, name, [each for each in readings if each.state == "pending"])
    aside = [each for reading in readings if (each := unfit(name, reading, drifts.get(reading.member.name, "none")))]
    out = {each.member for each in aside}
    fit = [each for each in readings if each.state == "pending" and each.member.name not in out]
    if of.schemas:
        require_transactional(fit)
    checked = check_rows(settings, of, name, fit)
    require_no_lock(of, checked)
    aside += checked.cannot()
    out = {each.member for each in aside}
    fit = [each for each in fit if each.member.name not in out]
    aside += (locked := checked.all_locked(fit))
    out = {each.member for each in locked}
    fit = [each for each in fit if each.member.name not in out]
    waves = waves_of(of, [each.member for each in fit])
    cohorts = cohorts_of(of, fit, waves, checked.locked)
    by_name = {each.member.name: each for each in fit}
    verdict = reviewed(settings, name, [by_name[each.rehearses] for each in cohorts])
    current = tuple(each for each in readings if each.state == "current")
    binding = _binding(settings, name, of, fit, cohorts, waves, checked, aside)
    plan = FleetPlan(
        id=identify(binding) if fit else "",
        fleet=name,
        cohorts=cohorts,
        waves=waves,
        set_aside=tuple(aside),
        current=tuple(each.member.name for each in current),
        checks=tuple(checked.found),
        checks_made=checked.made,
        sizes=checked.sizes,
        backup=backup_words(of),
        verdict=verdict,
        warnings=checked.warnings,
        stops=bool(aside) and of.unfit == "stop",
    )
    return FleetSituation(name, of, plan, by_name, current, binding)


_BASELINE = "record it: give it a name under [environments], then safemig baseline-prod --target NAME"


def unfit(fleet: str, reading: Reading, drift: str) -> SetAside | None:
    """Return why a member cannot be deployed to, with the way out; None where it can, or needs nothing."""
    name = reading.member.name
    match reading.state:
        case "unreachable":
            return SetAside(name, f"unreachable: {reading.error}", "make it reachable, or remove it from the fleet")
        case "contradicts":
            return SetAside(name, reading.error, "restore the applied files, or get the missing ones")
        case "unrecorded":
            return SetAside(name, reading.error, _BASELINE)
        case "part-way":
            return SetAside(
                name, reading.error, f"safemig fleet migrate {fleet} --resume PLAN, with the plan that it belongs to"
            )
        case "pending" if drift != "none":
            return SetAside(
                name,
                f"drifted: {drift}",
                "write the change into a migration (safemig generate), or revert it by hand; "
                f"where a pending migration already made it, {_BASELINE}",
            )
    return None


def require_transactional(readings: Sequence[Reading]) -> None:
    """Refuse, for members that are schemas of one database, statements that refuse a transaction.

    Raises:
        UnsupportedError: a pending file has one.
    """
    for versions in {tuple(each.pending) for each in readings}:
        for file in plan_files(versions):
            if not file.transactional:
                step = next((each for each in file.steps if not each.transactional), None)
                raise UnsupportedError(
                    f"{step.kind if step else 'a file'} refuses a transaction, which a fleet of schemas cannot resume",
                    where=f"{file.migration.file}{f', line {step.line}' if step else ''}",
                    next="use the form that runs in a transaction: the tables of one schema are small",
                )


def require_no_lock(fleet: FleetSettings, checked: Checked) -> None:
    """Refuse, for members that are schemas of one database, while the tables of one are locked.

    The copy that a rehearsal is made on is of the whole database, and would wait for that lock.

    Raises:
        RefusedError: one is locked.
    """
    held = sorted({each.member for each in checked.found if each.note == LOCKED})
    if fleet.schemas and held:
        raise RefusedError(
            f"tables of {', '.join(held[:5])} are locked: a copy of the database would wait for that",
            where="nothing was changed",
            next="end the session that holds the lock, then run this again",
        )


def reviewed(settings: Settings, fleet: str, representatives: Sequence[Reading]) -> str:
    """Review what is pending, once for each cohort.

    Raises:
        ReviewRefusedError: findings stand; the message names them.
    """
    verdict = ""
    for reading in representatives:
        own = settings_of(settings, fleet, reading.member)
        made = review(own, environment=environment_of(fleet, reading.member.name))
        if made.verdict not in (Verdict.SAFE, Verdict.NOTHING):
            standing = made.standing
            raise ReviewRefusedError(
                f"{made.verdict}: {counted(len(standing), 'finding')} stand",
                where="; ".join(f"{each.file}:{each.line} {each.rule} {each.object}".strip() for each in standing[:5]),
                next=made.way_on,
                result=made,
            )
        verdict = str(made.verdict)
    return verdict


def backup_words(fleet: FleetSettings) -> str:
    """Say how members are backed up."""
    if fleet.backup == "member":
        return "each member is backed up before it is deployed to"
    if fleet.backup == "none":
        return 'no backup is taken: backup = "none"'
    return f"declared, not verified by safemig: {fleet.backup.partition(':')[2].strip()}"


def _binding(
    settings: Settings, name: str, fleet: FleetSettings, fit: Sequence[Reading], cohorts: Sequence[Cohort],
    waves: Sequence[Wave], checked: Checked, aside: Sequence[SetAside],
) -> dict[str, Any]:  # fmt: skip
    members = {}
    for each in fit:
        target = each.target
        assert target is not None  # noqa: S101 - it answered
        members[each.member.name] = {
            "system_identifier": target.system_identifier,
            "database": target.database,
            "schema": each.member.schema,
            "cohort": key_of(each),
        }
    files = {each.version: each.sha256 for reading in fit for each in reading.pending}
    return {
        "version": VERSION,
        "fleet": name,
        "members": members,
        "cohorts": [
            {"key": each.key, "schema": each.schema_fingerprint, "major": each.server_major,
             "extensions": each.extensions, "pending": each.pending, "rehearses": each.rehearses}
            for each in cohorts
        ],
        "migrations": files,
        "waves": [{"name": each.name, "members": each.members} for each in waves],
        "evidence": {"checks": checked.made, "violating": sorted({each.member for each in checked.found if each.violations})},
        # Without the words of an error, which may differ from time to time.
        "set_aside": {each.member: "unreachable" if each.why.startswith("unreachable") else each.why for each in aside},
        "settings": bound_settings(settings, fleet),
    }  # fmt: skip


def bound_settings(settings: Settings, fleet: FleetSettings) -> dict[str, Any]:
    """Return the settings that a plan binds, as its file has them."""
    return {
        "accept": list(settings.accept),
        "rehearsal": settings.rehearsal,
        "approvals": [settings.required_approvals, settings.authors_may_approve],
        "transaction": settings.transaction,
        "deploy_as": settings.deploy_as,
        "backup": fleet.backup,
        "max_failures": fleet.max_failures,
        "unfit": fleet.unfit,
    }


def _path(settings: Settings, fleet: str, plan_id: str) -> Any:
    return settings.path("records") / fleet / "plans" / f"{plan_id}.json"


def keep(settings: Settings, situation: FleetSituation) -> None:
    """Write what a plan binds into the fleet's records, by its ID, which is a hash of it. It holds no secret."""
    path = _path(settings, situation.name, situation.plan.id)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(situation.binding, sort_keys=True, indent=1).encode())


def kept(settings: Settings, fleet: str, plan_id: str) -> dict[str, Any] | None:
    """Return what the plan of that ID binds; None where it was not made here.

    Raises:
        RefusedError: the file is not what the ID is a hash of.
    """
    path = _path(settings, fleet, plan_id)
    if len(plan_id) != ID_LENGTH or not plan_id.isalnum() or not path.is_file():
        return None
    try:
        binding: dict[str, Any] = json.loads(path.read_bytes())
        found = hashlib.sha256(json.dumps(binding, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    except (ValueError, OSError):
        found, binding = "", {}
    if found[:ID_LENGTH] != plan_id:
        raise RefusedError(
            f"the plan {plan_id} was edited",
            where=str(path),
            next=f"remove the file, and make a new plan: safemig fleet plan {fleet}",
        )
    return binding


def require_unchanged_project(
    settings: Settings, fleet: FleetSettings, binding: Mapping[str, Any], plan_id: str
) -> None:
    """Look whether the migration files and the settings are those of the plan.

    Raises:
        RefusedError: a file was edited or removed since, or a setting that the plan binds has changed.
    """
    now = {each.version: each.sha256 for each in files_of(settings)}
    changed = [version for version, sha256 in binding["migrations"].items() if now.get(version) != sha256]
    if changed:
        raise RefusedError(
            f"migration {', '.join(changed)} is not what plan {plan_id} binds",
            where="edited or removed since the plan",
            next="restore the files, or make a new plan and approve that",
        )
    then = binding["settings"]
    if differ := [name for name, value in bound_settings(settings, fleet).items() if then.get(name) != value]:
        raise RefusedError(
            f"settings have changed since plan {plan_id}: {', '.join(differ)}",
            where="; ".join(f"{name} was {then.get(name)!r}" for name in differ),
            next="set them as they were, or make a new plan and approve that",
        )


__all__ = [
    "FleetSituation", "assess_fleet", "backup_words", "fleet_plan", "keep", "kept", "require_no_lock", "require_unchanged_project",
    "unfit",
]  # fmt: skip
