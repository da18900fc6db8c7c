"""Small readers of libpg_query's parse tree in its JSON form.

Every node is `{"NodeName": {...}}`; a field that holds its type's default (0, false, "") is left out, and an enum
is its name. JSON is the ground because libpg_query writes and orjson reads it ten times as fast as pglast makes a
tree of Python objects; `ParsedStatement.node` gives that tree to anyone who wants it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import orjson
from pglast.parser import parse_sql_json

Tree: TypeAlias = dict[str, Any]


def read_trees(sql: str) -> list[Tree]:
    """Return libpg_query's statements of a text, each a RawStmt's body: `stmt`, `stmt_location`, `stmt_len` in bytes.

    Raises:
        ParseError: PostgreSQL's parser refuses the text.
        RecursionError: it is nested too deeply to be read.
    """
    return _read(parse_sql_json(sql))


def read_trees_and_json(sql: str) -> list[tuple[Tree, str]]:
    """Return what `read_trees` does, each statement with the JSON that it was read from.

    Whether a kind of node occurs in a statement is told from that text (`holds`) far sooner than by a walk.
    """
    text = parse_sql_json(sql)
    found = _read(text)
    texts = _split(text)
    if len(texts) != len(found):
        raise ValueError("libpg_query's JSON has another shape than this release of safemig knows")
    return list(zip(found, texts, strict=True))


def read_json(sql: str) -> list[str]:
    """Return the JSON of each statement, unread; `tree_of` reads one. Raises as `read_trees` does."""
    return _split(parse_sql_json(sql))


def tree_of(json: str) -> Tree:
    """Return the tree that a statement's JSON holds, as `read_trees` gives it."""
    return _read(f'{{"stmts":[{{"stmt":{{{json}}}]}}')[0]


def _split(text: str) -> list[str]:
    """Return the JSON of each statement: only a RawStmt begins with `stmt`, and in a string its quotes would be escaped."""
    inside = text[text.index('"stmts":[') + 9 : -2]
    return inside[9:-1].split('},{"stmt":{') if inside else []


def holds(json: str, kind: str, *, below: bool = False) -> bool:
    """Tell whether a node of this kind occurs in a statement's JSON; `below` leaves the statement itself out."""
    return json.find(_mark(kind), 1 if below else 0) >= 0


@cache
def _mark(kind: str) -> str:
    return f'"{kind}":{{'


def _read(text: str) -> list[Tree]:
    try:
        found: list[Tree] = orjson.loads(text)["stmts"]
    except orjson.JSONDecodeError as problem:
        raise RecursionError(str(problem)) from None  # what libpg_query writes is JSON; only its depth has a limit
    return found


def node(wrapped: Tree) -> tuple[str, Tree]:
    """Return the name and the body of a wrapped node."""
    for pair in wrapped.items():
        return pair
    return "", {}


def strings(items: list[Tree] | None) -> list[str]:
    """Return the texts of a list of String nodes; others (such as `*`) are left out."""
    return [item["String"].get("sval", "") for item in items or () if "String" in item]


def walk(tree: Any) -> list[tuple[str, Tree]]:
    """Return every wrapped node below `tree`, parents before their children."""
    found: list[tuple[str, Tree]] = []
    pending = [tree]  # grows while it is read: breadth first, siblings in the order of the text
    for current in pending:
        if type(current) is dict:
            for key, value in current.items():
                kind = type(value)
                if kind is dict:
                    if key[:1] < "a":  # a node's name; fields are in lower case
                        found.append((key, value))
                    pending.append(value)
                elif kind is list:
                    pending.extend(value)
        elif type(current) is list:
            pending.extend(current)
    return found


def constant(wrapped: Tree | None) -> str | int | bool | None:
    """Return the value of a literal; None when it is no literal or NULL (see `is_null`)."""
    if not wrapped:
        return None
    name, body = node(wrapped)
    if name == "TypeCast":
        return constant(body.get("arg"))
    if name == "A_Const":
        for kind, value in body.items():
            if kind == "ival":
                return int(value.get("ival", 0))
            if kind == "fval":
                return str(value.get("fval", "0"))
            if kind in ("sval", "bsval"):
                return str(value.get(kind, ""))
            if kind == "boolval":
                return bool(value.get("boolval", False))
        return None
    if name == "String":
        return str(body.get("sval", ""))
    if name == "Integer":
        return int(body.get("ival", 0))
    if name == "Float":
        return str(body.get("fval", "0"))
    if name == "Boolean":
        return bool(body.get("boolval", False))
    return None


def is_null(wrapped: Tree | None) -> bool:
    """Tell whether the expression is the literal NULL, with or without a cast."""
    if not wrapped:
        return False
    name, body = node(wrapped)
    if name == "TypeCast":
        return is_null(body.get("arg"))
    return name == "A_Const" and bool(body.get("isnull"))


def options(elements: list[Tree] | None) -> dict[str, Tree]:
    """Return a list of DefElem as name -> its argument's wrapped node (empty where it has none)."""
    return {
        element["DefElem"].get("defname", ""): element["DefElem"].get("arg", {})
        for element in elements or ()
        if "DefElem" in element
    }
