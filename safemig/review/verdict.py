"""What a review says in one word, on what it rests, and the exit code of it: decided here and nowhere else. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from safemig.review.severity import Severity


class Verdict(Enum):
    """The review's answer; its text is the phrase that people know."""

    SAFE = "SAFE TO DEPLOY"
    ATTENTION = "NEEDS ATTENTION"
    STOP = "DO NOT DEPLOY"
    NOTHING = "NOTHING TO REVIEW"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the review knew of the target: which one was read, or why none was; what is applied, what was passed over.

    The default is that of a text which is reviewed by itself.
    """

    target: str | None = None  # the environment whose database was read
    no_target: str = ""  # why none was read, such as "--no-target"
    applied: tuple[str, ...] = ()  # files named that the target's history has: not reviewed
    not_recognised: tuple[str, ...] = ()  # what lies in the migrations folder and is no migration

    @property
    def caveat(self) -> str:
        """What every form of the review says where no target was read; "" where one was."""
        if self.target is not None:
            return ""
        return f"no target was read ({self.no_target})" if self.no_target else "no target was read"


def decide(standing: Iterable[Severity], *, files: int) -> Verdict:
    """Return the verdict on findings that stand, of a review that read so many files.

    SAFE needs a file that was read, were there but comments in it: where nothing was seen, nothing was found safe.
    """
    severities = set(standing)
    if Severity.DANGEROUS in severities:
        return Verdict.STOP
    if severities:
        return Verdict.ATTENTION
    return Verdict.SAFE if files else Verdict.NOTHING


def exit_code(verdict: Verdict, evidence: Evidence) -> int:
    """Return the code that the command ends with: 0 only on evidence, 1 where findings stand, 2 where nothing was there.

    Nothing to review is 0 where the target's history says that nothing is pending; 2 where no migration was found, which
    is a wrong folder or layout more often than an empty one.
    """
    if verdict is Verdict.SAFE:
        return 0
    if verdict is Verdict.NOTHING:
        return 0 if evidence.target is not None and not evidence.not_recognised else 2
    return 1
