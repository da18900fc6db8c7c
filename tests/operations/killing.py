"""A process that kills itself at a point of safemig that is named: before or after the n-th call of a function."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


# Found by every Python process below as its `sitecustomize`; it waits for the one module in the one process.
_TRAP = """
import importlib.util, os, signal, sys
where, when, count, victim, told = os.environ["SAFEMIG_KILL"].split("|")
module, path = where.split(":")
class Finder:
    def find_spec(self, name, folders=None, target=None):
        if name != module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        spec.loader.exec_module = lambda made: (load(made), trap(made))
        return spec
def kill():
    if code := os.environ.get("SAFEMIG_SPOIL"):
        exec(compile(code, "spoil", "exec"))
        return
    with open(told, "w") as file:
        file.write(str(os.getpid()))
    victims = {"kernel": [os.getpid()], "recorder": [os.getppid()], "both": [os.getppid(), os.getpid()]}
    for pid in victims.get(victim, [os.getpid()]):
        os.kill(pid, signal.SIGKILL)
def trap(owner):
    *outer, last = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    real, left = getattr(owner, last), [int(count)]
    def trapped(*args, **kwargs):
        left[0] -= 1
        if when == "before" and not left[0]:
            kill()
        result = real(*args, **kwargs)
        if when == "after" and not left[0]:
            kill()
        return result
    setattr(owner, last, trapped)
is_kernel = "ipykernel_launcher" in sys.orig_argv
if is_kernel is (victim != "cli"):
    sys.meta_path.insert(0, Finder())
"""


def kill_command(
    shop: Shop, temporary: Path, command: list[str], where: str, when: str, count: int, victim: str
) -> int:
    """Run a safemig command, and end by SIGKILL at that point of it the kernel, the one who records it, or both.

    At a point of the recording process itself the victim is "cli". Returns when none of them is left.
    """
    (temporary / "sitecustomize.py").write_text(_TRAP)
    told = temporary / "killed"
    variables = {
        "PYTHONPATH": str(temporary),
        "SAFEMIG_KILL": f"{where}|{when}|{count}|{victim}|{told}",
        "TMPDIR": str(temporary),
    }
    done = subprocess.run(
        [sys.executable, "-m", "safemig", *command], cwd=shop.folder, capture_output=True, check=False, timeout=120,
        env=os.environ | variables,
    )  # fmt: skip
    assert told.exists(), (done.returncode, done.stderr.decode()[-2000:])
    deadline = time.monotonic() + 30
    while _lives(int(told.read_text())):
        assert time.monotonic() < deadline, "the kernel outlives the one who started it"
        time.sleep(0.1)
    return done.returncode


def spoil_command(
    shop: Shop, temporary: Path, command: list[str], where: str, when: str, code: str, *, in_kernel: bool
) -> subprocess.CompletedProcess[str]:
    """Run a safemig command, and Python code at that point of its kernel, or of the process that records it."""
    (temporary / "sitecustomize.py").write_text(_TRAP)
    variables = {
        "PYTHONPATH": str(temporary),
        "SAFEMIG_KILL": f"{where}|{when}|1|{'kernel' if in_kernel else 'cli'}|-",
        "SAFEMIG_SPOIL": code,
    }
    return subprocess.run(
        [sys.executable, "-m", "safemig", *command], cwd=shop.folder, capture_output=True, text=True, check=False,
        timeout=120, env=os.environ | variables,
    )  # fmt: skip


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
