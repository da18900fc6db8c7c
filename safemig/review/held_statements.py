"""Prepared statements that sessions hold and that a migration breaks: 0A000, cached plan must not change result type. Pure.

A session plans a statement again when a table of it changed, and refuses where the result would have other columns,
types or collations than when it was prepared (RevalidateCachedQuery in plancache.c); so it does until it deallocates
the statement or ends. psycopg 3 and pgjdbc prepare by themselves what runs for the fifth time. Which changes do it,
and which do not, tests/review/test_held_statements.py sees on servers of 15 to 18.
"""

from __future__ import annotations

from collections.abc import Mapping

from pglast.parser import ParseError

from safemig.review.functions import function_of, returned_by
from safemig.review.overloads import same_arguments
from safemig.review.types import type_text
from safemig.review.world import World
from safemig.sql import names
from safemig.sql.names import Name
from safemig.sql.tree import Tree, node, read_trees

EVERY_COLUMN = "*"
_COLUMN_OF = ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE")


def note_results(world: World, tree: Tree) -> None:
    """Write down in `world.reshaped` what a statement, which is not applied to `world` yet, changes the results of."""
    kind, body = node(tree)
    if kind == "AlterTableStmt":
        table = names.of_range(body.get("relation"))
        if body.get("objtype") in _COLUMN_OF and not world.is_new(table):
            for item in body.get("cmds", ()):
                _command(world, world.resolve(table), item.get("AlterTableCmd", {}))
    elif kind == "RenameStmt" and body.get("renameType") == "OBJECT_COLUMN":
        table = names.of_range(body.get("relation"))
        if (
            body.get("relationType") in _COLUMN_OF
            and not world.is_new(table)
            and not world.is_new_object("VIEW", table)
        ):
            _add(world, str(world.resolve(table)), EVERY_COLUMN)
    elif kind == "ViewStmt":
        _view(world, body)
    elif kind == "CreateFunctionStmt":
        _function(world, body)


def held_statements(reshaped: Mapping[str, set[str]]) -> str:
    """Return what to say of the prepared statements that the file breaks; nothing where it breaks none."""
    if not reshaped:
        return ""
    whole = sorted(table for table, parts in reshaped.items() if EVERY_COLUMN in parts)
    parts = sorted(
        f"{table}.{part}" for table, found in reshaped.items() for part in found if part and part != EVERY_COLUMN
    )
    calls = sorted(name for name, found in reshaped.items() if "" in found)
    which = [f"SELECT * and RETURNING * of {_some(whole)}"] if whole else []
    which += [f"whatever returns {_some(parts)}"] if parts else []
    which += [f"calls of {_some(calls)}"] if calls else []
    return (
        "sessions that hold these as prepared statements get 0A000 (cached plan must not change result type) until they reconnect: "
        f"{'; '.join(which)}. After the deployment recycle the application's connections, or run DEALLOCATE ALL in each session"
        f"{'; name the columns instead of *' if whole else ''}"
    )


def _some(items: list[str]) -> str:
    return ", ".join(items[:5]) + (" …" if len(items) > 5 else "")


def _add(world: World, name: str, part: str) -> None:
    world.reshaped.setdefault(name, set()).add(part)


def _command(world: World, table: Name, command: Tree) -> None:
    subtype, column = command.get("subtype"), str(command.get("name", ""))
    definition = (command.get("def") or {}).get("ColumnDef", {})
    known = world.tables.get(table)
    if subtype == "AT_AddColumn":
        is_there = known is not None and definition.get("colname") in known.columns
        if not (command.get("missing_ok") and is_there):
            _add(world, str(table), EVERY_COLUMN)
    elif subtype == "AT_DropColumn":
        _add(world, str(table), EVERY_COLUMN)
    elif subtype == "AT_AlterColumnType":
        before = known.columns[column].type if known and column in known.columns else ""
        if before != type_text(definition.get("typeName")) or "collClause" in definition:
            _add(world, str(table), EVERY_COLUMN)
            _add(world, str(table), column)


def _view(world: World, body: Tree) -> None:
    """A view that is re-created: where its columns are known to stay as many, their names and types stay too (OR REPLACE)."""
    name = world.resolve(names.of_range(body.get("view")))
    before = world.views.get(name)
    if before is None or world.is_new_object("VIEW", name):
        return
    known = _count(before)
    if known is not None and known != _count(body.get("query", {})):
        _add(world, str(name), EVERY_COLUMN)


def _count(query: Tree) -> int | None:
    """Return how many columns a query has; None where a `*` hides it, or only the functions in it are known."""
    targets = [item.get("ResTarget", {}).get("val", {}) for item in query.get("SelectStmt", {}).get("targetList", ())]
    stars = [one for one in targets if any("A_Star" in part for part in one.get("ColumnRef", {}).get("fields", ()))]
    return None if stars or not all(targets) or not targets else len(targets)


def _function(world: World, body: Tree) -> None:
    name = world.resolve(names.of_strings(body.get("funcname")))
    known = world.functions.get(name)
    if not known or world.is_new_object("FUNCTION", name):
        return
    arguments = function_of(body, "").arguments
    for one in known:
        if one.definition and same_arguments(one.arguments, arguments):
            try:
                [item] = read_trees(one.definition)
            except (ParseError, RecursionError, ValueError):
                continue
            if returned_by(node(item["stmt"])[1]) != returned_by(body):
                _add(world, f"{name}()", "")
