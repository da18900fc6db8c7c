"""golang-migrate: `1_name.up.sql` and `1_name.down.sql`; table schema_migrations, one row with the version reached."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from psycopg.sql import SQL

from safemig.errors import MigrationError
from safemig.migrations.files import Migration, normalised, read_text, sql_files
from safemig.migrations.layouts.base import Connection, Layout, exists, in_order, migration_of, numbered, stamped
from safemig.results import AppliedMigration

MAKE = "CREATE TABLE IF NOT EXISTS {table} (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)"
REACHED = "SELECT version, dirty FROM {} LIMIT 1"
# One row: what came before is applied too.
FORGET_ALL = "DELETE FROM {}"
ADD = "INSERT INTO {} (version, dirty) VALUES (%s, false)"

_NAME = re.compile(r"(?P<version>\d+)_(?P<name>.*)\.(?P<way>up|down)\.sql\Z")


def read(folder: Path) -> tuple[Migration, ...]:
    """Return the ways up by number, each with its way down where there is one."""
    ups: list[Migration] = []
    downs: dict[int, str] = {}
    for path in sql_files(folder):
        match = numbered(path, layout="golang-migrate", pattern=_NAME, example="000001_name.up.sql")
        number = int(match["version"])
        if match["way"] == "down":
            downs[number] = normalised(read_text(path))
        else:
            ups.append(migration_of(path, str(number), match["name"]))
    return in_order((_with(each, downs) for each in ups), lambda each: int(each.version))


def _with(each: Migration, downs: Mapping[int, str]) -> Migration:
    from dataclasses import replace

    return replace(each, down=downs.get(int(each.version), "").strip("\n"))


def applied(connection: Connection, table: str, files: Sequence[Migration]) -> tuple[AppliedMigration, ...]:
    """Return every file up to the version that the database has reached.

    Raises:
        MigrationError: the tool left the database dirty: a migration failed in the middle.
    """
    row = connection.execute(SQL(REACHED).format(SQL(table))).fetchone() if exists(connection, table) else None
    if row is None:
        return ()
    reached, dirty = row
    if dirty:
        raise MigrationError(
            f"golang-migrate left version {reached} dirty: it failed in the middle",
            where=f"history table {table}",
            next=f"clean up by hand what it left, then: migrate force {reached} (or the version before)",
        )
    found = [AppliedMigration(each.version, each.name) for each in files if int(each.version) <= reached]
    if reached > 0 and all(int(each.version) != reached for each in found):
        found.append(AppliedMigration(str(reached), ""))
    return tuple(found)


def add(connection: Connection, table: str, migration: Migration, statements: Sequence[str], milliseconds: int) -> None:
    """Record that the database has reached a migration, within the caller's transaction."""
    del statements, milliseconds
    row = connection.execute(SQL(REACHED).format(SQL(table))).fetchone()
    if row and row[0] > int(migration.version):
        return  # one older than that counts as applied as it is
    connection.execute(SQL(FORGET_ALL).format(SQL(table)))
    connection.execute(SQL(ADD).format(SQL(table)), (int(migration.version),))


def forget(table: str, taken_back: Sequence[Migration], left: Sequence[Migration]) -> list[str]:
    """Return the SQL that takes the database's version back to the last migration that is left."""
    del taken_back
    back = [f"DELETE FROM {table};"]  # noqa: S608
    if left:
        back.append(f"INSERT INTO {table} (version, dirty) VALUES ({max(int(each.version) for each in left)}, false);")  # noqa: S608
    return back


def texts(path: Path, text: str, down: str, *, atomic: bool) -> Mapping[Path, str]:
    """Return two new files, one a way."""
    del atomic
    return {path: text, path.with_name(path.name.replace(".up.sql", ".down.sql")): down or "-- nothing to revert\n"}


def new_files(folder: Path, existing: Sequence[Migration], name: str, parts: int, now: datetime) -> list[Path]:
    """Return new files' names: the next numbers where the team counts, else timestamps."""
    counted = [int(each.version) for each in existing if len(each.version) < 9]
    if existing and len(counted) == len(existing):
        width = max(len(match["version"]) for each in existing if (match := _NAME.match(each.path.name)))
        return [
            folder / f"{max(counted) + number:0{width}d}_{name}{f'_part_{number}' if number > 1 else ''}.up.sql"
            for number in range(1, parts + 1)
        ]
    return stamped(folder, existing, name, parts, now, ending=".up.sql")


LAYOUT = Layout(
    name="golang-migrate",
    tool="golang-migrate",
    folders=("migrations", "db/migrations", "db/migration"),
    history="public.schema_migrations",
    recognises=lambda folder: any(path.name.endswith(".up.sql") for path in folder.iterdir()),
    read=read,
    make=MAKE,
    applied=applied,
    add=add,
    forget=forget,
    new_files=new_files,
    texts=texts,
)
