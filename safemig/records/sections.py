"""Sections of a record: a heading before each step, so that a record has an outline, and its certificate can link there."""

from __future__ import annotations

import re
from typing import Any

DESCRIPTION = re.compile(r"\A# papermill_description=(?P<step>.*)\n?")

# One word each: JupyterLab and nbconvert make the same anchor of it.
SECTIONS = {
    "open": "Settings", "preflight": "Pre-flight", "review": "Review", "plan": "Plan", "backup": "Backup",
    "rehearse": "Rehearsal", "approve": "Approval", "deploy": "Deployment", "validate": "Validation",
}  # fmt: skip
_ID = "section-"


def add_headings(notebook: Any) -> None:
    """Put a heading before each step that has a section, in place; a notebook that has them stays as it is."""
    import nbformat

    present = {cell.get("id") for cell in notebook.cells}
    cells = []
    for cell in notebook.cells:
        step = step_of(cell)
        if step in SECTIONS and f"{_ID}{step}" not in present:
            heading = f"## {SECTIONS[step]}"
            cells.append(nbformat.v4.new_markdown_cell(heading, id=f"{_ID}{step}"))  # type: ignore[no-untyped-call]
        cells.append(cell)
    notebook.cells = cells


def step_of(cell: Any) -> str:
    """Return the step that a code cell is, "" for any other cell."""
    match = DESCRIPTION.match(cell.source) if cell.cell_type == "code" else None
    return match["step"].strip() if match else ""


def is_heading(cell: Any) -> bool:
    """Tell whether a cell is a heading of ours."""
    return str(cell.get("id", "")).startswith(_ID)
