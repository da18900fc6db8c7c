"""Say once on a page what several steps answered.

A later table or listing that is equal is a link to the first. Of the lists of steps (as planned, on the copy, on the
target) and of locks (expected, measured) the last one stands open, the others are folded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from html import escape

# What a view draws under a title of its own: folded blocks, and tables below their title.
_BLOCK = re.compile(
    r"<details(?P<open>[^>]*)>\s*<summary>(?P<summary>.*?)</summary>(?:(?!<details).)*?</details>"
    r"|<p[^>]*><strong>(?P<title>[^<]*)</strong></p>\s*<table.*?</table>",
    re.DOTALL,
)
_LISTS = [
    re.compile(rf"<p[^>]*><strong>(?P<title>{word}\b[^<]*)</strong></p>\s*(?P<table><table.*?</table>)", re.DOTALL)
    for word in ("Steps", "Locks")
]
_SHORT = 300  # characters of HTML: what a link would not make shorter


def link_repeats(sections: Iterable[tuple[str, str]]) -> list[str]:
    """Return the HTML of each (title, HTML) with repeated blocks as links to the section that has them first.

    The first listing of the statements is marked for paper, where nothing can be unfolded.
    """
    seen: dict[str, str] = {}
    bodies = [_BLOCK.sub(_linked(title, seen), body) for title, body in sections]
    for pattern in _LISTS:
        having = [number for number, body in enumerate(bodies) if pattern.search(body)]
        for number in having[:-1]:
            folded = r"<details><summary>\g<title></summary>\n\g<table>\n</details>"
            bodies[number] = pattern.sub(folded, bodies[number])
    return bodies


def _linked(section: str, seen: dict[str, str]) -> Callable[[re.Match[str]], str]:
    def replacement(found: re.Match[str]) -> str:
        block = found[0]
        if len(block) < _SHORT:
            return block
        what = found["title"] or found["summary"]
        # Of a table its title is no part: the same changes are called otherwise by another step.
        same = " ".join((block.partition("</p>")[2] if found["title"] else block).split())
        first = seen.setdefault(same, section)
        if first != section:
            return f'<p style="margin:.3em 0">{what}: as in <a href="#{escape(first)}">{escape(first)}</a></p>'
        if what.startswith("The SQL of"):
            return block.replace("<details", '<details class="paper"', 1)
        return block

    return replacement
