"""The tutorials run from top to bottom with nobody there, each in its own kernel, and leave nothing running."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))

# What a reader must have seen at each tutorial's stops: cell -> words of its last result.
SEEN = {
    "01_first_review": {
        "status": ["shop_staging", "create_shop"],
        "review-drop": ["DO NOT DEPLOY", "drop-column"],
        "review-index": ["NEEDS ATTENTION", "CREATE INDEX CONCURRENTLY", "no target was read"],
        "review-file": ["index.sql -> production", "45,000"],
        "fixed": ["CREATE INDEX CONCURRENTLY"],
        "fixed-again": ["SAFE TO DEPLOY"],
        "review-hidden": ["DO NOT DEPLOY", "catalog.reviews"],
        "review-safe": ["SAFE TO DEPLOY"],
        "frame": ["truncate", "update"],
    },
    "02_staging_to_production": {
        "generate": ["GENERATED", "fax_number", "proven equal"],
        "review": ["SAFE TO DEPLOY"],
        "plan": ["PLAN", "user_preferences"],
        "rehearse": ["REHEARSED", "brought the schema back"],
        "deploy": ["DEPLOYED", "user_preferences"],
        "files": ["backup_full_", "backup_schema_", "manifest_", "rollback_"],
        "status-after": ["applied"],
        "remaining": ["fax_number"],
    },
}


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """A tutorial's name, and the text of each of its cells' outputs."""
    notebook = nbformat.read(request.param, as_version=4)
    folder = tmp_path_factory.mktemp(request.param.stem)
    NotebookClient(
        notebook,
        timeout=180,
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    return request.param.stem, {
        cell.id: "\n".join(each.get("text") or each.get("data", {}).get("text/plain", "") for each in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    }


def test_the_tutorial_shows_what_its_prose_promises(executed: tuple[str, dict[str, str]]) -> None:
    name, texts = executed
    for cell, words in SEEN[name].items():
        for word in words:
            assert word in texts[cell], f"{name}, cell {cell}:\n{texts[cell]}"


def test_every_tutorial_is_known() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(SEEN)
