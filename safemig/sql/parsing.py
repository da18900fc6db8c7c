"""Text to statements by PostgreSQL's own parser (libpg_query 18, through pglast), with exact positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

from pglast.parser import ParseError

from safemig.errors import MigrationError
from safemig.sql import kinds
from safemig.sql.clauses import code_end, tokens
from safemig.sql.client_text import for_the_server, with_rows
from safemig.sql.foreign import as_identifiers, extension_mark, why_unreadable
from safemig.sql.long_texts import LONG, portions
from safemig.sql.positions import Positions
from safemig.sql.tree import Tree, node, read_json, read_trees_and_json, tree_of

_Raw = TypeVar("_Raw")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One text to read: the path that is shown, and its SQL."""

    name: str
    sql: str = field(repr=False)


class SqlSyntaxError(MigrationError):
    """The text is not SQL that PostgreSQL can run: `reason`, at `line` and `column`."""

    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(
            f"the SQL cannot be read: {reason}",
            where=f"line {line}, column {column}",
            next="correct the text; what cannot be read is never called safe",
        )
        self.reason = reason
        self.line = line
        self.column = column


class ParsedStatement(NamedTuple):
    """One statement: its exact text without comments around it or a semicolon, and where it stands (from 1)."""

    sql: str
    line: int
    column: int
    end_line: int
    start: int  # the character offset in the file
    tree: Tree  # libpg_query's JSON, read; offsets in it count the text's bytes
    json: str  # the same as text, to be asked by `sql.tree.holds`
    is_abridged: bool = False  # of many rows of literals, the tree holds one that is like them
    has_rows: bool = False  # a COPY FROM stdin whose rows follow it in the file

    @property
    def node(self) -> Any:
        """The statement as a pglast node; its positions count from the statement's own first character."""
        from pglast import parse_sql

        return parse_sql(self.sql)[0].stmt

    def in_full(self) -> ParsedStatement:
        """Return the statement with a tree that holds all of it."""
        if not self.is_abridged:
            return self
        [(item, json)] = read_trees_and_json(self.sql)
        return self._replace(tree=item["stmt"], json=json, is_abridged=False)

    @property
    def kind(self) -> str:
        """What it is, in words: `CREATE TABLE`, `ALTER TABLE … ADD COLUMN`, `DELETE`."""
        return kinds.kind(self.tree)

    @property
    def transactional(self) -> bool:
        """False for what PostgreSQL refuses inside a transaction block."""
        return not kinds.refuses_transaction(self.tree)

    @property
    def is_transaction_control(self) -> bool:
        """True for BEGIN, COMMIT, ROLLBACK, SAVEPOINT and their like."""
        return node(self.tree)[0] == "TransactionStmt"

    @property
    def tables(self) -> tuple[str, ...]:
        """The dotted names of the tables that the statement itself touches, in order, each once."""
        return kinds.tables(self.tree, self.json)


def parse(sql: str) -> list[ParsedStatement]:
    """Return the statements of a text; comments and empty statements are left out.

    Guarantee: either the whole text is read or nothing is returned.

    Raises:
        SqlSyntaxError: with the line, the column and the reason: PostgreSQL's own words, or, where the text is
            not for the server alone (psql commands, COPY data, a template, an extension's script), that.
    """
    _require_no_extension(sql)
    server_sql = _for_the_server(sql)
    found = _parse_whole(server_sql)
    if server_sql is sql or "\\." not in sql:
        return found
    return [
        one._replace(has_rows=True) if one.kind == "COPY" and with_rows(sql, one.start + len(one.sql)) else one
        for one in found
    ]


def _parse_whole(sql: str) -> list[ParsedStatement]:
    positions = Positions(sql)
    if len(sql) > LONG:
        with suppress(ParseError, UnicodeEncodeError, SqlSyntaxError):  # then what is wrong is said of the whole
            return list(_of_portions(sql, positions, _parse))
    return _parse(sql, positions)


