"""Where generate cuts a change into files: elsewhere, if an application would fail between two of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from safemig.results import Behaviour, Generated
from safemig.sql import parse
from tests.operations.conftest import Shop

# What the application calls: an upsert that needs its unique index, in a body that no dependency of the server knows.
BEFORE = """
CREATE TABLE stock (part varchar(20) NOT NULL, shelf int NOT NULL DEFAULT 1, pieces int);
CREATE UNIQUE INDEX stock_part ON stock (part);
CREATE TABLE tags (id int NOT NULL, code int NOT NULL, name text);
CREATE FUNCTION put(p varchar) RETURNS void LANGUAGE sql
    AS 'INSERT INTO stock (part) VALUES (p) ON CONFLICT (part) DO UPDATE SET pieces = 1';
"""
PUT_BOTH = """
CREATE OR REPLACE FUNCTION put(p varchar) RETURNS void LANGUAGE sql
    AS 'INSERT INTO stock (part) VALUES (p) ON CONFLICT (part, shelf) DO UPDATE SET pieces = 1';
"""


@pytest.fixture
def busy(shop: Shop) -> Shop:
    """The shop, with what the cases need in its migrations, its staging and its production."""
    shop.write("20260102000000_stock.sql", BEFORE)
    shop.on(shop.staging, BEFORE)
    return shop


def texts(made: Generated) -> list[str]:
    paths: list[Path] = [path for path in (made.path, *made.further_paths) if path is not None]
    return [path.read_text() for path in paths]


def order(made: Generated) -> list[tuple[int, str]]:
    """The statements with the number of their file, by their first words."""
    return [
        (number, " ".join(statement.sql.split()[:4]))
        for number, text in enumerate(texts(made), 1)
        for statement in parse(text)
        if not statement.sql.startswith("SET ")
    ]


def behaviour(made: Generated) -> Behaviour:
    assert made.behaviour is not None
    return made.behaviour


CUT_ELSEWHERE = [
    pytest.param(
        "CREATE PUBLICATION feed FOR TABLE tags; ALTER TABLE tags ADD PRIMARY KEY (id)",
        "ALTER TABLE public.tags ADD", "CREATE PUBLICATION feed FOR", "update public.tags", id="a publication and its key", marks=pytest.mark.thorough,
    ),
    pytest.param(
        "CREATE UNIQUE INDEX tags_code ON tags (code); ALTER TABLE tags REPLICA IDENTITY USING INDEX tags_code; CREATE PUBLICATION feed FOR TABLE tags",
        "ALTER TABLE public.tags REPLICA", "CREATE PUBLICATION feed FOR", "update public.tags", id="a publication and its replica identity", marks=pytest.mark.thorough,
    ),
    pytest.param(
        "CREATE UNIQUE INDEX stock_both ON stock (part, shelf)" + ";" + PUT_BOTH,
        "CREATE UNIQUE INDEX CONCURRENTLY", "CREATE OR REPLACE FUNCTION", "call public.put(character varying)", id="an upsert and its index", marks=pytest.mark.thorough,
    ),
    pytest.param(
        "CREATE UNIQUE INDEX stock_both ON stock (part, shelf); DROP INDEX stock_part" + ";" + PUT_BOTH,
        "CREATE OR REPLACE FUNCTION", "DROP INDEX CONCURRENTLY IF", "call public.put(character varying)", id="an upsert, its index and the one before",
    ),
    pytest.param(
        """CREATE UNIQUE INDEX stock_both ON stock (part, shelf);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO stock (part) VALUES (NEW.name) ON CONFLICT (part, shelf) DO NOTHING; RETURN NEW; END';
        CREATE TRIGGER note AFTER INSERT ON tags FOR EACH ROW WHEN (NEW.name IS NOT NULL) EXECUTE FUNCTION note()""",
        "CREATE UNIQUE INDEX CONCURRENTLY", "CREATE OR REPLACE TRIGGER", "insert into public.tags", id="a trigger and the index of its upsert", marks=pytest.mark.thorough,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "first", "then", "what"), CUT_ELSEWHERE)
def test_a_gap_is_closed_by_a_later_file(busy: Shop, change: str, first: str, then: str, what: str) -> None:
    for statement in parse(change):
        busy.on(busy.staging, statement.sql)
    made = busy.project.generate("change")
    found = order(made)
    (before,) = [at for at, (_, words) in enumerate(found) if words.startswith(first)]
    (after,) = [at for at, (_, words) in enumerate(found) if words.startswith(then)]
    assert before < after, found
    assert behaviour(made).gaps == behaviour(made).broken == ()
    assert what in {each.what for each in behaviour(made).moved}
    assert not made.remaining
    (row,) = [check for check in made.checklist if check.name == "nothing fails between two files"]
    assert row.state == "ok"
    assert f"earlier, {what} would fail until then" in row.found
    waiting = next(text for text in texts(made) if "-- Waits: " in text)
    assert f"-- Waits: earlier, {what} would fail until then" in waiting


def test_a_gap_that_no_cut_closes_is_named_in_the_head(busy: Shop) -> None:
    """The renamed table stands first, the function needs an index that cannot be built before; so it fails between."""
    for sql in (
        "ALTER TABLE stock RENAME TO store",
        "CREATE UNIQUE INDEX store_both ON store (part, shelf)",
        PUT_BOTH.replace("stock", "store"),
    ):
        busy.on(busy.staging, sql)
    made = busy.project.generate("change", renames={"public.stock": "public.store"})
    (gap,) = [each for each in behaviour(made).gaps if each.what.startswith("call")]
    for text in texts(made):
        (_, named) = text.split("-- Gap:       ")
        assert " ".join(named.replace("\n--            ", " ").split()).startswith(gap.words)
    (row,) = [check for check in made.checklist if check.name == "nothing fails between two files"]
    assert row.state == "failed"
    assert behaviour(made).moved == ()
    assert not made.remaining


@pytest.mark.thorough
def test_a_gap_that_only_moves_is_left_where_it_was(busy: Shop) -> None:
    """The index waits for the column's type, the function for the index; and the type ends what the function did."""
    busy.on(
        busy.staging, "CREATE FUNCTION count_pieces() RETURNS bigint LANGUAGE sql AS 'SELECT sum(pieces) FROM stock'"
    )
    busy.write(
        "20260103000000_count.sql",
        "CREATE FUNCTION count_pieces() RETURNS bigint LANGUAGE sql AS 'SELECT sum(pieces) FROM stock';",
    )
    for sql in (
        "ALTER TABLE stock ALTER pieces TYPE text",
        "CREATE UNIQUE INDEX stock_pieces ON stock (pieces)",
        """CREATE OR REPLACE FUNCTION count_pieces() RETURNS bigint LANGUAGE sql AS
           $$INSERT INTO stock (part, pieces) VALUES ('none', 'x') ON CONFLICT (pieces) DO NOTHING; SELECT count(*) FROM stock$$""",
    ):
        busy.on(busy.staging, sql)
    made = busy.project.generate("change")
    gaps = [each for each in behaviour(made).gaps if each.what == "call public.count_pieces()"]
    assert [(each.start, each.end) for each in gaps] == [(1, 2)], behaviour(made)
    assert behaviour(made).moved == ()
