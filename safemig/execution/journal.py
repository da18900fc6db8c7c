"""The journal: what a run is about to do and has done, on disk before and after each step, whatever becomes of it.

The notebook is written by another process and may be lost with it; the database knows only what was committed. The
journal is the third witness: `records/<environment>/journal.jsonl`, one JSON line an event, synced to the disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from safemig.errors import SettingsError
from safemig.postgres.connection import Connection
from safemig.postgres.history import committed_parts
from safemig.settings import Settings

FILE_NAME = "journal.jsonl"
Event = Literal["begun", "step", "waiting", "committing", "committed", "ended", "settled"]


@dataclass(frozen=True, slots=True)
class UnendedRun:
    """A run whose process was cut off, and what the database says of it."""

    run_id: str
    act: str
    begun_at: str
    committed: tuple[str, ...]  # the files of its committed transactions

    @property
    def words(self) -> str:
        """What became of it, in words."""
        what = f"applied: {', '.join(self.committed)}" if self.committed else "nothing was applied"
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
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, (json.dumps(line, separators=(",", ":")) + "\n").encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SettingsError(
            f"the journal cannot be written: {error.strerror}",
            where=str(path),
            next="free disk space or correct its permissions",
        ) from None


def read(path: Path) -> list[dict[str, Any]]:
    """Return all events, oldest first; a last line that was cut off in the writing is left out."""
    if not path.is_file():
        return []
    events = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return events


def unended(path: Path, connection: Connection) -> tuple[UnendedRun, ...]:
    """Return the runs that did not come to an end by themselves, with what the database says of each. Reads only.

    A run that is still under way counts as one; whoever holds the deployment lock knows that there is none.
    """
    begun: dict[str, dict[str, Any]] = {}
    for event in read(path):
        if event["event"] == "begun":
            begun[event["run"]] = event
        elif event["event"] in ("ended", "settled"):
            begun.pop(event["run"], None)
    return tuple(
        UnendedRun(run_id, event["act"], event["at"], tuple(committed_parts(connection, run_id)))
        for run_id, event in begun.items()
    )


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
    """Note what became of runs that were cut off, so that they count as ended."""
    for run in runs:
        write(path, run.run_id, "settled", committed=list(run.committed))
