"""Text to typed statements, with positions: PostgreSQL's own parser, identifiers, lock modes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safemig.lazy_import import loaded_from

if TYPE_CHECKING:
    from safemig.sql.locks import LockMode
    from safemig.sql.parsing import ParsedStatement, SourceFile, SqlSyntaxError, parse

__all__ = ["LockMode", "ParsedStatement", "SourceFile", "SqlSyntaxError", "parse"]

# Quoting a name needs no parser.
__getattr__ = loaded_from(
    __name__,
    {
        "LockMode": "safemig.sql.locks",
        "ParsedStatement": "safemig.sql.parsing",
        "SourceFile": "safemig.sql.parsing",
        "SqlSyntaxError": "safemig.sql.parsing",
        "parse": "safemig.sql.parsing",
    },
)
