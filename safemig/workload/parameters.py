"""What each parameter of a statement is compared with, or written to: by its text alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pglast import ast, parse_sql
from pglast.enums import A_Expr_Kind
from pglast.parser import ParseError
from pglast.stream import RawStream

Use = Literal["compared", "low", "high", "array", "written", "limit", "offset"]
_CALCULATES = ("+", "-", "*", "/", "%", "^", "||", "->", "->>", "#>", "#>>")
_LOW, _HIGH = (">", ">="), ("<", "<=")


@dataclass(frozen=True, slots=True)
class ParameterUse:
    """How a parameter is used: with which expression on which relation (by its name in the statement)."""

    number: int
    use: Use
    relation: str  # "" where the text does not say which of its relations has the column
    expression: str
    column: str = ""


@dataclass(frozen=True, slots=True)
class Parameters:
    """A statement's parameters, and its relations: name in the statement -> the table as SQL."""

    uses: tuple[ParameterUse, ...]
    relations: tuple[tuple[str, str], ...]
    target: str = ""  # the relation that is written to
    is_insert: bool = False
    is_read_only: bool = False


def read_parameters(text: str) -> Parameters | None:
    """Return what a statement's parameters stand for; None where PostgreSQL's parser refuses the text."""
    try:
        statement = parse_sql(text)[0].stmt
    except (ParseError, IndexError):
        return None
    nodes = list(_walk(statement))
    relations: dict[str, str] = {}
    for each in nodes:
        if isinstance(each, ast.RangeVar):
            relations.setdefault(_called(each), _table(each))
    target = ""
    if isinstance(statement, ast.InsertStmt | ast.UpdateStmt | ast.DeleteStmt | ast.MergeStmt) and statement.relation:
        target = _called(statement.relation)
    uses: dict[int, ParameterUse] = {}
    for use in _uses(nodes, target):
        uses.setdefault(use.number, use)
    writes = any(
        isinstance(each, ast.InsertStmt | ast.UpdateStmt | ast.DeleteStmt | ast.MergeStmt | ast.LockingClause)
        for each in nodes
    )
    return Parameters(
        tuple(uses[number] for number in sorted(uses)),
        tuple(relations.items()),
        target,
        isinstance(statement, ast.InsertStmt),
        isinstance(statement, ast.SelectStmt) and not writes and statement.intoClause is None,
    )


def _walk(tree: Any) -> Iterator[ast.Node]:
    pending = [tree]
    while pending:
        each = pending.pop(0)
        if isinstance(each, ast.Node):
            yield each
            pending += [getattr(each, name) for name in each if getattr(each, name) is not None]
        elif isinstance(each, tuple):
            pending += each


def _called(of: ast.RangeVar) -> str:
    return str(of.alias.aliasname if of.alias else of.relname)


def _table(of: ast.RangeVar) -> str:
    names = [name for name in (of.schemaname, of.relname) if name]
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def _uses(nodes: Iterable[ast.Node], target: str) -> Iterator[ParameterUse]:
    for each in nodes:
        if isinstance(each, ast.A_Expr):
            yield from _compared(each)
        elif isinstance(each, ast.SelectStmt):
            for use, of in (("limit", each.limitCount), ("offset", each.limitOffset)):
                if (number := _parameter(of)) is not None:
                    yield ParameterUse(number, use, "", "")  # type: ignore[arg-type]
        elif isinstance(each, ast.InsertStmt):
            yield from _inserted(each, target)
        elif isinstance(each, ast.UpdateStmt | ast.OnConflictClause):
            yield from _set(each.targetList or (), target)


def _inserted(statement: ast.InsertStmt, target: str) -> Iterator[ParameterUse]:
    columns = [each.name for each in statement.cols or ()]
    rows = getattr(statement.selectStmt, "valuesLists", None) or ()
    for row in rows:
        for column, value in zip(columns, row, strict=False):
            if (number := _parameter(value)) is not None:
                yield ParameterUse(number, "written", target, _quoted(column), column)


def _set(targets: Iterable[Any], target: str) -> Iterator[ParameterUse]:
    for each in targets:
        if isinstance(each, ast.ResTarget) and (number := _parameter(each.val)) is not None:
            yield ParameterUse(number, "written", target, _quoted(str(each.name)), str(each.name))


def _compared(each: ast.A_Expr) -> Iterator[ParameterUse]:
    if each.kind is A_Expr_Kind.AEXPR_OP and each.name and each.name[-1].sval in _CALCULATES:
        return
    left, right = each.lexpr, each.rexpr
    for one, other in ((left, right), (right, left)):
        column = _only_column(one)
        if column is None:
            continue
        of, name = column
        text = str(RawStream()(one))  # type: ignore[arg-type]  # a node, as `_only_column` saw
        if each.kind in (A_Expr_Kind.AEXPR_OP_ANY, A_Expr_Kind.AEXPR_OP_ALL):
            if (number := _parameter(other)) is not None:
                yield ParameterUse(number, "array", of, text, name)
            continue
        if each.kind in (A_Expr_Kind.AEXPR_BETWEEN, A_Expr_Kind.AEXPR_BETWEEN_SYM) and isinstance(other, tuple):
            uses: tuple[Use, ...] = ("low", "high")
        else:
            operator = str(each.name[-1].sval) if each.name else ""
            operator = operator if one is left else _turned(operator)
            uses = ("low" if operator in _LOW else "high" if operator in _HIGH else "compared",)
        for place, value in enumerate(other if isinstance(other, tuple) else (other,)):
            if (number := _parameter(value)) is not None:
                yield ParameterUse(number, uses[min(place, len(uses) - 1)], of, text, name)


def _turned(operator: str) -> str:
    return operator.translate(str.maketrans("<>", "><")) if operator in (*_LOW, *_HIGH) else operator


def _only_column(expression: Any) -> tuple[str, str] | None:
    """Return (relation, column) of an expression that reads one column and holds no parameter."""
    if not isinstance(expression, ast.Node):
        return None
    found = None
    for each in _walk(expression):
        if isinstance(each, ast.ParamRef | ast.SubLink):
            return None
        if isinstance(each, ast.ColumnRef):
            names = [str(part.sval) for part in each.fields or () if isinstance(part, ast.String)]
            if not names or found not in (None, names):
                return None
            found = names
    return ("" if len(found) == 1 else found[-2], found[-1]) if found else None


def _parameter(value: Any) -> int | None:
    """Return the number of a parameter that stands by itself, perhaps with a cast."""
    while isinstance(value, ast.TypeCast):
        value = value.arg
    return value.number if isinstance(value, ast.ParamRef) else None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
