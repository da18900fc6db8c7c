"""The table of squawk's rules in the docs says what the review says: each example is reviewed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from safemig.review import Severity, review
from safemig.sql import SourceFile

PAGE = (Path(__file__).parents[2] / "docs/squawk_rules.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([a-z][^|]*?) \| `(.*?)` \| (\**)([a-z-]*?)(\**) \|", PAGE, re.MULTILINE)


def test_the_table_has_every_row() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| squawk")]
    assert len(ROWS) == len(lines) >= 60


@pytest.mark.parametrize(("squawk", "sql", "bold", "rule", "_"), ROWS, ids=[row[0] for row in ROWS])
def test_a_row_says_what_the_review_says(squawk: str, sql: str, bold: str, rule: str, _: str) -> None:
    found = {one.rule: one.severity for one in review([SourceFile("m.sql", sql)]).findings}
    if rule == "-":
        assert not found, squawk
    else:
        assert (found[rule] is not Severity.RECOMMENDATION) is bool(bold)
