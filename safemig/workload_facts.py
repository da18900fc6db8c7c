"""What was seen of the application's statements, and what a migration does to them: facts, as the verbs answer them.

`WorkloadCheck` is part of a rehearsal, `CollectedWorkload` the answer of `safemig workload`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

from safemig.result import Result

FindingKind = Literal["breaks", "result-type", "refused", "plan"]
Moment = Literal["migration", "rollback"]
RULE_OF: Mapping[FindingKind, str] = {
    "breaks": "breaks-statement", "result-type": "changes-result-type", "refused": "refuses-statement",
    "plan": "plan-regression",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SeenWindow:
    """From when to when statements were seen, and how many calls; `hours` leaves gaps between collections out."""

    from_: datetime | None
    to: datetime | None
    calls: int
    hours: float = 0.0


@dataclass(frozen=True, slots=True)
class LoadRow:
    """One statement by its share of the load; per hour and share are of the window seen."""

    id: str
    role: str
    kind: str
    calls: int
    calls_per_hour: float | None
    share: float | None
    mean_ms: float
    max_ms: float
    rows: int
    source: str
    text: str


@dataclass(frozen=True, slots=True, repr=False)
class CollectedWorkload(Result):
    """The application's statements as they were collected, the heaviest first, and the window in which they were seen."""

    kind: ClassVar[str] = "workload"
    environment: str
    path: Path
    window: SeenWindow
    statements: tuple[LoadRow, ...]
    read_from: tuple[str, ...] = ()  # what was read just now; nothing where only the file was shown
    new: int = 0
    evicted: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    is_dry_run: bool = False  # nothing was written


@dataclass(frozen=True, slots=True)
class WorkloadFinding:
    """What a migration, or its rollback, does to one statement that worked before; `accepted` is the reason, if any.

    `object` is what the change is about, where that is known, else the statement's id: an acceptance may name either.
    """

    kind: FindingKind
    sqlstate: str
    statement: str
    role: str
    calls: int
    cause: str  # the change of the migration that did it, where it can be told
    after: Moment
    id: str
    rule: str
    object: str
    message: str
    calls_per_hour: float | None = None
    share: float | None = None
    accepted: str | None = None

    @property
    def is_dangerous(self) -> bool:
        """True where the statement fails from then on, for every session."""
        return self.kind in ("breaks", "refused")


@dataclass(frozen=True, slots=True)
class StatementOutcome:
    """One statement that was tried: before the migration it worked, and after it, and after the rollback, as told."""

    id: str
    statement: str
    role: str
    calls: int
    after: str  # "works", or the server's refusal
    after_rollback: str


@dataclass(frozen=True, slots=True)
class ChangedPlan:
    """A statement whose plan is another one after the migration, or costs more; costs are the planner's own units.

    Times are there where they were asked for, on a copy with rows: SELECTs with values drawn from it.
    """

    id: str
    statement: str
    role: str
    calls: int
    before_cost: float
    after_cost: float
    before: str
    after: str
    difference: str  # which parts of the plan go, and what comes
    table: str  # where that is
    is_dearer: bool
    is_slower: bool = False
    before_ms: float | None = None
    after_ms: float | None = None

    @property
    def words(self) -> str:
        """What happens, in a sentence."""
        times = (
            f"; {self.before_ms:,.1f} -> {self.after_ms:,.1f} ms on the copy"
            if self.before_ms is not None and self.after_ms is not None
            else ""
        )
        return f"cost {self.before_cost:,.0f} -> {self.after_cost:,.0f}: {self.difference}{times}"


@dataclass(frozen=True, slots=True)
class PlansCheck:
    """How many plans were compared, which changed (the dearest growth first), and why others were not compared."""

    compared: int
    changed: tuple[ChangedPlan, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class WorkloadCheck(Result):
    """What the application will notice of a migration: its statements tried on the copy before, after, and rolled back.

    Guarantee: a finding is a statement that worked on the unchanged copy. `skipped` counts what was not tried, by reason;
    `not_checked` says what this evidence cannot tell.
    """

    kind: ClassVar[str] = "workload_check"
    window: SeenWindow
    statements: int
    checked: int
    skipped: Mapping[str, int]
    findings: tuple[WorkloadFinding, ...]
    outcomes: tuple[StatementOutcome, ...] = ()
    checked_calls: int = 0
    order: str = ""  # "schema first", "application first", "either", "neither", "" where the new statements are unknown
    order_reasons: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
    plans: PlansCheck | None = None

    @property
    def standing(self) -> tuple[WorkloadFinding, ...]:
        """The findings that no one accepted."""
        return tuple(finding for finding in self.findings if finding.accepted is None)
