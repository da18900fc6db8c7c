"""The journal: what a run is about to do and has done, on disk before and after each step, whatever becomes of it.

The notebook is written by another process and may be lost with it; the database knows only what was committed. The
journal is the third witness: `records/<environment>/journal.jsonl`, one JSON line an event, each with the hash of
the one before, synced to the disk. The ledger keeps its last hash with each record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from safemig import chain
from safemig.errors import SettingsError
from safemig.postgres.connection import Connection
from safemig.postgres.history import committed_parts
from safemig.settings import Settings
from safemig.views.numbers import counted

FILE_NAME = "journal.jsonl"
Event = Literal["begun", "step", "waiting", "committing", "committed", "swapping", "ended", "settled", "member"]
# The former database has its new name, or the restored one has production's: either is proof, and either may be dropped.
WHETHER_A_SWAP_HAPPENED = """
SELECT EXISTS (SELECT FROM pg_database WHERE datname = %(former)s)
    OR EXISTS (SELECT FROM pg_database WHERE oid = %(restored)s AND datname = current_database()),
       EXISTS (SELECT FROM pg_database WHERE oid = %(restored)s)
"""


@dataclass(frozen=True, slots=True)
class Swap:
    """A swap that a run was about to make, and whether it happened; None where nothing tells any more."""

    former: str  # the name that the database before it was to get
    happened: bool | None

    @property
    def words(self) -> str:
        """What happened to it, in words."""
        if self.happened is None:
            return (
                f"whether the swap happened cannot be learned: neither {self.former} nor the restored database exists"
            )
        if self.happened:
            return f"the backup has taken the database's place; the former one is {self.former}"
        return "the databases were not swapped"


@dataclass(frozen=True, slots=True)
class UnendedRun:
    """A run whose process was cut off, and what the database says of it."""

    run_id: str
    act: str
    begun_at: str
    committed: tuple[str, ...]  # the files of its committed transactions
    swap: Swap | None = None  # where it was about to swap a restored database in

    @property
    def words(self) -> str:
        """What happened to it, in words."""
        what = f"applied: {', '.join(self.committed)}" if self.committed else "nothing was applied"
        if self.swap:
            what = self.swap.words
        return f"run {self.run_id} ({self.act}, begun {self.begun_at}) was cut off; {what}"


def path_of(settings: Settings, environment: str) -> Path:
    """Return where the journal of an environment is; it need not exist."""
    return settings.path("records") / environment / FILE_NAME


def write(path: Path, run_id: str, event: Event, **facts: Any) -> None:
    """Add an event, and return when it is on disk.

    Raises:
        SettingsError: the journal cannot be written; then nothing must be done that it does not tell of.
    """
    line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "run": run_id, "event": event, **facts}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        chain.append(path, line)
    except OSError as error:
        raise SettingsError(
            f"the journal cannot be written: {error.strerror}",
            where=str(path),
            next="free disk space or correct its permissions",
        ) from None


def read(path: Path) -> list[dict[str, Any]]:
    """Return all events, oldest first; a last line that was cut off in the writing is left out."""
    return [facts for _, facts in chain.read_lines(path) if facts is not None] if path.is_file() else []


def contradictions(path: Path, sealed: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return what was done to the journal, a sentence each. Reads only.

    `sealed` are the records whose lines of the ledger say how far the journal went then (`chain.head`). A line that a
    crash cut off in the writing, which nothing rested on, is no contradiction: the chain goes on past it.
    """
    home, problems = path.parent.name, []
    lines = [(number, raw, facts) for number, (raw, facts) in enumerate(chain.read_lines(path), 1) if facts is not None]
    unchained: list[bytes] = []
    previous = chain.FIRST
    known = {chain.FIRST}
    for number, raw, facts in lines:
        if "hash" not in facts and previous in (chain.FIRST, chain.hash_of_unchained(unchained)):
            unchained.append(raw)  # of before there was a chain
            previous = chain.hash_of_unchained(unchained)
            known.add(previous)
            continue
        if facts.get("hash") != chain.hash_of(facts):
            problems.append(f"{home}: line {number} of the journal was edited")
        if facts.get("previous") != previous:
            problems.append(f"{home}: a line was removed, added or moved before line {number} of the journal")
        previous = str(facts.get("hash"))
        known.add(previous)
    if gone := [(record, head) for record, head in sealed if head.get("hash") not in known]:
        what = "is missing" if not path.exists() else f"has {counted(len(lines), 'line')} and lacks some of those"
        record, head = gone[-1]
        problems.append(f"{home}: the journal {what}: it had {head.get('lines')} when {record} was sealed")
    return problems


def unended(path: Path, connection: Connection) -> tuple[UnendedRun, ...]:
    """Return the runs that did not come to an end by themselves, with what the database says of each. Reads only.

    A run that is still under way counts as one; anyone who holds the deployment lock knows that there is none.
    """
    begun: dict[str, dict[str, Any]] = {}
    for event in read(path):
        if event["event"] == "begun":
            begun[event["run"]] = event
        elif event["event"] in ("ended", "settled"):
            begun.pop(event["run"], None)
    return tuple(
        UnendedRun(
            run_id,
            event["act"],
            event["at"],
            tuple(committed_parts(connection, run_id)),
            swap_of(path, run_id, connection),
        )
        for run_id, event in begun.items()
    )


def swap_of(path: Path, run_id: str, connection: Connection) -> Swap | None:
    """Return the swap that a run was about to make, and what the server says of it; None where it was not. Reads only."""
    for event in read(path):
        if event["run"] == run_id and event["event"] == "swapping":
            names = {"former": event["former"], "restored": event["restored"]}
            ((happened, is_there),) = connection.execute(WHETHER_A_SWAP_HAPPENED, names).fetchall()
            return Swap(event["former"], True if happened else False if is_there else None)
    return None


def lost(path: Path, connection: Connection) -> str:
    """Return the latest run that was committed, in words, where the database does not know it, "" where it does. Reads only.

    Of earlier ones it need not: what came after them was made on what the database had then.
    """
    events = list(read(path))
    begun = {event["run"]: event for event in events if event["event"] == "begun"}
    committed = [event["run"] for event in events if event["event"] == "committed" and event["run"] in begun]
    if not committed or committed_parts(connection, committed[-1]):
        return ""
    return f"run {committed[-1]} ({begun[committed[-1]]['act']}, begun {begun[committed[-1]]['at']}) was committed"


def settle(path: Path, runs: Sequence[UnendedRun]) -> None:
    """Note what happened to runs that were cut off, so that they count as ended."""
    for run in runs:
        write(path, run.run_id, "settled", committed=list(run.committed))
