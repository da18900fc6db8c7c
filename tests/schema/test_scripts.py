"""The scripts: what loses data is commented out, what blocks is made to block less, renames are asked about."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from safemig.errors import SettingsError
from safemig.schema import SchemaDiff, compare

from .pairs.application import _DEMO, _USERS
from .proof import load, read

_PLAIN = "CREATE TABLE t (id int PRIMARY KEY, a text, b int); CREATE TABLE u (id int PRIMARY KEY, t_id int);"


@pytest.fixture
def difference(new_database: Callable[[], str]) -> Callable[..., SchemaDiff]:
    def find(base: str, target: str, common: str = "", **renames: str) -> SchemaDiff:
        one, other = new_database(), new_database()
        load(one, common, base)
        load(other, common, target)
        return compare(read(one), read(other), renames={key.replace("__", "."): new for key, new in renames.items()})

    return find


def test_the_safe_script_runs_and_leaves_only_what_loses_data(new_database: Callable[[], str]) -> None:
    base, target = new_database(), new_database()
    load(base, _USERS)
    load(target, _USERS, _DEMO)
    there = compare(read(base), read(target))
    assert "\n-- ALTER TABLE app.users DROP COLUMN IF EXISTS legacy;" in there.safe_sql
    assert "\nALTER TABLE app.users DROP COLUMN IF EXISTS legacy;" in there.sql
    load(base, there.safe_sql)
    left = compare(read(base), read(target))
    assert [statement.sql for statement in left.statements] == ["ALTER TABLE app.users DROP COLUMN IF EXISTS legacy"]
    assert left.statements[0].rule == "drop-column"
    assert left.statements[0].why == "the values of app.users.legacy are lost"


def test_the_summary_counts_in_words(difference: Callable[..., SchemaDiff]) -> None:
    found = difference("", _DEMO, _USERS)
    assert found.summary == (
        "13 changes: +1 column, +1 enum value, +1 function, +2 indexes, +2 policies, +1 sequence, +1 table, +1 trigger,"
        " ~1 function, ~1 view, -1 column"
    )
    assert difference("", "", _USERS).summary == "no changes"


def test_what_needs_a_destructive_statement_is_left_out_with_it(difference: Callable[..., SchemaDiff]) -> None:
    found = difference("CREATE TABLE x (a int)", "CREATE TABLE x (a int) PARTITION BY LIST (a)")
    assert [statement.blocked is not None for statement in found.statements] == [False, True]
    assert all(line.startswith("--") for line in found.safe_sql.splitlines() if line)


ONLINE = (
    ("CREATE INDEX i ON t (a)", ["CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON public.t USING btree (a)"], False),
    (
        "ALTER TABLE t ADD CONSTRAINT c CHECK (b > 0)",
        [
            "ALTER TABLE public.t ADD CONSTRAINT c CHECK ((b > 0)) NOT VALID",
            "ALTER TABLE public.t VALIDATE CONSTRAINT c",
        ],
        True,
    ),
    (
        "ALTER TABLE u ADD CONSTRAINT f FOREIGN KEY (t_id) REFERENCES t",
        [
            "ALTER TABLE public.u ADD CONSTRAINT f FOREIGN KEY (t_id) REFERENCES public.t(id) NOT VALID",
            "ALTER TABLE public.u VALIDATE CONSTRAINT f",
        ],
        True,
    ),
    (
        "ALTER TABLE t ADD CONSTRAINT q UNIQUE (a)",
        [
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS q ON public.t USING btree (a)",
            "ALTER TABLE public.t ADD CONSTRAINT q UNIQUE USING INDEX q",
        ],
        False,
    ),
    (
        "ALTER TABLE t ALTER a SET NOT NULL",
        [
            "ALTER TABLE public.t ADD CONSTRAINT t_a_is_not_null CHECK (a IS NOT NULL) NOT VALID",
            "ALTER TABLE public.t VALIDATE CONSTRAINT t_a_is_not_null",
            "ALTER TABLE public.t ALTER COLUMN a SET NOT NULL",
            "ALTER TABLE public.t DROP CONSTRAINT t_a_is_not_null",
        ],
        True,
    ),
)


@pytest.mark.parametrize(("change", "statements", "transactional"), ONLINE, ids=[row[0] for row in ONLINE])
def test_online_a_change_blocks_as_little_as_it_can(
    difference: Callable[..., SchemaDiff], change: str, statements: list[str], transactional: bool
) -> None:
    found = difference("", change, _PLAIN)
    assert [statement.sql for statement in found.online_statements] == statements
    assert found.segments[0][0] is transactional
    assert "CONCURRENTLY" not in found.sql
    assert "NOT VALID" not in found.safe_sql


def test_online_a_new_enum_value_is_committed_before_it_is_used(difference: Callable[..., SchemaDiff]) -> None:
    found = difference(
        "CREATE TYPE m AS ENUM ('a'); CREATE TABLE x (y m DEFAULT 'a')",
        "CREATE TYPE m AS ENUM ('a', 'b'); CREATE TABLE x (y m DEFAULT 'b')",
    )
    assert [transactional for transactional, _ in found.segments] == [False, True]


def test_a_likely_rename_is_asked_about_and_not_guessed(difference: Callable[..., SchemaDiff]) -> None:
    found = difference("", "ALTER TABLE t RENAME COLUMN a TO c", _PLAIN)
    assert found.rename_questions == (
        "was the column public.t.a renamed to public.t.c? As it stands one is dropped and the other added;"
        " to rename it, say --rename public.t.a=public.t.c",
    )
    assert found.safe_sql.startswith("-- Question: was the column public.t.a renamed to public.t.c?")
    assert {statement.rule for statement in found.statements if statement.destructive} == {"drop-column"}


def test_a_named_rename_is_made(difference: Callable[..., SchemaDiff]) -> None:
    extra = "CREATE INDEX i ON t (lower(a)) WHERE a <> ''; ALTER TABLE t ADD CHECK (a <> 'x'); COMMENT ON COLUMN t.a IS 'c';"
    found = difference(
        "",
        "ALTER TABLE t RENAME COLUMN a TO c; ALTER TABLE t RENAME TO w",
        _PLAIN + extra,
        public__t="public.w",
        public__w__a="c",
    )
    assert [statement.sql for statement in found.statements if statement.rule != "grants"] == [
        "ALTER TABLE public.t RENAME TO w",
        "ALTER TABLE public.w RENAME COLUMN a TO c",
    ]
    assert found.rename_questions == ()


_PARENTS = """
CREATE TABLE shops (sid int PRIMARY KEY);
CREATE TABLE days (day date NOT NULL, sid int NOT NULL DEFAULT 7 REFERENCES shops (sid), PRIMARY KEY (day, sid),
    twice int GENERATED ALWAYS AS (sid * 2) STORED, CHECK (sid > 0)) PARTITION BY RANGE (day, sid);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2031-01-01', 0) TO ('2032-01-01', 0) PARTITION BY LIST (sid);
