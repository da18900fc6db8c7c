"""What a review says: findings, acceptances, the verdict. Facts only; `engine.review` makes them.

What there is one of for each statement is a NamedTuple: it is made, and sent to another process, in a quarter of the
time that a frozen dataclass takes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from safemig.errors import ReviewRefusedError, SettingsError
from safemig.result import Result
from safemig.review.severity import Severity
from safemig.review.verdict import Evidence, Verdict, decide, exit_code
from safemig.sql.locks import LockMode
from safemig.sql.parsing import SourceFile

if TYPE_CHECKING:
    pass


UNREADABLE = "cannot-be-read"


class Finding(NamedTuple):
    """One hazard at one place. `safer` is SQL that can be run instead, made from the statement, or empty."""

    rule: str
    severity: Severity
    title: str
    file: str
    line: int
    column: int
    statement: str
    message: str
    safer: str = ""
    lock: LockMode | None = None
    data_loss: bool = False
    object: str = ""
    accepted: str | None = None
    kind: str = ""  # the statement's kind, in words

    @property
    def stands(self) -> bool:
        """True where the finding weighs on the verdict: not accepted, and more than a recommendation."""
        return self.accepted is None and self.severity is not Severity.RECOMMENDATION

    @property
    def can_be_accepted(self) -> bool:
        """False for what no one can take on: a text that cannot be read, or a finding that names no object."""
        return self.stands and bool(self.object) and self.rule != UNREADABLE


_ACCEPTANCE = re.compile(
    # A policy's name may hold blanks; one with a colon is written in double quotes.
    r"\s*(?P<rule>[a-z][a-z0-9-]*)\s*[:\s]\s*(?P<object>(?:\"[^\"]*\"|[^\s:\"])(?:\"[^\"]*\"|[^:\"])*?)\s*:\s*(?P<reason>\S.*)"
)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A finding that a person takes on, by its rule and object, with a reason; `file` limits it to one file."""

    rule: str
    object: str
    reason: str
    file: str | None = None

    @classmethod
    def parse(cls, text: str) -> Acceptance:
        """Read `drop-column:users.legacy: moved to profiles`.

        Raises:
            SettingsError: a rule, an object or the reason is missing, or there is no rule of that name.
        """
        found = _ACCEPTANCE.fullmatch(text.strip())
        if not found or not any(character.isalnum() for character in found["reason"]):
            raise SettingsError(
                f"an acceptance needs a rule, an object and a reason: {text!r}",
                next='write it as "drop-column:users.legacy: moved to profiles on 2026-10-02"',
            )
        from safemig.review.registry import is_known

        if not is_known(found["rule"]):
            raise SettingsError(
                f"there is no review rule named {found['rule']!r}",
                where=repr(text),
                next="take the rule's name from the finding, as the review prints it",
            )
        return cls(found["rule"], _bare(found["object"]), found["reason"].strip())

    def is_about(self, name: str) -> bool:
        """Tell whether this acceptance names that object."""
        return self.object == _bare(name)

    def covers(self, finding: Finding) -> bool:
        """Tell whether this acceptance is for `finding`: same rule, same object, and same file if it names one."""
        return (
            self.rule == finding.rule
            and self.is_about(finding.object)
            and (self.file is None or self.file == finding.file)
        )


def _bare(name: str) -> str:
    return name.replace('"', "").removeprefix("public.")


class TableLock(NamedTuple):
    """A lock that a statement takes on a table that exists before the migrations."""

    table: str
    mode: LockMode


class ReviewedStatement(NamedTuple):
    """One statement as it was reviewed: what it is, where, what it locks, which rules found something."""

    sql: str
    line: int
    column: int
    kind: str
    lock: LockMode | None
    tables: tuple[str, ...]
    rules: tuple[str, ...] = ()
    locks: tuple[TableLock, ...] = ()
    transactional: bool = True
    rows_estimate: int | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ReviewedFile:
    """One file as it was reviewed, with what to mind when it is deployed."""

    name: str
    statements: tuple[ReviewedStatement, ...]
    recommendations: tuple[str, ...] = ()

    @property
    def lock(self) -> LockMode | None:
        """The strongest lock that the file takes on a table that exists already."""
        modes = [statement.lock for statement in self.statements if statement.lock]
        return max(modes, key=lambda mode: mode.strength, default=None)


class LeftAlone(NamedTuple):
    """A statement that has a safer form, but not one that would surely keep all of it: it stays as it is."""

    file: str
    line: int
    why: str


