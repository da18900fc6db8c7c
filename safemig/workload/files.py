"""Collect statements from files: folders of .sql, logs, dumps of pg_stat_statements. Reads only.

Of a log, lines up to a statement's last one that was seen are passed over, so a log may be read again as it grows.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safemig.errors import NoSuchFileError, SettingsError
from safemig.workload.counted import NOT_VISIBLE, OTHER_DATABASE, Entry, Reading, Sums
from safemig.workload.logs import SEVERITY, Line, is_stderr_line, lines_of
from safemig.workload.statement import Counter, Statement
from safemig.workload.texts import each_statement

_SUFFIXES = (".sql", ".csv", ".json", ".jsonl", ".log")
_LINES_LOOKED_AT = 20
_ROLE_NAMES = ("role", "rolname", "usename", "user", "username")
_DATABASE_NAMES = ("database", "datname", "dbname")


def read_files(
    paths: Iterable[str | Path], known: Iterable[Statement] = (), *, role: str = "", database: str = ""
) -> Reading:
    """Read statements from files and folders; `role` and `database` are for files that do not say them.

    With `database`, log lines and entries of other databases are counted, not kept.

    Raises:
        NoSuchFileError: a file is not there.
        SettingsError: a file is of none of the forms that are read; the message lists them.
    """
    sums = Sums()
    last_seen = {each.id: each.last_seen for each in known if each.source == "log" and each.last_seen}
    logged: list[Reading] = []
    unknown: set[str] = set()
    begin: datetime | None = None
    end: datetime | None = None
    for path in paths:
        for file in _files(Path(path)):
            form = _form_of(file)
            if form in ("csvlog", "jsonlog", "stderr"):
                logged.append(_read_log(file, form, last_seen, role, database, unknown))
            elif form == "dump":
                since, until = _read_dump(sums, file, role, database)
                begin = min((each for each in (begin, since) if each), default=None)
                end = max((each for each in (end, until) if each), default=None)
            else:
                for text in each_statement(_text(file)):
                    sums.add(Entry(text, role, database, "sql"))
    for each in logged:
        sums.skipped.update(each.skipped)
        begin = min((moment for moment in (begin, each.begin) if moment), default=None)
        end = max((moment for moment in (end, each.end) if moment), default=None)
    return Reading(
        (*sums.statements(), *_together(statement for each in logged for statement in each.statements)),
        begin, end, skipped=dict(sums.skipped),
        notes=tuple(f"a log's times are in {zone}, which is not known here: taken as UTC" for zone in sorted(unknown)),
    )  # fmt: skip


def _together(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Yield each statement once, with what several logs counted of it."""
    found: dict[str, Statement] = {}
    for new in statements:
        old = found.get(new.id)
        if old is None:
            found[new.id] = new
            continue
        calls, total = old.calls + new.calls, old.total_ms + new.total_ms
        found[new.id] = replace(
            new, calls=calls, mean_ms=total / calls if calls else 0.0, max_ms=max(old.max_ms, new.max_ms),
            first_seen=min(each for each in (old.first_seen, new.first_seen) if each),
            last_seen=max(each for each in (old.last_seen, new.last_seen) if each),
            read=Counter(calls, 0, total),
        )  # fmt: skip
    yield from found.values()


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        found = sorted(each for each in path.rglob("*") if each.suffix in _SUFFIXES and each.is_file())
        if not found:
            raise NoSuchFileError(
                "the folder holds no file to collect from", where=str(path), next=f"name files: {', '.join(_SUFFIXES)}"
            )
        yield from found
    elif path.is_file():
        yield path
    else:
        raise NoSuchFileError("there is no such file", where=str(path), next="name an existing file or folder")


