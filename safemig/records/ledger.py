"""The ledger: one JSON line a record, each with the hash of the one before and the hashes of the record's files.

Anyone who edits, removes, swaps or adds a record later, or edits the ledger or the journal, leaves a contradiction that
`verification` finds and names. A notebook is sealed by its content (see `content`), its page by its bytes. What no
ledger beside its records can show is its own newest lines cut off together with their records; for that, the last hash
is kept elsewhere (`last_hash`; the deployment writes it into production).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safemig import chain
from safemig.execution import journal
from safemig.records.content import content_of
from safemig.records.files import locked, make_read_only
from safemig.records.names import RUNNING, RecordName, parse_name
from safemig.whole_files import flush_folder

FILE = "ledger.jsonl"
_OPEN = frozenset({RUNNING, "INCOMPLETE", "UNKNOWN"})


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
        return self.facts.get("hash") == chain.hash_of(self.facts)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path, notebook: Path, page: Path, facts: Mapping[str, Any], *, name: str = "") -> Mapping[str, Any]:
    """Append the line for a finished record, under the folder's lock and flushed to the disk; return it.

    `name` is the stem that the notebook is about to be given, where that is not its own already. A fact `replaces`
    names the open record in whose place this one comes (see `replaced`).
    """
    file = notebook.read_bytes()
    content = content_of(file)
    with locked(folder):
        line: dict[str, Any] = {
            **facts,
            "record": name or notebook.stem,
            "ipynb_sha256": hashlib.sha256(file).hexdigest(),
            **(content.as_facts if content else {}),
            "html_sha256": sha256_of(page) if page.exists() else "",
            "sealed_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **({"journal": head} if (head := chain.head(folder / journal.FILE_NAME)) else {}),
        }
        line = dict(chain.append(folder / FILE, line))
        flush_folder(folder)
    for sealed in (notebook, page):
        make_read_only(sealed)
    return line


def last_hash(folder: Path) -> str:
    """Return the hash of the newest line, or `chain.FIRST`."""
    entries, _ = read(folder)
    return str(entries[-1].facts.get("hash", chain.FIRST)) if entries else chain.FIRST


def read(folder: Path) -> tuple[list[Entry], list[str]]:
    """Return the lines that are JSON, and a sentence for each that is not. A missing ledger is an empty one."""
    entries, problems = [], []
    for number, (_, facts) in enumerate(chain.read_lines(folder / FILE), 1):
        if facts is not None:
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
