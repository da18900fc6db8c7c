"""Hide the passwords that SQL holds: what is shown of a statement goes into logs, records and pull requests."""

from __future__ import annotations

import re

from safemig.sql.clauses import each_token

_NAMES = frozenset({"password", "sslpassword"})
# ALTER ROLE app PASSWORD 'x', and OPTIONS (password 'x'), once more in a string: EXECUTE 'ALTER ROLE app PASSWORD ''x'''.
_IN_STRING = re.compile(r"(\bpassword\s+)''(?:[^']|'''')*''", re.IGNORECASE)


def without_passwords(sql: str) -> str:
    """Return `sql` with each literal after the word PASSWORD as `'***'`, in bodies and strings too.

    As many lines as before. Not for running: for showing.
    """
    if "password" not in sql.lower():
        return sql
    parts: list[str] = []
    at = 0
    is_named = False  # the token before was the word
    for token in each_token(sql):
        if token.kind == "comment":
            continue
        text = sql[token.start : token.end]
        if token.kind in ("string", "dollar"):
            shown = _hidden(text) if is_named else _inside(text, token.kind)
            parts += [sql[at : token.start], shown]
            at = token.end
        elif is_named and text in ("U", "u", "&"):
            continue  # U&'x'
        is_named = text.strip('"').lower() in _NAMES
    return "".join([*parts, sql[at:]])


def _hidden(literal: str) -> str:
    return "'***" + "\n" * literal.count("\n") + "'"


def _inside(literal: str, kind: str) -> str:
    if kind == "string":
        return _IN_STRING.sub(r"\1''***''", literal)
    tag = literal[: literal.index("$", 1) + 1]
    if not literal.endswith(tag) or len(literal) < 2 * len(tag):
        return literal  # a body that is not closed
    return tag + without_passwords(literal[len(tag) : -len(tag)]) + tag
