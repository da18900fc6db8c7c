"""A rehearsal tells which plans change, with and without rows, how long it takes, and what the application waits for."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from safemig.errors import BackupError, RehearsalError
from safemig.project import Project
from safemig.workload_facts import WorkloadCheck
from tests.operations.conftest import Shop

MORE = """
CREATE INDEX orders_by_user ON orders (user_id);
INSERT INTO orders (user_id, total) SELECT 1 + n % 2, n % 100 FROM generate_series(1, 30000) n;
INSERT INTO users (id, email) SELECT n, 'more' || n FROM generate_series(1000, 9000) n;
UPDATE orders SET user_id = 1000 + id % 8000;
"""
BY_USER = "SELECT id, total FROM orders WHERE user_id = 1005"


@pytest.fixture
def large_shop(seen_shop: Shop, send: Callable[..., None]) -> Shop:
    with psycopg.connect(seen_shop.production, autocommit=True) as connection:
        connection.execute(MORE.encode())
        connection.execute("VACUUM ANALYZE")
        connection.execute("SELECT pg_stat_statements_reset()")
    with psycopg.connect(seen_shop.staging, autocommit=True) as connection:
        connection.execute("CREATE INDEX orders_by_user ON orders (user_id)")
    send(seen_shop.production, "app_rw", BY_USER, "SELECT email FROM users WHERE id = 1000", times=5)
    send(seen_shop.production, "app_rw", "UPDATE users SET email = email WHERE id = 1001", times=2)
    seen_shop.project.workload()
    return seen_shop


def plans_of(shop: Shop, **settings: object) -> WorkloadCheck:
    check = Project.open(shop.folder, **settings).rehearse().workload
    assert check is not None
    assert check.plans is not None
    return check


def test_a_dropped_index_is_a_finding_without_a_row(large_shop: Shop) -> None:
    large_shop.write("20260203000000_drop.sql", "ALTER TABLE orders ADD COLUMN note text;\nDROP INDEX orders_by_user;")
    check = plans_of(large_shop, rehearsal="schema")
    (finding,) = [each for each in check.findings if each.kind == "plan"]
    assert (finding.rule, finding.object, finding.role, finding.calls) == ("plan-regression", "orders", "app_rw", 5)
    assert "orders_by_user" in finding.message
    assert finding.message.endswith("becomes Seq Scan on orders")
    assert finding.cause == "20260203000000_drop.sql, line 2: DROP INDEX orders_by_user"
    assert not finding.is_dangerous
    assert check.plans
    assert check.plans.compared >= 3
    assert all(each.before_ms is None for each in check.plans.changed), "times are asked for, or not taken"
    assert "plans on production's sizes and statistics, without a row" in check.plans.notes


def test_on_a_copy_with_rows_times_are_taken_where_they_are_asked_for(large_shop: Shop) -> None:
    large_shop.write("20260203000000_drop.sql", "DROP INDEX orders_by_user;")
    check = plans_of(large_shop, plan_times=True, accept=["plan-regression:orders: a new index comes on Monday"])
    assert [each.accepted for each in check.findings if each.kind == "plan"] == ["a new index comes on Monday"]
    assert check.plans
    (changed,) = [each for each in check.plans.changed if each.is_dearer]
    assert changed.before_ms is not None
    assert changed.after_ms is not None
    assert changed.after_ms > changed.before_ms
    assert "plans on the copy's rows, with production's statistics" in check.plans.notes
    assert any(note.startswith("timed ") for note in check.plans.notes)


@pytest.mark.thorough
def test_dead_rows_of_the_migration_make_no_plan_dearer(large_shop: Shop, send: Callable[..., None]) -> None:
    send(large_shop.production, "app_rw", "SELECT count(*) FROM orders WHERE total > 7")
    large_shop.project.workload()
    large_shop.write(
        "20260203000000_fill.sql", "UPDATE orders SET total = total + 0;\nUPDATE orders SET total = total + 0;"
    )
    check = plans_of(large_shop)
    assert [each for each in check.findings if each.kind == "plan"] == []


def test_a_migration_that_changes_no_plan_has_no_finding(large_shop: Shop) -> None:
    large_shop.write("20260203000000_add.sql", "ALTER TABLE orders ADD COLUMN note text;")
    check = plans_of(large_shop, rehearsal="schema", withhold_statistics=["users.email"])
    assert check.plans
    assert (check.plans.changed, [each for each in check.findings if each.kind == "plan"]) == ((), [])
    assert "the values of 1 column were withheld, as set" in check.plans.notes


def test_under_load_the_rehearsal_tells_what_the_application_waits_for(large_shop: Shop) -> None:
    large_shop.write("20260203000000_rewrite.sql", "ALTER TABLE orders ADD COLUMN key uuid DEFAULT gen_random_uuid();")
    with psycopg.connect(large_shop.production, autocommit=True) as connection:
        before = connection.execute("SELECT sum(hashtext(o::text)) FROM orders o").fetchone()
    path = large_shop.folder / "workload" / "production.jsonl"
    path.write_text(_as_if_seen_in_one_second(path))
    result = large_shop.project.rehearse(load=400)
    load = result.load
    assert load is not None
    assert (load.share, load.outcome, load.driven) == (400, "", 3)
    assert load.reached_per_s > load.wanted_per_s / 2
    (step,) = load.steps
    assert step.attempts >= 1
    assert load.begin_s < step.begin_s < step.end_s < load.end_s
    assert {each.role for each in load.statements} == {"app_rw"}
    assert load.points[-1].at_s > load.end_s
    assert {each.sqlstate for each in load.errors} <= {"0A000"}
    assert "Under 400 % of the seen load" in str(result)
    assert all(row.before == row.after for row in result.rows), "the load writes into a copy of its own"
    with psycopg.connect(large_shop.production, autocommit=True) as connection:
        assert connection.execute("SELECT sum(hashtext(o::text)) FROM orders o").fetchone() == before


@pytest.mark.parametrize(
    ("settings", "load", "words"),
    [
        ({"rehearsal": "schema"}, 50, "a load needs rows"),
        ({}, -1, "a load of -1 % cannot be driven"),
        ({}, 2000, "a load of 2000 % cannot be driven"),
    ],
)
def test_a_load_that_cannot_be_driven_is_refused(
    seen_shop: Shop, settings: dict[str, object], load: int, words: str
) -> None:
    with pytest.raises(RehearsalError, match=words):
        Project.open(seen_shop.folder, **settings).rehearse(load=load)


def test_a_load_asks_for_the_room_of_two_copies(
    large_shop: Shop, small_disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(large_shop.production) as connection:
        row = connection.execute("SELECT pg_database_size(current_database()) >> 20").fetchone()
    assert row is not None
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk(3 * row[0])))
    with pytest.raises(BackupError, match="a backup and two copies of it may take") as caught:
        large_shop.project.rehearse(load=50)
    assert "rehearse without --load" in str(caught.value.next)


def test_a_load_without_statements_names_the_command(seen_shop: Shop) -> None:
    with pytest.raises(RehearsalError, match="safemig workload"):
        seen_shop.project.rehearse(load=50)


def _as_if_seen_in_one_second(path: Path) -> str:
    """Return a workload file whose calls were all seen within one second: so many calls a second."""
    first, *others = path.read_text().splitlines()
    begin, _, _ = first.partition('"windows": [')
    _, _, end = first.partition("]")
    window = '"windows": [{"from": "2026-11-30T12:00:00+00:00", "to": "2026-11-30T12:00:01+00:00"}]'
    kept = [line for line in others if '"app_rw"' in line]
    return "\n".join([begin + window + end, *kept]) + "\n"


@pytest.mark.thorough
def test_a_lock_that_the_load_does_not_leave_is_told(large_shop: Shop, send: Callable[..., None]) -> None:
    large_shop.write("20260203000000_rewrite.sql", "ALTER TABLE orders ADD COLUMN key uuid DEFAULT gen_random_uuid();")
    send(large_shop.production, "app_rw", "SELECT id, pg_sleep(1.5) FROM orders WHERE id = 5", times=1)
    large_shop.project.workload()
    path = large_shop.folder / "workload" / "production.jsonl"
    path.write_text(_as_if_seen_in_one_second(path))
    project = Project.open(large_shop.folder, lock_attempts=3, lock_timeout_ms=20)
    result = project.rehearse(load=400)
    load = result.load
    assert load is not None
    assert load.outcome == "could not acquire a lock after 3 attempts: canceling statement due to lock timeout (55P03)"
    assert load.lock_attempts == 3
    assert load.steps == ()
    assert "NOT UNDER LOAD" in str(result).splitlines()[0]
