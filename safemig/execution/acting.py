"""Whose rights a statement has: a migration runs under `deploy_as`, what safemig itself keeps is written as who connected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql
from psycopg.pq import TransactionStatus

from safemig.postgres.connection import Connection

# SET ROLE in a migration outlives its statement; so does SET SESSION AUTHORIZATION, a superuser's.
BE_OURSELVES = "RESET SESSION AUTHORIZATION; RESET ROLE"
CURRENT_ROLE = "SELECT current_setting('role')"


def act_as(connection: Connection, role: str) -> None:
    """Act as `role` from now on; nothing changes where it is "". Inside a transaction, its rollback takes that back."""
    if role:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))


def be_ourselves(connection: Connection) -> None:
    """Act as who connected again, whatever a migration has set."""
    connection.execute(BE_OURSELVES)


@contextmanager
def acting_as(connection: Connection, role: str) -> Iterator[None]:
    """Act as `role` within the block, and as ourselves after it; nothing changes where it is ""."""
    act_as(connection, role)
    try:
        yield
    finally:
        if role and _can_be_told(connection):
            be_ourselves(connection)


@contextmanager
def as_ourselves(connection: Connection, role: str) -> Iterator[None]:
    """Within the block, act as who connected, where migrations run under `role`; then go on as before."""
    if not role:
        yield
        return
    row = connection.execute(CURRENT_ROLE).fetchone()
    connection.execute("RESET ROLE")
    try:
        yield
    finally:
        if row and row[0] != "none" and _can_be_told(connection):
            act_as(connection, row[0])


def _can_be_told(connection: Connection) -> bool:
    """Tell whether the connection takes a statement: after an error, the rollback of its transaction resets the role."""
    return not connection.closed and connection.info.transaction_status is not TransactionStatus.INERROR
