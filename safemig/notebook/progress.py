"""Show a run while it goes: one table that is replaced in a notebook, printed lines where no one is looking."""

# IPython.display has no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import time
from html import escape

from safemig.records import Progress
from safemig.views import numbers


class LiveProgress:
    """Listen to a run, and show a line a step: its name, what it answered, how long it took."""

    def __init__(self, verb: str, *, live: bool) -> None:
        self._verb = verb
        self._live = live
        self._moment = ""  # the HTML of how far the running step is
        self._steps: list[tuple[str, str, float]] = []  # name, answer, when it began
        self._ended: list[float] = []
        self._display = f"safemig-{id(self)}"
        self._shown = False
        self._gate = ""  # the display that shows what the open question is about

    def begin(self) -> None:
        """Show at once that the run begins: its kernel takes a moment to start."""
        self._steps.append(("start", "", time.monotonic()))
        if self._live:
            self._draw()

    def __call__(self, progress: Progress) -> None:
        """Take one event."""
        now = time.monotonic()
        if progress.gate and self._live:
            self._show_gate(progress.gate.html)
            return
        if progress.description or progress.result:
            self._show_gate("")  # answered
        self._moment = progress.moment.html if progress.moment else ""
        if progress.description:
            self._end_step(now)
            self._steps.append((progress.description, "", now))
        for line in progress.moment.data["lines"] if progress.moment and not self._live else ():
            print(f"{self._verb} · {line}", flush=True)  # noqa: T201 - as below
        if progress.result and self._steps:
            name, _, began = self._steps[-1]
            answer = progress.result.text.splitlines()[0]
            self._steps[-1] = (name, answer, began)
            if not self._live:
                print(f"{self._verb} · {name}: {answer}", flush=True)  # noqa: T201 - the CI log; papermill keeps lines
        if self._live:
            self._draw()

    def close(self) -> None:
        """End the live table: the view that follows takes its place."""
        self._end_step(time.monotonic())
        self._show_gate("")
        if self._live and self._shown:
            from IPython.display import HTML, update_display

            update_display(HTML(""), display_id=self._display)

    def _show_gate(self, html: str) -> None:
        """Show what the question is about, below the live table; "" takes it away: the record has it all."""
        from IPython.display import HTML, display, update_display

        if self._gate:
            update_display(HTML(html), display_id=self._gate)
        elif html:
            self._gate = f"{self._display}-gate"
            display(HTML(html), display_id=self._gate)
        if not html:
            self._gate = ""

    def _end_step(self, now: float) -> None:
        if len(self._ended) < len(self._steps):
            self._ended.append(now)

    def _draw(self) -> None:
        from IPython.display import HTML, display, update_display

        rows = "".join(self._row(i) for i in range(len(self._steps)))
        table = HTML(f'<table style="border-collapse:collapse"><tbody>{rows}</tbody></table>{self._moment}')
        if self._shown:
            update_display(table, display_id=self._display)
        else:
            display(table, display_id=self._display)
            self._shown = True

    def _row(self, i: int) -> str:
        name, answer, began = self._steps[i]
        cell = '<td style="text-align:left;padding:2px 12px 2px 0;white-space:nowrap">'
        if i < len(self._ended):
            state, took = "done", numbers.seconds(self._ended[i] - began)
        else:
            state, took = "<strong>running</strong>", ""
        last = f'<td style="text-align:left">{escape(answer)}</td>'
        return f"<tr>{cell}{escape(name)}</td>{cell}{state}</td>{cell}{took}</td>{last}</tr>"
