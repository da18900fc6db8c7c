"""Sequences."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.tree import constant


@rule(
    "sequence-reset", Severity.CAUTION, "A sequence is set to another number",
    on=("FuncCall", "AlterSeqStmt", "AT_SetIdentity"),
    why="Set too low, the next INSERTs fail on duplicate keys; set in a migration, it races with writers.",
    instead="SELECT setval('users_id_seq', (SELECT max(id) FROM users));",
    err=("SELECT setval('users_id_seq', 1)", "ALTER SEQUENCE users_id_seq RESTART WITH 1",
         "ALTER TABLE users ALTER COLUMN id RESTART WITH 1"),
    ok=("SELECT setval('users_id_seq', (SELECT max(id) FROM users))", "SELECT nextval('users_id_seq')",
        "CREATE SEQUENCE s; SELECT setval('s', 100)"),
)  # fmt: skip
def sequence_reset(scene: Scene) -> Iterator[Hit]:
    if scene.node == "AlterSeqStmt":
        name = names.of_range(scene.tree.get("sequence"))
        restarts = any(item.get("DefElem", {}).get("defname") == "restart" for item in scene.tree.get("options", ()))
        if restarts and not scene.world.is_new_object("SEQUENCE", name):
            yield Hit(str(name), f"the next number of {name} is set, whatever was given out already")
        return
    if scene.node == "AT_SetIdentity":
        changes = (scene.tree.get("def") or {}).get("List", {}).get("items", ())
        if any(item.get("DefElem", {}).get("defname") == "restart" for item in changes) and not scene.is_surely_new:
            column = f"{scene.table}.{scene.tree.get('name', '')}"
            yield Hit(column, f"the next number of {column} is set, whatever was given out already")
        return
    arguments = scene.tree.get("args", ())
    if scene.table.name != "setval" or len(arguments) < 2 or constant(arguments[1]) is None:
        return
    text = str(constant(arguments[0]) or "")
    name = names.of_parts(text.replace('"', "").split("."))
    if not scene.world.is_new_object("SEQUENCE", name):
        yield Hit(str(name), f"the next number of {name} is set to a constant, whatever was given out already")
