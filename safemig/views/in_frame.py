"""The main table of a result as a pandas DataFrame, with real dtypes: for those who go on computing.

Numbers are int64 (Int64 where one may be missing) or float64, yes and no is bool, words from a fixed list are a
category, a time is datetime64 in UTC, a duration is timedelta64. Names and texts are str, lists are tuples.
"""

from __future__ import annotations

import types
from datetime import datetime
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from safemig.fleet_facts import Cohort, CohortRehearsal, FleetMember, MemberOutcome
from safemig.result import Result
from safemig.results import (
    Check,
    MigrationState,
    RecordEntry,
    RestoredTable,
    SettingInForce,
    Step,
    TableContent,
    VerbOutlook,
)
from safemig.review import Finding
from safemig.schema.difference import Change
from safemig.sql.passwords import without_passwords
from safemig.workload_facts import LoadRow, WorkloadFinding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

# What a reader means by "the rows" of each kind: their name in the result, and what they are. A result without an
# entry is one row of its own facts.
ROWS: dict[str, tuple[str, type]] = {
    "archive": ("records", RecordEntry),
    "backup": ("tables", TableContent),
    "config": ("settings", SettingInForce),
    "deployment": ("steps", Step),
    "doctor": ("verbs", VerbOutlook),
    "fleet_deployment": ("members", MemberOutcome),
    "fleet_plan": ("cohorts", Cohort),
    "fleet_rehearsal": ("cohorts", CohortRehearsal),
    "fleet_status": ("members", FleetMember),
    "generate": ("checklist", Check),
    "live": ("steps", Step),
    "plan": ("steps", Step),
    "preflight": ("checks", Check),
    "rehearsal": ("steps", Step),
    "restore": ("tables", RestoredTable),
    "review": ("findings", Finding),
    "schema_diff": ("changes", Change),
    "status": ("migrations", MigrationState),
    "validation": ("checks", Check),
    "workload": ("statements", LoadRow),
    "workload_check": ("findings", WorkloadFinding),
}


Unit = Literal["s", "ms"]


class Column(NamedTuple):
    """A column of a frame: its name, the field that it is made of, its dtype, and the unit of a duration's field."""

    name: str
    field: str
    dtype: str
    unit: Unit | None = None
    words: tuple[str, ...] = ()  # of a category


def columns_of(row: type) -> tuple[Column, ...]:
    """Return the columns of a frame whose rows are `row`, in order; one whose fields are environments is left out."""
    return tuple(_columns(row))


def as_frame(result: Result) -> pd.DataFrame:
    """Return the result's rows, one a line, a column a field, with the dtypes of `columns_of`."""
    if result.kind not in ROWS:
        return _frame([_fields(result)], None)
    name, row = ROWS[result.kind]
    rows = [_fields(each) for each in getattr(result, name)]
    return _frame(rows, row, only=_names(rows))


def frame_of_data(kind: str, data: Mapping[str, Any]) -> pd.DataFrame:
    """Return the same rows from a result's JSON, as a record holds it; with the columns that are there."""
    if kind not in ROWS:
        return _frame([dict(data)] if data else [], None)
    name, row = ROWS[kind]
    rows = [
        {key: tuple(cell) if isinstance(cell, list) else cell for key, cell in each.items()}
        for each in data.get(name, [])
    ]
    return _frame(rows, row, only=_names(rows))


def _names(rows: list[dict[str, Any]]) -> set[str] | None:
    """Return the fields that the rows have: a restore of the whole backup has fewer than one of single tables."""
    return {key for each in rows for key in each} if rows else None


def _frame(rows: list[dict[str, Any]], row: type | None, only: set[str] | None = None) -> pd.DataFrame:
    import pandas

    if row is None:
        return pandas.DataFrame(rows)
    made: dict[str, Any] = {}
    for column in columns_of(row):
        if only is not None and column.field not in only:
            continue
        cells = [each.get(column.field) for each in rows]
        if column.dtype == "category":
            made[column.name] = pandas.Categorical(
                cells, categories=list(dict.fromkeys([*column.words, *filter(None, cells)]))
            )
        elif column.dtype == "timedelta64[ns]":
            durations = pandas.to_timedelta(pandas.Series(cells, dtype="float64"), unit=column.unit)
            made[column.name] = durations.astype("timedelta64[ns]")
        elif column.dtype == "datetime64[ns, UTC]":
            made[column.name] = pandas.to_datetime(pandas.Series(cells, dtype="object"), utc=True).astype(
                "datetime64[ns, UTC]"
            )
        else:
            made[column.name] = pandas.Series(cells, dtype=column.dtype)
    for environment in dict.fromkeys(name for each in rows for name in each.get("states") or ()):
        made[environment] = pandas.Categorical([(each.get("states") or {}).get(environment) for each in rows])
    return pandas.DataFrame(made)


def _columns(row: type) -> Iterator[Column]:
    for field, hint in get_type_hints(row).items():
        options = [each for each in _options(hint) if each is not type(None)]
        may_be_missing = len(options) < len(_options(hint))
        kind = options[0] if len(options) == 1 else object
        name, unit = _without_unit(field)
        if get_origin(kind) is dict:
            continue
        if unit and kind in (int, float):
            yield Column(name, field, "timedelta64[ns]", unit)
        elif get_origin(kind) is Literal:
            yield Column(field, field, "category", words=tuple(map(str, get_args(kind))))
        elif isinstance(kind, type) and issubclass(kind, Enum):
            yield Column(field, field, "category", words=tuple(str(each.value) for each in kind))
        elif kind is datetime:
            yield Column(field, field, "datetime64[ns, UTC]")
        else:
            numbers = {
                bool: "boolean" if may_be_missing else "bool",
                int: "Int64" if may_be_missing else "int64",
                float: "float64",
            }
            yield Column(field, field, numbers.get(kind, "object"))


def _without_unit(field: str) -> tuple[str, Unit | None]:
    """Return a duration's name and unit: a field says its unit, a timedelta needs none."""
    if field == "seconds":
        return "duration", "s"
    if field.endswith("_ms"):
        return field.removesuffix("_ms"), "ms"
    return (field.removesuffix("_s"), "s") if field.endswith("_s") else (field, None)


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _fields(row: Any) -> dict[str, Any]:
    names = getattr(row, "_fields", None) or row.__dataclass_fields__
    return {name: _cell(getattr(row, name)) for name in names}


def _cell(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if type(value) is str:
        return without_passwords(value)
    return str(value) if isinstance(value, PurePath) else value
