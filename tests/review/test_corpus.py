"""The labelled set: every single-purpose migration gets exactly its level; decoys and evasions included."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from safemig.review import Verdict, review
from safemig.sql import SourceFile

FOLDER = Path(__file__).parent / "corpus"
LEVELS = {"safe": Verdict.SAFE, "caution": Verdict.ATTENTION, "dangerous": Verdict.STOP}


def cases() -> list[object]:
    """Each case begins with a line `--- its name`."""
    found = []
    for level in LEVELS:
        text = (FOLDER / f"{level}.sql").read_text(encoding="utf-8")
        for part in re.split(r"(?m)^--- ", text)[1:]:
            name, _, sql = part.partition("\n")
            found.append(pytest.param(LEVELS[level], sql, id=f"{level}: {name}"))
    return found


@pytest.mark.parametrize(("expected", "sql"), cases())
def test_each_migration_gets_its_level(expected: Verdict, sql: str) -> None:
    made = review([SourceFile("m.sql", sql)])
    assert made.verdict is expected, [
        (finding.rule, finding.severity.value, finding.message) for finding in made.standing
    ]


def test_the_set_is_large_and_its_names_differ() -> None:
    names = [case.id for case in cases()]  # type: ignore[attr-defined]
    assert len(names) == len(set(names))
    assert len(names) >= 400
