"""The view of a backup."""

from __future__ import annotations

import shlex

from safemig.results import Backup
from safemig.views import numbers
from safemig.views.document import Badge, Bullets, Document, Mono, Prose, Strong, Table, Tone
from safemig.views.shared_parts import content_table, on

VERIFIED: dict[str, tuple[str, Tone]] = {
    "restored": ("restored on a copy and compared", "ok"),
    "read": ("read back, not restored", "warning"),
    "no": ("not restored yet: the rehearsal does that", "waiting"),
}


_HISTORY = ("safemig.", "supabase_migrations.")
_URL = '"$PRODUCTION_DATABASE_URL"'
_DECOMPRESSED_BY = {".gz": "gzip", ".zst": "zstd"}


def by_hand(backup: Backup) -> str:
    """Return the command that brings a backup back over the damaged database where safemig itself cannot run.

    One transaction in every case; what is compressed is tested first, for of a cut one psql would commit what it got.
    """
    path = shlex.quote(str(backup.full.path))
    if backup.full.parts:
        return f"pg_restore -1 --clean --if-exists -d {_URL} {path}"
    psql = f"psql {_URL} -1 -v ON_ERROR_STOP=1 -f"
    if program := _DECOMPRESSED_BY.get(backup.full.path.suffix):
        return f"{program} -t {path} && {program} -dc {path} | {psql} -"
    return f"{psql} {path}"


def not_by_psql(objects: tuple[str, ...]) -> tuple[Bullets, ...]:
    """Name the objects at which psql stops in restoring a backup, where there are any."""
    return (Bullets("psql or pg_restore alone stops here; safemig restore-prod does not", objects),) if objects else ()


def build(result: Backup) -> Document:
    """Show the files, what they hold, how far they were verified, and how to bring them back."""
    verified, tone = VERIFIED[result.verified]
    files = Table(
        f"Files, in {result.full.path.parent}",
        ("Backup", "Size", "sha256", "File"),
        (
            ("full", numbers.size(result.full.size_bytes), Mono(result.full.sha256[:16]), Mono(result.full.path.name)),
            (
                "schema",
                numbers.size(result.schema.size_bytes),
                Mono(result.schema.sha256[:16]),
                Mono(result.schema.path.name),
            ),
            *(
                [
                    (
                        "cluster",
                        numbers.size(result.cluster.size_bytes),
                        Mono(result.cluster.sha256[:16]),
                        Mono(result.cluster.path.name),
                    )
                ]
                if result.cluster
                else []
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
                    f"to restore it: safemig restore-prod {result.timestamp}  (restores beside production, verifies)",
                    *result.notes,
                    *(
                        [f"left out, the platform's and not readable: {', '.join(result.left_out)}"]
                        if result.left_out
                        else []
                    ),
                ),
            ),
            *not_by_psql(result.not_by_psql),
            Prose("Manual restore without safemig, over the damaged database", f"```\n{by_hand(result)}\n```")
            if not result.hosted_on
            else Prose(
                "After rows were deleted",
                f"```\nsafemig restore-prod {result.timestamp} --tables [schema.table,...] --put-back\n```\n"
                f"{result.hosted_on} owns objects in the backup that the current role cannot create or drop: psql over the whole "
                "database stops at the first of them, and changes nothing.",
            ),
            content_table(result.tables, f"Rows and hashes of {numbers.counted(len(result.tables), 'table')}"),
        ),
    )


def _counted(result: Backup) -> str:
    """Return how much the backup holds, without the tables of the history: as the validation counts."""
    own = [table for table in result.tables if not table.name.startswith(_HISTORY)]
    rows = sum(table.rows for table in own)
    return f"{numbers.counted(rows, 'row')} in {numbers.counted(len(own), 'table')}"
