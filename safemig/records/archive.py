"""Read the archive: every record of every environment, newest first, held against its ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from safemig.errors import SettingsError
from safemig.records import ledger, verification
from safemig.records.names import RUNNING, RecordName, parse_name
from safemig.records.outcome import INCOMPLETE, RECORDED_VERBS, WORDS
from safemig.records.process_alive import still_runs
from safemig.results import Archive, RecordEntry
from safemig.settings import Settings

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


@dataclass(frozen=True, slots=True)
class Filters:
    """Which records are asked for: those that fit all that is given.

    `verdict` is a word or its beginning, in any case; `since` and `until` are ISO dates or times, UTC, both included.

    Raises:
        SettingsError: a time that is none, a verb that leaves no record, or a verdict that no record has.
    """

    environment: str = ""
    verdict: str = ""
    act: str = ""
    by: str = ""
    since: str = ""
    until: str = ""

    def __post_init__(self) -> None:
        verbs = [each.replace("_", "-") for each in RECORDED_VERBS]
        _require_known("act", "no verb {} leaves records", self.act, self.act.replace("_", "-") in verbs, verbs)
        is_known = any(each.startswith(_as_word(self.verdict)) for each in WORDS)
        _require_known("verdict", "no record has the verdict {}", self.verdict, is_known, WORDS)
        _moment("since", self.since)
        _moment("until", self.until, end=True)

    def require_environment(self, settings: Settings) -> None:
        """Refuse an environment or fleet that neither the settings nor the archive know."""
        folder = settings.path("records")
        homes = [each.name for each in folder.iterdir() if each.is_dir()] if folder.is_dir() else []
        known = sorted({*settings.environments, *settings.fleets, *homes})
        what = "there is no environment or fleet {}"
        _require_known("environment", what, self.environment, self.environment in known, known)

    def select(self, archive: Archive) -> Archive:
        """Return the archive with only those records that fit; its problems stay."""
        first, last = _moment("since", self.since), _moment("until", self.until, end=True)
        records = tuple(
            each
            for each in archive.records
            if self.environment in ("", each.environment)
            and each.verdict.startswith(_as_word(self.verdict))
            and self.act.replace("-", "_") in ("", each.act)
            and self.by in ("", each.by)
            and (first is None or each.at >= first)
            and (last is None or each.at <= last)
        )
        return replace(archive, records=records)


def _as_word(verdict: str) -> str:
    return verdict.upper().replace(" ", "-")


def _require_known(option: str, what: str, given: str, is_known: bool, known: Sequence[str]) -> None:
    if given and not is_known:
        raise SettingsError(what.format(repr(given)), where=f"--{option}", next=f"one of {', '.join(known)}")


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
