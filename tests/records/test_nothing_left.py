"""A run leaves its record, and nothing else: not in the home folder, not in the temporary one, also when it is killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runbook_files import DEPLOYMENT, write_runbook

from tests.operations.striking import lives, wait_for

CODE = """
import sys
from pathlib import Path
from safemig.records import run_runbook
from safemig.settings import load_settings
project = Path(sys.argv[1])
raise SystemExit(run_runbook("migrate_prod", load_settings(project), folder=project / "runbooks").exit_code)
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A temporary folder with a short name, for sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="sm-", dir="/tmp") as folder:
        yield Path(folder)


def start(project: Path, temporary: Path, home: str | None, *cells: str) -> subprocess.Popen[str]:
    write_runbook(project / "runbooks", "migrate_prod", *cells, changing=0)
    told = ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "HOME")
    environment = {name: value for name, value in os.environ.items() if name not in told}
    environment |= {"TMPDIR": str(temporary)} | ({"HOME": home} if home else {})
    return subprocess.Popen(
        [sys.executable, "-c", CODE, str(project)], env=environment, stderr=subprocess.PIPE, text=True, cwd=project
    )


def a_home(folder: Path) -> str:
    folder.mkdir()
    return str(folder)


def a_file(folder: Path) -> str:
    folder.write_text("not even root can write below a file")
    return str(folder)


@pytest.mark.parametrize("home", [a_home, a_file, lambda folder: str(folder / "none"), lambda _: None])
def test_nothing_is_left_whatever_the_home_folder_is(
    project: Path, temporary: Path, home: Callable[[Path], str | None]
) -> None:
    folder = project / "home"
    run = start(project, temporary, home(folder), DEPLOYMENT)
    _, said = run.communicate(timeout=120)
    # libzmq may say this while a kernel's process ends (its issues 1307 and 1554); nothing is wrong or left.
    said = re.sub(r"Assertion failed: pfd\.revents & POLLIN \(.*\)\n", "", said)
    assert (run.returncode, said) == (0, ""), said
    assert list(temporary.iterdir()) == []
    assert not folder.is_dir() or list(folder.iterdir()) == []


@pytest.mark.parametrize("victims", ["recorder", "both"])
def test_nothing_is_left_after_a_kill(project: Path, temporary: Path, victims: str) -> None:
    told = project / "kernel"
    cell = f"import os, time; open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    run = start(project, temporary, a_home(project / "home"), cell)
    wait_for(lambda: told.exists() and told.read_text(), "the kernel")
    kernel = int(told.read_text())
    assert list(temporary.iterdir()) != [], "the kernel's sockets"
    run.kill()
    if victims == "both":
        os.kill(kernel, signal.SIGKILL)
    run.communicate()
    wait_for(lambda: list(temporary.iterdir()) == [], "the files to be removed")
    wait_for(lambda: not lives(kernel), "the kernel to end")
    if victims == "recorder":
        time.sleep(6)  # who was left alone may have written again
    assert list(temporary.iterdir()) == []
    assert list((project / "home").iterdir()) == []
