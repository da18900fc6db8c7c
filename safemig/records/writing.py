"""How papermill writes a record: through safemig, redacted and atomically, cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safemig.records.files import write_atomically
from safemig.records.notebooks import notebook_bytes, parse_notebook
from safemig.records.redaction import redact_notebook

SCHEME = "safemig-record:"


class RecordWriter:
    """papermill's handler for the one record of this run."""

    def __init__(self, path: Path, clean: Callable[[str], str]) -> None:
        self.path = path
        self.clean = clean

    def write(self, buf: str, path: str) -> None:  # noqa: ARG002  papermill's signature
        """Write the notebook as it stands now."""
        notebook = parse_notebook(buf)
        redact_notebook(notebook, self.clean)
        write_atomically(self.path, notebook_bytes(notebook))

    def read(self, path: str) -> str:  # noqa: ARG002  papermill's signature
        """Return what was written last."""
        return self.path.read_text(encoding="utf-8")

    def pretty_path(self, path: str) -> str:  # noqa: ARG002  papermill's signature
        """Return the path as people should see it."""
        return str(self.path)
