"""Small runbooks that need no database, and what a record said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from safemig.records import RecordRun

PARAMETERS = 'target: str = "production"  # the environment\nmode: str = ""  # what to do\ncount: int = 1  # a number'
DEPLOYMENT = """\
from datetime import UTC, datetime
import safemig
from safemig.results import Deployment, Target
target = Target("production", "h", "app", "me", 170010, "1")
now = datetime(2026, 11, 22, 20, 9, 4, tzinfo=UTC)
Deployment("migrate_prod", "DEPLOYED", "8c1f", target, "3f2a9c1", "dana", now, now, ("20261101000000_a.sql",), ())"""

RunMode = Callable[..., RecordRun]


def write_runbook(folder: Path, verb: str, *cells: str, changing: int | None = None) -> None:
    """Write a runbook whose cells follow the parameters; the cell number `changing` is the one that changes."""
    notebook = new_notebook(cells=[new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})])
    for i, source in enumerate(cells):
        metadata: dict[str, Any] = {"tags": ["changes-database"]} if i == changing else {}
        notebook.cells.append(new_code_cell(source, metadata=metadata))
    folder.mkdir(exist_ok=True)
    nbformat.write(notebook, folder / f"{verb}.ipynb")


def outputs_of(record: Path) -> str:
    """Return all that a record's cells said, as one text."""
    return json.dumps([cell.get("outputs", []) for cell in nbformat.read(record, as_version=4).cells])
