"""The view of the difference of two schemas."""

from __future__ import annotations

from safemig.schema import SchemaDiff, Statement
from safemig.sql.passwords import without_passwords
from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Document, Inline, Line, Listing, Tone
from safemig.views.shared_parts import change_list


def build(result: SchemaDiff) -> Document:
    """Show the changes and the DDL that makes them, destructive statements marked."""
    if result.is_empty:
        return Document(Badge("EQUAL", "ok"), ("the two schemas are the same",), _notes(result))
    destructive = sum(each.destructive for each in result.statements)
    headline: list[Inline] = [
        result.summary,
        numbers.counted(len(result.statements), "statement"),
    ]
    if destructive:
        headline.append(Badge(f"{destructive} DESTRUCTIVE", "error"))
    return Document(
        Badge("DIFFERENT", "warning" if destructive else "info"),
        tuple(headline),
        (*change_list(result), *_notes(result), _statements(result)),
    )


def _notes(result: SchemaDiff) -> tuple[Block, ...]:
    blocks: list[Block] = []
    if result.warnings:
        blocks.append(Bullets("Mind", tuple(map(str, result.warnings))))
    if result.rename_questions:
        blocks.append(Bullets("Perhaps a rename", tuple(map(str, result.rename_questions))))
    return tuple(blocks)


def _statements(result: SchemaDiff) -> Listing:
    lines: list[Line] = []
    for statement in result.statements:
        sign, tone = _mark(statement)
        if statement.destructive:
            lines.append(Line(f"-- destroys: {statement.why}", None, sign, tone))
        elif statement.blocked:
            lines.append(Line(f"-- needs the destructive one: {statement.blocked}", None, sign, tone))
        lines += [Line(text, None, sign, tone) for text in without_passwords(statement.sql).strip().splitlines()]
    numbered = tuple(Line(line.text, i, line.sign, line.tone) for i, line in enumerate(lines, 1))
    return Listing("SQL, in order (✖ destroys, ▲ only together with what destroys)", numbered)


def _mark(statement: Statement) -> tuple[str, Tone | None]:
    if statement.destructive:
        return "✖", "error"
    return ("▲", "warning") if statement.blocked else (" ", None)
