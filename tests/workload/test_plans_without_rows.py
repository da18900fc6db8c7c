"""Plans on a copy without rows are those of a full copy; and the copy is afterwards as it was."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from safemig.errors import RehearsalError
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.workload import pretended_sizes
from safemig.workload.plan_trial import PlanTrial
from safemig.workload.planner_facts import PlannerFacts, RelationSize, read_planner_facts
from safemig.workload.plans import compare_plans, read_plans
from safemig.workload.pretended_sizes import as_large_as_production, pretend
from safemig.workload.statement import SeenWorkload, Statement

SCHEMA = """
CREATE TABLE t (id int PRIMARY KEY, owner int NOT NULL, word text NOT NULL, secret text NOT NULL);
CREATE INDEX t_owner_idx ON t (owner);
"""
ROWS = "INSERT INTO t SELECT n, n % 5000, 'word ' || n % 7, 'secret ' || n % 3 FROM generate_series(1, 40000) n"
BY_OWNER = Statement("by_owner", "SELECT * FROM t WHERE owner = $1", "", "", "SELECT", "sql")
SIZES = "SELECT relname, pg_relation_size(oid), relpages, reltuples FROM pg_class WHERE relname LIKE 't%' ORDER BY 1"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """The benchmark's shop: benchmarks/plans.py, which compares all of it at full size."""
    source = Path(__file__).parents[2] / "benchmarks/plans.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_plans", source)
    assert spec
    assert spec.loader
    module = sys.modules["benchmark_of_plans"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pair(server: ThrowawayServer) -> tuple[str, str]:
    """A production with rows, and a copy of its schema without."""
    urls = []
    for name in ("pair_full", "pair_empty"):
        server.drop_database(name)
        urls.append(server.create_database(name))
        with psycopg.connect(urls[-1], autocommit=True) as connection:
            connection.execute(SCHEMA.encode())
            if name == "pair_full":
                connection.execute(ROWS.encode())
                connection.execute("VACUUM ANALYZE")
    return urls[0], urls[1]


def facts_of(url: str, *withheld: str) -> PlannerFacts:
    with psycopg.connect(url, autocommit=True) as connection:
        return read_planner_facts(connection, withheld)


def run(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def test_every_version_plans_without_rows_as_with_them(every_server: ThrowawayServer, benchmark: ModuleType) -> None:
    names = ["drop a foreign key's index", "int to bigint", "new index of a partitioned table"]
    try:
        found = benchmark.compare(every_server, 0.03, names)
        shapes, answers = benchmark.shares(found)
    finally:
        for name in ("full", "empty"):
            every_server.drop_database(name)
    assert shapes >= 0.97
    assert answers >= 0.95
    (_, before, after, *_) = found[0]
    assert before.failed == {}, "every statement has a plan"
    dearer = [
        each.statement.text for each in compare_plans(benchmark.statements(), before, after).changes if each.is_dearer
    ]
    assert "SELECT * FROM order_items WHERE product_id = $1" in dearer, "the truth itself has something to find"


def test_a_dropped_index_is_seen_without_a_row(server: ThrowawayServer, pair: tuple[str, str]) -> None:
    full, empty = pair
    pretence = pretend(server, empty, facts_of(full))
    with as_large_as_production(empty, pretence) as planner:
        before = read_plans(planner, [BY_OWNER])
    run(empty, "DROP INDEX t_owner_idx")
    with as_large_as_production(empty, pretence) as planner:
        after = read_plans(planner, [BY_OWNER])
    (change,) = compare_plans([BY_OWNER], before, after).changes
    assert change.is_dearer
    assert change.difference == "Bitmap Heap Scan on t, Bitmap Index Scan using t_owner_idx becomes Seq Scan on t"


@pytest.mark.parametrize(
    "migration",
    [
        "ALTER TABLE t RENAME TO u",
        "ALTER INDEX t_owner_idx RENAME TO u_owner_idx",
        "ALTER TABLE t RENAME COLUMN owner TO holder",
        "ALTER TABLE t ADD COLUMN note text",
        "ALTER TABLE t ALTER word TYPE varchar(40)",
    ],
)
def test_what_changes_no_plan_is_not_reported(server: ThrowawayServer, pair: tuple[str, str], migration: str) -> None:
    full, empty = pair
    pretence = pretend(server, empty, facts_of(full))
    with as_large_as_production(empty, pretence) as planner:
        before = read_plans(planner, [BY_OWNER])
    run(empty, migration)
    text = "SELECT * FROM u WHERE owner = $1" if "TO u" in migration and "INDEX" not in migration else BY_OWNER.text
    again = Statement(
        "by_owner", text.replace("owner =", "holder =" if "holder" in migration else "owner ="), "", "", "SELECT", "sql"
    )
    with as_large_as_production(empty, pretence) as planner:
        after = read_plans(planner, [again])
    compared = compare_plans([again], before, after)
    assert (compared.changes, compared.compared) == ((), 1)


def test_the_copy_is_as_it_was(server: ThrowawayServer, pair: tuple[str, str]) -> None:
    full, empty = pair
    before = run(empty, SIZES)
    pretence = pretend(server, empty, facts_of(full))
    with as_large_as_production(empty, pretence) as planner:
        assert planner.execute("SELECT pg_relation_size('t')").fetchone() == tuple(
            run(full, "SELECT pg_relation_size('t')")[0]
        )
    assert run(empty, SIZES) == before
    run(empty, ROWS)
    assert run(empty, "SELECT count(*) FROM t WHERE owner = 7") == [(8,)], "the copy works on"


def test_more_than_a_gigabyte_costs_no_room(server: ThrowawayServer, pair: tuple[str, str]) -> None:
    full, empty = pair
    facts = facts_of(full)
    large = [
        RelationSize(each.schema, each.name, each.kind, 400_000, 400_000, 5e7, 0) if each.name == "t" else each
        for each in facts.relations
    ]
    pretence = pretend(server, empty, PlannerFacts(facts.major, tuple(large), facts.columns, (), ()))
    with as_large_as_production(empty, pretence) as planner:
        assert planner.execute("SELECT pg_relation_size('t')").fetchone() == (400_000 * 8192,)
    run(empty, ROWS)
    assert run(empty, "SELECT count(*) FROM t") == [(40_000,)]


def test_withheld_values_stay_in_production(server: ThrowawayServer, pair: tuple[str, str]) -> None:
    full, empty = pair
    facts = facts_of(full, "t.sec*")
    assert "secret" not in repr(facts.columns).replace("name='secret'", "")
    assert "word 3" in repr(facts.columns), "others are carried over"
    pretend(server, empty, facts)
    carried = "SELECT attname, most_common_vals IS NOT NULL, n_distinct FROM pg_stats WHERE tablename = 't' AND attname IN ('word', 'secret')"
    assert sorted(run(empty, carried)) == [("secret", False, 3.0), ("word", True, 7.0)]
    assert facts.notes == ("the values of 1 column were withheld, as set",)


def test_a_role_without_rights_gives_what_it_may_read(server: ThrowawayServer, pair: tuple[str, str]) -> None:
    full, _ = pair
    run(full, "DROP ROLE IF EXISTS plans_reader")
    run(full, "CREATE ROLE plans_reader LOGIN")
    try:
        run(full, "GRANT SELECT (id) ON t TO plans_reader")
        facts = facts_of(psycopg.conninfo.make_conninfo(full, user="plans_reader"))
        assert {each.name for each in facts.columns} == {"id"}
        assert {each.name for each in facts.relations} == {"t", "t_owner_idx", "t_pkey"}
    finally:
        run(full, "DROP OWNED BY plans_reader")
        run(full, "DROP ROLE plans_reader")


def test_a_table_that_the_migration_makes_is_not_judged(server: ThrowawayServer, pair: tuple[str, str]) -> None:
    full, empty = pair
    pretence = pretend(server, empty, facts_of(full))
    with as_large_as_production(empty, pretence) as planner:
        before = read_plans(planner, [BY_OWNER])
    run(empty, "ALTER TABLE t RENAME TO old; CREATE TABLE t AS SELECT * FROM old")
    with as_large_as_production(empty, pretence) as planner:
        after = read_plans(planner, [BY_OWNER])
    compared = compare_plans([BY_OWNER], before, after, pretence.unknown)
    assert compared.compared == 0
    assert compared.skipped == (("reads a table that the migration makes, whose size is not known", 1),)


def test_a_version_that_is_not_tested_is_refused(
    server: ThrowawayServer, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full, empty = pair
    monkeypatch.setattr(pretended_sizes, "TESTED_MAJORS", (14,))
    with pytest.raises(RehearsalError, match=f"not tested on PostgreSQL {server.major}"):
        pretend(server, empty, facts_of(full))


def test_the_planner_is_set_as_in_production(server: ThrowawayServer, pair: tuple[str, str]) -> None:
    full, empty = pair
    wanted = {"work_mem": "64MB", "random_page_cost": "1.1", "effective_cache_size": "6GB", "enable_hashjoin": "off"}
    for name, value in wanted.items():
        run(full, f"ALTER DATABASE pair_full SET {name} = '{value}'")
    pretence = pretend(server, empty, facts_of(full))
    with as_large_as_production(empty, pretence) as planner:
        assert {name: (planner.execute(f"SHOW {name}".encode()).fetchone() or "")[0] for name in wanted} == wanted


def test_a_rehearsal_goes_on_without_plans_and_says_why(pair: tuple[str, str]) -> None:
    trial = PlanTrial(object(), pair[1], has_rows=False, seen=SeenWorkload("production", (BY_OWNER,)))
    with psycopg.connect(pair[0], autocommit=True) as source:
        trial.before(source, [BY_OWNER])
    trial.after()
    assert trial.result().notes == (
        "plans were not compared: plans need a server that safemig starts itself, because its catalogs and files are changed",
    )
    assert trial.findings(()) == ()


def test_a_server_that_is_not_ours_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(RehearsalError, match="a server that safemig starts itself"):
        pretend(object(), pair[1], facts_of(pair[0]))


def test_statistics_of_every_kind_are_carried_over(server: ThrowawayServer) -> None:
    tables = """
    CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE DOMAIN short AS varchar(10);
    CREATE TABLE gone (x int);
    CREATE TABLE k (dropped int, a int[], b tsvector, c int4range, d mood, e short, f numeric(8,2), g jsonb, h timestamptz, i "char", j text COLLATE "C");
    ALTER TABLE k DROP COLUMN dropped;
    CREATE INDEX k_expr ON k (lower(j), (f * 2));
    CREATE STATISTICS k_group (ndistinct, dependencies, mcv) ON f, h FROM k;
    CREATE STATISTICS k_upper ON upper(j), (f + 1) FROM k;
    INSERT INTO k SELECT ARRAY[n % 5, n % 11], to_tsvector('simple', 'w' || n % 9), int4range(n, n + n % 10 + 1),
      (ARRAY['good', 'bad'])[1 + n % 2]::mood, 's' || n % 4, n % 20, jsonb_build_object('n', n % 3), now() + n % 20 * interval '1 day', 'x', 'Word ' || n % 300
      FROM generate_series(1, 3000) n;
    """
    urls = []
    for name in ("kinds_full", "kinds_empty"):
        server.drop_database(name)
        urls.append(server.create_database(name))
    full, empty = urls
    run(full, tables)
    run(full, "VACUUM ANALYZE")
    copied = tables.split("INSERT")[0].replace("dropped int, ", "").replace("ALTER TABLE k DROP COLUMN dropped;", "")
    run(empty, copied)
    pretend(server, empty, facts_of(full))
    question = "SELECT tablename, attname, inherited, {} FROM pg_stats WHERE tablename LIKE 'k%' ORDER BY 1, 2".format(
        ", ".join(
            f"{each}::text"
            for each in ("null_frac", "avg_width", "n_distinct", "most_common_vals", "most_common_freqs", "histogram_bounds",
                         "correlation", "most_common_elems", "most_common_elem_freqs", "elem_count_histogram",
                         "range_length_histogram", "range_empty_frac", "range_bounds_histogram")
        )
    )  # fmt: skip
    assert run(empty, question) == run(full, question)
    groups = "SELECT n_distinct::text, dependencies::text, most_common_vals, most_common_freqs FROM pg_stats_ext WHERE statistics_name = 'k_group'"
    expressions = (
        "SELECT expr, inherited, null_frac, avg_width, n_distinct, most_common_vals::text, most_common_freqs, "
        "histogram_bounds::text, correlation FROM pg_stats_ext_exprs"
    )
    assert run(empty, expressions) == run(full, expressions)
    estimated = "EXPLAIN SELECT DISTINCT upper(j) FROM k"
    assert len(run(empty, expressions)) == 2
    assert "rows=300 " in str(run(full, estimated)), "the planner uses them"
    ((pairs, implied, *combinations),) = run(full, groups)
    renumbered = [str(each).replace("7", "6").replace("9", "8") for each in (pairs, implied)]
    assert run(empty, groups) == [(*renumbered, *combinations)], "the copy has no gap where a column was dropped"
    casts = "SELECT count(*) FROM pg_cast WHERE castsource = 'bytea'::regtype"
    assert run(empty, casts) == run(full, casts), "those that the writing needed are gone"
    slots = "SELECT stakind1, staop1, stacoll1, stakind2, staop2, stacoll2, stakind3, staop3, stakind4, staop4, stakind5, staop5 FROM pg_statistic s JOIN pg_class c ON c.oid = starelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = staattnum WHERE relname LIKE 'k%' ORDER BY relname, attname"
    assert run(empty, slots) == run(full, slots), "with the operators and collations that ANALYZE chooses"
