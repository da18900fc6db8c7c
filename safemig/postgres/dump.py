"""pg_dump's output as it streams by: written to a file, each table's rows counted and hashed on the way."""

from __future__ import annotations

import hashlib
import os
import re
import select
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from safemig import live
from safemig.errors import BackupError
from safemig.postgres.compression import SUFFIX, Readable, compressed, opened
from safemig.postgres.connect import connect
from safemig.postgres.programs import Programs, client_programs
from safemig.postgres.tools import piped
from safemig.results import BackupFile, TableContent
from safemig.sql.identifiers import quote_identifier

# Bookkeeping that follows the deployment itself, not the application's schema.
BOOKKEEPING_SCHEMAS = ("safemig", "supabase_migrations")
_CHUNK_BYTES = 1 << 20
_COPY = re.compile(rb"COPY (.+?)  ?(?:\(.*\) )?FROM stdin;\n\Z", re.DOTALL)  # two spaces: a table without columns
_END_OF_DATA = b"\\.\n"
_TRAILER = b"-- PostgreSQL database dump complete"
# Large objects, as pg_dump writes them, and as we do (see `DumpReader`). Header of PostgreSQL 13 to 16, and of 17 on.
_LARGE_OBJECTS = re.compile(rb"-- Data for Name: (BLOBS|\d+(\.\.\d+)?); Type: BLOBS; ")
_LO_OPEN = re.compile(rb"SELECT pg_catalog\.lo_open\('(\d+)', \d+\);\n\Z")
_LO_WRITE = re.compile(rb"SELECT pg_catalog\.lowrite\(0, '\\x([0-9a-f]*)'\);\n\Z")
_LO_OURS = re.compile(rb"-- Large object (\d+)\n\Z")
_LO_PUT = re.compile(rb"SELECT pg_catalog\.lo_put\('\d+', \d+, '\\x([0-9a-f]*)'\);\n\Z")
_LO_FRAME = (b"BEGIN;\n", b"COMMIT;\n", b"SELECT pg_catalog.lo_close(0);\n")
# A table without a live row may keep it silent for long, and so may a lock that it waits for (then for a minute).
SILENT_SECONDS = 60.0
LOCK_WAIT = "--lock-wait-timeout=60s"
A_DUMP_IS_AT_WORK = """
SELECT 1 FROM pg_stat_activity
WHERE application_name = %s AND state = 'active' AND wait_event IS DISTINCT FROM 'ClientWrite' LIMIT 1
"""
LARGE_OBJECTS = "large objects"  # their name among the tables: no table has one without a dot
# In the part of a `--clean` dump that drops what it is going to make.
_DROP = re.compile(rb"(DROP (?!USER MAPPING)[A-Z ]+? .*|ALTER TABLE .* DROP CONSTRAINT .*);\n\Z")


