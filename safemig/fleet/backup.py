"""fleet_backup: a backup of every member, each read back. Changes nothing there."""

from __future__ import annotations

from safemig import live
from safemig.errors import UnsupportedError
from safemig.fleet.deploy_member import MemberJob, backup_member
from safemig.fleet.members import members_of
from safemig.fleet.run import FleetRun, on_every_member
from safemig.fleet_facts import FleetDeployment
from safemig.settings import Settings


@live.act("fleet_backup")
def fleet_backup(settings: Settings, fleet: str = "") -> FleetDeployment:
    """Back every member of a fleet up into `backups/FLEET/MEMBER/`, and read each backup back; none is restored.

    Raises:
        UnsupportedError: the members are schemas of one database, which is backed up as a whole.
        RefusedError: members could not be backed up; the others are.
    """
    name, of = settings.fleet(fleet)
    if of.schemas:
        raise UnsupportedError(
            "the members of this fleet are schemas of one database",
            where=f"[fleets.{name}]",
            next="safemig backup-prod --target ENVIRONMENT backs up the database with all of them",
        )
    jobs = [MemberJob(settings, name, each.name, each.server) for each in members_of(settings, name)]
    run = FleetRun(settings, name, "fleet_backup")
    return on_every_member(
        run, jobs, backup_member, verdict="BACKED UP NOT VERIFIED", again=f"safemig fleet backup {name}"
    )
