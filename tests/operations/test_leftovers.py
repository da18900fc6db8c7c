"""What statements that refuse a transaction leave, and how long they may stand in the way."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import psycopg
import pytest

from safemig.errors import DeploymentFailedError
from tests.operations.conftest import Shop
from tests.operations.striking import kill_while, wait_until_alone

FILE = "20260102000000_apart.sql"
INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1"
REINDEX = [
    "REINDEX INDEX CONCURRENTLY users_email_key;",
    "REINDEX TABLE CONCURRENTLY public.users;",
    "REINDEX SCHEMA CONCURRENTLY public;",
]


def _write(shop: Shop, statement: str, settings: str = "") -> None:
    shop.write(FILE, statement)
    accepted = [f"{each.rule}:{each.object}: the test needs it" for each in shop.project.review().standing]
    (shop.folder / "safemig.toml").write_text(f"accept = {accepted!r}\n{settings}")


@pytest.mark.parametrize("statement", REINDEX)
def test_what_a_reindex_that_was_killed_left_is_removed_by_who_goes_on(
    shop: Shop, temporary: Path, statement: str
) -> None:
    _write(shop, statement)
    with psycopg.connect(shop.production) as writer:
        writer.execute("UPDATE users SET legacy = 'busy' WHERE id = 1")
        assert kill_while(shop, temporary, "REINDEX%") == -signal.SIGKILL
        wait_until_alone(shop)
    left = shop.on(shop.production, INVALID)
    assert left
    assert all(str(name).endswith("_ccnew") for (name,) in left)
    (identity,) = [str(each) for (each,) in shop.on(shop.production, "SELECT run_id FROM safemig.resumable")]
    done = shop.project.migrate_prod(resume=identity, approve=shop.project.plan(resume=identity).id)
    assert done.verdict == "DEPLOYED"
    assert shop.on(shop.production, INVALID) == []
    assert shop.project.migrate_prod().verdict == "NOTHING TO DEPLOY"


def test_a_reindex_that_fails_names_what_it_could_not_remove(shop: Shop) -> None:
    """And leaves alone what is left on a table that it is not about."""
    with psycopg.connect(shop.production, autocommit=True) as connection:
        connection.execute("INSERT INTO users VALUES (0, 'zero', 'old')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY orders_total_ccnew ON orders ((total > 0))")
    _write(shop, REINDEX[0], "statement_timeout_s = 1\n")
    run = shop.project.deployment(approve=shop.project.plan().id)
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve):
        step()
    with psycopg.connect(shop.production) as writer:
        writer.execute("UPDATE users SET legacy = 'busy' WHERE id = 1")
        with pytest.raises(DeploymentFailedError, match="statement timeout") as caught:
            run.deploy()
    assert "DROP INDEX CONCURRENTLY public.users_email_key_ccnew" in str(caught.value.where)
    assert shop.on(shop.production, INVALID) == [("orders_total_ccnew",), ("users_email_key_ccnew",)]
    shop.on(shop.production, "DROP INDEX orders_total_ccnew; DROP INDEX users_email_key_ccnew")
    assert shop.deploy().verdict == "DEPLOYED"


def _content(shop: Shop) -> tuple[object, ...]:
    schema, tables, history = shop.state()
    return schema, [each for each in tables if not each.name.startswith("safemig.")], history  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "statement", ["CLUSTER users USING users_pkey;", "VACUUM (FULL) users;", "REINDEX SCHEMA public;"]
)
def test_what_locks_whole_tables_waits_as_briefly_as_all_else(shop: Shop, statement: str) -> None:
    _write(shop, statement, "lock_attempts = 3\n")
    run = shop.project.deployment(approve=shop.project.plan().id)
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve):
        step()
    before, waits, ended = _content(shop), [0.0], threading.Event()

    def read() -> None:
        with psycopg.connect(shop.production, autocommit=True) as reader:
            while not ended.is_set():
                begun = time.monotonic()
                reader.execute("SELECT 1 FROM users WHERE id = 1")
                waits.append(time.monotonic() - begun)
                time.sleep(0.005)

    reading = threading.Thread(target=read)
    with psycopg.connect(shop.production) as holder:
        holder.execute("UPDATE users SET legacy = 'held' WHERE id = 1")
        reading.start()
        with pytest.raises(DeploymentFailedError, match="lock timeout"):
            run.deploy()
        ended.set()
        reading.join()
        holder.rollback()
    assert max(waits) < 1  # the lock timeout is 100 ms; without one they would wait for as long as the holder holds
    assert _content(shop) == before
    assert shop.deploy().verdict == "DEPLOYED"
