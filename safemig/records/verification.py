"""Verify the archive: hold the ledger, the records' files and the journal against each other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from safemig.chain import FIRST
from safemig.execution import journal
from safemig.records import ledger
from safemig.records.content import content_of, differences
from safemig.records.ledger import Entry
from safemig.records.names import RUNNING, parse_name

State = Literal["intact", "resaved", "edited", "missing"]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found in one environment's folder: contradictions, notes that accuse no one, each record's state."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    states: Mapping[str, State] = field(default_factory=dict)


def verify(folder: Path) -> Verified:
    """Hold the ledger and the files of `folder` against each other; a sentence for each contradiction. Reads only.

    A record that an editor has saved again with equal content is `resaved`, which is a note and no problem.
    """
    entries, problems = ledger.read(folder)
    problems += _chain(folder, entries)
    gone = ledger.replaced(entries)
    owner = {str(entry.facts.get(key)): entry.record for entry in entries for key in ("ipynb_sha256", "content_sha256")}
    notes: list[str] = []
    states: dict[str, State] = {}
    for entry in entries:
        if entry.record not in gone:
            states[entry.record] = _files(folder, entry, owner, problems, notes)
        problems += _replacement(folder, entry)
    sealed = {entry.record for entry in entries}
    for path in sorted(folder.glob("*.ipynb")):
        name = parse_name(path.stem)
        if name and name.verdict != RUNNING and path.stem not in sealed:
            problems.append(f"{path.name} is not in the ledger: added by hand, or its line was removed")
    sealed_journal = [(entry.record, head) for entry in entries if isinstance(head := entry.facts.get("journal"), dict)]
    problems += journal.contradictions(folder / journal.FILE_NAME, sealed_journal)
    return Verified(tuple(problems), tuple(notes), states)


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
    if not entry.facts.get("replaces") or (old and new and ledger.is_open(old) and old.prefix == new.prefix):
        return []
    what = f"{entry.record} in the place of {entry.facts['replaces']}"
    return [f"{folder.name}: line {entry.number} of the ledger puts {what}, which was no open record of that run"]


def _files(folder: Path, entry: Entry, owner: Mapping[str, str], problems: list[str], notes: list[str]) -> State:
    """Return the state of a record, the worse of its notebook's and its page's; an edited line of the ledger is an edit."""
    notebook, page = folder / f"{entry.record}.ipynb", folder / f"{entry.record}.html"
    if not notebook.exists() and (running := ledger.not_yet_named(folder, entry.record)):
        notebook = running
    states = [_notebook(notebook, entry, owner, problems, notes), _page(page, entry, problems, notes)]
    if not entry.is_intact:
        states.append("edited")
    if states[0] == "missing":
        return "missing"
    if "edited" in states or "missing" in states:
        return "edited"
    return "resaved" if "resaved" in states else "intact"


def _notebook(path: Path, entry: Entry, owner: Mapping[str, str], problems: list[str], notes: list[str]) -> State:
    expected, seal = entry.facts.get("ipynb_sha256"), entry.facts.get("content_sha256")
    if not expected:
        return "intact"
    file = _read(path, problems)
    if file is None:
        return "missing"
    found = hashlib.sha256(file).hexdigest()
    if found == expected:
        return "intact"
    content = content_of(file)
    if seal and content is not None and content.sha256 == seal:
        notes.append(f"{path.name} was saved again by an editor; its content is unchanged since it was sealed")
        return "resaved"
    if not seal and hashlib.sha256(_with_newlines(file)).hexdigest() == expected:
        notes.append(f"{path.name} has different line endings; its content is unchanged since it was sealed")
        return "resaved"
    other = owner.get(found) or (owner.get(content.sha256) if content else None)
    swapped = f" (it holds the content of {other}.ipynb)" if other and other != entry.record else ""
    what = "it is no longer a notebook"
    if content is not None:
        what = "; ".join(differences(str(entry.facts.get("cells", "")), content)) if seal else ""
    problems.append(f"{path.name} was edited since it was sealed" + (swapped or (f": {what}" if what else "")))
    return "edited"


def _page(path: Path, entry: Entry, problems: list[str], notes: list[str]) -> State:
    expected = entry.facts.get("html_sha256")
    if not expected:
        return "intact"
    file = _read(path, problems)
    if file is None:
        return "missing"
    if hashlib.sha256(file).hexdigest() == expected:
        return "intact"
    if hashlib.sha256(_with_newlines(file)).hexdigest() == expected:
        notes.append(f"{path.name} has different line endings; its content is unchanged since it was sealed")
        return "resaved"
    problems.append(f"{path.name} was edited since it was sealed")
    return "edited"


def _read(path: Path, problems: list[str]) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        problems.append(f"{path.name} is missing")
    except OSError as error:
        problems.append(f"{path.name} cannot be read: {error.strerror}")
    return None


def _with_newlines(file: bytes) -> bytes:
    """Return the file as it was written, where a checkout has given it Windows line ends."""
    return file.replace(b"\r\n", b"\n")
