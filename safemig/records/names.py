"""Names of records: they sort by time and say the verdict, `20261122T200904Z-production-migrate_prod-DEPLOYED`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

RUNNING = "RUNNING"
_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(
    r"(?P<stamp>\d{8}T\d{6}Z)-(?P<environment>.+)-(?P<act>[a-z]+(?:_[a-z]+)*)-(?P<verdict>[A-Z]+(?:-[A-Z]+)*)\Z"
)


@dataclass(frozen=True, slots=True)
class RecordName:
    """What a record's file name says."""

    at: datetime
    environment: str
    act: str
    verdict: str  # as in the file name: words joined by hyphens

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return f"{self.prefix}{self.verdict}"

    @property
    def prefix(self) -> str:
        """The part that stays the same from RUNNING to the verdict."""
        return f"{self.at.strftime(_STAMP)}-{self.environment}-{self.act}-"


def parse_name(stem: str) -> RecordName | None:
    """Return what a file's stem says, or None where it is no record's name."""
    match = _NAME.match(stem)
    if not match:
        return None
    try:
        at = datetime.strptime(match["stamp"], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return RecordName(at, match["environment"], match["act"], match["verdict"])
