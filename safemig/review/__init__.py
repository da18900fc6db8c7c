"""Hazards of a migration before it runs: rules, locks, acceptance, the verdict. Pure."""

from __future__ import annotations

from safemig.review.engine import review
from safemig.review.facts import (
    ColumnFacts,
    ConstraintFacts,
    FunctionFacts,
    IndexFacts,
    TableFacts,
    TargetFacts,
    TriggerFacts,
)
from safemig.review.model import (
    Acceptance,
    Finding,
    Review,
    ReviewedFile,
    ReviewedStatement,
    Severity,
    TableLock,
    Verdict,
)
from safemig.review.reports import github_report, json_report, sarif_report

__all__ = [
    "Acceptance",
    "ColumnFacts",
    "ConstraintFacts",
    "Finding",
    "FunctionFacts",
    "IndexFacts",
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