CREATE TABLE days_1_1 PARTITION OF days_1 FOR VALUES IN (1);
CREATE INDEX days_1_1_sid ON days_1_1 (sid) WHERE sid > 3;
CREATE STATISTICS s ON sid, day FROM days_1_1;
COMMENT ON COLUMN days_1.sid IS 'c';
GRANT SELECT (sid) ON days_1_1 TO PUBLIC;
CREATE TABLE old (sid int CHECK (sid > 0), n int);
CREATE TABLE young (more text, also int GENERATED ALWAYS AS (sid + n) STORED, UNIQUE (sid)) INHERITS (old);
CREATE TABLE others (sid int REFERENCES young (sid));
CREATE VIEW seen AS SELECT y.n FROM young y WHERE y.sid > 4;
CREATE POLICY p ON young USING (sid = 1);
CREATE TRIGGER t BEFORE UPDATE OF sid ON young FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE PUBLICATION feed FOR TABLE young (sid, n);
"""


@pytest.mark.parametrize("table", ["days", "old"])
def test_a_column_is_renamed_in_the_child_tables_and_all_that_stands_on_them(
    difference: Callable[..., SchemaDiff], table: str
) -> None:
    renamed = f"ALTER TABLE {table} RENAME COLUMN sid TO shop"
    asked = difference("", renamed, _PARENTS)
    assert [question.split(" renamed")[0] for question in asked.rename_questions] == [
        f"was the column public.{table}.sid"
    ]
    found = difference("", renamed, _PARENTS, **{f"public__{table}__sid": "shop"})
    assert [each.sql for each in found.statements] == [f"ALTER TABLE public.{table} RENAME COLUMN sid TO shop"]


def test_a_value_of_an_enum_is_renamed_in_place(difference: Callable[..., SchemaDiff]) -> None:
    common = "CREATE TYPE mood AS ENUM ('sad', 'it''s', 'ok');"
    use = "CREATE TABLE x (m mood DEFAULT '{0}' CHECK (m <> '{0}')); CREATE VIEW v AS SELECT m FROM x WHERE m = '{0}';"
    renamed = "ALTER TYPE mood RENAME VALUE 'it''s' TO 'glad';" + use.format("glad")
    asked = difference(use.format("it''s"), renamed, common)
    assert asked.rename_questions[0].startswith('was the enum value public.mood."it\'s" renamed to public.mood.glad?')
    found = difference(use.format("it''s"), renamed, common, **{'public__mood__"it\'s"': "glad"})
    assert [statement.sql for statement in found.statements] == [
        "ALTER TYPE public.mood RENAME VALUE 'it''s' TO 'glad'"
    ]
    assert not found.statements[0].destructive


def test_a_table_that_moves_takes_its_sequences_along(difference: Callable[..., SchemaDiff]) -> None:
    tables = "CREATE SCHEMA s; CREATE TABLE w (id bigint GENERATED ALWAYS AS IDENTITY, n serial, v text);"
    found = difference("", "ALTER TABLE w SET SCHEMA s", tables, public__w="s.w")
    assert [statement.sql for statement in found.statements] == ["ALTER TABLE public.w SET SCHEMA s"]
    assert difference("ALTER TABLE w SET SCHEMA s", "", tables, s__w="public.w").sql.count(";") == 1


def test_a_rename_of_nothing_is_refused(difference: Callable[..., SchemaDiff]) -> None:
    with pytest.raises(SettingsError, match=r"nothing is called public\.nope"):
        difference("", "", _PLAIN, public__nope="public.t")


def test_another_order_of_columns_is_reported_and_not_acted_on(difference: Callable[..., SchemaDiff]) -> None:
    found = difference("CREATE TABLE x (a int, b int)", "CREATE TABLE x (b int, a int)")
    assert found.sql == ""
    assert found.warnings == ("the columns of public.x will be in another order: a, b instead of b, a",)


def test_every_statement_that_loses_data_says_what(difference: Callable[..., SchemaDiff]) -> None:
    found = difference(_USERS, "")
    losing = [statement for statement in found.statements if statement.destructive]
    assert {statement.rule for statement in losing} >= {"drop-table", "drop-schema"}
    assert all(statement.why for statement in losing)


def test_reverse_statements_undo(new_database: Callable[[], str]) -> None:
    base, target = new_database(), new_database()
    load(base, _PLAIN)
    load(
        target,
        _PLAIN,
        "ALTER TABLE t ADD c int DEFAULT 3, ALTER b SET NOT NULL; CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT a FROM t",
    )
    before = read(base).fingerprint
    wanted = read(target)
    there = compare(read(base), wanted)
    load(base, there.sql)
    assert read(base).fingerprint == wanted.fingerprint
    load(base, *[statement.reverse_sql or "" for statement in reversed(there.statements)])
    assert read(base).fingerprint == before
