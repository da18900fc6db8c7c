"""A project, and small runbooks that need no database, each run once for all tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from safemig.records import RecordRun, run_runbook
from safemig.settings import load_settings

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


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, with production's URL in the environment; its password is the canary."""
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", "postgresql://app:canary-5up3r@db.example.org/app")
    monkeypatch.delenv("STAGING_DATABASE_URL", raising=False)
    (tmp_path / "safemig.toml").write_text("")
    return tmp_path


@pytest.fixture
def run(project: Path) -> RunMode:
    """A runner of one-off runbooks: `run("cell", "cell", changing=1, verb="migrate_prod", mode="x")`."""

    def runner(*cells: str, verb: str = "migrate_prod", changing: int | None = None, **options: Any) -> RecordRun:
        folder = project / "runbooks"
        write_runbook(folder, verb, *cells, changing=changing)
        parameters = {name: options.pop(name) for name in list(options) if name in ("mode", "count", "target")}
        return run_runbook(verb, load_settings(project), parameters, folder=folder, **options)

    return runner


def outputs_of(record: Path) -> str:
    """Return all that a record's cells said, as one text."""
    return json.dumps([cell.get("outputs", []) for cell in nbformat.read(record, as_version=4).cells])
