"""Dumps as plain SQL: pg_dump's output as it streams by, each table's rows counted and hashed on the way to the file."""

from __future__ import annotations

import os
import re
import select
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from safemig.errors import BackupError
from safemig.postgres.connection.session_settings import PINNED
from safemig.postgres.dump import directory, tools
from safemig.postgres.dump.backup_files import Hashed, another, unreadable, write_whole
from safemig.postgres.dump.compression import Compression, DamagedError, compressed, decompressed
from safemig.postgres.dump.reader import DumpReader
from safemig.postgres.dump.tools import LOCK_WAIT, encoding_of, piped
from safemig.postgres.server.programs import Programs, client_programs
from safemig.postgres.unreadable import exclusions
from safemig.result import BOOKKEEPING_SCHEMAS
from safemig.results import BackupFile, TableContent
from safemig.sql.identifiers import quote_identifier

# Where `restore_prod --tables` puts the tables of a backup, as pg_dump's pattern.
RESTORED_SCHEMAS = "restored_" + 14 * "[0-9]"
# In the part of a `--clean` dump that drops what it is going to make.
_DROP = re.compile(rb"(DROP (?!USER MAPPING)[A-Z ]+? .*|ALTER TABLE .* DROP CONSTRAINT .*);\n\Z")

_DROP_OF_DOMAIN = re.compile(rb"ALTER DOMAIN .* DROP CONSTRAINT .*;\n\Z")
_LAST_OF_THE_HEAD = b"SET row_security = off;\n"
# What pg_dump leaves to the session that restores: there a role's own would read money, intervals, {NULL} in another way.
_WHAT_THE_DATA_IS_READ_BY = b"".join(
    f"SET {name} = '{PINNED[name]}';\n".encode() for name in ("lc_monetary", "IntervalStyle", "array_nulls")
)


class _Watched:
    """pg_dump's output, read with an eye on its session: a pg_dump that hangs would else be waited for forever."""

    def __init__(self, process: subprocess.Popen[bytes], conninfo: str) -> None:
        self._process = process
        self._conninfo = conninfo

    def read(self, size: int) -> bytes:
        """Return what there is, at most `size` bytes; b"" at the end.

        Raises:
            BackupError: it has been silent, and its session does not work or is gone.
        """
        stream = _output(self._process)
        while not select.select([stream], [], [], tools.SILENT_SECONDS)[0]:
            tools.require_at_work(self._process, self._conninfo)
        return os.read(stream.fileno(), size)


def dump_schema(
    conninfo: str, server_version_num: int, *, only: tuple[str, ...] = (), without: Sequence[str] = ()
) -> str:
    """Return `pg_dump --schema-only` of a database, of the schemas `only` or of all but bookkeeping; without owners.

    `without` are tables that are left out.
    """
    schemas = [f"--schema={quote_identifier(name)}" for name in only]
    schemas += [f"--exclude-schema={name}" for name in (*BOOKKEEPING_SCHEMAS, RESTORED_SCHEMAS)]
    with piped(
        client_programs(server_version_num), "pg_dump", conninfo, "--schema-only", "--no-owner", "--no-sync",
        encoding_of(conninfo), *schemas, *exclusions(without),
    ) as process:  # fmt: skip
        return _output(process).read().decode()


def content_of(conninfo: str, programs: Programs, tables: Sequence[str] = ()) -> tuple[TableContent, ...]:
    """Return rows and sha256 of every table of a database, or of `tables` (quoted as in SQL), from a dump of its data
    that is thrown away."""
    reader = DumpReader()
    options = ("--data-only", "--no-sync", LOCK_WAIT, encoding_of(conninfo), *(f"--table={name}" for name in tables))
    with piped(programs, "pg_dump", conninfo, *options) as process:
        for _ in reader.pieces(_Watched(process, conninfo)):
            pass
    return reader.content


def write_full_dump(
    conninfo: str,
    programs: Programs,
    path: Path,
    *,
    snapshot: str,
    server_version_num: int,
    compression: Compression = "none",
    without: Sequence[str] = (),
) -> tuple[BackupFile, tuple[TableContent, ...]]:
    """Dump schema and data of one snapshot into `path`, so that `psql -1 -f` brings them back over a damaged database.

    `without` are tables that are left out.

    Every DROP of its clearing part says CASCADE: what was made after the backup and hangs on an object in it (a new
    table's foreign key, a new view) would else stop the restore at its first statement. Written as `.partial`, mode
    0600, synced, then renamed.

    Raises:
        BackupError: no room, no right to write, or a dump that does not end as a whole one does.
        ToolError: pg_dump failed.
    """
    # Rows hidden by a policy make pg_dump fail, which is right: --enable-row-security would leave them out silently.
    options = (
        "--clean",
        "--if-exists",
        "--no-subscriptions",
        f"--snapshot={snapshot}",
        "--no-sync",
        *exclusions(without),
    )
    return _Dump(conninfo, programs, options, server_version_num, compression).write(path)