class DumpReader:
    """Reads a plain dump once; after that, `content` is every table's rows and sha256.

    The hash is of the COPY data as it stands in the dump, the same as of `COPY table TO STDOUT`. All large objects
    together are one more entry, `LARGE_OBJECTS`: a row each, hashed by number and content. Lines outside of the data
    go through `rewrite`, which may change a line or, by returning b"", leave it out.

    pg_dump puts BEGIN and COMMIT around large objects (seen in 15 and 17), and that COMMIT would end the one transaction
    of `psql -1` in its middle; with a `rewrite` each is written by lo_put() instead, which needs no transaction.
    """

    def __init__(self, rewrite: Callable[[bytes], bytes] | None = None) -> None:
        self._rewrite = rewrite
        self._tables: list[TableContent] = []
        self._name = ""
        self._rows = 0
        self._hash = hashlib.sha256()
        self._large = _LargeObjects(rewrites=rewrite is not None)
        self.is_complete = False

    @property
    def content(self) -> tuple[TableContent, ...]:
        """What was read, by name; a dump's own order depends on foreign keys and on what else is in it."""
        return tuple(sorted([*self._tables, *self._large.content], key=lambda table: table.name))

    def pieces(self, stream: Readable) -> Iterator[bytes]:
        """Yield the dump in pieces as they come: single lines outside of the data, whole blocks of data."""
        buffer, in_data, at_start = b"", False, False
        before, command = [b"", b"", b""], b""
        while chunk := stream.read(_CHUNK_BYTES):
            buffer += chunk
            while buffer:
                if in_data:
                    # An empty table's data is the end mark alone; any other data ends with a line end before it.
                    is_empty = at_start and buffer.startswith(_END_OF_DATA)
                    end = 0 if is_empty else buffer.find(b"\n" + _END_OF_DATA) + 1
                    if not end and not is_empty:
                        block, buffer = buffer[: -len(_END_OF_DATA)], buffer[-len(_END_OF_DATA) :]
                        at_start = at_start and not block
                        yield self._data(block)
                        break
                    block, buffer = buffer[:end], buffer[end + len(_END_OF_DATA) :]
                    yield self._data(block)
                    yield _END_OF_DATA
                    self._tables.append(TableContent(self._name, self._rows, self._hash.hexdigest()))
                    in_data = False
                    continue
                line, newline, rest = buffer.partition(b"\n")
                if not newline:
                    break
                line, buffer = line + newline, rest
                # A function's body may hold such a line too; pg_dump announces the real ones by a comment.
                announced = before[0].startswith(b"-- Data for Name: ") and before[1:] == [b"--\n", b"\n"]
                if command or (announced and line.startswith(b"COPY ")):
                    command += line  # a column's name may hold a line end
                    if not command.endswith(b" FROM stdin;\n"):
                        yield line
                        continue
                before, match, command = [*before[1:], line], _COPY.match(command), b""
                if match:
                    # Only SQL_ASCII is not dumped as UTF-8, and may hold any bytes.
                    self._name, self._rows, self._hash = match[1].decode(errors="backslashreplace"), 0, hashlib.sha256()
                    in_data = at_start = True
                    yield line
                elif self._large.is_inside(line):
                    yield self._large.read(line)
                else:
                    self.is_complete = self.is_complete or line.startswith(_TRAILER)
                    yield self._rewrite(line) if self._rewrite else line
        if buffer:
            yield buffer

    def _data(self, block: bytes) -> bytes:
        rows = block.count(b"\n")
        self._rows += rows
        live.advance(rows)
        self._hash.update(block)
        return block


class _LargeObjects:
    """The part of a dump that holds the large objects' content."""

    def __init__(self, *, rewrites: bool) -> None:
        self._rewrites = rewrites
        self._announced = self._inside = False
        self._number, self._offset = b"", 0
        self._hashes: dict[int, Any] = {}

    @property
    def content(self) -> tuple[TableContent, ...]:
        """All of them as one entry; none where there are none."""
        if not self._hashes:
            return ()
        whole = hashlib.sha256()
        for number in sorted(self._hashes):
            whole.update(f"{number}:{self._hashes[number].hexdigest()}\n".encode())
        return (TableContent(LARGE_OBJECTS, len(self._hashes), whole.hexdigest()),)

    def is_inside(self, line: bytes) -> bool:
        """Tell whether a line belongs to that part; it is ended by the comment that announces the next object."""
        if line == b"--\n":  # before and after the announcement
            self._announced, self._inside = False, self._announced
            return False
        self._announced = self._announced or bool(_LARGE_OBJECTS.match(line))
        return self._inside

    def read(self, line: bytes) -> bytes:
        """Take a line of that part in, and return it as it is to be written."""
        if match := _LO_OPEN.match(line) or _LO_OURS.match(line):
            self._number, self._offset = match[1], 0
            self._hashes[int(match[1])] = hashlib.sha256()
            return b"-- Large object %b\n" % match[1] if self._rewrites else line
        if match := _LO_WRITE.match(line) or _LO_PUT.match(line):
            self._hashes[int(self._number)].update(match[1])
            offset, self._offset = self._offset, self._offset + len(match[1]) // 2
            if self._rewrites:
                return b"SELECT pg_catalog.lo_put('%b', %d, '\\x%b');\n" % (self._number, offset, match[1])
        return b"" if self._rewrites and line in _LO_FRAME else line


