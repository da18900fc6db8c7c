"""A project, and a runner of small runbooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runbook_files import RunMode, write_runbook

from safemig.records import RecordRun, run_runbook
from safemig.settings import load_settings


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
