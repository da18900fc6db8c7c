"""Write files as a whole: a reader, and a crash at any moment, sees the old content or the new one."""

from __future__ import annotations

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes, *, flush: bool = True) -> None:
    """Write `content` beside `path`, flush it to the disk, and rename it over `path`.

    A file that was there keeps its permissions, and a symbolic link stays one. Without `flush`, a power cut may lose it.

    Raises:
        OSError: the folder cannot be written, or the disk is full; `path` is then as it was.
    """
    path = path.resolve()
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            if path.exists():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.write(content)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    if flush:
        flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
