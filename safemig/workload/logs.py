"""Read a server's log line by line: csvlog, jsonlog, and stderr's form with a `log_line_prefix` that begins with the time.

Of a line, only its time, role, database and statement are looked at; parameters, which DETAIL holds, are not.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

# log_min_duration_statement, or log_statement and log_duration; with the extended protocol also parse and bind, which
# are no calls.
_MESSAGE = re.compile(
    r"(?:duration: (?P<ms>[\d.]+) ms  )?(?:statement: |execute (?!fetch from )[^:]*: )(?P<text>.+)", re.DOTALL
)
# Of csvlog, as the manual lists them ("Using CSV-Format Log Output"): 23 columns before 13, 26 since 14.
_TIME, _USER, _DATABASE, SEVERITY, _WORDS = 0, 1, 2, 11, 13
_ZONE = r"[A-Za-z]{1,6}|<?[+-]\d{2}(?::?\d{2})?>?"
_MOMENT = re.compile(rf"(?P<at>\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)(?: (?P<zone>{_ZONE}))?")
_LINE = re.compile(
    rf"{_MOMENT.pattern}(?P<prefix>.*?)\b(?P<severity>DEBUG\d?|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC|DETAIL|HINT|CONTEXT|STATEMENT|"
    r"QUERY|LOCATION):  (?P<words>.*)"
)
_WHO = (
    re.compile(r"user[=: ](?P<role>[^\s,@\[\]]+).*?\b(?:db|database)[=: ](?P<database>[^\s,@\[\]]+)"),
    re.compile(r"(?P<role>[^\s@:,\[\]()]+)@(?P<database>[^\s@:,\[\]()]+)"),  # Debian's %q%u@%d and that of RDS
)
# Names that one zone has alone, or that PostgreSQL itself takes for it (timezonesets/Default); hours east of UTC.
_HOURS = {
    "UTC": 0, "GMT": 0, "Z": 0, "UCT": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2, "MET": 1, "MEST": 2, "EET": 2, "EEST": 3,
    "MSK": 3, "SAST": 2, "CAT": 2, "EAT": 3, "WAT": 1, "PKT": 5, "WIB": 7, "HKT": 8, "AWST": 8, "JST": 9, "KST": 9, "ACST": 9.5,
    "ACDT": 10.5, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13, "NST": -3.5, "NDT": -2.5, "AST": -4, "ADT": -3, "EST": -5, "EDT": -4,
    "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10,
}  # fmt: skip


class Line(NamedTuple):
    """One statement that a log tells of."""

    at: datetime
    role: str
    database: str
    text: str
    ms: float


def is_stderr_line(text: str) -> bool:
    """Tell whether a line is of a log in stderr's form whose prefix begins with the time."""
    return _LINE.match(text) is not None


def lines_of(file: Path, form: str, unknown: set[str]) -> Iterator[Line]:
    """Yield the statements of a log; zones that are not known are added to `unknown`, and taken as UTC."""
    read: Callable[[Path, set[str]], Iterator[Line]] = {"csvlog": _csvlog, "jsonlog": _jsonlog, "stderr": _stderr}[form]
    yield from read(file, unknown)


def _csvlog(file: Path, unknown: set[str]) -> Iterator[Line]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with file.open(encoding="utf-8", errors="replace", newline="") as stream:
        for row in csv.reader(stream):
            if len(row) > _WORDS and row[SEVERITY] == "LOG" and (match := _MESSAGE.fullmatch(row[_WORDS])):
                at = moment_of(row[_TIME], unknown)
                yield Line(at, row[_USER], row[_DATABASE], match["text"], float(match["ms"] or 0))


def _jsonlog(file: Path, unknown: set[str]) -> Iterator[Line]:
    with file.open(encoding="utf-8", errors="replace") as stream:
        for text in stream:
            try:
                row = json.loads(text)
            except ValueError:  # the last line of a log that is being written
                continue
            match = _MESSAGE.fullmatch(row.get("message", "")) if row.get("error_severity") == "LOG" else None
            if match:
                at = moment_of(row["timestamp"], unknown)
                yield Line(at, row.get("user", ""), row.get("dbname", ""), match["text"], float(match["ms"] or 0))


def _stderr(file: Path, unknown: set[str]) -> Iterator[Line]:
    """Further lines of a message begin with a tab."""
    begun: re.Match[str] | None = None
    words: list[str] = []
    with file.open(encoding="utf-8", errors="replace") as stream:
        for text in stream:
            if text.startswith("\t"):
                words.append(text[1:].rstrip("\n"))
                continue
            yield from _line(begun, words, unknown)
            begun = _LINE.match(text.rstrip("\n"))
            words = [begun["words"]] if begun else []
        yield from _line(begun, words, unknown)


def _line(begun: re.Match[str] | None, words: list[str], unknown: set[str]) -> Iterator[Line]:
    if begun is None or begun["severity"] != "LOG" or not (match := _MESSAGE.fullmatch("\n".join(words))):
        return
    who = next((found for each in _WHO if (found := each.search(begun["prefix"]))), None)
    role, database = (who["role"], who["database"]) if who else ("", "")
    yield Line(_moment(begun, unknown), role, database, match["text"], float(match["ms"] or 0))


def moment_of(text: str, unknown: set[str]) -> datetime:
    """Read a log's time with its zone; one that is not known is added to `unknown`, and taken as UTC.

    Raises:
        ValueError: it is no time.
    """
    if (found := _MOMENT.match(text)) is None:
        raise ValueError(f"no time: {text}")
    return _moment(found, unknown)


def _moment(found: re.Match[str], unknown: set[str]) -> datetime:
    zone = (found["zone"] or "UTC").strip("<>")
    if zone[0] in "+-":
        digits = zone[1:].replace(":", "")
        minutes = int(digits[:2]) * 60 + int(digits[2:] or 0)
        east = timedelta(minutes=-minutes if zone[0] == "-" else minutes)
    else:
        if zone.upper() not in _HOURS:
            unknown.add(zone)
        east = timedelta(hours=_HOURS.get(zone.upper(), 0))
    return datetime.fromisoformat(found["at"]).replace(tzinfo=timezone(east)).astimezone(UTC)
