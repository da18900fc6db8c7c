"""What of a file is for a client and not for the server: psql's harmless commands, and the way down of other tools' files. Pure.

It is made blank, so that every other character stays where it is: review and runner read the same text.
"""

from __future__ import annotations

import re

from safemig.sql.clauses import each_token

# psql: what prints, or says how psql itself goes on. A variable other than ON_ERROR_STOP may change statements, so it stays.
_HARMLESS = re.compile(
    r"\\(?:set\s+ON_ERROR_STOP\b|set\s+(?:VERBOSITY|QUIET|ECHO)\b|unset\s+ON_ERROR_STOP\b|(?:echo|qecho|warn|restrict|unrestrict|timing|pset|x)\b)[^\n]*"
)
_OTHER_COMMAND = re.compile(r"`|\\!")  # a shell command in backquotes, which psql would run
# goose, sql-migrate and dbmate keep both ways in one file; only after their own "up" does "down" mean anything.
_UP = re.compile(r"(?im)^--[ \t]*(?:\+goose[ \t]+up|\+migrate[ \t]+up|migrate:up)\b[^\n]*")
_DOWN = re.compile(r"(?im)^--[ \t]*(?:\+goose[ \t]+down|\+migrate[ \t]+down|migrate:down)\b[^\n]*")
_LETTERS = re.compile(r"[^\n]")


def for_the_server(sql: str) -> str:
    """Return the text with blanks where it speaks to a client."""
    if "\\" in sql:
        sql = _without_commands(sql)
    if has_way_down(sql):
        sql = _without_way_down(sql)
    return sql


def has_way_down(sql: str) -> bool:
    """Tell whether the file holds its own undoing, as goose, sql-migrate and dbmate keep it."""
    up = _UP.search(sql) if "--" in sql else None
    if up is None or any(token.kind != "comment" for token in each_token(sql[: up.start()])):
        return False
    return _DOWN.search(sql, up.end()) is not None


def _blank(text: str) -> str:
    return _LETTERS.sub(" ", text)


def copied_rows(sql: str, end: int) -> tuple[int, int] | None:
    """Return where the rows stand that follow a COPY ... FROM stdin, whose semicolon ends at `end`; None where none follow.

    They end before a line with `\\.` alone, as psql, pg_dump and `supabase db dump` write it.
    """
    line_end = sql.find("\n", end)
    if line_end < 0 or sql[end:line_end].strip():
        return None
    begin = line_end + 1
    last = begin if sql.startswith("\\.", begin) else sql.find("\n\\.", line_end) + 1
    closed = last > 0 and not sql[last + 2 :].partition("\n")[0].strip()
    return (begin, last) if closed else None


def with_rows(sql: str, end: int) -> tuple[int, int] | None:
    """Return where the rows of a COPY stand whose statement, without its semicolon, ends at `end`."""
    semicolon = next((token for token in each_token(sql, end) if token.kind != "comment"), None)
    return copied_rows(sql, semicolon.end) if semicolon and sql[semicolon.start] == ";" else None


def statement_and_rows(sql: str) -> tuple[str, str] | None:
    """Return a COPY and its rows, of a text that holds the one statement; None where it carries none."""
    if not _COPY.match(sql):
        return None
    for token in each_token(sql):
        if sql[token.start] == ";" and token.kind == "mark":
            rows = copied_rows(sql, token.end)
            return (sql[: token.start], sql[rows[0] : rows[1]]) if rows else None
    return None


_COPY = re.compile(r"copy\b.*?\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)


def _without_commands(sql: str) -> str:
    found: list[str] = []
    at: int | None = 0  # up to where the text was taken over
    position = 0
    while at is not None:
        at = None
        begin: int | None = (
            None  # of the statement; psql reads a command anywhere, one amid a statement is not taken off
        )
        for token in each_token(sql, position):
            mark = sql[token.start]
            if token.kind == "comment":
                continue
            if begin is None and mark == "\\":
                command = _HARMLESS.match(sql, token.start)
                if command and not _OTHER_COMMAND.search(command[0]):
                    found.append(sql[position : token.start] + _blank(command[0]))
                    at = command.end()
                    break
            begin = token.start if begin is None else begin
            if mark == ";" and token.kind == "mark":
                rows = copied_rows(sql, token.end) if _COPY.match(sql, begin, token.end) else None
                if rows:
                    found.append(sql[position : rows[0]] + _blank(sql[rows[0] : rows[1] + 2]))
                    at = rows[1] + 2
                    break
                begin = None
        position = position if at is None else at
    return "".join([*found, sql[position:]])


def _without_way_down(sql: str) -> str:
    parts: list[str] = []
    at = 0
    while down := _DOWN.search(sql, at):
        up = _UP.search(sql, down.end())
        end = up.start() if up else len(sql)
        parts.append(sql[at : down.start()] + _blank(sql[down.start() : end]))
        at = end
    return "".join([*parts, sql[at:]])
