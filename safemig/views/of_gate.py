"""The view of what is about to happen, shown before the approval is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from safemig.sql.locks import LockMode
from safemig.views import numbers
from safemig.views.document import (
    Badge,
    Block,
    Bullets,
    Callout,
    Details,
    Document,
    Inline,
    Line,
    Listing,
    Mono,
    Paragraph,
    Strong,
    Table,
)

SHOW = "sql"  # the answer that shows the statements, and approves nothing


def build(
    plan: Mapping[str, Any],
    *,
    changes: Sequence[str],
    evidence: Sequence[tuple[Inline, ...]],
    accepted: Sequence[str] = (),
    would_lose: Sequence[str] = (),
    unfolded: bool = False,
) -> Document:
    """Say what would change, what was found out so far, locks, and what a rollback loses; `plan` is a plan's facts.

    unfolded: with the statements, which are else folded in HTML and left out of the text.
    """
    target, steps = plan["target"], plan["steps"]
    place = " on ".join(filter(None, (target["database"], target["host"])))
    blocks: list[Block] = [Bullets("What would change", tuple(changes))]
    if evidence:
        blocks.append(Table("Evidence so far", ("", "Proof", "Figures"), tuple(evidence)))
    blocks += _locks(steps)
    if accepted:
        blocks.append(Callout(Badge("ACCEPTED", "waiting"), "findings accepted by name", tuple(accepted)))
    if would_lose:
        blocks.append(Callout(Badge("ROLLBACK", "warning"), "A rollback would lose", tuple(would_lose)))
    blocks += _statements(steps, unfolded=unfolded)
    if steps and not unfolded:
        blocks.append(Paragraph(("The statements, whole: type ", Mono(SHOW), ", which approves nothing.")))
    where = f"{target['environment']} ({place})" if place else target["environment"]
    return Document(
        Badge("WAITING FOR APPROVAL", "waiting"), (Mono(f"plan {plan['id']}"), Strong(where)), tuple(blocks)
    )


def _locks(steps: Sequence[Mapping[str, Any]]) -> tuple[Block, ...]:
    rows = tuple(
        (
            str(step["number"]),
            Mono(step["kind"]),
            lock["mode"],
            Mono(lock["object"]),
            numbers.count(lock.get("rows")),
            numbers.seconds(lock.get("held_s")),
            LockMode(lock["mode"]).blocks,
        )
        for step in steps
        for lock in step["locks"]
    )
    columns = ("#", "Statement", "Lock", "Table", "Rows", "Held", "Blocks")
    measured = any(lock.get("held_s") is not None for step in steps for lock in step["locks"])
    title = "Locks, as measured on the copy, which has no traffic" if measured else "Locks that the statements take"
    return (Table(title, columns, rows, frozenset({"#", "Rows", "Held"})),) if rows else ()


def _statements(steps: Sequence[Mapping[str, Any]], *, unfolded: bool) -> list[Block]:
    by_file: dict[str, list[Line]] = {}
    for step in steps:
        lines = step["sql"].strip().splitlines()
        by_file.setdefault(step["file"], []).extend(Line(text, step["line"] + i) for i, text in enumerate(lines))
    return [
        Details(f"The SQL of {file}", (Listing("", tuple(lines)),), in_text=unfolded, is_open=unfolded)
        for file, lines in by_file.items()
    ]
