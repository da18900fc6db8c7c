"""What is known by another name from then on: RENAME and SET SCHEMA."""

from __future__ import annotations

from safemig.review.renewed import forget
from safemig.review.world import Column, World
from safemig.sql import names
from safemig.sql.names import Name
from safemig.sql.tree import Tree


def rename(world: World, body: Tree, conditional: bool) -> None:
    """Let what RENAME renames be known by its new name."""
    new = body.get("newname", "")
    kind = body.get("renameType")
    if kind == "OBJECT_TABLE":
        old = world.table(names.of_range(body.get("relation")))
        world.tables.pop(old.name, None)
        old.name = Name(old.name.schema, new)
        world.tables[old.name] = old
        if conditional and old.age == "new":
            old.age = "maybe"
    elif kind == "OBJECT_COLUMN":
        table = world.table(names.of_range(body.get("relation")))
        table.columns[new] = table.columns.pop(body.get("subname", ""), Column())
    elif kind == "OBJECT_TYPE":
        old_name = world.resolve(names.of_object(body.get("object", {})))
        new_name = Name(old_name.schema, new)
        world.renamed_types[old_name] = new_name
        if old_name in world.enums:
            world.enums[new_name] = world.enums.pop(old_name)
        for table in world.tables.values():
            for column in table.columns.values():
                if column.type == str(old_name):
                    column.type = str(new_name)
    elif kind in ("OBJECT_TRIGGER", "OBJECT_POLICY"):
        words = kind.removeprefix("OBJECT_")
        forget(world, words, world.resolve(names.of_range(body.get("relation"))), body.get("subname", ""))
    elif kind in _RUNS_CODE:
        old_name = world.resolve(_object_of(body))
        _also_named(world, old_name, Name(old_name.schema, new))
    elif kind == "OBJECT_SCHEMA":
        for name in [name for name in world.tables if name.schema == body.get("subname")]:
            table = world.tables.pop(name)
            table.name = Name(new, name.name)
            world.tables[table.name] = table
        for name in [name for name in (*world.functions, *world.views) if name.schema == body.get("subname")]:
            _also_named(world, name, Name(new, name.name))


_RUNS_CODE = ("OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_AGGREGATE", "OBJECT_VIEW")


def _object_of(body: Tree) -> Name:
    return names.of_range(body["relation"]) if "relation" in body else names.of_object(body.get("object", {}))


def _also_named(world: World, old: Name, new: Name) -> None:
    """Let the routines or the view known by the old name be known by the new one too: a text may still say the old."""
    if old in world.functions:
        world.functions[new] = [*world.functions.get(new, ()), *world.functions[old]]
        world.unindexed += [(new, one) for one in world.functions[old]]
    if old in world.views:
        world.add_view(new, world.views[old])


def set_schema(world: World, body: Tree, _conditional: bool) -> None:
    """Let what SET SCHEMA moves be known by its new schema."""
    schema = body.get("newschema", "")
    if body.get("objectType") in _RUNS_CODE:
        name = world.resolve(_object_of(body))
        _also_named(world, name, Name(schema, name.name))
        return
    if body.get("objectType") != "OBJECT_TABLE":
        return
    table = world.table(names.of_range(body.get("relation")))
    world.tables.pop(table.name, None)
    table.name = Name(schema, table.name.name)
    world.tables[table.name] = table
    if table.age == "existing":  # the schema now holds something old
        world.new_objects.discard(("SCHEMA", Name(world.path, table.name.schema)))
