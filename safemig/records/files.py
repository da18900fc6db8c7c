"""The folder of the records: made, locked, and its files made read-only."""

from __future__ import annotations

import errno
import fcntl
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from safemig import chain
from safemig.errors import SettingsError

_LOCK = ".lock"


def make_read_only(path: Path) -> None:
    """Take everyone's permission to write from a file that is final; where that cannot be done, its seal still tells."""
    with suppress(OSError):  # not there, or a file system without permissions
        path.chmod(path.stat().st_mode & ~0o222)


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
