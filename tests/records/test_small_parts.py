"""The small parts of a record: who still writes it, what a parameter hides, the word of a status, the names of cells."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from safemig.errors import SettingsError
from safemig.records.content import content_of
from safemig.records.outcome import _status_word
from safemig.records.parameters import Parameter, check_parameters
from safemig.records.process_alive import still_runs
from safemig.records.redaction import shortened

GONE = 2**22 + 1  # above the highest number that Linux gives a process


@pytest.mark.parametrize(
    ("facts", "mode", "runs"),
    [
        ({"machine": socket.gethostname(), "pid": os.getpid()}, 0o644, True),
        ({"machine": socket.gethostname(), "pid": GONE}, 0o644, False),
        ({"machine": "elsewhere", "pid": GONE}, 0o644, True),
        ({"machine": socket.gethostname(), "pid": os.getpid()}, 0o444, False),
        ({"machine": "elsewhere", "pid": GONE}, 0o444, False),
        ({}, 0o644, False),
    ],
)
def test_a_record_is_written_by_a_process_that_lives(
    tmp_path: Path, facts: dict[str, Any], mode: int, runs: bool
) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"metadata": {"safemig": facts}}))
    path.chmod(mode)
    assert still_runs(path) is runs


URL = "postgresql://app:pw-s3cret@h/d"


@pytest.mark.parametrize(
    "value", [URL, [URL], ("x", [URL]), {"rename": URL}, {URL: 1}, {"a": {"b": [URL]}}, {"postgresql://app:pw-s3cret": "x@h/d"}]
)  # fmt: skip
def test_a_password_is_found_however_deep_a_parameter_holds_it(value: Any) -> None:
    known = {"mode": Parameter("mode", "dict[str, str]", {})}
    with pytest.raises(SettingsError, match='"mode" holds a password') as refused:
        check_parameters("migrate_prod", {"mode": value}, known)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({}, "UP-TO-DATE"),
        ({"migrations": [{"states": {"production": "applied"}}]}, "UP-TO-DATE"),
        ({"migrations": [{"states": {"production": "pending"}}]}, "PENDING"),
        ({"migrations": [{"states": {"staging": "pending", "production": "applied"}}]}, "UP-TO-DATE"),
        ({"migrations": [{"states": {"production": "edited"}}]}, "PROBLEMS"),
        ({"migrations": [{"states": {"production": "missing"}}, {"states": {"production": "pending"}}]}, "PROBLEMS"),
        ({"problems": ["two files of one version"]}, "PROBLEMS"),
        ({"environments": [{"problem": "no answer"}]}, "PROBLEMS"),
        ({"environments": [{"problem": "", "drift": "none"}]}, "UP-TO-DATE"),
        ({"environments": [{"drift": "1 table differs"}]}, "DRIFTED"),
        ({"environments": [{"drift": "1 table differs"}], "migrations": [{"states": {"production": "pending"}}]}, "PENDING"),
    ],
)  # fmt: skip
def test_a_status_is_named_by_the_worst_that_it_says(data: dict[str, Any], word: str) -> None:
    assert _status_word(data) == word


def test_cells_are_named_by_their_ids_or_counted_from_one() -> None:
    cells = [
        {"cell_type": "code", "source": "1", "outputs": [], "execution_count": 1, "metadata": {}, **more}
        for more in ({}, {"id": "abc"}, {})
    ]
    content = content_of(json.dumps({"cells": cells, "metadata": {}}).encode())
    assert content is not None
    assert [each.name for each in content.cells] == ["1", "abc", "3"]


def test_a_long_output_says_how_many_lines_are_left_out() -> None:
    lines = [f"line {number}" for number in range(40_000)]
    head, _, rest = shortened("\n".join(lines)).partition("\n… ")
    said, _, tail = rest.partition(" lines left out of the record …\n")
    assert int(said.replace(",", "")) == len(lines) - 1 - head.count("\n") - tail.count("\n")
    assert (lines[0], lines[-1]) == (head.split("\n")[0], tail.split("\n")[-1])
    assert shortened("short\n") == "short\n"
