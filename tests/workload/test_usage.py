"""A review says who uses what a migration takes away or changes, and never more than was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

import safemig
from safemig.workload.statement import SeenWorkload, Window
from safemig.workload.usage import with_usage
from tests.operations.conftest import Shop
from tests.workload.test_prepared import seen

NOW = datetime(2026, 11, 20, tzinfo=UTC)
LEGACY = seen("SELECT legacy FROM users", "SELECT u.legacy FROM public.users u WHERE id = $1", role="app_rw")
SEEN = SeenWorkload(
    "production",
    (
        *(replace(each, calls=calls) for each, calls in zip(LEGACY.statements, (100_000, 11_600), strict=True)),
        *(replace(each, calls=900) for each in seen("UPDATE users SET name = $1", role="reporting").statements),
        *(
            replace(each, calls=1_200_000)
            for each in seen("INSERT INTO users (id) VALUES ($1)", role="app_rw").statements
        ),
    ),
    (Window(NOW - timedelta(days=9), NOW),),
)


@pytest.mark.parametrize(
    ("change", "rule", "said"),
    [
        ("ALTER TABLE users DROP COLUMN legacy", "drop-column", "read by 2 statements, 12,400 calls a day, role app_rw"),
        ("ALTER TABLE users DROP COLUMN other", "drop-column", "no statement of the 9 days seen names it (1.3 M calls)"),
        ("ALTER TABLE users RENAME COLUMN legacy TO old", "rename-in-use", "named by 2 statements, 12,400 calls a day, role app_rw"),
        ("ALTER TABLE users RENAME TO people", "rename-in-use", "named by 4 statements, 145,833 calls a day, roles app_rw, reporting"),
        ("DROP TABLE users", "drop-table", "used by 4 statements, 145,833 calls a day, roles app_rw, reporting"),
        ("DROP TABLE orders", "drop-table", "no statement of the 9 days seen names it (1.3 M calls)"),
        ("ALTER TABLE users ALTER name SET NOT NULL", "set-not-null", "written by 1 statement, 100 calls a day, role reporting"),
        ("ALTER TABLE users ADD COLUMN q int NOT NULL", "add-column-not-null", "left out by 1 statement, 133,333 calls a day, role app_rw"),
    ],
)  # fmt: skip
def test_a_finding_says_who_uses_what_it_is_about(change: str, rule: str, said: str) -> None:
    (finding,) = [each for each in with_usage(safemig.review_sql(change), SEEN).findings if each.rule == rule]
    assert finding.message.endswith(f"; {said}")


def test_a_finding_about_nothing_that_statements_name_stays_as_it_is() -> None:
    review = safemig.review_sql("CREATE INDEX ON users (legacy)")
    assert with_usage(review, SEEN) is review


def test_the_review_of_a_project_reads_what_was_collected(seen_shop: Shop, send: Callable[..., None]) -> None:
    send(seen_shop.production, "app_rw", "SELECT legacy FROM users")
    seen_shop.write("20260202000000_drop.sql", "ALTER TABLE users DROP COLUMN IF EXISTS legacy;")
    (before,) = [each for each in seen_shop.project.review().findings if each.rule == "drop-column"]
    assert "statement" not in before.message
    seen_shop.project.workload()
    (after,) = [each for each in seen_shop.project.review().findings if each.rule == "drop-column"]
    assert "; read by 1 statement, 1 call of the " in after.message
    assert after.message.endswith("min seen, role app_rw")
