"""Notify a team of a recorded run: what is seen of it from outside becomes events, told by `safemig.notifications`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from safemig.notifications.events import Run, end_of
from safemig.notifications.notifier import Notifier, notifier_of
from safemig.records.finish import RecordRun
from safemig.records.progress import Listen, Progress
from safemig.settings import Settings

# The verbs that change or copy a database, which a team is told of.
ACTS = (
    "backup_prod", "migrate_staging", "migrate_prod", "rollback_prod", "restore_prod", "sync_prod", "baseline_prod",
)  # fmt: skip
_ASKED_FOR = re.compile(r"\bType\s+\S+\s+(\w+)\s+to approve it\b")
_SHOWN = ("commit", "author", "subject", "state", "ci", "ci_url")


class Telling:
    """The events of one run: it watches what the run's listener hears, and where the gate asks."""

    def __init__(self, settings: Settings, verb: str, facts: Mapping[str, Any], record: str) -> None:
        def run() -> Run:
            source = {key: value for key, value in (facts.get("source") or {}).items() if key in _SHOWN}
            return Run(
                verb, facts["environment"], settings.folder.name, facts["by"], facts["started"], record, source
            )  # fmt: skip

        self._notifier: Notifier | None = notifier_of(settings, run) if verb in ACTS and settings.notify else None
        self._folder = settings.folder
        self._migrations: list[str] = []
        if self._notifier is not None:
            self._notifier.tell("started")

    def listener(self, listen: Listen | None) -> Listen | None:
        """Return a listener that passes on what it hears to `listen`, and tells who blocks the run."""
        notifier = self._notifier
        if notifier is None:
            return listen

        def hear(progress: Progress) -> None:
            if progress.moment is not None:
                notifier.tell_blockers(progress.moment.data.get("blockers", []))
            if progress.result is not None and progress.result.kind == "plan":
                self._migrations = [each["file"] for each in progress.result.data.get("migrations", [])]
            if listen is not None:
                listen(progress)

        return hear

    def asker(self, ask: Callable[[str], str] | None) -> Callable[[str], str] | None:
        """Return the gate's question, told before it is put to a person; None where no one can answer."""
        notifier = self._notifier
        if notifier is None or ask is None:
            return ask

        def asked(prompt: str) -> str:
            found = _ASKED_FOR.search(prompt)
            notifier.tell("waiting_for_approval", plan_id=found[1] if found else "", migrations=self._migrations)
            return ask(prompt)

        return asked

    def ended(self, run: RecordRun) -> RecordRun:
        """Tell how the run ended, and return it with what could not be delivered."""
        if self._notifier is None:
            return run
        lines = run.error.lines if run.error else ()
        event, plan_id = end_of(run.verdict, run.exit_code, lines)
        data = run.answer.data if run.answer else {}
        self._notifier.tell(
            event,
            verdict=run.verdict,
            exit_code=run.exit_code,
            plan_id=plan_id or data.get("plan_id", ""),
            migrations=list(data.get("migrations", ())) or self._migrations,
            error={"name": run.error.name, "lines": list(lines)} if run.error else None,
            record=str(run.path.relative_to(self._folder) if run.path.is_relative_to(self._folder) else run.path),
        )
        return replace(run, undelivered=self._notifier.close())
