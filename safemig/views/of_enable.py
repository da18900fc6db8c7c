"""The view of an enabled change."""

from __future__ import annotations

from safemig.results import Enabled
from safemig.views.document import Badge, Bullets, Document, Mono, Strong
from safemig.views.shared_parts import DRY_RUN, not_written


def build(result: Enabled) -> Document:
    """Show which change is enabled, in which files, and what to do next."""
    unchecked = f"not checked, for it cannot be asked whether it has these files: {', '.join(result.unchecked)}"
    return Document(
        DRY_RUN if result.not_written else Badge("ENABLED", "warning"),
        (Strong(f"change {result.number}"), *(Mono(path.name) for path in result.paths)),
        (
            *not_written(result.not_written),
            Bullets("Next", ("run safemig review: what the change loses is a finding until it is accepted",)),
            *((Bullets("Note", (unchecked,)),) if result.unchecked else ()),
        ),
    )
