"""The fault points: moments of a run at which it makes a difference that the run ends there, each by its name.

The code says that it has come to one by `pass_point`, a line that does nothing in production. The tests stop a run there
and kill it, cut its network, crash its server or fill its disk, and check what it leaves: tests/operations/striking.py.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class FaultPoint(Enum):
    """A moment of a run. BEGINS: what it names comes next; anything else is just done."""

    # migrate_prod, up to the approval
    PREFLIGHT_BEGINS = "before the pre-flight"
    PREFLIGHT_DONE = "after the pre-flight"
    REVIEW_BEGINS = "before the review"
    COPY_STATEMENTS_BEGIN = "before the statements on the copy"
    ROLLBACK_SCRIPT_BEGINS = "before the rollback script is written"
    ROLLBACK_SCRIPT_WRITTEN = "after the rollback script is written"
    APPROVAL_GIVEN = "approved, the approvers not checked"
    APPROVED = "approved"
    # The backup
    BACKUP_BEGINS = "before the backup"
    BACKUP_CLAIMED = "a backup's timestamp claimed"
    SCHEMA_DUMP_BEGINS = "before the schema's dump"
    FULL_DUMP_BEGINS = "before the full dump"
    TABLE_DATA_READ = "in the dump"
    DIRECTORY_DUMP_RUNS = "pg_dump writes a directory"
    DIRECTORY_DUMPED = "pg_dump has written a directory"
    DIRECTORY_FILE_BEGINS = "before a file of a directory is read"
    DIRECTORY_COMPLETE = "a directory found complete"
    FULL_DUMP_WRITTEN = "after the full dump"
    BACKUP_READ_BACK = "the backup read back"
    MANIFEST_BEGINS = "before the manifest"
    BACKUP_TAKEN = "after the backup"
    # The protocol of every change
    HISTORY_BEGINS = "before the history table"
    LOCKS_BEGIN = "before the locks"
    STATEMENT_BEGINS = "before a statement"
    RUN_ROW_BEGINS = "before the run is recorded in the database"
    RUN_ROW_WRITTEN = "the run recorded in the database"
    COMMIT_BEGINS = "before COMMIT"
    COMMITTED = "after COMMIT"
    COMMIT_NOTED = "the COMMIT noted in the journal"
    VALIDATION_BEGINS = "before the validation"
    # Statements that refuse a transaction
    APART_BEGINS = "before statements outside a transaction"
    APART_STATEMENT_BEGINS = "before a statement outside a transaction"
    APART_STATEMENT_RAN = "a statement outside a transaction ran, not noted yet"
    APART_STATEMENT_NOTED = "a statement outside a transaction noted"
    BATCH_BEGINS = "before a batch"
    BATCH_COMMITTED = "after a batch"
    # generate and migrate_staging
    SHADOW_BEGINS = "before the shadow database"
    ASSESSED = "what is pending assessed"
    FILES_PROVEN = "the generated files proven"
    FILE_BEGINS = "before a generated file is written"
    FILE_WRITTEN = "after a generated file is written"
    # rollback_prod
    SCRIPT_READ = "the rollback script read"
    ROLLBACK_REHEARSAL_BEGINS = "before the rollback's rehearsal"
    # restore_prod and its swap
    BACKUP_CHECK_BEGINS = "before the check of the backup"
    BACKUP_CHECKED = "the backup checked"
    DATABASE_BEGINS = "before the database is created"
    DATABASE_CREATED = "the database created, without a comment"
    DATABASE_MARKED = "the database created, with its comment"
    FILL_BEGINS = "before the database is filled"
    FILLED = "the database filled"
    COMPARE_BEGINS = "before the comparison with the backup"
    COMPARED = "compared with the backup"
    RESTORED_MARKED = "marked as restored"
    SWAP_BEGINS = "before the swap"
    SESSIONS_END = "the sessions being ended"
    RENAMED = "renamed, not committed"
    FORMER_MARKED = "renamed and marked, not committed"
    SWAP_COMMIT_BEGINS = "before the swap's COMMIT"
    SWAP_COMMITTED = "after the swap's COMMIT"
    SWAPPED = "after the swap"
    # The record, in the process that writes it
    RECORD_BEGINS = "before the record is begun"
    RECORD_CLAIMED = "the record begun"
    KERNEL_BEGINS = "before the kernel is started"
    CELLS_BEGIN = "before the record's cells run"
    RECORD_CELL_BEGINS = "before a cell is written"
    RECORD_CELL_WRITTEN = "a cell written"
    RECORD_FINISH_BEGINS = "before the record is finished"
    RECORD_WRITTEN = "the notebook written, not sealed"
    PAGE_WRITTEN = "the page written, not sealed"
    SEALED = "sealed, not renamed"


def _nobody_is_told(point: FaultPoint) -> None:
    """Do nothing: in production no one stops a run."""


# The tests put in its place what stops there.
on_pass: Callable[[FaultPoint], None] = _nobody_is_told


def pass_point(point: FaultPoint) -> None:
    """Say that the run has come to `point`."""
    on_pass(point)
