"""The load on a copy: at its rate, by its roles; and what the calls tell is what a stop watch beside them tells."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from safemig.workload.load import Call, Chosen, Driven, Load, choose
from safemig.workload.load_result import by_statement, errors_of, percentile, points_of
from safemig.workload.statement import SeenWorkload, Statement, Window
from safemig.workload.values import ValueSource

SCHEMA = """
CREATE TABLE busy (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, word text);
CREATE TABLE calm (id int PRIMARY KEY);
INSERT INTO busy SELECT n, 0, md5(n::text) FROM generate_series(1, 2000) n;
INSERT INTO calm SELECT n FROM generate_series(1, 2000) n;
"""
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
READS, WRITES, CALM = (
    "SELECT * FROM busy WHERE id = $1",
    "UPDATE busy SET n = n + 1 WHERE id = $1",
    "SELECT * FROM calm WHERE id = $1",
)


def statement(text: str, calls: int, role: str = "") -> Statement:
    return Statement(text, text, role, "", text.split()[0], "sql", calls=calls)  # type: ignore[arg-type]


def seen(*statements: Statement, seconds: int = 100) -> SeenWorkload:
    return SeenWorkload("production", statements, (Window(NOW - timedelta(seconds=seconds), NOW),))


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    made = new_database()
    with psycopg.connect(made, autocommit=True) as connection:
        connection.execute(SCHEMA.encode())
        connection.execute("ANALYZE")
    return made


def test_what_cannot_be_driven_is_counted_by_reason(url: str) -> None:
    found = choose(
        url,
        seen(
            statement(READS, 5000), statement("SELECT nothing FROM busy", 10), statement("SELECT 1 / (id - id) FROM busy", 10),
            statement(CALM, 0), Statement("u", "VACUUM", "", "", "UTILITY", "sql", calls=3),
        ),
        50,
        random.Random(1),
    )  # fmt: skip
    assert [each.statement.text for each in found.driven] == [READS]
    assert found.skipped == (
        ("a utility statement", 1),
        ("drawn values are refused (22012)", 1),
        ("its text cannot be prepared", 1),
        ("no call of it was counted", 1),
    )
    assert found.per_s == pytest.approx(25), "half of 5,000 calls in 100 s"


def test_a_source_without_counts_says_so(url: str) -> None:
    found = choose(url, SeenWorkload("production", (statement(READS, 0),)), 100, random.Random(1))
    assert (len(found.driven), found.per_s) == (1, 20)
    assert found.notes == ("the window has no counts: 20 calls a second were taken as the whole load",)


def test_calls_run_under_the_role_that_sends_them(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE load_reader")
        try:
            refused = choose(url, seen(statement(READS, 100, "load_reader")), 100, random.Random(1))
            connection.execute("GRANT SELECT ON busy TO load_reader")
            allowed = choose(url, seen(statement(READS, 100, "load_reader")), 100, random.Random(1))
        finally:
            connection.execute("DROP OWNED BY load_reader")
            connection.execute("DROP ROLE load_reader")
    assert refused.skipped == (("drawn values are refused (42501)", 1),)
    assert len(allowed.driven) == 1


def test_the_load_tells_what_a_stop_watch_tells(url: str) -> None:
    chosen = choose(
        url, seen(statement(READS, 6000), statement(WRITES, 2000), statement(CALM, 2000)), 100, random.Random(1)
    )
    watched: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not ended.wait(0.005):
                begun = time.monotonic()
                connection.execute("SELECT n FROM busy WHERE id = 7")
                watched.append(1000 * (time.monotonic() - begun))

    beside = threading.Thread(target=watch)
    with Load(url, chosen) as load:
        time.sleep(1.0)
        beside.start()
        begin = time.monotonic()
        with psycopg.connect(url) as migration:
            migration.execute("ALTER TABLE busy ALTER word TYPE varchar(80)")
            time.sleep(0.8)  # the lock is held to the end of the transaction
        end = time.monotonic()
        ended.set()
        beside.join()
        time.sleep(0.3)
    calls = load.calls
    assert len([call for call in calls if call.end < begin]) == pytest.approx(100, rel=0.45), "100 calls a second"
    of = {each.text: each for each in by_statement(chosen.driven, calls, begin, end)}
    assert of[READS].worst_ms == pytest.approx(max(watched), rel=0.1)
    assert (of[READS].worst_ms or 0) > 700
    assert (of[READS].usual_ms or 999) < 100
    assert (of[CALM].worst_ms or 0) < 400, "a table that is not locked does not wait"
    assert {each.sqlstate for each in errors_of(calls, load.messages)} <= {"0A000"}
    waiting = [point for point in points_of(calls, load.begun, end + 0.3) if point.worst_ms > 600]
    assert len(waiting) > 10, "a call that waits is seen for as long as it waits"


def test_a_migration_that_takes_two_locks_deadlocks_with_calls_that_take_them_the_other_way(url: str) -> None:
    both = "SELECT c.id FROM busy b, calm c WHERE b.id = $1 AND c.id = b.id"
    chosen = choose(url, seen(statement(both, 5000)), 100, random.Random(1))
    with Load(url, chosen) as load:
        time.sleep(0.5)
        with psycopg.connect(url) as migration:
            migration.execute("ALTER TABLE calm ADD COLUMN a int")
            time.sleep(
                0.4
            )  # calls hold busy now and wait for calm; each looks for a deadlock after 1 s (deadlock_timeout)
            migration.execute("ALTER TABLE busy ADD COLUMN a int")
        time.sleep(0.3)
    errors = {each.sqlstate: each for each in errors_of(load.calls, load.messages)}
    assert errors["40P01"].message == "deadlock detected"
    assert 1 <= errors["40P01"].count < len(load.calls) / 2, "the calls before and after it work"
    assert load.calls[-1].sqlstate == ""


def test_errors_are_counted_by_sqlstate(url: str) -> None:
    source = ValueSource(0, [], {}, {}, 0)
    wrong = Driven(statement("SELECT 1 / 0", 1), source, 1.0)
    with Load(url, Chosen((wrong,), (), 200.0, ())) as load:
        time.sleep(0.4)
    (error,) = errors_of(load.calls, load.messages)
    assert (error.sqlstate, error.message) == ("22012", "DivisionByZero")
    assert error.count == len(load.calls) > 10


def test_an_error_quotes_no_value(url: str) -> None:
    source = ValueSource(1, [], {1: "canary-0451"}, {}, 0)
    wrong = Driven(statement("SELECT * FROM busy WHERE id = $1", 1), source, 1.0)
    with Load(url, Chosen((wrong,), (), 200.0, ())) as load:
        time.sleep(0.3)
    (error,) = errors_of(load.calls, load.messages)
    assert (error.sqlstate, error.message) == ("22P02", "InvalidTextRepresentation")


def test_a_call_that_never_ends_does_not_hold_up_the_end(url: str) -> None:
    endless = Driven(statement("SELECT pg_sleep(100)", 1), ValueSource(0, [], {}, {}, 0), 1.0)
    begun = time.monotonic()
    with Load(url, Chosen((endless,), (), 100.0, ()), connections=2) as load:
        time.sleep(0.3)
    assert time.monotonic() - begun < 10
    assert load.calls == []


def test_latency_counts_only_what_ran_with_the_migration() -> None:
    driven = [Driven(statement(READS, 1), ValueSource(0, [], {}, {}, 0), 1.0)]
    calls = [Call(0.0, 0.001, 0), Call(1.0, 1.003, 0), Call(1.9, 3.9, 0), Call(3.0, 3.5, 0, "57014"), Call(5.0, 9.0, 0)]
    (found,) = by_statement(driven, calls, 2.0, 4.0)
    assert (found.calls, found.failed, found.usual_ms, found.worst_ms, found.p99_ms) == (2, 1, 2.0, 2000.0, 2000.0)


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.51, 3), (0.99, 4), (1.0, 4), (0.0, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: int) -> None:
    assert percentile([1, 2, 3, 4], share) == value
