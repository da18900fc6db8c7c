"""safemig takes a PostgreSQL schema change from staging to a production that holds data, and proves each step.

    import safemig
    project = safemig.Project.open(".")
    project.generate("add user preferences table")
    project.review()

In Jupyter, `%load_ext safemig` gives the magics; `%deploy_help` lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safemig.errors import use_display
from safemig.lazy_import import loaded_from
from safemig.result import (
    Place,
    Renderer,
    Result,
    use_further_forms,
    use_listener,
    use_place,
    use_place_of_results,
    use_renderer,
)

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from safemig.errors import SafemigError
    from safemig.live import Listener
    from safemig.project import Project, diff, review_sql
    from safemig.review import Review, Verdict
    from safemig.schema import SchemaDiff

__version__ = "0.2.0"

# Names are loaded at their first use: `import safemig` and `%load_ext safemig` stay instant.
_HOMES = {
    "Project": "safemig.project",
    "Review": "safemig.review",
    "SafemigError": "safemig.errors",
    "SchemaDiff": "safemig.schema",
    "Verdict": "safemig.review",
    "diff": "safemig.project",
    "review_sql": "safemig.project",
}

__all__ = [
    "Project",
    "Review",
    "SafemigError",
    "SchemaDiff",
    "Verdict",
    "__version__",
    "diff",
    "load_ipython_extension",
    "review_sql",
]


__getattr__ = loaded_from(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Give the shell safemig's magics (`%load_ext safemig`)."""
    from safemig.notebook import register

    register(shell)


def _views() -> Renderer:
    import safemig.views as views

    return views


use_renderer(_views)


def _display(result: object) -> None:
    from IPython.display import display

    display(result)  # type: ignore[no-untyped-call]


use_display(_display)


def _find_listener() -> Listener | None:
    from safemig.notebook.onlooker import find_listener

    return find_listener()


use_listener(_find_listener)


def _find_place() -> Place | None:
    from safemig.notebook.place import find_place

    return find_place()


use_place(_find_place)


def _show_in_place(result: Result, place: str, again: bool) -> None:
    from safemig.notebook.in_place import show_in_place

    show_in_place(result, place, again)


use_place_of_results(_show_in_place)


def _further_forms(result: Result) -> dict[str, str]:
    import os

    if "SAFEMIG_TERMINAL" not in os.environ:  # nearly always: that saves loading how terminals are drawn for
        return {}
    from safemig.terminal.output import forms_for_a_terminal

    return forms_for_a_terminal(result)


use_further_forms(_further_forms)
