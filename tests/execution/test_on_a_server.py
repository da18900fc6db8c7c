"""What a deployment decides by what the server says: who deploys, which locks, what ran, what is left, what is counted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from safemig.errors import (
    DeploymentFailedError,
    DeploymentStoppedError,
    MigrationError,
    OutcomeUnknownError,
    RefusedError,
)
from safemig.execution import (
    acting,
    autocommit,
    commit,
    invalid_indexes,
    journal,
    layout,
    protocol,
    resume,
    transaction,
    validation,
)
from safemig.execution.batches import Keeping, run_batches
from safemig.execution.environment import is_unrecorded, schema_of, standing_of
from safemig.execution.expected_locks import with_expected_locks
from safemig.execution.protocol import Protocol
from safemig.execution.resume import Trail, mark_of, rest_of
from safemig.execution.run import Run
from safemig.execution.steps import PlannedFile, Segment, observe_steps, plan_files, run_steps
from safemig.execution.transaction import Transaction, _Trial, commit_steps, deploying_connection, only_deployment
from safemig.postgres import resumable
from safemig.postgres.connection.connect import connect
from safemig.postgres.connection.search_path import own_search_path
from safemig.postgres.resumable import Resumable
from safemig.results import Batches, Step
from safemig.settings import Settings, load_settings
from safemig.sql.locks import LockMode
from tests.execution.test_decisions import migration, step

FIRST = "20260101000000_first.sql"
GO_ON = "safemig migrate-prod --resume r1"


@pytest.fixture
def settings(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", database)
    (tmp_path / "safemig.toml").write_text("lock_timeout_ms = 50\nlock_attempts = 2\n")
    (tmp_path / "supabase" / "migrations").mkdir(parents=True)
    return load_settings(tmp_path)


@pytest.fixture
def connection(settings: Settings, database: str) -> Iterator[Any]:
    with psycopg.connect(database, autocommit=True) as made:
        layout.make_history(settings, made)
        yield made


def a_run(settings: Settings, connection: Any, **more: Any) -> Run:
    schema = schema_of(settings, connection).fingerprint
    return Run(settings, "migrate_prod", "production", "r1", "p1", datetime.now(UTC), schema, **more)


def transaction_of(run: Run, *steps: Step, **more: Any) -> Transaction:
    def record(connection: Any, done: Any, schema: Any) -> None:
        run.record(connection, [FIRST], done, schema)

    return Transaction(steps, lambda connection: schema_of(run.settings, connection), record, **more)


def deployed(run: Run, database: str, transaction: Transaction) -> Any:
    with deploying_connection(run.settings, database, "production", run.run_id) as connection:
        return commit_steps(run, connection, database, transaction)


def one(connection: Any, question: str) -> Any:
    return connection.execute(question).fetchone()[0]


# -------------------------------------------------------------------------------------------- transaction


def test_a_second_deployment_is_refused_and_the_lock_is_free_at_its_end(database: str, connection: Any) -> None:
    with only_deployment(database, "production", "r1"):
        with (
            pytest.raises(RefusedError, match="another deployment is under way") as caught,
            only_deployment(database, "production", "r2"),
        ):
            pass
        assert "r1" in str(caught.value.where)
    with only_deployment(database, "production", "r3"):
        pass


def test_two_schemas_of_a_fleet_go_side_by_side_and_neither_beside_the_whole(database: str, connection: Any) -> None:
    with only_deployment(database, "production", "r1", "a"):
        with only_deployment(database, "production", "r2", "b"):
            pass
        for schema in ("a", ""):
            with pytest.raises(RefusedError), only_deployment(database, "production", "r3", schema):
                pass
    with only_deployment(database, "production", "r4"):
        pass


def test_a_deployment_s_connection_has_every_limit(settings: Settings, database: str) -> None:
    with deploying_connection(settings, database, "production", "r1") as connection:
        shown = [one(connection, f"SHOW {name}") for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout",
                                                                  "client_connection_check_interval")]  # fmt: skip
    assert shown == ["50ms", "1h", "8s", "1s"]


def test_steps_are_committed_with_their_row_and_counts(settings: Settings, database: str, connection: Any) -> None:
    connection.execute("CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 5)")
    run = a_run(settings, connection)
    heard: list[int] = []
    steps = (step("ALTER TABLE t ADD a int"), step("UPDATE t SET a = 1 WHERE id > 2", 2))
    done = deployed(run, database, transaction_of(run, *steps, locks={"public.t": LockMode.ACCESS_EXCLUSIVE},
                                                  listen=lambda each: heard.append(each.number), rehearsed_s=0.1))  # fmt: skip
    assert [(each.number, each.state, each.rows, each.attempts) for each in done.steps] == [
        (1, "ran", None, 1),
        (2, "ran", 3, 1),
    ]
    assert heard == [1, 2]
    assert done.commit_lsn
    assert connection.execute("SELECT number, attempts, rows FROM safemig.steps ORDER BY 1").fetchall() == [
        (1, 1, None),
        (2, 1, 3),
    ]
    assert [each["event"] for each in journal.read(run.journal_path)][-2:] == ["committing", "committed"]
    assert len(done.transaction_id) > 2


def test_a_lock_that_another_session_holds_is_tried_again_and_named(
    settings: Settings, database: str, connection: Any
) -> None:
    connection.execute("CREATE TABLE t (id int)")
    run = a_run(settings, connection)
    for locks in ({}, {"public.t": LockMode.ACCESS_EXCLUSIVE}):
        with psycopg.connect(database) as other:
            other.execute("LOCK TABLE t IN SHARE MODE")
            pid = other.info.backend_pid
            with pytest.raises(
                DeploymentFailedError, match=f"after 2 attempts.*; pid {pid} postgres, idle in transaction"
            ) as caught:
                deployed(
                    run,
                    database,
                    transaction_of(run, step("SELECT 1"), step("ALTER TABLE t ADD a int", 2), locks=locks),
                )
        assert "step 2" in str(caught.value.where)
        waited = [each for each in journal.read(run.journal_path) if each["event"] == "waiting"]
        assert [(each["attempt"], each["step"], len(each["blockers"])) for each in waited][-1] == (1, 2, 1)


def test_what_a_step_waited_for_and_how_often_it_was_tried_is_kept(
    settings: Settings, connection: Any, database: str
) -> None:
    connection.execute("CREATE TABLE t (id int)")
    run = a_run(settings, connection)
    other = psycopg.connect(database)
    other.execute("LOCK TABLE t IN SHARE MODE")
    for locks in ({}, {"public.t": LockMode.ACCESS_EXCLUSIVE}):
        with deploying_connection(settings, database, "production", "r1") as ours:
            trial = _Trial(
                run, ours, transaction_of(run, step("SELECT 1"), step("ALTER TABLE t ADD a int", 2), locks=locks)
            )
            trial.set_limits()
            if other.closed:
                other = psycopg.connect(database)
                other.execute("LOCK TABLE t IN SHARE MODE")
            begun = time.monotonic()
            with pytest.raises(psycopg.errors.LockNotAvailable):
                trial.attempt()
            assert ours.info.transaction_status is TransactionStatus.IDLE
            longest = time.monotonic() - begun
            other.close()
            (first, second), _ = trial.attempt()
            ours.execute("ROLLBACK")
            assert (first.attempts, second.attempts) == ((2, 2) if not locks else (1, 2))
            assert first.lock_wait_s == 0
            assert second.lock_wait_s is not None
            assert 0.03 < second.lock_wait_s < longest
            assert trial.failing_step is None


def test_a_wait_after_the_last_step_is_noted_as_of_no_step(settings: Settings, connection: Any) -> None:
    run = a_run(settings, connection)
    state: Any = SimpleNamespace(attempt_number=2)
    _Trial(run, connection, transaction_of(run)).note_wait(state)
    assert [(each["event"], each["attempt"], each["step"]) for each in journal.read(run.journal_path)] == [
        ("waiting", 2, 0)
    ]


def test_a_lock_that_is_free_leaves_the_statements_their_own_limit(
    settings: Settings, connection: Any, database: str
) -> None:
    connection.execute("CREATE TABLE t (id int)")
    run = a_run(settings, connection)
    with deploying_connection(settings, database, "production", "r1") as ours:
        trial = _Trial(
            run, ours, transaction_of(run, step("SET search_path TO nowhere"), locks={"public.t": LockMode.SHARE})
        )
        trial.set_limits()
        trial.attempt()
        assert one(ours, "SHOW statement_timeout") == "1h"
        ours.execute("ROLLBACK")


def test_a_migration_that_ends_the_transaction_is_noticed(settings: Settings, database: str, connection: Any) -> None:
    connection.execute("CREATE PROCEDURE ended() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'")
    run = a_run(settings, connection)
    with pytest.raises(DeploymentFailedError):
        deployed(run, database, transaction_of(run, step("CALL ended()")))


# -------------------------------------------------------------------------------------------------- acting


def test_the_role_is_taken_and_given_back(connection: Any) -> None:
    connection.execute("DROP ROLE IF EXISTS e_owner; CREATE ROLE e_owner")
    try:
        with acting.acting_as(connection, ""):
            assert one(connection, "SELECT current_user") == "postgres"
        with acting.acting_as(connection, "e_owner"):
            assert one(connection, "SELECT current_user") == "e_owner"
            with acting.as_ourselves(connection, ""):
                assert one(connection, "SELECT current_user") == "e_owner"
            with acting.as_ourselves(connection, "e_owner"):
                assert one(connection, "SELECT current_user") == "postgres"
            assert one(connection, "SELECT current_user") == "e_owner"
        assert one(connection, "SELECT current_user") == "postgres"
        with acting.as_ourselves(connection, "e_owner"):
            pass
        assert one(connection, "SELECT current_user") == "postgres"
        with pytest.raises(psycopg.Error), connection.transaction(), acting.acting_as(connection, "e_owner"):
            connection.execute("SELECT 1/0")  # the rollback resets the role; the fault is the one that is told
        assert one(connection, "SELECT current_user") == "postgres"
    finally:
        connection.execute("DROP ROLE e_owner")


# --------------------------------------------------------------------------------------------------- steps


def test_rows_are_counted_where_a_statement_writes_some(connection: Any) -> None:
    steps = [step("CREATE TABLE t (id int)"), step("INSERT INTO t VALUES (1), (2)", 2), step("SELECT 1", 3), step("DELETE FROM t WHERE id = 9", 4),
             step("COPY t FROM stdin;\n3\n4\n5\n\\.", 5), step("DO $$BEGIN RAISE NOTICE 'heard'; END$$", 6)]  # fmt: skip
    done = list(run_steps(connection, steps))
    assert [each.rows for each in done] == [None, 2, None, 0, 3, None]
    assert [bool(each.notices) for each in done] == [False] * 5 + [True]
    assert all(each.ran_s is not None and each.ran_s >= 0 for each in done)


@pytest.mark.parametrize("together", [True, False])
def test_what_a_statement_did_to_tables_is_observed(connection: Any, together: bool) -> None:
    connection.execute("CREATE TABLE t (id int, a text); INSERT INTO t VALUES (1, '1'); CREATE TABLE quiet ()")
    steps = [step("CREATE TABLE fresh (id int)"), step("ALTER TABLE t ALTER a TYPE int USING a::int", 2), step("ALTER TABLE t ADD b int", 3),
             step("SELECT * FROM t", 4)]  # fmt: skip
    if together:
        with connection.transaction():
            done = list(observe_steps(connection, steps))
    else:
        done = list(observe_steps(connection, steps))
    assert [each.rewrites for each in done] == [(), ("public.t",), (), ()]
    locks = [[(lock.object, lock.mode) for lock in each.locks] for each in done]
    exclusive = [("public.t", LockMode.ACCESS_EXCLUSIVE)]
    assert locks[:3] == ([[], exclusive, []] if together else [[], exclusive, exclusive])
    assert done[3].scans == ("public.t",)
    assert "public.fresh" not in {
        name for each in done for name in (*each.scans, *(lock.object for lock in each.locks))
    }


def test_expected_locks_are_on_tables_that_are_there(connection: Any) -> None:
    connection.execute("CREATE TABLE t (id int); ANALYZE t")
    first, second = with_expected_locks(
        connection, [step("ALTER TABLE t ADD a int"), step("ALTER TABLE none ADD a int", 2)]
    )
    assert [(each.object, each.mode) for each in first.locks] == [("public.t", LockMode.ACCESS_EXCLUSIVE)]
    assert (first.locks[0].rows, first.locks[0].size_bytes) == (0, 0)
    assert second.locks == ()


# ------------------------------------------------------------------------------------------------- batches


def batched(pause_ms: int = 0, size: int = 2) -> Step:
    return step("UPDATE t SET a = 1 WHERE id BETWEEN $1 AND $2", batches=Batches(size, "t", "id", pause_ms))


def test_batches_go_on_where_they_stopped(connection: Any) -> None:
    connection.execute("CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t SELECT generate_series(1, 5)")
    told: list[tuple[str, int]] = []

    def until(last: int) -> Keeping:
        def note(key: str, rows: int) -> None:
            told.append((key, rows))
            if len(told) == last:
                raise KeyboardInterrupt

        return Keeping("r1", 1, note)

    with pytest.raises(KeyboardInterrupt):
        run_batches(connection, batched(), until(1))
    connection.execute("INSERT INTO t VALUES (6)")  # comes later: the application's own
    assert run_batches(connection, batched(), until(99)) == 5
    assert told == [("2", 2), ("4", 4), ("5", 5)]
    assert one(connection, "SELECT string_agg(id::text, ',') FROM t WHERE a IS NULL") == "6"
    assert connection.execute("SELECT upto, last, rows, batches FROM safemig.batches").fetchone() == ("5", "5", 5, 3)


def test_batches_of_a_copy_pause_nowhere_and_keep_nothing(connection: Any) -> None:
    connection.execute("CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t SELECT generate_series(1, 5)")
    begun = time.monotonic()
    assert run_batches(connection, batched(pause_ms=60_000)) == 5
    assert time.monotonic() - begun < 30
    assert one(connection, "SELECT to_regclass('safemig.batches') IS NULL")
    connection.execute("TRUNCATE t")
    assert run_batches(connection, batched()) == 0
    with pytest.raises(psycopg.errors.UndefinedColumn):
        run_batches(connection, replace(batched(), sql="UPDATE t SET nope = 1 WHERE id BETWEEN $1 AND $2"))


def test_pauses_are_between_batches(connection: Any) -> None:
    connection.execute("CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t SELECT generate_series(1, 5)")
    begun = time.monotonic()
    run_batches(connection, batched(pause_ms=100), Keeping("r1", 1, lambda *_: None))
    assert 0.2 <= time.monotonic() - begun < 10


@pytest.mark.parametrize("key", ["id int", "id int NOT NULL", "id int UNIQUE", "other int"])
def test_a_key_that_cannot_be_gone_through_is_refused(connection: Any, key: str) -> None:
    connection.execute(f"CREATE TABLE t ({key}, a int)")
    with pytest.raises(MigrationError, match=r"t\.id cannot be processed in batches"):
        run_batches(connection, batched())


# ----------------------------------------------------------------------------------------- invalid indexes


def made_invalid(connection: Any, name: str = "t_a_idx") -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS t (a int); TRUNCATE t; INSERT INTO t VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON t (a)")


def test_an_invalid_index_of_ours_is_removed_and_another_s_is_refused(connection: Any) -> None:
    made_invalid(connection)
    made_invalid(connection, "other")
    building = step("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_a_idx ON t (a)", 2, transactional=False)
    building = replace(building, kind="CREATE UNIQUE INDEX CONCURRENTLY")
    for done, error, said in (
        ((), DeploymentFailedError, ""),
        ((step(),), DeploymentStoppedError, "; applied: step 1"),
    ):
        with pytest.raises(error, match=r"already exists: public\.t_a_idx") as caught:
            invalid_indexes.clear_the_name(connection, building, done, is_ours=False)
        assert str(caught.value.where).endswith(f"CREATE UNIQUE INDEX CONCURRENTLY{said}")
        assert str(caught.value.next) == "DROP INDEX CONCURRENTLY public.t_a_idx; then deploy again"
    invalid_indexes.clear_the_name(connection, replace(building, kind="SELECT"), (), is_ours=False)
    invalid_indexes.clear_the_name(connection, building, (), is_ours=True)
    assert (
        one(connection, "SELECT string_agg(relname, ',') FROM pg_class WHERE relname IN ('t_a_idx', 'other')")
        == "other"
    )
    invalid_indexes.clear_the_name(connection, building, (), is_ours=False)


@pytest.mark.parametrize(("sql", "finds"), [
    ("REINDEX TABLE CONCURRENTLY t", True), ("REINDEX SCHEMA CONCURRENTLY public", True), ("REINDEX INDEX CONCURRENTLY t_ok", True),
    ("REINDEX TABLE CONCURRENTLY u", False), ("REINDEX SCHEMA CONCURRENTLY s", False), ("REINDEX TABLE t", False),
])  # fmt: skip
def test_what_a_reindex_left_is_found_by_what_it_was_of(connection: Any, sql: str, finds: bool) -> None:
    connection.execute("CREATE TABLE u (a int); CREATE SCHEMA s; CREATE TABLE t (a int); CREATE INDEX t_ok ON t (a)")
    made_invalid(connection, "t_ok_ccnew1")
    found = invalid_indexes._invalid_indexes_of(connection, replace(step(sql), kind="REINDEX"))
    assert found == (["public.t_ok_ccnew1"] if finds else [])


def test_an_index_that_another_session_holds_is_left_and_named(
    connection: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_invalid(connection)
    building = replace(step("CREATE UNIQUE INDEX CONCURRENTLY t_a_idx ON t (a)"), kind="CREATE INDEX CONCURRENTLY")
    monkeypatch.setattr(invalid_indexes, "_REMOVAL_LOCK_TIMEOUT", "50ms")
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE t IN ACCESS SHARE MODE")
        other.execute("SELECT * FROM t")
        assert invalid_indexes.remove_invalid_indexes(connection, building) == ([], ["public.t_a_idx"])
    assert invalid_indexes.remove_invalid_indexes(connection, building) == (["public.t_a_idx"], [])


# -------------------------------------------------------------------------------------------------- resume


def files_with(settings: Settings, **texts: str) -> tuple[PlannedFile, ...]:
    for version, sql in texts.items():
        (settings.path("migrations") / f"2026010100000{version[1:]}_m.sql").write_text(sql)
    return plan_files(layout.files_of(settings))


def begun(settings: Settings, connection: Any, files: tuple[PlannedFile, ...], **more: Any) -> Resumable:
    of = {file.migration.version: file.migration.sha256 for file in files}
    made = Resumable("r1", "p1", of, schema_of(settings, connection).fingerprint)
    resumable.add(connection, made)
    return made


def rest(settings: Settings, connection: Any, files: tuple[PlannedFile, ...], identity: str = "r1") -> Any:
    return rest_of(settings, connection, "production", identity, files, schema_of(settings, connection))


def numbers(files: Any) -> list[list[int]]:
    return [[each.number for each in file.steps] for file in files]


INDEXES = "CREATE INDEX CONCURRENTLY {0} ON t (a);\nCREATE INDEX CONCURRENTLY {1} ON t (b);\nDROP INDEX CONCURRENTLY IF EXISTS {2};"


def test_what_ran_is_left_out_and_what_was_cut_off_is_looked_at(settings: Settings, connection: Any) -> None:
    connection.execute("CREATE TABLE t (a int, b int); CREATE INDEX old ON t (a)")
    files = files_with(settings, v1=INDEXES.format("one", "two", "old"))
    steps = files[0].steps
    begun(settings, connection, files)
    assert numbers(rest(settings, connection, files)[1]) == [[1, 2, 3]]
    trail = Trail(settings, begun(settings, connection, files))
    trail.ran(connection, steps[0])
    found, left = rest(settings, connection, files, "p1")
    assert (numbers(left), [each.number for each in left[0].ran]) == ([[2, 3]], [1])
    for cut_off, made, after in (
        (steps[1], "", [[2, 3]]), (steps[1], "CREATE INDEX two ON t (b)", [[3]]), (steps[2], "", [[2, 3]]), (steps[2], "DROP INDEX old", [[2]]),
    ):  # fmt: skip
        trail.begins(connection, cut_off)
        connection.execute(made) if made else None
        found, left = rest(settings, connection, files)
        assert numbers(left) == after
        assert (mark_of(cut_off) in found.ran) is (after != [[2, 3]])
    resumable.note_running(connection, "r1", "")
    connection.execute("CREATE TABLE strange ()")
    with pytest.raises(RefusedError, match="has changed since deployment r1 stopped") as caught:
        rest(settings, connection, files)
    begun_as = begun(settings, connection, files).schema_reached
    reached = one(connection, "SELECT schema_reached FROM safemig.resumable")
    assert caught.value.where == f"fingerprint {reached[:12]} then, {begun_as[:12]} now"


def test_what_a_run_ran_and_which_index_it_was_cut_off_in_is_known(settings: Settings, connection: Any) -> None:
    connection.execute("CREATE TABLE t (a int, b int)")
    files = files_with(settings, v1=INDEXES.format("one", "two", "old"))
    steps = files[0].steps
    assert resume.begun_steps(settings, connection, "r1") == ((), None)
    trail = Trail(settings, begun(settings, connection, files))
    assert resume.begun_steps(settings, connection, "r1") == ((), None)
    for number, name in ((0, "one"), (1, "two"), (2, "")):
        trail.begins(connection, steps[number])
        ran, running = resume.begun_steps(settings, connection, "r1")
        assert [step.sql for step in ran] == [step.sql for step in steps[:number]]
        assert running is not None
        assert resume.index_of(running) == name
        trail.ran(connection, steps[number])


def test_why_a_deployment_cannot_be_resumed_is_told(settings: Settings, connection: Any) -> None:
    files = files_with(settings, v1="CREATE TABLE t ();")
    path = journal.path_of(settings, "production")
    with pytest.raises(RefusedError, match="no deployment r1 is known on production"):
        rest(settings, connection, files)
    journal.write(path, "a", "begun", plan="other")
    journal.write(path, "z", "begun", plan="other")
    with pytest.raises(RefusedError, match="no deployment r1 is known"):
        rest(settings, connection, files)
    journal.write(path, "r1", "begun", plan="p1")
    for identity in ("r1", "p1"):
        with pytest.raises(RefusedError, match=f"nothing of deployment {identity} is applied"):
            rest(settings, connection, files, identity)
    run = a_run(settings, connection)
    run.record(connection, [FIRST], [], schema_of(settings, connection))
    for identity in ("r1", "p1"):
        with pytest.raises(RefusedError, match=f"deployment {identity} is complete") as caught:
            rest(settings, connection, files, identity)
        assert caught.value.where == f"applied to production: {FIRST}"


RAN = [
    # (what is there, the statement, whether it ran)
    ("", "CREATE INDEX CONCURRENTLY i ON t (a)", False),
    ("CREATE INDEX i ON t (a)", "CREATE INDEX CONCURRENTLY i ON t (a)", True),
    ("CREATE INDEX t_a_idx ON t (a)", "CREATE INDEX CONCURRENTLY ON t (a)", False),  # without a name nothing tells
    (
        "CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE INDEX i ON s.t (a)",
        "CREATE INDEX CONCURRENTLY i ON s.t (a)",
        True,
    ),
    ("CREATE INDEX i ON t (a)", "DROP INDEX CONCURRENTLY i", False),
    ("", "DROP INDEX CONCURRENTLY i", True),
    ("", "VACUUM t", False),
]


@pytest.mark.parametrize(("made", "sql", "ran"), RAN)
def test_whether_a_statement_ran_is_read_from_the_catalog(connection: Any, made: str, sql: str, ran: bool) -> None:
    connection.execute(f"CREATE TABLE t (a int); {made}")
    assert resume.has_run(connection, step(sql)) is ran


# ---------------------------------------------------------------------------------------------- autocommit


def apart(settings: Settings, connection: Any, database: str, sql: str, *, trail: bool = True) -> Any:
    files = files_with(settings, v1=sql)
    run = a_run(
        settings, connection, trail=Trail(settings, begun(settings, connection, files), GO_ON) if trail else None
    )
    with deploying_connection(settings, database, "production", "r1") as ours:
        return autocommit.run_apart(run, ours, database, Segment(files, False))


FAILS = "CREATE INDEX CONCURRENTLY one ON t (a);\nCREATE UNIQUE INDEX CONCURRENTLY two ON t (b);"


@pytest.mark.parametrize("trail", [True, False])
def test_a_later_statement_that_fails_leaves_those_before_it_and_no_invalid_index(
    settings: Settings, connection: Any, database: str, trail: bool
) -> None:
    connection.execute("CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 1), (2, 1)")
    with pytest.raises(DeploymentStoppedError) as caught:
        apart(settings, connection, database, FAILS, trail=trail)
    assert str(caught.value.where).endswith(
        "line 2: CREATE UNIQUE INDEX CONCURRENTLY; the invalid public.two was removed; applied: step 1"
    )
    go_on = GO_ON if trail else "deploy again"
    assert str(caught.value.next) == f"correct the cause, then {go_on}"
    if trail:
        found = resumable.find(connection, "r1")
        assert found is not None
        assert (len(found.ran), found.running) == (1, "")


def test_a_first_statement_that_fails_changed_nothing(settings: Settings, connection: Any, database: str) -> None:
    connection.execute("CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 1), (2, 1)")
    with pytest.raises(DeploymentFailedError) as caught:
        apart(settings, connection, database, FAILS.partition("\n")[2])
    assert str(caught.value.next) == "correct the cause, then deploy again"
    assert resumable.find(connection, "r1") is None


def test_statements_in_a_file_without_a_transaction_run_one_by_one(
    settings: Settings, connection: Any, database: str
) -> None:
    sql = "-- safemig: no transaction\nCREATE TABLE t (a int);\nCREATE INDEX CONCURRENTLY i ON t (a);\nSET lock_timeout = '7s';"
    done = apart(settings, connection, database, sql)
    assert [(each.number, each.attempts) for each in done] == [(1, 1), (2, 1), (3, 1)]
    found = resumable.find(connection, "r1")
    assert found is not None
    assert len(found.ran) == 3


@pytest.mark.parametrize(("sql", "limit"), [
    ("CREATE INDEX CONCURRENTLY i ON t (a)", "0"), ("VACUUM t", "0"), ("VACUUM FULL t", "50ms"), ("REINDEX TABLE t", "50ms"),
    ("UPDATE t SET a = 2", "50ms"),
])  # fmt: skip
def test_only_what_blocks_others_waits_briefly(
    settings: Settings, connection: Any, monkeypatch: pytest.MonkeyPatch, sql: str, limit: str
) -> None:
    connection.execute("CREATE TABLE t (a int)")
    shown: list[str] = []
    ran = run_steps

    def listening(of: Any, *arguments: Any, **more: Any) -> Any:
        shown.append(one(of, "SHOW lock_timeout"))
        return ran(of, *arguments, **more)

    monkeypatch.setattr(autocommit, "run_steps", listening)
    planned = plan_files([migration(sql)])[0].steps[0]
    autocommit._run_alone(a_run(settings, connection), connection, planned, None, [])
    assert shown == [limit]


def test_a_statement_in_the_way_is_tried_again(settings: Settings, connection: Any, database: str) -> None:
    connection.execute("CREATE TABLE t (a int)")
    planned = plan_files([migration("VACUUM FULL t")])[0].steps[0]
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE t IN SHARE MODE")
        begun = time.monotonic()
        with pytest.raises(psycopg.errors.LockNotAvailable):
            autocommit._run_alone(a_run(settings, connection), connection, planned, None, [])
        assert time.monotonic() - begun > 2 * 0.05


def test_how_far_batches_came_is_noted_once_a_second(
    settings: Settings, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter([5.0, 5.0, 5.9, 6.1, 6.1, 6.1])
    monkeypatch.setattr(autocommit, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    run, came_to = a_run(settings, connection), []  # type: ignore[var-annotated]
    keeping = autocommit._keeping(run, batched(), came_to)
    for key in ("1", "2", "3"):
        keeping.note(key, 1000)
    assert came_to == ["up to key 3, 1,000 rows"]
    assert [each["key"] for each in journal.read(run.journal_path)] == ["1", "3"]


# ------------------------------------------------------------------------------------- protocol and history


def test_a_segment_is_written_into_the_history_with_its_time(
    settings: Settings, connection: Any, database: str
) -> None:
    files = files_with(settings, v1="CREATE TABLE a ();", v2="CREATE TABLE b ();")
    assert [each.version for each in standing_of(settings, connection).pending] == ["20260101000001", "20260101000002"]
    run = a_run(settings, connection)
    way = Protocol(run, "deployed", "m.sql")
    with way.alone() as ours, way.told(), run.noted():
        way.commit_segment(ours, Segment(files, True), lambda of: schema_of(settings, of), rehearsed=files[0].steps)
    assert layout.versions_applied(settings, connection) == ["20260101000001", "20260101000002"]
    assert [each.sha256 for each in layout.read_history(settings, connection)] == [
        each.migration.sha256 for each in files
    ]
    events = [
        (each["event"], each.get("verdict"))
        for each in journal.read(run.journal_path)
        if each["event"] in ("begun", "ended")
    ]
    assert events == [("begun", None), ("ended", "DONE")]


def test_statements_that_ran_and_could_not_be_recorded_are_told_as_in_effect(
    settings: Settings, connection: Any, database: str
) -> None:
    connection.execute("CREATE TABLE t (a int)")
    files = files_with(settings, v1="CREATE INDEX CONCURRENTLY i ON t (a);")
    run = a_run(settings, connection, trail=Trail(settings, begun(settings, connection, files), GO_ON))
    way = Protocol(run, "deployed", "m.sql", go_on=GO_ON)

    def refuse(_: Any) -> Any:
        raise DeploymentFailedError("not as rehearsed", where="here", next="x")

    with way.connection() as ours, pytest.raises(DeploymentStoppedError, match="not as rehearsed") as caught:
        way.commit_segment(ours, Segment(files, False), refuse)
    assert "ran and are in effect, but are not recorded; here" in str(caught.value.where)
    assert caught.value.next == "correct the cause, then safemig migrate-prod --resume r1"
    with way.connection() as ours, pytest.raises(DeploymentFailedError, match="not as rehearsed"):
        way.commit_segment(ours, Segment(files_with(settings, v1="CREATE TABLE x ();"), True), refuse)


@pytest.mark.parametrize(("is_one", "seen"), [(True, [2]), (False, [])])
def test_locks_are_foreseen_for_the_steps_of_one_transaction_alone(
    settings: Settings, connection: Any, monkeypatch: pytest.MonkeyPatch, is_one: bool, seen: list[int]
) -> None:
    files = plan_files([migration("SELECT 1", "1"), migration("SELECT 2" if is_one else "VACUUM", "2")])
    asked: list[int] = []
    monkeypatch.setattr(protocol, "locks_up_front", lambda _, steps: asked.extend(each.number for each in steps) or {})
    way = Protocol(a_run(settings, connection), "deployed", "m.sql")
    steps = [each for file in files for each in file.steps]
    with way.connection() as ours:
        way.commit_segment(ours, Segment(files[1:], is_one), lambda of: schema_of(settings, of), rehearsed=steps)
    assert asked == seen


def test_a_database_with_tables_and_no_history_is_unrecorded(settings: Settings, connection: Any) -> None:
    assert not is_unrecorded(settings, connection, standing_of(settings, connection))
    files_with(settings, v1="CREATE TABLE a ();")
    assert not is_unrecorded(settings, connection, standing_of(settings, connection))
    connection.execute("CREATE TABLE a ()")
    assert is_unrecorded(settings, connection, standing_of(settings, connection))


# ---------------------------------------------------------------------------------------------- validation


def test_rows_of_all_tables_are_counted_however_many_there_are(
    connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute("CREATE SCHEMA a; CREATE SCHEMA z; CREATE TABLE a.t (i int); CREATE TABLE z.t (i int); CREATE TABLE t (i int);"
                       "INSERT INTO a.t VALUES (1); INSERT INTO z.t VALUES (1), (2); SELECT lo_create(0)")  # fmt: skip
    monkeypatch.setattr(validation, "_ASKED_TOGETHER", 2)
    found = validation.count_rows(connection)
    assert {name: rows for name, rows in found.items() if name.endswith(".t")} == {"a.t": 1, "z.t": 2, "public.t": 0}
    assert found[validation.LARGE_OBJECTS] == 1
    assert validation.count_rows(connection, "".join(["a"])) == {"a.t": 1}


SEQUENCES = [
    # (what makes the table, what is said of its sequence)
    ("CREATE TABLE t (id serial); INSERT INTO t VALUES (DEFAULT), (DEFAULT)", ""),
    ("CREATE TABLE t (id serial); INSERT INTO t VALUES (7)", "public.t_id_seq at 1, t.id at 7"),
    (
        "CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY); INSERT INTO t VALUES (9)",
        "public.t_id_seq at 1, t.id at 9",
    ),
    (
        "CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY (INCREMENT -1)); INSERT INTO t VALUES (-9)",
        "public.t_id_seq at -1, t.id at -9",
    ),
    ("CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY (INCREMENT -1)); INSERT INTO t VALUES (9)", ""),
    ("CREATE TABLE t (id serial)", ""),
    ('CREATE TABLE "a b" ("c d" serial); INSERT INTO "a b" VALUES (7)', "public.a b_c d_seq at 1, a b.c d at 7"),
    (
        "CREATE TABLE t (id int); CREATE SEQUENCE s INCREMENT -1 OWNED BY t.id; SELECT setval('s', -5); INSERT INTO t VALUES (-3), (-1)",
        "",
    ),
    (
        "CREATE TABLE t (id int); CREATE SEQUENCE s INCREMENT -1 OWNED BY t.id; SELECT setval('s', -2); INSERT INTO t VALUES (-3), (-1)",
        "public.s at -2, t.id at -3",
    ),
    (
        "CREATE TABLE t (id int); CREATE SEQUENCE s OWNED BY t.id; SELECT setval('s', 5); INSERT INTO t VALUES (1), (5)",
        "",
    ),
    (
        "CREATE TABLE t (id int); CREATE SEQUENCE s OWNED BY t.id; SELECT setval('s', 4); INSERT INTO t VALUES (1), (5)",
        "public.s at 4, t.id at 5",
    ),
]


@pytest.mark.parametrize(("made", "told"), SEQUENCES)
def test_a_sequence_behind_its_column_is_told(connection: Any, made: str, told: str) -> None:
    connection.execute(made)
    check = validation.check_sequences(connection)
    assert (check.state, check.found) == (("warning", told) if told else ("ok", "none behind its column"))


def test_what_is_left_behind_is_named(connection: Any) -> None:
    indexes, constraints = validation.check_left_behind(connection)
    assert [(each.state, each.found, each.fix) for each in (indexes, constraints)] == [
        ("ok", "all valid", ""),
        ("ok", "all validated", ""),
    ]
    made_invalid(connection)
    connection.execute("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 5) NOT VALID")
    indexes, constraints = validation.check_left_behind(connection)
    assert (indexes.state, indexes.found) == ("failed", "public.t_a_idx")
    assert indexes.fix.startswith("DROP INDEX CONCURRENTLY public.t_a_idx")
    assert (constraints.state, constraints.found) == ("warning", "c on t")


def test_a_promise_is_kept_where_production_ends_as_the_copy_did(settings: Settings, connection: Any) -> None:
    before = schema_of(settings, connection)
    connection.execute("CREATE TABLE a (i int)")
    one_table = schema_of(settings, connection)
    connection.execute("CREATE TABLE b (i int)")
    two_tables = schema_of(settings, connection)
    equal = validation.SchemaPromise(settings, before, before)
    assert equal.differences(one_table, one_table) == []
    assert equal.differences(one_table, two_tables) == ["add table public.b"]
    assert equal.validator(two_tables)(connection).fingerprint == two_tables.fingerprint
    with pytest.raises(DeploymentFailedError, match="1 differences"):
        equal.validator(one_table)(connection)
    other = validation.SchemaPromise(settings, before, one_table)  # production had a before
    assert other.differences(two_tables, two_tables) == ["not done: add table public.a"]
    ahead = validation.SchemaPromise(settings, one_table, before)  # the copy had it, and production had not
    assert ahead.differences(two_tables, two_tables) == ["not rehearsed: add table public.a"]
    connection.execute("CREATE TABLE c (); CREATE TABLE d (); CREATE TABLE e (); CREATE TABLE f (); CREATE TABLE g ()")
    with pytest.raises(DeploymentFailedError, match="6 differences") as caught:
        equal.validator(one_table)(connection)
    named = [f"add table public.{name}" for name in "bcdef"]
    assert caught.value.where == f"{', '.join(named)}; rolled back, nothing was changed"
    assert other.differences(one_table, two_tables) == [
        "not done: add table public.a",
        "not rehearsed: add table public.b",
    ]
    assert validation.check_schema(equal, one_table, two_tables).state == "failed"
    assert validation.check_schema(equal, one_table, one_table).state == "ok"


def test_the_project_s_checks_are_queries_that_must_return_nothing(settings: Settings, connection: Any) -> None:
    assert validation.project_checks(settings, connection) == []
    folder = settings.path("checks")
    folder.mkdir()
    for name, sql in (
        ("a", "SELECT 1 WHERE false"),
        ("b", "SELECT 1, 'x'"),
        ("c", "SELECT nope"),
        ("d", "DROP SCHEMA public CASCADE; SELECT 1 WHERE false"),
    ):
        (folder / f"{name}.sql").write_text(sql)
    found = validation.project_checks(settings, connection)
    assert [(each.name, each.state) for each in found] == [
        ("checks/a.sql", "ok"), ("checks/b.sql", "failed"), ("checks/c.sql", "failed"), ("checks/d.sql", "failed"),
    ]  # fmt: skip
    assert [each.found for each in found[:2]] == ["no row", "a row: 1, x"]


def test_a_new_session_s_path_is_its_own(database: str) -> None:
    session = connect(database, "production")
    assert "public" in own_search_path(session)
    session.close()


# -------------------------------------------------------------------------------------------------- commit

SLOW_COMMIT = """
CREATE TABLE t (id int);
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();
"""


def test_a_slow_commit_is_waited_for_and_one_that_nobody_works_on_is_cut(
    connection: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute(SLOW_COMMIT)
    monkeypatch.setattr(commit, "_COMMIT_PATIENCE_SECONDS", 0.6)
    for backend_of, is_lost in ((None, False), ((0, datetime.now(UTC)), True)):
        with psycopg.connect(database, autocommit=True) as ours:
            ours.execute("BEGIN; INSERT INTO t VALUES (1)")
            backend = (
                backend_of
                or connection.execute(
                    "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = %s", (ours.info.backend_pid,)
                ).fetchone()
            )
            if is_lost:
                with pytest.raises(psycopg.OperationalError, match="the server did not answer"):
                    commit.commit(ours, database, backend)
            else:
                commit.commit(ours, database, backend)
                assert one(connection, "SELECT count(*) FROM t") == 1


def test_a_deferred_constraint_that_says_no_at_commit_is_its_own_error(connection: Any, database: str) -> None:
    connection.execute(
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED)"
    )
    with psycopg.connect(database, autocommit=True) as ours:
        ours.execute("BEGIN; INSERT INTO c VALUES (1)")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            commit.commit(ours, database, (ours.info.backend_pid, datetime.now(UTC)))


def test_what_happened_to_a_lost_commit_is_asked_of_the_server(
    settings: Settings, connection: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "_SETTLE_SECONDS", 0.5)
    lost = psycopg.OperationalError("lost")
    run = a_run(settings, connection)
    number = one(connection, "SELECT pg_current_xact_id()::text")
    with pytest.raises(DeploymentFailedError, match="did not commit: nothing was changed"):
        commit.settle(database, "r1", number, None, lost)
    with pytest.raises(DeploymentFailedError):  # of before a crash: the server has not come to it
        commit.settle(database, "r1", "4000000000", None, lost)
    with psycopg.connect(database) as open_still:
        number = one(open_still, "SELECT pg_current_xact_id()::text")
        with pytest.raises(OutcomeUnknownError, match="cannot be reached to check") as caught:
            commit.settle(database, "r1", number, None, lost)
        assert number in str(caught.value.next)
    run.record(connection, [FIRST], [], schema_of(settings, connection))
    commit.settle(database, "r1", number, None, lost)


# ------------------------------------------------------------------------------------------- times and pauses


def test_a_tool_s_history_gets_the_time_that_a_file_s_steps_took(settings: Settings, connection: Any) -> None:
    (settings.folder / "safemig.toml").write_text('layout = "flyway"\nmigrations = "supabase/migrations"\n')
    for name in ("V1__a.sql", "V2__b.sql"):
        (settings.path("migrations") / name).write_text("SELECT 1; SELECT 2;")
    flyway = load_settings(settings.folder)
    layout.make_history(flyway, connection)
    files = plan_files(layout.files_of(flyway))
    times = {1: 0.25, 2: 0.5, 3: None, 4: 0.125}
    done = [replace(each, ran_s=times[each.number]) for file in files for each in file.steps]
    a_run(flyway, connection).record_segment(connection, Segment(files, True), done, schema_of(flyway, connection))
    assert connection.execute("SELECT execution_time FROM flyway_schema_history ORDER BY version").fetchall() == [
        (750,),
        (125,),
    ]


@pytest.mark.parametrize(("lock_timeout_ms", "longest"), [(50, 0.55), (100, 1.05), (600, 5.05), (100_000, 5.05)])
def test_the_pause_between_two_attempts_grows_with_the_lock_timeout(
    settings: Settings,
    connection: Any,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    lock_timeout_ms: int,
    longest: float,
) -> None:
    """The others whom an attempt kept waiting must come to their turn before the next."""
    pauses: list[tuple[float, float]] = []
    monkeypatch.setattr(transaction, "wait_random", lambda *bounds: pauses.append(bounds) or (lambda _: 0))
    run = a_run(settings.model_copy(update={"lock_timeout_ms": lock_timeout_ms}), connection)
    deployed(run, database, transaction_of(run, step("SELECT 1")))
    assert pauses == [(0.05, pytest.approx(longest))]
