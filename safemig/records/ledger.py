"""The ledger: one JSON line a record, each with the hash of the one before and the hashes of the record's files.

Whoever edits, removes, swaps or adds a record later, or edits the ledger itself, leaves a contradiction that `verify`
finds and names. What no ledger beside its records can show is its own newest lines cut off together with their
records; for that, the last hash is kept elsewhere (`last_hash`; the deployment writes it into production).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safemig.records.files import flush_folder, locked
from safemig.records.names import RUNNING, RecordName, parse_name

FILE = "ledger.jsonl"
_OPEN = frozenset({RUNNING, "INCOMPLETE", "UNKNOWN"})
FIRST = "0" * 64  # what the first line names as the one before it


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger, as it was read."""

    number: int
    facts: Mapping[str, Any]

    @property
    def record(self) -> str:
        """The record's file name without its ending."""
        return str(self.facts.get("record", ""))

    @property
    def is_intact(self) -> bool:
        """True where the line hashes to what it says."""
        return self.facts.get("hash") == hash_of(self.facts)


def hash_of(facts: Mapping[str, Any]) -> str:
    """Return the hash of a line: sha256 over its facts but `hash`, as JSON with sorted keys."""
    content = {name: value for name, value in facts.items() if name != "hash"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path, notebook: Path, page: Path, facts: Mapping[str, Any], *, name: str = "") -> Mapping[str, Any]:
    """Append the line for a finished record, under the folder's lock and flushed to the disk; return it.

    `name` is the stem that the notebook is about to be given, where that is not its own already. A fact `replaces`
    names the open record in whose place this one comes (see `replaced`).
    """
    with locked(folder):
        line: dict[str, Any] = {
            **facts,
            "record": name or notebook.stem,
            "ipynb_sha256": sha256_of(notebook),
            "html_sha256": sha256_of(page) if page.exists() else "",
            "sealed_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "previous": last_hash(folder),
        }
        line["hash"] = hash_of(line)
        file = folder / FILE
        with file.open("ab+") as ledger:
            _end_torn_line(ledger)
            ledger.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            ledger.flush()
            os.fsync(ledger.fileno())
        flush_folder(folder)
    return line


def last_hash(folder: Path) -> str:
    """Return the hash of the newest line, or `FIRST`."""
    entries, _ = read(folder)
    return str(entries[-1].facts.get("hash", FIRST)) if entries else FIRST


def read(folder: Path) -> tuple[list[Entry], list[str]]:
    """Return the lines that are JSON, and a sentence for each that is not. A missing ledger is an empty one."""
    file = folder / FILE
    if not file.exists():
        return [], []
    entries, problems = [], []
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            facts = json.loads(line)
        except ValueError:
            facts = None
        if isinstance(facts, dict):
            entries.append(Entry(number, facts))
        else:
            problems.append(f"{folder.name}: line {number} of the ledger is damaged")
    return entries, problems


def replaced(entries: Iterable[Entry]) -> frozenset[str]:
    """Return the records in whose place others came: open ones, which a later line has settled."""
    return frozenset(stem for entry in entries if (stem := str(entry.facts.get("replaces", ""))))


def not_yet_named(folder: Path, record: str) -> Path | None:
    """Return the file of a record that was sealed, and cut off before it was given its name; `settle` gives it."""
    name = parse_name(record)
    path = folder / f"{name.prefix}{RUNNING}.ipynb" if name else None
    return path if path and path.exists() and not (folder / f"{record}.ipynb").exists() else None


def is_open(name: RecordName) -> bool:
    """Tell whether a record says of its run only that its end is not known, so that a settled one may replace it."""
    return name.verdict in _OPEN


def verify(folder: Path) -> list[str]:
    """Hold the ledger and the files of `folder` against each other; return a sentence for each contradiction."""
    entries, problems = read(folder)
    problems += _chain(folder, entries)
    owner = {str(entry.facts.get("ipynb_sha256")): entry.record for entry in entries}
    gone = replaced(entries)
    for entry in entries:
        if entry.record not in gone:
            problems += _files(folder, entry, owner)
        problems += _replacement(folder, entry)
    sealed = {entry.record for entry in entries}
    for path in sorted(folder.glob("*.ipynb")):
        name = parse_name(path.stem)
        if name and name.verdict != RUNNING and path.stem not in sealed:
            problems.append(f"{path.name} is not in the ledger: added by hand, or its line was removed")
    return problems


def _chain(folder: Path, entries: list[Entry]) -> list[str]:
    problems, previous = [], FIRST
    for entry in entries:
        if not entry.is_intact:
            problems.append(f"{folder.name}: line {entry.number} of the ledger ({entry.record}) was edited")
        if entry.facts.get("previous") != previous:
            problems.append(
                f"{folder.name}: a line was removed, added or moved before line {entry.number} of the ledger "
                f"({entry.record})"
            )
        previous = str(entry.facts.get("hash"))
    return problems


def _replacement(folder: Path, entry: Entry) -> list[str]:
    old, new = parse_name(str(entry.facts.get("replaces", ""))), parse_name(entry.record)
    if not entry.facts.get("replaces") or (old and new and is_open(old) and old.prefix == new.prefix):
        return []
    what = f"{entry.record} in the place of {entry.facts['replaces']}"
    return [f"{folder.name}: line {entry.number} of the ledger puts {what}, which was no open record of that run"]


def _files(folder: Path, entry: Entry, owner: Mapping[str, str]) -> list[str]:
    problems = []
    for ending, key in ((".ipynb", "ipynb_sha256"), (".html", "html_sha256")):
        path = folder / f"{entry.record}{ending}"
        expected = entry.facts.get(key)
        if not path.exists() and (running := not_yet_named(folder, entry.record)) and ending == ".ipynb":
            path = running
        if not expected:
            continue
        if not path.exists():
            problems.append(f"{path.name} is missing")
        elif (found := sha256_of(path)) != expected:
            other = owner.get(found)
            swapped = f" (it holds the content of {other}{ending})" if other else ""
            problems.append(f"{path.name} was edited since it was sealed{swapped}")
    return problems


def _end_torn_line(ledger: Any) -> None:
    """Begin a new line where a crash left the last one without its end; `verify` then names the torn one."""
    if ledger.seek(0, os.SEEK_END):
        ledger.seek(-1, os.SEEK_END)
        if ledger.read(1) != b"\n":
            ledger.write(b"\n")
