"""The view of the help."""

from __future__ import annotations

from safemig.results import Help
from safemig.views.document import Badge, Document, Prose


def build(result: Help) -> Document:
    """Show the sections, as they were written."""
    return Document(
        Badge("SAFEMIG", "info"),
        (f"help: {result.topic}" if result.topic else "help",),
        tuple(Prose(title, markdown) for title, markdown in result.sections),
    )
