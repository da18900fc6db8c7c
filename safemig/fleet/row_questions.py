"""Questions to every member about rows that would make a migration fail: NULLs, duplicates, orphans, violations, casts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pglast import ast
from pglast.enums.parsenodes import AlterTableType, ConstrType
from pglast.stream import RawStream

from safemig.execution.steps import PlannedFile
from safemig.sql import parse
from safemig.sql.identifiers import quote_identifier, quote_name

_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "COPY")
_LIMITED_TEXT = {"varchar", "bpchar"}
MOST = 1000
CONSTRAINT, KEY_OF_PARENT = "constraint", "key of parent"


@dataclass(frozen=True, slots=True)
class RowQuestion:
    """One question: SQL that counts the rows in the way, up to 1,000, or fails with a data exception where a cast does.

    `lookup` says what the database must be asked first to make that SQL: the definition of a constraint, or the key of
    the parent. `unknown` says why no answer counts: an earlier statement of the same plan writes these rows.
    """

    file: str
    line: int
    what: str
    table: str
    sql: str = ""
    lookup: tuple[str, ...] = ()
    unknown: str = ""


@dataclass
class _Asking:
    """The statements so far: the tables whose rows they write, those that they make, and constraints not yet validated."""

    written: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    not_valid: dict[tuple[str, str], Any] = field(default_factory=dict)
    anything: bool = False  # a block of code may have written any row


def row_questions(files: Sequence[PlannedFile]) -> tuple[RowQuestion, ...]:
    """Return what to ask of every member's rows before these files are run there."""
    asking, found = _Asking(), []
    for file in files:
        for step in file.steps:
            for statement in parse(step.sql):
                node = statement.node
                found += [
                    RowQuestion(step.file, step.line, what, table, sql, lookup, _why_unknown(asking, table))
                    for table, what, sql, lookup in _of(node, asking)
                    if _plain(table) not in asking.made
                ]
                if step.kind.split()[0] in _WRITES:
                    asking.written |= set(map(_plain, statement.tables))
                elif isinstance(node, ast.DoStmt | ast.CallStmt):
                    asking.anything = True
                elif isinstance(node, ast.CreateStmt | ast.CreateTableAsStmt):
                    asking.made |= set(map(_plain, statement.tables[:1]))
    return tuple(found)


def question_of_constraint(question: RowQuestion, definition: str) -> RowQuestion | None:
    """Return the question that validating a constraint with this definition (`pg_get_constraintdef`) asks."""
    text = definition.removesuffix(" NOT VALID").removesuffix(" NOT ENFORCED")
    (statement,) = parse(f"ALTER TABLE {question.table} ADD CONSTRAINT x {text}")
    for table, what, sql, lookup in _of(statement.node, _Asking()):
        named = f"{what} (constraint {question.lookup[1]})"
        return RowQuestion(question.file, question.line, named, table, sql, lookup, question.unknown)
    return None


def _plain(table: str) -> str:
    return table.removeprefix("public.")


def _why_unknown(asking: _Asking, table: str) -> str:
    if asking.anything or _plain(table) in asking.written:
        return "an earlier statement of the plan writes these rows"
    return ""


_Question = tuple[str, str, str, tuple[str, ...]]  # table, what, SQL, what to look up first
_Found = Iterator[_Question]


def _of(node: Any, asking: _Asking) -> _Found:
    if isinstance(node, ast.IndexStmt) and node.unique:
        yield from _of_index(node)
    if not isinstance(node, ast.AlterTableStmt) or node.relation is None:
        return
    table = _name(node.relation)
    for command in node.cmds or ():
        match command.subtype:
            case AlterTableType.AT_SetNotNull:
                yield _nulls(table, command.name)
            case AlterTableType.AT_AddConstraint:
                if command.def_.skip_validation:
                    asking.not_valid[table, command.def_.conname or ""] = command.def_
                else:
                    yield from _of_constraint(table, command.def_)
            case AlterTableType.AT_ValidateConstraint:
                known = asking.not_valid.get((table, command.name))
                if known is not None:
                    yield from _of_constraint(table, known)
                else:
                    yield table, f"{table}: rows against constraint {command.name}", "", (CONSTRAINT, command.name)
            case AlterTableType.AT_AlterColumnType:
                yield from _of_type(table, command)
            case AlterTableType.AT_AddColumn:
                yield from _of_column(table, command.def_)


def _of_index(node: Any) -> _Found:
    keys = [quote_identifier(each.name) if each.name else f"({RawStream()(each.expr)})" for each in node.indexParams]
    where = f" AND ({RawStream()(node.whereClause)})" if node.whereClause else ""
    yield _duplicates(_name(node.relation), keys, where, equal_nulls=bool(node.nulls_not_distinct))


