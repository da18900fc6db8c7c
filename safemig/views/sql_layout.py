"""Lay out a long statement that is one line, as applications send them, so that a person can read it.

Only what reads and writes rows: that is what sqlparse breaks well. Nothing but white space changes.
"""

from __future__ import annotations

import re
from typing import Any

_READS_OR_WRITES = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH)\b", re.IGNORECASE)
_SHORT, _LONG = 80, 5_000  # characters: what needs no layout, and what would take too long


def lines_of(sql: str) -> list[str]:
    """Return the lines of a statement, broken at its clauses where it is one long line."""
    sql = sql.strip()
    if "\n" in sql or not _SHORT < len(sql) <= _LONG or not _READS_OR_WRITES.match(sql):
        return sql.split("\n")
    import sqlparse

    laid_out: str = sqlparse.format(sql, reindent=True, indent_width=2)
    return laid_out.split("\n") if _tokens(laid_out) == _tokens(sql) else [sql]


def _tokens(sql: str) -> list[str]:
    import sqlparse

    statements: tuple[Any, ...] = sqlparse.parse(sql)
    return [each.value for statement in statements for each in statement.flatten() if not each.is_whitespace]
