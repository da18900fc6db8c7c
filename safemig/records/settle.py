"""Settle the records of runs that were cut off: say in each what happened to its run, and seal it.

The notebook of a killed run tells nothing of its end. What does: the journal (what the run was about to do) and the
database (what was committed), asked while holding the lock that every deployment holds, so that nothing is under way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from safemig import __version__
from safemig.errors import RefusedError, SafemigError
from safemig.execution import journal
from safemig.execution.environment import open_environment
from safemig.execution.transaction import only_deployment
from safemig.operations.restore_prod import what_restores_left
from safemig.postgres.history import committed_parts
from safemig.records import ledger
from safemig.records.content import content_of
from safemig.records.files import locked
from safemig.records.finish import seal as seal_record
from safemig.records.ledger import is_open
from safemig.records.names import RUNNING, RecordName, parse_name
from safemig.records.notebooks import notebook_bytes, read_notebook
from safemig.records.outcome import read_outcome
from safemig.records.page import draw_page
from safemig.records.process_alive import still_runs
from safemig.results import Act
from safemig.settings import Settings
from safemig.views.numbers import counted
from safemig.whole_files import write_atomically

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_CHANGING = frozenset(get_args(Act))
_OF_FLEETS = ("fleet_migrate", "fleet_rollback")
_NEVER = datetime.max.replace(tzinfo=UTC)
_CELL = "settled"  # the id of the cell that says it


@dataclass(frozen=True, slots=True)
class Settled:
    """A record that was settled: where it is now, and what happened to its run, in words."""

    path: Path
    applied: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True)
class _Fate:
    """What happened to a run: whether it has changed its database, by which files, in words; its id in the journal."""

    has_changed: bool
    words: str
    applied: tuple[str, ...] = ()
    run_id: str = ""


def settle_all(settings: Settings) -> tuple[Settled, ...]:
    """Settle the records of every environment and fleet; one that cannot be asked does not keep the others waiting.

    Raises:
        SafemigError: as `settle`, of the first that could not be, after all others were.
    """
    done: list[Settled] = []
    errors: list[SafemigError] = []
    for environment in (*settings.environments, *settings.fleets):
        try:
            done += settle(settings, environment)
        except SafemigError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return tuple(done)


def left_over(settings: Settings, environment: str) -> list[Path]:
    """Return the records of an environment whose runs' ends are not known, oldest first.

    Those are RUNNING though their process is gone, INCOMPLETE as the kernel was killed or left, or UNKNOWN.
    """
    home = settings.path("records") / environment
    return sorted(
        path
        for path in home.glob("*.ipynb")
        if (name := parse_name(path.stem)) and is_open(name) and not (name.verdict == RUNNING and still_runs(path))
    )


def settle(settings: Settings, environment: str) -> tuple[Settled, ...]:
    """Settle every left-over record of an environment. Reads the database only where a run may have changed it.

    Raises:
        UnreachableError: the database cannot be asked; what needs it stays as it is.
        RefusedError: a deployment is under way, whose end is not known yet.
    """
    if not left_over(settings, environment):
        return ()
    with locked(settings.path("records") / environment, ".settling"):
        _end_what_was_sealed(settings, environment)
        return tuple(_settled(settings, environment, path) for path in left_over(settings, environment))


def _end_what_was_sealed(settings: Settings, environment: str) -> None:
    """Give records the names, and take away those, that the ledger has settled: only that was cut off."""
    home = settings.path("records") / environment
    entries = ledger.read(home)[0]
    gone = ledger.replaced(entries)
    names = {
        str(entry.facts[key]): entry.record
        for entry in entries
        for key in ("ipynb_sha256", "content_sha256")
        if key in entry.facts
    }
    for path in left_over(settings, environment):
        name = parse_name(path.stem)
        content = content_of(path.read_bytes())  # an editor may have saved it again
        stem = names.get(ledger.sha256_of(path)) or (names.get(content.sha256) if content else None) or path.stem
        if path.stem in gone:
            _remove(home, path.stem)
        elif name and name.verdict == RUNNING and stem.startswith(name.prefix):
            path.replace(path.with_name(f"{stem}.ipynb"))


def _settled(settings: Settings, environment: str, path: Path) -> Settled:
    name = parse_name(path.stem)
    assert name is not None  # noqa: S101 - `left_over` returns records only
    if done := _finished(path, name):
        return done
    if name.act == "restore_prod":
        fate = _fate_of_restore(settings, environment, name)
    elif name.act in _OF_FLEETS:
        fate = _fate_of_fleet(settings, name)
    elif name.act in _CHANGING:
        fate = _fate_of_deployment(settings, environment, name)
    else:
        fate = _Fate(False, "The run was cut off; it changes no database.")
    return Settled(_seal(path, name, fate), fate.applied, fate.words)


def _finished(path: Path, name: RecordName) -> Settled | None:
    """Draw the page of a record whose notebook tells its run's end, and seal it; None where the notebook does not."""
    notebook = read_notebook(path)
    facts = notebook.metadata.get("safemig", {})
    outcome = read_outcome(name.act, notebook)
    if name.verdict != RUNNING or "finished" not in facts or facts.get("word") != outcome.word:
        return None
    if is_open(replace(name, verdict=outcome.word)):
        return None
    final = seal_record(name, path, notebook, outcome, facts)
    _remove_all_but(final, name)
    return Settled(final, (), f"The run had ended {outcome.word.replace('-', ' ')}; its record is finished now.")


