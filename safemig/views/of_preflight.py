"""The view of the checks before anything is touched."""

from __future__ import annotations

from safemig.results import Preflight
from safemig.views import numbers
from safemig.views.document import Badge, Document, Inline, Strong
from safemig.views.shared_parts import check_table, failed_checks


def build(result: Preflight) -> Document:
    """Say READY or NOT READY and show all checks."""
    failed = sum(check.state == "failed" for check in result.checks)
    warned = sum(check.state == "warning" for check in result.checks)
    verdict = (
        Badge("READY", "ok") if result.is_ready else Badge(f"NOT READY: {failed} of {len(result.checks)}", "error")
    )
    headline: list[Inline] = [Strong(result.target), numbers.counted(len(result.checks), "check")]
    if warned:
        headline.append(numbers.counted(warned, "warning"))
    return Document(verdict, tuple(headline), (*check_table("Checks", result.checks), *failed_checks(result.checks)))
