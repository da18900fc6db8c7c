"""What a review says: findings, acceptances, the verdict. Facts only; `engine.review` makes them.

What there is one of for each statement is a NamedTuple: it is made, and sent to another process, in a quarter of the
time that a frozen dataclass takes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from safemig.errors import SettingsError
from safemig.result import Result
from safemig.review.severity import Severity
from safemig.sql.locks import LockMode
from safemig.sql.parsing import SourceFile

if TYPE_CHECKING:
    import pandas as pd


class Verdict(Enum):
    """The review's answer; its text is the phrase that people know."""

    SAFE = "SAFE TO DEPLOY"
    ATTENTION = "NEEDS ATTENTION"
    STOP = "DO NOT DEPLOY"

    def __str__(self) -> str:
        return self.value


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


_ACCEPTANCE = re.compile(
    r"\s*(?P<rule>[a-z][a-z0-9-]*)\s*[:\s]\s*(?P<object>\"[^\"]*\"[^\s:]*|[^\s:]+)\s*:\s*(?P<reason>\S.*)"
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

    def covers(self, finding: Finding) -> bool:
        """Tell whether this acceptance is for `finding`: same rule, same object, and same file if it names one."""
        return (
            self.rule == finding.rule
            and self.object == _bare(finding.object)
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


@dataclass(frozen=True, repr=False)
class Review(Result):
    """The review of a sequence of migration files; findings are ordered by file, line and column."""

    kind: ClassVar[str] = "review"
    findings: tuple[Finding, ...]
    files: tuple[ReviewedFile, ...] = ()
    fixed_files: tuple[SourceFile, ...] = ()
    target: str | None = None
    unused_acceptances: tuple[Acceptance, ...] = ()
    assumptions: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """SAFE when nothing stands, ATTENTION when only cautions stand, STOP when a danger stands."""
        severities = {finding.severity for finding in self.standing}
        if Severity.DANGEROUS in severities:
            return Verdict.STOP
        return Verdict.ATTENTION if severities else Verdict.SAFE

    @property
    def standing(self) -> tuple[Finding, ...]:
        """The cautions and dangers that nobody accepted."""
        return tuple(finding for finding in self.findings if finding.stands)

    @property
    def recommendations(self) -> tuple[Finding, ...]:
        """What would be better, but keeps nothing from being deployed."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.RECOMMENDATION)

    @property
    def accepted(self) -> tuple[Finding, ...]:
        """The findings that somebody took on, with a reason."""
        return tuple(finding for finding in self.findings if finding.accepted is not None)

    @property
    def fixed_sql(self) -> str:
        """The migrations with every statement that has a mechanical safer form in that form.

        Where that needs more than one transaction, each part begins with a line `-- safemig: file <name>`.
        """
        if len(self.fixed_files) == 1:
            return self.fixed_files[0].sql
        return "\n".join(f"-- safemig: file {file.name}\n{file.sql.rstrip()}\n" for file in self.fixed_files)

    def to_frame(self) -> pd.DataFrame:
        """Return the findings as a pandas table, one row each."""
        import pandas

        columns = ("rule", "severity", "object", "file", "line", "column", "message", "safer", "lock", "data_loss",
                   "statement", "accepted")  # fmt: skip
        rows: list[dict[str, Any]] = []
        for finding in self.findings:
            row = {column: getattr(finding, column) for column in columns}
            row["severity"] = finding.severity.value
            row["lock"] = finding.lock.value if finding.lock else None
            rows.append(row)
        return pandas.DataFrame(rows, columns=list(columns), dtype=object)


def verdict_counts(findings: Sequence[Finding]) -> dict[Severity, int]:
    """Return how many findings of each severity stand (recommendations are counted too)."""
    return {
        severity: sum(1 for finding in findings if finding.severity is severity and finding.accepted is None)
        for severity in Severity
    }
