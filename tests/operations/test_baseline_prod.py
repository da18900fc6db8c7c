"""baseline_prod: what was applied by hand is recorded, and only where the files make what is there."""

from __future__ import annotations

import re

import pytest

from safemig.cli import main
from safemig.errors import MigrationError, RefusedError
from safemig.operations import baseline_prod
from safemig.results import Deployment
from tests.operations.conftest import FIRST_FILE, Shop

pytestmark = pytest.mark.measures_drift

SECOND_FILE, THIRD_FILE = "20260102000000_second.sql", "20260103000000_third.sql"
SECOND = "CREATE TABLE notes (id bigint PRIMARY KEY, body text);"
THIRD = "ALTER TABLE users ADD COLUMN active boolean; INSERT INTO notes VALUES (1, 'seed');"
HISTORY = "SELECT version, name FROM supabase_migrations.schema_migrations ORDER BY 1"


@pytest.fixture
def by_hand(shop: Shop) -> Shop:
    """A production with data, made by hand by three files; nothing is recorded of any."""
    shop.write(SECOND_FILE, SECOND)
    shop.write(THIRD_FILE, THIRD)
    shop.on(shop.production, "DROP SCHEMA safemig, supabase_migrations CASCADE")
    shop.on(shop.production, SECOND + THIRD)
    return shop


def baseline(shop: Shop, to: str = "") -> Deployment:
    """Baseline with the id that the refusal names."""
    with pytest.raises(RefusedError, match="is not approved") as caught:
        shop.project.baseline_prod(to=to)
    return shop.project.baseline_prod(to=to, approve=str(caught.value.next).split("--approve ")[1].split()[0])


def test_what_was_applied_by_hand_is_recorded_and_the_next_is_deployed(by_hand: Shop) -> None:
    (check,) = [check for check in by_hand.project.preflight().checks if check.name == "history"]
    assert (check.state, check.fix) == ("warning", "where these were applied by hand: safemig baseline-prod")
    told = "production: it has tables, and no migration is recorded; where they were applied by hand: safemig baseline-prod"
    assert by_hand.project.db_status().problems == (told,)
    orders = by_hand.on(by_hand.production, "SELECT count(*), sum(total) FROM orders")
    done = baseline(by_hand)
    assert (done.act, done.verdict) == ("baseline_prod", "BASELINED")
    assert done.recorded_only == (FIRST_FILE, SECOND_FILE, THIRD_FILE)
    assert done.notes == (f"{THIRD_FILE} was recorded only: its INSERT in line 1 was not run",)
    assert THIRD_FILE in done.render("text")
    assert by_hand.on(by_hand.production, HISTORY)[2] == ("20260103000000", "third")
    assert by_hand.on(by_hand.production, "SELECT act FROM safemig.deployments") == [("baseline_prod",)]
    assert by_hand.on(by_hand.production, "SELECT count(*), sum(total) FROM orders") == orders
    assert by_hand.project.db_status().problems == ()
    assert by_hand.project.baseline_prod().verdict == "NOTHING TO RECORD"
    by_hand.write("20260104000000_fourth.sql", "CREATE TABLE IF NOT EXISTS fourth (id bigint PRIMARY KEY);")
    assert by_hand.deploy().migrations == ("20260104000000_fourth.sql",)


def test_the_proof_is_kept_for_the_pre_flight(by_hand: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    baseline(by_hand)
    monkeypatch.setattr("safemig.copies.drift.Drift.of", None)  # it would fail if it were asked
    (drift,) = [check for check in by_hand.project.preflight().checks if check.name == "drift"]
    assert drift.state == "ok"


OTHERWISE = [
    # (what is otherwise in production, what is said of it, what comes next)
    ("ALTER TABLE users ADD COLUMN by_hand text", "add column public.users.by_hand", "write what is there"),
    ("DROP TABLE notes", "remove table public.notes", "write what is there"),
    ("ALTER TABLE users DROP COLUMN active", "remove column public.users.active", "safemig baseline-prod --to 20260102000000"),
    ("ALTER TABLE users ALTER COLUMN email DROP NOT NULL", "public.users.email", "write what is there"),
]  # fmt: skip


@pytest.mark.parametrize(("otherwise", "told", "further"), OTHERWISE)
def test_a_schema_that_the_files_do_not_make_is_refused(by_hand: Shop, otherwise: str, told: str, further: str) -> None:
    by_hand.on(by_hand.production, otherwise)
    with pytest.raises(RefusedError, match="is not what those 3 files make; nothing was recorded") as caught:
        by_hand.project.baseline_prod()
    assert told in str(caught.value.where)
    assert further in str(caught.value.next)
    assert by_hand.on(by_hand.production, "SELECT to_regnamespace('safemig')::text") == [(None,)]


def test_up_to_the_version_that_fits(by_hand: Shop) -> None:
    by_hand.on(by_hand.production, "ALTER TABLE users DROP COLUMN active")
    assert baseline(by_hand, "20260102000000").recorded_only == (FIRST_FILE, SECOND_FILE)
    assert [each.file for each in by_hand.project.plan().migrations] == [THIRD_FILE]


def test_an_unknown_version_and_a_file_that_does_not_run_are_named(by_hand: Shop) -> None:
    with pytest.raises(RefusedError, match="no migration file has the version 2026") as caught:
        by_hand.project.baseline_prod(to="2026")
    assert caught.value.where == "the files are 20260101000000 to 20260103000000"
    by_hand.write(SECOND_FILE, "ALTER TABLE nowhere ADD COLUMN a int;")
    with pytest.raises(MigrationError, match="does not run on an empty database"):
        by_hand.project.baseline_prod()


def test_the_command_leaves_a_record(by_hand: Shop, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--project", str(by_hand.folder), "baseline-prod"]
    with pytest.raises(SystemExit) as refused:
        main(words)
    assert refused.value.code == 1
    found = re.search(r"safemig baseline-prod --approve (\w+)", "".join(capfd.readouterr()))
    assert found
    with pytest.raises(SystemExit) as done:
        main([*words, "--approve", found[1]])
    assert done.value.code == 0
    records = sorted(path.name.split("-", 1)[1] for path in (by_hand.folder / "records/production").glob("*.ipynb"))
    assert records == ["production-baseline_prod-BASELINED.ipynb", "production-baseline_prod-REFUSED.ipynb"]
    assert by_hand.project.deployments(verify=True).problems == ()


def test_a_change_between_the_proof_and_the_record_stops_it(by_hand: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look of the deploying connection is let through; the one inside the transaction is not."""
    with pytest.raises(RefusedError) as caught:
        by_hand.project.baseline_prod()
    plan = str(caught.value.next).split("--approve ")[1].split()[0]
    real = baseline_prod.make_history

    def meanwhile(settings: object, connection: object) -> None:
        real(settings, connection)  # type: ignore[arg-type]
        by_hand.on(by_hand.production, "ALTER TABLE users ADD COLUMN sneaked text")

    monkeypatch.setattr(baseline_prod, "make_history", meanwhile)
    with pytest.raises(RefusedError, match="has changed since the plan was made"):
        by_hand.project.baseline_prod(approve=plan)
    assert by_hand.on(by_hand.production, HISTORY) == []
