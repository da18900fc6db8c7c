"""Why a text is not SQL for the server: psql commands, COPY data, templates, an extension's script, another dialect."""

from __future__ import annotations

import re

from safemig.sql.clauses import each_token, tokens

_COPY_DATA = re.compile(r"copy\b[^;]*\bfrom\s+stdin\b[^;]*;", re.IGNORECASE)
_TEMPLATE = re.compile(r"\{\{|\{%|<%|\$\{|@@?[A-Za-z_]+@|%\([a-z_]+\)s")


# What came with PostgreSQL 19 (its release notes, E.1), while libpg_query, through pglast, knows the grammar of 18.
PARSER_MAJOR = 18
NEWER = f"not known to this version's parser (PostgreSQL {PARSER_MAJOR})"
_OF_19 = re.compile(
    r"\s*(?:--[^\n]*\n\s*)*(?P<words>repack\b|wait\s+for\s+lsn\b|(?:create|alter|drop)\s+property\s+graph\b"
    r"|alter\s+table\s+(?:if\s+exists\s+)?(?:[\w\".]+)\s+(?:merge\s+partitions|split\s+partition)\b)",
    re.IGNORECASE,
)
_WITHIN_19 = re.compile(
    r"\bgraph_table\s*\(|\bgroup\s+by\s+all\b|\b(?:ignore|respect)\s+nulls\b|\bdo\s+select\b", re.IGNORECASE
)


# What CREATE EXTENSION alone replaces in an extension's script: in code and in bodies, with nothing in a quoted text.
_PUT_IN = re.compile(r"@(extschema(?::[a-z_][a-z0-9_$]*)?|extowner)@")
_PUT_IN_AS = re.compile(r"\b_(extschema|extowner)_(?:([a-z_][a-z0-9_$]*)_)?(?![a-z0-9_$])")
EXTENSION_SCHEMA = "_extschema_"  # what `as_identifiers` makes of the schema into which the extension goes
_LIBRARY = "'MODULE_PATHNAME'"
_LEAVES = re.compile(r"\\echo\b[^\n]*\\quit\b")


def extension_mark(sql: str) -> tuple[str, int] | None:
    """Return what tells an extension's script from a migration, and where it stands; None where nothing does."""
    if "@ext" not in sql and _LIBRARY not in sql and "\\quit" not in sql:
        return None
    for kind, start, end in each_token(sql):
        if kind == "comment":
            continue
        found = _LEAVES.match(sql, start) if sql[start] == "\\" else None
        if kind != "string":
            found = found or _PUT_IN.search(sql, start, end) or _PUT_IN.match(sql, start)
        if found or sql[start:end] == _LIBRARY:
            return (found[0], found.start()) if found else (_LIBRARY, start)
    return None


def as_identifiers(sql: str) -> str:
    """Return an extension's script with a name, as long as it was, for each value that CREATE EXTENSION puts in."""
    return _PUT_IN.sub(lambda found: f"_{found[1].replace(':', '_')}_", sql)


def as_written(text: str) -> str:
    """Return words about an extension's script with what stands there in the place of those names."""
    if "_ext" not in text:
        return text
    return _PUT_IN_AS.sub(lambda found: f"@{found[1]}{':' * bool(found[2])}{found[2] or ''}@", text)


def _of_newer_server(statement: str) -> str:
    """Return the words of a statement that a newer PostgreSQL understands; nothing where none are known."""
    found = _OF_19.match(statement)
    words = found["words"] if found else getattr(_WITHIN_19.search(statement), "group", str)()
    return " ".join(words.upper().rstrip("( ").split())


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
    begin = max((token.end for token in code if token.end <= offset and sql[token.start : token.end] == ";"), default=0)
    end = next((token.start for token in code if token.start >= offset and sql[token.start] == ";"), len(sql))
    if newer := _of_newer_server(sql[begin:end]):
        return f"{newer} is {NEWER}", offset
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
