"""What a layout is: how one tool keeps its migrations in files, and which are applied in the database.

A layout is data and functions; each tool's is one module here that ends with its `LAYOUT`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from safemig.errors import MigrationError
from safemig.migrations.files import Migration, hash_of, new_version, normalised, read_text
from safemig.postgres.connection import Connection
from safemig.results import AppliedMigration
from safemig.sql import SqlSyntaxError, parse
from safemig.sql.identifiers import quote_literal

EXISTS = "SELECT to_regclass(%s) IS NOT NULL"


def no_files(folder: Path, existing: Sequence[Migration], name: str, parts: int, now: datetime) -> list[Path]:
    """Refuse: the tool keeps more than the file, so that only the tool can make one."""
    del existing, name, parts, now
    raise MigrationError(
        "safemig writes no new files for this tool",
        where=str(folder),
        next="make the migration with the tool itself, then safemig review",
    )


def as_it_is(path: Path, text: str, down: str, *, atomic: bool) -> Mapping[Path, str]:
    """Return what is written for a new migration: one file that holds nothing but the way up."""
    del down, atomic
    return {path: text}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a tool keeps its migrations; functions get the history table's name, quoted, such as `public.schema_migrations`."""

    name: str
    tool: str
    folders: tuple[str, ...]  # where its files mostly are, from the project's folder
    history: str  # its table, or the schema of its tables, by default
    recognises: Callable[[Path], bool]  # whether a folder is of this layout
    read: Callable[[Path], tuple[Migration, ...]]  # all migrations, in the order in which the tool runs them
    make: str  # the history tables as the tool makes them, {table} for the name; each statement may be run again
    applied: Callable[[Connection, str, Sequence[Migration]], tuple[AppliedMigration, ...]]  # in the tool's order
    add: Callable[[Connection, str, Migration, Sequence[str], int], None]  # with the statements, and milliseconds
    forget: Callable[[str, Sequence[Migration], Sequence[Migration]], list[str]]  # as SQL: taken back, and what is left
    new_files: Callable[[Path, Sequence[Migration], str, int, datetime], list[Path]] = no_files
    texts: Callable[..., Mapping[Path, str]] = as_it_is
    command: str = ""  # of a tool whose migrations are code: what runs them
    as_sql: str = ""  # and what prints them as SQL
    suffixes: tuple[str, ...] = ()  # of the files that such programs consist of; none: any

    @property
    def is_code(self) -> bool:
        """True where the migrations are programs: safemig runs their command, and does not read them."""
        return bool(self.command)

    @property
    def has_own_schema(self) -> bool:
        """True where `history` is a schema of the tool's own and not a table among the team's."""
        return "." not in self.history


def exists(connection: Connection, table: str) -> bool:
    """Tell whether the history table is there. Reads only."""
    row = connection.execute(EXISTS, (table,)).fetchone()
    return bool(row and row[0])


def literals(values: Iterable[str]) -> str:
    """Return values as a list for SQL."""
    return ", ".join(quote_literal(value).strip() for value in values)


def migration_of(path: Path, version: str, name: str, **more: Any) -> Migration:
    """Read a file into a migration.

    Raises:
        MigrationError: it cannot be read, or is not UTF-8.
    """
    text = normalised(read_text(path))
    return Migration(version, name, path, text, hash_of(text), **more)


def in_order(found: Iterable[Migration], key: Callable[[Migration], Any]) -> tuple[Migration, ...]:
    """Return migrations by their tool's order.

    Raises:
        MigrationError: two have the same version.
    """
    ordered = sorted(found, key=key)
    seen: dict[str, Migration] = {}
    for each in ordered:
        if earlier := seen.get(each.version):
            raise MigrationError(
                f"two migrations have the version {each.version}",
                where=f"{earlier.path} and {each.file}",
                next="rename the one that is not applied yet; otherwise their order is unknown",
            )
        seen[each.version] = each
    return tuple(ordered)


def numbered(path: Path, *, layout: str, pattern: re.Pattern[str], example: str) -> re.Match[str]:
    """Return the match of a file's name.

    Raises:
        MigrationError: it is not as the tool's files are called.
    """
    if match := pattern.match(path.name):
        return match
    raise MigrationError(
        f"not a migration of the layout {layout}: its name is not as {example}",
        where=str(path),
        next='rename it, move it out of the folder, or name the right layout: layout = "..." in safemig.toml',
    )


def stamped(
    folder: Path, existing: Sequence[Migration], name: str, parts: int, now: datetime, *, ending: str = ".sql"
) -> list[Path]:
    """Return new files' names that begin with a UTC timestamp after all that are there."""
    stamps = [
        match[0] for each in existing if (match := re.match(r"\d{14}\b|\d{14}(?=_)", each.shown or each.path.name))
    ]
    paths: list[Path] = []
    for number in range(1, parts + 1):
        version = new_version(now, stamps)
        stamps.append(version)
        paths.append(folder / f"{version}_{name}{f'_part_{number}' if number > 1 else ''}{ending}")
    return paths


def with_blocks(sql: str, begin: str, end: str) -> str:
    """Return SQL with the lines `begin` and `end` around each statement that a tool which splits at semicolons would cut."""
    try:
        statements = parse(sql)
    except SqlSyntaxError:
        return sql
    pieces, at = [], 0
    for each in statements:
        if ";" not in each.sql:
            continue
        start, stop = each.start, each.start + len(each.sql)
        stop = sql.index(";", stop) + 1 if ";" in sql[stop:] else stop
        pieces += [sql[at:start], f"{begin}\n", sql[start:stop], f"\n{end}"]
        at = stop
    return "".join([*pieces, sql[at:]])


__all__ = [
    "Connection", "Layout", "as_it_is", "exists", "in_order", "literals", "migration_of", "numbered", "stamped", "with_blocks",
]  # fmt: skip
