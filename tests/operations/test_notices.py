"""What the server says beside its answers is in the result, and 200,000 notices do not swell the record."""

from __future__ import annotations

from safemig.records import run_runbook
from tests.operations.conftest import Shop

MANY = """
DO $$ BEGIN
    FOR i IN 1..100000 LOOP RAISE NOTICE 'row % is odd', i; RAISE WARNING 'odd rows'; END LOOP;
END $$;
CREATE TABLE IF NOT EXISTS t (id bigint PRIMARY KEY);
CREATE TABLE IF NOT EXISTS t (id bigint PRIMARY KEY);
"""


def test_200_000_notices_are_a_few_lines(shop: Shop) -> None:
    shop.write("20260102000000_noisy.sql", MANY)
    run = run_runbook("migrate_staging", shop.project.settings)
    assert run.verdict == "DEPLOYED", run.error
    assert run.answer is not None
    loud, quiet, again = (each["notices"] for each in run.answer.data["steps"])
    assert loud[:2] == ["NOTICE: row 1 is odd", "WARNING: odd rows (100,000 times)"]
    assert loud[-1] == "and 99,991 more, of other words"
    assert len(loud) == 11
    assert quiet == []
    assert again == ['NOTICE: relation "t" already exists, skipping']
    assert "WARNING: odd rows (100,000 times)" in run.answer.text
    assert run.path.stat().st_size + run.html.stat().st_size < 200_000
