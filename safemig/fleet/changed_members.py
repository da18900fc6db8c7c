"""Which members a fleet's run has changed, by their own history: for a run that was cut off and told nothing of its end."""

from __future__ import annotations

from datetime import datetime

from safemig.errors import RefusedError
from safemig.execution.environment import open_environment
from safemig.execution.transaction import only_deployment
from safemig.fleet.members import Member, environment_of, members_of, settings_of
from safemig.fleet.plan import kept
from safemig.fleet.survey import in_parallel
from safemig.postgres.history import committed_between
from safemig.settings import Settings

# A fleet's act, and what each member's own history calls it.
ACTS_OF_MEMBERS = {"fleet_migrate": "migrate_prod", "fleet_rollback": "rollback_prod"}


def changed_members(
    settings: Settings, fleet: str, act: str, plan_id: str, begun: datetime, until: datetime
) -> dict[str, tuple[str, ...]]:
    """Return the members that a run changed, each with the files that it committed there. Reads only.

    Each member is asked while nothing deploys to it. A rollback runs on a member under a plan of the member's own.

    Raises:
        RefusedError: a deployment to a member is under way, or one that the plan names is no longer a member.
        UnreachableError: a member cannot be asked.
    """
    name, of = settings.fleet(fleet)
    members = members_of(settings, name)
    binding = kept(settings, name, plan_id) or {}
    if gone := sorted(set(binding.get("members", ())) - {each.name for each in members}):
        raise RefusedError(
            f"cannot check whether {', '.join(gone[:5])} was changed",
            where=f"fleet {name} no longer has that member",
            next="put it back into the fleet's source, then safemig records --settle",
        )

    def ask(member: Member) -> tuple[str, tuple[str, ...]]:
        own, environment = settings_of(settings, name, member), environment_of(name, member.name)
        with (
            only_deployment(own.conninfo(environment), environment, "settle", member.schema),
            open_environment(own, environment) as connection,
        ):
            of_plan = plan_id if act == "fleet_migrate" else ""
            found = committed_between(connection, ACTS_OF_MEMBERS[act], of_plan, begun, until, member.schema)
        return member.name, tuple(found)

    answers = dict(in_parallel(members, ask, of, server=lambda each: each.server))
    return {each.name: answers[each.name] for each in members if answers[each.name]}
