"""What hangs on a table: partitions, children, foreign keys from and to it, columns of a type. Pure."""

from __future__ import annotations

import re

from safemig.review.world import World
from safemig.sql import names
from safemig.sql.names import Name
from safemig.sql.tree import Tree


def children(world: World, parent: Name) -> list[Name]:
    """Return the partitions and children of a table, theirs too."""
    found: list[Name] = []
    pending = [parent]
    while pending:
        above = pending.pop()
        fresh = [name for name in world.children.get(above, ()) if name not in found and _is_below(world, name, above)]
        found.extend(fresh)
        pending.extend(fresh)
    return found


def _is_below(world: World, name: Name, above: Name) -> bool:
    table = world.tables.get(name)
    return table is not None and table.parent is not None and world.resolve(table.parent) == above


def users_of_type(type_name: Name, world: World) -> list[Name]:
    """Return the tables with a column of the type, or of arrays of it."""
    spelled = (str(type_name), f"{type_name}[]")
    return [
        name for name, table in world.tables.items() if any(column.type in spelled for column in table.columns.values())
    ]


def references(tree: Tree) -> list[Name]:
    """Return the tables that the foreign keys of a table, a column or a constraint refer to."""
    found = [names.of_range(tree["pktable"])] if "pktable" in tree else []
    for item in (*tree.get("constraints", ()), *tree.get("tableElts", ())):
        for part in item.values():
            if "pktable" in part or "constraints" in part:
                found.extend(references(part))
    return found


_FOREIGN_KEY = re.compile(r"FOREIGN KEY \((?P<own>.*?)\) REFERENCES .*?\((?P<other>.*?)\)")


def joined_by(world: World, table: Name, column: str = "") -> list[Name]:
    """Return the tables that foreign keys, of the `column` where one is named, join with the table in the target."""
    known = world.tables.get(table)
    if world.target is None or known is None or known.facts is None:
        return []
    found = [
        world.named(one.references)
        for one in known.facts.constraints.values()
        if one.references and _names(one.definition, "own", column)
    ]
    if not any(words.startswith("foreign key ") for words in known.facts.dependents):
        return found
    for name, other in world.tables.items():
        for one in other.facts.constraints.values() if other.facts else ():
            if one.references and world.named(one.references) == table and _names(one.definition, "other", column):
                found.append(name)
    return found


def referring(world: World, table: Name) -> list[Name]:
    """Return the tables whose foreign keys lead to the table in the target, over others too: what a cascade empties."""
    found: list[Name] = []
    pending = [table]
    while pending:
        above = pending.pop()
        for name, other in world.tables.items():
            leads = any(
                one.references and world.named(one.references) == above
                for one in (other.facts.constraints.values() if other.facts else ())
            )
            if leads and name not in found and name != table:
                found.append(name)
                pending.append(name)
    return found


def _names(definition: str, side: str, column: str) -> bool:
    """Tell whether a foreign key's definition names the column on that side; any does where none is asked for."""
    found = _FOREIGN_KEY.match(definition)
    return not column or found is None or column in [part.strip().strip('"') for part in found[side].split(",")]
