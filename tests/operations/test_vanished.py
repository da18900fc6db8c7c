"""A client that vanishes never holds production: the deploying process is stopped for real, and a reader waits.

SIGSTOP is what a laptop that sleeps does to a process: its connection stays open, and nothing comes from it.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psycopg
import pytest

from safemig.execution.holding import VANISHED_SECONDS
from safemig.fault_points import FaultPoint
from tests.operations.conftest import Shop
from tests.operations.striking import Run
from tests.tables import part_of

# Production's are 8 s; these tests do not wait as long.
SHORTER_SECONDS = 3
LONGEST_WAIT_SECONDS = SHORTER_SECONDS + 3
MIGRATION = (
    "ALTER TABLE users ADD COLUMN IF NOT EXISTS nickname text;\nALTER TABLE users ADD COLUMN IF NOT EXISTS age int;\n"
)
DEPLOY = f"""
from safemig.execution import holding
holding.VANISHED_SECONDS = {SHORTER_SECONDS}
print(project.migrate_prod(approve=project.plan().id).verdict)
"""
HAS_COLUMN = (
    "SELECT count(*) FROM information_schema.columns WHERE table_name = 'users' AND column_name IN ('nickname', 'age')"
)

CASES = {
    # where it is stopped, which time; exit code; columns that are there in the end
    "after the first statement": (FaultPoint.STATEMENT_BEGINS, 2, 3, 0),
    "before it is recorded": (FaultPoint.RUN_ROW_BEGINS, 1, 3, 0),
    "before COMMIT": (FaultPoint.COMMIT_BEGINS, 1, 3, 0),
    "after COMMIT": (FaultPoint.COMMITTED, 1, 0, 2),
}


# The second is between the first and the third.
SOME = [case for case in CASES if case != "before it is recorded"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="whether a process is stopped is read from /proc")
@pytest.mark.parametrize("case", part_of(CASES, SOME, str))
def test_readers_wait_for_seconds_and_the_outcome_is_told_when_it_wakes(shop: Shop, temporary: Path, case: str) -> None:
    point, count, exit_code, columns = CASES[case]
    shop.write("20260202000000_columns.sql", MIGRATION)
    before = shop.state()
    run = Run(shop, temporary, DEPLOY, point, count)
    run.wait_until_there()
    run.process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        with psycopg.connect(shop.production) as reader:
            reader.execute("SELECT count(*) FROM users WHERE id < 10")
        waited = time.monotonic() - begun
    finally:
        run.process.send_signal(signal.SIGCONT)
        run.go_on()
        done = run.result()
    said = done.stdout + done.stderr
    assert waited < LONGEST_WAIT_SECONDS < VANISHED_SECONDS
    if exit_code:
        assert waited > SHORTER_SECONDS / 2  # the locks were held: else the test shows nothing
    assert done.returncode == exit_code, said
    assert shop.on(shop.production, HAS_COLUMN) == [(columns,)]
    if exit_code:
        assert "nothing was changed" in said
        assert "keep this machine awake" in said
        assert shop.state() == before
        assert shop.deploy().verdict == "DEPLOYED"
    else:
        assert said.strip() == "DEPLOYED"
