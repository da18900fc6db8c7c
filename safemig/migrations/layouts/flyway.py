"""Flyway: `V1__name.sql`, `U1__name.sql` (the way down), `R__name.sql` (repeatable); table flyway_schema_history."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from psycopg.sql import SQL

from safemig.errors import MigrationError
from safemig.migrations.files import Migration, hash_of, new_version, normalised, read_text
from safemig.migrations.layouts.base import Connection, Layout, exists, in_order, literals
from safemig.results import AppliedMigration
from safemig.sql.identifiers import quote_literal

MAKE = """
CREATE TABLE IF NOT EXISTS {table} (
    installed_rank integer NOT NULL CONSTRAINT flyway_schema_history_pk PRIMARY KEY,
    version varchar(50),
    description varchar(200) NOT NULL,
    type varchar(20) NOT NULL,
    script varchar(1000) NOT NULL,
    checksum integer,
    installed_by varchar(100) NOT NULL,
    installed_on timestamp NOT NULL DEFAULT now(),
    execution_time integer NOT NULL,
    success boolean NOT NULL);
CREATE INDEX IF NOT EXISTS flyway_schema_history_s_idx ON {table} (success);
"""
APPLIED = "SELECT version, description, type, checksum, success FROM {} ORDER BY installed_rank"
ADD = """
INSERT INTO {table} (installed_rank, version, description, type, script, checksum, installed_by, execution_time, success)
SELECT coalesce(max(installed_rank), 0) + 1, %s, %s, 'SQL', %s, %s, current_user, %s, true FROM {table}
"""

_NAME = re.compile(r"(?P<kind>[VUR])(?P<version>\d+(?:[._]\d+)*)?__(?P<name>.+)\.sql\Z")
_PLACEHOLDER = re.compile(r"\$\{[\w:.]+\}")
_REPEATABLE = "R__"


def read(folder: Path) -> tuple[Migration, ...]:
    """Return the versioned migrations by version, then the repeatable ones by description. Subfolders count too.

    Raises:
        MigrationError: a name, a script's settings, or a placeholder that Flyway would replace.
    """
    if not folder.is_dir():
        raise MigrationError(
            "the migrations folder does not exist",
            where=str(folder),
            next='name the right one: migrations = "..." in safemig.toml',
        )
    found: list[Migration] = []
    undo: dict[str, str] = {}
    for path in sorted(folder.rglob("*.sql")):
        match = _NAME.match(path.name)
        if match is None:
            if path.name[:1] in "VUR" and "__" in path.name:
                raise _misnamed(path)
            continue  # callbacks, and what is no migration: Flyway leaves them out too
        if (match["kind"] == "R") == bool(match["version"]):
            raise _misnamed(path)
        version = (match["version"] or "").replace("_", ".")
        if match["kind"] == "U":
            undo[version] = normalised(read_text(path))
        else:
            found.append(_read(path, version or f"{_REPEATABLE}{_description(match)}", _description(match)))
    ordered = in_order((replace(each, down=undo.get(each.version, "")) for each in found), _order)
    for one, next_ in pairwise(ordered):
        if (number := _number(one.version)) and number == _number(next_.version):
            raise MigrationError(
                f"the versions {one.version} and {next_.version} are the same to Flyway",
                where=f"{one.path} and {next_.file}",
                next="rename the one that is not applied yet",
            )
    return ordered


def _misnamed(path: Path) -> MigrationError:
    return MigrationError(
        "not a name of Flyway's: V1__name.sql, U1__name.sql or R__name.sql, with two underscores",
        where=str(path),
        next="rename it, or move it out of the folder",
    )


def _description(match: re.Match[str]) -> str:
    return match["name"].replace("_", " ")


def _read(path: Path, version: str, name: str) -> Migration:
    content = read_text(path)
    text = normalised(content)
    settings = path.with_name(f"{path.name}.conf")
    said = normalised(read_text(settings)).replace(" ", "") if settings.is_file() else ""
    if (left := _PLACEHOLDER.search(text)) and "placeholderReplacement=false" not in said:
        line = text.count("\n", 0, left.start()) + 1
        raise MigrationError(
            f"the placeholder {left[0]} stands for a value that only Flyway knows",
            where=f"{path}, line {line}",
            next=f"write the value, or placeholderReplacement=false into {settings.name} where it is meant as it is",
        )
    alone = "executeInTransaction=false" in said
    return Migration(version, name, path, text, hash_of(text), checksum=str(checksum_of(content)), alone=alone)


def checksum_of(content: str) -> int:
    """Return Flyway's checksum of a file: CRC-32 of its lines without their ends and byte order mark, as a signed number."""
    found = 0
    lines = re.split(r"\r\n|\r|\n", content.removeprefix("\ufeff"))
    for line in lines if lines[-1] else lines[:-1]:
        found = zlib.crc32(line.encode(), found)
    return found - (1 << 32) if found >= 1 << 31 else found


