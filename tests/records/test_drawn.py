"""What a recorded run draws for a terminal comes to the command, and not into the record."""

from __future__ import annotations

from runbook_files import DEPLOYMENT, RunMode

from safemig.records import Progress
from safemig.terminal.output import Style


def test_a_result_is_drawn_for_the_terminal_and_not_into_the_record(run: RunMode) -> None:
    heard: list[Progress] = []
    done = run(DEPLOYMENT, changing=0, listen=heard.append, variables=Style(80, True, False).to_variable())
    assert done.verdict == "DEPLOYED"
    drawn = [each.drawn for each in heard if each.drawn]
    assert len(drawn) == 1
    assert drawn[0].startswith("\x1b[1;32mDEPLOYED\x1b[0m")
    assert done.answer is not None
    assert "\x1b" not in done.answer.text
    record = done.path.read_text()
    assert "safemig.terminal" not in record
    assert "u001b" not in record
