"""What the target's statistics, rows and search path say is in the findings: each read from a real server."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.postgres.target_facts import read_target_facts
from safemig.postgres.target_questions import answers
from safemig.review import Severity, Verdict, review
from safemig.review.facts import TargetFacts
from safemig.review.questions import Question, questions
from safemig.sql import SourceFile
from safemig.sql.names import Name

TABLES = """
CREATE SCHEMA app;
CREATE TABLE app.orders (id int PRIMARY KEY, email text, name text, a int, b int);
INSERT INTO app.orders SELECT i, CASE WHEN i % 10 > 0 THEN 'x' || i % 50 END, 'n', i, CASE WHEN i > 1 THEN i END FROM generate_series(1, 100) i;
CREATE TABLE public.orders (id int PRIMARY KEY);
CREATE TABLE public.teams (id int PRIMARY KEY, name text);
CREATE INDEX orders_name_idx ON app.orders (name);
CREATE INDEX orders_a_idx ON app.orders (a);
ANALYZE;
SET enable_seqscan = off;
SELECT count(*) FROM app.orders WHERE name = 'n';
"""


@pytest.fixture(scope="module")
def target(server: ThrowawayServer) -> TargetFacts:
    url = server.create_database("target_statistics")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLES.encode())
        connection.execute(b"ALTER DATABASE target_statistics SET search_path = app, nosuch, public")
        connection.execute(b"SELECT pg_stat_force_next_flush()") if connection.info.server_version >= 150000 else None
    with psycopg.connect(url, autocommit=True) as connection:
        facts = read_target_facts(connection, "production")
        asked = questions(facts, [SourceFile("m.sql", ASKED)])
        found = replace(facts, answers=answers(connection, asked))
    server.drop_database("target_statistics")
    return found


ASKED = """
ALTER TABLE orders ALTER COLUMN email SET NOT NULL; ALTER TABLE orders ALTER COLUMN name SET NOT NULL;
ALTER TABLE orders ALTER COLUMN b SET NOT NULL; ALTER TABLE orders ADD UNIQUE (email); ALTER TABLE orders ADD UNIQUE (a, b);
CREATE UNIQUE INDEX CONCURRENTLY u ON orders (name); ALTER TABLE nosuch ALTER COLUMN a SET NOT NULL;
"""


def of(sql: str, target: TargetFacts) -> dict[str, str]:
    return {one.rule: one.message for one in review([SourceFile("m.sql", sql)], target=target).findings}


def test_what_is_counted_is_what_is_there(target: TargetFacts) -> None:
    orders = Name("app", "orders")
    assert target.answers == {
        Question("nulls", orders, ("email",)): 10,
        Question("nulls", orders, ("name",)): 0,
        Question("nulls", orders, ("b",)): 1,
        Question("duplicates", orders, ("email",)): 45,
        Question("duplicates", orders, ("a", "b")): 0,
        Question("duplicates", orders, ("name",)): 1,
    }


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("ALTER TABLE orders ALTER COLUMN email SET NOT NULL", "fails: 10 rows of orders had NULL in email when the target was read"),
        ("ALTER TABLE orders ALTER COLUMN b SET NOT NULL", "fails: 1 row of orders had NULL in b when the target was read"),
        ("ALTER TABLE app.orders ADD UNIQUE (email)", "fails: 45 values of email occurred more than once in app.orders"),
        ("CREATE UNIQUE INDEX CONCURRENTLY u ON orders (name)", "fails: 1 value of name occurred more than once in orders"),
        ("ALTER TABLE orders ALTER COLUMN name SET NOT NULL", None),
        ("ALTER TABLE orders ADD UNIQUE (a, b)", None),
    ],
)  # fmt: skip
def test_rows_that_make_it_fail_are_said_before(target: TargetFacts, sql: str, said: str | None) -> None:
    assert of(sql, target).get("rows-in-the-way") == said


def test_the_share_of_nulls_is_said(target: TargetFacts) -> None:
    assert (
        "by the statistics 10% of the rows have one"
        in of("ALTER TABLE orders ALTER COLUMN email SET NOT NULL", target)["set-not-null"]
    )
    assert (
        "the statistics know of none" in of("ALTER TABLE orders ALTER COLUMN name SET NOT NULL", target)["set-not-null"]
    )


def test_how_often_an_index_was_used_is_said_before_it_is_dropped(target: TargetFacts) -> None:
    assert "; 1 scans since" in of("DROP INDEX orders_name_idx", target)["drop-index"]
    assert "no scan since the statistics began" in of("DROP INDEX orders_a_idx", target)["drop-index"]


def test_a_small_table_that_is_written_to_all_the_time_is_not_quiet(target: TargetFacts) -> None:
    sql, table = "ALTER TABLE orders ALTER COLUMN name SET NOT NULL", target.tables["app.orders"]
    assert table.writes_per_second is not None
    for writes, verdict in ((0.0, Verdict.SAFE), (900.0, Verdict.ATTENTION)):
        busy = replace(
            target,
            tables={**target.tables, "app.orders": replace(table, writes_per_second=writes)},
            oldest_transaction_s=340,
        )
        made = review([SourceFile("m.sql", sql)], target=busy)
        assert made.verdict is verdict
        assert ("900 rows written/s" in made.findings[0].message) is bool(writes)
        assert ("900 rows written/s" in made.files[0].recommendations[0]) is bool(writes)
        assert "was open for 6 min" in made.files[0].recommendations[1]


@pytest.mark.parametrize(
    ("sql", "size"),
    [
        ("ALTER TABLE orders ALTER COLUMN name SET NOT NULL", "≈ 100 rows"),
        ("SET search_path = public; ALTER TABLE orders ALTER COLUMN id SET NOT NULL", None),
        ("SET search_path = nosuch, app; ALTER TABLE orders ALTER COLUMN name SET NOT NULL", "≈ 100 rows"),
        (
            "SET search_path = public; RESET search_path; ALTER TABLE orders ALTER COLUMN name SET NOT NULL",
            "≈ 100 rows",
        ),
        ("CREATE TABLE orders2 (a int); ALTER TABLE app.orders2 ALTER COLUMN a SET NOT NULL", None),
    ],
)
def test_names_are_found_as_the_deploying_role_finds_them(target: TargetFacts, sql: str, size: str | None) -> None:
    found = of(sql, target).get("set-not-null", "")
    assert size in found if size else not found


def test_a_name_beyond_the_search_path_is_missing(target: TargetFacts) -> None:
    assert "missing-table" not in of("ALTER TABLE teams ADD COLUMN x int", target), "in public, which comes second"
    assert "missing-table" in of("SET search_path = app; ALTER TABLE teams ADD COLUMN x int", target)


def test_a_count_that_takes_too_long_is_left_out(server: ThrowawayServer) -> None:
    url = server.create_database("too_long")
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE t (a int); INSERT INTO t SELECT i FROM generate_series(1, 10) i")
            connection.execute(
                "CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN 1; END $$"
            )
            connection.execute("CREATE VIEW v AS SELECT slow(a) AS a FROM t")
            asked = [Question("nulls", Name("public", "v"), ("a",)), Question("nulls", Name("public", "t"), ("a",))]
            assert answers(connection, asked) == {asked[1]: 0}
            assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    finally:
        server.drop_database("too_long")


def test_a_finding_of_rows_in_the_way_weighs(target: TargetFacts) -> None:
    made = review([SourceFile("m.sql", "ALTER TABLE orders ALTER COLUMN email SET NOT NULL")], target=target)
    assert [one.severity for one in made.findings if one.rule == "rows-in-the-way"] == [Severity.CAUTION]
