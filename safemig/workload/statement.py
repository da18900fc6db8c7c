"""One statement that an application sends: its text without values, who sends it, how often, how long it takes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Source = Literal["pg_stat_statements", "sql", "log", "dump"]
Kind = Literal["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "UTILITY"]


@dataclass(frozen=True, slots=True)
class Counter:
    """What the server had counted of a statement when it was last read, and since when it counts."""

    calls: int
    rows: int
    total_ms: float
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A top-level statement as it was seen. `text` holds neither values nor comments; its parameters are $1, $2, ...

    `calls`, `rows`, `mean_ms` and `max_ms` are over all that was collected; 0 where the source counts nothing, as a
    folder of .sql files. `search_path` is the role's and database's setting, "" where it is the server's default.
    """

    id: str
    text: str
    role: str
    database: str
    kind: Kind
    source: Source
    search_path: str = ""
    queryid: int | None = None
    calls: int = 0
    rows: int = 0
    mean_ms: float = 0.0
    max_ms: float = 0.0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    read: Counter | None = None  # so that the next collection adds only what came since

    @property
    def total_ms(self) -> float:
        """How long all its calls took together: its load."""
        return self.calls * self.mean_ms

    @property
    def is_checked(self) -> bool:
        """False for what cannot be prepared, such as DDL and SET."""
        return self.kind != "UTILITY"


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time in which statements were counted; both ends are UTC."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class SeenWorkload:
    """The statements of one environment, the windows in which they were seen, and what was left out, by reason.

    `evicted` counts how often the server dropped the least used statements from its view within the windows, `dealloc` is
    its own counter of that when it was last read.
    """

    environment: str
    statements: tuple[Statement, ...] = ()
    windows: tuple[Window, ...] = ()
    evicted: int = 0
    dealloc: int = 0
    skipped: tuple[tuple[str, int], ...] = ()

    @property
    def calls(self) -> int:
        """How many calls were seen."""
        return sum(each.calls for each in self.statements)

    @property
    def total_ms(self) -> float:
        """How long all calls took together."""
        return sum(each.total_ms for each in self.statements)

    @property
    def hours(self) -> float:
        """How long the windows are together; gaps between them do not count."""
        return sum((each.end - each.begin).total_seconds() for each in self.windows) / 3600

    @property
    def begin(self) -> datetime | None:
        """When the first window begins."""
        return self.windows[0].begin if self.windows else None

    @property
    def end(self) -> datetime | None:
        """When the last window ends."""
        return self.windows[-1].end if self.windows else None


def counts_better(new: Source, old: Source) -> bool:
    """Tell whether `new` counts better than `old`: the server itself, then its dump, its log, a folder of files."""
    return _TRUST.index(new) <= _TRUST.index(old)


_TRUST: tuple[Source, ...] = ("pg_stat_statements", "dump", "log", "sql")


def identity(text: str, role: str, database: str) -> str:
    """Return a statement's id: the same for the same text, role and database, whatever server or version counted it."""
    return hashlib.sha256("\0".join((text, role, database)).encode()).hexdigest()[:12]


def joined(windows: Sequence[Window], gap: timedelta = timedelta(seconds=1)) -> tuple[Window, ...]:
    """Return the windows in order; those that overlap, or lie no more than `gap` apart, are one."""
    found: list[Window] = []
    for each in sorted(windows, key=lambda window: window.begin):
        if found and each.begin <= found[-1].end + gap:
            found[-1] = Window(found[-1].begin, max(found[-1].end, each.end))
        else:
            found.append(each)
    return tuple(found)
