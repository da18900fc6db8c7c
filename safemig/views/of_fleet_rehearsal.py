"""The view of a fleet's rehearsals, one a cohort."""

from __future__ import annotations

from safemig.fleet_facts import FleetRehearsal
from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Document, Inline, Mono, Strong, Table


def build(result: FleetRehearsal) -> Document:
    """Say how many cohorts were rehearsed, on whose copy, and that each rollback was run there."""
    rows: tuple[tuple[Inline, ...], ...] = tuple(
        (
            Mono(each.cohort),
            Strong(each.member),
            "with data" if each.mode == "data" else "schema only",
            f"{each.steps:,}",
            numbers.seconds(each.longest_lock_s) if each.longest_lock_s is not None else numbers.NOTHING,
            Badge("PROVEN", "ok") if each.rollback_is_proven else Badge("NOT PROVEN", "error"),
            numbers.seconds(each.seconds),
        )
        for each in result.cohorts
    )
    columns = ("Cohort", "Copy of", "Copy", "Steps", "Longest lock", "Rollback", "Took")
    blocks: list[Block] = [Table("Cohorts", columns, rows, frozenset({"Steps", "Longest lock", "Took"}))]
    gone = tuple(
        dict.fromkeys(f"{each.cohort}: {words}" for each in result.cohorts for words in each.cannot_bring_back)
    )
    if gone:
        blocks.append(Bullets("What a rollback cannot bring back", gone))
    scripts = tuple(f"{each.cohort}: {each.rollback}" for each in result.cohorts if each.rollback)
    blocks.append(Bullets("Rollback scripts", scripts))
    headline = (Strong(result.fleet), numbers.counted(len(result.cohorts), "cohort"), numbers.seconds(result.seconds))
    return Document(Badge("REHEARSED", "ok"), headline, tuple(blocks))
