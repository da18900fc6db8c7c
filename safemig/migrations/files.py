"""The migrations folder: `[14-digit UTC timestamp]_name.sql`, read in order, written never over another file."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from safemig.errors import MigrationError
from safemig.secrets import holds_password
from safemig.whole_files import write_atomically

_NAME = re.compile(r"(?P<version>\d{14})_(?P<name>.+)\.sql\Z")
_VERSION_FORMAT = "%Y%m%d%H%M%S"
_LONGEST_SLUG = 60


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration file as it was read: its text, with the line ends that the server gets, and that text's hash.

    A checkout's line ends, a byte order mark and the final newlines belong to the checkout, not to the migration: neither
    the text that is run nor the hash knows them. What follows `sha256` other tools' folders have (see `layouts`).
    """

    version: str
    name: str
    path: Path
    sql: str  # as the file has it; a way down that it holds too is never run with it (see `sql.client_text`)
    sha256: str
    down: str = ""  # what takes it back, where the team wrote that
    verify: str = ""  # what fails where it did not do what it should, where the team wrote that
    checksum: str = ""  # as its own tool computes it
    shown: str = ""  # what it is called, where the file's name alone says too little
    alone: bool = False  # each statement by itself: its tool is told so outside of the file

    @property
    def file(self) -> str:
        """The file's name, such as `20231201120000_add_user_preferences_table.sql`."""
        return self.shown or self.path.name


def read_migrations(folder: Path) -> tuple[Migration, ...]:
    """Return all migrations of `folder`, oldest first. Files that do not end in `.sql`, and subfolders, are left out.

    Raises:
        MigrationError: the folder is missing or unreadable, a file has no timestamp, two have the same one, or a
            file is not UTF-8.
    """
    found: dict[str, Migration] = {}
    for path in sql_files(folder):
        migration = read_migration(path)
        if earlier := found.get(migration.version):
            raise MigrationError(
                f"two migrations have the timestamp {migration.version}",
                where=f"{earlier.path} and {path.name}",
                next="rename the one that is not applied yet; otherwise their order is unknown",
            )
        found[migration.version] = migration
    return tuple(found.values())


def sql_files(folder: Path) -> list[Path]:
    """Return the files of a folder that end in `.sql`, by name; subfolders are left out.

    Raises:
        MigrationError: the folder is missing or unreadable.
    """
    if not folder.is_dir():
        raise MigrationError(
            "the migrations folder does not exist",
            where=str(folder),
            next='run "safemig init" to make it, or name the right one: migrations = "..." in safemig.toml',
        )
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".sql" and path.is_file())
    except OSError as error:
        raise MigrationError(
            f"the migrations folder cannot be read: {error.strerror}", where=str(folder), next="correct its permissions"
        ) from None


def not_recognised(folder: Path) -> tuple[str, ...]:
    """Return what lies in a folder in which no migration is recognised, such as another tool's layout; texts are left out."""
    try:
        found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return ()
    if any(_NAME.match(path.name) for path in found):
        return ()
    return tuple(
        f"{path.name}/" if path.is_dir() else path.name for path in found if path.suffix not in (".md", ".txt")
    )


def read_migration(path: Path) -> Migration:
    """Read one migration file.

    Raises:
        MigrationError: its name has no 14-digit timestamp, it cannot be read, or it is not UTF-8.
    """
    match = _NAME.match(path.name)
    if not match:
        raise MigrationError(
            "a migration's file name does not begin with a 14-digit timestamp",
            where=str(path),
            next="rename it to [YYYYMMDDHHMMSS]_name.sql (UTC), or move it out of the folder",
        )
    text = normalised(read_text(path))
    return Migration(match["version"], match["name"], path, text, hash_of(text))


def read_text(path: Path) -> str:
    """Return a file's text as it is on disk.

    Raises:
        MigrationError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise MigrationError(
            f"not UTF-8 at byte {error.start}", where=str(path), next="save the file as UTF-8"
        ) from None
    except OSError as error:
        raise MigrationError(
            f"cannot be read: {error.strerror}", where=str(path), next="correct its permissions"
        ) from None


def normalised(text: str) -> str:
    """Return a file's text without byte order mark, its lines ended by a newline each."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def hash_of(text: str) -> str:
    """Return the sha256 of a migration's text, whatever its checkout made of its line ends and its end."""
    return hashlib.sha256(f"{normalised(text).rstrip(chr(10))}\n".encode()).hexdigest()


def is_hash_of(sha256: str, text: str) -> bool:
    """Tell whether a hash is this text's: today's, or an older one, which was over the bytes of some checkout."""
    if sha256 == hash_of(text):
        return True
    body = normalised(text).rstrip("\n")
    ends = normalised(text)[len(body) :]
    return any(
        sha256 == hashlib.sha256((mark + (body + end).replace("\n", newline)).encode()).hexdigest()
        for end in {ends, "", "\n"}
        for newline in ("\n", "\r\n")
        for mark in ("", "\ufeff")
    )


def slug(description: str) -> str:
    """Return a description as the name part of a file: `Add user's preferences` -> `add_users_preferences`.

    Raises:
        MigrationError: nothing of it is left, or it is a connection string with a password, which no file name may hold.
    """
    if holds_password(description):
        raise MigrationError(
            "the description holds a password (not shown)",
            where="the name of the new migration file",
            next='describe the change in a few words, such as "add user preferences table"',
        )
    plain = unicodedata.normalize("NFKD", description).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "_", plain.replace("'", "")).strip("_")[:_LONGEST_SLUG].rstrip("_")
    if not words:
        raise MigrationError(
            "the description has no letter or digit to make a file name of",
            where=repr(description),
            next='describe the change in a few words, such as "add user preferences table"',
        )
    return words


def new_version(now: datetime, existing: Iterable[str]) -> str:
    """Return a 14-digit UTC version: `now`, or one second after the latest existing one where that is later."""
    version = now.astimezone(UTC).strftime(_VERSION_FORMAT)
    latest = max(existing, default="")
    if version > latest:
        return version
    try:
        after = datetime.strptime(latest, _VERSION_FORMAT).replace(tzinfo=UTC) + timedelta(seconds=1)
        return after.strftime(_VERSION_FORMAT)
    except ValueError:  # 14 digits that are no time, such as 00000000000001
        return f"{int(latest) + 1:014d}"


def write_new(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file that must not exist yet, and make sure that it is on disk.

    Raises:
        MigrationError: it exists already, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise MigrationError(
            "the file exists already; nothing was written", where=str(path), next="try again"
        ) from None
    except OSError as error:
        raise MigrationError(
            f"the file cannot be written: {error.strerror}",
            where=str(path),
            next="correct the folder's permissions, or free disk space",
        ) from None


def replace_file(path: Path, text: str) -> None:
    """Replace a file's text; readers never see a partial file.

    Raises:
        MigrationError: it cannot be written; the old file is still there.
    """
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise MigrationError(
            f"the file cannot be written: {error.strerror}", where=str(path), next="correct the folder's permissions"
        ) from None
