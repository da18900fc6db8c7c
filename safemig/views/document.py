"""What a view is made of: a verdict first, then blocks. One document, drawn as text and as HTML.

A view is written once, as a document; so the CI log and the notebook cannot say different things. What a long report
has thousands of is a NamedTuple, which is made in a quarter of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

Tone = Literal["ok", "error", "warning", "info", "waiting"]


class Badge(NamedTuple):
    """A word that stands out: a verdict, a severity, a state. The word alone carries the meaning."""

    word: str
    tone: Tone


class Mono(NamedTuple):
    """A name, a path, a piece of SQL within a line."""

    text: str


class Strong(NamedTuple):
    """What a reader looks for first within a line."""

    text: str


class Link(NamedTuple):
    """Words that open a file, where the view is seen from a place that can."""

    text: str
    path: Path


class Several(NamedTuple):
    """Badges in one cell, the first to be looked at first."""

    badges: tuple[Badge, ...]

    @property
    def text(self) -> str:
        """Their words."""
        return ", ".join(each.word for each in self.badges)


Inline = str | Badge | Mono | Strong | Link | Several


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One line or paragraph of prose."""

    parts: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title; columns named in `numeric` are set flush right, those in `whole` are never broken.

    Those in `text_only` are left out of HTML, where something else says the same.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Inline, ...], ...]
    numeric: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    text_only: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list under a title."""

    title: str
    items: tuple[str, ...]


class Line(NamedTuple):
    """A line of a listing. `sign` stands in the gutter, so that the tint is never the only mark."""

    text: str
    number: int | None = None
    sign: str = " "
    tone: Tone | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """SQL or another text, line by line, with numbers and gutter signs."""

    title: str
    lines: tuple[Line, ...]


class Callout(NamedTuple):
    """A finding or a failure: what, why, and what to do instead."""

    badge: Badge
    title: str
    paragraphs: tuple[str, ...] = ()
    code_title: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG on a light panel of its own; `finding` says in one sentence what it shows."""

    svg: str
    finding: str


@dataclass(frozen=True, slots=True)
class Beside:
    """Two texts side by side, line against line; a pair's sign says what happened to the line."""

    title: str
    left_title: str
    right_title: str
    pairs: tuple[tuple[str | None, str, str | None], ...]  # (left, sign, right)


@dataclass(frozen=True, slots=True)
class Prose:
    """Markdown under a title."""

    title: str
    markdown: str


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that are folded in HTML, unless `is_open`; the text report leaves them out unless `in_text`.

    What is long to make is given as the function that makes it, which is called only where it is drawn.
    """

    summary: str
    content: tuple[Block, ...] | Callable[[], tuple[Block, ...]]
    in_text: bool = False
    is_open: bool = False

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks, made now where they were not yet."""
        return self.content if isinstance(self.content, tuple) else self.content()


Block = Paragraph | Table | Bullets | Listing | Callout | Picture | Beside | Prose | Details


@dataclass(frozen=True, slots=True)
class Document:
    """A view: the verdict, the rest of the first line, and the body."""

    verdict: Badge
    headline: tuple[Inline, ...]
    blocks: tuple[Block, ...] = ()
