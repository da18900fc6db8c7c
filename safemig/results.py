"""What the verbs answer: frozen facts, drawn by `safemig.views`, kept in the record.

Times are UTC `datetime`s, durations seconds, sizes bytes, paths as they were given (relative ones to the project).
`Review` is in `safemig.review` and `SchemaDiff` in `safemig.schema`, beside the engines that make them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from safemig.result import BOOKKEEPING_SCHEMAS, Result, show_in_place
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.load_facts import LoadRun
    from safemig.schema import SchemaDiff
    from safemig.workload_facts import WorkloadCheck, WorkloadFinding

CheckState = Literal["ok", "warning", "failed", "not done"]
StepState = Literal["planned", "running", "waiting", "ran", "failed", "rolled back", "not run"]


@dataclass(frozen=True, slots=True)
class Target:
    """Which database an act is about; enough to tell it from every other one. Holds no secret."""

    environment: str
    host: str
    database: str
    user: str
    server_version_num: int
    system_identifier: str

    @property
    def server_version(self) -> str:
        """The server's version as people write it, such as `17.10`."""
        return f"{self.server_version_num // 10000}.{self.server_version_num % 10000}"


@dataclass(frozen=True, slots=True)
class Check:
    """One question that was asked and its answer; `fix` says what to do where the answer is no."""

    name: str
    state: CheckState
    found: str
    needed: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A table-level lock that a statement took and held to the end of its transaction, `held_s` on the copy.

    `rows` and `size_bytes` are those of the table in the database itself, as its planner estimates them.
    """

    object: str
    mode: LockMode
    held_s: float | None = None
    rows: int | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Batches:
    """That a statement is run for `size` keys of a table's column at a time, with a pause between two batches."""

    size: int
    table: str
    key: str
    pause_ms: int


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a plan, planned or run. `rows` is None where the server reports none."""

    number: int
    file: str
    line: int
    kind: str
    sql: str
    transactional: bool = True
    state: StepState = "planned"
    ran_s: float | None = None
    lock_wait_s: float | None = None
    attempts: int = 0
    rows: int | None = None
    locks: tuple[HeldLock, ...] = ()
    rewrites: tuple[str, ...] = ()
    scans: tuple[str, ...] = ()  # tables read from end to end
    batches: Batches | None = None
    error: str = ""
    notices: tuple[str, ...] = ()  # what the server said beside its answer, counted by text


@dataclass(frozen=True, slots=True)
class PlannedMigration:
    """A pending migration as the plan binds it: its bytes, by their hash."""

    version: str
    name: str
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """A migration as a database's history knows it; `sha256` is "" where another tool wrote the row.

    `checksum` is what that tool wrote of the file, "" where it keeps none.
    """

    version: str
    name: str
    statements: tuple[str, ...] = ()
    sha256: str = ""
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class TableContent:
    """A table's content at one snapshot: its rows and the sha256 of its COPY data (in physical order)."""

    name: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RowChange:
    """A table's rows before and after; None where the table did not exist.

    `changed`, of a rehearsal, names the columns that were there before and whose content is another one after; `by` says
    what writes there besides the migration's own statements: an event trigger.
    """

    table: str
    before: int | None
    after: int | None
    changed: tuple[str, ...] = ()
    by: str = ""


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that a statement of ours waits for; `query` is the last that it sent, cut to a line or two."""

    pid: int
    user: str
    application: str
    state: str
    transaction_s: float | None
    query: str
    blocks: str = ""  # the fleet's member whose deployment waits


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of an act, such as the full backup; `done` of `total` rows, where that can be counted."""

    name: str
    state: Literal["running", "done", "stopped"]
    seconds: float
    done: int | None = None
    total: int | None = None
    unit: str = "row"  # what is counted


@dataclass(frozen=True, slots=True, repr=False)
class Live(Result):
    """An act that is under way: how far it is, which statement runs, and which session blocks it."""

    kind: ClassVar[str] = "live"
    act: str
    stages: tuple[Stage, ...]
    steps: tuple[Step, ...]
    blockers: tuple[Blocker, ...]
    note: str  # what the server says of the running statement, such as the phase of an index build
    seconds: float


