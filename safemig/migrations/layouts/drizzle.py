"""Drizzle: `0000_name.sql` in the order of `meta/_journal.json`; table drizzle.__drizzle_migrations, by time and hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psycopg.sql import SQL

from safemig.errors import MigrationError
from safemig.migrations.files import Migration, hash_of, normalised, read_text
from safemig.migrations.layouts.base import Connection, Layout, exists, in_order
from safemig.results import AppliedMigration

MAKE = """
CREATE SCHEMA IF NOT EXISTS drizzle;
CREATE TABLE IF NOT EXISTS {table} (id serial PRIMARY KEY, hash text NOT NULL, created_at bigint);
"""
APPLIED = "SELECT created_at, hash FROM {} ORDER BY created_at"
ADD = "INSERT INTO {} (hash, created_at) VALUES (%s, %s)"
JOURNAL = Path("meta") / "_journal.json"


def read(folder: Path) -> tuple[Migration, ...]:
    """Return the migrations in the journal's order; the journal's time is what Drizzle knows each by.

    Raises:
        MigrationError: the journal is missing, is no JSON, or names a file that is not there.
    """
    found = []
    for entry in _entries(folder):
        tag = str(entry["tag"])
        path = folder / f"{tag}.sql"
        content = read_text(path)
        text = normalised(content)
        checksum = f"{entry['when']} {hashlib.sha256(content.encode()).hexdigest()}"
        found.append(
            Migration(tag, tag.partition("_")[2], path, text, hash_of(text), checksum=checksum, shown=f"{tag}.sql")
        )
    return in_order(found, lambda each: _when(each))


def _entries(folder: Path) -> list[dict[str, Any]]:
    path = folder / JOURNAL
    try:
        entries = json.loads(read_text(path))["entries"]
        return [{"tag": each["tag"], "when": int(each["when"])} for each in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise MigrationError(
            f"not a journal of Drizzle: {type(error).__name__}: {error}",
            where=str(path),
            next="generate it again with drizzle-kit, or restore it from git",
        ) from None


def _when(each: Migration) -> int:
    return int(each.checksum.split()[0])


def applied(connection: Connection, table: str, files: Sequence[Migration]) -> tuple[AppliedMigration, ...]:
    """Return what is applied: as Drizzle sees it, all files up to the latest time in the table."""
    if not exists(connection, table):
        return ()
    rows = dict(connection.execute(SQL(APPLIED).format(SQL(table))).fetchall())
    latest = max(rows, default=-1)
    known = {_when(each) for each in files}
    found = [
        AppliedMigration(
            each.version, each.name, checksum=f"{_when(each)} {rows[_when(each)]}" if _when(each) in rows else ""
        )
        for each in files
        if _when(each) <= latest
    ]
    return (*found, *(AppliedMigration(f"{when}", "") for when in rows if when not in known))


def add(connection: Connection, table: str, migration: Migration, statements: Sequence[str], milliseconds: int) -> None:
    """Record a migration, within the caller's transaction."""
    del statements, milliseconds
    when, checksum = migration.checksum.split()
    connection.execute(SQL(ADD).format(SQL(table)), (checksum, int(when)))


def forget(table: str, taken_back: Sequence[Migration], left: Sequence[Migration]) -> list[str]:
    """Return the SQL after which the migrations count as pending again."""
    del left
    times = ", ".join(str(_when(each)) for each in taken_back)
    return [f"DELETE FROM {table} WHERE created_at IN ({times});"]  # noqa: S608


LAYOUT = Layout(
    name="drizzle",
    tool="Drizzle",
    folders=("drizzle", "drizzle/migrations", "src/db/migrations", "migrations"),
    history="drizzle.__drizzle_migrations",
    recognises=lambda folder: (folder / JOURNAL).is_file(),
    read=read,
    make=MAKE,
    applied=applied,
    add=add,
    forget=forget,
)
