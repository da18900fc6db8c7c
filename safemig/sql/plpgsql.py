"""The SQL inside a PL/pgSQL body, in order, by libpg_query's own PL/pgSQL parser.

Text that a variable holds is followed from its assignment to the EXECUTE that runs it, as far as it is constant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pglast.parser import ParseError, parse_plpgsql_json

from safemig.sql.fold import ANYTHING, Pieces, fold
from safemig.sql.tree import Tree, read_trees


class UnreadableBody(Exception):  # noqa: N818  (a fact for the review, not an error that users see)
    """The body does not go through the PL/pgSQL parser; the text says why."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A piece of SQL in the body. `line` counts the body's own lines from 1.

    `statement` is run as it stands, `expression` is evaluated, `dynamic` is an EXECUTE of what `pieces` say,
    `control` is COMMIT or ROLLBACK.
    """

    form: Literal["statement", "expression", "dynamic", "control"]
    text: str
    line: int
    pieces: Pieces = ANYTHING


_ASSIGNMENT = re.compile(r"\s*(?P<target>[^:=]*?(?:\[[^\]]*\])?)\s*:?=\s*(?P<value>.*)", re.DOTALL)

_SUBSCRIPT = re.compile(r"\[([^\]]*)\]")


@dataclass(slots=True)
class _Reader:
    names: dict[int, str]  # variable number -> name
    variables: dict[str, Pieces] = field(default_factory=dict)
    found: list[Embedded] = field(default_factory=list)

    def expression(self, wrapped: Any, line: int) -> str:
        """Note an expression or a statement, and return its text."""
        body = (wrapped or {}).get("PLpgSQL_expr", {})
        text = str(body.get("query", ""))
        if body.get("parseMode", 0) >= 3:  # an assignment: target := value
            assigned = _ASSIGNMENT.match(text)
            text = assigned["value"] if assigned else text
            for place in _SUBSCRIPT.findall(assigned["target"] if assigned else ""):
                if "(" in place:  # a call: a[f()] := value
                    self.found.append(Embedded("expression", place, line))
        if text:
            self.found.append(Embedded("statement" if body.get("parseMode", 0) == 0 else "expression", text, line))
        return text

    def dynamic(self, wrapped: Any, line: int) -> None:
        text = self.expression(wrapped, line)
        self.found.append(Embedded("dynamic", text, line, self.folded(text)))

    def folded(self, text: str) -> Pieces:
        try:
            statement = read_trees(f"SELECT {text}")[0]["stmt"]
            return fold(statement["SelectStmt"]["targetList"][0]["ResTarget"]["val"], self.variables)
        except (ParseError, KeyError, IndexError, RecursionError, ValueError):
            return ANYTHING

    def block(self, statements: Any, *, certain: bool) -> None:
        before = dict(self.variables)
        for wrapped in statements or ():
            for kind, body in wrapped.items():
                self.statement(kind, body)
        if not certain:  # what was assigned here may or may not hold afterwards
            for name in {*before, *self.variables}:
                if before.get(name) != self.variables.get(name):
                    self.variables[name] = ANYTHING

    def statement(self, kind: str, body: Tree) -> None:
        line = int(body.get("lineno", 1))
        short = kind.removeprefix("PLpgSQL_stmt_")
        if short == "block":
            self.block(body.get("body"), certain=True)
            for handler in body.get("exceptions", {}).get("PLpgSQL_exception_block", {}).get("exc_list", ()):
                self.block(handler.get("PLpgSQL_exception", {}).get("action"), certain=False)
        elif short == "assign":
            text = self.expression(body.get("expr"), line)
            name = self.names.get(int(body.get("varno", 0)))
            if name:
                self.variables[name] = self.folded(text)
        elif short in ("dynexecute", "dynfors"):
            self.dynamic(body.get("query"), line)
            self.rest(body, line, {"query", "body"})
            self.forget(body)
            self.loop(body)
        elif short == "return_query" or short == "open":
            if "dynquery" in body:
                self.dynamic(body["dynquery"], line)
            self.rest(body, line, {"dynquery"})
        elif short in ("commit", "rollback"):
            self.found.append(Embedded("control", short.upper(), line))
        elif short == "if":
            self.expression(body.get("cond"), line)
            self.block(body.get("then_body"), certain=False)
            for item in body.get("elsif_list", ()):
                branch = item.get("PLpgSQL_if_elsif", {})
                self.expression(branch.get("cond"), int(branch.get("lineno", line)))
                self.block(branch.get("stmts"), certain=False)
            self.block(body.get("else_body"), certain=False)
        elif short == "case":
            self.expression(body.get("t_expr"), line)
            for item in body.get("case_when_list", ()):
                branch = item.get("PLpgSQL_case_when", {})
                self.expression(branch.get("expr"), int(branch.get("lineno", line)))
                self.block(branch.get("stmts"), certain=False)
            self.block(body.get("else_stmts"), certain=False)
        else:
            self.rest(body, line, {"body"})
            self.forget(body)
            self.loop(body)

    def loop(self, body: Tree) -> None:
        """Read a loop's body with nothing known of what it assigns further down itself."""
        if "body" not in body:
            return
        for inner in _inside(body["body"]):
            name = self.names.get(int(inner.get("varno", 0))) if "varno" in inner else None
            if name and "expr" in inner and self.variables.get(name) is not None and _reads(inner, name):
                self.variables[name] = ANYTHING
        self.block(body["body"], certain=False)

    def forget(self, body: Tree) -> None:
        """Drop what was known of the variables that a statement sets from data."""
        for key in ("target", "var", "row"):
            for kind, target in (body.get(key) or {}).items():
                if kind in ("PLpgSQL_var", "PLpgSQL_rec") and target.get("refname"):
                    self.variables[target["refname"].lower()] = ANYTHING
                for item in target.get("fields", ()) if kind == "PLpgSQL_row" else ():
                    self.variables[str(item.get("name", "")).lower()] = ANYTHING

    def rest(self, body: Tree, line: int, without: set[str]) -> None:
        """Note every other expression of a statement."""
        for key, value in body.items():
            if key not in without:
                for wrapped in _expressions(value if key != "PLpgSQL_expr" else {key: value}):
                    self.expression(wrapped, line)