def _fate_of_deployment(settings: Settings, environment: str, name: RecordName) -> _Fate:
    run_id = _run_of(settings, environment, name)
    if not run_id:
        return _Fate(False, "The run was cut off before it changed anything.")
    with (
        only_deployment(settings.conninfo(environment), environment, run_id),
        open_environment(settings, environment) as connection,
    ):
        applied = tuple(committed_parts(connection, run_id))
    if applied:
        how = "The run was cut off after it had applied"
        if _has_ended(settings, environment, run_id):
            how = "The run ended, and its record was cut off; it had applied"
        return _Fate(True, f"{how} {', '.join(applied)}.", applied, run_id)
    return _Fate(False, "The run was cut off while it deployed; nothing of it is applied.", (), run_id)


def _fate_of_restore(settings: Settings, environment: str, name: RecordName) -> _Fate:
    run_id = _run_of(settings, environment, name)
    with (
        only_deployment(settings.conninfo(environment), environment, run_id or "settle"),
        open_environment(settings, environment) as connection,
    ):
        left = what_restores_left(connection)
        put_back = committed_parts(connection, run_id) if run_id else []
        swap = journal.swap_of(journal.path_of(settings, environment), run_id, connection)
    if put_back:
        return _Fate(True, "The run was cut off after it had put rows back.", run_id=run_id)
    if swap and swap.happened is None:
        raise RefusedError(swap.words, where=f"run {run_id} on {environment}", next="look at what the database holds")
    if swap and swap.happened:
        how = (
            "The run ended, and its record was cut off"
            if _has_ended(settings, environment, run_id)
            else "The run was cut off"
        )
        return _Fate(True, f"{how}; {swap.words}.", run_id=run_id)
    beside = ", ".join(each.name for each in left if not each.is_former)
    return _Fate(
        False,
        "The run was cut off before it changed anything"
        + (f"; beside the database there is, restored in whole or in part: {beside}." if beside else "."),
        run_id=run_id,
    )


def _fate_of_fleet(settings: Settings, name: RecordName) -> _Fate:
    """Ask the members: a fleet keeps nothing of how far it came."""
    from safemig.fleet.changed_members import changed_members

    begun = [
        (datetime.fromisoformat(event["at"]), event)
        for event in journal.read(journal.path_of(settings, name.environment))
        if event["event"] == "begun"
    ]
    end = _next_begin(settings, name.environment, name)
    at, event = next((each for each in begun if each[1].get("act") == name.act and name.at <= each[0] < end), (end, {}))
    if not event:
        return _Fate(False, "The run was cut off before it changed anything.")
    until = min((each for each, _ in begun if each > at), default=_NEVER)
    changed = changed_members(settings, name.environment, name.act, event["plan"], at, until)
    if not changed:
        return _Fate(False, "The run was cut off; no member's history knows of it.", (), event["run"])
    files = tuple(sorted({file for each in changed.values() for file in each}))
    named = ", ".join(list(changed)[:5]) + (", ..." if len(changed) > 5 else "")
    how = "rolled back" if name.act == "fleet_rollback" else "applied"
    cut_off = "The run was cut off after it had"
    if _has_ended(settings, name.environment, event["run"]):
        cut_off = "The run ended, and its record was cut off; it had"
    words = f"{cut_off} {how} {', '.join(files)} on {counted(len(changed), 'member')}: {named}."
    return _Fate(True, words, files, event["run"])


