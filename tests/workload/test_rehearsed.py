"""The whole way: an application runs, its statements are collected, a migration is rehearsed, and says what fails."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from safemig.cli import main
from safemig.errors import FileError, RehearsalError
from tests.operations.conftest import Shop

STATEMENTS = (
    "SELECT id, email FROM users WHERE legacy = 'canary-0451'",
    "SELECT * FROM users WHERE id = 1 /* canary-0451 */",
    "INSERT INTO orders (user_id, total) VALUES (1, 4.51)",
    "UPDATE users SET email = email WHERE id = 2",
)


def said(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[str, int]:
    with pytest.raises(SystemExit) as left:
        main(words)
    return capfd.readouterr().out, int(left.value.code or 0)


def plan_said(shop: Shop) -> str:
    return " ".join(shop.project.plan().render("text").split())


def test_a_migration_that_breaks_statements_says_which_and_is_refused(
    seen_shop: Shop, send: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    send(seen_shop.production, "app_rw", *STATEMENTS, times=3)
    send(seen_shop.production, "reporting", "SELECT count(*) FROM orders")
    project = seen_shop.project
    without = project.plan().id
    collected = project.workload()
    assert {(each.role, each.kind, each.calls) for each in collected.statements if each.role != "postgres"} == {
        ("app_rw", "SELECT", 3), ("app_rw", "INSERT", 3), ("app_rw", "UPDATE", 3), ("reporting", "SELECT", 1),
    }  # fmt: skip
    assert "canary-0451" not in (seen_shop.folder / "workload" / "production.jsonl").read_text()
    seen_shop.write(
        "20260202000000_change.sql",
        "ALTER TABLE users DROP COLUMN legacy;\nREVOKE SELECT ON orders FROM reporting;\n"
        "ALTER TABLE orders ADD COLUMN channel text NOT NULL DEFAULT 'web';\n"
        "ALTER TABLE orders ALTER COLUMN channel DROP DEFAULT;\n",
    )
    assert project.plan().id != without, "the plan is bound to what was seen"
    assert "not tried with these migrations. safemig rehearse finds out which" in plan_said(seen_shop)
    out, code = said(capfd, "--project", str(seen_shop.folder), "rehearse", "--format", "json")
    assert code == 0
    answer = json.loads(out)["workload"]
    assert set(answer) >= {"window", "statements", "checked", "skipped", "findings"}
    named = project.plan().workload
    assert named is not None
    assert named.is_current
    assert [(each.rule, each.id, each.role) for each in named.findings] == [
        (each["rule"], each["id"], each["role"]) for each in answer["findings"]
    ]
    assert "What the application will notice (rehearsed 20" in (text := plan_said(seen_shop))
    assert "FAILS" in text
    assert "older rehearsal" not in text
    assert set(answer["window"]) >= {"from", "to", "calls"}
    assert answer["statements"] == answer["checked"] == len(collected.statements)
    assert answer["window"]["calls"] == sum(each.calls for each in collected.statements)
    found = {
        (
            each["kind"],
            each["sqlstate"],
            each["object"],
            each["role"],
            each["calls"],
            each["cause"].partition(":")[0],
            each["after"],
        )
        for each in answer["findings"]
    }
    file = "20260202000000_change.sql, line"
    assert found == {
        ("breaks", "42703", "users.legacy", "app_rw", 3, f"{file} 1", "migration"),
        ("refused", "42501", "orders", "reporting", 1, f"{file} 2", "migration"),
        ("breaks", "23502", "orders.channel", "app_rw", 3, f"{file} 3", "migration"),
        ("result-type", "0A000", "users", "app_rw", 3, f"{file} 1", "migration"),
    }
    assert "canary-0451" not in out
    assert all(
        "canary-0451" not in path.read_text(errors="ignore")
        for path in (seen_shop.folder / "records").rglob("*")
        if path.is_file()
    )
    accept = ["drop-column:users.legacy: gone", "revoke:orders: meant", "add-column-not-null:orders.channel: meant",
              "default-dropped:orders.channel: meant", "right-lost:orders: meant"]  # fmt: skip
    review = project.review(accept=accept)
    more = [f"{each.rule}:{each.object}: meant" for each in review.standing]
    plan = project.plan(accept=(*accept, *more))
    with pytest.raises(RehearsalError, match="4 findings about the application's statements") as caught:
        project.migrate_prod(approve=plan.id, accept=(*accept, *more))
    assert "breaks-statement" in str(caught.value)
    send(seen_shop.production, "reporting", "SELECT max(total) FROM orders")
    project.workload()
    assert "older rehearsal" in plan_said(seen_shop), "the rehearsal tried other statements"
    (seen_shop.folder / "backups" / "production" / "rehearsed_workload.json").write_text("{}")
    with pytest.raises(
        FileError, match="what the application will notice, as the last rehearsal found it, cannot be read"
    ):
        project.plan()


def test_accepted_by_name_it_deploys(seen_shop: Shop, send: Callable[..., None]) -> None:
    send(seen_shop.production, "app_rw", *STATEMENTS)
    project = seen_shop.project
    project.workload()
    seen_shop.write("20260202000000_add.sql", "ALTER TABLE users ADD COLUMN IF NOT EXISTS phone text;")
    with pytest.raises(RehearsalError, match="changes-result-type users"):
        project.migrate_prod(approve=project.plan().id)
    accept = ["changes-result-type:users: the pool is recycled after the deployment"]
    done = project.migrate_prod(approve=project.plan(accept=accept).id, accept=accept)
    assert done.verdict == "DEPLOYED"
    assert project.review(accept=accept).unused_acceptances == ()


def test_without_a_workload_nothing_is_said_of_statements(seen_shop: Shop) -> None:
    seen_shop.write("20260202000000_add.sql", "ALTER TABLE users ADD COLUMN IF NOT EXISTS phone text;")
    assert seen_shop.project.rehearse().workload is None
