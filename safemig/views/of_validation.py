"""The view of what was checked after the act."""

from __future__ import annotations

from safemig.results import Validation
from safemig.views import numbers
from safemig.views.document import Badge, Document, Strong
from safemig.views.shared_parts import check_table, failed_checks, on, row_table


def build(result: Validation) -> Document:
    """Say VALID or NOT VALID, show all checks and the rows before and after."""
    failed = sum(check.state == "failed" for check in result.checks)
    verdict = (
        Badge("VALID", "ok") if result.is_valid else Badge(f"NOT VALID: {failed} of {len(result.checks)}", "error")
    )
    return Document(
        verdict,
        (Strong(on(result.target)), numbers.counted(len(result.checks), "check")),
        (*check_table("Checks", result.checks), *failed_checks(result.checks), *row_table(result.rows)),
    )