class _Watched:
    """pg_dump's output, read with an eye on its session: a pg_dump that hangs would else be waited for for ever."""

    def __init__(self, process: subprocess.Popen[bytes], conninfo: str) -> None:
        self._process = process
        self._conninfo = conninfo

    def read(self, size: int) -> bytes:
        """Return what there is, at most `size` bytes; b"" at the end.

        Raises:
            BackupError: it has been silent, and its session does not work or is gone.
        """
        stream = _output(self._process)
        while not select.select([stream], [], [], SILENT_SECONDS)[0]:
            connection = connect(self._conninfo, "the database")
            try:
                works = connection.execute(A_DUMP_IS_AT_WORK, (f"safemig dump {os.getpid()}",)).fetchone()
            finally:
                connection.close()
            if not works:
                raise BackupError(
                    f"pg_dump has said nothing for {SILENT_SECONDS:g} s, and its session does no work",
                    where=f"process {self._process.pid}, ended now",
                    next="look at this machine (a stopped process, a network that swallows), then try again",
                )
        return os.read(stream.fileno(), size)


def dump_schema(conninfo: str, server_version_num: int, *, only: tuple[str, ...] = ()) -> str:
    """Return `pg_dump --schema-only` of a database, of the schemas `only` or of all but bookkeeping; without owners."""
    schemas = [f"--schema={quote_identifier(name)}" for name in only]
    schemas += [f"--exclude-schema={name}" for name in BOOKKEEPING_SCHEMAS]
    with piped(
        client_programs(server_version_num), "pg_dump", conninfo, "--schema-only", "--no-owner", "--no-sync",
        encoding_of(conninfo), *schemas,
    ) as process:  # fmt: skip
        return _output(process).read().decode()


def content_of(conninfo: str, programs: Programs) -> tuple[TableContent, ...]:
    """Return rows and sha256 of every table of a database, from a dump of its data that is thrown away."""
    reader = DumpReader()
    with piped(programs, "pg_dump", conninfo, "--data-only", "--no-sync", LOCK_WAIT, encoding_of(conninfo)) as process:
        for _ in reader.pieces(_Watched(process, conninfo)):
            pass
    return reader.content


def encoding_of(conninfo: str) -> str:
    """Return pg_dump's option for the encoding to dump a database in: UTF-8, or for SQL_ASCII its bytes as they are."""
    # What is in an SQL_ASCII database need not be UTF-8, and the server refuses to send it as such.
    connection = connect(conninfo, "the database")
    try:
        is_bytes = connection.info.parameter_status("server_encoding") == "SQL_ASCII"
    finally:
        connection.close()
    return "--encoding=SQL_ASCII" if is_bytes else "--encoding=UTF8"


def write_full_dump(
    conninfo: str, programs: Programs, path: Path, *, snapshot: str, server_version_num: int
) -> tuple[BackupFile, tuple[TableContent, ...]]:
    """Dump schema and data of one snapshot into `path`, so that `psql -1 -f` brings them back over a damaged database.

    Compressed where the name ends in .zst.
    Every DROP of its clearing part says CASCADE: what was made after the backup and hangs on an object in it (a new
    table's foreign key, a new view) would else stop the restore at its first statement. Written as `.partial`, mode
    0600, synced, then renamed.

    Raises:
        BackupError: no room, no right to write, or a dump that does not end as a whole one does.
        ToolError: pg_dump failed.
    """
    # Rows hidden by a policy make pg_dump fail, which is right: --enable-row-security would leave them out silently.
    options = ("--clean", "--if-exists", "--no-subscriptions", f"--snapshot={snapshot}", "--no-sync")
    return _Dump(conninfo, programs, options, server_version_num).write(path)


def write_schema_dump(
    conninfo: str, programs: Programs, path: Path, *, snapshot: str, server_version_num: int
) -> BackupFile:
    """Dump the schema of one snapshot into `path`; never with `--clean`, which over data would empty every table."""
    options = ("--schema-only", "--no-subscriptions", f"--snapshot={snapshot}", "--no-sync")
    return _Dump(conninfo, programs, options, server_version_num).write(path)[0]


