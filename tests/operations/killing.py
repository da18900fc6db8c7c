"""A process that kills itself at a point of safemig that is named: before or after the n-th call of a function."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.operations.conftest import Shop

DEPLOY = "project.migrate_prod(approve=project.plan().id)"
_DRIVER = """
import importlib, os, sys
import safemig
folder, action, module, name, when, count, number = sys.argv[1:]
owner = importlib.import_module(module)
*path, last = name.split(".")
for part in path:
    owner = getattr(owner, part)
real, left = getattr(owner, last), [int(count)]
def trapped(*args, **kwargs):
    left[0] -= 1
    if when == "before" and not left[0]:
        os.kill(os.getpid(), int(number))
    result = real(*args, **kwargs)
    if when == "after" and not left[0]:
        os.kill(os.getpid(), int(number))
    return result
setattr(owner, last, trapped)
project = safemig.Project.open(folder)
try:
    exec(action)
except KeyboardInterrupt:
    sys.exit(130)
"""


def kill_at(shop: Shop, temporary: Path, action: str, where: str, when: str, count: int) -> int:
    """Run `action` on `project` in a process that ends itself by SIGKILL at that point, and return its exit code."""
    module, _, name = where.rpartition(".")
    if module.rpartition(".")[2].lstrip("_")[0].isupper():
        module, _, owner = module.rpartition(".")
        name = f"{owner}.{name}"
    command = [sys.executable, "-c", _DRIVER, str(shop.folder), action, module, name, when, str(count)]
    return subprocess.run(
        [*command, str(int(signal.SIGKILL))],
        capture_output=True,
        check=False,
        timeout=120,
        env=os.environ | {"TMPDIR": str(temporary)},
    ).returncode


def kill_while(shop: Shop, temporary: Path, statement: str, number: signal.Signals = signal.SIGKILL) -> int:
    """Deploy in a process that is ended by a signal while production runs a statement like that; return its exit code."""
    code = "import sys, safemig; project = safemig.Project.open(sys.argv[1]); " + DEPLOY
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(shop.folder)],
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    query = f"SELECT 1 FROM pg_stat_activity WHERE query LIKE '{statement}' AND state = 'active' AND datname = current_database() AND pid <> pg_backend_pid()"
    deadline = time.monotonic() + 60
    while not shop.on(shop.production, query):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate()
    return process.returncode


def wait_until_alone(shop: Shop) -> None:
    """Wait until no session of safemig is on production's server; it fails after 20 s."""
    deadline = time.monotonic() + 20
    while shop.on(shop.production, "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'safemig%'"):
        assert time.monotonic() < deadline, "a session of the killed run lives on"
        time.sleep(0.1)