def _form_of(file: Path) -> str:
    """Tell by its first line what a file is."""
    if file.suffix == ".sql":
        return "sql"
    try:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            first = stream.readline(1_000_000).strip().removeprefix("\ufeff")
            more = [stream.readline(10_000) for _ in range(_LINES_LOOKED_AT)]
    except OSError as error:
        raise _unreadable(file, error) from None
    if first.startswith("[") or '"query"' in first:
        return "dump"
    if first.startswith("{"):
        return "jsonlog"
    cells = next(csv.reader([first]), [])
    if "query" in cells:
        return "dump"
    if len(cells) > SEVERITY and re.match(r"\d{4}-\d\d-\d\d \d", cells[0]):
        return "csvlog"
    if any(is_stderr_line(line) for line in (first, *more)):
        return "stderr"
    raise SettingsError(
        "the file is neither a folder of .sql, nor a log that begins its lines with the time, nor a dump of pg_stat_statements",
        where=str(file),
        next="log_destination = 'csvlog' or 'jsonlog', or log_line_prefix = '%m [%p] %q%u@%d '; or "
        "\\copy (SELECT * FROM pg_stat_statements) TO 'file.csv' CSV HEADER",
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").removeprefix("\ufeff")
    except OSError as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: OSError) -> NoSuchFileError:
    return NoSuchFileError(
        f"the file cannot be read: {error.strerror}", where=str(file), next="correct its permissions"
    )


def _read_log(
    file: Path, form: str, last_seen: Mapping[str, datetime], role: str, database: str, unknown: set[str]
) -> Reading:
    """Sum up a log by statement. What a line says beside the statement, such as its parameters, is not looked at."""
    sums = Sums()
    begin: datetime | None = None
    end: datetime | None = None
    moments: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines_of(file, form, unknown):
        begin, end = begin or line.at, line.at
        if database and line.database and line.database != database:
            sums.skipped[OTHER_DATABASE] += 1
            continue
        moments.setdefault((line.text, line.role or role, line.database or database), []).append(line)
    for (text, role, where), lines in moments.items():
        probe = Sums()
        probe.add(Entry(text, role, where, "log"))
        found = probe.statements()
        sums.skipped.update(probe.skipped)
        if not found:
            continue
        seen = last_seen.get(found[0].id)
        fresh = [line for line in lines if seen is None or line.at > seen]
        if fresh:
            times = [line.ms for line in fresh]
            sums.add(Entry(
                text, role, where, "log", calls=len(fresh), total_ms=sum(times), max_ms=max(times),
                since=fresh[0].at, until=fresh[-1].at,
            ))  # fmt: skip
    return Reading(tuple(_of_log(each) for each in sums.statements()), begin, end, skipped=dict(sums.skipped))


def _of_log(each: Statement) -> Statement:
    """A log's counts are of its new lines alone: they are added whole."""
    return replace(each, read=Counter(each.calls, 0, each.total_ms, each.first_seen))


def _read_dump(sums: Sums, file: Path, role: str, database: str) -> tuple[datetime | None, datetime | None]:
    begin: datetime | None = None
    until = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    for row in _rows(file):
        text = row.get("query") or ""
        if text == "<insufficient privilege>" or not text:
            sums.skipped[NOT_VISIBLE] += 1
            continue
        if str(row.get("toplevel", "t")).lower() in ("f", "false"):
            sums.skipped["statements inside functions"] += 1
            continue
        where = _first(row, _DATABASE_NAMES)
        if database and where and where != database:
            sums.skipped[OTHER_DATABASE] += 1
            continue
        since = _when(row.get("stats_since") or row.get("stats_reset"))
        begin = min((each for each in (begin, since) if each), default=None)
        queryid = row.get("queryid")
        sums.add(Entry(
            text, _first(row, _ROLE_NAMES) or role, where or database, "dump", calls=int(float(row.get("calls") or 0)),
            rows=int(float(row.get("rows") or 0)),
            total_ms=float(row.get("total_exec_time") or row.get("total_time") or 0),
            max_ms=float(row.get("max_exec_time") or row.get("max_time") or 0), since=since, until=until,
            queryid=int(queryid) if queryid else None,
        ))  # fmt: skip
    return begin, until


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    text = _text(file).strip()
    try:
        if text.startswith("["):
            yield from json.loads(text)
        elif text.startswith("{"):
            yield from (json.loads(line) for line in text.split("\n") if line.strip())
        else:
            csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
            yield from csv.DictReader(text.splitlines(keepends=True))
    except ValueError:
        raise SettingsError(
            "the dump of pg_stat_statements cannot be read as JSON",
            where=str(file),
            next="write it again, as CSV with a header",
        ) from None


def _first(row: Mapping[str, Any], names: Iterable[str]) -> str:
    return next((str(row[name]) for name in names if row.get(name)), "")


def _when(value: object) -> datetime | None:
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
