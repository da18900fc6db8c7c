"""The project's file of the base: what it says of itself, and whether it is as safemig wrote it. No database is asked."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from safemig.errors import SettingsError
from safemig.settings import Settings

_READ_FROM = re.compile(r"^-- Read from (\S+) \(.*?, PostgreSQL (\d+)[^)]*\)(?:, (\d{4}-\d\d-\d\d))?", re.MULTILINE)
_CHECKSUM = re.compile(r"^-- Checksum: ([0-9a-f]{64})\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class BaseText:
    """The file's text, and what its heading says: the environment that it was read from ("" where it does not say)."""

    path: Path
    text: str
    environment: str = ""
    major: int = 0
    date: str = ""

    @property
    def is_as_written(self) -> bool:
        """Whether it is as safemig wrote it; of one without a checksum nothing can be told."""
        said = _CHECKSUM.search(self.text)
        return said is None or said[1] == checksum_of(self.text)

    @property
    def sha256(self) -> str:
        """The hash of the file's bytes, which a plan binds."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def words(self) -> str:
        """Which file it is, for who reads a result."""
        origin = f"read from {self.environment} on {self.date}" if self.environment else "written by hand"
        own = "" if _CHECKSUM.search(self.text) else ", without a checksum"
        return f"{self.path.name}, {origin}{own} (SHA-256 {self.sha256[:12]})"


def read_base_text(settings: Settings, *, edited: bool = False) -> BaseText | None:
    """Return the file's text, None where there is no file. With `edited`, also where it was changed since it was written.

    Raises:
        SettingsError: it cannot be read, or was changed since it was written.
    """
    path = settings.path("base")
    if not path.is_file():
        return None
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"the base cannot be read: {error}",
            where=str(path),
            next="restore it (git), or refresh it: safemig base",
        ) from None
    said = _READ_FROM.search(text)
    found = BaseText(path, text, *((said[1], int(said[2]), said[3] or "") if said else ()))
    if not edited and not found.is_as_written:
        raise SettingsError(
            f"{settings.base} was changed since safemig base wrote it: its checksum is another one",
            where=str(path),
            next="look at the change (git diff), then restore the file or refresh it: safemig base; "
            "to use it as edited, delete its line -- Checksum",
        )
    return found


def with_checksum(heading: str, rest: str) -> str:
    """Return a file's text of its heading, lines of comments, and the rest, with the checksum of both as the last of these."""
    text = f"{heading}\n{rest}"
    return f"{heading}\n-- Checksum: {checksum_of(text)}\n{rest}"


def checksum_of(text: str) -> str:
    """Return the checksum of a file, which is of all but the line that says it."""
    return hashlib.sha256(_CHECKSUM.sub("", text, count=1).encode()).hexdigest()
