"""Cohorts and waves: which members are alike, and who comes first. Pure."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Sequence

from safemig.fleet.members import Member
from safemig.fleet.survey import Reading
from safemig.fleet_facts import Cohort, Wave
from safemig.settings import FleetSettings


def key_of(reading: Reading) -> str:
    """Return the short name of what is alike in equal members."""
    return hashlib.sha256(repr(reading.alike).encode()).hexdigest()[:8]


def waves_of(fleet: FleetSettings, members: Sequence[Member]) -> tuple[Wave, ...]:
    """Divide members into waves; a percentage is of all of them. Whom no wave takes comes last, as `rest`."""
    left = {each.name: each for each in members}
    found: list[Wave] = []

    def take(name: str, chosen: Sequence[str]) -> None:
        for each in chosen:
            del left[each]
        if chosen:
            found.append(Wave(name, tuple(chosen)))

    for wave in fleet.waves:
        if wave.startswith("label:"):
            label = wave.removeprefix("label:")
            take(wave, [name for name, member in left.items() if member.has(label)])
        elif wave.endswith("%"):
            take(wave, list(left)[: max(1, math.ceil(len(members) * int(wave[:-1]) / 100))])
        elif wave.isdigit():
            take(wave, list(left)[: int(wave)])
        else:
            take(wave, list(left))
    take("rest", list(left))
    return tuple(found)


def cohorts_of(
    fleet: FleetSettings, readings: Sequence[Reading], waves: Sequence[Wave], locked: Collection[str] = ()
) -> tuple[Cohort, ...]:
    """Divide members that are to be deployed to into cohorts, each with the member that it is rehearsed on.

    That is the largest of those with the label `rehearse_on`, else the largest in the first wave that the cohort is in;
    never one whose tables are `locked`, for a copy of it would wait. Such members alone make no cohort.
    """
    wave_of = {name: number for number, wave in enumerate(waves) for name in wave.members}
    groups: defaultdict[str, list[Reading]] = defaultdict(list)
    for each in readings:
        groups[key_of(each)].append(each)
    found = []
    for key, group in groups.items():
        free = [each for each in group if each.member.name not in locked]
        if not free:
            continue
        first = min(wave_of[each.member.name] for each in free)
        chosen = [each for each in free if fleet.rehearse_on and each.member.has(fleet.rehearse_on)]
        chosen = chosen or [each for each in free if wave_of[each.member.name] == first]
        largest = max(chosen, key=lambda each: each.size_bytes)
        target = largest.target
        assert target is not None  # noqa: S101 - only members that answered are grouped
        found.append(
            Cohort(
                key=key,
                members=tuple(each.member.name for each in group),
                pending=tuple(each.file for each in largest.pending),
                schema_fingerprint=largest.fingerprint,
                server_major=target.server_version_num // 10000,
                extensions=largest.extensions,
                rehearses=largest.member.name,
            )
        )
    return tuple(found)