@dataclass(frozen=True, slots=True)
class FileText:
    """A file of the project that a dry run did not write, and what would be in it."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True, repr=False)
class Initialised(Result):
    """What `init` wrote, and what it found and left alone."""

    kind: ClassVar[str] = "init"
    folder: Path
    created: tuple[str, ...]
    kept: tuple[str, ...]
    platform: str = ""  # whose project the folder was already
    migrations: tuple[str, ...] = ()  # migrations of other tools that are there
    command: str = ""  # what applies them, where they are programs
    makes: str = ""  # the tool that makes new files, where safemig writes none
    not_written: tuple[FileText, ...] = ()  # of a dry run


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """One setting as it holds now, in TOML, and where it comes from: the file, a variable, or the default."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True, repr=False)
class Configuration(Result):
    """The settings of a project that hold now."""

    kind: ClassVar[str] = "config"
    file: Path | None  # None where there is none: the defaults hold
    settings: tuple[SettingInForce, ...]


@dataclass(frozen=True, slots=True, repr=False)
class BaseFile(Result):
    """The project's base: what an environment has and the migrations do not make; and what changed since it was written."""

    kind: ClassVar[str] = "base"
    path: Path
    state: Literal["written", "refreshed", "unchanged"]
    source: Target
    platform: str  # its name, "" where it is known by none
    statements: int
    extensions: tuple[str, ...]
    schemas: tuple[str, ...]
    changes: tuple[str, ...]  # a statement each: "+ " is new, "- " is gone
    not_written: tuple[FileText, ...] = ()  # of a dry run


@dataclass(frozen=True, slots=True)
class Tried:
    """One statement that was tried on a copy before the first file and after each, and the result in words."""

    what: str
    role: str  # empty: the role that deploys
    outcomes: tuple[str, ...]  # before, then after each file; empty where there was nothing to try yet


@dataclass(frozen=True, slots=True)
class Gap:
    """What fails after file `start` and works again after file `end` (numbers from 1).

    In a file that runs without a transaction each statement commits: there, `statements` are the one after which it
    fails and the one after which it works again, and `start` and `end` are that file.
    """

    what: str
    role: str  # empty: the role that deploys
    start: int
    end: int
    because: str
    statements: tuple[int, int] | None = None

    @property
    def where(self) -> str:
        """Such as `between file 1 and file 2`, or `between statement 1 and statement 3 of file 2`."""
        if self.statements is None:
            return f"between file {self.start} and file {self.end}"
        fails, works = self.statements
        return f"between statement {fails} and statement {works} of file {self.start}"

    @property
    def words(self) -> str:
        """One line, such as `between file 1 and file 2: read view seen fails: ...`."""
        whose = f" as {self.role}" if self.role else ""
        return f"{self.where}: {self.what}{whose} fails: {self.because}"


@dataclass(frozen=True, slots=True)
class Failure:
    """What worked before the first file and fails from file `start` to the end, or is new and fails at the end."""

    what: str
    role: str  # empty: the role that deploys
    object: str  # its name as SQL
    start: int
    because: str
    is_new: bool = False

    @property
    def words(self) -> str:
        """One line, such as `from file 1 on: insert into orders fails as written before: ...`."""
        tried = f"{self.what} as {self.role}" if self.role else self.what
        if self.is_new:
            return f"{tried} fails after the last file: {self.because}"
        return f"from file {self.start} on: {tried} fails as written before: {self.because}"


