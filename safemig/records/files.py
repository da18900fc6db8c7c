"""Write files so that a reader, and a crash at any moment, meets the old content or the new one, never a part."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from safemig import chain
from safemig.errors import SettingsError

_LOCK = ".lock"


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, flush it to the disk, and rename it over `path`.

    Raises:
        OSError: the folder cannot be written, or the disk is full; `path` is then as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    flush_folder(path.parent)


def make_read_only(path: Path) -> None:
    """Take everybody's permission to write from a file that is final; where that cannot be done, its seal still tells."""
    with suppress(OSError):  # not there, or a file system without permissions
        path.chmod(path.stat().st_mode & ~0o222)


def flush_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make `folder` where it is missing.

    Raises:
        SettingsError: it cannot be made, written or, as on some network file systems, locked.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _LOCK).open("a") as file, suppress(BlockingIOError):  # another process has it: it can be locked
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise cannot_be_written(folder, error) from None


def cannot_be_written(folder: Path, error: OSError) -> SettingsError:
    """Return what to raise where no record can be begun in `folder`: nothing was tried."""
    cures = {errno.ENOSPC: "free space there", errno.EDQUOT: "free space there"}
    return SettingsError(
        f"records cannot be written: {error.strerror or error}; nothing was changed",
        where=str(folder),
        next=cures.get(error.errno or 0, "correct its permissions")
        + ', or set another folder: records = "..." in safemig.toml',
    )


def locked(folder: Path, name: str = _LOCK) -> AbstractContextManager[None]:
    """Keep every other safemig process out of `folder`'s ledger and names meanwhile. Released when a process dies.

    Another `name` is another lock: of those who settle, who seal meanwhile.

    Raises:
        OSError: it cannot be had.
    """
    return chain.locked(folder / name)