def write_schema_dump(
    conninfo: str,
    programs: Programs,
    path: Path,
    *,
    snapshot: str,
    server_version_num: int,
    without: Sequence[str] = (),
) -> BackupFile:
    """Dump the schema of one snapshot into `path`; never with `--clean`, which over data would empty every table."""
    options = ("--schema-only", "--no-subscriptions", f"--snapshot={snapshot}", "--no-sync", *exclusions(without))
    return _Dump(conninfo, programs, options, server_version_num).write(path)[0]


def read_back(file: BackupFile) -> tuple[TableContent, ...]:
    """Read a full dump whole, a file or a folder, and return what it holds.

    Raises:
        BackupError: it is missing, not what the manifest describes, or not complete.
    """
    if file.parts:
        return directory.read_back(file)
    reader = DumpReader()
    try:
        with file.path.open("rb") as stream:
            whole = Hashed(stream)
            with suppress(DamagedError):  # the hash tells it, too
                for _ in reader.pieces(decompressed(file.path, whole)):
                    pass
            whole.to_the_end()
    except OSError as error:
        raise unreadable(file, error) from None
    if (whole.size_bytes, whole.sha256) != (file.size_bytes, file.sha256) or not reader.is_complete:
        raise another(file, whole.size_bytes, whole.sha256)
    return reader.content


def require_unchanged(file: BackupFile) -> None:
    """Read a file or folder of a backup whole, and compare its bytes with what its manifest says.

    Raises:
        BackupError: it is missing, or not the same bytes.
    """
    if file.parts:
        return directory.require_unchanged(file)
    try:
        with file.path.open("rb") as stream:
            whole = Hashed(stream)
            whole.to_the_end()
    except OSError as error:
        raise unreadable(file, error) from None
    if (whole.size_bytes, whole.sha256) != (file.size_bytes, file.sha256):
        raise another(file, whole.size_bytes, whole.sha256)
    return None


def _output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    return process.stdout


@dataclass(frozen=True, slots=True)
class _Dump:
    """One run of pg_dump into a file."""

    conninfo: str
    programs: Programs
    options: tuple[str, ...]
    server_version_num: int
    compression: Compression = "none"

    def write(self, path: Path) -> tuple[BackupFile, tuple[TableContent, ...]]:
        reader = DumpReader(self._rewriter())

        def pieces() -> Iterator[bytes]:
            options = (*self.options, LOCK_WAIT, encoding_of(self.conninfo))
            with piped(self.programs, "pg_dump", self.conninfo, *options) as process:
                yield from reader.pieces(_Watched(process, self.conninfo))
            if not reader.is_complete:
                raise BackupError("pg_dump ended before the dump was complete", where=str(path), next="try again")

        return write_whole(path, compressed(pieces(), self.compression)), reader.content

    def _rewriter(self) -> Callable[[bytes], bytes]:
        newer_client = self.programs.major > self.server_version_num // 10000
        clearing = True

        def rewrite(line: bytes) -> bytes:
            nonlocal clearing
            # A newer pg_dump sets what an older server does not know (17: transaction_timeout); a restore ends there.
            if newer_client and line == b"SET transaction_timeout = 0;\n":
                return b""
            if clearing and line == _LAST_OF_THE_HEAD:
                return line + _WHAT_THE_DATA_IS_READ_BY
            if clearing and line.startswith(b"-- Name: "):  # the first object that it makes
                clearing = False
            return cleared(line) if clearing else line

        return rewrite


def cleared(line: bytes) -> bytes:
    """Return a line of a dump's clearing part as it is to be run: with CASCADE."""
    if _DROP_OF_DOMAIN.match(line):
        # Where the domain is not there, this fails, whatever its IF EXISTS; and DROP DOMAIN follows.
        return b""
    if (match := _DROP.match(line)) and not match[1].endswith(b" CASCADE"):
        return match[1] + b" CASCADE;\n"
    return line
