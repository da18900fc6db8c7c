"""Keep a view of thousands of statements readable: what needs a look first, and how much more there is.

A notebook keeps the HTML of its cells, and a browser draws all of it. So a document has room for so many rows,
lines and findings in all (300 kB of HTML). What does not fit is counted in its place; the result has it whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from safemig.views.document import (
    Badge,
    Beside,
    Block,
    Bullets,
    Callout,
    Details,
    Document,
    Inline,
    Line,
    Listing,
    Paragraph,
    Several,
    Table,
)

ROWS = 110
LINES = 400
FINDINGS = 45
ITEMS = 150
CHARACTERS = 10_000  # of one line of SQL, or of one piece of code
_ALL_OF_IT = ".to_frame() and .to_dict() have all of them"
_AROUND = 2  # lines before and after a marked one
_MARKED = ("error", "warning")


class _Room:
    """How many of each may still be drawn in this document."""

    def __init__(self, share: float) -> None:
        whole = {Table: ROWS, Listing: LINES, Callout: FINDINGS, Bullets: ITEMS, Beside: LINES}
        self.left = {kind: int(number * share) for kind, number in whole.items()}

    def take(self, kind: type, wanted: int) -> int:
        taken = min(wanted, self.left[kind])
        self.left[kind] -= taken
        return taken


def capped(document: Document, share: float = 1) -> Document:
    """Return `document` with as much of it as a notebook's cell should hold, and a count of the rest.

    share: how much of the usual room there is.
    """
    return dataclasses.replace(document, blocks=tuple(_capped(document.blocks, _Room(share))))


def _capped(blocks: Iterable[Block], room: _Room) -> Iterator[Block]:
    hidden = 0
    for block in blocks:
        if isinstance(block, Callout):
            if room.take(Callout, 1):
                yield block._replace(code=_cut(block.code), paragraphs=tuple(map(_cut, block.paragraphs)))
            else:
                hidden += 1
            continue
        if hidden:
            yield _more(hidden, "findings")
            hidden = 0
        match block:
            case Table():
                kept = _kept_rows(block.rows, room.take(Table, len(block.rows)))
                yield dataclasses.replace(block, rows=tuple(block.rows[each] for each in kept))
                yield from _rest(len(block.rows) - len(kept), "rows")
            case Listing():
                yield dataclasses.replace(block, lines=_kept_lines(block.lines, room.take(Listing, len(block.lines))))
            case Bullets():
                number = room.take(Bullets, len(block.items))
                yield dataclasses.replace(block, items=block.items[:number])
                yield from _rest(len(block.items) - number, "items")
            case Beside():
                number = room.take(Beside, len(block.pairs))
                yield dataclasses.replace(block, pairs=block.pairs[:number])
                yield from _rest(len(block.pairs) - number, "lines")
            case Details():
                yield dataclasses.replace(block, content=tuple(_capped(block.blocks, room)))
            case _:
                yield block
    yield from _rest(hidden, "findings")


def _rest(number: int, what: str) -> Iterator[Block]:
    if number:
        yield _more(number, what)


def _more(number: int, what: str) -> Paragraph:
    return Paragraph((f"{number:,} more {what[:-1] if number == 1 else what} not shown: {_ALL_OF_IT}",))


def _kept_rows(rows: Sequence[tuple[Inline, ...]], room: int) -> list[int]:
    """Return the places of the rows to draw: warnings and errors first, then what is not done, then the others."""
    ranked = (
        sorted(range(len(rows)), key=lambda place: min(map(_rank, rows[place]), default=2))
        if room < len(rows)
        else range(room)
    )
    return sorted(ranked[:room])


def _rank(cell: Inline) -> int:
    badges = (cell,) if isinstance(cell, Badge) else cell.badges if isinstance(cell, Several) else ()
    return min((0 if badge.tone in _MARKED else 2 if badge.tone == "ok" else 1 for badge in badges), default=2)


def _kept_lines(lines: Sequence[Line], room: int) -> tuple[Line, ...]:
    """Return the lines to draw, marked ones with those around them first; each gap is counted in a line of its own."""
    if len(lines) <= room:
        return tuple(each._replace(text=_cut(each.text)) for each in lines)
    wanted: dict[int, None] = {}
    for place, line in enumerate(lines):
        if line.tone in _MARKED:
            wanted |= dict.fromkeys(range(max(0, place - _AROUND), min(len(lines), place + _AROUND + 1)))
        if len(wanted) >= room:
            break
    wanted |= dict.fromkeys(range(min(len(lines), max(0, room - len(wanted)))))
    kept = sorted(list(wanted)[:room])
    drawn: list[Line] = []
    last = -1
    for place in [*kept, len(lines)]:
        if place > last + 1:
            drawn.append(Line(f"… {place - last - 1:,} lines not shown: .to_dict() has all of them", sign="⋮"))
        if place < len(lines):
            drawn.append(lines[place]._replace(text=_cut(lines[place].text)))
        last = place
    return tuple(drawn)


def _cut(text: str) -> str:
    if len(text) <= CHARACTERS:
        return text
    return f"{text[:CHARACTERS]}… {len(text) - CHARACTERS:,} characters not shown: .to_dict() has all of them"
