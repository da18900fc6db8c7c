"""Which relations, columns and functions a statement names: by its text alone, without a database. Pure.

A column without its table's name in front belongs to any relation of the statement that has one of that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pglast.parser import ParseError

from safemig.sql.names import Name, of_range, of_strings
from safemig.sql.tree import Tree, node, read_trees, walk

Star = "*"


@dataclass(frozen=True, slots=True)
class Reads:
    """What a statement names. `aliases` are the names by which its relations go inside it.

    `columns` are (qualifier, column) pairs, the qualifier "" where the text has none; a column `*` stands for all.
    `written` are the columns that INSERT or UPDATE of `target` writes; None where an INSERT names none, and so means all.
    `inserted` are the columns to which an INSERT gives a value, by name or (where it names none) by place from 0; None where
    that cannot be told from the text.
    """

    relations: tuple[Name, ...] = ()
    aliases: Mapping[str, Name] | None = None
    columns: frozenset[tuple[str, str]] = frozenset()
    functions: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    target: Name | None = None
    is_insert: bool = False
    written: frozenset[str] | None = frozenset()
    inserted: frozenset[str | int] | None = None

    def names_table(self, table: Name) -> bool:
        """Tell whether the statement names the relation; without a schema it may be that of any schema."""
        return any(_same(each, table) for each in self.relations)

    def names_column(self, table: Name, column: str) -> bool:
        """Tell whether the statement reads or writes that column of the relation, by name or by `*`."""
        if not self.names_table(table):
            return False
        if self.target and _same(self.target, table) and (self.written is None or column in self.written):
            return True
        aliases = {alias for alias, name in (self.aliases or {}).items() if _same(name, table)}
        whole_row = {("", alias) for alias in aliases}
        wanted = {("", column), ("", Star)} | {(alias, each) for alias in aliases for each in (column, Star)}
        return not self.columns.isdisjoint(wanted | whole_row)


def _same(one: Name, other: Name) -> bool:
    if one.name != other.name:
        return False
    schemas = {each.schema or "public" for each in (one, other)}
    return len(schemas) == 1 or not one.schema


@lru_cache(maxsize=20_000)
def reads_of(text: str) -> Reads:
    """Return what the statement names; nothing where libpg_query cannot parse it."""
    try:
        trees = read_trees(text)
    except (ParseError, RecursionError):
        return Reads()
    aliases: dict[str, Name] = {}
    relations: dict[Name, None] = {}
    columns: set[tuple[str, str]] = set()
    functions: set[str] = set()
    types: set[str] = set()
    common: set[str] = set()
    target: Name | None = None
    written: set[str] | None = set()
    is_insert = False
    inserted: frozenset[str | int] | None = None
    ranges: list[tuple[str, Name]] = []
    for tree in trees:
        for kind, body in walk(tree["stmt"]):
            if kind == "CommonTableExpr":
                common.add(body.get("ctename", ""))
            elif kind == "RangeVar":
                ranges.append((body.get("alias", {}).get("aliasname", ""), of_range(body)))
            elif kind == "ColumnRef":
                columns.add(_column(body))
            elif kind == "FuncCall":
                functions.add(of_strings(body.get("funcname")).name)
            elif kind == "TypeName":
                types.add(of_strings(body.get("names")).name)
            elif kind in ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"):
                ranges.append((body["relation"].get("alias", {}).get("aliasname", ""), of_range(body["relation"])))
                target = of_range(body["relation"])
                is_insert = kind == "InsertStmt"
                inserted = _inserted(body) if is_insert else None
                if is_insert and not body.get("cols") and body.get("selectStmt"):
                    written = None
                elif kind in ("InsertStmt", "UpdateStmt"):
                    listed = body.get("cols" if is_insert else "targetList", ())
                    written = {item["ResTarget"].get("name", "") for item in listed if "ResTarget" in item}
                    written |= _on_conflict(body)
            elif kind == "MergeWhenClause":
                listed = body.get("targetList", ())
                columns |= {("", item["ResTarget"].get("name", "")) for item in listed if "ResTarget" in item}
    for alias, name in ranges:
        if name.name and (name.schema or name.name not in common):
            relations[name] = None
            aliases[alias or name.name] = name
    return Reads(
        tuple(relations), aliases, frozenset(columns), frozenset(functions), frozenset(types), target, is_insert,
        None if written is None else frozenset(written), inserted,
    )  # fmt: skip


def _column(body: Tree) -> tuple[str, str]:
    parts = []
    for item in body.get("fields", ()):
        kind, inner = node(item)
        parts.append(Star if kind == "A_Star" else inner.get("sval", ""))
    if len(parts) == 1:
        return "", parts[0]
    return (parts[-2], parts[-1]) if parts else ("", "")


def _on_conflict(body: Tree) -> set[str]:
    clause = body.get("onConflictClause", {})
    found = {item["ResTarget"].get("name", "") for item in clause.get("targetList", ()) if "ResTarget" in item}
    elements = clause.get("infer", {}).get("indexElems", ())
    return found | {item["IndexElem"].get("name", "") for item in elements if "IndexElem" in item}


def _inserted(body: Tree) -> frozenset[str | int] | None:
    """Return to which columns an INSERT gives a value; DEFAULT in any of its rows gives none."""
    named = [item["ResTarget"].get("name", "") for item in body.get("cols", ()) if "ResTarget" in item]
    source = body.get("selectStmt", {}).get("SelectStmt")
    if source is None:
        return frozenset()  # DEFAULT VALUES
    rows = [row["List"].get("items", ()) for row in source.get("valuesLists", ())]
    left_out = {place for row in rows for place, item in enumerate(row) if "SetToDefault" in item}
    if named:
        return frozenset(name for place, name in enumerate(named) if place not in left_out)
    if not rows:
        return None
    return frozenset(place for place in range(len(rows[0])) if place not in left_out)
