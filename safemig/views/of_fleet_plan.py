"""The view of a fleet's plan: the ID that approves it, who is deployed to in which order, who is not, and what rows said."""

from __future__ import annotations

from safemig.fleet_facts import FleetPlan, RowCheck
from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Document, Inline, Mono, Strong, Table

_MOST = 50


def build(result: FleetPlan) -> Document:
    """Say what would be done, and which members cannot be deployed to."""
    members = result.members
    if result.stops:
        verdict = Badge("STOPPED BY MEMBERS", "error")
    elif not members:
        verdict = Badge("NOTHING TO DEPLOY", "ok")
    else:
        verdict = Badge(f"PLAN {result.id}", "info")
    headline: list[Inline] = [Strong(result.fleet), f"{numbers.counted(len(members), 'member')} to deploy to"]
    headline.append(numbers.counted(len(result.cohorts), "cohort"))
    headline += [f"{len(result.current):,} current"] if result.current else []
    headline += [f"{len(result.set_aside):,} set aside"] if result.set_aside else []
    blocks: list[Block] = []
    if result.set_aside:
        title = "These members stop the plan" if result.stops else "Set aside"
        rows = tuple((Strong(each.member), each.why, each.next) for each in result.set_aside[:_MOST])
        blocks.append(Table(title, ("Member", "Why", "Next"), rows))
        if len(result.set_aside) > _MOST:
            blocks.append(Bullets("", (f"and {len(result.set_aside) - _MOST:,} more",)))
    if members:
        blocks += [_cohorts(result), _waves(result)]
    unknown = [each for each in result.checks if each.violations is None]
    blocks.append(Bullets("Checks of the members' rows", _words(result, unknown)))
    if result.warnings:
        blocks.append(Bullets("Warnings of the members' pre-flights", result.warnings))
    if result.sizes:
        largest = sorted(result.sizes.items(), key=lambda item: -item[1])[:5]
        blocks.append(Table("Largest tables in the way of locks", ("Table", "Size"),
                            tuple((Mono(name), numbers.size(size)) for name, size in largest), frozenset({"Size"})))  # fmt: skip
    if members:
        blocks.append(Bullets("Backup", (result.backup,)))
    return Document(verdict, tuple(headline), tuple(blocks))


def _words(result: FleetPlan, unknown: list[RowCheck]) -> tuple[str, ...]:
    violating = {each.member for each in result.checks if each.violations}
    words = [
        f"{numbers.counted(result.checks_made, 'check')} made, read-only; {len(violating):,} members with violating rows"
    ]
    notes: dict[str, set[str]] = {}
    for each in unknown:
        notes.setdefault(f"not known: {each.what}: {each.note}", set()).add(each.member)
    words += [f"{note} ({numbers.counted(len(members), 'member')})" for note, members in sorted(notes.items())[:10]]
    return tuple(words)


def _cohorts(result: FleetPlan) -> Table:
    rows = tuple(
        (
            Mono(each.key),
            f"{len(each.members):,}",
            ", ".join(each.pending),
            f"{each.server_major}",
            Strong(each.rehearses),
        )
        for each in result.cohorts
    )
    return Table(
        "Cohorts", ("Cohort", "Members", "Pending", "PostgreSQL", "Rehearsed on"), rows, frozenset({"Members"})
    )


def _waves(result: FleetPlan) -> Table:
    rows = tuple(
        (
            f"{number}",
            each.name,
            f"{len(each.members):,}",
            ", ".join(each.members[:4]) + (f" and {len(each.members) - 4:,} more" if len(each.members) > 4 else ""),
        )
        for number, each in enumerate(result.waves, 1)
    )
    return Table("Waves", ("No.", "Wave", "Members", "Who"), rows, frozenset({"No.", "Members"}))
