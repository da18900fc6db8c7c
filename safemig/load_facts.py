"""What a rehearsal under load showed: frozen facts, drawn by `safemig.views`, kept in the record.

Times are seconds since the load began, latencies milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StatementUnderLoad:
    """How one statement fared: its usual latency before the migration, and what it was while that ran."""

    id: str
    text: str
    role: str
    calls: int  # while the migration ran
    failed: int
    usual_ms: float | None  # the median before the migration
    p99_ms: float | None
    worst_ms: float | None


@dataclass(frozen=True, slots=True)
class LoadError:
    """How often the server refused a call with one SQLSTATE, over the whole run."""

    sqlstate: str
    count: int
    message: str  # of the first one, without its detail, which may hold values


@dataclass(frozen=True, slots=True)
class LoadedStep:
    """A step of the migration as it ran under load: when, and how often its locks were asked for."""

    number: int
    sql: str
    begin_s: float
    end_s: float
    attempts: int
    lock_wait_s: float


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """The calls that ended in one part of the run."""

    at_s: float
    calls: int
    failed: int
    median_ms: float
    worst_ms: float


@dataclass(frozen=True, slots=True)
class LoadRun:
    """The migration on a copy while a share of the seen load ran there, with the lock time-outs of a deployment."""

    share: int  # percent
    wanted_per_s: float
    reached_per_s: float  # before the migration
    connections: int
    begin_s: float  # of the migration
    end_s: float
    outcome: str  # "" where the migration went through
    statements: tuple[StatementUnderLoad, ...]  # the worst latency first
    errors: tuple[LoadError, ...]
    steps: tuple[LoadedStep, ...]
    lock_attempts: int  # of the whole migration: 1 means that every lock was had at once
    points: tuple[LoadPoint, ...]
    driven: int  # statements
    skipped: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def deadlocks(self) -> int:
        """How many calls the server ended as a deadlock's victims (40P01)."""
        return sum(each.count for each in self.errors if each.sqlstate == "40P01")

    @property
    def worst_ms(self) -> float:
        """The longest that a call took while the migration ran."""
        return max((each.worst_ms or 0.0 for each in self.statements), default=0.0)
