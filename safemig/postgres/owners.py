"""Whom a role may make the owner of what it owns."""

from __future__ import annotations

from typing import Any

import psycopg

# The option SET of a membership came with 16.
WHOM_THE_ROLE_MAY_MAKE_OWNER = """
SELECT rolname FROM pg_roles
WHERE pg_has_role(%s::name, oid, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END)
"""


def whom_may_own(connection: psycopg.Connection[Any], role: str) -> frozenset[str]:
    """Return the roles that `role` may make owners: all, for a superuser. Reads only."""
    return frozenset(name for (name,) in connection.execute(WHOM_THE_ROLE_MAY_MAKE_OWNER, (role,)))
