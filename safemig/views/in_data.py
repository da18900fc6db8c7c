"""Turn a result's facts into JSON-ready values: enums by value, times in ISO with Z, paths as text."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence, Set
from datetime import date, datetime
from enum import Enum
from pathlib import PurePath
from typing import Any

from safemig.sql.passwords import without_passwords
from safemig.views import numbers

# What a reader of the JSON should not have to compute: these properties go in beside the fields.
_DERIVED = ("verdict", "is_ready", "is_valid", "seconds", "is_empty", "summary", "server_version", "fixed_sql",
            "target", "exit_code", "deadlocks", "worst_ms")  # fmt: skip


def as_data(value: Any) -> Any:
    """Return `value` as JSON knows it.

    Raises:
        TypeError: something that has no JSON form.
    """
    if type(value) is str:
        return without_passwords(value)
    if value is None or (isinstance(value, bool | int | str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return as_data(value.value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return numbers.time(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: as_data(getattr(value, name)) for name in value._fields}
    if isinstance(value, Mapping):
        return {str(as_data(key)): as_data(each) for key, each in value.items()}
    if isinstance(value, Set):
        return sorted((as_data(each) for each in value), key=repr)
    if isinstance(value, Sequence):
        return [as_data(each) for each in value]
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _fields(value: Any) -> dict[str, Any]:
    names = [each.name for each in dataclasses.fields(value) if not each.name.startswith("_")]
    names += derived_names(type(value), names)
    # A field whose name is a word of Python, such as `from_`, goes by that word.
    return {name.rstrip("_"): as_data(getattr(value, name)) for name in names}


def derived_names(kind: type, names: Sequence[str]) -> list[str]:
    """Return the properties of a type that stand in its JSON beside its fields `names`."""
    return [name for name in _DERIVED if name not in names and isinstance(getattr(kind, name, None), property)]