@dataclass(frozen=True, slots=True)
class Moved:
    """A change that waits for a later file than it had to: in an earlier one, `what` would fail until the next."""

    number: int
    file: int
    what: str

    @property
    def words(self) -> str:
        """One line, such as `change 3 waits for file 2: earlier, read view seen would fail until then`."""
        return f"change {self.number} waits for file {self.file}: earlier, {self.what} would fail until then"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a database did before and after each of `files`, tried on a copy with rows.

    `gaps` fail after a file and work after a later one; `broken` are statements of before that fail at the end.
    `moved` are the changes that wait for a later file, each with the gap that this closes.
    """

    files: tuple[str, ...]
    tried: tuple[Tried, ...]
    gaps: tuple[Gap, ...] = ()
    broken: tuple[Failure, ...] = ()
    not_tried: tuple[str, ...] = ()
    locks: tuple[tuple[tuple[str, str], ...], ...] = ()  # of each file: (table, mode), as they were held
    rewritten: tuple[str, ...] = ()  # tables whose files changed
    unfit: tuple[str, ...] = ()  # statements that the drawn rows did not pass
    rows: int = 0  # that the tables held
    moved: tuple[Moved, ...] = ()

    @property
    def is_whole(self) -> bool:
        """True when every file ran to its end."""
        return len(self.locks) == len(self.files)


@dataclass(frozen=True, slots=True)
class DisabledChange:
    """A change that is disabled, and the result of enabling it alone on a copy with rows."""

    number: int
    title: str
    why: str
    lacks: tuple[str, ...]  # of staging's schema, until it is enabled
    until: tuple[str, ...]  # what fails until it is enabled
    then: tuple[str, ...]  # what fails when it is enabled
    problem: str = ""  # why it does not run by itself

    @property
    def words(self) -> str:
        """One line for the checklist."""
        said = [f"it does not run by itself: {self.problem}" if self.problem else "runs by itself when it is enabled"]
        said += [f"until then the schema {'; '.join(self.lacks)}"] if self.lacks else []
        said += [f"until then this fails: {'; '.join(self.until)}"] if self.until else []
        said += [f"then this fails: {'; '.join(self.then)}"] if self.then else []
        return "; ".join(said)


@dataclass(frozen=True, slots=True, repr=False)
class Generated(Result):
    """A new migration file, or the clear answer that there is nothing to do (`path` is None)."""

    kind: ClassVar[str] = "generate"
    description: str
    path: Path | None
    diff: SchemaDiff
    text: str
    commented: tuple[tuple[str, str], ...] = ()  # (statement, why it is disabled)
    checklist: tuple[Check, ...] = ()
    proof: str = ""  # "proven equal", or what still differs
    remaining: tuple[str, ...] = ()
    further_paths: tuple[Path, ...] = ()  # files for what cannot share a transaction, such as CREATE INDEX CONCURRENTLY
    behaviour: Behaviour | None = None
    disabled: tuple[DisabledChange, ...] = ()
    base: str = ""  # which base the migrations were replayed on; "" where the database needs none
    not_written: tuple[FileText, ...] = ()  # of a dry run


@dataclass(frozen=True, slots=True, repr=False)
class Enabled(Result):
    """A change that was disabled in generated migration files and is enabled now.

    `unchecked` are the environments that could not be asked whether the files are applied there.
    """

    kind: ClassVar[str] = "enable"
    number: int
    paths: tuple[Path, ...]
    not_written: tuple[FileText, ...] = ()  # of a dry run
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Preflight(Result):
    """The table of checks before anything is touched; always all rows."""

    kind: ClassVar[str] = "preflight"
    target: str
    checks: tuple[Check, ...]

    @property
    def is_ready(self) -> bool:
        """True where no check failed; warnings do not stop a deployment."""
        return all(check.state != "failed" for check in self.checks)

    @property
    def is_reached(self) -> bool:
        """False where the database did not answer, and none of the other checks was made."""
        return not any(check.name == "reachable" and check.state == "failed" for check in self.checks)


AccessWord = Literal["", "no", "columns", "yes"]  # "" where the object is not there; "columns": on some of them
TrialWord = Literal["", "no", "rows", "yes"]  # "" where it was not tried; "rows": row security decides which


@dataclass(frozen=True, slots=True)
class Access:
    """Whether a role may use an object in one way, before and after: by its privileges, and by having tried it."""

    role: str  # "PUBLIC" stands for all roles
    object: str
    kind: str
    verb: str
    before: AccessWord
    after: AccessWord
    tried_before: TrialWord = ""
    tried_after: TrialWord = ""
    refusal: str = ""  # the server's words, where it refused the trial after

    @property
    def is_lost(self) -> bool:
        """True where the role may no more what it could before, though the object is still there."""
        return bool(self.after) and _may(self.before, self.tried_before) and not _may(self.after, self.tried_after)

    @property
    def is_new(self) -> bool:
        """True where the role may now what it could not before."""
        return _may(self.after, self.tried_after) and not _may(self.before, self.tried_before)


def _may(privilege: AccessWord, trial: TrialWord) -> bool:
    return privilege in ("yes", "columns") and trial != "no"


@dataclass(frozen=True, slots=True)
class RehearsedRights:
    """What roles gain and lose by a migration, as its last rehearsal found it."""

    rehearsed_at: datetime
    plan_id: str  # of the plan that was rehearsed, without its mark of rights
    is_current: bool  # False: schema, settings or statements have changed since; the migrations have not
    access: tuple[Access, ...]  # lost and new only


@dataclass(frozen=True, slots=True)
class RehearsedWorkload:
    """What the last rehearsal of these migrations found about the application's statements; `rehearsed_at` is None where there was none."""

    rehearsed_at: datetime | None
    is_current: bool  # False: schema, settings or statements have changed since; the migrations have not
    statements: int  # collected
    checked: int
    findings: tuple[WorkloadFinding, ...] = ()
    not_checked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Plan(Result):
    """What would be done, to which database, in which state; `id` is a hash of all of it."""

    kind: ClassVar[str] = "plan"
    id: str
    target: Target
    schema_fingerprint: str
    migrations: tuple[PlannedMigration, ...]
    steps: tuple[Step, ...]
    role: str = ""  # under which the statements run
    access: tuple[Access, ...] = ()  # who may use what they touch, now
    rights: RehearsedRights | None = None  # what changes of it; None: these migrations were not rehearsed here
    workload: RehearsedWorkload | None = None  # what the application will notice; None: no statements were collected
    act: Act | Literal["backup_prod", "rehearse"] = "migrate_prod"
    what: tuple[str, ...] = ()  # in words, where it is not migrations that are planned
    base: str = ""  # the project's file of the platform's part, which the plan binds


