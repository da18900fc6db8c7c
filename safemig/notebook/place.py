"""Where a notebook lies, for links from it to files: known where a front end runs it, and said by no one else."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from safemig.live import RECORD


@dataclass(frozen=True, slots=True)
class NotebookPlace:
    """A notebook's folder, and the folder above which its front end opens nothing."""

    folder: Path
    root: Path

    def link_to(self, path: Path) -> str | None:
        """Return the link from the notebook to a file; None where its front end cannot open that file."""
        whole = path.resolve()
        if not whole.is_relative_to(self.root.resolve()):
            return None
        return quote(os.path.relpath(whole, self.folder.resolve()))


def find_place() -> NotebookPlace | None:
    """Return where the notebook of this kernel lies; None in a script, a record's run, papermill or a terminal."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or getattr(shell, "kernel", None) is None or os.environ.get(RECORD):
        return None
    from safemig.approval.approve import person_is_present

    if not person_is_present():
        return None
    # Jupyter's server names the notebook; other front ends start the kernel in its folder, which `os.chdir` leaves.
    named = Path(os.environ.get("JPY_SESSION_NAME", ""))
    folder = named.parent if named.is_absolute() else Path(shell.user_ns["_dh"][0])
    return NotebookPlace(folder, _root_of_server() or folder)


def _root_of_server() -> Path | None:
    """Return the folder that the Jupyter server which started this kernel serves, by what it tells in its own file."""
    from jupyter_core.paths import jupyter_runtime_dir

    file = Path(jupyter_runtime_dir()) / f"jpserver-{os.environ.get('JPY_PARENT_PID', '')}.json"
    try:
        return Path(json.loads(file.read_text(encoding="utf-8"))["root_dir"])
    except (OSError, ValueError, KeyError):
        return None
