"""What a statement's JSON tells, without a walk through its tree, of the code that the statement may run."""

from __future__ import annotations

from safemig.review.world import World
from safemig.sql.kinds import relations
from safemig.sql.names import Name
from safemig.sql.tree import holds

_WRITES = frozenset(('"InsertStmt"', '"UpdateStmt"', '"DeleteStmt"'))


def may_call(world: World, json: str) -> bool:
    """Tell from a statement's JSON whether the expressions in it may run code: functions, operators, casts, views."""
    return (
        holds(json, "FuncCall")
        or (bool(world.operators) and holds(json, "A_Expr"))
        or (bool(world.casts or world.domain_calls) and holds(json, "TypeCast"))
        or (bool(world.attributes) and any(f'"{name}"' in json for name in world.attributes))
        or (holds(json, "RangeVar") and any(_runs_code(world, name) for name in relations(json)))
    )


def _runs_code(world: World, name: Name) -> bool:
    """Tell whether reading the relation may run functions: it is a view, or has policies that call some."""
    full = world.resolve(name)
    table = world.tables.get(full)
    return full in world.views or bool(table and table.policies)


def changes_rows_only(world: World, json: str) -> bool:
    """Tell from a statement's JSON that it writes rows and runs nothing else, so that no schema can change by it."""
    if json[: json.index('"', 1) + 1] not in _WRITES or may_call(world, json) or world.domain_calls:
        return False
    tables = [table for name in relations(json) if (table := world.tables.get(world.resolve(name)))]
    return not any(
        table.triggers
        or table.policies
        or table.name in world.children
        or table.name in world.referring
        or table.calls
        or any(column.calls for column in table.columns.values())
        for table in tables
    )
