"""Production is the witness of its records: what is gone from the archive is still known there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from safemig import chain
from safemig.execution import journal
from safemig.records import ledger, run_runbook
from safemig.records.verification import verify
from tests.operations.conftest import Shop


@pytest.fixture
def home(shop: Shop) -> Path:
    """The records of two deployments."""
    for number in (2, 3):
        shop.write(f"2026010{number}000000_t.sql", f"ALTER TABLE users ADD COLUMN IF NOT EXISTS c{number} text;")
        project = shop.project
        run = run_runbook("migrate_prod", project.settings, {"approve": project.plan().id})
        assert run.verdict == "DEPLOYED", run.error
    return shop.folder / "records" / "production"


def test_what_no_ledger_can_show_is_known_to_production(
    shop: Shop, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shop.project.deployments(verify=True).problems == ()
    file, newest = home / ledger.FILE, max(home.glob("*.ipynb"))
    lines, kept = file.read_text().splitlines(keepends=True), newest.read_bytes()

    # The newest record and its line, cut off together: the chain that is left is whole.
    newest.unlink()
    newest.with_suffix(".html").unlink()
    file.write_text(lines[0])
    assert verify(home).problems == ()
    (problem,) = shop.project.deployments(verify=True).problems
    assert newest.stem.removesuffix("-DEPLOYED") in problem
    assert "is gone, and so is its line of the ledger" in problem

    # The whole ledger rewritten over an edited past, each line with a hash that is right.
    newest.write_bytes(kept)
    previous, forged = chain.FIRST, []
    for line in lines:
        facts = {**json.loads(line), "by": "somebody", "html_sha256": "", "previous": previous}
        previous = facts["hash"] = chain.hash_of(facts)
        forged.append(json.dumps(facts) + "\n")
    file.write_text("".join(forged))
    assert verify(home).problems == ()
    (problem,) = shop.project.deployments(verify=True).problems
    assert "the ledger was cut or rewritten" in problem

    # And where production cannot be asked, that is said.
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", "postgresql://127.0.0.1:1/app")
    archive = shop.project.deployments(verify=True)
    assert archive.problems == ()
    assert archive.notes == (
        "the records of production were not compared with the database: production cannot be reached",
    )
    assert archive.notes[0] in archive.render("text")
    assert archive.render("text").startswith("VERIFIED, EXCEPT AGAINST production")
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production)

    # Nor does a folder that is gone as a whole leave an archive that is verified.
    shutil.rmtree(home)
    problems = shop.project.deployments(verify=True).problems
    assert sum("its record" in each for each in problems) == 2


def test_a_journal_that_lost_a_run_is_contradicted_by_production(shop: Shop, home: Path) -> None:
    """Also where ledger and journal were rewritten together, each a whole chain."""
    lost = journal.read(home / journal.FILE_NAME)[-1]["run"]
    kept = [each for each in journal.read(home / journal.FILE_NAME) if each["run"] != lost]
    sealed = [dict(each.facts) for each in ledger.read(home)[0]]
    for name, lines in ((journal.FILE_NAME, kept), (ledger.FILE, sealed)):
        (home / name).unlink()
        for line in lines:
            dropped = ("hash", "previous", "journal")
            chain.append(home / name, {key: value for key, value in line.items() if key not in dropped})
    assert verify(home).problems == ()
    problems = shop.project.deployments(verify=True).problems
    assert any(f"run {lost}" in each and "its lines of the journal are gone" in each for each in problems), problems
