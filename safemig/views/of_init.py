"""The view of `init`."""

from __future__ import annotations

from safemig.results import Initialised
from safemig.views.document import Badge, Bullets, Document, Mono


def build(result: Initialised) -> Document:
    """Say what was written and what was found and left alone."""
    blocks = []
    if result.created:
        blocks.append(Bullets("Written", result.created))
    if result.kept:
        blocks.append(Bullets("Found and left as it was", result.kept))
    blocks.append(
        Bullets(
            "Next",
            (
                "export STAGING_DATABASE_URL and PRODUCTION_DATABASE_URL (they are never written into a file)",
                "safemig status",
                'safemig generate "what you changed on staging"',
            ),
        )
    )
    return Document(Badge("READY", "ok"), (Mono(str(result.folder)),), tuple(blocks))
