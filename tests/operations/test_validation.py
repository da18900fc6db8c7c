"""Validation after a deployment: each check finds what it is for, and says what is tolerated and why."""

from __future__ import annotations

import pytest

from safemig.errors import DeploymentFailedError, DeploymentStoppedError
from safemig.operations.migrate_prod import ProductionDeployment
from safemig.results import Check
from tests.operations.conftest import Shop

SECOND_FILE = "20260102000000_second.sql"
SECOND = "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, body text);"
INDEX_FILE = "20260103000000_index.sql"
INDEX = "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_legacy ON users (legacy);"


def _until_deployed(shop: Shop, last: str = "deploy") -> ProductionDeployment:
    run = shop.project.deployment(approve=shop.project.plan().id)
    for name in ("preflight", "review", "plan", "backup", "rehearse", "approve", "deploy"):
        getattr(run, name)()
        if name == last:
            break
    return run


def _check(run: ProductionDeployment, name: str) -> Check:
    result = run.validate()
    assert result is not None
    (check,) = [each for each in result.checks if each.name == name]
    return check


def test_fewer_rows_are_tolerated_with_the_reason_and_a_table_emptied_is_not(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    run = _until_deployed(shop)
    shop.on(shop.production, "DELETE FROM orders WHERE id < 11; INSERT INTO users VALUES (900, 'new', 'new')")
    check = _check(run, "rows")
    assert (check.state, check.fix) == (
        "warning", "expected if the application has deleted rows since the backup's snapshot",
    )  # fmt: skip
    assert check.found == "1,200 rows in 2 tables at the backup, 1,191 in 3 now; fewer in public.orders: 1,000 → 990"
    shop.on(shop.production, "DELETE FROM orders")
    with pytest.raises(DeploymentStoppedError, match=r"public\.orders had 1,000 rows, has none") as caught:
        run.validate()
    assert "rollback-prod" in str(caught.value.next)


def test_a_check_of_the_project_that_does_not_run_or_would_write_is_a_no(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    (shop.folder / "checks").mkdir(exist_ok=True)
    path = shop.folder / "checks" / "own.sql"
    path.write_text("SELECT 1 FROM users WHERE email IS NULL")
    run = _until_deployed(shop)
    assert _check(run, "checks/own.sql").state == "ok"
    for text, words in (
        ("SELECT nope FROM users", 'column "nope" does not exist'),
        ("DELETE FROM orders RETURNING 1", "read-only transaction"),
    ):
        path.write_text(text)
        with pytest.raises(DeploymentStoppedError, match=words):
            run.validate()
    assert shop.on(shop.production, "SELECT count(*) FROM orders") == [(1000,)]


def test_no_snapshot_and_no_transaction_is_open_when_the_deployment_starts(shop: Shop) -> None:
    """CREATE INDEX CONCURRENTLY would wait for the backup's forever."""
    shop.write(INDEX_FILE, INDEX)
    run = _until_deployed(shop, "approve")
    others = "SELECT application_name, state, backend_xmin FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert shop.on(shop.production, others) == []
    assert run.deploy().verdict == "DEPLOYED"


def test_the_history_s_key_stops_a_second_deployer_whom_the_lock_did_not(shop: Shop) -> None:
    """As where the session that holds the advisory lock was ended. No other guard is in the way: both may insert."""
    shop.write(SECOND_FILE, "INSERT INTO orders (user_id, total) VALUES (1, 1);")
    late, first = _until_deployed(shop, "approve"), _until_deployed(shop, "approve")
    end_the_lock = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'safemig % lock'"
    done: list[str] = []

    def meanwhile(_: object) -> None:
        """Between the late one's statement and its COMMIT the other one deploys."""
        shop.on(shop.production, end_the_lock)
        done.append(first.deploy().verdict)

    late._listen = meanwhile
    with pytest.raises(DeploymentFailedError, match="duplicate key"):
        late.deploy()
    assert done == ["DEPLOYED"]
    assert shop.on(shop.production, "SELECT count(*) FROM orders") == [(1001,)]
    assert shop.on(shop.production, "SELECT run_id FROM safemig.deployments") == [(first.run_id,)]
