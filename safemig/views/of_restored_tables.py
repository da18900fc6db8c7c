"""The view of single tables of a backup: restored beside production, compared with it, put back."""

from __future__ import annotations

from safemig.results import RestoredTable, RestoredTables
from safemig.views import numbers
from safemig.views.document import Badge, Bullets, Document, Inline, Mono, Strong, Table, Tone
from safemig.views.shared_parts import check_table, failed_checks, on, without_empty_columns

_TONES: dict[str, Tone] = {"COMPARED": "warning"}
_MOST_COLUMNS = 8


def build(result: RestoredTables) -> Document:
    """Show each table's rows in the backup and in production, what was put back, and the command that comes next."""
    items = [
        f"from {result.backup}",
        f"the backup's rows stand in schema {result.schema}, which only its owner may read",
    ]
    items += [f"only rows of the backup for which: {result.where}"] if result.where else []
    for table in result.tables:
        items += [f"{table.name}: {note}" for note in _notes(table)]
    items += result.notes
    if result.verdict == "RESTORED BESIDE PRODUCTION":
        items.append(f"production's own tables are untouched; to bring rows back: {result.command}")
    elif result.verdict == "COMPARED":
        items.append(f"nothing was put back yet; if this is right: {result.command}")
    elif result.verdict == "PUT BACK":
        items.append(f"when the backup's rows are no longer needed: {result.command}")
    return Document(
        Badge(result.verdict, _TONES.get(result.verdict, "ok")),
        (Strong(on(result.target)), Mono(result.schema), numbers.seconds(result.seconds)),
        (
            _rows(result),
            *check_table("Checks", result.checks),
            *failed_checks(result.checks),
            Bullets("", tuple(items)),
        ),
    )


def _rows(result: RestoredTables) -> Table:
    columns = (
        "Table",
        "In the backup",
        "Meant",
        "Missing",
        "Differ",
        "Only in production",
        "Inserted",
        "Updated",
        "Compared by",
    )
    shown = tuple(_row(table, is_partial=bool(result.where)) for table in result.tables)
    return without_empty_columns(Table("Rows", columns, shown, frozenset(columns[1:8])))


def _row(table: RestoredTable, *, is_partial: bool) -> tuple[Inline, ...]:
    counts = (
        table.rows,
        table.meant if is_partial else None,
        table.missing,
        table.differing,
        table.only_in_production,
        table.inserted,
        table.updated,
    )
    return (Mono(table.name), *map(numbers.count, counts), Mono(", ".join(table.key)) if table.key else numbers.NOTHING)


def _notes(table: RestoredTable) -> list[str]:
    notes = []
    if table.differing_columns:
        more = len(table.differing_columns) - _MOST_COLUMNS
        words = ", ".join(table.differing_columns[:_MOST_COLUMNS]) + (f", and {more} more" if more > 0 else "")
        notes.append(f"differs in {words}")
    if table.triggers_off:
        notes.append(f"triggers that do not fire for what is put back: {', '.join(table.triggers_off)}")
    return [*notes, *table.notes]
