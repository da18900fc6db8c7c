"""What a deployment is checked for after its COMMIT, whoever ran the migrations: safemig, or another tool's command."""

from __future__ import annotations

from collections.abc import Sequence

from safemig.execution.environment import schema_of
from safemig.execution.layout import layout_for
from safemig.execution.validation import (
    SchemaPromise,
    check_left_behind,
    check_rows,
    check_schema,
    check_sequences,
    count_rows,
    project_checks,
    rows_changed,
    verified_before_commit,
)
from safemig.fault_points import FaultPoint, pass_point
from safemig.migrations import Migration
from safemig.operations.rehearse import Rehearsed
from safemig.operations.rights import check_rights
from safemig.postgres.connection import Connection
from safemig.results import Backup, Target, Validation


def validate_deployment(
    connection: Connection,
    target: Target,
    promise: SchemaPromise,
    rehearsed: Rehearsed,
    backup: Backup,
    migrations: Sequence[Migration] = (),
) -> Validation:
    """Check schema, indexes, constraints, rows, sequences, rights, and the project's own checks. Reads only.

    The verify scripts of `migrations` said yes before COMMIT, where what they wrote was taken back: that is told here.
    """
    pass_point(FaultPoint.VALIDATION_BEGINS)
    settings = promise.settings
    rows = rows_changed(backup.tables, count_rows(connection), layout_for(settings).keeps_history_in)
    return Validation(
        target,
        (
            check_schema(promise, rehearsed.reached[-1], schema_of(settings, connection)),
            *check_left_behind(connection),
            *check_rows(rows, {row.table: row for row in rehearsed.result.rows}),
            check_sequences(connection),
            *check_rights(connection, rehearsed.result.rights),
            *(verified_before_commit(each) for each in migrations if each.verify.strip()),
            *project_checks(settings, connection),
        ),
        rows,
    )
