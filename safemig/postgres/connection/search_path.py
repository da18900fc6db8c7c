"""Whose names come first: PostgreSQL's own for our questions, the role's own search path for the project's statements."""

from __future__ import annotations

from safemig.postgres.connection import Connection

# What the role, its database or the server sets, whatever this session has; "" where they set it to nothing.
OWN = "SELECT reset_val FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'search_path'"
CHANGE = """
SELECT pg_catalog.current_setting('search_path'), pg_catalog.set_config('search_path', %(path)s, %(in_transaction)s)
"""
_CATALOG = "pg_catalog"


def own_search_path(connection: Connection) -> str:
    """Return the search path that a session of this role begins with. Reads only."""
    row = connection.execute(OWN).fetchone()
    return str(row[0]) if row else ""


def catalog_first(path: str) -> str:
    """Return a search path in which nothing comes before PostgreSQL's own names. Pure."""
    return f"{_CATALOG}, {path}" if path else _CATALOG


def change_search_path(connection: Connection, path: str, *, in_transaction: bool = False) -> str:
    """Set the session's search path, or only the transaction's, and return the one before it."""
    row = connection.execute(CHANGE, {"path": path, "in_transaction": in_transaction}).fetchone()
    return str(row[0]) if row else ""
