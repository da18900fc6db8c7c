"""The view of a backup."""

from __future__ import annotations

import shlex

from safemig.commands import PRODUCTION, command_on
from safemig.results import Backup
from safemig.views import numbers
from safemig.views.document import Badge, Bullets, Document, Mono, Prose, Strong, Table, Tone
from safemig.views.shared_parts import content_table, on

VERIFIED: dict[str, tuple[str, Tone]] = {
    "restored": ("restored on a copy and compared", "ok"),
    "read": ("read back, not restored", "warning"),
    "no": ("not restored yet: the rehearsal does that", "waiting"),
}


_DECOMPRESSED_BY = {".gz": "gzip", ".zst": "zstd"}


def by_hand(backup: Backup) -> str:
    """Return the command that brings a backup back over the damaged database where safemig itself cannot run.

    On a platform that is the script of what is the team's, which goes into a new project, too.
    One transaction in every case; what is compressed is tested first, for of a cut one psql would commit what it got.
    """
    environment = backup.target.environment
    # Never production's URL for the backup of another database: a placeholder that psql refuses.
    url = '"$PRODUCTION_DATABASE_URL"' if environment == PRODUCTION else f'"[URL of {environment}]"'
    file = backup.team or backup.full
    path = shlex.quote(str(file.path))
    if file.parts:
        return f"pg_restore -1 --clean --if-exists -d {url} {path}"
    psql = f"psql {url} -1 -v ON_ERROR_STOP=1 -f"
    if program := _DECOMPRESSED_BY.get(file.path.suffix):
        return f"{program} -t {path} && {program} -dc {path} | {psql} -"
    return f"{psql} {path}"


def not_by_psql(objects: tuple[str, ...]) -> tuple[Bullets, ...]:
    """Name the objects at which psql stops in restoring a backup, where there are any."""
    return (Bullets("psql or pg_restore alone stops here; restore-prod does not", objects),) if objects else ()


def build(result: Backup) -> Document:
    """Show the files, what they hold, how far they were verified, and how to bring them back."""
    verified, tone = VERIFIED[result.verified]
    environment = result.target.environment
    restore = command_on(environment, "restore-prod", result.timestamp)
    files = Table(
        f"Files, in {result.full.path.parent}",
        ("Backup", "Size", "sha256", "File"),
        (
            *(
                (name, numbers.size(file.size_bytes), Mono(file.sha256[:16]), Mono(file.path.name))
                for name, file in result.files.items()
            ),
            ("manifest", numbers.NOTHING, numbers.NOTHING, Mono(result.manifest.name)),
        ),
        frozenset({"Size"}),
    )
    return Document(
        Badge(result.verdict, "ok" if result.verified == "restored" and not result.not_by_psql else "warning"),
        (
            Strong(on(result.target)),
            _counted(result),
            numbers.size(result.full.size_bytes),
            numbers.seconds(result.seconds),
            Badge(verified, tone),
        ),
        (
            files,
            Bullets(
                "",
                (
                    f"one snapshot at LSN {result.snapshot_lsn}, written by pg_dump {result.client_version}",
                    f"to restore it: {restore}  (restores beside {environment}, verifies)",
                    *result.notes,
                    *(
                        [f"left out, the platform's and not readable: {', '.join(result.left_out)}"]
                        if result.left_out
                        else []
                    ),
                ),
            ),
            *not_by_psql(result.not_by_psql),
            *_restores_by_hand(result),
            content_table(result.tables, f"Rows and hashes of {numbers.counted(len(result.tables), 'table')}"),
        ),
    )


def _restores_by_hand(result: Backup) -> tuple[Prose, ...]:
    """Tell what to do where safemig itself cannot run; on a platform, first what brings deleted rows back."""
    over = Prose("Manual restore without safemig, over the damaged database", f"```\n{by_hand(result)}\n```")
    if not result.hosted_on:
        return (over,)
    put_back = command_on(
        result.target.environment, "restore-prod", f"{result.timestamp} --tables [schema.table,... or all] --put-back"
    )
    rows = Prose(
        "After rows were deleted",
        f"```\n{put_back}\n```\n"
        f"{result.hosted_on} owns objects in the full backup that the current role cannot create or drop: psql over the whole "
        "database stops at the first of them, and changes nothing.",
    )
    if result.team is None:
        return (rows,)
    whole = Prose(
        f"Manual restore without safemig, over the damaged database or into a new {result.hosted_on} project",
        f"```\n{by_hand(result)}\n```\n"
        "The team's objects and rows, taken from the full backup; not itself tried. What is yours in the database is replaced. "
        "Into a new project: with that one's URL. Roles have no password there, and files of a storage are no part of a database.",
    )
    return rows, whole


def _counted(result: Backup) -> str:
    """Return how much the backup holds, without the tables of the history: as the validation counts."""
    return f"{numbers.counted(result.rows, 'row')} in {numbers.counted(len(result.own_tables), 'table')}"
