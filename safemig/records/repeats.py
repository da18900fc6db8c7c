"""Say once on a page what several steps answered: a later table or listing that is equal is a link to the first."""

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
_SHORT = 300  # characters of HTML: what a link would not make shorter


def link_repeats(sections: Iterable[tuple[str, str]]) -> list[str]:
    """Return the HTML of each (title, HTML) with repeated blocks as links to the section that has them first.

    The first listing of the statements is marked for paper, where nothing can be unfolded.
    """
    seen: dict[str, str] = {}
    return [_BLOCK.sub(_linked(title, seen), body) for title, body in sections]


def _linked(section: str, seen: dict[str, str]) -> Callable[[re.Match[str]], str]:
    def replacement(found: re.Match[str]) -> str:
        block = found[0]
        if len(block) < _SHORT:
            return block
        first = seen.setdefault(" ".join(block.split()), section)
        if first != section:
            what = found["title"] or found["summary"]
            return f'<p style="margin:.3em 0">{what}: as in <a href="#{escape(first)}">{escape(first)}</a></p>'
        if str(found["summary"]).startswith("The SQL of"):
            return block.replace("<details", '<details class="paper"', 1)
        return block

    return replacement
