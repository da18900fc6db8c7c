"""Let plain papermill read the shipped runbooks: `papermill safemig://migrate_prod.ipynb out.ipynb`.

Imports nothing of papermill: papermill loads this module while it is itself being imported, and every papermill
command of the environment would break on the circle.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEME = "safemig://"
_PACKAGE = Path(__file__).resolve().parent.parent


def runbooks_folder() -> Path:
    """Return the folder of the shipped runbooks: inside the wheel, or beside the package in a checkout."""
    shipped = _PACKAGE / "_runbooks"
    return shipped if shipped.is_dir() else _PACKAGE.parent / "runbooks"


class RunbookHandler:
    """papermill's handler for paths that begin with `safemig://`. Reads only."""

    @classmethod
    def read(cls, path: str) -> str:
        """Return the runbook's text.

        papermill writes the parameters into the notebook before it runs a cell, and only warns of unknown ones; so they
        are checked here, where nothing is written yet.

        Raises:
            FileNotFoundError: there is none of that name; the message has those that exist.
            SettingsError: a parameter is unknown, of another type, or holds a password.
        """
        name = path.removeprefix(SCHEME)
        names = cls.listdir(SCHEME)
        if f"{SCHEME}{name}" not in names:
            known = ", ".join(each.removeprefix(SCHEME) for each in names)
            raise FileNotFoundError(f"no runbook {name!r}; safemig has {known}")
        text = (runbooks_folder() / name).read_text(encoding="utf-8")
        if given := _parameters_of_the_caller():
            _check(name.removesuffix(".ipynb"), text, given)
        return text

    @classmethod
    def listdir(cls, path: str) -> list[str]:  # noqa: ARG003  papermill's signature; there is one folder
        """Return the paths of all runbooks."""
        return sorted(SCHEME + each.name for each in runbooks_folder().glob("*.ipynb"))

    @classmethod
    def write(cls, buf: str, path: str) -> None:  # noqa: ARG003  papermill's signature
        """Refuse: runbooks are part of safemig."""
        raise PermissionError(f"{path} is read only; give papermill another output path")

    @classmethod
    def pretty_path(cls, path: str) -> str:
        """Return the path as people should see it."""
        return path


def _parameters_of_the_caller() -> Mapping[str, Any]:
    """Return the parameters of the `papermill.execute.execute_notebook` that is reading a runbook.

    A handler is told nothing but the path; the call that asks it has the parameters (papermill 2.6 and 2.7).
    """
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "execute_notebook" and frame.f_globals.get("__name__") == "papermill.execute":
            given: Mapping[str, Any] = frame.f_locals.get("parameters") or {}
            return given
    return {}


def _check(verb: str, text: str, given: Mapping[str, Any]) -> None:
    from safemig.errors import SettingsError
    from safemig.records.notebooks import parse_notebook
    from safemig.records.parameters import check_parameters, parameters_of

    known = parameters_of(parse_notebook(text))
    for name, value in given.items():
        if name in known and known[name].type == "str" and isinstance(value, int | float):
            # papermill's -p reads an id of digits as a number.
            raise SettingsError(
                f'the parameter "{name}" is text, and papermill read {value!r} as a number',
                where=f"runbooks/{verb}.ipynb",
                next=f"give it as it stands: -r {name} ... in place of -p {name} ...",
            )
    check_parameters(verb, given, known)
