"""Who looks on while an act goes: a person at a notebook, the run that records us, a log, or no one."""

# IPython.display has no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from html import escape
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
        return _begun.pop() if _begun else _Table()
    return _Log()


_begun: list[_Table] = []  # the table of an act whose modules are being loaded


def begin(words: str) -> None:
    """Show at once that a magic was taken, where a person is present: loading what it needs may take a moment."""
    from safemig.approval.approve import person_is_present

    if not _begun and not os.environ.get(RECORD) and person_is_present():
        _begun.append(_Table())
        _begun[0].show(f"<p>{escape(words)}</p>")


def end() -> None:
    """Take away what `begin` showed, where no act has taken it over."""
    while _begun:
        _begun.pop()(None)


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
        if live is not None:
            self.show(live.render("html"))
        elif self._handle is not None:
            self.show("")

    def show(self, html: str) -> None:
        """Put HTML in the place of what is there."""
        from IPython.display import HTML, display

        if self._handle is None:
            self._handle = display(HTML(html), display_id=True)
        else:
            self._handle.update(HTML(html))


def _publish(shell: Any, live: Live, lines: Sequence[str]) -> None:
    """Send the moment to the run that records this kernel; it takes it out before the notebook is written."""
    shell.display_pub.publish({MOMENT: {**live.to_dict(), "lines": list(lines)}, "text/html": live.render("html")})
