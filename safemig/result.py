"""What every verb's result has in common: a text, an HTML and a JSON form, drawn by `safemig.views`.

Results are plain facts and sit at the bottom of the house; the views sit above them. So this module knows no
view: `safemig/__init__.py`, at the top, hangs the renderer in.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from safemig.secrets import hide_in

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

# Where safemig's history and Supabase's are: no count, comparison or dump of the project includes them.
BOOKKEEPING_SCHEMAS = ("safemig", "supabase_migrations")


# The form of all JSON that safemig writes: results, errors, events. It changes when a field goes or changes its meaning.
JSON_FORMAT = "safemig/1"
_MOST_FACTS = 200_000  # bytes of JSON in a cell that a person looks at


class Renderer(Protocol):
    """The four forms of a result; `safemig.views` is one."""

    def text(self, result: Result, *, cap: bool = False) -> str: ...
    def html(self, result: Result) -> str: ...
    def data(self, result: Result) -> dict[str, Any]: ...
    def frame(self, result: Result) -> pd.DataFrame: ...


class Place(Protocol):
    """From where a view is seen."""

    def link_to(self, path: Path) -> str | None: ...


_renderer: Callable[[], Renderer] | None = None
_find_listener: Callable[[], Any] | None = None
_find_place: Callable[[], Place | None] | None = None
_further_forms: Callable[[Result], dict[str, str]] | None = None
_show_in_place: Callable[[Result, str, bool], None] | None = None


def use_renderer(load: Callable[[], Renderer]) -> None:
    """Set where the renderer comes from; `load` is called at the first rendering, so that importing stays cheap."""
    global _renderer
    _renderer = load


def use_further_forms(forms: Callable[[Result], dict[str, str]]) -> None:
    """Set what a notebook is shown of a result beside its text, HTML and data, by MIME type."""
    global _further_forms
    _further_forms = forms


def use_listener(find: Callable[[], Any]) -> None:
    """Set how someone who looks on is found (see `safemig.live`); `find` is called when an act begins."""
    global _find_listener
    _find_listener = find


def use_place(find: Callable[[], Place | None]) -> None:
    """Set how the place that a view is seen from is found; `find` is called at each drawing of a link."""
    global _find_place
    _find_place = find


def use_place_of_results(show: Callable[[Result, str, bool], None]) -> None:
    """Set how a notebook shows a result in a place that has a name, for the first time or again."""
    global _show_in_place
    _show_in_place = show


def show_in_place(result: Result, place: str, *, again: bool) -> None:
    """Show a result whose last fact is not known yet; `again` shows what it is now in the same place, if it was shown."""
    if _show_in_place is not None:
        _show_in_place(result, place, again)


def link_to(path: Path) -> str:
    """Return the link that opens `path` from where the view is seen; empty where none can.

    A relative link is resolved by the front end, from the notebook's own folder and never above its own root; a saved
    page may be moved. So links are made only where the place is known; everywhere else the file's name is shown.
    """
    place = _find_place() if _find_place is not None else None
    return (place.link_to(path) if place is not None else None) or ""


def find_listener() -> Any:
    """Return who is to be told of the act that begins now, None where no one looks on."""
    return _find_listener() if _find_listener is not None else None


class Result:
    """Base of all results, which are frozen dataclasses: `repr` is the report, a notebook shows the HTML.

    `kind` names the result in its MIME type, `application/vnd.safemig.<kind>+json`, and in the record.
    A subclass is declared with `@dataclass(frozen=True, repr=False)`.
    """

    kind: ClassVar[str] = "result"
    __slots__ = ()

    def render(self, form: Literal["text", "html"] = "text") -> str:
        """Return the report as text (for a terminal, a log) or as HTML (for a notebook). Changes nothing.

        A password that this process has connected with is not in it, wherever a migration or a database may say it.
        """
        if _renderer is None:
            raise RuntimeError("no renderer: import safemig, not one of its modules by file")
        return str(hide_in(_renderer().text(self) if form == "text" else _renderer().html(self)))

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as JSON-ready values, without passwords as in `render`."""
        if _renderer is None:
            raise RuntimeError("no renderer: import safemig, not one of its modules by file")
        return dict(hide_in(_renderer().data(self)))

    def to_frame(self) -> pd.DataFrame:
        """Return the main table (steps, checks, findings, records ...) as a pandas DataFrame, one row each."""
        if _renderer is None:
            raise RuntimeError("no renderer: import safemig, not one of its modules by file")
        return _renderer().frame(self)

    def __repr__(self) -> str:
        return self.render("text")

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        if _renderer is None:
            raise RuntimeError("no renderer: import safemig, not one of its modules by file")
        facts = self.to_dict()
        return {
            "text/plain": str(hide_in(_renderer().text(self, cap=True))),
            "text/html": self.render("html"),
            **({} if _is_too_much(facts) else {f"application/vnd.safemig.{self.kind}+json": facts}),
            **(_further_forms(self) if _further_forms is not None else {}),
        }


def _is_too_much(facts: dict[str, Any]) -> bool:
    """Tell whether facts would bloat a notebook that a person edits; records and papermill's notebooks have them all."""
    if _find_place is None or _find_place() is None:
        return False
    return len(json.dumps(facts)) > _MOST_FACTS
