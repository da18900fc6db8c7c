"""The view of an enabled change."""

from __future__ import annotations

from safemig.results import Enabled
from safemig.views.document import Badge, Bullets, Document, Mono, Strong


def build(result: Enabled) -> Document:
    """Show which change is enabled, in which files, and what to do next."""
    return Document(
        Badge("ENABLED", "warning"),
        (Strong(f"change {result.number}"), *(Mono(path.name) for path in result.paths)),
        (Bullets("Next", ("run safemig review: what the change loses is a finding until it is accepted",)),),
    )