@dataclass(frozen=True, slots=True)
class BackupPart:
    """One file of a backup in pg_dump's directory format; `table` names whose data it holds, if a table's."""

    name: str
    size_bytes: int
    sha256: str
    table: str = ""


@dataclass(frozen=True, slots=True)
class BackupFile:
    """One file of a backup, or a folder in pg_dump's directory format: its parts are the files in it.

    A folder's sha256 is that of the list of its files as `LC_ALL=C sha256sum *` prints it, its size that of all.
    """

    path: Path
    size_bytes: int
    sha256: str
    parts: tuple[BackupPart, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Backup(Result):
    """A full and a schema backup of one snapshot, and its manifest."""

    kind: ClassVar[str] = "backup"
    target: Target
    timestamp: str
    full: BackupFile
    schema: BackupFile
    manifest: Path
    tables: tuple[TableContent, ...]
    snapshot_lsn: str
    client_version: str
    seconds: float
    verified: Literal["restored", "read", "no"] = "no"
    cluster: BackupFile | None = None  # roles, tablespaces, settings: what no dump of one database holds
    team: BackupFile | None = None  # on a platform: what is the team's, as a script for psql alone
    left_out: tuple[str, ...] = ()  # the platform's tables that the current role may not read
    hosted_on: str = ""  # the platform's name where our role is no superuser on one
    history: tuple[
        str, ...
    ] = ()  # tables of another tool's history, which are backed up and not counted as the project's
    notes: tuple[str, ...] = ()
    not_by_psql: tuple[
        str, ...
    ] = ()  # objects at which psql or pg_restore alone stops, with the cure; restore_prod does not

    @property
    def rows(self) -> int:
        """The rows of the project's tables, as every other total counts them."""
        return sum(table.rows for table in self.own_tables)

    @property
    def own_tables(self) -> tuple[TableContent, ...]:
        """The project's tables: those that keep no history of migrations."""
        return tuple(
            table
            for table in self.tables
            if table.name not in self.history and not table.name.startswith(BOOKKEEPING_TABLES)
        )

    @property
    def files(self) -> dict[str, BackupFile]:
        """Its files, by what they hold."""
        found = {"full": self.full, "schema": self.schema, "cluster": self.cluster, "team": self.team}
        return {name: file for name, file in found.items() if file}

    def holds(self, content: Sequence[TableContent]) -> bool:
        """Tell whether that is what was backed up; what was left out may be there or not."""
        return tuple(each for each in content if each.name not in self.left_out) == self.tables

    @property
    def verdict(self) -> str:
        """What may be said of it: that it was backed up, and not more than was proven."""
        words = {"restored": "BACKED UP", "read": "BACKED UP, NOT VERIFIED", "no": "BACKED UP, NOT YET VERIFIED"}
        return words[self.verified]

    def _ipython_display_(self) -> None:
        """Show it where `show_again` finds it, as long as it is not verified; IPython shows any other like all results."""
        if self.verified != "no":
            raise NotImplementedError
        show_in_place(self, str(self.manifest), again=False)

    def show_again(self) -> None:
        """Show, where a notebook has shown it as not verified yet, what it is now."""
        show_in_place(self, str(self.manifest), again=True)


BOOKKEEPING_TABLES = tuple(f"{schema}." for schema in BOOKKEEPING_SCHEMAS)  # what their tables' names begin with
WRITTEN_SINCE = "data written after the deployment: "  # begins what a rollback script cannot bring back for that reason


@dataclass(frozen=True, slots=True)
class RollbackProof:
    """A rollback script and what running it on the copy showed."""

    path: Path
    is_proven: bool
    remaining: tuple[str, ...]  # differences to the start that it left
    cannot_bring_back: tuple[str, ...]  # data and things that no script can
    source: str = ""  # whose the script is, where the team gave it
    not_used: str = ""  # why the team's own way down is not the script
    text: str = ""  # of a script that is not kept: the deployment writes its own


@dataclass(frozen=True, slots=True)
class RightsFinding:
    """Something about owners or rights that the migration leaves behind; `accepted` is the reason, where there is one."""

    rule: str
    object: str
    message: str
    safer: str  # SQL
    accepted: str | None = None


@dataclass(frozen=True, slots=True)
class Rights:
    """As whom the migration ran on the copy, who may use what it touches before and after, and what to see to."""

    session_role: str  # who connected
    role: str  # whose rights the statements had
    application_roles: tuple[str, ...]
    access: tuple[Access, ...]
    findings: tuple[RightsFinding, ...]
    notes: tuple[str, ...] = ()  # what was left out, or could not be rehearsed

    @property
    def standing(self) -> tuple[RightsFinding, ...]:
        """The findings that no one accepted."""
        return tuple(finding for finding in self.findings if finding.accepted is None)


@dataclass(frozen=True, slots=True, repr=False)
class Rehearsal(Result):
    """The pending migrations run on a copy of production, with their locks, rewrites and times."""

    kind: ClassVar[str] = "rehearsal"
    plan_id: str
    mode: Literal["data", "schema"]
    server_version: str
    steps: tuple[Step, ...]
    diff: SchemaDiff
    schema_fingerprint: str  # the schema reached: production's must equal it before COMMIT
    rows: tuple[RowChange, ...]
    rollback: RollbackProof | None
    backup_verified: Literal["restored", "read", "no"]
    seconds: float
    rights: Rights | None = None
    not_by_psql: tuple[str, ...] = ()  # as the backup has them: the copy was restored piece by piece
    exceptions: tuple[str, ...] = ()  # what the copy could not show, for want of an extension, a collation, ...
    workload: WorkloadCheck | None = None  # where the application's statements were collected
    load: LoadRun | None = None  # where the migration was also run under load
    notes: tuple[str, ...] = ()  # what a command did of its own: transactions, sessions, its own way back
    rows_from: str = ""  # where the copy's rows came from, where it was not the backup


@dataclass(frozen=True, slots=True, repr=False)
class Approval(Result):
    """Who approved which plan for which database, when and how."""

    kind: ClassVar[str] = "approval"
    plan_id: str
    target: Target
    by: str
    at: datetime
    how: Literal["typed", "parameter"]
    others: tuple[str, ...] = ()  # who approved the same plan before, where more than one approval is needed


Act = Literal[
    "migrate_prod", "migrate_staging", "rollback_prod", "restore_prod", "sync_prod", "baseline_prod", "backup_prod"
]


@dataclass(frozen=True, slots=True, repr=False)
class Deployment(Result):
    """One act on a database that came to an end: a deployment, a rollback, a sync, a baseline.

    `verdict` is a word for people and file names; `exit_code` the command's. `run_id` names it everywhere.
    """

    kind: ClassVar[str] = "deployment"
    act: Act
    verdict: Literal[
        "DEPLOYED", "NOTHING TO DEPLOY", "ROLLED BACK", "SYNCED", "NOTHING TO SYNC", "BASELINED", "NOTHING TO RECORD",
        "FAILED",
    ]  # fmt: skip
    run_id: str
    target: Target
    plan_id: str
    by: str
    started_at: datetime
    finished_at: datetime
    migrations: tuple[str, ...]
    steps: tuple[Step, ...]
    diff: SchemaDiff | None = None
    rows: tuple[RowChange, ...] = ()
    validation: tuple[Check, ...] = ()
    backup: Path | None = None
    rollback: Path | None = None
    rollback_is_proven: bool = False
    recorded_only: tuple[str, ...] = ()  # migrations recorded as applied without running: their result was there
    transaction_id: str = ""
    commit_lsn: str = ""
    notes: tuple[str, ...] = ()
    rights: Rights | None = None  # as the rehearsal found them

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True, repr=False)
class Validation(Result):
    """What was checked after the act, against what was promised before it."""

    kind: ClassVar[str] = "validation"
    target: Target
    checks: tuple[Check, ...]
    rows: tuple[RowChange, ...] = ()

    @property
    def is_valid(self) -> bool:
        """True where no check failed."""
        return all(check.state != "failed" for check in self.checks)


