"""Before the approval is asked for, a person sees what it is about; the statements on demand, and typing `sql` approves nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from test_certificate import FACTS, FILE, LOCK, PLANNED, STEP, backup, rehearsal, review

from safemig.records.gate import SHOW, gate_of
from safemig.records.outcome import RecordedResult
from safemig.records.progress import Progress
from safemig.records.run import _shown_first, _Told

SQL = "ALTER TABLE users\n  ADD COLUMN theme text"
RUN = STEP | {"number": 1, "line": 3, "sql": SQL, "locks": [LOCK | {"rows": 12}]}


def notebook_of(*results: RecordedResult) -> Any:
    outputs = [
        nbformat.v4.new_output(
            "display_data", {f"application/vnd.safemig.{each.kind}+json": each.data, "text/plain": "x"}
        )
        for each in results
    ]
    cells = [nbformat.v4.new_code_cell("", outputs=[each]) for each in outputs]
    return nbformat.v4.new_notebook(cells=cells)


REHEARSAL = rehearsal(gone=("the values of users.theme",))
REHEARSAL.data["steps"] = [RUN]
SO_FAR = notebook_of(review(), RecordedResult("plan", "", "", PLANNED), backup(), REHEARSAL)


def test_the_gate_shows_changes_evidence_locks_and_losses() -> None:
    gate = gate_of("migrate_prod", SO_FAR, FACTS)
    assert gate is not None
    for words in (
        "WAITING FOR APPROVAL · plan 3f2a9c1 · production (shop on db1)",
        f"{FILE}: ALTER TABLE users ADD COLUMN theme text",
        "2 statements, SAFE TO DEPLOY",
        "1,234 rows in 2 tables, restored and compared by hash",
        "ACCESS EXCLUSIVE  public.users    12  0.01 s  reads and writes",
        "the values of users.theme",
        f"type {SHOW}, which approves nothing",
    ):
        assert words in gate.text
    assert "  ADD COLUMN theme text" not in gate.text
    assert "<details style" in gate.html
    assert "Validated" not in gate.text, "what was not reached is no evidence"


@pytest.mark.parametrize("results", [(), (review(),), (RecordedResult("plan", "", "", PLANNED),)])
def test_a_run_that_rehearsed_nothing_has_no_gate(results: tuple[RecordedResult, ...]) -> None:
    assert gate_of("rollback_prod", notebook_of(*results), FACTS) is None


@pytest.mark.parametrize(
    ("answers", "given", "shown"),
    [(["yes"], "yes", 1), (["SQL ", "yes"], "yes", 2), (["sql", "sql"], "sql", 2), ([""], "", 1)],
)
def test_the_statements_are_shown_once_on_demand(answers: list[str], given: str, shown: int) -> None:
    heard: list[Progress] = []
    rest = iter(answers)
    writer: Any = SimpleNamespace(latest=SO_FAR)
    asked = _shown_first("migrate_prod", writer, FACTS, heard.append, lambda _: next(rest))
    assert asked is not None
    assert asked("Type it") == given
    gates = [each.gate.text for each in heard if each.gate]
    assert [("  ADD COLUMN theme text" in text) for text in gates] == [False, True][:shown]


TOLD = {
    "plan": PLANNED | {"id": "77aa77", "steps": [RUN], "what": ["Rollback of one.sql."]},
    "evidence": [["Rehearsed", "run on a copy just now"]],
    "would_lose": ["rows written since"],
}


@pytest.mark.parametrize(
    ("prompt", "seen"), [("Type  production 77aa77  to approve it", 2), ("Type  production 88bb88  to approve it", 0)]
)
def test_a_verb_without_a_rehearsal_of_its_own_tells_what_its_question_is_about(prompt: str, seen: int) -> None:
    heard: list[Progress] = []
    rest = iter(["sql", "yes"])
    told = _Told()
    told.take(TOLD)
    writer: Any = SimpleNamespace(latest=notebook_of())
    asked = _shown_first("rollback_prod", writer, FACTS, heard.append, lambda _: next(rest), told)
    assert asked is not None
    asked(prompt)
    gates = [each.gate.text for each in heard if each.gate]
    assert len(gates) == seen
    for text in gates:
        for words in ("plan 77aa77", "Rollback of one.sql.", "run on a copy just now", "rows written since"):
            assert words in text
    assert [("  ADD COLUMN theme text" in text) for text in gates] == [False, True][:seen]
