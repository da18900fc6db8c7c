"""Read the archive: every record of every environment, newest first, held against its ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from safemig.errors import SettingsError
from safemig.records import ledger, verification
from safemig.records.names import RUNNING, RecordName, parse_name
from safemig.records.outcome import INCOMPLETE, RECORDED_VERBS
from safemig.records.process_alive import still_runs
from safemig.results import Archive, RecordEntry

Integrity = Literal["intact", "resaved", "edited", "missing", "sealed", "unsealed"]


def read_archive(folder: Path, *, verify: bool = False) -> Archive:
    """Return all records below `folder` (a folder an environment). Reads only.

    Without `verify` only names and the ledgers' lines are read, which is fast; with it, every file is hashed.
    """
    records: list[RecordEntry] = []
    problems: list[str] = []
    notes: list[str] = []
    homes = sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    for home in homes:
        found = verification.verify(home) if verify else verification.Verified(tuple(ledger.read(home)[1]))
        problems += found.problems
        notes += found.notes
        records += _records(home, found.states)
    records.sort(key=lambda each: (each.at, each.path.name), reverse=True)
    return Archive(folder, tuple(records), tuple(problems), verified=verify, notes=tuple(notes))


def select(
    archive: Archive,
    *,
    environment: str = "",
    verdict: str = "",
    act: str = "",
    by: str = "",
    since: str = "",
    until: str = "",
) -> Archive:
    """Return the archive with only those records that fit all that is given; its problems stay.

    `verdict` is a word or its beginning, in any case; `since` and `until` are ISO dates or times, UTC, both included.

    Raises:
        SettingsError: a time that is none, or a verb that leaves no record.
    """
    if act and act.replace("-", "_") not in RECORDED_VERBS:
        raise SettingsError(
            f"no verb {act!r} leaves records",
            where="--act",
            next=f"one of {', '.join(each.replace('_', '-') for each in RECORDED_VERBS)}",
        )
    first, last = _moment("since", since), _moment("until", until, end=True)
    records = tuple(
        each
        for each in archive.records
        if (not environment or each.environment == environment)
        and each.verdict.startswith(verdict.upper().replace(" ", "-"))
        and (not act or each.act == act.replace("-", "_"))
        and (not by or each.by == by)
        and (first is None or each.at >= first)
        and (last is None or each.at <= last)
    )
    return replace(archive, records=records)


def _moment(name: str, text: str, *, end: bool = False) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"--{name} {text!r} is not a date or time", next=f"such as --{name} 2026-11-22 or 2026-11-22T20:09:04Z"
        ) from None
    if end and len(text) == len("2026-11-22"):
        moment += timedelta(days=1, microseconds=-1)  # the whole of that day
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _records(home: Path, states: Mapping[str, verification.State]) -> list[RecordEntry]:
    lines = ledger.read(home)[0]
    gone = ledger.replaced(lines)
    entries = {
        entry.record: entry
        for entry in lines
        if entry.record not in gone and not ledger.not_yet_named(home, entry.record)
    }
    present = {path.stem: path for path in home.glob("*.ipynb") if path.stem not in gone}
    found = []
    for stem in entries.keys() | present.keys():
        name = parse_name(stem)
        if name is None:
            continue
        entry = entries.get(stem)
        path = present.get(stem, home / f"{stem}.ipynb")
        integrity: Integrity = "unsealed" if entry is None else states.get(stem, "sealed")
        if stem not in present:
            integrity = "missing"
        found.append(_entry(name, path, entry.facts if entry else {}, integrity))
    return found


def _entry(name: RecordName, path: Path, facts: Mapping[str, Any], integrity: Integrity) -> RecordEntry:
    verdict = name.verdict
    if verdict == RUNNING and not still_runs(path):
        verdict = INCOMPLETE
    return RecordEntry(
        path=path,
        environment=name.environment,
        act=name.act,
        verdict=verdict,
        at=name.at,
        by=str(facts.get("by", "")),
        plan_id=str(facts.get("plan_id", "")),
        migrations=tuple(map(str, facts.get("migrations", ()))),
        seconds=_seconds(facts),
        integrity=integrity,
        lock_wait_s=facts.get("lock_wait_s"),
    )


def _seconds(facts: Mapping[str, Any]) -> float | None:
    try:
        started, finished = (datetime.fromisoformat(str(facts[key])).astimezone(UTC) for key in ("started", "finished"))
    except (KeyError, ValueError):
        return None
    return (finished - started).total_seconds()
