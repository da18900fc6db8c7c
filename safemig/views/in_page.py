"""Draw a result as a page of its own: to open in a browser, and to print. No script, no network."""

from __future__ import annotations

from safemig.result import Result
from safemig.views import document
from safemig.views.in_html import _environment, draw_html


def draw_page(result: Result) -> str:
    """Return a complete HTML document, set for A4 and US letter."""
    view = document(result)
    title = " · ".join([view.verdict.word, *(part for part in view.headline if isinstance(part, str))])
    page: str = _environment().get_template("page.html.j2").render(title=title, body=draw_html(view))
    return page + "\n"
