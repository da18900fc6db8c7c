"""Which change of a migration made a statement fail: by the names in the server's words, in the steps that were run. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from safemig.results import Step
from safemig.sql.reads import Reads
from safemig.workload.trial import Trial

_COLUMN = re.compile(r'column "?(?P<column>[^"\s]+(?:"?\."?[^"\s]+)*)"?(?: of relation "(?P<table>[^"]+)")?')
_OTHER = re.compile(
    r'(?:relation|table|view|sequence|schema|type|function|procedure|role|materialized view|foreign table) "?(?P<name>[^"\s(]+)"?'
)
_CHANGES = ("DROP", "RENAME", "ALTER", "REVOKE", "CREATE OR REPLACE")


class Cause(NamedTuple):
    """The step that did it, in words, and the object that it is about; each "" where it cannot be told."""

    step: str
    object: str


def cause_of(trial: Trial, reads: Reads, steps: Sequence[Step], missing: Sequence[str] = ()) -> Cause:
    """Return which step made the statement fail. `missing` is a table and its columns that an INSERT gives no value to."""
    tables = [each.name for each in reads.relations]
    if missing:
        table, *columns = missing
        return _told(_best(steps, columns, [table]), f"{table}.{columns[0]}")
    if trial.sqlstate == "0A000" or not trial.message:
        found = _best(steps, tables, tables)
        return _told(found, next((str(each) for each in reads.relations if found and _names(found.sql, each.name)), ""))
    if (match := _COLUMN.search(trial.message)) is not None:
        parts = match["column"].replace('"', "").split(".")
        found = _best(steps, [parts[-1]], tables)
        table = match["table"] or _relation_of(parts[:-1], reads, found)
        return _told(found or _best(steps, tables, tables), f"{table}.{parts[-1]}" if table else parts[-1])
    if (match := _OTHER.search(trial.message)) is not None:
        name = match["name"].replace('"', "")
        found = _best(steps, [name.rpartition(".")[2]], [])
        return _told(found or _best(steps, tables, tables), name.removeprefix("public."))
    return _told(_best(steps, [*tables, *reads.functions], tables), "")


def cause_of_plan(gone: Sequence[str], table: str, steps: Sequence[Step]) -> Cause:
    """Return which step made a plan dearer: what names an index that the plan used before, else what names its table."""
    return _told(_best(steps, gone, []) or _best(steps, [table], [table]), table)


def _relation_of(qualifier: Sequence[str], reads: Reads, step: Step | None) -> str:
    aliases = reads.aliases or {}
    if qualifier and qualifier[-1] in aliases:
        return str(aliases[qualifier[-1]])
    named = [str(each) for each in reads.relations if step and _names(step.sql, each.name)]
    return named[0] if named else (str(reads.relations[0]) if len(reads.relations) == 1 else "")


def _told(step: Step | None, name: str) -> Cause:
    if step is None:
        return Cause("", name)
    sql = " ".join(step.sql.split())
    return Cause(f"{step.file}, line {step.line}: {sql if len(sql) <= 120 else sql[:119] + '…'}", name)


def _best(steps: Sequence[Step], names: Sequence[str], tables: Sequence[str]) -> Step | None:
    """Return the step that names one of `names`, rather one that changes or drops, and that names a table too."""
    named = [step for step in steps if any(_names(step.sql, name) for name in names)]
    if not named:
        return steps[0] if len(steps) == 1 else None
    return max(
        named,
        key=lambda step: (
            any(word in step.sql.upper() for word in _CHANGES),
            any(_names(step.sql, table) for table in tables),
            -step.number,
        ),
    )


def _names(sql: str, name: str) -> bool:
    bare = name.replace('"', "").rpartition(".")[2]
    return bool(bare) and re.search(rf"(?<![\w$]){re.escape(bare)}(?![\w$])", sql, re.IGNORECASE) is not None