def _parse(sql: str, positions: Positions) -> list[ParsedStatement]:
    return [_statement(sql, positions, item, text) for item, text in _read(sql, positions, read_trees_and_json)]


def _of_portions(
    sql: str, positions: Positions, reader: Callable[[str, Positions], list[ParsedStatement]]
) -> Iterator[ParsedStatement]:
    """Yield the statements of a long text, portion by portion; INSERTs that differ in literals only share one tree."""
    known: dict[tuple[str, str], ParsedStatement] = {}
    if "\0" in sql:
        raise SqlSyntaxError("the text holds a zero byte", 1, 1)
    for begin, end, plain in portions(sql):
        text = sql[begin:end]
        line, column = positions.line_and_column(begin)
        if plain is None:
            for one in reader(text, Positions(text)):
                yield _moved(one, begin, positions)
            continue
        alike = plain["shape"], plain["rest"]
        if alike not in known:
            first = "".join(plain.group("shape", "row", "rest"))
            known.update((alike, one) for one in reader(first, Positions(first)))
        if alike in known:
            yield known[alike]._replace(
                sql=text, line=line, column=column, end_line=line + text.count("\n"), start=begin, is_abridged=True
            )


def _moved(one: ParsedStatement, by: int, positions: Positions) -> ParsedStatement:
    """Return a statement of a part of the text as one of the whole; the part began at `by`."""
    line, column = positions.line_and_column(by + one.start)
    return one._replace(line=line, column=column, end_line=line + one.sql.count("\n"), start=by + one.start)


def wrapper_of(statements: Sequence[ParsedStatement]) -> tuple[int, ...] | None:
    """Return which statements are the BEGINs and COMMITs that the file is made of (but SET before them); None where it is not.

    A file may be several transactions, one after another, and end with a ROLLBACK that has nothing left to undo.
    """
    controls = [number for number, one in enumerate(statements) if one.is_transaction_control]
    kept = controls
    if len(controls) > 2 and controls[-1] - 1 == controls[-2] and _control(statements[controls[-1]]) == "ROLLBACK":
        kept = controls[:-1]
    pairs = list(zip(kept[::2], kept[1::2], strict=False))
    if not pairs or len(kept) % 2 or controls[-1] != len(statements) - 1:
        return None
    if any(node(one.tree)[0] != "VariableSetStmt" for one in statements[: kept[0]]):
        return None
    if any(_control(statements[begin]) != "BEGIN" or _control(statements[end]) != "COMMIT" for begin, end in pairs):
        return None
    joined = all(end + 1 == begin for (_, end), (begin, _) in pairwise(pairs))
    return tuple(controls) if joined else None


def _control(statement: ParsedStatement) -> str:
    """Return BEGIN, COMMIT or ROLLBACK where the statement is just that, without options."""
    body = node(statement.tree)[1]
    if body.get("options") or body.get("chain"):
        return ""
    kind = str(body.get("kind", "TRANS_STMT_BEGIN")).removeprefix("TRANS_STMT_")
    return "BEGIN" if kind == "START" else kind


def parse_some(sql: str, wanted: Callable[[str], bool]) -> Iterator[tuple[int, ParsedStatement]]:
    """Yield the statements whose JSON is `wanted`, numbered; each is asked about when its turn comes.

    Raises as `parse` does, but leaves out what is nested too deeply, as `parse_what_can_be` does.
    """
    _require_no_extension(sql)
    sql = _for_the_server(sql)
    if len(sql) > LONG:
        yield from ((number, one) for number, one in enumerate(parse(sql)) if wanted(one.json))
        return
    positions = Positions(sql)
    for number, text in enumerate(_read(sql, positions, read_json)):
        if wanted(text):
            with suppress(RecursionError):
                yield number, _statement(sql, positions, tree_of(text), text)


