"""A result that is shown before its last fact is known, and again in its own place when it is."""

from __future__ import annotations

from safemig.result import Result

_shown: set[str] = set()


def show_in_place(result: Result, place: str, again: bool) -> None:
    """Show `result` in a cell, or `again` where it stands already; outside a notebook nothing was shown, and nothing is."""
    if again and place not in _shown:
        return
    from IPython.display import display

    _shown.add(place)
    display(result._repr_mimebundle_(), raw=True, display_id=f"safemig-{place}", update=again)  # type: ignore[no-untyped-call]
