"""Where a view is seen from, and so how a link to a file must be written to work there.

A relative link is resolved by the front end, from the notebook's own folder and never above its own root; a saved
page may be moved. So links are made only where the place is known; everywhere else the file's name is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Place(Protocol):
    """From where a view is seen."""

    def link_to(self, path: Path) -> str | None: ...


_find: Callable[[], Place | None] | None = None


def use_place(find: Callable[[], Place | None]) -> None:
    """Set how the place that a view is seen from is found; `find` is called at each drawing of a link."""
    global _find
    _find = find


def link_to(path: Path) -> str:
    """Return the link that opens `path` from where the view is seen; empty where none can."""
    place = _find() if _find is not None else None
    return (place.link_to(path) if place is not None else None) or ""
