"""Scripts as psql runs them: BEGIN and COMMIT around, commands that begin with a backslash, the data of COPY.

For files that are applied already: what psql or the platform's own tool once ran must run again on an empty database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from safemig.sql.parsing import SqlSyntaxError

# What says nothing of a schema: settings of psql itself, and words for who watches.
HARMLESS = frozenset({
    "restrict", "unrestrict", "set", "unset", "echo", "qecho", "warn", "pset", "timing", "encoding", "x", "a", "t",
    "errverbose", "conninfo", "prompt",
})  # fmt: skip
_SPECIAL = re.compile(
    r"^[ \t]*\\|\bfrom\s+stdin\b|(?:\A|;)\s*(?:--[^\n]*\n\s*)*(?:begin|commit|start\s+transaction|end)\b",
    re.IGNORECASE | re.MULTILINE,
)
_TOKEN = re.compile(
    r"""--[^\n]*|/\*|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?P<tag>[^\W\d]\w*)?\$|;|\n(?=[ \t]*\\)""",
    re.DOTALL,
)
_COMMAND = re.compile(r"[ \t]*\\([a-zA-Z!?]+)[^\n]*")
_COPY = re.compile(r"copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)
_TRANSACTION = re.compile(
    r"(?:begin(?:\s+(?:work|transaction))?|start\s+transaction|commit(?:\s+(?:work|transaction))?|end(?:\s+(?:work|transaction))?)",
    re.IGNORECASE,
)
_COMMENTS = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of a script: statements, or one COPY with its data. `line` is where it begins."""

    kind: Literal["statements", "copy"]
    line: int
    sql: str
    data: str = ""


def is_psql_script(text: str) -> bool:
    """Tell whether a text may have what only psql understands, or transactions of its own."""
    return bool(_SPECIAL.search(text))


def read_psql_script(text: str) -> list[Piece]:
    """Cut a script into what a server can run; BEGIN, COMMIT and harmless commands are left out, lines keep their number.

    Raises:
        SqlSyntaxError: a command of psql's that does something, such as \\i or \\gexec, or COPY data without an end.
    """
    pieces: list[Piece] = []
    kept: list[str] = []  # of the piece under way, with every left-out line as an empty one
    begins, start, position = 1, 0, 0

    def line_at(offset: int) -> int:
        return text.count("\n", 0, offset) + 1

    def close(at: int) -> None:
        nonlocal begins
        if "".join(kept).strip():
            pieces.append(Piece("statements", begins, "".join(kept)))
        kept.clear()
        begins = line_at(at)

    while position <= len(text):
        if _is_at_line_start(text, position) and _COMMENTS.fullmatch(text, start, position):
            command = _COMMAND.match(text, position)
            if command:
                if command[1].lower() not in HARMLESS:
                    raise SqlSyntaxError(f"psql's command \\{command[1]} is not run here", line_at(position), 1)
                kept.append(text[start:position])
                start = position = command.end()
                continue
        token = _TOKEN.search(text, position)
        if token is None:
            kept.append(text[start:])
            break
        if token[0] == "/*":
            position = _end_of_comment(text, token.start())
        elif token["tag"] is not None or token[0] == "$$":
            end = text.find(token[0], token.end())
            position = end + len(token[0]) if end >= 0 else len(text)
        elif token[0] == ";":
            statement = text[start : token.start()]
            bare = statement[_COMMENTS.match(statement).end() :].strip()  # type: ignore[union-attr]
            position = token.end()
            if _COPY.match(bare):
                at = start + statement.find(bare)
                close(at)
                data, position = _data(text, position, line_at(at))
                pieces.append(Piece("copy", line_at(at), bare, data))
                begins = line_at(position)
            elif _TRANSACTION.fullmatch(bare):
                kept.append("\n" * statement.count("\n"))
            else:
                kept.append(text[start:position])
            start = position
        else:
            position = token.end()
    close(len(text))
    return pieces


def _is_at_line_start(text: str, position: int) -> bool:
    return position == 0 or text[position - 1] == "\n" or not text[text.rfind("\n", 0, position) + 1 : position].strip()


def _end_of_comment(text: str, start: int) -> int:
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)


def _data(text: str, position: int, line: int) -> tuple[str, int]:
    begin = text.find("\n", position) + 1
    if text.startswith("\\.", begin):
        end = begin
    else:
        end = text.find("\n\\.", begin - 1) + 1
        if begin == 0 or end == 0:
            raise SqlSyntaxError(r"COPY FROM stdin has no line \. at its end", line, 1)
    after = text.find("\n", end)
    return text[begin:end], len(text) if after < 0 else after
