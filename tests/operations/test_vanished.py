"""A client that vanishes never holds production: the deploying process is stopped for real, and a reader waits.

SIGSTOP is what a laptop that sleeps does to a process: its connection stays open, and nothing comes from it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from safemig.execution.holding import VANISHED_SECONDS
from tests.operations.conftest import Shop

LONGEST_WAIT_SECONDS = 10.0
MIGRATION = (
    "ALTER TABLE users ADD COLUMN IF NOT EXISTS nickname text;\nALTER TABLE users ADD COLUMN IF NOT EXISTS age int;\n"
)
# Stops itself at a call of safemig's own that is named, as a machine may fall asleep at any line.
DRIVER = """
import importlib, os, signal, sys
import safemig
from safemig.errors import SafemigError
folder, module, name, when, count = sys.argv[1:]
owner = importlib.import_module(module)
*path, last = name.split(".")
for part in path:
    owner = getattr(owner, part)
real, left = getattr(owner, last), [int(count)]
def trapped(*args, **kwargs):
    left[0] -= 1
    if when == "before" and not left[0]:
        os.kill(os.getpid(), signal.SIGSTOP)
    result = real(*args, **kwargs)
    if when == "after" and not left[0]:
        os.kill(os.getpid(), signal.SIGSTOP)
    return result
setattr(owner, last, trapped)
project = safemig.Project.open(folder)
try:
    print(project.migrate_prod(approve=project.plan().id).verdict)
except SafemigError as error:
    print(error)
    sys.exit(error.exit_code)
"""
HAS_COLUMN = (
    "SELECT count(*) FROM information_schema.columns WHERE table_name = 'users' AND column_name IN ('nickname', 'age')"
)

CASES = {
    "after the first statement": ("safemig.execution.transaction", "_Trial._step", "after", 1, 3, 0),
    "before the validation": ("safemig.execution.transaction", "_require_same_transaction", "before", 1, 3, 0),
    "before COMMIT": ("safemig.execution.transaction", "commit", "before", 1, 3, 0),
    "after COMMIT": ("safemig.execution.transaction", "commit", "after", 1, 0, 2),
}


# The second is between the first and the third: SAFEMIG_THOROUGH=1 shows it, too.
RUN = [case for case in CASES if case != "before the validation" or os.environ.get("SAFEMIG_THOROUGH")]


@contextmanager
def stopped_at(
    shop: Shop, temporary: Path, module: str, name: str, when: str, count: int
) -> Iterator[subprocess.Popen[str]]:
    """Deploy in a process that has stopped itself there; it is ended at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(shop.folder), module, name, when, str(count)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"TMPDIR": str(temporary)},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="whether a process is stopped is read from /proc")
@pytest.mark.parametrize("case", RUN)
def test_readers_wait_for_seconds_and_the_outcome_is_told_when_it_wakes(shop: Shop, temporary: Path, case: str) -> None:
    *where, exit_code, columns = CASES[case]
    shop.write("20260202000000_columns.sql", MIGRATION)
    before = shop.state()
    with stopped_at(shop, temporary, *where) as process:
        begun = time.monotonic()
        with psycopg.connect(shop.production) as reader:
            reader.execute("SELECT count(*) FROM users WHERE id < 10")
        waited = time.monotonic() - begun
        assert waited < LONGEST_WAIT_SECONDS
        if exit_code:
            assert waited > VANISHED_SECONDS / 2  # the locks were held: else the test shows nothing
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == exit_code, said
    assert shop.on(shop.production, HAS_COLUMN) == [(columns,)]
    if exit_code:
        assert "nothing was changed" in said
        assert "keep this machine awake" in said
        assert shop.state() == before
        assert shop.deploy().verdict == "DEPLOYED"
    else:
        assert said.strip() == "DEPLOYED"
