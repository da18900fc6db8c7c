"""Where the clauses of one statement stand in its text: comments, quotes and brackets minded, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator

# One alternative a lexical form of PostgreSQL (manual, section 4.1); the order matters. Letters are all that is no
# other character of ASCII: a range up to U+10FFFF would take fifteen milliseconds to compile.
_TOKEN = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*)
  | (?P<string>(?:[eE](?P<escapes>'))?(?(escapes)(?:[^'\\]|\\.|'')*|'(?:[^']|'')*)')
  | (?P<quoted>"(?:[^"]|"")*")
  | (?P<dollar>(?<![A-Za-z0-9_$])\$(?P<tag>[^\x00-@\[-^`{-\x7f][^\x00-/:-@\[-^`{-\x7f]*)?\$)
  | (?P<word>[^\x00-@\[-^`{-\x7f][^\x00-\#%-/:-@\[-^`{-\x7f]*)
  | (?P<number>[0-9]+)
  | (?P<mark>[^\s])
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(tuple[str, int, int]):
    """A token: its kind (`word`, `string`, `quoted`, `dollar`, `number`, `mark`, `comment`), start and end."""

    __slots__ = ()

    @property
    def kind(self) -> str:
        return self[0]

    @property
    def start(self) -> int:
        return self[1]

    @property
    def end(self) -> int:
        return self[2]


def tokens(sql: str, start: int = 0) -> list[Token]:
    """Return the tokens of `sql` from `start`; what is not closed runs to the end of the text."""
    return list(each_token(sql, start))


def each_token(sql: str, start: int = 0) -> Iterator[Token]:
    """Yield the tokens of `sql` from `start`, for anyone who needs the first ones only."""
    at = start
    search = _TOKEN.search
    while match := search(sql, at):
        kind = match.lastgroup or "mark"  # of groups in groups, the outermost
        begin, at = match.span()
        if kind == "comment" and match[0] == "/*":
            at = _block_comment_end(sql, at)
        elif kind == "dollar":
            close = sql.find(match[0], at)
            at = len(sql) if close < 0 else close + len(match[0])
        yield Token((kind, begin, at))


def _block_comment_end(sql: str, at: int) -> int:
    """Return where a block comment that was opened just before `at` ends; PostgreSQL nests them."""
    depth = 1
    for match in re.compile(r"/\*|\*/").finditer(sql, at):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return len(sql)


def code_end(sql: str) -> int:
    """Return where the last token that is no comment ends."""
    end = 0
    for token in tokens(sql):
        if token.kind != "comment":
            end = token.end
    return end


def alter_clauses(sql: str) -> list[tuple[int, int]]:
    """Return the start and end of each command of an `ALTER TABLE [IF EXISTS] [ONLY] name [*] command, ...`.

    The comma list is split outside brackets and quotes, so a default such as `coalesce(a, b)` stays whole.
    """
    found = [token for token in each_token(sql) if token[0] != "comment"]
    words = [sql[begin:end].lower() for _, begin, end in found]
    index = 1
    for skipped in ("foreign", "materialized"):
        if index < len(words) and words[index] == skipped:
            index += 1
    index += 1  # TABLE, INDEX, VIEW, TYPE, SEQUENCE
    for skipped in ("if", "exists", "only"):
        if index < len(words) and words[index] == skipped:
            index += 1
    index += 1  # the name, or its first part
    while index + 1 < len(words) and words[index] == ".":
        index += 2
    if index < len(words) and words[index] == "*":
        index += 1
    spans: list[tuple[int, int]] = []
    depth, begin = 0, index
    for position in range(index, len(found)):
        word = words[position]
        if word in ("(", "["):
            depth += 1
        elif word in (")", "]"):
            depth -= 1
        elif word == "," and depth == 0:
            if position > begin:
                spans.append((found[begin].start, found[position - 1].end))
            begin = position + 1
    if begin < len(found):
        spans.append((found[begin].start, found[-1].end))
    return spans