def _next_begin(settings: Settings, environment: str, name: RecordName) -> datetime:
    """Return when the next run of the same act began: what happened before it, and after this one, was this one's."""
    home = settings.path("records") / environment
    names = [each for path in home.glob("*.ipynb") if (each := parse_name(path.stem))]
    return min((each.at for each in names if each.act == name.act and each.at > name.at), default=_NEVER)


def _run_of(settings: Settings, environment: str, name: RecordName) -> str:
    """Return the id of the run that this record is of, "" where it had not begun to change anything.

    A record and its run share act and environment; the run is the first that began between this record and the next.
    """
    end = _next_begin(settings, environment, name)
    for event in journal.read(journal.path_of(settings, environment)):
        if event.get("event") == "begun" and event.get("act") == name.act:
            at = datetime.fromisoformat(event["at"])
            if name.at <= at < end:
                return str(event["run"])
    return ""


def _has_ended(settings: Settings, environment: str, run_id: str) -> bool:
    events = journal.read(journal.path_of(settings, environment))
    return any(
        each["run"] == run_id and each["event"] == "ended" and each.get("verdict") != "FAILED" for each in events
    )


def _seal(path: Path, name: RecordName, fate: _Fate) -> Path:
    import nbformat

    notebook = read_notebook(path)
    now = datetime.now(UTC).strftime(_TIME)
    last_seen = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime(_TIME)
    begun: dict[str, Any] = dict(notebook.metadata.get("safemig", {}))
    word = "CUT-OFF-APPLIED" if fate.has_changed else "CUT-OFF"
    facts = begun | {
        "verb": name.act,
        "environment": name.environment,
        "by": begun.get("by", ""),
        "started": begun.get("started", name.at.strftime(_TIME)),
        "finished": begun.get("finished", last_seen),
        "word": word,
        "exit_code": 4 if fate.has_changed else 1,
        "version": __version__,
        "error": [fate.words, f"settled {now} from the journal and the database"],
    }
    notebook.metadata["safemig"] = facts
    note = f"**{word}**: {fate.words} Settled {now}" + (
        f" from the journal's run `{fate.run_id}` and the database." if fate.run_id else "."
    )
    cell = nbformat.v4.new_markdown_cell(note, id=_CELL)  # type: ignore[no-untyped-call]
    notebook.cells = [cell, *(each for each in notebook.cells if each.get("id") != _CELL)]
    final = path.with_name(f"{name.prefix}{word}.ipynb")
    page = final.with_suffix(".html")
    write_atomically(final, notebook_bytes(notebook))
    write_atomically(page, draw_page(notebook, facts).encode())
    kept = ("by", "started", "finished", "exit_code")
    entry = {key: facts[key] for key in kept} | {
        "act": name.act,
        "environment": name.environment,
        "verdict": word,
        "run_id": fate.run_id,
        "plan_id": "",
        "migrations": list(fate.applied),
        "replaces": path.stem,
    }
    ledger.seal(path.parent, final, page, entry)
    _remove(path.parent, path.stem)
    _remove_all_but(final, name)
    return final


def _remove_all_but(final: Path, name: RecordName) -> None:
    """Remove pages that were drawn for a verdict that was never sealed, and what was cut off in the writing."""
    home = final.parent
    for other in (*home.glob(f"{name.prefix}*.html"), *home.glob(f".{name.prefix}*.partial")):
        if other != final.with_suffix(".html"):
            other.unlink()


def _remove(home: Path, stem: str) -> None:
    for ending in (".ipynb", ".html"):
        (home / f"{stem}{ending}").unlink(missing_ok=True)
