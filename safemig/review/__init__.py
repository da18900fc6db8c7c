"""Hazards of a migration before it runs: rules, locks, acceptance, the verdict. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safemig.lazy_import import loaded_from
from safemig.review.engine import review
from safemig.review.model import (
    Acceptance,
    Finding,
    FixedReview,
    LeftAlone,
    Proof,
    Review,
    ReviewedFile,
    ReviewedStatement,
    TableLock,
)
from safemig.review.severity import Severity
from safemig.review.verdict import Evidence, Verdict

if TYPE_CHECKING:
    from safemig.review.facts import (
        ColumnFacts,
        ConstraintFacts,
        FunctionFacts,
        IndexFacts,
        TableFacts,
        TargetFacts,
        TriggerFacts,
    )
    from safemig.review.reports import github_report, json_report, sarif_report

__all__ = [
    "Acceptance",
    "ColumnFacts",
    "ConstraintFacts",
    "Evidence",
    "Finding",
    "FixedReview",
    "FunctionFacts",
    "IndexFacts",
    "LeftAlone",
    "Proof",
    "Review",
    "ReviewedFile",
    "ReviewedStatement",
    "Severity",
    "TableFacts",
    "TableLock",
    "TargetFacts",
    "TriggerFacts",
    "Verdict",
    "github_report",
    "json_report",
    "review",
    "sarif_report",
]

# Facts come with a target only, reports by command.
__getattr__ = loaded_from(
    __name__,
    dict.fromkeys(
        (
            "ColumnFacts",
            "ConstraintFacts",
            "FunctionFacts",
            "IndexFacts",
            "TableFacts",
            "TargetFacts",
            "TriggerFacts",
        ),
        "safemig.review.facts",
    )
    | dict.fromkeys(("github_report", "json_report", "sarif_report"), "safemig.review.reports"),
)