@dataclass(frozen=True, slots=True, repr=False)
class Restored(Result):
    """A backup restored beside production, verified, and swapped in; or what an earlier restore left, dropped."""

    kind: ClassVar[str] = "restore"
    target: Target
    backup: Path
    database: str  # the name under which it now stands
    kept_as: str  # the name under which the former database was kept, "" where nothing was swapped
    tables: tuple[TableContent, ...]
    checks: tuple[Check, ...]
    seconds: float
    swapped: bool
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class RestoredTable:
    """A table of a backup, restored beside production's own; compared with that, and put back, where numbers say so.

    `rows` are those of the backup, `meant` those that a condition leaves of them.
    """

    name: str
    beside: str  # where it stands now
    rows: int
    sha256: str
    key: tuple[str, ...] = ()  # what its rows were compared by
    meant: int | None = None
    missing: int | None = None
    differing: int | None = None
    only_in_production: int | None = None
    differing_columns: tuple[str, ...] = ()
    inserted: int | None = None
    updated: int | None = None
    triggers_off: tuple[str, ...] = ()  # those that do not fire for what is put back
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class RestoredTables(Result):
    """Single tables of a backup restored into a schema of the same database; compared, and put back if approved."""

    kind: ClassVar[str] = "restore"
    verdict: Literal["RESTORED BESIDE PRODUCTION", "COMPARED", "NOTHING TO PUT BACK", "PUT BACK"]
    target: Target
    backup: Path
    schema: str
    tables: tuple[RestoredTable, ...]
    checks: tuple[Check, ...]
    seconds: float
    command: str  # the one that comes next, "" where none does
    plan_id: str = ""
    where: str = ""
    update: bool = False
    run_id: str = ""
    transaction_id: str = ""
    dropped: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MigrationState:
    """One migration as the files and the two databases know it."""

    version: str
    name: str
    file: str  # "" where only a database knows it
    states: dict[str, Literal["applied", "pending", "edited", "missing", "unknown"]]  # by environment


