"""The main table of a result as a pandas DataFrame: for those who go on computing."""

from __future__ import annotations

import dataclasses
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from safemig.result import Result
from safemig.sql.passwords import without_passwords

if TYPE_CHECKING:
    import pandas as pd

# What a reader means by "the rows" of each kind; a result without an entry is one row of its own facts.
_ROWS = {
    "archive": "records",
    "backup": "tables",
    "deployment": "steps",
    "doctor": "verbs",
    "generate": "checklist",
    "live": "steps",
    "plan": "steps",
    "preflight": "checks",
    "rehearsal": "steps",
    "restore": "tables",
    "review": "findings",
    "schema_diff": "changes",
    "status": "migrations",
    "validation": "checks",
    "workload": "statements",
    "workload_check": "findings",
}


def as_frame(result: Result) -> pd.DataFrame:
    """Return the result's rows, one a line, a column a field; times stay datetimes, enums become their values."""
    import pandas

    name = _ROWS.get(result.kind)
    rows: list[Any] = [result] if name is None else list(getattr(result, name))
    columns = list(dict.fromkeys(field.name for row in rows for field in dataclasses.fields(row)))
    return pandas.DataFrame([_record(row) for row in rows], columns=columns or None)


def frame_of_data(kind: str, data: dict[str, Any]) -> pd.DataFrame:
    """Return the same rows from a result's JSON, as a record holds it."""
    import pandas

    name = _ROWS.get(kind)
    return pandas.DataFrame([data] if name is None else data.get(name, []))


def _record(row: Any) -> dict[str, Any]:
    return {field.name: _cell(getattr(row, field.name)) for field in dataclasses.fields(row)}


def _cell(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if type(value) is str:
        return without_passwords(value)
    return str(value) if isinstance(value, PurePath) else value
