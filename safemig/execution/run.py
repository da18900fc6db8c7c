"""What a run tells of itself: in the journal on disk, and in the database within the transaction that it is about."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from safemig import __version__
from safemig.errors import OutcomeUnknownError, SafemigError, SettingsError
from safemig.execution import journal
from safemig.execution.layout import record_applied, versions_applied
from safemig.execution.resume import Trail
from safemig.execution.steps import Segment
from safemig.fault_points import FaultPoint, pass_point
from safemig.identity import who
from safemig.live import LEDGER, RECORD
from safemig.postgres.connection import Connection
from safemig.postgres.history import record_deployment, record_steps
from safemig.postgres.resumable import forget_complete
from safemig.results import Act, Step
from safemig.schema import Schema
from safemig.settings import Settings


@dataclass(frozen=True, slots=True)
class Run:
    """One act on a database: its id, what was approved, when it began, which schema it found."""

    settings: Settings
    act: Act
    environment: str
    run_id: str
    plan_id: str
    started_at: datetime
    schema_before: str
    trail: Trail | None = None  # of a deployment of several parts
    files_make: Mapping[str, str] | None = None  # see `drift.what_files_make`

    @property
    def journal_path(self) -> Path:
        """Where its journal is."""
        return journal.path_of(self.settings, self.environment)

    def id_of(self, part: str) -> str:
        """Return the id of one of its transactions: a run of several has a part for each."""
        return f"{self.run_id}-{part}" if part else self.run_id

    def note(self, event: journal.Event, **facts: Any) -> None:
        """Write an event into the journal.

        Raises:
            SettingsError: it cannot be written.
        """
        journal.write(self.journal_path, self.run_id, event, **facts)

    def note_what_is_done(self, event: journal.Event, **facts: Any) -> None:
        """Write an event into the journal if it can be: what is done is done, and the database knows it."""
        with suppress(SettingsError):
            self.note(event, **facts)

    def settle_earlier(self, connection: Connection) -> None:
        """Note what happened to earlier runs that were cut off.

        To be called by the one who holds the deployment lock: an unended run is then not under way any more.
        """
        journal.settle(self.journal_path, journal.unended(self.journal_path, connection))

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note the beginning and the end of the act."""
        self.note("begun", act=self.act, plan=self.plan_id, by=who())
        try:
            yield
        except OutcomeUnknownError:
            raise  # it stays open until someone learns how it ended
        except BaseException as error:
            what = error.what if isinstance(error, SafemigError) else type(error).__name__
            self.note_what_is_done("ended", verdict="FAILED", error=what)
            raise
        self.note_what_is_done("ended", verdict="DONE")

    def record(
        self, connection: Connection, names: Sequence[str], steps: Sequence[Step], schema: Schema, part: str = ""
    ) -> None:
        """Write the run's row and its steps into the database, within the caller's transaction, which reached `schema`."""
        pass_point(FaultPoint.RUN_ROW_BEGINS)
        record_deployment(
            connection,
            run_id=self.id_of(part),
            act=self.act,
            plan_id=self.plan_id,
            started_at=self.started_at,
            by=who(),
            migrations=list(names),
            schema_before=self.schema_before,
            schema_after=schema.fingerprint,
            facts={
                "safemig": __version__,
                **_recorded(),
                **({"schema": self.settings.member_schema} if self.settings.member_schema else {}),
                **({"files_make": self.files_make} if self.files_make else {}),
            },
        )
        record_steps(connection, self.id_of(part), steps)
        pass_point(FaultPoint.RUN_ROW_WRITTEN)

    def record_segment(
        self, connection: Connection, segment: Segment, steps: Sequence[Step], schema: Schema, part: str = ""
    ) -> None:
        """Write a segment's migrations into the history, and the run's row and steps."""
        for file in segment.files:
            each = file.migration
            statements = [step.sql for step in sorted((*file.ran, *file.steps), key=lambda step: step.number)]
            seconds = sum(step.ran_s or 0.0 for step in steps if step.file == each.file)
            record_applied(self.settings, connection, each, statements, self.run_id, seconds)
        self.record(connection, segment.names, steps, schema, part)
        if self.trail:
            self.trail.reached(connection, schema)
        elif not self.settings.member_schema:
            forget_complete(connection, lambda: versions_applied(self.settings, connection))


def _recorded() -> dict[str, str]:
    """Return which record tells of this run, and the ledger's last hash before it: production is their witness."""
    named = {"record": os.environ.get(RECORD, ""), "ledger": os.environ.get(LEDGER, "")}
    return named if all(named.values()) else {}
