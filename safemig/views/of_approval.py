"""The view of the approval gate once it was answered."""

from __future__ import annotations

from safemig.results import Approval
from safemig.views import numbers
from safemig.views.document import Badge, Document, Mono, Strong
from safemig.views.shared_parts import on


def build(result: Approval) -> Document:
    """Say who approved which plan for which database, when and how."""
    how = "typed at the prompt" if result.how == "typed" else "given as parameter"
    return Document(
        Badge("APPROVED", "ok"),
        (
            Mono(f"plan {result.plan_id}"),
            Strong(on(result.target)),
            f"by {result.by}" + (f", after {' and '.join(result.others)}" if result.others else ""),
            numbers.time(result.at),
            how,
        ),
    )
