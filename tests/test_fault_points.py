"""Each fault point is passed by the code and struck by a test: none is a name only."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from safemig.fault_points import FaultPoint

ROOT = Path(__file__).resolve().parent.parent
# Passed where each verb validates what it did.
TWICE = {FaultPoint.VALIDATION_BEGINS}


def named_in(folder: str, form: str) -> Counter[str]:
    """Return how often the Python files of a folder name each point in that form."""
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / folder).rglob("*.py"))
    return Counter(name for text in texts for name in re.findall(form, text))


PASSED = named_in("safemig", r"pass_point\(FaultPoint\.(\w+)\)")
STRUCK = named_in("tests/operations", r"FaultPoint\.(\w+)")


@pytest.mark.parametrize("point", FaultPoint, ids=lambda point: point.name)
def test_the_code_passes_it_at_one_place_and_a_test_strikes_there(point: FaultPoint) -> None:
    assert PASSED[point.name] == (2 if point in TWICE else 1)
    assert STRUCK[point.name] > 0
