"""Trigger functions that do nothing but fill columns of the row at hand, or send a notice: updated_at and their like. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from pglast.parser import ParseError, parse_plpgsql_json

from safemig.review.rules.functions import is_unknown
from safemig.review.world import World
from safemig.sql import names
from safemig.sql.names import Name
from safemig.sql.tree import read_trees, walk

_ASSIGNS = re.compile(r"(?s)\A\s*(?P<target>[^:=]+?)\s*:?=")
_INTO = re.compile(r"(?is)\binto\s+(?:strict\s+)?(?:new|old)\s*(?:[;,]|\Z|from\b)")
_GIVES_BACK_OLD = re.compile(r"(?i)\breturn\s+old\b")
_READS_OR_WRITES = frozenset(("SubLink", "RangeVar", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"))
_LEVEL_ERROR = 21  # ERROR in elog.h
_BEFORE = 2  # TRIGGER_TYPE_BEFORE in pg_trigger.h


def only_fills_the_row(world: World, function: Name, timing: int) -> bool:
    """Tell whether the trigger function, whose code is known, refuses no write, skips none, and reads and writes no table."""
    known = world.functions_named(function)
    if not known or len(known) > 1 or known[0].language != "plpgsql" or not known[0].definition:
        return False
    if timing & _BEFORE and _GIVES_BACK_OLD.search(known[0].source):
        return False
    try:
        [read] = json.loads(parse_plpgsql_json(known[0].definition))
    except (ParseError, RecursionError, ValueError):
        return False
    body = read.get("PLpgSQL_function", {})
    declared = [one.get("PLpgSQL_var", {}).get("default_val") for one in body.get("datums", ())]
    return all(_is_pure(world, one) for one in declared if one) and _is_harmless(world, body.get("action"), timing)


def _is_harmless(world: World, wrapped: Any, timing: int) -> bool:
    """Tell whether a statement of PL/pgSQL, or each of a list, is one of the harmless ones."""
    if wrapped is None:
        return True
    if isinstance(wrapped, list):
        return all(_is_harmless(world, one, timing) for one in wrapped)
    [(kind, body)] = wrapped.items()
    match kind.removeprefix("PLpgSQL_stmt_"):
        case "block":
            return "exceptions" not in body and _is_harmless(world, body.get("body"), timing)
        case "assign":
            found = _ASSIGNS.match(body.get("expr", {}).get("PLpgSQL_expr", {}).get("query", ""))
            row_itself = found is None or found["target"].lower() in ("new", "old")
            return not row_itself and _is_pure(world, body.get("expr"))
        case "execsql":
            text = body.get("sqlstmt", {}).get("PLpgSQL_expr", {}).get("query", "")
            return _INTO.search(text) is None and _is_query(text) and _is_pure(world, body.get("sqlstmt"))
        case "perform":
            return _is_pure(world, body.get("expr"))
        case "raise":
            return int(body.get("elog_level", _LEVEL_ERROR)) < _LEVEL_ERROR
        case "return":
            return not (timing & _BEFORE) or "expr" not in body  # what NEW names has no expression; NULL has one
        case "if":
            branches = [one.get("PLpgSQL_if_elsif", {}) for one in body.get("elsif_list", ())]
            conditions = [body.get("cond"), *(one.get("cond") for one in branches)]
            parts = [body.get("then_body"), body.get("else_body"), *(one.get("stmts") for one in branches)]
            return all(_is_pure(world, one) for one in conditions) and _is_harmless(
                world, [one for part in parts for one in part or ()], timing
            )
    return False


def _is_query(text: str) -> bool:
    """Tell whether a statement is a SELECT: `TRUNCATE users` is an expression with an alias where one is looked for."""
    try:
        return [kind for tree in read_trees(text) for kind in tree["stmt"]] == ["SelectStmt"]
    except (ParseError, RecursionError):
        return False


def _is_pure(world: World, wrapped: Any) -> bool:
    """Tell whether an expression reads no table and calls PostgreSQL's own functions alone."""
    text = str((wrapped or {}).get("PLpgSQL_expr", {}).get("query", ""))
    assigns = (wrapped or {}).get("PLpgSQL_expr", {}).get("parseMode", 0) >= 3  # target := value
    value = text[found.end() :] if assigns and (found := _ASSIGNS.match(text)) else text
    sql = value if value.lstrip()[:6].upper() == "SELECT" else f"SELECT {value}"
    try:
        trees = read_trees(sql)
    except (ParseError, RecursionError):
        return False
    for kind, part in walk(trees):
        if kind in _READS_OR_WRITES:
            return False
        if kind == "FuncCall":
            name = names.of_strings(part.get("funcname"))
            if world.functions_named(name) or is_unknown(world, name):
                return False
    return True