def _order(each: Migration) -> tuple[bool, tuple[int, ...], str]:
    return each.version.startswith(_REPEATABLE), _number(each.version), each.name


def _number(version: str) -> tuple[int, ...]:
    """Return a version for comparing: 1.10 comes after 1.9, and 1.0 is 1."""
    if version.startswith(_REPEATABLE):
        return ()
    parts = [int(part) for part in version.replace("_", ".").split(".") if part.isdigit()]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def applied(connection: Connection, table: str, files: Sequence[Migration]) -> tuple[AppliedMigration, ...]:
    """Return what is applied, in the order in which it was; a repeatable one counts while its file is as it was.

    Raises:
        MigrationError: a migration failed, and no one has repaired that.
    """
    if not exists(connection, table):
        return ()
    by_number = {_number(each.version): each.version for each in files if not each.version.startswith(_REPEATABLE)}
    found: dict[str, AppliedMigration] = {}
    for version, description, kind, checksum, success in connection.execute(SQL(APPLIED).format(SQL(table))):
        if not success:
            raise MigrationError(
                f"Flyway's migration {version or description} failed",
                where=f"history table {table}",
                next="clean up what it left, then: flyway repair",
            )
        checksum_text = "" if checksum is None else str(checksum)
        if kind in ("BASELINE", "SQL_BASELINE"):
            for each in files:
                if not each.version.startswith(_REPEATABLE) and _number(each.version) <= _number(version):
                    found[each.version] = AppliedMigration(each.version, each.name)
        elif version is None:
            key = f"{_REPEATABLE}{description}"
            found.pop(key, None)  # applied again, and last
            found[key] = AppliedMigration(key, description, checksum=checksum_text)
        elif kind.startswith("UNDO") or kind == "DELETE":
            found.pop(by_number.get(_number(version), version), None)
        elif kind == "SQL":
            key = by_number.get(_number(version), version)
            found[key] = AppliedMigration(key, description, checksum=checksum_text)
    return tuple(each for each in found.values() if not _is_to_repeat(each, files))


def _is_to_repeat(each: AppliedMigration, files: Sequence[Migration]) -> bool:
    if not each.version.startswith(_REPEATABLE):
        return False
    file = next((file for file in files if file.version == each.version), None)
    return file is None or file.checksum != each.checksum


def add(connection: Connection, table: str, migration: Migration, statements: Sequence[str], milliseconds: int) -> None:
    """Record a migration, within the caller's transaction."""
    del statements
    version = None if migration.version.startswith(_REPEATABLE) else migration.version
    row = (version, migration.name, migration.path.name, int(migration.checksum), milliseconds)
    connection.execute(SQL(ADD).format(table=SQL(table)), row)


def forget(table: str, taken_back: Sequence[Migration], left: Sequence[Migration]) -> list[str]:
    """Return the SQL after which the migrations count as pending again; of a repeatable one the row before counts."""
    del left
    versions = literals(each.version for each in taken_back if not each.version.startswith(_REPEATABLE))
    back = [f"DELETE FROM {table} WHERE version IN ({versions});"] if versions else []  # noqa: S608
    back += [
        f"DELETE FROM {table} WHERE installed_rank = (SELECT max(installed_rank) FROM {table} "  # noqa: S608
        f"WHERE version IS NULL AND description = {quote_literal(each.name).strip()} AND checksum = {each.checksum});"
        for each in taken_back
        if each.version.startswith(_REPEATABLE)
    ]
    return back


def new_files(folder: Path, existing: Sequence[Migration], name: str, parts: int, now: datetime) -> list[Path]:
    """Return new files' names: the next whole numbers where the team counts, else timestamps."""
    numbers = [_number(each.version)[0] for each in existing if not each.version.startswith(_REPEATABLE)]
    first = max(numbers, default=0)
    versions: list[str] = []
    for _ in range(parts):
        if first < 10**8 and numbers:
            first += 1
            versions.append(str(first))
        else:
            versions.append(new_version(now, [*(str(number) for number in numbers if number >= 10**13), *versions]))
    return [folder / f"V{version}__{name}{f'_part_{at + 1}' if at else ''}.sql" for at, version in enumerate(versions)]


LAYOUT = Layout(
    name="flyway",
    tool="Flyway",
    folders=("sql", "migrations", "db/migration", "src/main/resources/db/migration"),
    history="public.flyway_schema_history",
    recognises=lambda folder: any(_NAME.match(path.name) for path in folder.rglob("*.sql")),
    read=read,
    make=MAKE,
    applied=applied,
    add=add,
    forget=forget,
    new_files=new_files,
)
