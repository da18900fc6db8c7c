"""Bring a statement's text into the form that is kept: no comments, no values, one space where there were any. Pure.

What pg_stat_statements shows is mostly without values already, but not always: an entry that was evicted while its
statement ran is shown as it was sent, and so are utility statements before PostgreSQL 16. So every text goes through here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pglast import Error as PglastError
from pglast.parser import normalize, scan

from safemig.workload.statement import Kind

UTILITY = "utility statements"
UNREADABLE = "texts that cannot be parsed"
# Already in the form that is kept, but for white space: words, quoted names, parameters and operators.
# Possessive, so that a text that is not in that form is told from one that is in one pass.
_PLAIN = re.compile(
    r"""(?:[A-Za-z_\u0080-\U0010ffff][\w\u0080-\U0010ffff]*+|"(?:[^"]|"")*+"|\$\d++(?![\w$])|\s++"""
    r"""|(?!--|/\*)[-+*/<>=~!@#%^&|`?()\[\],.:;])++"""
)
_PIECES = re.compile(r'"(?:[^"]|"")*"|\s+')
_FIRST = re.compile(r"[\s(]*([A-Za-z]+)")
_TO_SCAN = ("WITH", "DECLARE", "COPY")
_KINDS: dict[str, Kind] = {
    "SELECT": "SELECT", "VALUES": "SELECT", "TABLE": "SELECT", "INSERT": "INSERT", "UPDATE": "UPDATE",
    "DELETE": "DELETE", "MERGE": "MERGE",
}  # fmt: skip
_VERBS = ("SELECT", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE_P", "MERGE")
_LITERALS = ("SCONST", "USCONST", "BCONST", "XCONST")
_COMMENTS = ("SQL_COMMENT", "C_COMMENT")
_INTERVAL_FIELDS = ("YEAR_P", "MONTH_P", "DAY_P", "HOUR_P", "MINUTE_P", "SECOND_P", "TO")


class Kept(NamedTuple):
    """A text in the form that is kept, and what it does."""

    text: str
    kind: Kind


class Skipped(NamedTuple):
    """Why a text is not kept. The text itself is in no message: it may hold values."""

    reason: str


def kept(text: str) -> Kept | Skipped:
    """Return the text without values and comments, or why it is not kept.

    A cursor's query and that of COPY are kept in the place of the whole statement.
    """
    text = text.strip().rstrip(";").rstrip()
    plain = _PLAIN.fullmatch(text) is not None
    first = _FIRST.match(text)
    if plain and first and first[1].upper() in _KINDS and not _has_typed_parameter(text):
        kind = _KINDS[first[1].upper()]
        if kind == "SELECT" and re.search(r"\bINTO\b", text, re.IGNORECASE):
            return _scanned(text)
        return Kept(_PIECES.sub(lambda piece: piece[0] if piece[0][0] == '"' else " ", text), kind)
    return _scanned(text)


def each_statement(text: str) -> Iterator[str]:
    """Yield the statements of a script one by one; a script that cannot be scanned is one statement."""
    try:
        tokens = scan(text)
    except PglastError:
        yield text
        return
    start: int | None = None
    depth = 0
    for token in tokens:
        if token.name in _COMMENTS:
            continue
        if start is None:
            start = token.start
        depth += (token.name == "ASCII_40") - (token.name == "ASCII_41")
        if token.name == "ASCII_59" and depth <= 0:
            if token.start > start:
                yield text[start : token.start]
            start, depth = None, 0
    if start is not None:
        yield text[start:]


_TYPED = re.compile(r"(?i)(?<![\w.$])(?:interval|date|timestamptz?|timetz|time|zone|extract\s*\()\s*\$\d")


def _has_typed_parameter(text: str) -> bool:
    return _TYPED.search(text) is not None


def _scanned(text: str) -> Kept | Skipped:
    try:
        tokens = [token for token in scan(text) if token.name not in _COMMENTS]
        inner = _query_of(text, tokens)
        if inner is None:
            return Skipped(UTILITY)
        normal: str = normalize(inner)
        tokens = [token for token in scan(normal) if token.name not in _COMMENTS]
    except PglastError:
        return Skipped(UNREADABLE)
    kind = _kind_of(tokens)
    if kind == "UTILITY":
        return Skipped(UTILITY)
    if any(token.name in _LITERALS for token in tokens):
        return Skipped(UNREADABLE)
    return Kept(_without_typed_parameters(normal, tokens), kind)


def _query_of(text: str, tokens: list[Any]) -> str | None:
    """Return the statement that is kept of the text: all of it, a cursor's or a COPY's query; None where there is none."""
    if not tokens:
        return None
    first = tokens[0].name
    if first == "DECLARE":
        place = next((n for n, token in enumerate(tokens) if token.name == "FOR"), None)
        return text[tokens[place + 1].start :] if place is not None and place + 1 < len(tokens) else None
    if first == "COPY":
        if len(tokens) < 3 or tokens[1].name != "ASCII_40":
            return None
        depth = 0
        for token in tokens[1:]:
            depth += (token.name == "ASCII_40") - (token.name == "ASCII_41")
            if depth == 0:
                return text[tokens[2].start : token.start]
        return None
    return text if first in (*_VERBS, "WITH", "ASCII_40") else None


def _kind_of(tokens: list[Any]) -> Kind:
    """Return what the statement does: after WITH, what its main part does."""
    depth = 0
    is_select = False
    for token in tokens:
        depth += (token.name == "ASCII_40") - (token.name == "ASCII_41")
        word = token.name.removesuffix("_P")
        if is_select:
            if depth <= 0 and token.name == "INTO":
                return "UTILITY"  # SELECT INTO makes a table
        elif word in _KINDS and (depth == 0 or tokens[0].name == "ASCII_40"):
            if _KINDS[word] != "SELECT":
                return _KINDS[word]
            is_select = True
    return "SELECT" if is_select else "UTILITY"


def _without_typed_parameters(text: str, tokens: list[Any]) -> str:
    """Write `interval $1` as CAST($1 AS interval) and EXTRACT($1 FROM ...) as EXTRACT(epoch FROM ...).

    So pg_stat_statements shows what was `interval '1 day'`, and no server parses it.
    """
    words: list[tuple[str, str, bool]] = []  # token's name, its text, whether a space comes before
    end = -1
    for token in tokens:
        words.append((token.name, text[token.start : token.end + 1], token.start > end + 1 and end >= 0))
        end = token.end
    out: list[str] = []
    place = 0
    while place < len(words):
        name, word, space = words[place]
        if name == "PARAM" and place >= 2 and words[place - 1][0] == "ASCII_40" and words[place - 2][0] == "EXTRACT":
            out.append("epoch")
        elif name == "PARAM" and (length := _type_before(words, place)):
            kept_words, last = words[place - length : place], place
            if words[place - 1][0] == "INTERVAL":
                fields_at = (n for n in range(place + 1, len(words)) if words[n][0] not in _INTERVAL_FIELDS)
                last = next(fields_at, len(words)) - 1
            of_type = "".join((" " if n and gap else "") + each for n, (_, each, gap) in enumerate(kept_words))
            fields = "".join(f" {each}" for _, each, _ in words[place + 1 : last + 1])
            del out[len(out) - length :]
            out.append((" " if kept_words[0][2] else "") + f"CAST({word} AS {of_type}{fields})")
            place = last
        else:
            out.append((" " if space else "") + word)
        place += 1
    return "".join(out).strip()


def _type_before(words: list[tuple[str, str, bool]], place: int) -> int:
    """Return how many words before the parameter are the name of a type that it is written as a constant of."""
    if place == 0:
        return 0
    before = words[place - 1][0]
    if before in ("INTERVAL", "TIMESTAMP", "TIME"):
        return 1
    if before == "ZONE" and place >= 4:
        if words[place - 3][0] == "AT" or words[place - 4][0] not in ("TIMESTAMP", "TIME"):
            return 0
        return 4  # TIMESTAMP WITH TIME ZONE
    if before != "IDENT":
        return 0
    length = 1
    while (
        place - length - 2 >= 0
        and words[place - length - 1][0] == "ASCII_46"
        and words[place - length - 2][0] == "IDENT"
    ):
        length += 2
    return length
