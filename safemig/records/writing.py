"""How papermill writes a record: through safemig, redacted and atomically, cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from safemig.fault_points import FaultPoint, pass_point
from safemig.records.notebooks import notebook_bytes, parse_notebook
from safemig.records.redaction import redact_notebook
from safemig.whole_files import write_atomically

SCHEME = "safemig-record:"


class RecordWriter:
    """papermill's handler for the one record of this run.

    Until a cell that changes a database begins, a record that cannot be written stops the run. From then on it does
    not: to end a deployment half-way for the sake of its record would be worse, and what it did is told at the end.
    """

    def __init__(self, path: Path, clean: Callable[[str], str]) -> None:
        self.path = path
        self.clean = clean
        self.latest: Any = None  # the notebook as it was to be written last
        self.changes_began = False

    def write(self, buf: str, path: str) -> None:  # noqa: ARG002  papermill's signature
        """Write the notebook as it stands now.

        Raises:
            OSError: it cannot be written, and no cell that changes a database has begun.
        """
        notebook = parse_notebook(buf)
        redact_notebook(notebook, self.clean)
        self.latest = notebook
        try:
            pass_point(FaultPoint.RECORD_CELL_BEGINS)
            write_atomically(self.path, notebook_bytes(notebook))
            pass_point(FaultPoint.RECORD_CELL_WRITTEN)
        except OSError:
            if not self.changes_began:
                raise

    def read(self, path: str) -> str:  # noqa: ARG002  papermill's signature
        """Return what was written last."""
        return self.path.read_text(encoding="utf-8")

    def pretty_path(self, path: str) -> str:  # noqa: ARG002  papermill's signature
        """Return the path as people should see it."""
        return str(self.path)
