"""What is known of a fleet: its matrix, its plan, its deployment. Facts alone; `safemig.fleet` gathers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from safemig.result import Result

MemberState = Literal["current", "pending", "part-way", "contradicts", "unrecorded", "unreachable"]
Outcome = Literal[
    "deployed", "already", "rolled back", "backed up", "failed", "stopped", "unknown", "set aside", "not reached"
]
UNWELL = ("contradicts", "unrecorded", "part-way")


@dataclass(frozen=True, slots=True)
class FleetMember:
    """One row of the matrix, as the member's own database said it just now.

    `version` is the newest migration that is applied; `drift` is "none", what differs, or why it was not compared.
    """

    name: str
    state: MemberState
    version: str
    drift: str
    error: str
    pending: int = 0
    cohort: str = ""
    server: str = ""
    database: str = ""
    schema: str = ""
    labels: Mapping[str, str] | None = None

    @property
    def is_drifted(self) -> bool:
        """True where its schema is not what its migrations make."""
        return self.drift not in ("", "none") and not self.drift.startswith("not compared")


@dataclass(frozen=True, repr=False)
class FleetStatus(Result):
    """Every member of a fleet, asked just now."""

    kind: ClassVar[str] = "fleet_status"
    fleet: str
    members: tuple[FleetMember, ...]
    latest: str  # the newest migration file's version
    seconds: float
    problems: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 where all is well, pending migrations included; 1 with drift or problems; 5 where a member could not be asked."""
        if any(each.state == "unreachable" for each in self.members):
            return 5
        unwell = any(each.is_drifted or each.state in UNWELL for each in self.members)
        return 1 if unwell or self.problems else 0


@dataclass(frozen=True, slots=True)
class RowCheck:
    """One check of a member's rows: which statement asks for it, what was found; `violations` None where it is not known."""

    member: str
    file: str
    line: int
    what: str
    violations: int | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cohort:
    """Members that are equal in all that decides what the migrations do: schema, server, extensions, what is pending."""

    key: str
    members: tuple[str, ...]
    pending: tuple[str, ...]  # files
    schema_fingerprint: str
    server_major: int
    extensions: tuple[str, ...]
    rehearses: str  # the member whose copy the migrations are rehearsed on


@dataclass(frozen=True, slots=True)
class Wave:
    """Members that are deployed to before the next wave begins."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetAside:
    """A member that is not deployed to, why, and what to do about it."""

    member: str
    why: str
    next: str = ""


@dataclass(frozen=True, repr=False)
class FleetPlan(Result):
    """What would be done to a fleet: members, cohorts, waves, and what their rows said; the ID binds all of it."""

    kind: ClassVar[str] = "fleet_plan"
    id: str
    fleet: str
    cohorts: tuple[Cohort, ...]
    waves: tuple[Wave, ...]
    set_aside: tuple[SetAside, ...]
    current: tuple[str, ...]  # members that have everything
    checks: tuple[RowCheck, ...]  # those with violations, or without an answer
    checks_made: int
    sizes: Mapping[str, int]  # the largest table of each pending migration's, over all members, in bytes
    backup: str
    verdict: str  # of the review
    warnings: tuple[str, ...] = ()  # of the members' pre-flights: each with how many members it is of
    stops: bool = False  # by the setting `unfit`, a member that was set aside stops it

    @property
    def members(self) -> tuple[str, ...]:
        """Who is deployed to, in order."""
        return tuple(name for wave in self.waves for name in wave.members)

    @property
    def exit_code(self) -> int:
        """0 where it can be approved; 1 where a member stops it."""
        return 1 if self.stops else 0


@dataclass(frozen=True, slots=True)
class CohortRehearsal:
    """A cohort's rehearsal: on whose copy, how long, and whether the rollback was proven there."""

    cohort: str
    member: str
    mode: str
    steps: int
    longest_lock_s: float | None
    rollback: str
    rollback_is_proven: bool
    cannot_bring_back: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, repr=False)
class FleetRehearsal(Result):
    """The rehearsals of a fleet's cohorts."""

    kind: ClassVar[str] = "fleet_rehearsal"
    fleet: str
    plan_id: str
    cohorts: tuple[CohortRehearsal, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class MemberOutcome:
    """The outcome of one member."""

    member: str
    outcome: Outcome
    wave: str = ""
    cohort: str = ""
    version: str = ""
    seconds: float = 0.0
    lock_wait_s: float = 0.0
    run_id: str = ""
    transaction_id: str = ""
    backup: str = ""
    error: str = ""
    next: str = ""

    @property
    def is_failure(self) -> bool:
        """True where it counts against `max_failures`."""
        return self.outcome in ("failed", "stopped", "unknown")


@dataclass(frozen=True, repr=False)
class FleetDeployment(Result):
    """A run over a fleet, with the outcome of every member."""

    kind: ClassVar[str] = "fleet_deployment"
    fleet: str
    act: str
    verdict: str
    plan_id: str
    run_id: str
    by: str
    members: tuple[MemberOutcome, ...]
    cohorts: tuple[Cohort, ...]
    waves: tuple[Wave, ...]
    migrations: tuple[str, ...]
    seconds: float
    backup: str = ""
    notes: tuple[str, ...] = ()

    def count(self, *outcomes: str) -> int:
        """Return how many members came to one of these outcomes."""
        return sum(each.outcome in outcomes for each in self.members)
