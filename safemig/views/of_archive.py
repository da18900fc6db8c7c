"""The view of the archive of records."""

from __future__ import annotations

from datetime import timedelta

from safemig.results import Archive, RecordEntry
from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Document, Inline, Mono, Strong, Table, Tone
from safemig.views.pictures import BAD, archive_strip, changed_nothing
from safemig.views.shared_parts import without_empty_columns

_INTEGRITY: dict[str, Tone] = {"sealed": "ok", "edited": "error", "missing": "error", "unsealed": "warning"}
_MOST = 200


def build(result: Archive) -> Document:
    """List the records, newest first, each with its verdict and how it stands to the ledger."""
    if not result.records and not result.problems:
        return Document(Badge("NO RECORDS", "info"), (Mono(str(result.folder)),))
    failed = sum(each.verdict in BAD for each in result.records)
    verdict = (
        Badge(f"{numbers.counted(len(result.problems), 'PROBLEM')} WITH THE ARCHIVE", "error")
        if result.problems
        else Badge("VERIFIED" if result.verified else "RECORDS", "ok" if result.verified else "info")
    )
    headline: list[Inline] = [Strong(numbers.counted(len(result.records), "record")), f"{failed:,} failed"]
    if result.records:
        headline.append(_span(result.records))
    if not result.verified:
        headline.append("hashes not checked: safemig records --verify")
    picture = archive_strip(result.records)
    blocks: list[Block] = []
    if result.problems:
        blocks.append(Bullets("Problems", result.problems))
    if result.settled:
        blocks.append(Bullets("Settled from the journal and the database", result.settled))
    if result.notes:
        blocks.append(Bullets("Not verified", result.notes))
    if picture:
        blocks.append(picture)
    if result.records:
        blocks.append(_table(result))
    if len(result.records) > _MOST:
        blocks.append(Bullets("", (f"{len(result.records) - _MOST:,} older records are not listed here",)))
    return Document(verdict, tuple(headline), tuple(blocks))


def _span(records: tuple[RecordEntry, ...]) -> str:
    length = max(each.at for each in records) - min(each.at for each in records)
    days = max(1, round(length / timedelta(days=1)))
    return f"within {numbers.counted(days, 'day')}"


def _table(result: Archive) -> Table:
    def drawn(each: RecordEntry) -> tuple[Inline, ...]:
        return (
            numbers.time(each.at),
            Badge(
                each.verdict, "error" if each.verdict in BAD else "waiting" if changed_nothing(each.verdict) else "ok"
            ),
            each.act,
            each.environment,
            ", ".join(each.migrations) or numbers.NOTHING,
            numbers.seconds(each.seconds),
            numbers.seconds(each.lock_wait_s),
            each.by or numbers.NOTHING,
            _integrity(each, result.verified),
            each.path.name,  # not Mono: JupyterLab breaks what is code, whatever the cell says
        )

    table = Table(
        "Records, newest first",
        (
            "Time",
            "Verdict",
            "Act",
            "Environment",
            "Migrations",
            "Took",
            "Longest lock wait",
            "By",
            "Integrity",
            "Record",
        ),
        tuple(drawn(each) for each in result.records[:_MOST]),
        frozenset({"Took", "Longest lock wait"}),
        frozenset({"Time", "Record"}),
    )
    return without_empty_columns(table)


def _integrity(record: RecordEntry, verified: bool) -> Badge:
    if record.integrity == "sealed" and not verified:
        return Badge("not checked", "waiting")
    return Badge(record.integrity, _INTEGRITY[record.integrity])
