"""Quoting as PostgreSQL does it: identifiers only where needed, literals always."""

from __future__ import annotations

import re
from functools import cache, lru_cache

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")


@cache
def keywords() -> frozenset[str]:
    """Return the words that are no plain name. The parser that knows them is loaded at the first call."""
    from pglast.keywords import COL_NAME_KEYWORDS, RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS

    return frozenset(COL_NAME_KEYWORDS) | frozenset(RESERVED_KEYWORDS) | frozenset(TYPE_FUNC_NAME_KEYWORDS)


@lru_cache(maxsize=1 << 16)
def quote_identifier(name: str) -> str:
    """Return `name` as SQL, quoted unless it is plain lower case and no keyword (as `quote_ident()` does)."""
    if _PLAIN.match(name) and name not in keywords():
        return name
    return '"' + name.replace('"', '""') + '"'


def quote_name(*parts: str | None) -> str:
    """Return a dotted name such as `app."Order"`; empty parts are left out."""
    return ".".join(map(quote_identifier, filter(None, parts)))


def quote_literal(text: str) -> str:
    """Return `text` as a string literal, in `E''` form only when it holds a backslash (as `quote_literal()` does)."""
    escaped = text.replace("'", "''")
    if "\\" in escaped:
        return " E'" + escaped.replace("\\", "\\\\") + "'"
    return "'" + escaped + "'"
