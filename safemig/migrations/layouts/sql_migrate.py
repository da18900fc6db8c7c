"""sql-migrate: `name.sql` with `-- +migrate Up` and `-- +migrate Down`; table gorp_migrations, known by the file's name."""

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
    stamped,
    with_blocks,
)
from safemig.migrations.layouts.sections import is_marked, with_down
from safemig.results import AppliedMigration

MAKE = "CREATE TABLE IF NOT EXISTS {table} (id text NOT NULL PRIMARY KEY, applied_at timestamptz)"
APPLIED = "SELECT id FROM {} ORDER BY applied_at, id"
ADD = "INSERT INTO {} (id, applied_at) VALUES (%s, clock_timestamp())"

_NUMBER = re.compile(r"\d+")
_UP = re.compile(r"^--[ \t]*\+migrate[ \t]+Up\b.*$", re.MULTILINE | re.IGNORECASE)
_DOWN = re.compile(r"^--[ \t]*\+migrate[ \t]+Down\b.*$", re.MULTILINE | re.IGNORECASE)
_WORDS = ("-- +migrate Up", "-- +migrate Down")


def read(folder: Path) -> tuple[Migration, ...]:
    """Return the migrations: those that begin with a number first, by number, then the others by name."""
    found = [
        with_down(migration_of(path, path.name, _NUMBER.sub("", path.stem, count=1).strip("-_")), _UP, _DOWN, _WORDS)
        for path in sql_files(folder)
    ]
    return in_order(found, _order)


def _order(each: Migration) -> tuple[bool, int, str]:
    number = _NUMBER.match(each.version)
    return number is None, int(number[0]) if number else 0, each.version


def applied(connection: Connection, table: str, files: Sequence[Migration]) -> tuple[AppliedMigration, ...]:
    """Return what is applied, in the order in which it was."""
    del files
    if not exists(connection, table):
        return ()
    rows = connection.execute(SQL(APPLIED).format(SQL(table))).fetchall()
    return tuple(AppliedMigration(name, "") for (name,) in rows)


def add(connection: Connection, table: str, migration: Migration, statements: Sequence[str], milliseconds: int) -> None:
    """Record a migration, within the caller's transaction."""
    del statements, milliseconds
    connection.execute(SQL(ADD).format(SQL(table)), (migration.version,))


def forget(table: str, taken_back: Sequence[Migration], left: Sequence[Migration]) -> list[str]:
    """Return the SQL after which the migrations count as pending again."""
    del left
    return [f"DELETE FROM {table} WHERE id IN ({literals(each.version for each in taken_back)});"]  # noqa: S608


def texts(path: Path, text: str, down: str, *, atomic: bool) -> Mapping[Path, str]:
    """Return a new file with both ways; what sql-migrate would cut at a semicolon stands between its marks."""
    tail = "" if atomic else " notransaction"
    marks = ("-- +migrate StatementBegin", "-- +migrate StatementEnd")
    up, back = with_blocks(text.rstrip(), *marks), with_blocks(down, *marks)
    return {path: f"-- +migrate Up{tail}\n{up}\n\n-- +migrate Down\n{back}"}


LAYOUT = Layout(
    name="sql-migrate",
    tool="sql-migrate",
    folders=("migrations", "db/migrations"),
    history="public.gorp_migrations",
    recognises=lambda folder: is_marked(folder, _UP),
    read=read,
    make=MAKE,
    applied=applied,
    add=add,
    forget=forget,
    new_files=stamped,
    texts=texts,
)
