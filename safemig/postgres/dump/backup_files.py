"""The files of a backup: written whole or not at all, and held against what their manifest says."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from safemig.errors import BackupError
from safemig.results import BackupFile

_CHUNK_BYTES = 1 << 20


class Hashed:
    """A file's bytes, hashed and counted as someone reads them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """The hash of what was read so far."""
        return self._hash.hexdigest()

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b"" at the end."""
        piece = self._file.read(size)
        self._hash.update(piece)
        self.size_bytes += len(piece)
        return piece

    def to_the_end(self) -> None:
        """Read what is left."""
        while self.read(_CHUNK_BYTES):
            pass


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
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error.strerror) from None
    finally:
        partial.unlink(missing_ok=True)
    return BackupFile(path, size, whole.hexdigest())


def sync_folder(folder: Path) -> None:
    """Have a folder's list of names on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(path: Path, words: str | None) -> BackupError:
    """Return the error for a file of a backup that cannot be written."""
    return BackupError(
        f"the backup cannot be written: {words}",
        where=str(path),
        next="free disk space or correct the folder's permissions, then try again",
    )


def unreadable(file: BackupFile, error: OSError) -> BackupError:
    """Return the error for a file of a backup that cannot be read."""
    return BackupError(f"the backup cannot be read: {error.strerror}", where=str(file.path), next="use another backup")


def another(file: BackupFile, size: int, sha256: str) -> BackupError:
    """Return the error for a file of a backup that is not the one that its manifest describes."""
    return BackupError(
        "the backup is not the file that its manifest describes",
        where=f"{file.path}: {size:,} bytes, sha256 {sha256[:12]}…; "
        f"the manifest says {file.size_bytes:,} bytes, sha256 {file.sha256[:12]}…",
        next="use another backup; this one was cut short or changed",
    )
