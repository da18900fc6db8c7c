"""Which functions of one name a call can mean, from the number of its arguments and from types that show. Pure.

PostgreSQL's rules are in the manual, 10.3. What does not show (a column's type, another call's result) fits any type, so
that more may be named than PostgreSQL would take, never less.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from safemig.review.types import split_type, type_text
from safemig.review.world import ANY_OVERLOAD, Function
from safemig.sql.tree import Tree, constant, node

# Types that PostgreSQL casts to each other in a call without being asked.
_FAMILIES = (
    frozenset(("smallint", "integer", "bigint", "numeric", "real", "double precision", "oid", "regclass", "money")),
    frozenset(("text", "character varying", "character", "name", '"char"', "citext")),
    frozenset(("date", "time without time zone", "time with time zone", "timestamp without time zone",
               "timestamp with time zone", "interval")),
    frozenset(("boolean",)), frozenset(("json", "jsonb")), frozenset(("uuid",)), frozenset(("bytea",)),
)  # fmt: skip


def same_arguments(one: Sequence[str], other: Sequence[str]) -> bool:
    """Tell whether two functions of one name are one; a type may be written with its schema or without."""
    return len(one) == len(other) and all(map(_is_same_type, one, other))


def _is_same_type(one: str, other: str) -> bool:
    one, other = split_type(one)[0], split_type(other)[0]
    return one == other or (("." in one) != ("." in other) and one.rpartition(".")[2] == other.rpartition(".")[2])


def called(functions: Iterable[Function], call: Tree) -> list[Function]:
    """Return those of the functions, all of one name, that the call can mean; all where it seems to mean none."""
    everything = list(functions)
    if len(everything) < 2:
        return everything
    fitting = [one for one in everything if fits(one, call)]
    types = [_type_of(item) for item in call.get("args", ())]
    exact = [one for one in fitting if types and all(map(_is_same_type, types, one.arguments))]
    return exact or fitting or everything


def fits(function: Function, call: Tree) -> bool:
    """Tell whether the call may mean the function."""
    if ANY_OVERLOAD in call:
        return True
    given = call.get("args", ())
    if any("NamedArgExpr" in item for item in given) or call.get("func_variadic"):
        return _takes(function, len(given))
    return _takes(function, len(given)) and all(map(_may_be, map(_type_of, given), function.arguments))


def _takes(function: Function, count: int) -> bool:
    most = len(function.arguments)
    least = most - function.optional - function.is_variadic
    return least <= count and (count <= most or function.is_variadic)


def _type_of(argument: Tree) -> str:
    """Return the type of an argument that shows it; empty where any type may be meant."""
    kind, body = node(argument)
    if kind == "TypeCast":
        return split_type(type_text(body.get("typeName")))[0]
    value = constant(argument) if kind == "A_Const" else None
    return "boolean" if isinstance(value, bool) else "integer" if isinstance(value, int) else ""


def _may_be(given: str, wanted: str) -> bool:
    wanted = split_type(wanted)[0]
    family = next((one for one in _FAMILIES if given in one), None)
    other = next((one for one in _FAMILIES if wanted in one), None)
    return family is None or other is None or family is other
