"""A record's word has one tone everywhere, and only what ended badly is counted as failed."""

from __future__ import annotations

import pytest

from safemig.views.record_words import changed_nothing, ended_badly, tone_of


@pytest.mark.parametrize(
    ("word", "tone", "failed"),
    [
        ("DEPLOYED", "ok", False), ("BACKED-UP", "ok", False), ("SAFE-TO-DEPLOY", "ok", False), ("UP-TO-DATE", "ok", False),
        ("DRIFTED", "warning", False), ("PROBLEMS", "warning", False), ("PENDING", "waiting", False), ("RUNNING", "waiting", False),
        ("REFUSED", "waiting", False), ("NOTHING-TO-REVIEW", "waiting", False), ("DO-NOT-DEPLOY", "waiting", False),
        ("NEEDS-ATTENTION", "waiting", False), ("FAILED", "error", True), ("INCOMPLETE", "error", True), ("UNKNOWN", "error", True),
        ("STOPPED", "error", True), ("NOT-VALID", "error", True), ("CUT-OFF", "error", True), ("CUT-OFF-APPLIED", "error", True),
        ("ERROR", "error", True),
    ],
)  # fmt: skip
def test_a_word_has_one_tone(word: str, tone: str, failed: bool) -> None:
    assert (tone_of(word), ended_badly(word)) == (tone, failed)
    assert not (changed_nothing(word) and failed)
