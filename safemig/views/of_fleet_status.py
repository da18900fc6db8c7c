"""The view of a fleet's matrix: who is not as it should be first, the others folded by cohort."""

from __future__ import annotations

from collections import defaultdict

from safemig.fleet_facts import UNWELL, FleetMember, FleetStatus
from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Details, Document, Inline, Mono, Strong, Table, Tone

_TONES: dict[str, Tone] = {
    "current": "ok", "pending": "waiting", "part-way": "error", "contradicts": "error", "unrecorded": "warning",
    "unreachable": "error",
}  # fmt: skip
_MOST = 50


def build(result: FleetStatus) -> Document:
    """Say how many members are current; show the others by name, and all of them by cohort."""
    states = {state: sum(each.state == state for each in result.members) for state in _TONES}
    drifted = [each for each in result.members if each.is_drifted]
    unwell = [each for each in result.members if each.state in (*UNWELL, "unreachable") or each.is_drifted]
    if unwell or result.problems:
        verdict = Badge("PROBLEMS", "error")
    elif states["pending"]:
        verdict = Badge(f"{states['pending']:,} PENDING", "waiting")
    else:
        verdict = Badge("UP TO DATE", "ok")
    headline: list[Inline] = [Strong(result.fleet), numbers.counted(len(result.members), "member")]
    headline += [f"{count:,} {state}" for state, count in states.items() if count]
    headline += [f"{len(drifted):,} drifted"] if drifted else []
    headline.append(f"asked in {numbers.seconds(result.seconds)}")
    blocks: list[Block] = [Bullets("Problems", result.problems)] if result.problems else []
    if unwell:
        blocks.append(_table("Members to look at", unwell[:_MOST]))
        if len(unwell) > _MOST:
            blocks.append(
                Details(f"{len(unwell) - _MOST:,} more to look at", (_table("", unwell[_MOST:]),), in_text=True)
            )
        blocks.append(Bullets("Ways out", _ways_out(result.fleet, unwell)))
    blocks.append(_cohorts(result.members))
    return Document(verdict, tuple(headline), tuple(blocks))


def _ways_out(fleet: str, unwell: list[FleetMember]) -> tuple[str, ...]:
    found = []
    if any(each.is_drifted for each in unwell):
        found.append(
            "drifted: write the change into a migration (safemig generate), or revert it in that database by hand"
        )
    if any(each.state == "unrecorded" for each in unwell):
        found.append(
            "unrecorded: migrations applied by hand are recorded once the member has a name under [environments]: "
            "safemig baseline-prod --target NAME"
        )
    if any(each.state == "part-way" for each in unwell):
        found.append(f"part-way: safemig fleet migrate {fleet} --resume PLAN continues it")
    if any(each.state == "contradicts" for each in unwell):
        found.append("contradicts: restore the applied files, or get the missing ones (git pull)")
    if any(each.state == "unreachable" for each in unwell):
        found.append("unreachable: see its error; the other members are told as they are")
    return tuple(found)


def _table(title: str, members: list[FleetMember]) -> Table:
    rows = tuple(
        (
            Strong(each.name),
            Badge("DRIFTED", "warning") if each.is_drifted and each.state in ("current", "pending") else _state(each),
            Mono(each.version) if each.version else numbers.NOTHING,
            each.error or each.drift or numbers.NOTHING,
        )
        for each in members
    )
    return Table(title, ("Member", "State", "Version", "Error or drift"), rows)


def _state(member: FleetMember) -> Badge:
    return Badge(member.state, _TONES[member.state])


def _cohorts(members: tuple[FleetMember, ...]) -> Table:
    groups: defaultdict[tuple[str, str, str, int, str], list[str]] = defaultdict(list)
    for each in members:
        groups[each.cohort, each.state, each.version, each.pending, each.drift].append(each.name)
    rows: list[tuple[Inline, ...]] = []
    for (cohort, state, version, pending, drift), names in sorted(groups.items(), key=lambda item: -len(item[1])):
        rows.append(
            (
                Mono(cohort) if cohort else numbers.NOTHING,
                f"{len(names):,}",
                Badge(state, _TONES[state]),
                Mono(version) if version else numbers.NOTHING,
                f"{pending:,}",
                numbers.shortened(drift or numbers.NOTHING, 60),
                ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else ""),
            )
        )
    columns = ("Cohort", "Members", "State", "Version", "Pending", "Drift", "Who")
    return Table("By cohort", columns, tuple(rows), frozenset({"Members", "Pending"}))
