"""Whether anything of what a column held is left in the new value that an UPDATE gives it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from safemig.sql.tree import Tree, constant, node, strings

# Operators that come to the same for one operand, on either side or on the right, whatever the other is.
_ABSORBS = {"*": 0, "&": 0}
_ABSORBS_ON_THE_RIGHT = {"*": 0, "&": 0, "%": 1, "^": 0}
_CANCELS = frozenset(("-", "/", "%", "#"))  # of a column with itself
_FUNCTIONS = {"repeat": 0, "left": 0, "lpad": 0, "rpad": 0, "power": 0, "pow": 0, "mod": 1}  # by the second argument


def is_column(expression: Tree | None, column: str) -> bool:
    """Tell whether the expression is just that column."""
    kind, body = node(expression or {})
    return kind == "ColumnRef" and strings(body.get("fields"))[-1:] == [column]


def reaches(value: Any, column: str) -> bool:
    """Tell whether the new value depends on what the column held: not n * 0, repeat(name, 0), n - n, coalesce('', name)."""
    if isinstance(value, list):
        return any(reaches(one, column) for one in value)
    if not isinstance(value, dict) or is_column(value, column):
        return isinstance(value, dict)
    kind, body = node(value) if len(value) == 1 else ("", value)
    if kind == "A_Expr" and body.get("kind") == "AEXPR_OP":
        operator, left, right = "".join(strings(body.get("name"))), body.get("lexpr"), body.get("rexpr")
        if _is(left, _ABSORBS.get(operator)) or _is(right, _ABSORBS_ON_THE_RIGHT.get(operator)):
            return False
        if operator in _CANCELS and is_column(left, column) and is_column(right, column):
            return False
    elif kind == "BoolExpr" and (body.get("boolop") == "OR_EXPR") in [constant(one) for one in body.get("args", ())]:
        return body.get("boolop") == "NOT_EXPR"
    elif kind == "CoalesceExpr":
        known = [constant(one) is not None for one in body.get("args", ())]
        return reaches(body["args"][: known.index(True) if True in known else None], column)
    elif kind == "FuncCall":
        name, arguments = strings(body.get("funcname"))[-1:], body.get("args", [])
        if len(arguments) > 1 and name and _is(arguments[1], _FUNCTIONS.get(name[0])):
            return False
        if name == ["replace"] and all(is_column(one, column) for one in arguments[:2]):
            return reaches(arguments[2:], column)
    return any(reaches(one, column) for one in (body if isinstance(body, dict) else value).values())


def _is(expression: Tree | None, number: int | None) -> bool:
    """Tell whether the expression is this number, in any way of writing it."""
    if number is None or not expression:
        return False
    with suppress(ValueError, TypeError):
        return float(constant(expression)) == number  # type: ignore[arg-type]
    return False