def _of_constraint(table: str, constraint: Any) -> _Found:
    keys = [each.sval for each in constraint.keys or ()]
    match constraint.contype:
        case ConstrType.CONSTR_CHECK:
            expression = RawStream()(constraint.raw_expr)
            yield (
                table,
                f"{table}: rows for which CHECK ({expression}) is false",
                _count(table, f"NOT ({expression})"),
                (),
            )
        case ConstrType.CONSTR_FOREIGN if constraint.fk_attrs:
            yield from _orphans(table, constraint)
        case ConstrType.CONSTR_UNIQUE | ConstrType.CONSTR_PRIMARY if keys and not constraint.indexname:
            quoted = [quote_identifier(key) for key in keys]
            yield _duplicates(table, quoted, "", equal_nulls=bool(constraint.nulls_not_distinct))
            if constraint.contype == ConstrType.CONSTR_PRIMARY:
                for key in keys:
                    yield _nulls(table, key)
        case ConstrType.CONSTR_NOTNULL if keys:
            yield _nulls(table, keys[0])


def _orphans(table: str, constraint: Any) -> _Found:
    own = [quote_identifier(each.sval) for each in constraint.fk_attrs]
    parent = _name(constraint.pktable)
    what = f"{table}: rows whose {', '.join(own)} is in no row of {parent}"
    if constraint.pk_attrs:
        yield (
            table,
            what,
            orphans(table, own, parent, [quote_identifier(each.sval) for each in constraint.pk_attrs]),
            (),
        )
    else:
        yield table, what, "", (KEY_OF_PARENT, parent, *own)


def orphans(table: str, own: Sequence[str], parent: str, theirs: Sequence[str]) -> str:
    """Return SQL that counts rows without a parent; all names quoted."""
    pairs = " AND ".join(f"p.{their} = c.{mine}" for mine, their in zip(own, theirs, strict=True))
    present = " AND ".join(f"c.{mine} IS NOT NULL" for mine in own)
    return (
        f"SELECT count(*) FROM (SELECT FROM {table} c WHERE {present} AND NOT EXISTS "  # noqa: S608 - quoted names
        f"(SELECT FROM {parent} p WHERE {pairs}) LIMIT {MOST}) found"
    )


def _of_type(table: str, command: Any) -> _Found:
    column, definition = quote_identifier(command.name), command.def_
    kind = RawStream()(definition.typeName)
    if definition.raw_default is not None:
        yield (
            table,
            f"{table}: rows whose USING expression for {column} fails",
            _cast(table, RawStream()(definition.raw_default)),
            (),
        )
        return
    last = definition.typeName.names[-1].sval
    limit = definition.typeName.typmods
    if last in _LIMITED_TEXT and limit:  # an explicit cast cuts off what the assignment refuses
        length = limit[0].val.ival
        condition = f"length(rtrim({column}::text)) > {int(length)}"
        yield table, f"{table}: rows whose {column} is longer than {length}", _count(table, condition), ()
        return
    yield table, f"{table}: rows whose {column} cannot be cast to {kind}", _cast(table, f"{column}::{kind}"), ()


def _of_column(table: str, column: Any) -> _Found:
    kinds = {each.contype for each in column.constraints or ()}
    needs = {ConstrType.CONSTR_NOTNULL, ConstrType.CONSTR_PRIMARY} & kinds
    gets = {ConstrType.CONSTR_DEFAULT, ConstrType.CONSTR_IDENTITY, ConstrType.CONSTR_GENERATED} & kinds
    serial = column.typeName is not None and column.typeName.names[-1].sval.endswith("serial")
    if needs and not gets and not serial:
        yield table, f"{table}: rows without a value for the new column {column.colname}", _count(table, "true"), ()


def _nulls(table: str, column: str) -> _Question:
    name = quote_identifier(column)
    return table, f"{table}: rows with NULL in {name}", _count(table, f"{name} IS NULL"), ()


def _duplicates(table: str, keys: Sequence[str], where: str, *, equal_nulls: bool) -> _Question:
    present = "true" if equal_nulls else " AND ".join(f"{key} IS NOT NULL" for key in keys)
    columns = ", ".join(keys)
    sql = (
        f"SELECT count(*) FROM (SELECT FROM {table} WHERE {present}{where} "  # noqa: S608 - quoted names
        f"GROUP BY {columns} HAVING count(*) > 1 LIMIT {MOST}) found"
    )
    return table, f"{table}: values of {columns} that occur more than once", sql, ()


def _count(table: str, condition: str) -> str:
    return f"SELECT count(*) FROM (SELECT FROM {table} WHERE {condition} LIMIT {MOST}) found"  # noqa: S608 - quoted names


def _cast(table: str, expression: str) -> str:
    # Counted, so that every row's is computed; a row that cannot be cast makes the statement fail.
    return f"SELECT 0 * count({expression}) FROM {table}"  # noqa: S608 - quoted names


def _name(relation: Any) -> str:
    return (
        quote_name(relation.schemaname, relation.relname) if relation.schemaname else quote_identifier(relation.relname)
    )
