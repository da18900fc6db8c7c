"""The application's statements in a rehearsal: which were collected, tried at each moment, and what stands against deploying."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from safemig import live
from safemig.errors import RehearsalError
from safemig.postgres.connection import Connection
from safemig.results import Rehearsal, Step
from safemig.review.model import Acceptance
from safemig.settings import PRODUCTION, STAGING, Settings
from safemig.views.numbers import counted, shortened
from safemig.workload.check import WorkloadTrial, reason_for
from safemig.workload.file import read_workload
from safemig.workload.plan_trial import PlanTrial
from safemig.workload.statement import SeenWorkload
from safemig.workload_facts import WorkloadCheck

_WITHOUT_IT = "deploy code that does without it first"
_WAYS_ON = {"plan": "add the index that the statement needs to the migration"}


def seen_in(settings: Settings, environment: str) -> SeenWorkload | None:
    """Return the statements that were collected of an environment; None where none were.

    Raises:
        FileError: the file is damaged.
    """
    path = settings.workload_file(environment)
    return read_workload(path) if path.is_file() else None


class _Moments:
    """The moments at which a rehearsal tries the statements; nothing is done where none were collected."""

    def __init__(self, trial: WorkloadTrial | None, plans: PlanTrial | None = None) -> None:
        self._trial = trial
        self._plans = plans
        self._steps: Sequence[Step] = ()

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections to the copy that stay open while it is migrated."""
        return self._trial.connections if self._trial else ()

    def before(self, source: Connection, steps: Sequence[Step]) -> None:
        """Try them on the unchanged copy, and plan them with what the planner of `source` knows."""
        if self._trial:
            with live.stage("try the application's statements", len(self._trial)):
                self._trial.before(steps, told=live.advance)
            if self._plans:
                with live.stage("plan the application's statements"):
                    self._plans.before(source, self._trial.working)

    def after(self) -> None:
        """Try them on the migrated copy, and plan them again."""
        self._try("try the application's statements again", lambda trial: trial.after)
        if self._plans:
            with live.stage("plan the application's statements again"):
                self._plans.after()

    def after_rollback(self) -> None:
        """Try them on the copy that was rolled back."""
        self._try("try the application's statements after the rollback", lambda trial: trial.after_rollback)

    def result(self, settings: Settings, steps: Sequence[Step]) -> WorkloadCheck | None:
        """Return what was found; None where no statements were collected."""
        if self._trial is None:
            return None
        accept = [Acceptance.parse(text) for text in settings.accept]
        check = self._trial.result(steps, accept)
        if self._plans is None:
            return check
        dearer = [replace(each, accepted=reason_for(each, accept)) for each in self._plans.findings(steps)]
        return replace(check, findings=(*check.findings, *dearer), plans=self._plans.result())

    def _try(self, stage: str, moment: Callable[[WorkloadTrial], Callable[[Callable[[int], None]], None]]) -> None:
        if self._trial:
            with live.stage(stage, len(self._trial)):
                moment(self._trial)(live.advance)


@contextmanager
def trial_on(settings: Settings, environment: str, server: object, url: str) -> Iterator[_Moments]:
    """Open the trial of an environment's statements on the copy at `url`, with those of staging's newer version."""
    seen = seen_in(settings, environment)
    if seen is None:
        yield _Moments(None)
        return
    newer = seen_in(settings, STAGING) if environment == PRODUCTION else None
    with WorkloadTrial(url, seen, newer) as trial:
        has_rows = settings.rehearsal == "data"
        plans = PlanTrial(server, url, has_rows, seen, settings.withhold_statistics, settings.plan_times)
        yield _Moments(trial, plans)


def require_none_standing(rehearsal: Rehearsal) -> None:
    """Do nothing where no finding about the application's statements stands.

    Raises:
        RehearsalError: one does; the message names them.
    """
    check = rehearsal.workload
    if check is None or not check.standing:
        return
    standing = check.standing
    first = standing[0]
    raise RehearsalError(
        f"{counted(len(standing), 'finding')} about the application's statements: "
        + "; ".join(
            f"{each.rule} {each.object}: {shortened(each.statement, 60)} ({each.message}, after the {each.after})"
            for each in standing[:5]
        ),
        where=f"production was not touched; the first is done by {first.cause}"
        if first.cause
        else "production was not touched",
        next=f'{_WAYS_ON.get(first.kind, _WITHOUT_IT)}, or accept = ["{first.rule}:{first.object}: reason"]',
        result=rehearsal,
    )


def in_words(check: WorkloadCheck) -> list[str]:
    """Return what an approver should know of the statements, a line a kind of finding."""
    lines = [
        f"{counted(len(found), 'statement')} {words} after the {moment}: accepted."
        for moment in ("migration", "rollback")
        for kind, words in (
            ("breaks", "fail"), ("refused", "are refused"), ("result-type", "fail once in sessions that hold them prepared"),
            ("plan", "get a dearer plan"),
        )
        if (found := [each for each in check.findings if each.kind == kind and each.after == moment])
    ]  # fmt: skip
    return lines + ([f"Order: {check.order}."] if check.order else [])
