"""Why a text is not SQL for the server: psql commands, COPY data, templates, another dialect."""

from __future__ import annotations

import re

from safemig.sql.clauses import tokens

_COPY_DATA = re.compile(r"copy\b[^;]*\bfrom\s+stdin\b[^;]*;", re.IGNORECASE)
_TEMPLATE = re.compile(r"\{\{|\{%|<%|\$\{|@@?[A-Za-z_]+@|%\([a-z_]+\)s")


def why_unreadable(sql: str, offset: int, message: str) -> tuple[str, int]:
    """Return the reason in words and where it shows, for a text that the parser refused at `offset`.

    Guarantee: always a reason; the parser's own message where nothing better is known.
    """
    code = [token for token in tokens(sql) if token.kind != "comment"]
    for index, token in enumerate(code):
        text = sql[token.start : token.end]
        if token.start > offset + 1:
            break
        if text == "\\":
            word = code[index + 1] if index + 1 < len(code) else token
            command = sql[token.start : word.end].split("\n")[0]
            return f"{command} is a command of psql, which the server does not know", token.start
        if text.lower() == "copy":
            data = _COPY_DATA.match(sql, token.start)
            if data and data.end() <= offset:
                return r"COPY ... FROM stdin has no line \. at the end of its rows", token.start
    line_start = sql.rfind("\n", 0, offset) + 1
    line_end = sql.find("\n", offset)
    template = _TEMPLATE.search(sql, max(line_start, offset - 40), len(sql) if line_end < 0 else line_end)
    if template:
        return f"{template[0]} is a template's placeholder: render the template first", template.start()
    at = sql[offset : offset + 2]
    if at[:1] == ":" and at[1:2] and (at[1:2].isalpha() or at[1:2] in "'\"_"):
        return "a psql variable (:name) is not known to the server", offset
    if at[:1] == "`":
        return f"{message} (backquotes are MySQL's; PostgreSQL writes double quotes)", offset
    return message, offset
