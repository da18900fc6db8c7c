"""Data migrations in batches: short transactions, progress that is kept, and a rerun that goes on where one was cut off."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from safemig import result
from safemig.errors import DeploymentStoppedError, MigrationError
from safemig.execution import batches
from safemig.fault_points import FaultPoint
from safemig.operations.migrate_prod import ProductionDeployment
from safemig.results import Live
from tests.operations.conftest import Shop
from tests.operations.striking import DEPLOY, kill_at, wait_until_alone

FILE = "20260102000000_fill.sql"
FILL = """-- safemig: batches of 30 by users.id, pause 1 ms
UPDATE users SET legacy = 'filled ' || coalesce(legacy, '') WHERE id BETWEEN $1 AND $2;
"""
PROGRESS = "SELECT upto, last, rows, batches FROM safemig.batches"
HOW_OFTEN_FILLED = "SELECT DISTINCT legacy FROM users WHERE id <= 200 ORDER BY 1"


@pytest.fixture
def filling(shop: Shop) -> Shop:
    """A shop with 200 users to fill, in 7 batches, and the findings of the review accepted."""
    shop.write(FILE, FILL)
    findings = [f"{each.rule}:{each.object}: in batches" for each in shop.project.review().standing]
    (shop.folder / "safemig.toml").write_text(f"accept = {json.dumps(findings)}")
    return shop


def test_each_batch_is_a_transaction_and_progress_is_kept(filling: Shop) -> None:
    (step,) = filling.project.plan().steps
    assert not step.transactional
    assert step.batches is not None
    done = filling.deploy()
    assert done.verdict == "DEPLOYED"
    assert done.steps[0].rows == 200
    assert filling.on(filling.production, PROGRESS) == [("200", "200", 200, 7)]
    assert filling.on(filling.production, "SELECT count(DISTINCT xmin::text) FROM users") == [(7,)]
    assert filling.on(filling.production, HOW_OFTEN_FILLED) == [("filled old",)]
    assert filling.project.migrate_prod().verdict == "NOTHING TO DEPLOY"


def test_how_far_it_is_is_told_while_it_runs(filling: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Live | None] = []
    filling.write(FILE, FILL.replace("pause 1 ms", "pause 300 ms"))
    run = ProductionDeployment(filling.project.settings, approve=filling.project.plan().id)
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve):
        step()
    monkeypatch.setattr(result, "_find_listener", lambda: told.append)
    assert run.deploy().verdict == "DEPLOYED"
    rows = [each.steps[0].rows for each in told if each and each.steps and each.steps[0].state == "running"]
    counted = [each for each in rows if each]
    assert counted == sorted(counted)
    assert len(set(counted)) > 2
    assert set(counted) <= {30, 60, 90, 120, 150, 180, 200}


@pytest.mark.parametrize(("point", "batch"), [(FaultPoint.BATCH_BEGINS, 3), (FaultPoint.BATCH_COMMITTED, 5)])
def test_killed_between_two_batches_it_goes_on_there(
    filling: Shop, temporary: Path, point: FaultPoint, batch: int
) -> None:
    # The copy goes through its 7 batches first.
    assert kill_at(filling, temporary, DEPLOY, point, 7 + batch) == -signal.SIGKILL
    wait_until_alone(filling)
    ran = batch if point is FaultPoint.BATCH_COMMITTED else batch - 1
    assert filling.on(filling.production, PROGRESS) == [(str(30 * ran), "200", 30 * ran, ran)]
    filling.on(filling.production, "INSERT INTO users VALUES (201, 'later', 'new')")  # the application's own
    assert filling.deploy().verdict == "DEPLOYED"
    assert filling.on(filling.production, PROGRESS) == [("200", "200", 200, 7)]
    assert filling.on(filling.production, HOW_OFTEN_FILLED) == [("filled old",)]  # none twice
    assert filling.on(filling.production, "SELECT legacy FROM users WHERE id = 201") == [("new",)]


def test_a_batch_that_fails_says_how_far_it_came(filling: Shop) -> None:
    run = ProductionDeployment(filling.project.settings, approve=filling.project.plan().id)
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve):
        step()
    real = batches._batch
    count: list[int] = []

    def failing(connection: object, step: object, bounds: tuple[str, str], mark: str, deploy_as: str) -> int:
        count.append(1)
        if len(count) == 4:
            connection.execute("SELECT 1 / 0")  # type: ignore[attr-defined]
        return real(connection, step, bounds, mark, deploy_as)  # type: ignore[arg-type]

    batches._batch = failing
    try:
        with pytest.raises(DeploymentStoppedError, match="division by zero") as caught:
            run.deploy()
    finally:
        batches._batch = real
    assert "done up to key 90, 90 rows" in str(caught.value)
    assert caught.value.exit_code == 4
    assert filling.deploy().verdict == "DEPLOYED"
    assert filling.on(filling.production, HOW_OFTEN_FILLED) == [("filled old",)]


def test_an_empty_table_still_proves_the_statement(filling: Shop) -> None:
    filling.on(filling.production, "TRUNCATE orders, users")
    assert filling.deploy().verdict == "DEPLOYED"


def test_other_keys_and_gaps(shop: Shop) -> None:
    shop.on(
        shop.production,
        "CREATE TABLE words (w uuid PRIMARY KEY, n int); INSERT INTO words SELECT md5(n::text)::uuid, 0 FROM generate_series(1, 100) n",
    )
    shop.write(
        FILE,
        FILL.replace("users.id, pause 1 ms", "public.words.w").replace(
            "users SET legacy = 'filled ' || coalesce(legacy, '') WHERE id", "words SET n = n + 1 WHERE w"
        ),
    )
    findings = [f"{each.rule}:{each.object}: in batches" for each in shop.project.review().standing]
    (shop.folder / "safemig.toml").write_text(f"accept = {json.dumps(findings)}")
    assert shop.deploy().steps[0].rows == 100
    assert shop.on(shop.production, "SELECT DISTINCT n FROM words") == [(1,)]


WRONG = [
    (
        "-- safemig: batches by users\nUPDATE users SET legacy = '' WHERE id BETWEEN $1 AND $2;",
        "invalid declaration of batches",
    ),
    ("-- safemig: batches of 10 by users.id\nALTER TABLE users ADD COLUMN a int;", "none follows"),
    ("UPDATE users SET legacy = '';\n-- safemig: batches of 10 by users.id", "none follows"),
    ("-- safemig: batches of 10 by users.id\nUPDATE users SET legacy = '';", "does not use the range of keys"),
    (FILL + "ALTER TABLE users ADD COLUMN IF NOT EXISTS a int;", "cannot run in a transaction"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_a_declaration_that_cannot_be_is_refused_with_the_line(shop: Shop, text: str, words: str) -> None:
    shop.write(FILE, text)
    with pytest.raises(MigrationError, match=words) as caught:
        shop.project.plan()
    assert f"{FILE}, line " in str(caught.value)


def test_a_key_without_an_index_is_refused_on_the_copy(shop: Shop) -> None:
    shop.write(FILE, FILL.replace("users.id", "users.legacy").replace("WHERE id", "WHERE legacy"))
    before = shop.state()
    with pytest.raises(MigrationError, match="cannot be processed in batches"):
        shop.project.rehearse()
    assert shop.state() == before
