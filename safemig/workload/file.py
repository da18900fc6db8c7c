"""The workload file: one JSON line about what was seen, then one a statement, in the order of their ids.

So a collection that finds the same statements changes only their counters, and git shows which are new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safemig.errors import FileError
from safemig.whole_files import write_atomically
from safemig.workload.statement import Counter, SeenWorkload, Statement, Window, joined

VERSION = 1


def write_workload(path: Path, seen: SeenWorkload) -> None:
    """Write the file; readers never see a partial one.

    Raises:
        FileError: it cannot be written; the old file is still there.
    """
    lines = [_line(_header(seen))]
    lines += [_line(_statement(each)) for each in sorted(seen.statements, key=lambda each: (each.id, each.source))]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, ("\n".join(lines) + "\n").encode())
    except OSError as error:
        raise FileError(
            f"the workload file cannot be written: {error.strerror}",
            where=str(path),
            next="correct the folder's permissions, or free disk space",
        ) from None


def read_workload(path: Path) -> SeenWorkload:
    """Read the file.

    Raises:
        FileError: it cannot be read, or a line of it is not as safemig writes it.
    """
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"the workload file cannot be read: {getattr(error, 'strerror', None) or error}",
            where=str(path),
            next="collect it with safemig workload",
        ) from None
    number = 0
    try:
        header: dict[str, Any] = {}
        statements: list[Statement] = []
        for number, line in enumerate(lines, 1):
            content = json.loads(line)
            if number == 1:
                header = _checked(content)
            else:
                statements.append(_read_statement(content))
        windows = tuple(Window(_time(each["from"]), _time(each["to"])) for each in header["windows"])
        return SeenWorkload(
            header["environment"], tuple(statements), joined(windows), header.get("evicted", 0),
            header.get("dealloc", 0), tuple(sorted(header.get("skipped", {}).items())),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(
            f"the workload file is not as safemig workload writes it: {error}",
            where=f"{path}, line {number}",
            next="restore the file from git, or remove it and collect again with safemig workload",
        ) from None


def fingerprint_of(seen: SeenWorkload) -> str:
    """Return a hash of which statements were seen, under which role and search path; not of how often.

    So collecting again changes a plan only where the application sends something new.
    """
    lines = sorted(f"{each.id}\0{each.search_path}\0{each.text}" for each in seen.statements)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(", ", ": "))


def _header(seen: SeenWorkload) -> dict[str, Any]:
    return {
        "workload": VERSION,
        "environment": seen.environment,
        "windows": [{"from": _exact(each.begin), "to": _exact(each.end)} for each in joined(seen.windows)],
        "evicted": seen.evicted,
        "dealloc": seen.dealloc,
        "skipped": dict(sorted(seen.skipped)),
    }


def _checked(header: dict[str, Any]) -> dict[str, Any]:
    if header["workload"] != VERSION:
        raise ValueError(f"its version is {header['workload']}, not {VERSION}")
    return header


def _statement(each: Statement) -> dict[str, Any]:
    content: dict[str, Any] = {
        "id": each.id, "role": each.role, "database": each.database, "kind": each.kind, "source": each.source,
        "search_path": each.search_path, "queryid": each.queryid, "calls": each.calls, "rows": each.rows,
        "mean_ms": round(each.mean_ms, 4), "max_ms": round(each.max_ms, 4),
        "first_seen": _text(each.first_seen), "last_seen": _text(each.last_seen), "text": each.text,
    }  # fmt: skip
    if each.read:
        content["read"] = {
            "calls": each.read.calls, "rows": each.read.rows, "total_ms": round(each.read.total_ms, 4),
            "since": _exact(each.read.since) if each.read.since else None,
        }  # fmt: skip
    return content


def _read_statement(content: Mapping[str, Any]) -> Statement:
    read = content.get("read")
    return Statement(
        id=content["id"], text=content["text"], role=content["role"], database=content["database"],
        kind=content["kind"], source=content["source"], search_path=content["search_path"], queryid=content["queryid"],
        calls=content["calls"], rows=content["rows"], mean_ms=content["mean_ms"], max_ms=content["max_ms"],
        first_seen=_time_or_none(content["first_seen"]), last_seen=_time_or_none(content["last_seen"]),
        read=Counter(read["calls"], read["rows"], read["total_ms"], _time_or_none(read["since"])) if read else None,
    )  # fmt: skip


def _text(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None


def _exact(moment: datetime) -> str:
    """Return a moment with its microseconds: counters are told apart, and short windows measured, by it."""
    return moment.astimezone(UTC).isoformat()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _time_or_none(text: str | None) -> datetime | None:
    return _time(text) if text else None
