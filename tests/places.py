"""Where tests keep what they make: in memory where there is room, for a test's servers are a thousand small files each.

On a disk (ext4), to make and remove those takes as much processor time as all else that a deployment does. TMPDIR, where
it is set, names another place.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")  # of Linux; a container may have a small one, or one that runs no programs
_ROOM_BYTES = 4 << 30


def use_memory() -> None:
    """Let this process, and those that it starts, keep temporary files in memory; nothing changes where that has no room."""
    if "TMPDIR" in os.environ or not _MEMORY.is_dir():
        return
    runs_programs = not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
    if runs_programs and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES:
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


def short_folder(prefix: str) -> Path:
    """Return a new folder whose path leaves room for a socket's name."""
    place = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix=prefix, dir=place if len(place) < 20 else "/tmp"))
