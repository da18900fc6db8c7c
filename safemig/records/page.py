"""The record as one HTML page: no script, no network, light, printable. A policy in its head holds the browser to it."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Mapping
from typing import Any

from safemig.views.document import Tone
from safemig.views.record_words import tone_of

_DESCRIPTION = re.compile(r"\A# papermill_description=.*\n?")
_COLOURS: dict[Tone, str] = {"ok": "#2e6b34", "warning": "#8a5300", "waiting": "#8a5300", "error": "#b3261e"}


def draw_page(notebook: Any, facts: Mapping[str, Any]) -> str:
    """Return the executed notebook as a complete page; `facts` is what the record says of itself."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from nbconvert import HTMLExporter

    with warnings.catch_warnings():
        # nbconvert warns of an output that has no HTML form; the notebook beside the page has it.
        warnings.simplefilter("ignore")
        body, _ = HTMLExporter(template_name="basic").from_notebook_node(_shown(notebook))  # type: ignore[no-untyped-call]
    environment = Environment(
        loader=PackageLoader("safemig.records"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page: str = environment.get_template("page.html.j2").render(
        **facts,
        title=f"{facts['word']} · {facts['verb']} · {facts['environment']} · {facts['started']}",
        colour=_COLOURS.get(tone_of(facts["word"]), "#b3261e"),
        body=Markup(body),  # noqa: S704 - nbconvert escapes sources and streams, the views their own HTML
    )
    return page


def _shown(notebook: Any) -> Any:
    """Leave out what only papermill needs: its error markers (the page has its own verdict), its descriptions."""
    shown = copy.deepcopy(notebook)
    shown.cells = [cell for cell in shown.cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])]
    for cell in shown.cells:
        cell.source = _DESCRIPTION.sub("", cell.source)
    return shown
