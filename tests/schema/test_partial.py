"""What stands on an extension is left out whole, on both sides, and named."""

from __future__ import annotations

from collections.abc import Callable

from safemig.schema import compare
from safemig.schema.without_extensions import without_extensions

from .proof import load, read

_BASE = "CREATE TABLE plain (x int); CREATE VIEW over_plain AS SELECT x FROM plain"
# citext would do as well; hstore comes with every build that the tests run on.
_WITH = (
    "CREATE EXTENSION hstore; CREATE TABLE docs (id int PRIMARY KEY, tags hstore); CREATE INDEX ON docs (id);"
    "COMMENT ON TABLE docs IS 'tagged'; CREATE VIEW keys AS SELECT akeys(tags) FROM docs; CREATE TABLE fresh (y int);"
    "CREATE TABLE child (doc int REFERENCES docs); GRANT SELECT ON docs TO PUBLIC"
)


def test_nothing_is_left_out_where_nothing_lacks(database: str) -> None:
    load(database, _BASE)
    schema = read(database)
    assert without_extensions(schema, schema, ()) == (schema, schema, ())
    assert without_extensions(schema, schema, ("hstore",)) == (schema, schema, ())


def test_a_table_with_a_column_of_its_type_is_left_out_with_all_that_needs_it(new_database: Callable[[], str]) -> None:
    base, target = new_database(), new_database()
    load(base, _BASE)
    load(target, _BASE, _WITH)
    one, other, left_out = without_extensions(read(base), read(target), ("hstore",))
    assert [(item.kind, item.dotted) for item in left_out] == [
        ("constraint", "public.child.child_doc_fkey"),
        ("extension", "hstore"),
        ("index", "public.docs_id_idx"),
        ("table", "public.docs"),
        ("view", "public.keys"),
    ]
    there = compare(one, other)
    assert "docs" not in there.sql
    assert [change.name for change in there.changes] == ["public.child", "public.fresh"]
    load(base, there.sql)  # it runs where the extension is not


def test_a_table_on_both_sides_is_not_dropped_for_its_new_column(new_database: Callable[[], str]) -> None:
    base, target = new_database(), new_database()
    load(base, _BASE)
    load(target, _BASE, "CREATE EXTENSION hstore; ALTER TABLE plain ADD tags hstore; CREATE TABLE fresh (y int)")
    one, other, left_out = without_extensions(read(base), read(target), ("hstore",))
    assert "table public.plain" in {f"{item.kind} {item.dotted}" for item in left_out}
    assert compare(one, other).summary == "1 change: +1 table"
