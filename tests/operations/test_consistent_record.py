"""A record says one thing: what a later step proves is shown where an earlier one said that it was open."""

from __future__ import annotations

import re

import nbformat

from tests.operations.conftest import Shop
from tests.operations.test_every_road import run, write_nickname


def test_a_record_says_of_its_backup_what_was_proven(shop: Shop) -> None:
    write_nickname(shop)
    code, said = run(shop, "safemig", "migrate-prod", "--approve", shop.project.plan().id)
    assert code == 0, said
    path = next((shop.folder / "records").rglob("*migrate_prod-DEPLOYED.ipynb"))
    told = nbformat.read(path, as_version=4)
    texts = [
        str(output.get("data", output).get("text/plain", output.get("text", "")))
        for cell in told.cells
        for output in cell.get("outputs", ())
    ]
    (backup,) = (each for each in texts if each.startswith("BACKED UP"))
    assert "restored on a copy and compared" in backup.splitlines()[0]
    page = path.with_suffix(".html").read_text()
    assert "not restored yet" not in page
    assert "NOT YET VERIFIED" not in page
    totals = set(re.findall(r"([\d,]+) rows(?! in [^2])", "\n".join(texts)))
    assert totals == {"1,200"}, "with and without the history's rows in one record"
    code, said = run(shop, "safemig", "records", "--verify")
    assert code == 0, said