def _expressions(value: Any) -> Iterator[Tree]:
    if isinstance(value, dict):
        if "PLpgSQL_expr" in value:
            yield value
            return
        for inner in value.values():
            yield from _expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _expressions(inner)


def _inside(value: Any) -> Iterator[Tree]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _inside(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _inside(inner)


def _reads(assignment: Tree, name: str) -> bool:
    text = str(assignment["expr"].get("PLpgSQL_expr", {}).get("query", ""))
    found = _ASSIGNMENT.match(text)
    return re.search(rf"\b{re.escape(name)}\b", found["value"] if found else text, re.IGNORECASE) is not None


def read_body(definition: str) -> list[Embedded]:
    """Return the SQL inside a `DO` or a `CREATE FUNCTION ... LANGUAGE plpgsql`, in the order of the text.

    Raises:
        UnreadableBody: the parser refuses it.
    """
    try:
        functions = json.loads(parse_plpgsql_json(definition))
    except (ParseError, RecursionError, ValueError) as problem:
        raise UnreadableBody(str(problem.args[0] if problem.args else problem)) from None
    if not functions:
        raise UnreadableBody("no PL/pgSQL body was found")
    found: list[Embedded] = []
    for wrapped in functions:
        function = wrapped.get("PLpgSQL_function", {})
        reader = _Reader(names={}, found=found)
        for number, datum in enumerate(function.get("datums", ())):
            for kind, body in datum.items():
                if kind != "PLpgSQL_var" or not body.get("refname"):
                    continue
                reader.names[number] = body["refname"].lower()
                if "default_val" in body:
                    text = reader.expression(body["default_val"], int(body.get("lineno", 1)))
                    reader.variables[body["refname"].lower()] = reader.folded(text)
                if "cursor_explicit_expr" in body:
                    reader.expression(body["cursor_explicit_expr"], int(body.get("lineno", 1)))
        for kind, body in function.get("action", {}).items():
            reader.statement(kind, body)
    return found
