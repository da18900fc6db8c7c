"""A cell that begins with one % where a cell magic has two: say so, instead of Python's SyntaxError over the SQL."""

from __future__ import annotations

import re

from safemig.errors import SettingsError

# `%migration_review` and SQL below it. What Python can read as Python is left to Python.
_ONE_PERCENT = re.compile(r"\s*%migration_review\b(?P<line>[^\n]*)\n(?P<rest>.*)", re.DOTALL)
_SQL = re.compile(
    r"\s*(?:--|/\*|(?:ALTER|ANALYZE|BEGIN|CALL|COMMENT|COPY|CREATE|DELETE|DO|DROP|GRANT|INSERT|MERGE|REFRESH|REINDEX|RENAME"
    r"|REVOKE|SELECT|SET|TRUNCATE|UPDATE|VACUUM|WITH)\b)",
    re.IGNORECASE,
)


def refuse_sql_below_a_line_magic(lines: list[str]) -> list[str]:
    """Return the cell's lines as they are. An input transformer of IPython.

    Raises:
        SettingsError: SQL stands below `%migration_review`, which takes one line only.
    """
    cell = _ONE_PERCENT.fullmatch("".join(lines))
    if cell and _SQL.match(cell["rest"]) and not _is_python(cell["rest"]):
        raise SettingsError(
            "%migration_review takes one line; the SQL below it was not reviewed",
            next=f"write %%migration_review{cell['line']} to review the SQL of the cell",
        )
    return lines


def _is_python(text: str) -> bool:
    try:
        compile(text, "<cell>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True
