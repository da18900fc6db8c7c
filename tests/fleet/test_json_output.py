"""`--format json` of the verbs for fleets: standard output is one document of the schema."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.fleet.conftest import Fleet
from tests.operations.test_json_output import errors_of


def answered(fleet: Fleet, line: str) -> tuple[int, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "safemig", "fleet", *line.split(), "--format", "json"], cwd=fleet.folder, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


@pytest.mark.thorough
def test_what_a_verb_for_fleets_prints_is_one_document_of_the_schema(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(2)
    fleet.list_members()
    fleet.write("20260102000000_notes.sql", "CREATE TABLE notes (id bigint PRIMARY KEY);\n")
    plan = ""
    for line, kind in (
        ("status", "fleet_status"),
        ("plan", "fleet_plan"),
        ("migrate", "error"),
        ("migrate --approve PLAN", "fleet_deployment"),
        ("status", "fleet_status"),
        ("backup", "fleet_deployment"),
        ("rollback PLAN", "error"),
    ):
        code, document = answered(fleet, line.replace("PLAN", plan))
        assert (document["kind"], document["format"], errors_of(document)) == (kind, "safemig/1", []), (line, code)
        plan = document["id"] if kind == "fleet_plan" else plan
