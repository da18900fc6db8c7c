"""pg_dump's output as it streams by: written to a file, each table's rows counted and hashed on the way."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

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


@dataclass
class TableHasher:
    """Follows a plain dump line by line; after the last one, `content` is every table's rows and sha256, by name.

    The hash is of the COPY data as it stands in the dump, the same as of `COPY table TO STDOUT`.
    """

    _tables: list[TableContent] = field(default_factory=list)
    _name: str | None = None
    _rows: int = 0
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    def follow(self, line: bytes) -> None:
        """Take the next line, with its line end."""
        if self._name is None:
            if line.startswith(b"COPY ") and (match := _COPY.match(line)):
                self._name, self._rows, self._hash = match[1].decode(), 0, hashlib.sha256()
        elif line == _END_OF_DATA:
            self._tables.append(TableContent(self._name, self._rows, self._hash.hexdigest()))
            self._name = None
        else:
            self._rows += 1
            self._hash.update(line)

    @property
    def content(self) -> tuple[TableContent, ...]:
        """What was followed so far; a dump's own order depends on foreign keys and on what else is in it."""
        return tuple(sorted(self._tables, key=lambda table: table.name))

    @property
    def is_in_data(self) -> bool:
        """True between a COPY and the end of its data."""
        return self._name is not None


def dump_schema(conninfo: str, server_version_num: int, *, only: tuple[str, ...] = ()) -> str:
    """Return `pg_dump --schema-only` of a database, of the schemas `only` or of all but bookkeeping; without owners."""
    schemas = [f"--schema={quote_identifier(name)}" for name in only]
    schemas += [f"--exclude-schema={name}" for name in BOOKKEEPING_SCHEMAS]
    with piped(
        client_programs(server_version_num), "pg_dump", conninfo, "--schema-only", "--no-owner", "--no-sync", *schemas
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        return process.stdout.read().decode()


def content_of(conninfo: str, programs: Programs) -> tuple[TableContent, ...]:
    """Return rows and sha256 of every table of a database, from a dump of its data that is thrown away."""
    hasher = TableHasher()
    with piped(programs, "pg_dump", conninfo, "--data-only", "--no-sync") as process:
        for line in _lines(process.stdout):
            hasher.follow(line)
    return hasher.content


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
    hasher = TableHasher()
    # Rows hidden by a policy make pg_dump fail, which is right: --enable-row-security would leave them out silently.
    options = ["--clean", "--if-exists", "--no-subscriptions", f"--snapshot={snapshot}", "--no-sync"]
    dump = _Dump(conninfo, programs, tuple(options), server_version_num)
    return dump.write(path, hasher), hasher.content


def write_schema_dump(
    conninfo: str, programs: Programs, path: Path, *, snapshot: str, server_version_num: int
) -> BackupFile:
    """Dump the schema of one snapshot into `path`; never with `--clean`, which over data would empty every table."""
    options = ["--schema-only", "--no-subscriptions", f"--snapshot={snapshot}", "--no-sync"]
    return _Dump(conninfo, programs, tuple(options), server_version_num).write(path, TableHasher())


def read_back(file: BackupFile) -> tuple[TableContent, ...]:
    """Read a full dump whole and return what it holds.

    Raises:
        BackupError: it is missing, not the file that the manifest describes, or not complete.
    """
    hasher, whole, size, complete = TableHasher(), hashlib.sha256(), 0, False
    try:
        with file.path.open("rb") as stream:
            for line in stream:
                whole.update(line)
                size += len(line)
                hasher.follow(line)
                complete = complete or line.startswith(_TRAILER)
    except OSError as error:
        raise BackupError(
            f"the backup cannot be read: {error.strerror}", where=str(file.path), next="use another backup"
        ) from None
    if size != file.size_bytes or whole.hexdigest() != file.sha256 or not complete or hasher.is_in_data:
        raise BackupError(
            "the backup is not the file that its manifest describes",
            where=f"{file.path}: {size:,} bytes, sha256 {whole.hexdigest()[:12]}…; "
            f"the manifest says {file.size_bytes:,} bytes, sha256 {file.sha256[:12]}…",
            next="use another backup; this one was cut short or changed",
        )
    return hasher.content


def _lines(stream: IO[bytes] | None) -> Iterator[bytes]:
    assert stream is not None  # noqa: S101 - it was asked for
    yield from stream


@dataclass(frozen=True, slots=True)
class _Dump:
    """One run of pg_dump into a file."""

    conninfo: str
    programs: Programs
    options: tuple[str, ...]
    server_version_num: int

    def write(self, path: Path, hasher: TableHasher) -> BackupFile:
        partial = path.with_name(path.name + ".partial")
        whole, size, complete = hashlib.sha256(), 0, False
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb", buffering=_CHUNK_BYTES) as file:
                with piped(self.programs, "pg_dump", self.conninfo, *self.options) as process:
                    for line in self._restorable(_lines(process.stdout), hasher):
                        file.write(line)
                        whole.update(line)
                        size += len(line)
                        complete = complete or line.startswith(_TRAILER)
                file.flush()
                os.fsync(file.fileno())
            if not complete:
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
        return BackupFile(path, size, whole.hexdigest())

    def _restorable(self, lines: Iterator[bytes], hasher: TableHasher) -> Iterator[bytes]:
        newer_client = self.programs.major > self.server_version_num // 10000
        clearing = True
        for line in lines:
            hasher.follow(line)
            if not hasher.is_in_data:
                # A newer pg_dump sets what an older server does not know (17: transaction_timeout); a restore ends there.
                if newer_client and line == b"SET transaction_timeout = 0;\n":
                    continue
                if clearing and line.startswith(b"-- Name: "):  # the first object that it makes
                    clearing = False
                elif clearing and (match := _DROP.match(line)) and not match[1].endswith(b" CASCADE"):
                    line = match[1] + b" CASCADE;\n"
            yield line


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
