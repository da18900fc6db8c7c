"""One driver for whatever strikes a run: safemig in a process of its own that stops at a fault point until it is let go.

While it stands there, a test kills it, ends its sessions, cuts its network, crashes its server, or runs code in it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from safemig.fault_points import FaultPoint

if TYPE_CHECKING:
    from tests.operations.conftest import Shop

DEPLOY = "project.migrate_prod(approve=project.plan().id)"
# An action on `project`. It is less patient than production: what these tests take away does not come back.
_ACT = """
import sys
import safemig
from safemig.errors import SafemigError
from safemig.execution import commit
from safemig.postgres.connection import network_watchdog
from safemig.postgres.dump import tools
commit._COMMIT_PATIENCE_SECONDS, network_watchdog.PATIENCE_SECONDS, tools.SILENT_SECONDS = 0.5, 0.5, 3.0
folder, action = sys.argv[1:]
project = safemig.Project.open(folder)
try:
    exec(action)
except SafemigError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
except KeyboardInterrupt:
    sys.exit(130)
"""
# The `sitecustomize` of every Python process of the run, the kernel too: it stops the one that comes to the point.
# From there it tells the test who it is, and waits for code to run; none means to go on.
_STOP = """
import importlib.util, os, socket, sys
class Finder:
    def find_spec(self, name, folders=None, target=None):
        if name != "safemig.fault_points":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (load(module), listen(module))
        return spec
def listen(module):
    name, count, place = os.environ["SAFEMIG_STRIKE"].split("|")
    left = [int(count)]
    def on_pass(point):
        if point.name != name:
            return
        left[0] -= 1
        if not left[0]:
            with socket.socket(socket.AF_UNIX) as test:
                test.connect(place)
                test.sendall(f"{os.getpid()} {os.getppid()}\\n".encode())
                code = b"".join(iter(lambda: test.recv(65536), b""))
            exec(compile(code, "strike", "exec"))
    module.on_pass = on_pass
sys.meta_path.insert(0, Finder())
"""


class Run:
    """safemig in a process of its own, which stops when it comes to a fault point for the `count`-th time.

    `what` is a command's arguments, or an action on `project`. Without a point it runs to its end.
    """

    def __init__(
        self,
        shop: Shop,
        temporary: Path,
        what: str | Sequence[str] = DEPLOY,
        at: FaultPoint | None = None,
        count: int = 1,
    ) -> None:
        self.pid = self.parent = 0  # of the process that stands at the point
        self._there: socket.socket | None = None
        variables = {"TMPDIR": str(temporary)}
        self._listener: socket.socket | None = None
        if at is not None:
            (temporary / "sitecustomize.py").write_text(_STOP)
            place = temporary / "point"
            place.unlink(missing_ok=True)
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(place))
            self._listener.listen()
            self._listener.settimeout(0.2)
            paths = [str(temporary), *filter(None, [os.environ.get("PYTHONPATH")])]
            variables |= {"PYTHONPATH": os.pathsep.join(paths), "SAFEMIG_STRIKE": f"{at.name}|{count}|{place}"}
        command = ["-c", _ACT, str(shop.folder), what] if isinstance(what, str) else ["-m", "safemig", *what]
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=None if isinstance(what, str) else shop.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | variables,
            text=True,
        )

    def wait_until_there(self) -> None:
        """Wait until a process of it stands at the point."""
        assert self._listener is not None
        deadline = time.monotonic() + 120
        while self._there is None:
            try:
                self._there, _ = self._listener.accept()
            except TimeoutError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"it did not come to that point: {self.ended()}") from None
        self._there.settimeout(30)
        self.pid, self.parent = map(int, self._there.recv(64).split())

    def go_on(self, code: str = "") -> None:
        """Let it go on, and run that Python code there first; a process that is gone does not mind."""
        if self._there is not None:
            try:
                self._there.sendall(code.encode())
            except OSError:
                assert not code, "the code did not reach it"
            self._there.close()

    def result(self) -> subprocess.CompletedProcess[str]:
        """Wait for its end: its exit code and what it wrote."""
        try:
            out, err = self.process.communicate(timeout=120)
        finally:
            self.process.kill()
            for each in (self._there, self._listener):
                if each is not None:
                    each.close()
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, out, err)

    def ended(self) -> tuple[int, str]:
        """Wait for its end: its exit code and what it said on stderr."""
        result = self.result()
        return result.returncode, result.stderr


def kill_at(shop: Shop, temporary: Path, action: str, at: FaultPoint, count: int = 1) -> int:
    """Run an action on `project`, and end its process by SIGKILL at that point; return its exit code."""
    run = Run(shop, temporary, action, at, count)
    run.wait_until_there()
    run.process.kill()
    return run.ended()[0]


def kill_while(shop: Shop, temporary: Path, statement: str, number: signal.Signals = signal.SIGKILL) -> int:
    """Deploy in a process that is ended by a signal while production runs a statement like that; return its exit code."""
    run = Run(shop, temporary)
    query = f"SELECT 1 FROM pg_stat_activity WHERE query LIKE '{statement}' AND state = 'active' AND datname = current_database() AND pid <> pg_backend_pid()"
    deadline = time.monotonic() + 60
    while not shop.on(shop.production, query):
        assert run.process.poll() is None, run.ended()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run.process.send_signal(number)
    return run.ended()[0]


def kill_command(
    shop: Shop, temporary: Path, command: Sequence[str], at: FaultPoint, count: int = 1, victim: str = "process"
) -> int:
    """Run a safemig command, and end by SIGKILL the process that comes to that point; return the command's exit code.

    `victim`: "process" or "kernel", who stands there; "recorder", who started it; or "both". Returns when the process
    that stood there has ended.
    """
    run = Run(shop, temporary, command, at, count)
    run.wait_until_there()
    for pid in {"recorder": [run.parent], "both": [run.parent, run.pid]}.get(victim, [run.pid]):
        os.kill(pid, signal.SIGKILL)
    run.go_on()
    code, _ = run.ended()
    wait_for(lambda: not lives(run.pid), "the process at the point to end")
    return code


def run_code_at(
    shop: Shop, temporary: Path, command: Sequence[str], at: FaultPoint, code: str
) -> subprocess.CompletedProcess[str]:
    """Run a safemig command, and Python code in the process that comes to that point."""
    run = Run(shop, temporary, command, at)
    run.wait_until_there()
    run.go_on(code)
    return run.result()


def wait_until_alone(shop: Shop) -> None:
    """Wait until no session of safemig is on production's server."""
    ours = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'safemig%'"
    wait_for(lambda: not shop.on(shop.production, ours), "the killed run's sessions to end", 20)


def wait_for(is_so: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait until something is so; it fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def lives(pid: int) -> bool:
    """Tell whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
