"""Supabase's own, and any folder of `[14-digit UTC timestamp]_name.sql`: `supabase_migrations.schema_migrations`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from safemig.migrations.files import Migration, read_migrations
from safemig.migrations.layouts.base import Connection, Layout, literals, stamped
from safemig.postgres.history import MAKE_SUPABASE, add_to_supabase, read_history
from safemig.results import AppliedMigration

_NAME = re.compile(r"\d{14}_.+\.sql\Z")


def is_stamped(folder: Path) -> bool:
    """Tell whether a folder holds migrations whose names begin with 14 digits."""
    return any(_NAME.match(path.name) for path in folder.iterdir())


def applied(connection: Connection, table: str, files: Sequence[Migration]) -> tuple[AppliedMigration, ...]:
    """Return what is applied, oldest first."""
    del table, files
    return read_history(connection)


def add(connection: Connection, table: str, migration: Migration, statements: Sequence[str], milliseconds: int) -> None:
    """Record a migration, within the caller's transaction."""
    del table, milliseconds
    add_to_supabase(connection, migration.version, migration.name, statements)


def forget(table: str, taken_back: Sequence[Migration], left: Sequence[Migration]) -> list[str]:
    """Return the SQL after which the migrations count as pending again."""
    del left
    return [f"DELETE FROM {table} WHERE version IN ({literals(each.version for each in taken_back)});"]  # noqa: S608


LAYOUT = Layout(
    name="supabase",
    tool="Supabase",
    folders=("supabase/migrations",),
    history="supabase_migrations.schema_migrations",
    recognises=is_stamped,
    read=read_migrations,
    make=MAKE_SUPABASE,
    applied=applied,
    add=add,
    forget=forget,
    new_files=stamped,
)
# The same files in any folder, without the platform.
TIMESTAMPED = replace(LAYOUT, name="timestamped", tool="files by timestamp", folders=("migrations", "db/migrations"))
