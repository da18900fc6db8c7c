"""The view of a backup."""

from __future__ import annotations

from safemig.results import Backup
from safemig.views import numbers
from safemig.views.document import Badge, Bullets, Document, Mono, Strong, Table, Tone
from safemig.views.shared_parts import content_table, on

VERIFIED: dict[str, tuple[str, Tone]] = {
    "restored": ("restored on a copy and compared", "ok"),
    "read": ("read back, not restored", "warning"),
    "no": ("to be checked by restoring it", "warning"),
}


def build(result: Backup) -> Document:
    """Show the files, what they hold, how far they were verified, and how to bring them back."""
    verified, tone = VERIFIED[result.verified]
    files = Table(
        "Files",
        ("Backup", "Size", "sha256", "File"),
        (
            ("full", numbers.size(result.full.size_bytes), Mono(result.full.sha256[:16]), Mono(str(result.full.path))),
            (
                "schema",
                numbers.size(result.schema.size_bytes),
                Mono(result.schema.sha256[:16]),
                Mono(str(result.schema.path)),
            ),
            *(
                [
                    (
                        "cluster",
                        numbers.size(result.cluster.size_bytes),
                        Mono(result.cluster.sha256[:16]),
                        Mono(str(result.cluster.path)),
                    )
                ]
                if result.cluster
                else []
            ),
            ("manifest", numbers.NOTHING, numbers.NOTHING, Mono(str(result.manifest))),
        ),
        frozenset({"Size"}),
    )
    return Document(
        Badge("BACKED UP", "ok"),
        (
            Strong(on(result.target)),
            f"{numbers.counted(result.rows, 'row')} in {numbers.counted(len(result.tables), 'table')}",
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
                    f"to bring it back: safemig restore-prod {result.timestamp}  (restores beside production, verifies)",
                    *result.notes,
                ),
            ),
            content_table(result.tables, f"Rows and hashes of {numbers.counted(len(result.tables), 'table')}"),
        ),
    )
