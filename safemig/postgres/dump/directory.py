"""A full backup in pg_dump's directory format: a file a table, dumped, read back and restored by several jobs."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from safemig import live
from safemig.errors import BackupError, ToolError
from safemig.fault_points import FaultPoint, pass_point
from safemig.postgres.dump import tools
from safemig.postgres.dump.backup_files import Hashed, another, sync_folder, unreadable, unwritable
from safemig.postgres.dump.compression import (
    GZIP_LEVEL,
    SUFFIXES,
    Compression,
    DamagedError,
    Readable,
    decompressed,
    zstandard,
)
from safemig.postgres.dump.reader import CHUNK_BYTES, large_objects
from safemig.postgres.dump.tools import LOCK_WAIT, encoding_of, piped
from safemig.postgres.server.programs import Programs
from safemig.results import BackupFile, BackupPart, TableContent

# An archive's list names a table by its OID, and its file by the number of its entry (seen in 15, 17 and 18). Its
# names are of no use: a line end in one stands there as a blank.
TABLES_BY_OID = """
SELECT c.oid::bigint, quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'f')
"""
_TABLE_DATA = re.compile(rb"^(\d+); \d+ (\d+) TABLE DATA ", re.MULTILINE)
_LARGE_OBJECT = re.compile(r"blob_(\d+)\.dat")
# What ends the data of a table in its file; the data before it is that of COPY.
_END_OF_DATA = b"\\.\n\n\n"
_LOOK_EVERY_SECONDS = 0.2
# As fast as uncompressed, and here smaller than by the usual level 3 (measured on 1.4 GB, pg_dump 17).
_ZSTD_LEVEL = 1


@dataclass(frozen=True, slots=True)
class _Read:
    """One file of such a backup, read whole: as it is on disk, and what it holds."""

    part: BackupPart
    rows: int
    sha256: str
    is_complete: bool


def compression_option(programs: Programs, wanted: Compression) -> tuple[str, str]:
    """Return (pg_dump's option for a compression, what is to be told of it): gzip where that pg_dump has no zstd.

    Raises:
        ToolError: the library to read zstd by is not installed.
    """
    if wanted == "zstd":
        zstandard()
        if _has_zstd(programs):
            return f"--compress=zstd:{_ZSTD_LEVEL}", ""
        return f"--compress={GZIP_LEVEL}", f"compressed by gzip: the pg_dump {programs.version} here has no zstd"
    return f"--compress={GZIP_LEVEL if wanted == 'gzip' else 0}", ""


@functools.cache
def _has_zstd(programs: Programs) -> bool:
    # It looks at its options before it connects; from 16 on, and only where it was built with the library.
    command = [str(programs.path("pg_dump")), "--compress=zstd", "--format=directory", "--file=/dev/null/none"]
    command += ["--no-password", "--dbname=host=/dev/null/none"]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=30, env=os.environ | {"LC_ALL": "C"}
    )
    return "compress" not in answer.stderr


def write_directory(
    conninfo: str,
    programs: Programs,
    path: Path,
    *,
    snapshot: str,
    names: Mapping[int, str],
    jobs: int,
    options: Sequence[str],
) -> tuple[BackupFile, tuple[TableContent, ...]]:
    """Dump schema and data of one snapshot into the folder `path`, by `jobs` connections; then read and sync each file.

    `names` are the tables by OID (see `TABLES_BY_OID`), `options` are pg_dump's: for compression, and what is left out.
    Written as `.partial`, mode 0700 and its files 0600, then renamed. Rows and hashes are those that a plain dump of that snapshot has.

    Raises:
        BackupError: no room, no right to write, or a dump that lacks a file or the end of one.
        ToolError: pg_dump failed.
    """
    partial = path.with_name(path.name + ".partial")
    options = [
        "--format=directory", f"--file={partial}", f"--jobs={jobs}", "--no-subscriptions", "--no-sync",
        f"--snapshot={snapshot}", LOCK_WAIT, encoding_of(conninfo), *options,
    ]  # fmt: skip
    try:
        partial.mkdir(mode=0o700)
        with piped(programs, "pg_dump", conninfo, *options, ends_with_us=True) as process:
            pass_point(FaultPoint.DIRECTORY_DUMP_RUNS)
            _wait(process, partial, conninfo)
            pass_point(FaultPoint.DIRECTORY_DUMPED)
        with live.stage("hash the files"):
            read = _read(partial, _tables(programs, partial, names), jobs, sync=True)
        _require_complete(partial, read)
        pass_point(FaultPoint.DIRECTORY_COMPLETE)
        sync_folder(partial)
        partial.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error.strerror) from None
    except ToolError as error:
        if "No space left on device" in error.what:
            raise unwritable(path, "No space left on device") from None
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    parts = tuple(each.part for each in read)
    return BackupFile(path, sum(part.size_bytes for part in parts), _of_all(parts), parts), _content(read)


def read_back(file: BackupFile) -> tuple[TableContent, ...]:
    """Read such a backup whole, and return what it holds.

    Raises:
        BackupError: a file is missing, too many, not what the manifest describes, or does not end as it must.
    """
    tables = {part.name: part.table for part in file.parts if part.table}
    read = _read_for_comparison(file, lambda: _read(file.path, tables, os.cpu_count() or 1, sync=False))
    _require_complete(file.path, read)
    return _content(read)


def require_unchanged(file: BackupFile) -> None:
    """Read such a backup's files, and compare them with what the manifest says.

    Raises:
        BackupError: as `read_back`.
    """
    _read_for_comparison(file, lambda: _read(file.path, {}, os.cpu_count() or 1, sync=False, content=False))


def _read_for_comparison(file: BackupFile, read: Callable[[], tuple[_Read, ...]]) -> tuple[_Read, ...]:
    try:
        found = read()
    except OSError as error:
        raise unreadable(file, error) from None
    there, described = {each.part.name: each.part for each in found}, {part.name: part for part in file.parts}
    for name in sorted(there.keys() | described.keys()):
        ours, theirs = there.get(name), described.get(name)
        if ours is None or theirs is None:
            words = "is missing" if ours is None else "does not belong to it"
            raise BackupError(
                "the backup is not the file that its manifest describes",
                where=f"{file.path}: {name} {words}",
                next="use another backup; this one was changed",
            )
        if (ours.size_bytes, ours.sha256) != (theirs.size_bytes, theirs.sha256):
            where = BackupFile(file.path / name, theirs.size_bytes, theirs.sha256)
            raise another(where, ours.size_bytes, ours.sha256)
    return found


def _wait(process: subprocess.Popen[bytes], folder: Path, conninfo: str) -> None:
    seen, since = -1, time.monotonic()
    while True:
        try:
            process.wait(_LOOK_EVERY_SECONDS)
            return
        except subprocess.TimeoutExpired:
            size = sum(each.stat().st_size for each in folder.iterdir())
        if size != seen:
            seen, since = size, time.monotonic()
        elif time.monotonic() - since > tools.SILENT_SECONDS:
            tools.require_at_work(process, conninfo)
            since = time.monotonic()


def _tables(programs: Programs, folder: Path, names: Mapping[int, str]) -> dict[str, str]:
    """Return which table's data each file holds, by the file's name; each must be there."""
    if not (folder / "toc.dat").is_file():  # the last that pg_dump writes
        raise _incomplete(folder, "no list of contents")
    answer = subprocess.run(
        [programs.path("pg_restore"), "--list", folder], capture_output=True, check=False, timeout=600
    )
    if answer.returncode != 0:
        raise _incomplete(folder, answer.stderr.decode(errors="replace").strip())
    files = {path.name.partition(".")[0]: path.name for path in folder.iterdir()}
    try:
        return {files[number.decode()]: names[int(oid)] for number, oid in _TABLE_DATA.findall(answer.stdout)}
    except KeyError as error:
        raise _incomplete(folder, f"nothing of {error}") from None


def _require_complete(folder: Path, read: tuple[_Read, ...]) -> None:
    there = {each.part.name for each in read}
    for toc in folder.glob("blobs*.toc"):
        for name in toc.read_text().split()[1::2]:
            if not any(name + suffix in there for suffix in SUFFIXES.values()):
                raise _incomplete(folder, f"no {name}")
    for each in read:
        if not each.is_complete:
            raise _incomplete(folder, f"{each.part.name} has no end")


def _incomplete(folder: Path, words: str) -> BackupError:
    return BackupError("pg_dump ended before the dump was complete", where=f"{folder}: {words}", next="try again")


def _read(folder: Path, tables: Mapping[str, str], jobs: int, *, sync: bool, content: bool = True) -> tuple[_Read, ...]:
    """Read each file of the folder; several at a time: hashing and decompressing let other threads go on."""
    paths = sorted(folder.iterdir(), key=lambda path: path.name)
    found = []
    with ThreadPoolExecutor(jobs) as pool:
        for each in pool.map(
            lambda path: _read_one(path, tables.get(path.name, ""), sync=sync, content=content), paths
        ):
            live.advance(each.rows)
            found.append(each)
    return tuple(found)


def _read_one(path: Path, table: str, *, sync: bool, content: bool) -> _Read:
    pass_point(FaultPoint.DIRECTORY_FILE_BEGINS)
    rows, is_complete, holds = 0, True, hashlib.sha256()
    with path.open("rb") as file:
        whole = Hashed(file)
        try:
            if content and table:
                data = _Data(decompressed(path, whole))
                for piece in data:
                    rows += piece.count(b"\n")
                    holds.update(piece)
                is_complete = data.is_complete
            elif content and _LARGE_OBJECT.match(path.name) and path.stat().st_size:  # an empty one has no frame
                stream = decompressed(path, whole)
                while piece := stream.read(CHUNK_BYTES):
                    holds.update(piece.hex().encode())
        except DamagedError:
            is_complete = False
        whole.to_the_end()
        if sync:
            os.fsync(file.fileno())
    return _Read(BackupPart(path.name, whole.size_bytes, whole.sha256, table), rows, holds.hexdigest(), is_complete)


class _Data:
    """The data of a table in its file, but for what ends it."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.is_complete = False

    def __iter__(self) -> Iterator[bytes]:
        held = b""
        while chunk := self._stream.read(CHUNK_BYTES):
            held += chunk
            piece, held = held[: -len(_END_OF_DATA)], held[-len(_END_OF_DATA) :]
            yield piece
        self.is_complete = held == _END_OF_DATA


def _content(read: tuple[_Read, ...]) -> tuple[TableContent, ...]:
    tables = [TableContent(each.part.table, each.rows, each.sha256) for each in read if each.part.table]
    objects = {int(match[1]): each.sha256 for each in read if (match := _LARGE_OBJECT.match(each.part.name))}
    return tuple(sorted([*tables, *large_objects(objects)], key=lambda table: table.name))


def _of_all(parts: tuple[BackupPart, ...]) -> str:
    return hashlib.sha256("".join(f"{part.sha256}  {part.name}\n" for part in parts).encode()).hexdigest()
