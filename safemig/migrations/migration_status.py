"""Hold the migration files against a database's history: applied, pending, edited since, unknown, out of order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pglast.parser import ParseError, scan

from safemig.errors import MigrationError
from safemig.migrations.files import Migration, is_hash_of, normalised

if TYPE_CHECKING:
    from safemig.results import AppliedMigration


@dataclass(frozen=True, slots=True)
class Standing:
    """How the files and one database's history stand to each other."""

    applied: tuple[Migration, ...]
    pending: tuple[Migration, ...]
    edited: tuple[Migration, ...]  # applied, and the file has changed since
    unknown: tuple[AppliedMigration, ...]  # applied, and no file here: the database is ahead of these files
    out_of_order: tuple[Migration, ...]  # pending, though older than one that is applied
    files: tuple[Migration, ...] = ()  # all of them, in the order in which they run

    def in_order(self, some: Iterable[Migration]) -> tuple[Migration, ...]:
        """Return some of the files in the order in which they run."""
        versions = {each.version for each in some}
        return tuple(each for each in self.files if each.version in versions)

    def require_consistent(self, environment: str) -> None:
        """Refuse to go on where files and history contradict each other.

        Raises:
            MigrationError: an applied file was edited, or the database knows migrations that are not here.
        """
        if self.edited:
            raise MigrationError(
                f"applied to {environment}, but edited since: {', '.join(each.file for each in self.edited)}",
                where=str(self.edited[0].path.parent),
                next="restore the applied version of the file (git), and put the change into a new migration",
            )
        if self.unknown:
            names = ", ".join(f"{each.version}_{each.name}" if each.name else each.version for each in self.unknown)
            raise MigrationError(
                f"{environment} is ahead of the local files: {names} applied there, no such file here",
                where=f"history of {environment}",
                next="get the missing files (git pull) before you deploy",
            )


def stand(files: Sequence[Migration], history: Sequence[AppliedMigration]) -> Standing:
    """Compare files and history; both may be empty. Pure."""
    by_version = {each.version: each for each in history}
    applied = [each for each in files if each.version in by_version]
    pending = [each for each in files if each.version not in by_version]
    known = {each.version for each in files}
    comes_before = _before(files, by_version)
    return Standing(
        files=tuple(files),
        applied=tuple(applied),
        pending=tuple(pending),
        edited=tuple(each for each in applied if _is_edited(each, by_version[each.version])),
        unknown=tuple(each for each in history if each.version not in known),
        out_of_order=tuple(each for each in pending if comes_before(each)),
    )


def _before(files: Sequence[Migration], applied: Mapping[str, object]) -> Callable[[Migration], bool]:
    """Return what tells whether a file comes before one that is applied: by its place; a timestamp tells it of any."""
    latest = max((at for at, each in enumerate(files) if each.version in applied), default=-1)
    order = {each.version: at for at, each in enumerate(files)}
    if all(_is_stamp(version) for version in (*order, *applied)):
        last = max(applied, default="")
        return lambda each: each.version < last
    return lambda each: order[each.version] < latest


def _is_stamp(version: str) -> bool:
    return len(version) == len("20260101000000") and version.isdigit()


def _is_edited(file: Migration, applied: AppliedMigration) -> bool:
    if applied.sha256 and is_hash_of(applied.sha256, file.sql):
        return False
    if applied.checksum and file.checksum:  # its own tool's word, which that tool may have repaired since
        return applied.checksum != file.checksum
    if applied.sha256:
        return True
    # Another tool wrote the row: it has the statements, in a form of its own; what counts is what the server read.
    return bool(applied.statements) and _tokens(file.sql) != _tokens(normalised(";".join(applied.statements)))


def _tokens(sql: str) -> list[str]:
    try:
        tokens = scan(sql)
    except ParseError:
        return [sql.strip()]
    text = sql.encode()  # the scanner counts bytes
    return [
        text[token.start : token.end + 1].decode()
        for token in tokens
        if token.name not in ("SQL_COMMENT", "C_COMMENT", "ASCII_59")
    ]
