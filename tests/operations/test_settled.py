"""A recorded deployment killed at any moment, by the real command: its record is settled from the journal and the database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from safemig.errors import RefusedError
from safemig.records.settle import Settled, settle
from tests.operations.conftest import Shop
from tests.tables import part_of

FILE = "20260102000000_note.sql"
SQL = "ALTER TABLE users ADD COLUMN IF NOT EXISTS note text;"


def cell_runs(home: Path, cell: str) -> bool:
    """Tell whether a cell of the record that is being written runs now."""
    for path in home.glob("*-RUNNING.ipynb"):
        cells = json.loads(path.read_text() or '{"cells": []}')["cells"]
        return any(
            each["id"] == cell and each["metadata"].get("papermill", {}).get("status") == "running" for each in cells
        )
    return False


def journal_has(home: Path, event: str) -> bool:
    """Tell whether the journal knows of an event."""
    file = home / "journal.jsonl"
    return file.exists() and f'"event":"{event}"' in file.read_text()


def settled(shop: Shop) -> tuple[Settled, ...]:
    """Settle, once the killed run's sessions have ended."""
    end = time.monotonic() + 20
    while True:
        try:
            return settle(shop.project.settings, "production")
        except RefusedError:
            assert time.monotonic() < end
            time.sleep(0.2)


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "while it backs up": lambda home: cell_runs(home, "backup"),
    "while it deploys": lambda home: journal_has(home, "waiting"),
    "after its commit": lambda home: journal_has(home, "committed"),
}


# tests/operations/test_killed_records.py kills at more of them.
@pytest.mark.parametrize("moment", part_of(MOMENTS, ["while it deploys"], str))
def test_killed_and_settled(shop: Shop, moment: str) -> None:
    shop.write(FILE, SQL)
    home = shop.folder / "records" / "production"
    toml = shop.folder / "safemig.toml"
    toml.write_text(toml.read_text().replace("lock_attempts = 30", "lock_attempts = 10000"))
    command = [sys.executable, "-m", "safemig", "--project", str(shop.folder), "migrate-prod", "--approve"]
    with psycopg.connect(shop.production) as other:
        if moment == "while it deploys":
            other.execute("SELECT count(*) FROM users")
        process = subprocess.Popen(
            [*command, shop.project.plan().id],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 90
        while not MOMENTS[moment](home):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    (left,) = home.glob("*-RUNNING.ipynb")
    assert [each.verdict for each in shop.project.deployments().records] == ["INCOMPLETE"]
    (each,) = settled(shop)
    is_applied = shop.on(
        shop.production, "SELECT 1 FROM pg_attribute WHERE attname = 'note' AND attrelid = 'users'::regclass"
    )
    assert each.applied == ((FILE,) if is_applied else ())
    assert each.path.name == left.name.replace("RUNNING", "CUT-OFF-APPLIED" if is_applied else "CUT-OFF")
    assert shop.project.deployments(verify=True).problems == ()
