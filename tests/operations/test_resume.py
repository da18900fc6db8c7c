"""migrate_prod --resume: exactly the deployment that stopped part-way goes on, and what ran of it is not run again."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from safemig.cli import main
from safemig.errors import DeploymentFailedError, DeploymentStoppedError, RefusedError, SafemigError
from safemig.fault_points import FaultPoint
from safemig.results import Deployment
from tests.operations.conftest import Shop
from tests.operations.striking import DEPLOY, kill_at, kill_while, wait_until_alone
from tests.tables import part_of

TABLE_FILE, APART_FILE, LAST_FILE = (
    "20260102000000_notes.sql",
    "20260103000000_apart.sql",
    "20260104000000_last.sql",
)
# None of these says IF NOT EXISTS: run twice, each would fail.
TABLE = "CREATE TABLE notes (id bigint PRIMARY KEY, body text);"
APART = """-- safemig: no transaction
CREATE INDEX CONCURRENTLY users_legacy ON users (legacy);
ALTER TABLE notes ADD COLUMN author text;
CREATE UNIQUE INDEX CONCURRENTLY users_twin ON users (legacy) WHERE id > 200;
"""
LAST = "ALTER TABLE notes ADD COLUMN seen boolean;"
TWICE = "INSERT INTO users SELECT n, n::text, 'twice' FROM generate_series(201, 202) n"


@pytest.fixture
def parted(shop: Shop) -> Shop:
    """A shop with a deployment of three parts pending, and the findings of the review accepted."""
    shop.write(TABLE_FILE, TABLE)
    shop.write(APART_FILE, APART)
    shop.write(LAST_FILE, LAST)
    findings = [f"{each.rule}:{each.object}: the test needs it" for each in shop.project.review().standing]
    (shop.folder / "safemig.toml").write_text(f"accept = {findings!r}")
    return shop


def stop_part_way(shop: Shop) -> tuple[str, DeploymentStoppedError]:
    """Let the third statement apart fail on production alone; the id that the message names, and the error."""
    run = shop.project.deployment(approve=shop.project.plan().id)
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve):
        step()
    shop.on(shop.production, TWICE)
    with pytest.raises(DeploymentStoppedError, match="could not create unique index") as caught:
        run.deploy()
    shop.on(shop.production, "DELETE FROM users WHERE id > 200")
    found = re.search(r"safemig migrate-prod --resume (\w+)", str(caught.value.next))
    assert found, caught.value
    assert found[1] == run.run_id
    return found[1], caught.value


def resumed(shop: Shop, identity: str) -> Deployment:
    return shop.project.migrate_prod(resume=identity, approve=shop.project.plan(resume=identity).id)


@pytest.mark.parametrize("by", ["run", "plan"])
def test_it_goes_on_after_the_last_statement_that_ran(parted: Shop, by: str) -> None:
    plan = parted.project.plan().id
    run_id, _ = stop_part_way(parted)
    assert parted.project.plan(resume=run_id).steps[0].line == 4
    done = resumed(parted, run_id if by == "run" else plan)
    assert done.verdict == "DEPLOYED"
    assert done.migrations == (APART_FILE, LAST_FILE)
    assert [step.line for step in done.steps] == [4, 1]
    assert done.notes == (
        f"continues deployment {run_id} of plan {plan}; it had run {APART_FILE}, line 2; {APART_FILE}, line 3",
    )
    written = "SELECT cardinality(statements) FROM supabase_migrations.schema_migrations WHERE name = 'apart'"
    assert parted.on(parted.production, written) == [(3,)]
    assert parted.on(parted.production, "SELECT count(*) FROM safemig.resumable") == [(0,)]
    with pytest.raises(RefusedError, match=f"deployment {run_id} is complete"):
        parted.project.plan(resume=run_id)
    with pytest.raises(RefusedError, match=f"deployment {plan} is complete"):
        parted.project.migrate_prod(resume=plan)
    assert parted.project.migrate_prod().verdict == "NOTHING TO DEPLOY"


def test_status_and_pre_flight_name_the_command(parted: Shop) -> None:
    run_id, error = stop_part_way(parted)
    command = f"safemig migrate-prod --resume {run_id}"
    assert error.next == f"correct the cause, then {command}: what is applied is not run again"
    assert command in " ".join(parted.project.db_status().problems)
    (check,) = [each for each in parted.project.preflight().checks if each.name == "earlier runs"]
    assert (check.state, check.fix) == ("warning", command)


def test_it_stops_and_goes_on_as_often_as_it_must(parted: Shop) -> None:
    run_id, _ = stop_part_way(parted)
    run = parted.project.deployment(resume=run_id, approve=parted.project.plan(resume=run_id).id)
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve):
        step()
    parted.on(parted.production, TWICE)
    with pytest.raises(SafemigError, match="could not create unique index"):
        run.deploy()
    parted.on(parted.production, "DELETE FROM users WHERE id > 200")
    assert resumed(parted, run_id).verdict == "DEPLOYED"


def test_the_rest_needs_an_approval_of_its_own(parted: Shop) -> None:
    plan = parted.project.plan().id
    run_id, _ = stop_part_way(parted)
    with pytest.raises(RefusedError, match="approved was plan"):
        parted.project.migrate_prod(resume=run_id, approve=plan)
    with pytest.raises(RefusedError, match="is not approved") as caught:
        parted.project.migrate_prod(resume=run_id)
    rest = parted.project.plan(resume=run_id).id
    assert f"safemig migrate-prod --resume {run_id} --approve {rest}" in str(caught.value.next)


def _edit(shop: Shop) -> None:
    shop.write(LAST_FILE, LAST + "-- edited")


def _add(shop: Shop) -> None:
    shop.write("20260105000000_more.sql", "CREATE TABLE more (id bigint PRIMARY KEY);")


def _change(shop: Shop) -> None:
    shop.on(shop.production, "DROP INDEX users_legacy")


CHANGES: list[tuple[Callable[[Shop], None], str]] = [
    (_edit, f"{LAST_FILE} was edited since"),
    (_add, "20260105000000_more.sql was not part of it"),
    (_change, "has changed since deployment"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES, ids=["edited", "added", "schema"])
def test_what_is_not_the_same_is_refused(parted: Shop, change: Callable[[Shop], None], words: str) -> None:
    run_id, _ = stop_part_way(parted)
    change(parted)
    before = parted.state()
    with pytest.raises(RefusedError) as caught:
        parted.project.migrate_prod(resume=run_id)
    assert words in str(caught.value)
    assert "safemig migrate-prod, which makes a new plan" in str(caught.value.next)
    assert parted.state() == before


def test_an_unknown_id_is_refused(shop: Shop) -> None:
    with pytest.raises(RefusedError, match="no deployment 123456 is known on production") as caught:
        shop.project.plan(resume="123456")
    assert "safemig status" in str(caught.value.next)


def test_one_that_was_rolled_back_as_a_whole_begins_anew(shop: Shop) -> None:
    (shop.folder / "safemig.toml").write_text("lock_attempts = 1\n")
    shop.write(TABLE_FILE, "ALTER TABLE users ADD COLUMN IF NOT EXISTS note text;")
    run = shop.project.deployment(approve=shop.project.plan().id)
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve):
        step()
    with psycopg.connect(shop.production) as other:
        other.execute("SELECT count(*) FROM users")
        with pytest.raises(DeploymentFailedError, match="lock"):
            run.deploy()
    for identity in (run.run_id, shop.project.plan().id):
        with pytest.raises(RefusedError, match=f"nothing of deployment {identity} is applied"):
            shop.project.plan(resume=identity)


CUT_OFF = [
    # (where, which time, what ran apart)
    (FaultPoint.APART_STATEMENT_BEGINS, 1, 0),
    (FaultPoint.APART_STATEMENT_RAN, 1, 1),
    (FaultPoint.APART_STATEMENT_NOTED, 1, 1),
    (FaultPoint.APART_STATEMENT_BEGINS, 2, 1),
    (FaultPoint.APART_STATEMENT_RAN, 2, 2),
    (FaultPoint.APART_STATEMENT_RAN, 3, 3),
    (FaultPoint.APART_STATEMENT_NOTED, 3, 3),
]


@pytest.mark.parametrize(
    ("point", "count", "ran"),
    part_of(CUT_OFF, [CUT_OFF[0], CUT_OFF[4]], lambda case: f"{case[0].name} {case[1]}"),
)
def test_killed_around_each_statement_each_runs_once(
    parted: Shop, temporary: Path, point: FaultPoint, count: int, ran: int
) -> None:
    assert kill_at(parted, temporary, DEPLOY, point, count) == -signal.SIGKILL
    wait_until_alone(parted)
    (identity,) = [str(each) for (each,) in parted.on(parted.production, "SELECT run_id FROM safemig.resumable")]
    rest = parted.project.plan(resume=identity)
    assert len(rest.steps) == 4 - ran
    assert resumed(parted, identity).verdict == "DEPLOYED"
    assert parted.project.migrate_prod().verdict == "NOTHING TO DEPLOY"


def test_killed_while_an_index_is_built_the_invalid_one_is_replaced(parted: Shop, temporary: Path) -> None:
    with psycopg.connect(parted.production) as writer:
        writer.execute("UPDATE users SET legacy = 'busy' WHERE id = 1")  # CREATE INDEX CONCURRENTLY waits for it
        code = kill_while(parted, temporary, "CREATE INDEX CONCURRENTLY%")
        wait_until_alone(parted)
    assert code == -signal.SIGKILL
    invalid = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
    assert parted.on(parted.production, invalid) == [("users_legacy",)]
    (identity,) = [str(each) for (each,) in parted.on(parted.production, "SELECT run_id FROM safemig.resumable")]
    assert resumed(parted, identity).verdict == "DEPLOYED"
    assert parted.on(parted.production, invalid) == []


def test_the_command(parted: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    run_id, _ = stop_part_way(parted)
    folder = ["--project", str(parted.folder)]
    with pytest.raises(SystemExit):
        main([*folder, "plan", "--resume", run_id, "--format", "id"])
    plan = capsys.readouterr().out.strip()
    with pytest.raises(SystemExit) as ended:
        main([*folder, "migrate-prod", "--resume", run_id, "--approve", plan])
    assert ended.value.code == 0
    assert f"continues deployment {run_id}" in capsys.readouterr().out
    assert parted.project.migrate_prod().verdict == "NOTHING TO DEPLOY"
