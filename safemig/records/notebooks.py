"""Notebooks as text and back: the only place that calls nbformat, which has no types."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def read_notebook(path: Path) -> Any:
    """Return the notebook in `path`, in the newest version 4 form."""
    return parse_notebook(path.read_text(encoding="utf-8"))


def parse_notebook(text: str) -> Any:
    """Return the notebook in `text`."""
    import nbformat

    return nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]


def notebook_bytes(notebook: Any) -> bytes:
    """Return the notebook as it is written into a file."""
    import nbformat

    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return (text + "\n").encode()
