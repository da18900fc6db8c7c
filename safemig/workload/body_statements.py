"""Statements inside functions that the application runs: analysed by PostgreSQL itself on the copy, and never run.

PostgreSQL analyses the body of a function in SQL when it is created. So each statement of a PL/pgSQL body becomes, in a
transaction that is rolled back, the body of a temporary function in SQL whose arguments are the variables that it may
use: types, columns and operators are checked as they will be when it runs. What a record or a dynamic text decides is
not checked, and counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pglast.parser import ParseError, parse_plpgsql_json

from safemig.sql.identifiers import quote_identifier
from safemig.sql.names import of_dotted
from safemig.sql.plpgsql import UnreadableBody, read_body
from safemig.sql.reads import reads_of
from safemig.workload.bodies import WHICH_TRIGGERS, fires
from safemig.workload.statement import Statement
from safemig.workload.trial import Session, Trial

WHICH_FUNCTIONS = """
SELECT p.oid::int8, p.proname::text, l.lanname::text, pg_get_functiondef(p.oid), p.proargnames,
       ARRAY(SELECT format_type(t, NULL)
             FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY AS x (t, n) ORDER BY n)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE l.lanname IN ('plpgsql', 'sql') AND p.prokind IN ('f', 'p') AND coalesce(p.prosrc, '') <> ''
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
"""
_IS_STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|MERGE|TABLE|VALUES)\b", re.IGNORECASE)
_SAYS_A_TYPE = re.compile(r'[\w$." ]+(\[\])?')
_CALLED = re.compile(r"[a-z_][\w$]*(?=\s*\()")
_MOST_PIECES = 3000


@dataclass(frozen=True, slots=True)
class Piece:
    """A statement of a function's body: the function's oid and name, the statement's text, and for which table a trigger runs it."""

    oid: int
    function: str
    text: str
    table: str = ""


@dataclass(frozen=True, slots=True)
class BodyTrials:
    """How the statements in functions fared at one moment, and how many are beyond a check."""

    found: Mapping[Piece, Trial]
    dynamic: int = 0


def try_bodies(session: Session, statements: Iterable[Statement]) -> BodyTrials:
    """Analyse the statements of the functions and triggers that the application's statements run. Changes nothing."""
    functions = {row[0]: row for row in session.ask(WHICH_FUNCTIONS)}
    used, tables = _run_by(session, statements, functions)
    pieces: dict[Piece, str] = {}
    dynamic = 0
    for oid in used:
        _, name, language, definition, names, types = functions[oid]
        if language == "sql":
            pieces[Piece(oid, name, "")] = definition
            continue
        try:
            read = read_body(definition)
        except UnreadableBody:
            dynamic += 1
            continue
        dynamic += sum(each.form == "dynamic" for each in read)
        variables = _variables(definition, names or (), types)
        for table in sorted(tables.get(oid, {""})):
            known = variables | ({"new": _row(table), "old": _row(table)} if table else {})
            for each in read:
                if each.form in ("statement", "expression"):
                    text = each.text if _IS_STATEMENT.match(each.text) else f"SELECT {each.text}"
                    pieces[Piece(oid, name, text, table)] = _as_function(session, text, known)
    return BodyTrials(
        session.analysed(dict(list(pieces.items())[:_MOST_PIECES])), dynamic + max(len(pieces) - _MOST_PIECES, 0)
    )


def broken_since(before: BodyTrials, after: BodyTrials) -> dict[int, Trial]:
    """Return the functions, by oid, of which a statement could be analysed before and cannot now, unchanged as it is."""
    earlier = {(piece.function, piece.text, piece.table): trial for piece, trial in before.found.items()}
    found: dict[int, Trial] = {}
    for piece, trial in after.found.items():
        was = earlier.get((piece.function, piece.text, piece.table))
        if was is not None and was.works and not trial.works:
            found.setdefault(piece.oid, Trial(trial.sqlstate, f"function {piece.function} fails: {trial.message}"))
    return found


def not_analysed(before: BodyTrials) -> str:
    """Say how many statements in functions are beyond a check; "" where there are none."""
    unclear = sum(not trial.works for trial in before.found.values()) + before.dynamic
    known = len(before.found) + before.dynamic
    return (
        f"{unclear:,} of {known:,} statements inside functions: records or dynamic SQL decide what they do"
        if unclear
        else ""
    )


def _run_by(
    session: Session, statements: Iterable[Statement], functions: Mapping[int, Sequence[Any]]
) -> tuple[list[int], dict[int, set[str]]]:
    """Return the functions that the statements run, those that these call too, and the tables for which triggers run them."""
    by_name: dict[str, set[int]] = {}
    for oid, row in functions.items():
        by_name.setdefault(row[1], set()).add(oid)
    triggers = [row for row in session.ask(WHICH_TRIGGERS) if row[1] in functions]
    tables: dict[int, set[str]] = {}
    waiting: list[int] = []
    for each in statements:
        reads = reads_of(each.text)
        waiting += [oid for name in sorted(reads.functions & by_name.keys()) for oid in sorted(by_name[name])]
        for table, oid, kind, _, columns in triggers if reads.target else ():
            if fires(each, reads, of_dotted(table), kind, set(columns)):
                tables.setdefault(oid, set()).add(table)
                waiting.append(oid)
    used: dict[int, None] = {}
    while waiting:
        oid = waiting.pop(0)
        if oid not in used:
            used[oid] = None
            called = set(_CALLED.findall(functions[oid][3].lower())) & by_name.keys()
            waiting += [other for name in sorted(called) for other in sorted(by_name[name])]
    return list(used), tables


def _variables(definition: str, names: Sequence[str], types: Sequence[str]) -> dict[str, str]:
    """Return the arguments and variables of a PL/pgSQL function with their types, as far as they are written plainly."""
    found = {name: kind for name, kind in zip(names, types, strict=False) if name}
    with suppress(ParseError, RecursionError, ValueError):
        for function in json.loads(parse_plpgsql_json(definition)):
            for datum in function.get("PLpgSQL_function", {}).get("datums", ()):
                one = datum.get("PLpgSQL_var", {})
                kind = one.get("datatype", {}).get("PLpgSQL_type", {}).get("typname", "")
                if one.get("refname") and _SAYS_A_TYPE.fullmatch(kind):
                    found.setdefault(one["refname"], kind)
    return found


def _row(table: str) -> str:
    name = of_dotted(table)
    return f"{quote_identifier(name.schema or 'public')}.{quote_identifier(name.name)}"


def _as_function(session: Session, text: str, variables: Mapping[str, str]) -> str:
    """Return the statement as the body of a temporary function that takes the variables which it may use."""
    words = {word.lower() for word in re.findall(r"[\w$]+", text)}
    wanted = {name: kind for name, kind in variables.items() if name.lower() in words}
    known = session.types_that_exist(set(wanted.values()))
    arguments = ", ".join(f"{quote_identifier(name)} {kind}" for name, kind in wanted.items() if kind in known)
    body = text.replace("'", "''")
    return f"CREATE FUNCTION pg_temp.safemig_body({arguments}) RETURNS void LANGUAGE sql AS E'{_escaped(body)}'"


def _escaped(body: str) -> str:
    return body.replace("\\", "\\\\")
