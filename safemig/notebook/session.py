"""What `%config SafeMig` can set: each setting by its own name, kind, bounds and words, made from its definition."""

# traitlets' classes are generic, and their keywords differ.
# mypy: disable-error-code="type-arg, no-any-return"

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from traitlets import Bool, Enum, Int, List, TraitType, Unicode

from safemig.settings import Settings

# `project` says which folder; databases are named by the file and by variables, which are no secret's place in a cell.
_NOT_HERE = frozenset({"folder", "environments", "fleets", "scratch"})


def settings_as_traits() -> dict[str, TraitType]:
    """Return a trait a setting, tagged `setting`; None leaves it to the variables, the file and the default.

    Raises:
        TypeError: a setting is of a kind that no trait is known for.
    """
    return {
        name: _trait(field.annotation, field.metadata, field.description or "").tag(config=True, setting=True)
        for name, field in Settings.model_fields.items()
        if name not in _NOT_HERE
    }


def as_variable(value: Any) -> str:
    """Return a setting's value as its `SAFEMIG_*` variable has it."""
    return json.dumps(value) if isinstance(value, list) else str(value)


def _trait(annotation: Any, metadata: list[Any], words: str) -> TraitType:
    given: dict[str, Any] = {"default_value": None, "allow_none": True, "help": words}
    if get_origin(annotation) is Literal:
        return Enum(get_args(annotation), **given)
    if annotation is bool:
        return Bool(**given)
    if annotation is int:
        bounds = {
            name: bound
            for each in metadata
            for name, of in (("min", "ge"), ("max", "le"))
            if (bound := getattr(each, of, None)) is not None
        }
        return Int(**given, **bounds)
    if annotation in (str, Path):
        return Unicode(**given)
    if annotation == tuple[str, ...]:
        return List(Unicode(), **given)
    raise TypeError(f"no trait for a setting of {annotation}")
