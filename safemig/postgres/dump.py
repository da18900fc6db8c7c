"""pg_dump's output as it streams by: written to a file, each table's rows counted and hashed on the way."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from safemig import live
from safemig.errors import BackupError
from safemig.postgres.programs import Programs, client_programs
from safemig.postgres.tools import piped
from safemig.results import BackupFile, TableContent
from safemig.sql.identifiers import quote_identifier

# Bookkeeping that follows the deployment itself, not the application's schema.
BOOKKEEPING_SCHEMAS = ("safemig", "supabase_migrations")
_CHUNK_BYTES = 1 << 20
_COPY = re.compile(rb"COPY (.+?) (?:\(.*\) )?FROM stdin;\n\Z", re.DOTALL)
_END_OF_DATA = b"\\.\n"
_TRAILER = b"-- PostgreSQL database dump complete"
# In the part of a `--clean` dump that drops what it is going to make.
_DROP = re.compile(rb"(DROP (?!USER MAPPING)[A-Z ]+? .*|ALTER TABLE .* DROP CONSTRAINT .*);\n\Z")


class DumpReader:
    """Reads a plain dump once; after that, `content` is every table's rows and sha256.

    The hash is of the COPY data as it stands in the dump, the same as of `COPY table TO STDOUT`. Lines outside of
    the data go through `rewrite`, which may change a line or, by returning b"", leave it out.
    """

    def __init__(self, rewrite: Callable[[bytes], bytes] | None = None) -> None:
        self._rewrite = rewrite
        self._tables: list[TableContent] = []
        self._name = ""
        self._rows = 0
        self._hash = hashlib.sha256()
        self.is_complete = False

    @property
    def content(self) -> tuple[TableContent, ...]:
        """What was read, by name; a dump's own order depends on foreign keys and on what else is in it."""
        return tuple(sorted(self._tables, key=lambda table: table.name))

    def pieces(self, stream: IO[bytes]) -> Iterator[bytes]:
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
                    self._name, self._rows, self._hash = match[1].decode(), 0, hashlib.sha256()
                    in_data = at_start = True
                    yield line
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


def dump_schema(conninfo: str, server_version_num: int, *, only: tuple[str, ...] = ()) -> str:
    """Return `pg_dump --schema-only` of a database, of the schemas `only` or of all but bookkeeping; without owners."""
    schemas = [f"--schema={quote_identifier(name)}" for name in only]
    schemas += [f"--exclude-schema={name}" for name in BOOKKEEPING_SCHEMAS]
    with piped(
        client_programs(server_version_num), "pg_dump", conninfo, "--schema-only", "--no-owner", "--no-sync", *schemas
    ) as process:
        return _output(process).read().decode()


def content_of(conninfo: str, programs: Programs) -> tuple[TableContent, ...]:
    """Return rows and sha256 of every table of a database, from a dump of its data that is thrown away."""
    reader = DumpReader()
    with piped(programs, "pg_dump", conninfo, "--data-only", "--no-sync") as process:
        for _ in reader.pieces(_output(process)):
            pass
    return reader.content


def write_full_dump(
    conninfo: str, programs: Programs, path: Path, *, snapshot: str, server_version_num: int
) -> tuple[BackupFile, tuple[TableContent, ...]]:
    """Dump schema and data of one snapshot into `path`, so that `psql -1 -f` brings them back over a damaged database.

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
    try:
        with file.path.open("rb") as stream:
            for piece in reader.pieces(stream):
                whole.update(piece)
                size += len(piece)
    except OSError as error:
        raise BackupError(
            f"the backup cannot be read: {error.strerror}", where=str(file.path), next="use another backup"
        ) from None
    if size != file.size_bytes or whole.hexdigest() != file.sha256 or not reader.is_complete:
        raise BackupError(
            "the backup is not the file that its manifest describes",
            where=f"{file.path}: {size:,} bytes, sha256 {whole.hexdigest()[:12]}…; "
            f"the manifest says {file.size_bytes:,} bytes, sha256 {file.sha256[:12]}…",
            next="use another backup; this one was cut short or changed",
        )
    return reader.content


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
        partial = path.with_name(path.name + ".partial")
        reader, whole, size = DumpReader(self._rewriter()), hashlib.sha256(), 0
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb", buffering=_CHUNK_BYTES) as file:
                with piped(self.programs, "pg_dump", self.conninfo, *self.options) as process:
                    for piece in reader.pieces(_output(process)):
                        file.write(piece)
                        whole.update(piece)
                        size += len(piece)
                file.flush()
                os.fsync(file.fileno())
            if not reader.is_complete:
                raise BackupError("pg_dump ended before the dump was complete", where=str(path), next="try again")
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
        return BackupFile(path, size, whole.hexdigest()), reader.content

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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
