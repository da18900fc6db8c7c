"""Draw a document as HTML that stays legible wherever a notebook is opened.

JupyterLab drops style blocks, inline SVG and every declaration with `var()` of an untrusted notebook; GitHub drops all
styles. So: semantic elements carry the meaning, literal inline styles only decorate, and pictures are images.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from typing import TYPE_CHECKING

from safemig.result import link_to
from safemig.views.capped import capped
from safemig.views.document import Badge, Document, Link, Mono, Several, Strong
from safemig.views.in_text import printable

if TYPE_CHECKING:
    from jinja2 import Environment

# White text on each is at least 6:1.
COLOURS = {"error": "#b3261e", "warning": "#8a5300", "info": "#1f5fa8", "ok": "#2e6b34", "waiting": "#5f6368"}
_MARKS = {"error": "⛔", "warning": "⚠️", "info": "ℹ️", "ok": "✅", "waiting": "⏳"}
_TINTS = {
    "error": "rgba(179,38,30,.18)",
    "warning": "rgba(138,83,0,.20)",
    "info": "rgba(31,95,168,.18)",
    "ok": "rgba(46,107,52,.18)",
    "waiting": "rgba(128,128,128,.15)",
}
# JupyterLab breaks a long line of <pre> within a word; SQL is read by words.
_MOST_CHARACTERS = 290_000
_PRE = "font-family:monospace;white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere"


def draw_html(document: Document) -> str:
    """Return one `<div>` of at most 300 kB; everything that came from SQL or a catalog is escaped."""
    template = _environment().get_template("document.html.j2")
    for share in (1, 0.5, 0.2, 0.05):  # what is long in each row or line leaves room for fewer
        drawn: str = template.render(document=capped(document, share)).strip()
        if len(drawn) <= _MOST_CHARACTERS:
            break
    return drawn


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("safemig.views"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.globals |= {"colours": COLOURS, "marks": _MARKS, "tints": _TINTS, "pre": _PRE, "link_to": link_to}
    environment.filters |= {"base64": _base64, "markdown": _markdown}
    environment.tests |= {
        "badge": lambda part: isinstance(part, Badge),
        "mono": lambda part: isinstance(part, Mono),
        "strong": lambda part: isinstance(part, Strong),
        "link": lambda part: isinstance(part, Link),
        "several": lambda part: isinstance(part, Several),
    }
    return environment


def _shown(value: object) -> object:
    """Make control and direction-changing characters of a name visible, in whatever place it is put."""
    return printable(value) if type(value) is str else value


def _base64(svg: str) -> str:
    return b64encode(svg.encode()).decode()


def _markdown(text: str) -> object:
    """Return our own Markdown (the help) as HTML; raw HTML in it is escaped."""
    import mistune
    from markupsafe import Markup

    drawn = mistune.create_markdown(escape=True, plugins=["table"])(printable(text))
    assert isinstance(drawn, str)  # noqa: S101 - the default renderer returns HTML
    styled = drawn.replace("<pre>", f'<pre style="{_PRE};margin:.3em 0 .9em">').replace(
        "<code", '<code style="font-family:monospace"'
    )
    return Markup(styled)  # noqa: S704 - escaped by mistune above