class Proof(NamedTuple):
    """What running a file and its fixed form side by side showed; one that is different is not written."""

    file: str
    outcome: Literal["proven equal", "different", "not proven"]
    why: str


@dataclass(frozen=True, repr=False)
class Review(Result):
    """The review of a sequence of migration files; findings are ordered by file, line and column."""

    kind: ClassVar[str] = "review"
    findings: tuple[Finding, ...]
    files: tuple[ReviewedFile, ...] = ()
    fixed_files: Sequence[SourceFile] = ()  # put together when they are first looked at
    left_alone: Sequence[LeftAlone] = ()  # told when it is first looked at
    evidence: Evidence = field(default_factory=Evidence)
    unused_acceptances: tuple[Acceptance, ...] = ()
    assumptions: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The word for what was found; `safemig.review.verdict` decides it."""
        return decide((finding.severity for finding in self.standing), files=len(self.files))

    @property
    def exit_code(self) -> int:
        """What the command ends with: 0 safe, or nothing is pending; 1 findings stand; 2 no migration was found."""
        return exit_code(self.verdict, self.evidence)

    @property
    def target(self) -> str | None:
        """The environment whose database was read; None where the review knew no database."""
        return self.evidence.target

    @property
    def way_on(self) -> str:
        """What to do about the findings that stand."""
        if all(finding.can_be_accepted for finding in self.standing):
            return 'correct the migration, or accept each by name with a reason: accept = ["rule:object: reason"]'
        return "correct the migration; a text that cannot be read cannot be accepted"

    @property
    def notes(self) -> tuple[str, ...]:
        """What every form of the review says besides its findings: no target, files passed over, nothing recognised."""
        evidence = self.evidence
        said = [evidence.caveat] if evidence.caveat else []
        if evidence.applied:
            said.append(f"applied to {evidence.target} already, not reviewed: {', '.join(evidence.applied)}")
        if evidence.not_recognised and not self.files:
            found = evidence.not_recognised
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            said.append(
                f"no migration is recognised among {', '.join(found[:5])}{more}: "
                "a file's name is [14-digit UTC timestamp]_name.sql"
            )
        return tuple(said)

    def require_safe(self) -> None:
        """Do nothing where the exit code is 0.

        Raises:
            ReviewRefusedError: findings stand.
            SettingsError: no migration was found.
        """
        if self.exit_code == 2:
            raise SettingsError(
                f"{self.verdict}: no migration file was found",
                where=", ".join(self.evidence.not_recognised[:5]) or None,
                next='name the right folder: migrations = "..." in safemig.toml; or name the files to review',
            )
        if self.exit_code:
            found = self.standing
            raise ReviewRefusedError(
                str(self.verdict),
                where="; ".join(f"{each.file}:{each.line} {each.rule} {each.object}".strip() for each in found[:5]),
                next=self.way_on,
            )

    @property
    def standing(self) -> tuple[Finding, ...]:
        """The cautions and dangers that no one accepted."""
        return tuple(finding for finding in self.findings if finding.stands)

    @property
    def recommendations(self) -> tuple[Finding, ...]:
        """What would be better, but keeps nothing from being deployed."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.RECOMMENDATION)

    @property
    def accepted(self) -> tuple[Finding, ...]:
        """The findings that someone took on, with a reason."""
        return tuple(finding for finding in self.findings if finding.accepted is not None)

    @property
    def fixed_sql(self) -> str:
        """The migrations with every statement that has a mechanical safer form in that form.

        Where that needs more than one transaction, each part begins with a line `-- safemig: file <name>`.
        """
        if len(self.fixed_files) == 1:
            return self.fixed_files[0].sql
        return "\n".join(f"-- safemig: file {file.name}\n{file.sql.rstrip()}\n" for file in self.fixed_files)


@dataclass(frozen=True, repr=False)
class FixedReview(Result):
    """Migrations and their safer form: the originals, the review of what they became, and what was proven of it."""

    kind: ClassVar[str] = "fixed_review"
    originals: tuple[SourceFile, ...]
    before: Review
    after: Review
    proofs: tuple[Proof, ...] = ()
    written: tuple[Path, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The verdict on the safer form."""
        return self.after.verdict

    @property
    def fixed_sql(self) -> str:
        """The safer form, as `Review.fixed_sql` has it."""
        return self.before.fixed_sql
