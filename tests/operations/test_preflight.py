"""preflight: one table, always all rows; a standby and a pooler are told from the primary itself."""

from __future__ import annotations

import re
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from safemig.errors import RefusedError, UnfitDatabaseError
from safemig.execution.transaction import deploying_connection
from safemig.operations import preflight
from safemig.postgres.server import programs
from safemig.postgres.server.programs import find_programs
from safemig.postgres.stand_in import needs
from safemig.results import Check
from tests.conftest import MAJORS
from tests.operations.conftest import Shop
from tests.operations.striking import wait_for


def _states(shop: Shop) -> dict[str, str]:
    return {check.name: check.state for check in shop.project.preflight().checks}


def test_all_rows_are_there_whether_yes_or_no(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = shop.project.preflight()
    assert ready.is_ready
    assert {check.state for check in ready.checks} <= {"ok", "warning"}
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", "postgresql://app:hunter2@127.0.0.1:1/x")
    unreachable = shop.project.preflight()
    assert not unreachable.is_ready
    assert [check.name for check in unreachable.checks] == [check.name for check in ready.checks]
    assert "hunter2" not in repr(unreachable)


def test_what_stands_in_the_way_is_named(shop: Shop) -> None:
    shop.on(shop.production, "INSERT INTO users VALUES (0, 'zero', 'old')")
    with psycopg.connect(shop.production, autocommit=True) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY invalid ON users (legacy)")
    check = _check(shop, "invalid indexes")
    assert (check.state, check.found) == ("warning", "public.invalid")
    assert check.fix.startswith("DROP INDEX CONCURRENTLY public.invalid")


def test_the_rows_are_those_of_the_list(shop: Shop) -> None:
    assert [check.name for check in shop.project.preflight().checks] == [
        "reachable", "server version", "primary", "writable", "direct connection", "pg_dump and psql",
        "server for the copy", "extensions", "rights", "long transactions", "prepared transactions",
        "sessions waiting for locks", "replicas", "invalid indexes", "disk for backup", "disk for copy",
        "disk for records", "history", "drift", "clocks", "another deployment", "earlier runs", "staging has it",
    ]  # fmt: skip


def _check(shop: Shop, name: str) -> Check:
    """One check of a pre-flight, which leaves out the slowest where it is not asked for."""
    with pytest.MonkeyPatch.context() as patched:
        kept = tuple(each for each in preflight._CHECKS if each[0] == name or each[0] != "drift")
        patched.setattr(preflight, "_CHECKS", kept)
        (check,) = [check for check in shop.project.preflight().checks if check.name == name]
    return check


def test_transactions_that_stand_in_the_way_are_told_by_who_holds_them(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "LONG_TRANSACTION_S", 0)
    with psycopg.connect(shop.production) as holder, psycopg.connect(shop.production) as waiter:
        holder.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        pids = (holder.info.backend_pid, waiter.info.backend_pid)
        waiting = threading.Thread(target=lambda: waiter.execute("SELECT 1 FROM users"))
        waiting.start()
        blocked = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass"
        wait_for(lambda: shop.on(shop.production, blocked), "the one who waits")
        time.sleep(0.1)
        # The pre-flight's other checks would wait for that lock, too; these two only look.
        with psycopg.connect(shop.production, autocommit=True) as connection:
            long = preflight._transactions(shop.project.settings, connection)
            waits = preflight._blocking(shop.project.settings, connection)
        holder.rollback()
        waiting.join()
    assert (long.state, long.fix) == ("warning", f"SELECT pg_terminate_backend({pids[0]}), if it may end")
    assert f"the oldest: pid {pids[0]}, postgres, idle in transaction" in long.found
    assert (waits.state, waits.found) == ("warning", f"pid {pids[1]} (postgres) waits for {pids[0]}")


def test_a_prepared_transaction_is_named(shop: Shop) -> None:
    shop.on(shop.production, "BEGIN; INSERT INTO users VALUES (900, 'p', 'p'); PREPARE TRANSACTION 'left over'")
    try:
        check = _check(shop, "prepared transactions")
        assert (check.state, check.found, check.fix) == (
            "warning", "1, such as left over", "ROLLBACK PREPARED 'left over'"
        )  # fmt: skip
    finally:
        shop.on(shop.production, "ROLLBACK PREPARED 'left over'")


def test_history_and_drift_are_told_apart(shop: Shop) -> None:
    shop.on(shop.production, "ALTER TABLE users ADD COLUMN by_hand text")
    drift = _check(shop, "drift")
    assert drift.state == "warning"
    assert "public.users.by_hand" in drift.found
    shop.write("20251231000000_older.sql", "CREATE TABLE IF NOT EXISTS older (id int PRIMARY KEY);")
    history = _check(shop, "history")
    assert (history.state, "older than the latest applied: 20251231000000_older.sql" in history.found) == (
        "warning",
        True,
    )
    (shop.migrations / "20251231000000_older.sql").unlink()
    shop.write("20260101000000_first.sql", "SELECT 1;")
    assert _check(shop, "history").state == "failed"
    (shop.migrations / "20260101000000_first.sql").unlink()
    history = _check(shop, "history")
    assert (history.state, "20260101000000_first applied there, no such file here" in history.found) == ("failed", True)


def test_clocks_apart_are_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _check(shop, "clocks").state == "ok"
    monkeypatch.setattr(preflight, "CLOCKS_APART_S", -1)
    assert _check(shop, "clocks").state == "warning"


def test_a_replica_that_lags_is_told_by_time_and_by_bytes(
    shop: Shop, standby: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _check(shop, "replicas").found == "1 connected"
    with psycopg.connect(standby, autocommit=True) as there:
        # Stopped in its replay: pg_stat_replication.replay_lag goes on saying what it said last.
        there.execute("SELECT pg_wal_replay_pause()")
        shop.on(shop.production, "CREATE TABLE many AS SELECT n, repeat('x', 1000) FROM generate_series(1, 5000) n")
        monkeypatch.setattr(preflight, "REPLICA_BEHIND_BYTES", 4 << 20)
        wait_for(lambda: _replicas(shop).state == "warning", "the replica to be behind")
        assert re.fullmatch(r"walreceiver: \d s, \d+ MiB behind", _replicas(shop).found)
        there.execute("SELECT pg_wal_replay_resume()")
        wait_for(lambda: _replicas(shop).state == "ok", "the replica to catch up")
        # Held back by a setting of its own.
        monkeypatch.setattr(preflight, "REPLICA_LAG_S", 1)
        there.execute("ALTER SYSTEM SET recovery_min_apply_delay = '4s'")
        there.execute("SELECT pg_reload_conf()")

        def lags() -> bool:
            shop.on(shop.production, "INSERT INTO users SELECT max(id) + 1, gen_random_uuid(), '' FROM users")
            return _replicas(shop).state == "warning"

        wait_for(lags, "the replica to lag")
        assert "MiB behind" in _replicas(shop).found


def _replicas(shop: Shop) -> Check:
    with psycopg.connect(shop.production, autocommit=True) as connection:
        return preflight._replicas(shop.project.settings, connection)


def test_a_replication_slot_that_nobody_reads_is_told(shop: Shop) -> None:
    shop.on(shop.production, "SELECT pg_create_physical_replication_slot('forgotten')")
    try:
        check = _replicas(shop)
        assert (check.state, "forgotten" in check.found) == ("warning", True)
    finally:
        shop.on(shop.production, "SELECT pg_drop_replication_slot('forgotten')")


@pytest.mark.parametrize("which", ["client_programs", "server_programs"])
def test_programs_of_another_major_version_are_told(shop: Shop, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    other = next((each for each in find_programs() if each.major != MAJORS[-1]), None)
    if other is None:
        pytest.skip("one major version of PostgreSQL is on this machine")
    monkeypatch.setattr(preflight, which, lambda _: other)
    name = {"client_programs": "pg_dump and psql", "server_programs": "server for the copy"}[which]
    check = _check(shop, name)
    assert (check.state, check.needed) == ("warning", f"PostgreSQL {MAJORS[-1]}")
    assert check.found.startswith(f"{other.version} in ")
    assert f"-{MAJORS[-1]}" in check.fix


def test_without_programs_new_enough_it_fails_and_says_what_to_install(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = [each for each in find_programs() if each.major < MAJORS[-1]]
    monkeypatch.setattr(programs, "find_programs", lambda: older)
    states = {check.name: check for check in shop.project.preflight().checks}
    for name in ("pg_dump and psql", "server for the copy"):
        assert states[name].state == "failed"
        assert f"{MAJORS[-1]}" in states[name].found + states[name].fix


def test_each_full_disk_is_told_by_its_place(
    shop: Shop, small_disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk(1)))
    (shop.folder / "safemig.toml").write_text(f"backups = '{small_disk(1)}'\nrecords = '{small_disk(1)}'\n")
    states = _states(shop)
    assert [states[f"disk for {place}"] for place in ("backup", "copy", "records")] == ["failed"] * 3


def test_a_missing_extension_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.on(shop.production, "CREATE EXTENSION pg_trgm")
    monkeypatch.setattr(needs, "NEVER_REAL", {"pg_trgm"})
    (check,) = [check for check in shop.project.preflight().checks if check.name == "extensions"]
    assert check.state == "warning"
    assert check.found.startswith("not rehearsed: extension pg_trgm 1.6: a stand-in")


def test_a_role_without_rights_is_told_which(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.on(
        shop.production,
        "DROP ROLE IF EXISTS lowly; CREATE ROLE lowly LOGIN; ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
    )
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production.replace("postgres@", "lowly@"))
    rights = _check(shop, "rights")
    assert rights.state == "failed"
    for word in ("row security on 1 tables", "lowly may not read public.orders"):
        assert word in rights.found


OWNED = [
    # (what is pending, what is said not to be owned)
    ("ALTER TABLE theirs ADD COLUMN IF NOT EXISTS a int;", "public.theirs"),
    ("CREATE INDEX IF NOT EXISTS i ON public.theirs (id);", "public.theirs"),
    ("DROP TABLE users, theirs;", "public.theirs"),
    ("CREATE POLICY p ON theirs USING (true);", "public.theirs"),
    ("CREATE TABLE IF NOT EXISTS mine (id int REFERENCES theirs);", ""),
    ("ALTER TABLE users ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES theirs (id) NOT VALID;", ""),
    ("INSERT INTO theirs VALUES (1);", ""),
    ("ALTER TABLE users ADD COLUMN IF NOT EXISTS a int;", ""),
]


@pytest.mark.parametrize(("pending", "told"), OWNED)
def test_what_only_its_owner_may_change_must_be_owned(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, pending: str, told: str
) -> None:
    """A platform's own tables, which the application's refer to, are not ours, and need not be."""
    _owned_by(shop, "owner_of_most", monkeypatch)
    shop.on(shop.production, "CREATE TABLE theirs (id int PRIMARY KEY); GRANT ALL ON theirs TO owner_of_most")
    shop.write("20260102000000_second.sql", pending)
    rights = _check(shop, "rights")
    assert (rights.state, rights.found) == (
        ("failed", f"not owned: {told}") if told else ("ok", "owner_of_most owns what is touched and reads everything")
    )


SECURED = [
    # (what it is beside the owner of all, how the table is secured, whether rows are hidden from it)
    ("NOBYPASSRLS", "ENABLE", False),  # policies are not for the owner
    ("NOBYPASSRLS", "FORCE", True),
    ("BYPASSRLS", "FORCE", False),
]


@pytest.mark.parametrize(("role", "secured", "hidden"), SECURED)
def test_row_security_counts_where_it_hides_rows_from_this_role(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, role: str, secured: str, hidden: bool
) -> None:
    _owned_by(shop, "owner_of_all", monkeypatch, role)
    shop.on(
        shop.production,
        f"ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE orders {secured} ROW LEVEL SECURITY",
    )
    rights = _check(shop, "rights")
    assert (rights.state == "failed", "row security on 1 tables" in rights.found) == (hidden, hidden)
    if not hidden:
        assert shop.project.backup_prod().rows > 1000  # and so it is for pg_dump


def test_a_sequence_that_cannot_be_read_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    _owned_by(shop, "owner_of_most", monkeypatch)
    assert _check(shop, "rights").state == "ok"
    shop.on(shop.production, "CREATE SEQUENCE tickets")
    assert _check(shop, "rights").found == "owner_of_most may not read public.tickets"


def _owned_by(shop: Shop, owner: str, monkeypatch: pytest.MonkeyPatch, options: str = "") -> None:
    """Give all that is in production to a role of its own, and be that role."""
    others = "".join(
        f"ALTER {kind} {name} OWNER TO {owner};"
        for kind, name in (
            ("TABLE", "users"), ("TABLE", "orders"), ("VIEW", "big_orders"),
            ("TABLE", "supabase_migrations.schema_migrations"), ("TABLE", "safemig.migrations"),
            ("TABLE", "safemig.deployments"), ("TABLE", "safemig.steps"),
            ("SCHEMA", "supabase_migrations"), ("SCHEMA", "safemig"),
        )
    )  # fmt: skip
    shop.on(
        shop.production,
        f"DO $$ BEGIN CREATE ROLE {owner}; EXCEPTION WHEN duplicate_object THEN END $$; ALTER ROLE {owner} LOGIN {options};"
        + others,
    )
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production.replace("postgres@", f"{owner}@"))


def test_a_read_only_role_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.on(
        shop.production,
        "DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN SUPERUSER;"
        "ALTER ROLE reader SET default_transaction_read_only = on",
    )
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production.replace("postgres@", "reader@"))
    assert _states(shop)["writable"] == "failed"


def test_a_standby_is_told_and_refused(shop: Shop, standby: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", standby)
    assert _states(shop)["primary"] == "failed"
    shop.write("20260102000000_second.sql", "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);")
    with pytest.raises(RefusedError, match="NOT READY") as caught:
        shop.project.migrate_prod()
    assert "standby" in str(caught.value)
    with (
        pytest.raises(UnfitDatabaseError, match="is a standby"),
        deploying_connection(shop.project.settings, standby, "production", "run"),
    ):
        pass
    assert shop.project.backup_prod().rows > 1000  # a backup may well be taken from a standby


def test_a_transaction_pooler_is_told_and_refused(shop: Shop, pooler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", pooler)
    assert _states(shop)["direct connection"] == "failed"
    with (
        pytest.raises(UnfitDatabaseError, match="transaction pooler"),
        deploying_connection(shop.project.settings, pooler, "production", "run"),
    ):
        pass
    shop.write("20260102000000_second.sql", "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);")
    plan = shop.project.plan().id
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production)
    before = shop.state()
    run = shop.project.deployment(approve=plan)
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve):
        step()
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", pooler)
    for attempt in (lambda: shop.project.migrate_prod(approve=plan), run.deploy):
        with pytest.raises(RefusedError, match=r"direct connection|transaction pooler"):
            attempt()  # type: ignore[operator]
    assert shop.state() == before
    assert not shop.on(shop.production, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'")  # and none leaked


@pytest.mark.parametrize(
    ("case", "setting", "state", "found"),
    [
        ("staging lacks it", "", "warning", "not applied to staging: 20260202000000_notes.sql"),
        ("staging lacks it", "require_staging = true", "failed", "not applied to staging: 20260202000000_notes.sql"),
        ("staging has it", "require_staging = true", "ok", "all 1 applied"),
        ("nothing is pending", "require_staging = true", "ok", "nothing is pending"),
        ("staging is down", "", "warning", "staging cannot be read: staging cannot be reached"),
        ("staging is down", "require_staging = true", "failed", "staging cannot be read: staging cannot be reached"),
        ("staging is not set", "", "ok", "staging is not set"),
        ("staging is not set", "require_staging = true", "failed", "staging is not set"),
    ],
)
def test_production_gets_what_staging_has(
    shop: Shop, case: str, setting: str, state: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shop.folder / "safemig.toml"
    file.write_text(f"{setting}\n{file.read_text()}")
    if case != "nothing is pending":
        shop.write("20260202000000_notes.sql", "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);")
    if case == "staging has it":
        shop.project.migrate_staging()
    if case == "staging is down":
        monkeypatch.setenv("STAGING_DATABASE_URL", "postgresql://app@127.0.0.1:1/x")
    if case == "staging is not set":
        monkeypatch.delenv("STAGING_DATABASE_URL")
    check = _check(shop, "staging has it")
    assert (check.state, check.found) == (state, found)
