"""Collect statements from files: folders of .sql, csvlog and jsonlog, dumps of pg_stat_statements. Reads only.

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
from typing import Any, NamedTuple

from safemig.errors import NoSuchFileError, SettingsError
from safemig.workload.counted import NOT_VISIBLE, OTHER_DATABASE, Reading, Sums
from safemig.workload.statement import Counter, Statement
from safemig.workload.texts import each_statement

_SUFFIXES = (".sql", ".csv", ".json", ".jsonl", ".log")
# log_min_duration_statement, or log_statement and log_duration; with the extended protocol also parse and bind, which
# are no calls.
_MESSAGE = re.compile(
    r"(?:duration: (?P<ms>[\d.]+) ms  )?(?:statement: |execute (?!fetch from )[^:]*: )(?P<text>.+)", re.DOTALL
)
# Of csvlog, as the manual lists them ("Using CSV-Format Log Output"): 23 columns before 13, 26 since 14.
_TIME, _USER, _DATABASE, _SEVERITY, _WORDS = 0, 1, 2, 11, 13
_ROLE_NAMES = ("role", "rolname", "usename", "user", "username")
_DATABASE_NAMES = ("database", "datname", "dbname")


class Line(NamedTuple):
    """One statement that a log tells of."""

    at: datetime
    role: str
    database: str
    text: str
    ms: float


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
    begin: datetime | None = None
    end: datetime | None = None
    for path in paths:
        for file in _files(Path(path)):
            form = _form_of(file)
            if form in ("csvlog", "jsonlog"):
                logged.append(_read_log(file, form, last_seen, database))
            elif form == "dump":
                since, until = _read_dump(sums, file, role, database)
                begin = min((each for each in (begin, since) if each), default=None)
                end = max((each for each in (end, until) if each), default=None)
            else:
                for text in each_statement(_text(file)):
                    sums.add(text, role, database, "sql")
    for each in logged:
        sums.skipped.update(each.skipped)
        begin = min((moment for moment in (begin, each.begin) if moment), default=None)
        end = max((moment for moment in (end, each.end) if moment), default=None)
    return Reading(
        (*sums.statements(), *_together(statement for each in logged for statement in each.statements)),
        begin, end, skipped=dict(sums.skipped),
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
    except OSError as error:
        raise _unreadable(file, error) from None
    if first.startswith("[") or '"query"' in first:
        return "dump"
    if first.startswith("{"):
        return "jsonlog"
    cells = next(csv.reader([first]), [])
    if "query" in cells:
        return "dump"
    if len(cells) > _SEVERITY and re.match(r"\d{4}-\d\d-\d\d \d", cells[0]):
        return "csvlog"
    raise SettingsError(
        "the file is neither a folder of .sql, nor csvlog, jsonlog or a dump of pg_stat_statements",
        where=str(file),
        next="log_destination = 'csvlog' or 'jsonlog'; or \\copy (SELECT * FROM pg_stat_statements) TO 'file.csv' CSV HEADER",
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


def _read_log(file: Path, form: str, last_seen: Mapping[str, datetime], database: str) -> Reading:
    """Sum up a log by statement. What a line says beside the statement, such as its parameters, is not looked at."""
    sums = Sums()
    begin: datetime | None = None
    end: datetime | None = None
    moments: dict[tuple[str, str, str], list[Line]] = {}
    for line in _csvlog(file) if form == "csvlog" else _jsonlog(file):
        begin, end = begin or line.at, line.at
        if database and line.database and line.database != database:
            sums.skipped[OTHER_DATABASE] += 1
            continue
        moments.setdefault((line.text, line.role, line.database), []).append(line)
    for (text, role, where), lines in moments.items():
        probe = Sums()
        probe.add(text, role, where, "log")
        found = probe.statements()
        sums.skipped.update(probe.skipped)
        if not found:
            continue
        seen = last_seen.get(found[0].id)
        fresh = [line for line in lines if seen is None or line.at > seen]
        if fresh:
            times = [line.ms for line in fresh]
            sums.add(
                text, role, where, "log", calls=len(fresh), total_ms=sum(times), max_ms=max(times),
                since=fresh[0].at, until=fresh[-1].at,
            )  # fmt: skip
    return Reading(tuple(_of_log(each) for each in sums.statements()), begin, end, skipped=dict(sums.skipped))


def _of_log(each: Statement) -> Statement:
    """A log's counts are of its new lines alone: they are added whole."""
    return replace(each, read=Counter(each.calls, 0, each.total_ms, each.first_seen))


def _csvlog(file: Path) -> Iterator[Line]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with file.open(encoding="utf-8", errors="replace", newline="") as stream:
        for row in csv.reader(stream):
            if len(row) > _WORDS and row[_SEVERITY] == "LOG" and (match := _MESSAGE.fullmatch(row[_WORDS])):
                yield Line(_moment(row[_TIME]), row[_USER], row[_DATABASE], match["text"], float(match["ms"] or 0))


def _jsonlog(file: Path) -> Iterator[Line]:
    with file.open(encoding="utf-8", errors="replace") as stream:
        for text in stream:
            try:
                row = json.loads(text)
            except ValueError:  # the last line of a log that is being written
                continue
            match = _MESSAGE.fullmatch(row.get("message", "")) if row.get("error_severity") == "LOG" else None
            if match:
                yield Line(
                    _moment(row["timestamp"]), row.get("user", ""), row.get("dbname", ""), match["text"],
                    float(match["ms"] or 0),
                )  # fmt: skip


def _moment(text: str) -> datetime:
    """Read a log's time, whose zone is a name; only UTC's can be told from a name, any other is taken as UTC too."""
    plain = " ".join(text.split(" ")[:2])
    return datetime.fromisoformat(plain).replace(tzinfo=UTC)


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
        sums.add(
            text, _first(row, _ROLE_NAMES) or role, where or database, "dump", calls=int(float(row.get("calls") or 0)),
            rows=int(float(row.get("rows") or 0)),
            total_ms=float(row.get("total_exec_time") or row.get("total_time") or 0),
            max_ms=float(row.get("max_exec_time") or row.get("max_time") or 0), since=since, until=until,
            queryid=int(queryid) if queryid else None,
        )  # fmt: skip
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
