"""The history of a fleet's member that is a schema: a table in that schema, so that it goes where the schema goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from safemig.migrations.files import Migration
from safemig.migrations.layouts.base import Connection, Layout, exists, literals
from safemig.results import AppliedMigration

TABLE = "safemig_migrations"
MAKE = """
CREATE TABLE IF NOT EXISTS {table} (
    version text NOT NULL PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    statements text[] NOT NULL,
    applied_by text NOT NULL DEFAULT session_user,
    applied_at timestamptz NOT NULL DEFAULT now())
"""


def applied(connection: Connection, table: str, files: Sequence[Migration]) -> tuple[AppliedMigration, ...]:
    """Return what is applied to the schema, in the order of its versions."""
    del files
    if not exists(connection, table):
        return ()
    rows = connection.execute(f"SELECT version, name, sha256 FROM {table} ORDER BY version".encode())  # noqa: S608
    return tuple(AppliedMigration(version, name, (), sha256) for version, name, sha256 in rows)


def add(connection: Connection, table: str, migration: Migration, statements: Sequence[str], milliseconds: int) -> None:
    """Record a migration, within the caller's transaction."""
    del milliseconds
    connection.execute(
        f"INSERT INTO {table} (version, name, sha256, statements) VALUES (%s, %s, %s, %s)".encode(),  # noqa: S608
        (migration.version, migration.name, migration.sha256, list(statements)),
    )


def forget(table: str, taken_back: Sequence[Migration], left: Sequence[Migration]) -> list[str]:
    """Return the SQL after which the migrations count as pending again."""
    del left
    return [f"DELETE FROM {table} WHERE version IN ({literals(each.version for each in taken_back)});"]  # noqa: S608


def for_member(layout: Layout) -> Layout:
    """Return a layout with its files, and the history in the member's own schema."""
    return replace(layout, history=f"public.{TABLE}", make=MAKE, applied=applied, add=add, forget=forget)
