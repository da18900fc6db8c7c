"""Quoting as PostgreSQL does it: identifiers only where needed, literals always."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")


@cache
def keywords() -> frozenset[str]:
    """Return the words that are no plain name, from the parser's own list: without the parser, which is slow to load."""
    package = find_spec("pglast")
    assert package is not None  # noqa: S101 - a dependency of ours
    assert package.origin is not None  # noqa: S101
    loader = SourceFileLoader("pglast.keywords", str(Path(package.origin).with_name("keywords.py")))
    known = module_from_spec(spec_from_loader(loader.name, loader))  # type: ignore[arg-type]
    loader.exec_module(known)
    return frozenset(known.COL_NAME_KEYWORDS | known.RESERVED_KEYWORDS | known.TYPE_FUNC_NAME_KEYWORDS)


@lru_cache(maxsize=1 << 16)
def quote_identifier(name: str) -> str:
    """Return `name` as SQL, quoted unless it is plain lower case and no keyword (as `quote_ident()` does)."""
    if _PLAIN.match(name) and name not in keywords():
        return name
    return '"' + name.replace('"', '""') + '"'


@lru_cache(maxsize=1 << 16)
def quote_name(*parts: str | None) -> str:
    """Return a dotted name such as `app."Order"`; empty parts are left out."""
    return ".".join(map(quote_identifier, filter(None, parts)))


def quote_literal(text: str) -> str:
    """Return `text` as a string literal, in `E''` form only when it holds a backslash (as `quote_literal()` does)."""
    escaped = text.replace("'", "''")
    if "\\" in escaped:
        return " E'" + escaped.replace("\\", "\\\\") + "'"
    return "'" + escaped + "'"
