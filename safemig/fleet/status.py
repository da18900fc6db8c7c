"""fleet_status: the matrix of a fleet, read from every member's own history and schema just now."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack

from safemig import live
from safemig.copies.drift import Drift
from safemig.errors import SafemigError
from safemig.execution.layout import files_of
from safemig.fleet.members import members_of
from safemig.fleet.survey import Reading, open_member, survey
from safemig.fleet_facts import FleetMember, FleetStatus
from safemig.settings import Settings
from safemig.views.numbers import counted


@live.act("fleet_status")
def fleet_status(settings: Settings, fleet: str = "", *, drift: bool = True) -> FleetStatus:
    """Describe every member of a fleet: version, pending migrations, drift. Reads only.

    Drift is measured for each group of equal members: their applied migrations are replayed on a throwaway server. With
    `drift` False it is left out, and said to be.

    Raises:
        SettingsError: there is no such fleet, or its members cannot be told.
        MigrationError: the migrations folder is not as it must be.
    """
    started = time.monotonic()
    name, of = settings.fleet(fleet)
    with live.stage("read who belongs to the fleet"):
        members = members_of(settings, name)
    with live.stage(f"ask {counted(len(members), 'member')}", len(members), "member"):
        readings = survey(settings, of, name, members)
    drifts = drift_of(settings, name, readings) if drift else {}
    files = files_of(settings)
    rows = tuple(row_of(each, drifts.get(each.member.name, "not compared: not asked for")) for each in readings)
    return FleetStatus(name, rows, files[-1].version if files else "", time.monotonic() - started)


def row_of(reading: Reading, drift: str) -> FleetMember:
    """Return the matrix's row of a member."""
    from safemig.fleet.cohorts import key_of

    target = reading.target
    return FleetMember(
        name=reading.member.name,
        state=reading.state,
        version=reading.version,
        drift=drift if target else "",
        error=reading.error,
        pending=len(reading.pending),
        cohort=key_of(reading) if target else "",
        server=reading.member.server,
        database=target.database if target else reading.member.database,
        schema=reading.member.schema,
        labels=dict(reading.member.labels),
    )


def drift_of(settings: Settings, fleet: str, readings: Sequence[Reading]) -> dict[str, str]:
    """Return how each member's schema differs from what its applied migrations make: measured once for equal members."""
    groups: defaultdict[tuple[object, ...], list[Reading]] = defaultdict(list)
    for each in readings:
        if each.target:
            groups[each.alike].append(each)
    found: dict[str, str] = {}
    with (
        ExitStack() as shadows,
        live.stage(f"compare {counted(len(groups), 'schema')} with the migrations", len(groups)),
    ):
        databases: Drift | None = None
        for group in groups.values():
            words = ""
            for reading in group[:3]:  # one that goes away meanwhile is no reason
                member = reading.member
                try:
                    with open_member(settings, fleet, member) as (own, connection):
                        if member.schema:  # a shadow has the member's schema
                            with ExitStack() as own_shadows:
                                words = Drift(own, own_shadows).of(connection, reading.standing)  # type: ignore[arg-type]
                        else:
                            databases = databases or Drift(own, shadows)
                            words = databases.of(connection, reading.standing)  # type: ignore[arg-type]
                    break
                except SafemigError as error:
                    words = f"not compared: {error.what}"
            found |= {each.member.name: words for each in group}
            live.advance(1)
    return found
