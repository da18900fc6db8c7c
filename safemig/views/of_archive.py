"""The view of the archive of records."""

from __future__ import annotations

from safemig.result import link_to
from safemig.results import Archive, RecordEntry
from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Details, Document, Inline, Link, Mono, Strong, Table, Tone
from safemig.views.pictures import archive_strip
from safemig.views.record_words import RUNNING, ended_badly, tone_of
from safemig.views.shared_parts import without_empty_columns

_INTEGRITY: dict[str, Tone] = {
    "intact": "ok",
    "resaved": "ok",
    "edited": "error",
    "missing": "error",
    "sealed": "ok",
    "unsealed": "warning",
}
_MOST = 200


def build(result: Archive) -> Document:
    """List the records, newest first, each with its verdict and how it stands to the ledger."""
    if not result.records and not result.problems:
        return Document(Badge("NO RECORDS", "info"), (Mono(str(result.folder)),))
    failed = sum(ended_badly(each.verdict) for each in result.records)
    running = sum(each.verdict == RUNNING for each in result.records)
    if result.problems:
        verdict = Badge(f"{numbers.counted(len(result.problems), 'PROBLEM', 'PROBLEMS')} WITH THE ARCHIVE", "error")
    elif result.verified and result.not_asked:
        verdict = Badge(f"VERIFIED, EXCEPT AGAINST {', '.join(result.not_asked)}", "warning")
    else:
        verdict = Badge("VERIFIED" if result.verified else "RECORDS", "ok" if result.verified else "info")
    environments = ", ".join(sorted({each.environment for each in result.records}))
    counted = numbers.counted(len(result.records), "record")
    headline: list[Inline] = [Strong(f"{counted} of {environments}" if environments else counted), f"{failed:,} failed"]
    if running:
        headline.append(f"{running:,} running or not settled yet")
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
        blocks.append(Bullets("Notes", result.notes))
    if picture:
        blocks.append(picture)
    if result.records:
        blocks += _table(result)
    if len(result.records) > _MOST:
        blocks.append(Bullets("", (f"{len(result.records) - _MOST:,} older records are not listed here",)))
    return Document(verdict, tuple(headline), tuple(blocks))


def _span(records: tuple[RecordEntry, ...]) -> str:
    first, last = (numbers.time(each(record.at for record in records))[:10] for each in (min, max))
    return first if first == last else f"{first} to {last}"


def _table(result: Archive) -> tuple[Block, ...]:
    """Return the records, their times opening them where that works, else with a list of their files below."""
    shown = result.records[:_MOST]
    environments = {each.environment for each in result.records}

    def drawn(each: RecordEntry) -> tuple[Inline, ...]:
        return (
            Link(numbers.time(each.at), each.path) if each.integrity != "missing" else numbers.time(each.at),
            Badge(each.verdict, tone_of(each.verdict)),
            each.act,
            each.environment if len(environments) > 1 else numbers.NOTHING,
            ", ".join(map(_name, each.migrations)) or numbers.NOTHING,
            numbers.seconds(each.seconds),
            numbers.seconds(each.lock_wait_s),
            each.by or numbers.NOTHING,
            _integrity(each, result.verified),
            each.path.name,
        )

    table = Table(
        "Records, newest first",
        ("Time", "Verdict", "Act", "Environment", "Migrations", "Took", "Lock wait", "By", "Integrity", "Record"),
        tuple(map(drawn, shown)),
        frozenset({"Took", "Lock wait"}),
        frozenset({"Time"}),
        frozenset({"Record"}),
    )
    if link_to(shown[0].path):
        return (without_empty_columns(table),)
    files = tuple(f"{each.path.parent.name}/{each.path.name}" for each in shown)
    return (without_empty_columns(table), Details(f"Their files, in {result.folder}", (Bullets("", files),)))


def _name(migration: str) -> str:
    """Return what a migration is called; its version, which is its time, is in the record."""
    stem = migration.removesuffix(".sql")
    return stem.partition("_")[2] or stem


def _integrity(record: RecordEntry, verified: bool) -> Inline:
    if record.integrity == "sealed" and not verified:
        return numbers.NOTHING  # the first line says that none was checked
    return Badge(record.integrity, _INTEGRITY[record.integrity])
