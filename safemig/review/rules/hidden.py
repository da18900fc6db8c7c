"""What does not show: dynamic SQL, bodies that cannot be read, other languages."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene, place, shortened
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.fold import HOLE
from safemig.sql.tree import node, walk


@rule(
    "dynamic-sql", Severity.DANGEROUS, "SQL that is not known until it runs",
    on=("DynamicSql", "UnknownPrepared"),
    why="EXECUTE of a variable, of table contents or of pieces put together at run time can do anything; a review that cannot see it "
    "cannot call it safe.",
    instead="ALTER TABLE orders ADD COLUMN IF NOT EXISTS note text;  -- write the statements themselves, one by one",
    err=("DO $$ DECLARE r record; BEGIN FOR r IN SELECT stmt FROM todo LOOP EXECUTE r.stmt; END LOOP; END $$",
         "EXECUTE something_prepared_elsewhere"),
    ok=("DO $$ BEGIN EXECUTE 'CREATE TABLE IF NOT EXISTS t (a int)'; END $$",
        "CREATE OR REPLACE FUNCTION f(q text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE q; END $$"),
)  # fmt: skip
def dynamic_sql(scene: Scene) -> Iterator[Hit]:
    if scene.node == "UnknownPrepared":
        yield Hit(place(scene), f"runs {scene.tree.get('name')}, which is not prepared in this file")
    elif known := scene.tree.get("known"):
        yield Hit(place(scene), f"runs text that cannot be read: {shortened(str(known))}")
    else:
        yield Hit(
            place(scene), f"runs text that is put together at run time: {shortened(str(scene.tree.get('text', '')))}"
        )


@rule(
    "partly-dynamic-sql", Severity.CAUTION, "SQL whose names are not known until it runs",
    on="PartlyDynamicSql",
    why="What the statement does can be read, but not to which tables: the findings about it hold for whatever name comes in.",
    instead="ALTER TABLE orders ADD COLUMN IF NOT EXISTS note text;  -- write the statements themselves, one by one",
    err="DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables LOOP "
    "EXECUTE format('ALTER TABLE %I ADD COLUMN IF NOT EXISTS note text', t); END LOOP; END $$",
    ok="DO $$ BEGIN EXECUTE format('ALTER TABLE %I ADD COLUMN IF NOT EXISTS note text', 'orders'); END $$",
)  # fmt: skip
def partly_dynamic_sql(scene: Scene) -> Iterator[Hit]:
    free = bool(scene.tree.get("free"))
    called = any(
        kind == "FuncCall" and HOLE in names.of_strings(body.get("funcname")).name
        for kind, body in walk(scene.tree.get("tree"))
    )
    select = free and any(node(one)[0] in ("SelectStmt", "CallStmt", "DoStmt") for one in scene.tree.get("tree", ()))
    if called or select:
        yield Hit(
            place(scene), f"runs text that is put together at run time: {shortened(str(scene.tree.get('text', '')))}",
            severity=Severity.DANGEROUS,
        )  # fmt: skip
    else:
        yield Hit(place(scene), f"the names come in at run time: {shortened(str(scene.tree.get('text', '')))}")


@rule(
    "unreadable-body", Severity.DANGEROUS, "A code block that cannot be read",
    on="UnreadableBody",
    why="PostgreSQL's own PL/pgSQL parser refuses the body, so what it would do is unknown.",
    instead="DO $$ BEGIN PERFORM 1; END $$;",
    err="DO $$ BEGIN this is not PL/pgSQL END $$", ok="DO $$ BEGIN PERFORM 1; END $$",
)  # fmt: skip
def unreadable_body(scene: Scene) -> Iterator[Hit]:
    yield Hit(place(scene), f"the body cannot be read: {scene.tree.get('why')}")


@rule(
    "other-language", Severity.DANGEROUS, "Code in a language that is not reviewed",
    on="OtherLanguage",
    why="PL/Python, PL/Perl and their like can do anything to the data, and the untrusted ones to the server's machine too.",
    instead="DO $$ BEGIN PERFORM 1; END $$;  -- in PL/pgSQL, which is read",
    err="DO LANGUAGE plpython3u $$ plpy.execute('select 1') $$", ok="DO LANGUAGE plpgsql $$ BEGIN PERFORM 1; END $$",
)  # fmt: skip
def other_language(scene: Scene) -> Iterator[Hit]:
    yield Hit(place(scene), f"runs code in {scene.tree.get('language')}, which this review cannot read")
