"""What a person is shown before the approval is asked for: what would change, the evidence so far, locks, what a rollback loses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safemig.records.certificate import certificate_of
from safemig.records.outcome import read_outcome
from safemig.views.document import Document, Strong
from safemig.views.of_gate import SHOW, build


@dataclass(frozen=True, slots=True)
class Gate:
    """The view before the question, as text and as HTML."""

    text: str
    html: str


def gate_of(
    verb: str,
    notebook: Any,
    facts: Mapping[str, Any],
    *,
    told: Mapping[str, Any] | None = None,
    unfolded: bool = False,
) -> Gate | None:
    """Return what `verb`'s run has found so far, or what the verb that asks has `told`; None where there is neither.

    unfolded: with the statements, which are else folded in HTML and left out of the text.
    """
    outcome = read_outcome(verb, notebook, ended=False)
    plan, rehearsal = outcome.last("plan"), outcome.last("rehearsal")
    if told is not None:
        view = build(
            told["plan"],
            changes=told["plan"]["what"],
            evidence=[("✔", Strong(name), words) for name, words in told["evidence"]],
            would_lose=told["would_lose"],
            unfolded=unfolded,
        )
        return _drawn(view)
    if plan is None or rehearsal is None:
        return None
    found = certificate_of(outcome, {**facts, "finished": facts["started"]})
    assert found is not None  # noqa: S101 - a run with an approval is one that changes a database
    view = build(
        plan.data | {"steps": rehearsal.data["steps"]},
        changes=[f"{each.file}: {each.does}" for each in found.changes],
        evidence=[(each.sign, Strong(each.name), each.words) for each in found.proofs if each.mark != "not reached"],
        accepted=found.accepted,
        would_lose=found.would_lose,
        unfolded=unfolded,
    )
    return _drawn(view)


def _drawn(view: Document) -> Gate:
    from safemig.views.in_html import draw_html
    from safemig.views.in_text import draw_text

    return Gate(draw_text(view), draw_html(view))


__all__ = ["SHOW", "Gate", "gate_of"]
