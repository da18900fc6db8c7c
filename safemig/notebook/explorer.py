"""Explore the findings of a review where a person is present: choose what to see, accept one by typing its reason.

The explorer is garnish: the review's static view stands below it, folded, is redrawn when a finding was accepted,
and is what a saved notebook keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from safemig.errors import SafemigError
from safemig.review import Finding, Review
from safemig.views.in_html import draw_html
from safemig.views.of_review import build_some

_ALL = "all"
_INSTEAD = "No widgets run here: unfold the review below, and write the line that accepts a finding into safemig.toml."
NO_WIDGETS = {"text/plain": _INSTEAD, "text/html": f"<p>{_INSTEAD}</p>"}  # where no widget manager runs


class Whole:
    """The review below its explorer: what a saved notebook keeps, folded while the explorer shows the same."""

    def __init__(self, review: Review) -> None:
        self._review = review

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        bundle = self._review._repr_mimebundle_()
        summary = f"the whole review, as it is saved: {self._review.verdict}"
        bundle["text/html"] = f"<details><summary>{summary}</summary>{bundle['text/html']}</details>"
        return bundle


class Explorer:
    """Widgets over one review. `accept` writes an acceptance, `again` reviews again with it, `show` is told of that."""

    def __init__(
        self,
        review: Review,
        *,
        accept: Callable[[Finding, str], str],
        again: Callable[[], Review],
        show: Callable[[Review], None] | None = None,
    ) -> None:
        import ipywidgets

        self.review = review
        self._accept = accept
        self._again = again
        self._show = show
        wide = {"description_width": "5.5rem"}
        self.severity = ipywidgets.Dropdown(description="severity", style=wide)
        self.file = ipywidgets.Dropdown(description="file", style=wide)
        self.table = ipywidgets.Dropdown(description="table", style=wide)
        self.finding = ipywidgets.Dropdown(description="finding", style=wide, layout={"width": "42rem"})
        self.reason = ipywidgets.Text(
            description="reason", style=wide, placeholder="why is this right here?", layout={"width": "42rem"}
        )
        self.button = ipywidgets.Button(description="Accept this finding", disabled=True)
        self.message = ipywidgets.HTML()
        self.view = ipywidgets.HTML()
        for choice in (self.severity, self.file, self.table):
            choice.observe(self._draw, names="value")
        self.reason.observe(self._allow, names="value")
        self.finding.observe(self._allow, names="value")
        self.button.on_click(self._accepted)
        self._offer()
        self.widget = ipywidgets.VBox(
            [
                ipywidgets.HBox([self.severity, self.file, self.table]),
                self.view,
                self.finding,
                ipywidgets.HBox([self.reason, self.button]),
                self.message,
            ]
        )

    @property
    def shown(self) -> tuple[Finding, ...]:
        """The findings that fit what is chosen."""
        return tuple(
            each
            for each in self.review.findings
            if self.severity.value in (_ALL, each.severity.value)
            and self.file.value in (_ALL, each.file)
            and self.table.value in (_ALL, *tables_of(self.review, each))
        )

    def _offer(self) -> None:
        """Offer what the review has to choose from; what was chosen stays, where it is still there."""
        findings = self.review.findings
        for choice, values in (
            (self.severity, [each.severity.value for each in findings]),
            (self.file, [each.file for each in findings]),
            (self.table, [table for each in findings for table in tables_of(self.review, each)]),
        ):
            chosen, options = choice.value, [_ALL, *dict.fromkeys(values)]
            choice.options = options
            choice.value = chosen if chosen in options else _ALL
        self._draw()

    def _draw(self, _change: object = None) -> None:
        self.view.value = draw_html(build_some(self.review, self.shown))
        standing = [each for each in self.shown if each.can_be_accepted]
        options = [(f"{each.rule} · {each.object} · {each.file}:{each.line}", each) for each in standing]
        self.finding.options = options
        self.finding.index = 0 if options else None  # a new list leaves nothing chosen
        self.finding.disabled = self.reason.disabled = not options
        self._allow()

    def _allow(self, _change: object = None) -> None:
        # A reason is a sentence of someone's own; what is too short to be one is not offered to be accepted.
        self.button.disabled = self.finding.value is None or len(self.reason.value.split()) < 2

    def _accepted(self, _button: Any) -> None:
        from html import escape

        try:
            text = self._accept(self.finding.value, self.reason.value)
            self.review = self._again()
        except SafemigError as error:
            self.message.value = "<br>".join(escape(line) for line in error.lines)
            return
        self.reason.value = ""
        self.message.value = f"written into the settings: <code>{escape(text)}</code>"
        self._offer()
        if self._show is not None:
            self._show(self.review)


def tables_of(review: Review, finding: Finding) -> tuple[str, ...]:
    """Return the tables that the statement of a finding is about."""
    before = [
        statement
        for file in review.files
        if file.name == finding.file
        for statement in file.statements
        if (statement.line, statement.column) <= (finding.line, finding.column)
    ]
    return before[-1].tables if before else ()
