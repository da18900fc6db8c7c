"""The tutorials run from top to bottom without input, each in its own kernel, leave nothing running, and say what they keep.

SAFEMIG_WRITE_TUTORIALS=1 writes the outputs that they keep anew.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.tables import part_of
from tests.tutorial_outputs import said, stored

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
        "lose": ["drop-table", "drop-column", "truncate", "delete-rows", "catalog-change", "_deprecated_reviews"],
        "enum-safe": ["SAFE TO DEPLOY"],
        "block": [
            "index-not-concurrent",
            "add-unique-builds-index",
            "set-not-null",
            "add-foreign-key-validates",
            "alter-column-type",
            "VALIDATE CONSTRAINT",
        ],
        "break": ["rename-in-use", "update-many-rows", "BETWEEN $1 AND $2"],
        "batches-safe": ["SAFE TO DEPLOY"],
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
        "forget": ["no migration is recorded"],
        "baseline-asks": ["PLAN", "baseline_prod", "none is run"],
        "baseline": ["BASELINED", "create_shop"],
    },
    "03_when_it_goes_wrong": {
        "write-bad": ["SAFE TO DEPLOY", "validate-in-same-file", "read in less than 1 s"],
        "refused": ["short_name", "is violated by some row", "production was not touched"],
        "deploy": ["DEPLOYED", "rollback_"],
        "look-at-script": ["Proven: run on a copy", "public.users.nickname are lost"],
        "rollback-asks": ["PLAN", "Rollback of 20270102000000_add_nickname.sql", "DROP COLUMN"],
        "rollback": ["ROLLED BACK", "column public.users.nickname: dropped"],
        "status": ["add_nickname                    pending  pending"],
        "delete": ["(90000, 0)"],
        "restore": ["RESTORED BESIDE PRODUCTION", "every hash as in the manifest"],
        "look": ["90000"],
        "swap-asks": ["PLAN", "takes the place of shop_production"],
        "swap": ["RESTORED AND SWAPPED IN", "the former database is kept"],
        "after": ["(90000, 0)"],
        "help": ["Emergency procedures"],
    },
    "04_reading_the_archive": {
        "work": ["('BACKED-UP', 0), ('REFUSED', 1), ('DEPLOYED', 0)"],
        "files": ["ledger.jsonl", "-migrate_prod-REFUSED.html"],
        "deployments": ["3 records", "hashes not checked"],
        "refused": ["1 record ", "REFUSED"],
        "pandas": ["migrate_prod", "REFUSED"],
        "read": ["application/vnd.safemig.deployment+json", "VALID"],
        "verify": ["VERIFIED"],
        "verify-edited": ["1 PROBLEM", "-migrate_prod-REFUSED.ipynb was edited since it was sealed"],
        "verify-removed": ["1 PROBLEM", "production knows of run", "is gone, and so is its line of the ledger"],
    },
    "05_runbooks_in_ci": {
        "review": ["::notice", "SAFE TO DEPLOY", "exit code 0"],
        "plan": ["PLAN ", "exit code 0"],
        "refused": ["is not approved", "exit code 1"],
        "deploy": ["DEPLOYED", "exit code 0"],
        "parameters": ['approve: str (default "")'],
        "status": ["UP TO DATE"],
        "unknown": ['has no parameter "tarbet"', "cannot access"],
        "secret": ['"target" holds a password', "cannot access"],
        "after": ["UP TO DATE"],
        "examples": ["safemig migrate-prod --approve"],
        "gitlab": ["resource_group: production"],
    },
}


# Each takes 10 to 35 s. What the others show of rollbacks, restores, records and CI, tests/operations, tests/records and tests/cli prove.
USUAL = ("01_first_review", "02_staging_to_production")


@pytest.fixture(scope="module", params=part_of(NOTEBOOKS, lambda path: path.stem in USUAL, lambda path: path.stem))
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A tutorial, and the notebook after a run of it."""
    notebook = nbformat.read(request.param, as_version=4)
    folder = tmp_path_factory.mktemp(request.param.stem)
    with tempfile.TemporaryDirectory(prefix="sm-") as temporary, pytest.MonkeyPatch.context() as patched:
        Path(temporary).chmod(0o755)  # a server that runs as another user enters it
        patched.setenv("TMPDIR", temporary)
        patched.setenv("SAFEMIG_BY", "dba")
        NotebookClient(
            notebook,
            timeout=180,
            resources={"metadata": {"path": str(folder)}},
        ).execute()
        assert list(Path(temporary).glob("safemig-tutorial-*")) == [], "the tutorial deletes its folder"
    return request.param, notebook


def test_the_tutorial_shows_what_its_prose_promises(run: tuple[Path, Any]) -> None:
    path, notebook = run
    texts = {
        cell.id: "\n".join(each.get("text") or each.get("data", {}).get("text/plain", "") for each in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    }
    for cell, words in SEEN[path.stem].items():
        for word in words:
            assert word in texts[cell], f"{path.stem}, cell {cell}:\n{texts[cell]}"


def test_the_tutorial_says_what_it_keeps(run: tuple[Path, Any]) -> None:
    path, notebook = run
    fresh = stored(notebook)
    if os.environ.get("SAFEMIG_WRITE_TUTORIALS"):
        nbformat.write(fresh, path)
    kept = nbformat.read(path, as_version=4)
    for cell, now in zip(kept.cells, fresh.cells, strict=True):
        if cell.cell_type == "code":
            assert said(cell) == said(now), (
                f"cell {cell.id}: SAFEMIG_WRITE_TUTORIALS=1 writes it anew; look at the diff"
            )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_is_small_and_tells_nothing_of_the_machine_that_ran_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text) < 400_000
    for telling in (tempfile.gettempdir() + "/", str(Path.home()) + "/", "/site-packages", "postgresql://postgres:"):
        assert telling not in text


def test_every_tutorial_is_known() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(SEEN)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_tutorial_teaches_plans_and_names_and_cleans_up(notebook: Path) -> None:
    code = "\n".join(cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code")
    assert ".next" not in code, "an ID comes from the plan, not out of a refusal's text"
    assert ".findings" not in code, "a finding is accepted by its name, not as one of all"
    assert code.rstrip().endswith("folder.cleanup()")
    assert "os.environ.pop(name)" in code, "no later cell finds the databases of this one"
