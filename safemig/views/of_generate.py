"""The view of a generated migration."""

from __future__ import annotations

from safemig.results import Generated
from safemig.sql.passwords import without_passwords
from safemig.views.document import Badge, Block, Bullets, Callout, Document, Inline, Mono, Strong
from safemig.views.shared_parts import change_list, check_table, sql_listing


def build(result: Generated) -> Document:
    """Show what changed on staging, the file that says so, and what is disabled and why."""
    warnings = (Bullets("Mind", result.diff.warnings),) if result.diff.warnings else ()
    if result.path is None:
        return Document(
            Badge("NOTHING TO DO", "warning" if warnings else "ok"),
            ("staging is exactly what the migrations make; no file was written",),
            warnings,
        )
    equal = not result.remaining
    headline: list[Inline] = [
        Strong(result.diff.summary),
        *(Mono(each.name) for each in (result.path, *result.further_paths)),
        Badge(result.proof or ("proven" if equal else "not proven"), "ok" if equal else "warning"),
    ]
    blocks: list[Block] = list(change_list(result.diff))
    blocks += [
        Callout(
            Badge("DISABLED", "warning"),
            "not in force until you enable its change",
            (why,),
            "Statement",
            without_passwords(statement),
        )
        for statement, why in result.commented
    ]
    if result.remaining:
        blocks.append(Bullets("What the file does not bring about", result.remaining))
    blocks.append(sql_listing("The file", result.text))
    if result.checklist:
        blocks.append(check_table("Safety checklist", result.checklist))
    blocks.append(Bullets("Next", (f"read {result.path}, then: safemig review",)))
    return Document(
        Badge(_word(result), "ok" if equal and not result.commented else "warning"),
        tuple(headline),
        tuple(blocks),
    )


def _word(result: Generated) -> str:
    disabled = sum(each.disabled is not None for each in result.diff.change_sets)
    return "GENERATED" + (f": {disabled} change{'' if disabled == 1 else 's'} disabled" if disabled else "")
