"""Who looks on while an act goes: a person at a notebook, the run that records us, a log, or no one."""

# IPython.display has no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from safemig.live import MOMENT, RECORD, Listener
from safemig.results import Live


def find_listener() -> Listener | None:
    """Return who is to be told of the act that begins now; None in a script, whose results are its own to show."""
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    if shell is None:
        return None
    from safemig.approval.approve import person_is_present

    if os.environ.get(RECORD):
        return _Log(lambda live, lines: _publish(shell, live, lines))
    if getattr(shell, "kernel", None) is not None and person_is_present():
        return _Table()
    return _Log()


class _Log:
    """A line for what ended and for each new blocker; they stay in the record, and papermill passes them on."""

    def __init__(self, pass_on: Callable[[Live, Sequence[str]], None] | None = None) -> None:
        self._pass_on = pass_on
        self._before: Live | None = None

    def __call__(self, live: Live | None) -> None:
        if live is None:
            return
        from safemig.views.of_live import lines_between

        lines = lines_between(self._before, live)
        self._before = live
        for line in lines:
            print(line, flush=True)  # noqa: T201 - see above
        if self._pass_on is not None:
            self._pass_on(live, lines)


class _Table:
    """One view that is replaced while the act goes, and taken away at its end: the result's own view follows."""

    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, live: Live | None) -> None:
        from IPython.display import HTML, display

        if live is None:
            if self._handle is not None:
                self._handle.update(HTML(""))
        elif self._handle is None:
            self._handle = display(HTML(live.render("html")), display_id=True)
        else:
            self._handle.update(HTML(live.render("html")))


def _publish(shell: Any, live: Live, lines: Sequence[str]) -> None:
    """Send the moment to the run that records this kernel; it takes it out before the notebook is written."""
    shell.display_pub.publish({MOMENT: {**live.to_dict(), "lines": list(lines)}, "text/html": live.render("html")})
