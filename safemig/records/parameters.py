"""The parameters of a runbook: known ones only, and none with a secret, checked before anything is written or run."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safemig.errors import SettingsError
from safemig.secrets import holds_password

TAG = "parameters"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as its runbook declares it."""

    name: str
    type: str
    default: Any


def parameters_of(notebook: Any) -> dict[str, Parameter]:
    """Return the parameters that the cell tagged `parameters` declares, by name."""
    for cell in notebook.cells:
        if TAG in cell.metadata.get("tags", []):
            return {
                each.name: each
                for node in ast.parse(cell.source).body
                if isinstance(node, ast.AnnAssign) and node.value is not None
                for each in [
                    Parameter(ast.unparse(node.target), ast.unparse(node.annotation), ast.literal_eval(node.value))
                ]
            }
    return {}


def check_parameters(verb: str, given: Mapping[str, Any], known: Mapping[str, Parameter]) -> None:
    """Refuse unknown names, values of another type, and whatever looks like a connection string with a password.

    Raises:
        SettingsError: naming the parameter, never its value where that may be a secret.
    """
    for name, value in given.items():
        if name not in known:
            raise SettingsError(
                f'the runbook {verb} has no parameter "{name}"',
                where=f"runbooks/{verb}.ipynb",
                next=f"it has: {', '.join(known)}",
            )
        for text in _texts(value):
            _refuse_secret(verb, name, text)
        expected = type(known[name].default)
        if not isinstance(value, expected) or isinstance(value, bool) is not (expected is bool):
            raise SettingsError(
                f'the parameter "{name}" must be {known[name].type}, not {type(value).__name__}',
                where=f"runbooks/{verb}.ipynb",
                next=f"its default is {known[name].default!r}",
            )


def _refuse_secret(verb: str, name: str, text: str) -> None:
    if holds_password(text):
        raise SettingsError(
            f'the parameter "{name}" holds a password; it would be written into the record',
            where=f"runbooks/{verb}.ipynb",
            next="name an environment instead; its URL belongs into an environment variable (env:NAME) or a service",
        )


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        pairs = [f"{key}={each}" for key, each in value.items()]  # --rename OLD=NEW splits a URL at its =
        return pairs + [text for pair in value.items() for each in pair for text in _texts(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in _texts(each)]
    return []
