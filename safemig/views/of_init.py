"""The view of `init`."""

from __future__ import annotations

from safemig.results import Initialised
from safemig.views.document import Badge, Block, Bullets, Document, Inline, Mono
from safemig.views.shared_parts import DRY_RUN, not_written


def build(result: Initialised) -> Document:
    """Say what was written and what was found and left alone."""
    blocks: list[Block] = []
    if result.created:
        blocks.append(Bullets("Would be written" if result.not_written else "Written", result.created))
    if result.kept:
        blocks.append(Bullets("Found and left as it was", result.kept))
    if result.migrations:
        blocks.append(Bullets("Migrations recognised", result.migrations))
    blocks.append(
        Bullets(
            "Next",
            (
                "export STAGING_DATABASE_URL and PRODUCTION_DATABASE_URL (they are never written into a file)",
                "safemig doctor: which verbs will work there, and what closes each gap",
                "safemig status: if production has tables but no history, take it over first: safemig baseline-prod",
                f'safemig rehearse --run "{result.command}"'
                if result.command
                else f"make the migration with {result.makes}, then: safemig review"
                if result.makes
                else 'safemig generate "what you changed on staging"',
            ),
        )
    )
    blocks += not_written(result.not_written)
    headline: list[Inline] = [Mono(str(result.folder)), *([result.platform] if result.platform else [])]
    return Document(DRY_RUN if result.not_written else Badge("READY", "ok"), tuple(headline), tuple(blocks))
