"""What a person is shown before the approval is asked for: what would change, the evidence so far, locks, what a rollback loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safemig.records.certificate import certificate_of
from safemig.records.outcome import Outcome, read_outcome
from safemig.sql.locks import LockMode
from safemig.views import numbers
from safemig.views.document import (
    Badge,
    Block,
    Bullets,
    Callout,
    Details,
    Document,
    Line,
    Listing,
    Mono,
    Paragraph,
    Strong,
    Table,
)

SHOW = "sql"  # the answer that shows the statements, and approves nothing


@dataclass(frozen=True, slots=True)
class Gate:
    """The view before the question, as text and as HTML."""

    text: str
    html: str


def gate_of(verb: str, notebook: Any, facts: Mapping[str, Any], *, unfolded: bool = False) -> Gate | None:
    """Return what `verb`'s run has found so far; None where it rehearses nothing: its question says it all.

    unfolded: with the statements, which are else folded in HTML and left out of the text.
    """
    from safemig.views.in_html import draw_html
    from safemig.views.in_text import draw_text

    outcome = read_outcome(verb, notebook, ended=False)
    plan, rehearsal = outcome.last("plan"), outcome.last("rehearsal")
    if plan is None or rehearsal is None:
        return None
    view = _document(outcome, plan.data, rehearsal.data["steps"], facts, unfolded=unfolded)
    return Gate(draw_text(view), draw_html(view))


def _document(
    outcome: Outcome,
    plan: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    *,
    unfolded: bool,
) -> Document:
    told = certificate_of(outcome, {**facts, "finished": facts["started"]})
    assert told is not None  # noqa: S101 - a run with an approval is one that changes a database
    target = plan["target"]
    where = f"{target['environment']} ({target['database']} on {target['host']})"
    given = tuple((each.sign, Strong(each.name), each.words) for each in told.proofs if each.mark != "not reached")
    blocks: list[Block] = [
        Bullets("What would change", tuple(f"{each.file}: {each.does}" for each in told.changes)),
        Table("Evidence so far", ("", "Proof", "Figures"), given),
        *_locks(steps),
    ]
    if told.accepted:
        blocks.append(Callout(Badge("ACCEPTED", "waiting"), "findings accepted by name", told.accepted))
    if told.would_lose:
        blocks.append(Callout(Badge("ROLLBACK", "warning"), "A rollback would lose", told.would_lose))
    blocks += _statements(steps, unfolded=unfolded)
    if not unfolded:
        blocks.append(Paragraph(("The statements, whole: type ", Mono(SHOW), ", which approves nothing.")))
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
    title = "Locks, as measured on the copy, which has no traffic"
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
