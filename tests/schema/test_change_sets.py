"""Change sets: in their order, part by part, they make the target; live ones run without the disabled ones."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import psycopg
import pytest

from safemig.migrations.change_set_text import disabled_in, enable, locks_of, render_change_set
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.schema import ChangeSet, SchemaDiff, Statement, compare
from safemig.schema.difference import is_atomic, without_idle_parts
from tests.tables import part_of

from .pairs import PAIRS
from .pairs.in_range import IN_RANGE
from .pairs.rebuilt import REBUILT
from .pairs.tangled import TANGLED
from .proof import Pair, load, read

NEWEST = 17  # every machine that runs the tests has a server of this version or later
RUNS = [each for each in PAIRS if each.since <= NEWEST and "SUBSCRIPTION" not in each.base + each.target]
SOME = [each for each in RUNS if each in IN_RANGE or each in REBUILT or each in TANGLED or RUNS.index(each) % 9 == 0]


def apply(url: str, diff: SchemaDiff, *, everything: bool) -> None:
    """Run the sets as their files would: odd parts in one transaction, the others statement by statement."""
    parts: dict[int, list[Statement]] = {}
    for each in diff.change_sets:
        for part, statements in each.parts:
            parts.setdefault(part, []).extend(statements if everything or each.disabled is None else ())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET check_function_bodies = off")
        for part, statements in sorted(parts.items()):
            connection.execute("BEGIN") if is_atomic(part) else None
            for statement in statements:
                connection.execute(statement.sql.encode())
            connection.execute("COMMIT") if is_atomic(part) else None


@pytest.mark.parametrize("pair", part_of(RUNS, SOME, lambda pair: pair.name))
def test_the_sets_in_their_order_make_the_target(
    server: ThrowawayServer, new_database: Callable[[], str], pair: Pair
) -> None:
    every, live, target = new_database(), new_database(), new_database()
    try:
        for url, script in ((every, pair.base), (live, pair.base), (target, pair.target)):
            load(url, pair.common, script)
    except psycopg.errors.FeatureNotSupported:
        return  # this build of PostgreSQL lacks what the pair is about
    diff = compare(read(every, pair.ownership), read(target, pair.ownership), with_change_sets=True)
    assert not [each.missing for each in diff.change_sets if each.missing]
    assert [each.number for each in diff.change_sets] == list(range(1, len(diff.change_sets) + 1))
    apply(every, diff, everything=True)
    assert compare(read(every, pair.ownership), read(target, pair.ownership)).sql == ""
    apply(live, diff, everything=False)


def sets(new_database: Callable[[], str], base: str, target: str) -> tuple[ChangeSet, ...]:
    one, other = new_database(), new_database()
    load(one, base)
    load(other, target)
    return compare(read(one), read(other), with_change_sets=True).change_sets


def words(each: ChangeSet) -> list[str]:
    return [" ".join(statement.sql.split()[:6]) for statement in each.statements]


def test_a_serial_becomes_an_identity_as_a_whole(new_database: Callable[[], str]) -> None:
    (found,) = sets(new_database, "CREATE TABLE t (id serial)", "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY)")
    assert found.disabled == "the last value that public.t_id_seq gave out is lost"
    assert len(found.statements) == 4, "DROP DEFAULT, DROP SEQUENCE, ADD GENERATED, setval"


def test_what_makes_way_for_a_drop_waits_with_it(new_database: Callable[[], str]) -> None:
    base = "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (t int REFERENCES t); CREATE VIEW v AS SELECT id FROM t"
    found = sets(new_database, base, "CREATE TABLE u (t int)")
    assert len(found) == 1
    assert found[0].disabled == "all rows of public.t are lost"


def test_partitions_get_their_index_online_before_the_parent(new_database: Callable[[], str]) -> None:
    base = "CREATE TABLE p (a int, b int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);"
    parts = {
        statement.sql.split(" ON ")[0]: part
        for each in sets(new_database, base, base + "CREATE INDEX pi ON p (b)")
        for part, statements in each.parts
        for statement in statements
    }
    assert parts["CREATE INDEX CONCURRENTLY IF NOT EXISTS p1_b_idx"] < parts["CREATE INDEX IF NOT EXISTS pi"]


def test_ten_alterations_are_not_ten_files(new_database: Callable[[], str]) -> None:
    columns = ", ".join(f"c{number} int" for number in range(10))
    found = sets(
        new_database,
        f"CREATE TABLE t ({columns})",
        f"CREATE TABLE t ({columns.replace(' int', ' bigint NOT NULL CHECK (true)')})"
        + "".join(f"; CREATE INDEX ON t (c{number})" for number in range(10)),
    )
    assert len({part for each in found for part, _ in each.parts}) <= 4


@pytest.mark.parametrize("unique", ["", "UNIQUE "])
def test_an_index_that_changes_is_built_beside_the_old_one(new_database: Callable[[], str], unique: str) -> None:
    base = 'CREATE TABLE t (a int, b int); CREATE {}INDEX "Odd" ON t (a{}); COMMENT ON INDEX "Odd" IS \'x\''
    (found,) = sets(new_database, base.format(unique, ""), base.format(unique, ", b"))
    assert [part for part, _ in found.parts] == [2, 3]
    assert words(found)[0].startswith(f"CREATE {unique}INDEX CONCURRENTLY IF NOT")
    assert [word.split(" ")[:2] for word in words(found)[1:]] == [
        ["DROP", "INDEX"],
        ["ALTER", "INDEX"],
        ["COMMENT", "ON"],
    ]
    assert not found.missing


@pytest.mark.parametrize("words", ["PRIMARY KEY", "UNIQUE"])
def test_a_key_that_changes_takes_an_index_that_was_built_beside_it(
    new_database: Callable[[], str], words: str
) -> None:
    base = 'CREATE TABLE t (a int NOT NULL, b int NOT NULL, CONSTRAINT "The Key" {} ({})); COMMENT ON CONSTRAINT "The Key" ON t IS \'x\''
    (found,) = sets(new_database, base.format(words, "a"), base.format(words, "a, b"))
    assert [part for part, _ in found.parts] == [2, 3]
    build, drop, use, *_ = (statement.sql for statement in found.statements)
    assert build.startswith('CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "The Key__new" ON public.t')
    assert drop == 'ALTER TABLE public.t DROP CONSTRAINT IF EXISTS "The Key"'
    assert use == f'ALTER TABLE public.t ADD CONSTRAINT "The Key" {words} USING INDEX "The Key__new"'
    assert not found.missing


def test_a_unique_index_goes_when_its_successor_is_there(new_database: Callable[[], str]) -> None:
    found = sets(
        new_database,
        "CREATE TABLE t (a int, b int); CREATE UNIQUE INDEX old ON t (a)",
        "CREATE TABLE t (a int, b int); CREATE UNIQUE INDEX fresh ON t (a) INCLUDE (b)",
    )
    order = [word.split()[0] for each in found for word in words(each)]
    assert order == ["CREATE", "DROP"]


IDLE = [
    # the parts of each change, a disabled one with a minus; and then
    ("a drop alone goes to the file without a transaction beside it", [{-1: 1}, {2: 1}], [{-2: 1}, {2: 1}]),
    ("or to the one before it", [{2: 1}, {-3: 1}], [{2: 1}, {-2: 1}]),
    ("several of one change stay in a transaction", [{-1: 2}, {2: 1, 3: 1}], [{-3: 2}, {2: 1, 3: 1}]),
    ("and in their order", [{-1: 2}, {-2: 1}, {2: 1, 3: 1}], [{-1: 2}, {-2: 1}, {2: 1, 3: 1}]),
    ("where nothing is live, all stays", [{-1: 2}], [{-1: 2}]),
    ("what is live stays", [{1: 1}, {-1: 1}, {2: 1}], [{1: 1}, {-1: 1}, {2: 1}]),
]


@pytest.mark.parametrize(("before", "after"), [case[1:] for case in IDLE], ids=[case[0] for case in IDLE])
def test_no_file_holds_disabled_changes_alone_where_another_can(
    before: list[dict[int, int]], after: list[dict[int, int]]
) -> None:
    one = Statement("SELECT 1", None, (), False, "", None, True, None, False)
    made = [
        ChangeSet(number, "x", tuple((abs(part), (one,) * count) for part, count in each.items()), "lost" if min(each) < 0 else None)
        for number, each in enumerate(before, 1)
    ]  # fmt: skip
    found = without_idle_parts(made)
    signs = [-1 if each.disabled else 1 for each in found]
    assert [
        {sign * part: len(statements) for part, statements in each.parts}
        for sign, each in zip(signs, found, strict=True)
    ] == after


def test_a_long_title_says_how_many_more(new_database: Callable[[], str]) -> None:
    views = "".join(f"CREATE VIEW seen_number_{at} AS SELECT a FROM t;" for at in range(9))
    (found,) = sets(new_database, "CREATE TABLE t (a int);" + views, "CREATE TABLE t (a bigint);" + views)
    assert found.title == (
        "column public.t.a: type integer -> bigint; view public.seen_number_0: columns changed; and 8 more"
    )


def test_a_publication_is_made_with_its_tables(new_database: Callable[[], str]) -> None:
    base = "CREATE TABLE t (a int PRIMARY KEY, b int); CREATE TABLE u (a int PRIMARY KEY); CREATE SCHEMA s;"
    (found,) = sets(
        new_database, base, base + "CREATE PUBLICATION p FOR TABLE t WHERE (a > 1), ONLY u, TABLES IN SCHEMA s"
    )
    assert [each.sql.split(" WITH ")[0] for each in found.statements] == [
        "CREATE PUBLICATION p FOR TABLE ONLY public.t WHERE (a > 1), ONLY public.u, TABLES IN SCHEMA s"
    ]


YEARS = "".join(f"CREATE TABLE r{y} PARTITION OF r FOR VALUES FROM ({y}) TO ({y + 1});" for y in (1, 2))
READINGS = (
    "CREATE TABLE r (at int, raw int, v int GENERATED ALWAYS AS (raw * {}) STORED, d int {}) PARTITION BY RANGE (at);"
)
ONE_CHANGE = [
    ("the expression of a partitioned table",
     READINGS.format(2, "") + YEARS, READINGS.format(3, "") + YEARS,
     ["ALTER TABLE public.r ALTER COLUMN v SET EXPRESSION AS ((raw * 3))"], ["ACCESS EXCLUSIVE on public.r with its 2 child tables (rewritten)"]),
    ("the default of a partitioned table",
     READINGS.format(2, "DEFAULT 1") + YEARS, READINGS.format(2, "DEFAULT 2") + YEARS,
     ["ALTER TABLE public.r ALTER COLUMN d SET DEFAULT 2"], ["ACCESS EXCLUSIVE on public.r with its 2 child tables"]),
    ("an index of a partitioned table",
     READINGS.format(2, "") + YEARS, READINGS.format(2, "") + YEARS + "CREATE INDEX i ON r (raw)",
     ["CREATE INDEX CONCURRENTLY IF NOT EXISTS r1_raw_idx ON public.r1 USING btree (raw)",
      "CREATE INDEX CONCURRENTLY IF NOT EXISTS r2_raw_idx ON public.r2 USING btree (raw)",
      "CREATE INDEX IF NOT EXISTS i ON public.r USING btree (raw)"],
     ["SHARE on public.r with its 2 child tables", "SHARE UPDATE EXCLUSIVE on public.r1, public.r2"]),
    ("privileges on columns of a view",
     "CREATE VIEW slip AS SELECT 1 AS a, 2 AS b; GRANT SELECT ON slip TO PUBLIC",
     "CREATE VIEW slip AS SELECT 1 AS a, 2 AS b; GRANT SELECT (a, b) ON slip TO PUBLIC",
     ["REVOKE SELECT ON TABLE public.slip FROM PUBLIC", "GRANT SELECT (a) ON TABLE public.slip TO PUBLIC",
      "GRANT SELECT (b) ON TABLE public.slip TO PUBLIC"], []),
    ("a constraint of a domain",
     "CREATE DOMAIN d AS text; CREATE TABLE t (a d)", "CREATE DOMAIN d AS text CONSTRAINT c CHECK (VALUE <> ''); CREATE TABLE t (a d)",
     ["ALTER DOMAIN public.d ADD CONSTRAINT c CHECK ((VALUE <> ''::text)) NOT VALID", "ALTER DOMAIN public.d VALIDATE CONSTRAINT c"],
     ["SHARE on public.t"]),
    ("a constraint of a domain that no table uses",
     "CREATE DOMAIN d AS text", "CREATE DOMAIN d AS text CONSTRAINT c CHECK (VALUE <> '')",
     ["ALTER DOMAIN public.d ADD CONSTRAINT c CHECK ((VALUE <> ''::text))"], []),
    ("a column whose domain has a constraint",
     "CREATE DOMAIN d AS int CHECK (VALUE > 0); CREATE TABLE t ()", "CREATE DOMAIN d AS int CHECK (VALUE > 0); CREATE TABLE t (a d)",
     ["ALTER TABLE public.t ADD COLUMN IF NOT EXISTS a public.d"], ["ACCESS EXCLUSIVE on public.t (rewritten)"]),
    ("a materialized view",
     "CREATE TABLE t (a int); CREATE MATERIALIZED VIEW m AS SELECT a FROM t", "CREATE TABLE t (a int); CREATE MATERIALIZED VIEW m AS SELECT a + 1 AS a FROM t",
     ["DROP MATERIALIZED VIEW IF EXISTS public.m", "CREATE MATERIALIZED VIEW IF NOT EXISTS public.m AS"], ["ACCESS EXCLUSIVE on public.m"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("base", "target", "statements", "locks"), [pytest.param(*case[1:], id=case[0]) for case in ONE_CHANGE]
)
def test_one_change_names_all_that_it_locks(
    new_database: Callable[[], str], base: str, target: str, statements: list[str], locks: list[str]
) -> None:
    (found,) = sets(new_database, base, target)
    existing = {"public.r": 2, "public.r1": 0, "public.r2": 0, "public.t": 0, "public.m": 0}
    assert [each.sql.split("\n")[0] for each in found.statements] == statements
    assert locks_of(found.statements, existing) == locks


def test_what_calls_an_overloaded_function_is_made_again_when_the_old_one_is_gone(
    new_database: Callable[[], str],
) -> None:
    """Both at once make the call ambiguous, for the new one has a default."""
    see = "CREATE FUNCTION see(t int{}) RETURNS boolean LANGUAGE sql AS 'SELECT true'; CREATE TABLE t (a int);"
    base = see.format("") + "CREATE VIEW v AS SELECT a FROM t WHERE see(a)"
    target = see.format(", strict boolean DEFAULT true") + "CREATE VIEW v AS SELECT a FROM t WHERE see(a) AND a > 0"
    found = [
        each.sql.split("(")[0].split("\n")[0] for one in sets(new_database, base, target) for each in one.statements
    ]
    gone = found.index("DROP FUNCTION IF EXISTS public.see")
    assert found.index("DROP VIEW IF EXISTS public.v") < gone < found.index("CREATE OR REPLACE VIEW public.v AS")


def test_the_validation_of_a_foreign_key_names_its_lock_on_the_other_table(new_database: Callable[[], str]) -> None:
    base = "CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE u (t int);"
    (found,) = sets(new_database, base, base + "ALTER TABLE u ADD FOREIGN KEY (t) REFERENCES t")
    locks = [locks_of([each], {"public.t": 0, "public.u": 0}) for each in found.statements]
    assert locks == [
        ["SHARE ROW EXCLUSIVE on public.t, public.u"],
        ["SHARE UPDATE EXCLUSIVE on public.u", "ROW SHARE on public.t"],
    ]


@pytest.mark.parametrize("body", ["SELECT 1", "SELECT '/* not closed'", "/* a comment */ SELECT 1", "SELECT '*/'"])
def test_a_disabled_change_comes_back_byte_for_byte(body: str) -> None:
    statement = Statement(body, None, (), True, "lost", "drop-table", True, None, False)
    live, off = (ChangeSet(2, "x", ((1, (statement,)),), why) for why in (None, "lost"))
    shown = [render_change_set(each, [statement], total=3, locks=(), others=()) for each in (live, off)]
    assert disabled_in(shown[0]) == []
    assert disabled_in(shown[1]) == [2]
    enabled = enable(shown[1], 2)
    assert disabled_in(enabled) == []
    assert f"\n{body};\n" in enabled
    assert enable(shown[1], 1) == shown[1]


@pytest.mark.parametrize("way", ["one query", "statement by statement", "psql -1"])
def test_a_new_enum_value_is_committed_before_it_is_used(
    server: ThrowawayServer, new_database: Callable[[], str], way: str
) -> None:
    base, target = new_database(), new_database()
    table = "CREATE TABLE lot (id int PRIMARY KEY, at phase DEFAULT '{}'); CREATE INDEX i ON lot (id) WHERE at = '{}'"
    load(base, "CREATE TYPE phase AS ENUM ('draft', 'sold')", table.format("draft", "draft"))
    load(target, "CREATE TYPE phase AS ENUM ('draft', 'held', 'sold')", table.format("held", "held"))
    diff = compare(read(base), read(target), may_commit=True)
    assert not any(statement.rewrites for statement in diff.statements)
    words = [" ".join(statement.sql.split()[:4]) for statement in diff.statements]
    assert words[:2] == ["ALTER TYPE public.phase ADD", "COMMIT"]
    if way == "psql -1":
        command = [str(server.programs.path("psql")), "-1", "-v", "ON_ERROR_STOP=1", "-q", base]
        subprocess.run(command, input=diff.sql, text=True, check=True, capture_output=True)
    else:
        load(base, *([diff.sql] if way == "one query" else (statement.sql for statement in diff.statements)))
    assert compare(read(base), read(target), may_commit=True).sql == ""


def test_four_times_the_tables_take_about_four_times_as_long(new_database: Callable[[], str]) -> None:
    spent = []
    for count in (300, 1200):
        one, other = new_database(), new_database()
        load(other, "".join(f"CREATE TABLE t{n} (id int PRIMARY KEY, a text, b int UNIQUE);" for n in range(count)))
        before, after = read(one), read(other)
        times = []
        for _ in range(2):
            begun = time.process_time()
            assert len(compare(before, after, with_change_sets=True).change_sets) == count
            times.append(time.process_time() - begun)
        spent.append(min(times))
    assert spent[1] < 7 * spent[0], spent


def test_what_reads_a_whole_table_under_its_lock_holds_no_other_one(new_database: Callable[[], str]) -> None:
    base = "CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE u (t int) PARTITION BY LIST (t);"
    found = sets(new_database, base, base + "ALTER TABLE u ADD FOREIGN KEY (t) REFERENCES t; ALTER TABLE t ADD b int")
    assert {words(each)[0].split(" public.")[1][:7]: is_atomic(each.parts[0][0]) for each in found} == {
        "t ADD C": True,
        "u ADD C": False,
    }
