"""The view of `base`."""

from __future__ import annotations

from safemig.results import BaseFile
from safemig.views.document import Badge, Block, Bullets, Document, Mono
from safemig.views.numbers import counted
from safemig.views.shared_parts import DRY_RUN, not_written

_MOST_SHOWN = 40
_LONGEST = 160


def build(result: BaseFile) -> Document:
    """Say what the base holds, and what changed since it was written."""
    named = result.platform or "no platform known by name"
    blocks: list[Block] = [
        Bullets(
            "Holds",
            (
                f"{counted(result.statements, 'statement')}, read from {result.source.environment} ({named})",
                f"schemas: {', '.join(result.schemas) or 'none'}",
                f"extensions: {', '.join(result.extensions) or 'none'}",
            ),
        )
    ]
    if result.changes:
        shown = [line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …" for line in result.changes[:_MOST_SHOWN]]
        more = len(result.changes) - len(shown)
        blocks.append(Bullets("The platform changed", (*shown, *([f"and {more} more"] if more else []))))
    blocks += not_written(result.not_written)
    if result.state != "unchanged" and not result.not_written:
        blocks.append(Bullets("Next", ("review the file like a migration, and commit it",)))
    word = {"written": "WRITTEN", "refreshed": "REFRESHED", "unchanged": "UNCHANGED"}[result.state]
    return Document(DRY_RUN if result.not_written else Badge(word, "ok"), (Mono(str(result.path)),), tuple(blocks))
