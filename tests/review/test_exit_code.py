"""One module decides the word and the exit code: the whole table."""

from __future__ import annotations

import pytest

from safemig.review import Evidence, Severity, Verdict
from safemig.review.verdict import decide, exit_code

READ, NOT_READ, ELSEWHERE = (
    Evidence("production"),
    Evidence(no_target="--no-target"),
    Evidence("production", not_recognised=("a/",)),
)


@pytest.mark.parametrize(
    ("standing", "files", "verdict"),
    [
        ([], 1, Verdict.SAFE),
        ([], 0, Verdict.NOTHING),
        ([Severity.CAUTION], 1, Verdict.ATTENTION),
        ([Severity.CAUTION, Severity.DANGEROUS], 1, Verdict.STOP),
        ([Severity.DANGEROUS], 1, Verdict.STOP),
        ([Severity.DANGEROUS], 0, Verdict.STOP),
        ([Severity.CAUTION], 0, Verdict.ATTENTION),
    ],
)
def test_the_word(standing: list[Severity], files: int, verdict: Verdict) -> None:
    assert decide(standing, files=files) is verdict


@pytest.mark.parametrize(
    ("verdict", "evidence", "code"),
    [
        (Verdict.SAFE, READ, 0),
        (Verdict.SAFE, NOT_READ, 0),
        (Verdict.ATTENTION, READ, 1),
        (Verdict.STOP, READ, 1),
        (Verdict.STOP, NOT_READ, 1),
        (Verdict.NOTHING, READ, 0),
        (Verdict.NOTHING, NOT_READ, 2),
        (Verdict.NOTHING, ELSEWHERE, 2),
        (Verdict.NOTHING, Evidence(), 2),
    ],
)
def test_the_exit_code(verdict: Verdict, evidence: Evidence, code: int) -> None:
    assert exit_code(verdict, evidence) == code


@pytest.mark.parametrize(
    ("evidence", "caveat"),
    [
        (READ, ""),
        (Evidence(), "no target was read"),
        (NOT_READ, "no target was read (--no-target)"),
        (Evidence(""), ""),
    ],
)
def test_what_is_said_where_no_target_was_read(evidence: Evidence, caveat: str) -> None:
    assert evidence.caveat == caveat
