"""The proof of a backup: restored on a server of its own, dumped again, and compared with what was backed up."""

from __future__ import annotations

from collections.abc import Sequence

from safemig import live
from safemig.backups.manifest import mark_verified
from safemig.backups.same_content import what_differs
from safemig.copies.database_copy import Copy, CopyServer, open_server_like, restore_copy
from safemig.errors import BackupError, RehearsalError, ToolError, UnreachableError
from safemig.execution.lock_watch import watched_restore
from safemig.postgres.connection import Connection
from safemig.postgres.dump.plain import content_of, require_unchanged
from safemig.postgres.server.programs import Programs
from safemig.results import Backup, TableContent
from safemig.settings import Settings

_NO_ROOM = ("No space left on device", "could not extend file", "Disk quota exceeded")


def verify_backup(settings: Settings, source: Connection, backup: Backup) -> Backup:
    """Restore a backup on a throwaway server (or the scratch server), compare it, and return it as verified.

    Where there is no server that could hold it, it is returned as it was, with the reason in its notes.

    Raises:
        BackupError: it does not restore in any way, and the message names the object; or holds something else.
    """
    try:
        server = open_server_like(source, settings.scratch)
    except (ToolError, RehearsalError, UnreachableError) as error:
        return mark_verified(settings, backup, backup.verified, (f"not restored: {error.what}; {error.next}",))
    with server:
        try:
            copy, _ = restored_and_compared(settings, source, server, backup)
        except RehearsalError as error:
            if any(words in str(error) for words in _NO_ROOM):
                return mark_verified(settings, backup, backup.verified, ("not restored: no room for a copy here",))
            raise BackupError(
                error.what, where=f"{error.where}; its files are kept as not verified", next=error.next
            ) from None
    return mark_verified(settings, backup, "restored", copy.notes)


def restored_and_compared(
    settings: Settings, source: Connection, server: CopyServer, backup: Backup, *, schema_only: bool = False
) -> tuple[Copy, tuple[TableContent, ...]]:
    """Restore a backup as the database `copy` of `server`, and return the copy and what it holds.

    Raises:
        RehearsalError: it does not restore, or holds something else than was backed up.
    """
    file = backup.schema if schema_only else backup.full
    rows = None if schema_only else backup.rows
    require_unchanged(file)
    with live.stage("restore the copy", rows), watched_restore(server.url(), "copy"):
        copy = restore_copy(source, server, "copy", file.path, jobs=settings.backup_jobs)
        live.reached(rows or 0)
    with live.stage("compare the copy with the backup", rows):
        content = content_of(copy.url, server.programs)
    if not schema_only:
        _require_equal(backup, content, copy.url, server.programs)
    return copy, content


def _require_equal(backup: Backup, content: Sequence[TableContent], url: str, programs: Programs) -> None:
    if backup.holds(content) or not (different := what_differs(backup, content, url, programs)):
        return
    raise RehearsalError(
        f"the restored backup differs from what was backed up: {', '.join(different)}",
        where=str(backup.full.path),
        next="take another backup; do not trust this one",
    )