def _require_no_extension(sql: str) -> None:
    if mark := extension_mark(sql):
        reason = f"an extension's script, which CREATE EXTENSION alone runs: it replaces {mark[0]}"
        if mark[0].startswith("\\"):
            reason = "an extension's script, which CREATE EXTENSION alone runs: psql leaves it at \\quit"
        raise SqlSyntaxError(reason, *Positions(sql).line_and_column(mark[1]))


def _for_the_server(sql: str) -> str:
    return for_the_server(" " + sql[1:] if sql.startswith("\ufeff") else sql)  # a byte order mark: psql skips it too


def _read(sql: str, positions: Positions, reader: Callable[[str], list[_Raw]]) -> list[_Raw]:
    """Return what `reader` makes of the text; raises as `parse` does."""
    if "\0" in sql:
        raise SqlSyntaxError("the text holds a zero byte", *positions.line_and_column(sql.index("\0")))
    try:
        return reader(sql)
    except ParseError as problem:
        message, offset = str(problem.args[0]).split(", at index")[0], 0
        if len(problem.args) > 1 and problem.args[1] is not None:  # a limit that was exceeded has no place
            offset = min(int(problem.args[1]), len(sql))
        reason, offset = why_unreadable(sql, max(offset, 0), message)
        raise SqlSyntaxError(reason, *positions.line_and_column(offset)) from None
    except UnicodeEncodeError as problem:
        raise SqlSyntaxError("the text is not valid Unicode", *positions.line_and_column(problem.start)) from None
    except RecursionError:
        raise SqlSyntaxError("an expression is nested too deeply to be read", 1, 1) from None


def parse_what_can_be(sql: str) -> list[ParsedStatement]:
    """Return the statements that can be read of a text that as a whole cannot; the rest is left out.

    The text is split at semicolons outside of quotes and brackets; `parse` says what is wrong with the rest.
    """
    sql = _for_the_server(as_identifiers(sql) if extension_mark(sql) else sql)
    positions = Positions(sql)
    if len(sql) > LONG:
        with suppress(ParseError, UnicodeEncodeError, SqlSyntaxError):
            return list(_of_portions(sql, positions, _parse_what_can_be))
    return _parse_what_can_be(sql, positions)


def _parse_what_can_be(sql: str, positions: Positions) -> list[ParsedStatement]:
    found: list[ParsedStatement] = []
    begin, depth = 0, 0
    ends = [len(sql)]
    for token in tokens(sql):
        mark = sql[token.start : token.end]
        depth = max(0, depth + {"(": 1, ")": -1}.get(mark, 0))
        if mark == ";" and depth == 0:
            ends.insert(-1, token.end)
    for end in ends:
        text = sql[begin:end]
        with suppress(SqlSyntaxError):
            found.extend(_moved(one, begin, positions) for one in _parse(_for_the_server(text), Positions(text)))
        begin = end
    return found


def _statement(sql: str, positions: Positions, item: Tree, json: str) -> ParsedStatement:
    first_byte = item.get("stmt_location", 0)
    length = item.get("stmt_len", 0)
    start = positions.character(first_byte)
    text = sql[start : positions.character(first_byte + length)] if length else sql[start:]
    # libpg_query begins a text's first statement at offset 0, with what stands before it
    lead = _lead(text)
    text = text[lead:].rstrip()
    if "--" in text or "*/" in text:
        text = text[: code_end(text)]
    text = text.rstrip("; \t\r\n\f\v") if not length else text
    line, column = positions.line_and_column(start + lead)
    return ParsedStatement(text, line, column, line + text.count("\n"), start + lead, item["stmt"], json)


def _lead(text: str) -> int:
    """Return how much of `text` is blanks, comments and empty statements."""
    code = text.lstrip(" \t\r\n\f\v")
    if code[:1].isalpha() or code[:1] == "(":
        return len(text) - len(code)
    for token in tokens(text):
        if token.kind != "comment" and text[token.start] != ";":
            return token.start
    return 0
