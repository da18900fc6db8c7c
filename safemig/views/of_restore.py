"""The view of a restored backup."""

from __future__ import annotations

from safemig.results import Restored
from safemig.views import numbers
from safemig.views.document import Badge, Bullets, Document, Mono, Strong
from safemig.views.shared_parts import check_table, content_table, failed_checks, on


def build(result: Restored) -> Document:
    """Say where the backup stands now, what was checked, and how to swap it in or go back."""
    failed = any(check.state == "failed" for check in result.checks)
    if failed:
        verdict = Badge("RESTORED, BUT NOT AS IT WAS", "error")
    else:
        verdict = Badge("RESTORED AND SWAPPED IN" if result.swapped else "RESTORED BESIDE PRODUCTION", "ok")
    items = [f"from {result.backup}", f"stands as database {result.database}"]
    if result.kept_as:
        items.append(f"the former database is kept as {result.kept_as}; drop it yourself when you are sure")
    elif not result.swapped:
        items.append("production is untouched; look at the copy, then: safemig restore-prod --swap")
    return Document(
        verdict,
        (Strong(on(result.target)), Mono(result.database), numbers.seconds(result.seconds)),
        (
            check_table("Checks", result.checks),
            *failed_checks(result.checks),
            Bullets("", tuple(items)),
            content_table(result.tables, f"Rows and hashes of {numbers.counted(len(result.tables), 'table')}"),
        ),
    )
