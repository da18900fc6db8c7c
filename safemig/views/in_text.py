"""Draw a document as plain text: the report of a terminal and of a CI log. No colour, no control characters."""

from __future__ import annotations

import textwrap
import unicodedata

from safemig.views import numbers
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
    Picture,
    Prose,
    Table,
)

_WIDTH = 110
_CELL = 60
_LAST_CELL = 160


def draw_text(document: Document) -> str:
    """Return the report, without a newline at the end."""
    headline = " · ".join([document.verdict.word, *(word_of(part) for part in document.headline)])
    parts = [headline, *(drawn for block in document.blocks if (drawn := _block(block)))]
    return "\n\n".join(map(printable, parts))  # each by itself: the whole of a long report is slow to copy


def draw_blocks(blocks: tuple[Block, ...]) -> str:
    """Return blocks alone, "" where they say nothing."""
    return "\n\n".join(printable(drawn) for block in blocks if (drawn := _block(block)))


def printable(text: str) -> str:
    """Return `text` with control and direction-changing characters made visible, newlines kept.

    A table may be named with an escape sequence that would repaint a terminal, or with one that turns the reading
    direction so that SQL looks like other SQL.
    """
    if text.replace("\n", "").isprintable():  # which is stricter, and a hundred times as fast
        return text
    text = text.replace("\r\n", "\n").expandtabs(4)
    return "".join(
        character
        if character == "\n" or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        else f"\\u{ord(character):04x}"
        for character in text
    )


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return "".join(word_of(part) for part in block.parts)
        case Table():
            return _titled(block.title, _table(block))
        case Bullets():
            return _titled(block.title, "\n".join(_wrapped(item, "- ", "  ") for item in block.items))
        case Listing():
            return _titled(block.title, "\n".join(_line(line) for line in block.lines))
        case Callout():
            return _callout(block)
        case Picture():
            return ""  # the tables say it already
        case Beside():
            return _titled(block.title, _beside(block))
        case Prose():
            return _titled(block.title, block.markdown)
        case Details():
            if not block.in_text:
                return ""
            inner = [drawn for each in block.blocks if (drawn := _block(each))]
            return _titled(_wrapped(block.summary, "", "  "), "\n\n".join(inner))


def _titled(title: str, body: str) -> str:
    if not body:
        return ""
    return f"{title}\n{body}" if title else body


def word_of(part: Inline) -> str:
    """Return a piece of a line without its style."""
    return part if isinstance(part, str) else part.word if isinstance(part, Badge) else part.text


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    last = len(table.columns) - 1
    columns = []
    for i, (title, *cells) in enumerate(zip(table.columns, *table.rows, strict=True)):
        texts = [title, *map(word_of, cells)]
        # the same few words stand in most columns of a long table: each is cut and padded once
        short = {text: numbers.shortened(text, _LAST_CELL if i == last else _CELL) for text in set(texts)}
        width = max(map(len, short.values()))
        if title in table.numeric:
            short = {text: cut.rjust(width) for text, cut in short.items()}
        elif i != last:
            short = {text: cut.ljust(width) for text, cut in short.items()}
        columns.append([short[title], "-" * width, *map(short.__getitem__, texts[1:])])
    return "\n".join(("  " + "  ".join(row)).rstrip() for row in zip(*columns, strict=True))


def _line(line: Line) -> str:
    number = "" if line.number is None else str(line.number)
    return f"{line.sign:1} {number:>4} | {line.text}".rstrip()


def _callout(callout: Callout) -> str:
    lines = [f"[{callout.badge.word}] {callout.title}"]
    for paragraph in callout.paragraphs:
        lines += [_wrapped(line, "  ", "  ") for line in paragraph.splitlines()]
    if callout.code:
        lines.append(f"  {callout.code_title}:" if callout.code_title else "")
        lines.append("".join(f"    | {line}" for line in callout.code.strip("\n").splitlines(keepends=True)))
    return "\n".join(lines)


def _wrapped(text: str, first: str, following: str) -> str:
    if text and text.isprintable():
        if len(first) + len(text) <= _WIDTH:
            return first + text.rstrip()
        if "  " not in text and text[0] != " " != text[-1]:
            return _broken(text, first, following)
    return textwrap.fill(
        text, _WIDTH, initial_indent=first, subsequent_indent=following, break_long_words=False, break_on_hyphens=False
    )


def _broken(text: str, first: str, following: str) -> str:
    """Do what `textwrap.fill` does, in a tenth of the time, for words that one blank parts."""
    lines = []
    begin, indent = 0, first
    while len(text) - begin > (room := _WIDTH - len(indent)):
        end = text.rfind(" ", begin, begin + room + 1)
        if end < 0 and (end := text.find(" ", begin)) < 0:
            break
        lines.append(indent + text[begin:end])
        begin, indent = end + 1, following
    return "\n".join([*lines, indent + text[begin:]])


def _beside(beside: Beside) -> str:
    """Draw a unified listing: two columns would not fit a log."""
    lines = []
    for left, sign, right in beside.pairs:
        if sign in " ~":
            lines.append(f"  {sign} {right}")
            continue
        lines += [f"  - {left}"] if left is not None else []
        lines += [f"  + {right}"] if right is not None else []
    return "\n".join(lines)