@dataclass(frozen=True, slots=True)
class EnvironmentStatus:
    """One database; where it cannot be reached, `problem` says why and the rest is empty."""

    name: str
    target: Target | None
    size_bytes: int | None = None
    tables: int | None = None
    rows_estimate: int | None = None
    drift: str = ""  # "none", or how its schema differs from what the applied migrations make
    problem: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Status(Result):
    """Both databases and every migration, side by side."""

    kind: ClassVar[str] = "status"
    environments: tuple[EnvironmentStatus, ...]
    migrations: tuple[MigrationState, ...]
    problems: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()  # which base each comparison with the migrations began with
    tool: str = ""  # whose migrations are programs: it alone knows which are pending

    @property
    def exit_code(self) -> int:
        """0 all well; 1 problems or drift; 5 a database could not be asked, so that no one knows."""
        if any(each.problem for each in self.environments):
            return 5
        states = {state for each in self.migrations for state in each.states.values()}
        drifted = any(each.drift not in ("", "none") for each in self.environments)
        return 1 if self.problems or drifted or states & {"edited", "missing", "unknown"} else 0

    @property
    def pending(self) -> tuple[MigrationState, ...]:
        """The migrations that production has not yet."""
        return tuple(each for each in self.migrations if each.states.get("production") == "pending")


