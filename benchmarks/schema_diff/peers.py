"""The other tool, as its users install it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MIGRA = ("migra", "psycopg2-binary", "SQLAlchemy<2.1", "setuptools<66")


def installed_migra(folder: Path) -> Path:
    """Return the program migra in a new virtual environment below `folder`."""
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/pip", "install", "--quiet", *MIGRA], check=True, stderr=subprocess.DEVNULL)
    return venv / "bin" / "migra"
