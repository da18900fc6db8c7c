"""Text to typed statements, with positions: PostgreSQL's own parser, identifiers, lock modes. Pure."""

from __future__ import annotations

from safemig.sql.locks import LockMode
from safemig.sql.parse import ParsedStatement, SourceFile, SqlSyntaxError, parse

__all__ = ["LockMode", "ParsedStatement", "SourceFile", "SqlSyntaxError", "parse"]
