"""The record as one HTML page: no script, no network, light or dark, printable. A policy in its head holds the browser to it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safemig.records.certificate import CELL, Certificate
from safemig.records.outcome import read_outcome
from safemig.records.repeats import link_repeats
from safemig.records.sections import DESCRIPTION, SECTIONS, is_heading, step_of
from safemig.views.document import Tone
from safemig.views.record_words import tone_of

_COLOURS: dict[Tone, str] = {"ok": "#2e6b34", "warning": "#8a5300", "waiting": "#8a5300", "error": "#b3261e"}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: folded under its title, or, without one, as it stands. One that answered nothing comes last."""

    title: str
    gist: str
    body: Any
    is_open: bool = False
    has_answers: bool = True


def draw_page(notebook: Any, facts: Mapping[str, Any], certificate: Certificate | None = None) -> str:
    """Return the executed notebook as a complete page; `facts` is what the record says of itself.

    With a certificate, that is the head of the page, and the steps are folded below it.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("safemig.records"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page: str = environment.get_template("page.html.j2").render(
        **facts,
        title=f"{facts['word']} · {facts['verb']} · {facts['environment']} · {facts['started']}",
        colour=_COLOURS.get(tone_of(facts["word"]), "#b3261e"),
        certificate=certificate,
        sections=_sections(notebook, is_folded=certificate is not None),
    )
    return page.replace("\r\n", "\n")


def _sections(notebook: Any, *, is_folded: bool) -> list[Section]:
    from markupsafe import Markup
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="basic")  # type: ignore[no-untyped-call]
    shown = _shown(notebook)
    if not is_folded:
        return [Section("", "", Markup(_drawn(exporter, shown, shown.cells)))]  # noqa: S704 - as nbconvert wrote it
    groups: list[tuple[str, list[Any]]] = [("Runbook", [])]
    for cell, original in zip(shown.cells, notebook.cells, strict=True):
        if cell.get("id") == CELL or is_heading(cell):
            continue
        step = step_of(original)
        if step:
            groups.append((SECTIONS.get(step, step.capitalize()), []))
        elif cell.cell_type == "markdown" and groups[-1][0] != "Runbook":
            groups.append(("Afterwards", []))
        groups[-1][1].append(cell)
    groups = [(title, cells) for title, cells in groups if cells]
    bodies = link_repeats((title, _drawn(exporter, shown, cells)) for title, cells in groups)
    sections = [
        Section(
            title,
            _gist(cells),
            Markup(body),  # noqa: S704 - as nbconvert wrote it
            is_open=any(map(_has_failed, cells)),
            has_answers=any(cell.get("outputs") for cell in cells),
        )
        for (title, cells), body in zip(groups, bodies, strict=True)
    ]
    return sorted(sections, key=lambda each: not each.has_answers)


def _drawn(exporter: Any, notebook: Any, cells: list[Any]) -> str:
    part = copy.copy(notebook)
    part.cells = cells
    with warnings.catch_warnings():
        # nbconvert warns of an output that has no HTML form; the notebook beside the page has it.
        warnings.simplefilter("ignore")
        body, _ = exporter.from_notebook_node(part)
    return str(body)  # nbconvert escapes sources and streams, the views their own HTML


def _gist(cells: list[Any]) -> str:
    """Return the first line of what a step answered."""
    from types import SimpleNamespace

    results = read_outcome("", SimpleNamespace(cells=cells)).results
    return results[-1].text.splitlines()[0] if results and results[-1].text else ""


def _has_failed(cell: Any) -> bool:
    return any(output.output_type == "error" for output in cell.get("outputs", []))


def _shown(notebook: Any) -> Any:
    """Leave out what only papermill needs: its error markers (the page has its own verdict), its descriptions."""
    shown = copy.deepcopy(notebook)
    for cell in shown.cells:
        if "papermill-error-cell-tag" in cell.metadata.get("tags", []):
            cell.source = ""
        cell.source = DESCRIPTION.sub("", cell.source)
    return shown
