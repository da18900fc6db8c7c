"""What the review says, word for word, of every rule's examples and of the labelled set: a change of a word shows as a difference.

`SAFEMIG_WRITE_SNAPSHOTS=1 pytest tests/review/test_findings.py` writes the files anew; read their difference before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from safemig.review import TargetFacts, review
from safemig.sql import SourceFile
from tests.review.test_corpus import cases
from tests.review.test_rules import RULES, target_for

FOLDER = Path(__file__).parent / "findings"


def said_of(sql: str, target: TargetFacts | None, *, in_full: bool) -> str:
    """Return the findings of a file in words."""
    lines = []
    for each in review([SourceFile("m.sql", sql)], target=target).findings:
        loses = " (loses data)" if each.data_loss else ""
        lines.append(f"{each.line} {each.severity.value}{loses} {each.rule} {each.object}: {each.message}")
        if in_full:
            lines += [f"    {line}".rstrip() for line in each.safer.splitlines()]
    return "\n".join(lines) or "nothing"


def require_snapshot(path: Path, text: str) -> None:
    """Hold text against a file; write the file instead where the caller says so."""
    if os.environ.get("SAFEMIG_WRITE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_what_is_said_of_each_rule_s_examples() -> None:
    parts = []
    for rule in RULES:
        parts.append(f"=== {rule.name}")
        parts += [f"{sql}\n--- {said_of(sql, target_for(rule), in_full=True)}\n" for sql in (*rule.err, *rule.ok)]
    require_snapshot(FOLDER / "examples.txt", "\n".join(parts))


@pytest.mark.parametrize("level", ["safe", "caution", "dangerous"])
def test_what_is_said_of_the_labelled_set(level: str) -> None:
    parts = []
    for case in cases():
        _, sql = case.values  # type: ignore[attr-defined]
        if case.id.startswith(f"{level}:"):  # type: ignore[attr-defined]
            parts.append(f"=== {case.id}\n{said_of(sql, None, in_full=level != 'safe')}")  # type: ignore[attr-defined]
    require_snapshot(FOLDER / f"{level}.txt", "\n".join(parts) + "\n")
