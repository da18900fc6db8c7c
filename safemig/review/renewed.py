"""What a file takes away and gives back: triggers, policies and constraints that are dropped and re-created. Pure.

Only what the files themselves made can be compared: the target's are not known by their statements.
"""

from __future__ import annotations

from safemig.review.world import World
from safemig.sql import names
from safemig.sql.names import Name
from safemig.sql.tree import Tree, constant, node, strings

# Where a statement stands, and whether it may replace, say nothing of what it makes.
_BESIDES = frozenset(("location", "replace", "rexpr_list_start", "rexpr_list_end", "list_start", "list_end"))
SUFFIXES = {"CONSTR_FOREIGN": "fkey", "CONSTR_CHECK": "check", "CONSTR_UNIQUE": "key", "CONSTR_PRIMARY": "pkey",
            "CONSTR_EXCLUSION": "excl"}  # fmt: skip


def key_of(kind: str, table: Name, name: str) -> tuple[str, Name]:
    """Return the key of a table's trigger, policy or constraint (its `kind` in words)."""
    return kind, Name(str(table), name)


def note_made(world: World, kind: str, table: Name, name: str, body: Tree) -> None:
    """Remember the statement that made a trigger or policy."""
    world.definitions[key_of(kind, table, name)] = body


def note_dropped(world: World, kind: str, table: Name, name: str) -> None:
    """Remember for the rest of the file what a trigger or policy was."""
    key = key_of(kind, table, name)
    if (made := world.definitions.pop(key, None)) is not None:
        world.taken[key] = made


def forget(world: World, kind: str, table: Name, name: str) -> None:
    """Forget how a trigger or policy was made: it is changed, or has another name."""
    world.definitions.pop(key_of(kind, table, name), None)


def is_as_before(world: World, kind: str, table: Name, name: str, body: Tree) -> bool:
    """Tell whether the statement makes again just what the file dropped, or replaces it by the same."""
    key = key_of(kind, table, name)
    before = world.taken.get(key) or (world.definitions.get(key) if body.get("replace") else None)
    return before is not None and _bare(before) == _bare(body)


def _bare(value: object) -> object:
    if isinstance(value, dict):
        return {key: _bare(one) for key, one in value.items() if key not in _BESIDES}
    return [_bare(one) for one in value] if isinstance(value, list) else value


def constraints_added(world: World, body: Tree) -> dict[tuple[str, Name], Tree]:
    """Return the constraints that an ALTER TABLE adds, by the names that they get."""
    table = world.resolve(names.of_range(body.get("relation")))
    found = {}
    for item in body.get("cmds", ()):
        command = item.get("AlterTableCmd", {})
        kind, constraint = node(command.get("def") or {})
        if command.get("subtype") == "AT_AddConstraint" and kind == "Constraint":
            columns = columns_of(constraint)
            between = () if constraint.get("contype") == "CONSTR_PRIMARY" else columns
            suffix = SUFFIXES.get(constraint.get("contype", ""), "")
            name = str(constraint.get("conname") or "_".join([table.name, *between, suffix]))[:63]
            found[key_of("CONSTRAINT", table, name)] = constraint
    return found


def columns_of(constraint: Tree) -> tuple[str, ...]:
    """Return the columns of a key or foreign key."""
    return tuple(strings(constraint.get("fk_attrs")) or strings(constraint.get("keys")))


def unique_keys(world: World, name: Name) -> list[frozenset[str]]:
    """Return the sets of columns of which the table is known to hold each combination of values once only."""
    table = world.tables.get(world.resolve(name))
    found = []
    for key, one in table.constraints.items() if table else ():
        columns = (table.indexes.get(key) if table else None) or one.columns
        if one.kind in ("u", "p") and columns:
            found.append(frozenset(columns))
    return found


def pinned_columns(condition: Tree | None) -> frozenset[str]:
    """Return the columns that a WHERE compares with constants, so that each has a few given values."""
    kind, body = node(condition or {})
    if kind == "BoolExpr" and body.get("boolop") == "AND_EXPR":
        return frozenset().union(*(pinned_columns(argument) for argument in body.get("args", ())))
    if kind != "A_Expr" or strings(body.get("name")) != ["="]:
        return frozenset()
    left, reference = node(body.get("lexpr", {}))
    if left != "ColumnRef" or not (fields := strings(reference.get("fields"))):
        return frozenset()
    right = body.get("rexpr", {})
    if body.get("kind") == "AEXPR_IN":
        given = [constant(one) for one in right.get("List", {}).get("items", ())]
        return frozenset(fields[-1:]) if given and None not in given else frozenset()
    is_one = body.get("kind") == "AEXPR_OP" and constant(right) is not None
    return frozenset(fields[-1:]) if is_one else frozenset()
