"""What a statement names and the target does not have: a typing error, or the wrong database. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from safemig.review.locks import DML
from safemig.review.rule import Hit
from safemig.review.severity import Severity
from safemig.review.world import World
from safemig.sql import names
from safemig.sql.fold import HOLE
from safemig.sql.names import TEMPORARY, Name
from safemig.sql.parsing import ParsedStatement
from safemig.sql.tree import node, walk

_READS = DML | {"SelectStmt", "ViewStmt", "CreateTableAsStmt"}


def missing_tables(world: World, statement: ParsedStatement, locked: Iterable[Name]) -> list[Hit]:
    """Return a hit for each table that the statement needs, of which neither the target nor a file before knows.

    `locked` are the tables that it takes locks on. Without a target nothing is known to be missing. A name without its
    schema is looked for along the search path; where that was not read, any schema's table of that name will do.
    """
    if world.target is None:
        return []
    kind, body = node(statement.tree)
    if kind == "DropStmt":
        needed = [] if body.get("removeType") != "OBJECT_TABLE" else [names.of_object(one) for one in body["objects"]]
        needed = [] if body.get("missing_ok") else needed
    else:
        needed = list(locked)
        if kind in _READS and (statement.json is None or '"RangeVar"' in statement.json):
            found = walk(statement.tree)
            common = {part.get("ctename") for what, part in found if what == "CommonTableExpr"}
            read = [names.of_range(part) for what, part in found if what == "RangeVar"]
            needed += [name for name in read if name.schema or name.name not in common]
    hits = []
    for name in dict.fromkeys(world.resolve(one) for one in needed):
        if name in world.reported_missing or _is_there(world, name):
            continue
        world.reported_missing.add(name)
        where = f"{world.target.name} has no table {name}, and no file before this creates it"
        if body.get("missing_ok"):
            hits.append(Hit(str(name), f"{where}: IF EXISTS does nothing here", severity=Severity.RECOMMENDATION))
        else:
            hits.append(Hit(str(name), f"{where}: the statement fails"))
    return hits


def _is_there(world: World, name: Name) -> bool:
    if not name.name or HOLE in name.name or name.schema in (TEMPORARY, "information_schema"):
        return True
    if name.schema.startswith("pg_") or name.name.startswith("pg_"):
        return True
    if world.knows(name) or name in world.views or str(name) in _views(world):
        return True
    if name.schema != world.path or (world.target and world.target.search_path):
        return False
    known = {each.name for each, table in world.tables.items() if table.facts is not None or table.is_known}
    return name.name in known or any(names.of_dotted(view).name == name.name for view in _views(world))


def _views(world: World) -> Iterable[str]:
    return world.target.view_extras if world.target else ()