def read_back(file: BackupFile) -> tuple[TableContent, ...]:
    """Read a full dump whole and return what it holds.

    Raises:
        BackupError: it is missing, not the file that the manifest describes, or not complete.
    """
    reader, whole, size = DumpReader(), hashlib.sha256(), 0
    if file.path.suffix == SUFFIX:
        require_unchanged(file)
        with opened(file.path) as stream:
            for _ in reader.pieces(stream):
                pass
        if not reader.is_complete:
            raise _another(file, file.size_bytes, file.sha256)
        return reader.content
    try:
        with file.path.open("rb") as stream:
            for piece in reader.pieces(stream):
                whole.update(piece)
                size += len(piece)
    except OSError as error:
        raise _unreadable(file, error) from None
    if size != file.size_bytes or whole.hexdigest() != file.sha256 or not reader.is_complete:
        raise _another(file, size, whole.hexdigest())
    return reader.content


def require_unchanged(file: BackupFile) -> None:
    """Read a file of a backup whole, and compare it with what its manifest says.

    Raises:
        BackupError: it is missing, or not the same bytes.
    """
    try:
        with file.path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError as error:
        raise _unreadable(file, error) from None
    if (size, found) != (file.size_bytes, file.sha256):
        raise _another(file, size, found)


def _unreadable(file: BackupFile, error: OSError) -> BackupError:
    return BackupError(f"the backup cannot be read: {error.strerror}", where=str(file.path), next="use another backup")


def _another(file: BackupFile, size: int, sha256: str) -> BackupError:
    return BackupError(
        "the backup is not the file that its manifest describes",
        where=f"{file.path}: {size:,} bytes, sha256 {sha256[:12]}…; "
        f"the manifest says {file.size_bytes:,} bytes, sha256 {file.sha256[:12]}…",
        next="use another backup; this one was cut short or changed",
    )


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

    def write(self, path: Path) -> tuple[BackupFile, tuple[TableContent, ...]]:
        reader = DumpReader(self._rewriter())

        def pieces() -> Iterator[bytes]:
            options = (*self.options, LOCK_WAIT, encoding_of(self.conninfo))
            with piped(self.programs, "pg_dump", self.conninfo, *options) as process:
                yield from reader.pieces(_Watched(process, self.conninfo))
            if not reader.is_complete:
                raise BackupError("pg_dump ended before the dump was complete", where=str(path), next="try again")

        return write_whole(path, compressed(pieces()) if path.suffix == SUFFIX else pieces()), reader.content

    def _rewriter(self) -> Callable[[bytes], bytes]:
        newer_client = self.programs.major > self.server_version_num // 10000
        clearing = True

        def rewrite(line: bytes) -> bytes:
            nonlocal clearing
            # A newer pg_dump sets what an older server does not know (17: transaction_timeout); a restore ends there.
            if newer_client and line == b"SET transaction_timeout = 0;\n":
                return b""
            if clearing and line.startswith(b"-- Name: "):  # the first object that it makes
                clearing = False
            elif clearing and (match := _DROP.match(line)) and not match[1].endswith(b" CASCADE"):
                return match[1] + b" CASCADE;\n"
            return line

        return rewrite


def write_whole(path: Path, pieces: Iterable[bytes]) -> BackupFile:
    """Write a file of a backup, mode 0600: as `.partial`, synced, then under its name, where none may be yet.

    Raises:
        BackupError: no room or no right; nothing is left of it then, nor where `pieces` raises.
    """
    partial = path.with_name(path.name + ".partial")
    whole, size = hashlib.sha256(), 0
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb", buffering=_CHUNK_BYTES) as file:
            for piece in pieces:
                file.write(piece)
                whole.update(piece)
                size += len(piece)
            file.flush()
            os.fsync(file.fileno())
        # link() never replaces another backup, rename() would.
        os.link(partial, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise BackupError(
            f"the backup cannot be written: {error.strerror}",
            where=str(path),
            next="free disk space or correct the folder's permissions, then try again",
        ) from None
    finally:
        partial.unlink(missing_ok=True)
    return BackupFile(path, size, whole.hexdigest())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
