"""dbmate: `[digits]_name.sql` with `-- migrate:up` and `-- migrate:down`; table schema_migrations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from psycopg.sql import SQL

from safemig.migrations.files import Migration, sql_files
from safemig.migrations.layouts.base import (
    Connection,
    Layout,
    exists,
    in_order,
    literals,
    migration_of,
    numbered,
    stamped,
)
from safemig.migrations.layouts.sections import is_marked, with_down
from safemig.results import AppliedMigration

MAKE = "CREATE TABLE IF NOT EXISTS {table} (version varchar NOT NULL PRIMARY KEY)"
APPLIED = "SELECT version FROM {} ORDER BY version"
ADD = "INSERT INTO {} (version) VALUES (%s)"

_NAME = re.compile(r"(?P<version>\d+)_?(?P<name>.*)\.sql\Z")
_UP = re.compile(r"^--[ \t]*migrate:up\b.*$", re.MULTILINE)
_DOWN = re.compile(r"^--[ \t]*migrate:down\b.*$", re.MULTILINE)
_WORDS = ("-- migrate:up", "-- migrate:down")


def read(folder: Path) -> tuple[Migration, ...]:
    """Return the migrations by their files' names, as dbmate does."""
    found = []
    for path in sql_files(folder):
        match = numbered(path, layout="dbmate", pattern=_NAME, example="20231201120000_name.sql")
        found.append(with_down(migration_of(path, match["version"], match["name"]), _UP, _DOWN, _WORDS))
    return in_order(found, lambda each: each.path.name)


def applied(connection: Connection, table: str, files: Sequence[Migration]) -> tuple[AppliedMigration, ...]:
    """Return what is applied, by version; the table knows nothing else."""
    del files
    if not exists(connection, table):
        return ()
    rows = connection.execute(SQL(APPLIED).format(SQL(table))).fetchall()
    return tuple(AppliedMigration(version, "") for (version,) in rows)


def add(connection: Connection, table: str, migration: Migration, statements: Sequence[str], milliseconds: int) -> None:
    """Record a migration, within the caller's transaction."""
    del statements, milliseconds
    connection.execute(SQL(ADD).format(SQL(table)), (migration.version,))


def forget(table: str, taken_back: Sequence[Migration], left: Sequence[Migration]) -> list[str]:
    """Return the SQL after which the migrations count as pending again."""
    del left
    return [f"DELETE FROM {table} WHERE version IN ({literals(each.version for each in taken_back)});"]  # noqa: S608


def texts(path: Path, text: str, down: str, *, atomic: bool) -> Mapping[Path, str]:
    """Return a new file with both ways."""
    up = "-- migrate:up" if atomic else "-- migrate:up transaction:false"
    return {path: f"{up}\n{text.rstrip()}\n\n-- migrate:down\n{down}"}


LAYOUT = Layout(
    name="dbmate",
    tool="dbmate",
    folders=("db/migrations",),
    history="public.schema_migrations",
    recognises=lambda folder: is_marked(folder, _UP),
    read=read,
    make=MAKE,
    applied=applied,
    add=add,
    forget=forget,
    new_files=stamped,
    texts=texts,
)