@dataclass(frozen=True, slots=True)
class VerbOutlook:
    """Whether a verb will work on a database; why it will not, or not for all; the commands that would change that."""

    verb: str
    outlook: Literal["works", "limited", "refuses", "will not work"]  # "refuses": rightly, nothing is to be corrected
    why: str = ""
    fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerbGap:
    """What is missing, which verbs it concerns, and the commands that close it."""

    why: str
    verbs: tuple[str, ...]
    outlook: Literal["limited", "refuses", "will not work"]
    fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Diagnosis(Result):
    """Which verbs will work on a database, as whom, and what a rehearsal will not show."""

    kind: ClassVar[str] = "doctor"
    environment: str
    target: Target | None
    platform: str = ""
    role: str = ""
    session_role: str = ""
    attributes: tuple[str, ...] = ()
    member_of: tuple[str, ...] = ()
    verbs: tuple[VerbOutlook, ...] = ()
    gaps: tuple[VerbGap, ...] = ()
    not_rehearsed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""  # why it could not be reached

    @property
    def exit_code(self) -> int:
        """0 all verbs work; 1 some will not; 5 the database could not be reached, so that no one knows."""
        if self.problem:
            return 5
        return 1 if any(each.outlook == "will not work" for each in self.verbs) else 0


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """One executed notebook of the archive."""

    path: Path
    environment: str
    act: str
    verdict: str
    at: datetime
    by: str
    plan_id: str
    migrations: tuple[str, ...]
    seconds: float | None
    # "sealed": in the ledger, and not verified now; "resaved": by an editor, with equal content
    integrity: Literal["intact", "resaved", "edited", "missing", "sealed", "unsealed"]
    lock_wait_s: float | None = None  # the longest that one of its steps waited for a lock


@dataclass(frozen=True, slots=True, repr=False)
class Archive(Result):
    """The archive of records, newest first, each held against the ledger."""

    kind: ClassVar[str] = "archive"
    folder: Path
    records: tuple[RecordEntry, ...]
    problems: tuple[str, ...] = ()  # what the ledger says is edited, missing or out of its chain
    verified: bool = False
    notes: tuple[str, ...] = ()  # what could not be verified, and why; what editors have saved again unchanged
    settled: tuple[str, ...] = ()  # what was said just now in records whose runs were cut off
    not_asked: tuple[str, ...] = ()  # environments whose database could not be asked whether it knows of other records


@dataclass(frozen=True, slots=True, repr=False)
class Help(Result):
    """The commands, the workflow, the checklist, the emergency procedures."""

    kind: ClassVar[str] = "help"
    topic: str
    sections: tuple[tuple[str, str], ...] = field(default=())  # (title, Markdown)
