"""What a run writes about itself into the database, within the transaction that it is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from safemig.operations.databases import schema_of, who
from safemig.operations.execution import Segment
from safemig.postgres.connect import Connection
from safemig.postgres.history import record_applied, record_deployment
from safemig.settings import Settings


@dataclass(frozen=True, slots=True)
class Run:
    """One act on a database: its id, what was approved, when it began, which schema it found."""

    settings: Settings
    act: Literal["migrate_prod", "migrate_staging", "rollback_prod", "sync_prod"]
    run_id: str
    plan_id: str
    started_at: datetime
    schema_before: str

    def record(self, connection: Connection, names: tuple[str, ...], part: str = "") -> None:
        """Write the run's row; a run of several transactions writes one a part."""
        record_deployment(
            connection,
            run_id=f"{self.run_id}-{part}" if part else self.run_id,
            act=self.act,
            plan_id=self.plan_id,
            started_at=self.started_at,
            by=who(),
            migrations=list(names),
            schema_before=self.schema_before,
            schema_after=schema_of(self.settings, connection).fingerprint,
        )

    def record_segment(self, connection: Connection, segment: Segment, part: str = "") -> None:
        """Write a segment's migrations into the history, and the run's row."""
        for file in segment.files:
            each = file.migration
            statements = [step.sql for step in file.steps]
            record_applied(connection, each.version, each.name, statements, each.sha256, self.run_id)
        self.record(connection, segment.names, part)
