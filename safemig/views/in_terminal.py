"""Draw a document for a terminal: as wide as it is, with colours where it shows them. The words are those of `in_text`."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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
    Mono,
    Paragraph,
    Picture,
    Strong,
    Table,
    Tone,
)
from safemig.views.in_text import draw_blocks, printable, word_of

if TYPE_CHECKING:
    from rich.text import Text

# SGR codes: the eight colours that each terminal's theme defines.
_CODES: dict[Tone, str] = {"ok": "1;32", "error": "1;31", "warning": "1;33", "info": "1;36", "waiting": "1;35"}
_STYLES: dict[Tone, str] = {
    "ok": "bold green", "error": "bold red", "warning": "bold yellow", "info": "bold cyan", "waiting": "bold magenta",
}  # fmt: skip
Put = Callable[..., None]  # adds something to what is drawn
_MOST_ROWS = 400  # laid out cell by cell; a longer table is drawn as in a log, which takes a hundredth of the time
_BESIDE_WIDTH = 120


def draw_headline(document: Document, *, colour: bool) -> str:
    """Return the first line. Needs nothing that takes time to load, so that it stands there at once."""
    verdict = printable(document.verdict.word)
    if colour:
        verdict = f"\x1b[{_CODES[document.verdict.tone]}m{verdict}\x1b[0m"
    return " · ".join([verdict, *(printable(word_of(part)) for part in document.headline)])


def draw_rest(document: Document, *, width: int, colour: bool, verbose: bool = False) -> str:
    """Return what follows the first line, "" where nothing does; `verbose` unfolds the statements and times."""
    from rich.console import Console

    drawn = io.StringIO()
    console = Console(
        file=drawn, width=width, force_terminal=colour, color_system="standard" if colour else None, no_color=not colour,
        highlight=False, markup=False, emoji=False, legacy_windows=False,
        force_jupyter=False,  # a kernel would show it too, and so the record
    )  # fmt: skip
    for block in document.blocks:
        _put(console.print, block, width, verbose)
    return "\n".join(line.rstrip() for line in drawn.getvalue().splitlines()).strip("\n")


def _put(put: Put, block: Block, width: int, verbose: bool) -> None:
    from rich.padding import Padding
    from rich.text import Text

    match block:
        case Paragraph():
            put()
            put(Text("").join(_styled(part) for part in block.parts))
        case Table() if block.rows and len(block.rows) <= _MOST_ROWS:
            _title(put, block.title)
            put(_table(block))
        case Bullets() if block.items:
            _title(put, block.title)
            for item in block.items:
                put(_hanging("-", Text(printable(item))))
        case Listing() if block.lines:
            _title(put, block.title)
            for line in block.lines:
                put(_line(line), soft_wrap=True)
        case Callout():
            put()
            put(Text.assemble((f"[{block.badge.word}] ", _STYLES[block.badge.tone]), (printable(block.title), "bold")))
            for paragraph in block.paragraphs:
                for each in printable(paragraph).splitlines():
                    put(Padding(Text(each), (0, 0, 0, 2)))
            if block.code:
                put(Text(f"  {printable(block.code_title)}:" if block.code_title else "", "dim"))
                for each in printable(block.code.strip("\n")).splitlines():
                    put(Text(f"    | {each}", "cyan"), soft_wrap=True)
        case Beside() if block.pairs and width >= _BESIDE_WIDTH:
            _title(put, block.title)
            put(_beside(block))
        case Details():
            if block.in_text or verbose:
                _title(put, block.summary)
                for each_block in block.blocks:
                    _put(put, each_block, width, verbose)
        case Picture():
            pass  # the tables say it already
        case _:
            if plain := draw_blocks((block,)):
                put()
                put(Text(plain), soft_wrap=True)


def _title(put: Put, title: str) -> None:
    from rich.text import Text

    put()
    if title:
        put(Text(printable(title), "bold underline"))


def _styled(part: Inline) -> Text:
    from rich.text import Text

    if isinstance(part, Badge):
        return Text(printable(part.word), _STYLES[part.tone])
    style = "bold" if isinstance(part, Strong) else "cyan" if isinstance(part, Mono) else ""
    return Text(printable(word_of(part)), style)


def _table(table: Table) -> Any:
    from rich import box
    from rich.table import Table as Grid

    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1))
    for column in table.columns:
        grid.add_column(
            printable(column),
            justify="right" if column in table.numeric else "left",
            no_wrap=column in table.whole or column in table.numeric,
            overflow="fold",
        )
    for row in table.rows:
        grid.add_row(*map(_styled, row))
    return grid


def _hanging(sign: str, text: Text) -> Any:
    from rich.table import Table as Grid

    grid = Grid.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=len(sign), no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(sign, text)
    return grid


def _line(line: Line) -> Text:
    from rich.text import Text

    number = "" if line.number is None else str(line.number)
    style = _STYLES[line.tone].removeprefix("bold ") if line.tone else ""
    return Text.assemble((f"{line.sign:1} {number:>4} | ", "dim"), (printable(line.text), style))


def _beside(beside: Beside) -> Any:
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    grid.add_column(printable(beside.left_title), overflow="fold", ratio=1)
    grid.add_column("", width=1)
    grid.add_column(printable(beside.right_title), overflow="fold", ratio=1)
    for left, sign, right in beside.pairs:
        changed = sign not in " ~"
        grid.add_row(
            Text(printable(left or ""), "red" if changed else ""),
            sign,
            Text(printable(right or ""), "green" if changed else ""),
        )
    return grid
