"""papermill, and the kernel under it, ended by each signal while production runs a statement of the deployment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from safemig.records.papermill_io import runbooks_folder
from tests.operations.conftest import SLOW, Shop
from tests.operations.striking import wait_for
from tests.tables import part_of

FILE = "20260102000000_notes.sql"
SQL = "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY); INSERT INTO notes SELECT id FROM users WHERE slow(id);"
AT_WORK = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'INSERT INTO notes%' AND state = 'active' AND datname = current_database()"
OURS = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'safemig%'"
LOCKS = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' OR relation IN ('users'::regclass, 'orders'::regclass)"
)


def kernel_of(papermill: int) -> int:
    """Return the process of the kernel that a papermill started."""
    children = Path(f"/proc/{papermill}/task/{papermill}/children").read_text().split()
    (kernel,) = [int(each) for each in children if b"ipykernel" in Path(f"/proc/{each}/cmdline").read_bytes()]
    return kernel


EVERY = [
    (victim, number) for victim in ("papermill", "kernel") for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
]
SOME = [("papermill", signal.SIGTERM), ("kernel", signal.SIGKILL)]


@pytest.mark.parametrize(("victim", "number"), part_of(EVERY, SOME, lambda case: f"{case[0]}-{case[1].name}"))
def test_production_is_as_it_was(
    shop: Shop, tmp_path: Path, temporary: Path, victim: str, number: signal.Signals
) -> None:
    shop.on(shop.production, SLOW)
    shop.write(FILE, SQL)
    findings = [f"{each.rule}:{each.object}: the test needs it" for each in shop.project.review().standing]
    (shop.folder / "safemig.toml").write_text(f"accept = {json.dumps(findings)}")
    before = shop.state()
    command = [sys.executable, "-m", "papermill", runbooks_folder() / "migrate_prod.ipynb", tmp_path / "out.ipynb"]
    parameters = {"approve": shop.project.plan().id, "project_folder": str(shop.folder)}
    with psycopg.connect(shop.production, autocommit=True) as slow:
        slow.execute("SELECT pg_advisory_lock(4711)")
        process = subprocess.Popen(
            [*command, *(word for name, value in parameters.items() for word in ("-p", name, value))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"TMPDIR": str(temporary)},
        )
        wait_for(lambda: shop.on(shop.production, AT_WORK), "the statement", 120)
        kernel = kernel_of(process.pid)
        os.kill(process.pid if victim == "papermill" else kernel, number)
        assert process.wait(60) != 0
        # The statement would take 20 s; a kernel that is left alone ends by itself.
        wait_for(lambda: not shop.on(shop.production, OURS), "the sessions to end", 15)
        wait_for(lambda: not Path(f"/proc/{kernel}").exists(), "the kernel to end", 30)
    assert shop.state() == before
    assert shop.on(shop.production, LOCKS) == [(0,)]
    wait_for(lambda: not list(temporary.glob("safemig-*/data")), "the copy's server to end", 10)
    assert shop.deploy().verdict == "DEPLOYED"
    assert shop.on(shop.production, "SELECT count(*) FROM notes") == [(200,)]
    assert shop.project.migrate_prod().verdict == "NOTHING TO DEPLOY"
    assert not [each for each in shop.project.db_status().problems if "cut off" in each]
