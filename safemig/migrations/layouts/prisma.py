"""Prisma: `[timestamp]_name/migration.sql`; table _prisma_migrations, with the sha256 of the file's bytes."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from psycopg.sql import SQL

from safemig.errors import MigrationError
from safemig.migrations.files import Migration, hash_of, normalised, read_text
from safemig.migrations.layouts.base import Connection, Layout, exists, in_order, literals, stamped
from safemig.results import AppliedMigration

MAKE = """
CREATE TABLE IF NOT EXISTS {table} (
    id varchar(36) NOT NULL PRIMARY KEY,
    checksum varchar(64) NOT NULL,
    finished_at timestamptz,
    migration_name varchar(255) NOT NULL,
    logs text,
    rolled_back_at timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(),
    applied_steps_count integer NOT NULL DEFAULT 0)
"""
APPLIED = """
SELECT migration_name, checksum, finished_at IS NOT NULL FROM {} WHERE rolled_back_at IS NULL ORDER BY started_at, migration_name
"""
ADD = """
INSERT INTO {} (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
VALUES (%s, %s, %s, clock_timestamp() - %s * interval '1 ms', clock_timestamp(), 1)
"""
SQL_FILE = "migration.sql"
_NAME = re.compile(r"(?P<version>[^_]+)_?(?P<name>.*)\Z")


def read(folder: Path) -> tuple[Migration, ...]:
    """Return the migrations by their folders' names; a `down.sql` beside one, as Prisma's manual has it, is its way down."""
    if not folder.is_dir():
        raise MigrationError(
            "the migrations folder does not exist",
            where=str(folder),
            next='name the right one: migrations = "..." in safemig.toml',
        )
    return in_order((_read(path) for path in folder.iterdir() if path.is_dir()), lambda each: each.version)


def _read(folder: Path) -> Migration:
    path, back = folder / SQL_FILE, folder / "down.sql"
    content = read_text(path)
    text = normalised(content)
    match = _NAME.match(folder.name)
    return Migration(
        folder.name,
        match["name"] if match else "",
        path,
        text,
        hash_of(text),
        down=normalised(read_text(back)) if back.is_file() else "",
        checksum=hashlib.sha256(content.encode()).hexdigest(),
        shown=f"{folder.name}/{SQL_FILE}",
    )


def applied(connection: Connection, table: str, files: Sequence[Migration]) -> tuple[AppliedMigration, ...]:
    """Return what is applied, in the order in which it was.

    Raises:
        MigrationError: a migration failed, and no one has told Prisma how that was settled.
    """
    del files
    if not exists(connection, table):
        return ()
    rows = connection.execute(SQL(APPLIED).format(SQL(table))).fetchall()
    if failed := [name for name, _, finished in rows if not finished]:
        raise MigrationError(
            f"Prisma began {failed[0]} and did not finish it",
            where=f"history table {table}",
            next=f'clean up what it left, then: prisma migrate resolve --applied (or --rolled-back) "{failed[0]}"',
        )
    return tuple(AppliedMigration(name, "", checksum=checksum) for name, checksum, _ in rows)


def add(connection: Connection, table: str, migration: Migration, statements: Sequence[str], milliseconds: int) -> None:
    """Record a migration, within the caller's transaction."""
    del statements
    row = (str(uuid.uuid4()), migration.checksum, migration.version, milliseconds)
    connection.execute(SQL(ADD).format(SQL(table)), row)


def forget(table: str, taken_back: Sequence[Migration], left: Sequence[Migration]) -> list[str]:
    """Return the SQL after which the migrations count as pending again."""
    del left
    return [f"DELETE FROM {table} WHERE migration_name IN ({literals(each.version for each in taken_back)});"]  # noqa: S608


def new_files(folder: Path, existing: Sequence[Migration], name: str, parts: int, now: datetime) -> list[Path]:
    """Return new files' names, a folder each."""
    return [path / SQL_FILE for path in stamped(folder, existing, name, parts, now, ending="")]


def texts(path: Path, text: str, down: str, *, atomic: bool) -> Mapping[Path, str]:
    """Return a new migration, and its way down beside it."""
    del atomic
    return {path: text, **({path.with_name("down.sql"): down} if down else {})}


LAYOUT = Layout(
    name="prisma",
    tool="Prisma Migrate",
    folders=("prisma/migrations",),
    history="public._prisma_migrations",
    recognises=lambda folder: any((path / SQL_FILE).is_file() for path in folder.iterdir() if path.is_dir()),
    read=read,
    make=MAKE,
    applied=applied,
    add=add,
    forget=forget,
    new_files=new_files,
    texts=texts,
)
