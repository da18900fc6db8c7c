"""Settle records that a crash left as RUNNING: say in each what became of its run, and seal it.

The notebook of a killed run tells nothing of its end. What does: the journal (what the run was about to do) and the
database (what was committed), asked while holding the lock that every deployment holds, so that nothing is under way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safemig import __version__
from safemig.operations import journal
from safemig.operations.databases import open_environment
from safemig.operations.transaction import only_deployment
from safemig.postgres.history import committed_parts
from safemig.records import ledger
from safemig.records.alive import still_runs
from safemig.records.files import locked, write_atomically
from safemig.records.names import RUNNING, RecordName, parse_name
from safemig.records.notebooks import notebook_bytes, read_notebook
from safemig.records.page import draw_page
from safemig.settings import Settings

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_CHANGING = frozenset({"migrate_prod", "migrate_staging", "rollback_prod", "sync_prod"})


@dataclass(frozen=True, slots=True)
class Settled:
    """A record that was settled: where it is now, and what became of its run, in words."""

    path: Path
    applied: tuple[str, ...]
    words: str


def left_over(settings: Settings, environment: str) -> list[Path]:
    """Return the records of an environment that are named RUNNING though their process is gone, oldest first."""
    home = settings.path("records") / environment
    return sorted(
        path
        for path in home.glob(f"*-{RUNNING}.ipynb")
        if (name := parse_name(path.stem)) and name.verdict == RUNNING and not still_runs(path)
    )


def settle(settings: Settings, environment: str) -> tuple[Settled, ...]:
    """Settle every left-over record of an environment. Reads the database only where a run may have changed it.

    Raises:
        UnreachableError: the database cannot be asked; what needs it stays RUNNING.
        RefusedError: a deployment is under way, whose end is not known yet.
    """
    return tuple(_settled(settings, environment, path) for path in left_over(settings, environment))


def _settled(settings: Settings, environment: str, path: Path) -> Settled:
    name = parse_name(path.stem)
    assert name is not None  # noqa: S101 - `left_over` returns records only
    run_id = _run_of(settings, environment, name)
    applied: tuple[str, ...] = ()
    if run_id:
        with (
            only_deployment(settings.conninfo(environment), environment, run_id),
            open_environment(settings, environment) as connection,
        ):
            applied = tuple(committed_parts(connection, run_id))
    words = _words(name, run_id, applied)
    return Settled(_seal(path, name, run_id, applied, words), applied, words)


def _run_of(settings: Settings, environment: str, name: RecordName) -> str:
    """Return the id of the run that this record is of, "" where it had not begun to change anything.

    A record and its run share act and environment; the run is the first that began between this record and the next.
    """
    if name.act not in _CHANGING:
        return ""
    home = settings.path("records") / environment
    names = [each for path in home.glob("*.ipynb") if (each := parse_name(path.stem))]
    later = [each.at for each in names if each.act == name.act and each.at > name.at]
    end = min(later, default=datetime.max.replace(tzinfo=UTC))
    for event in journal.read(journal.path_of(settings, environment)):
        if event.get("event") == "begun" and event.get("act") == name.act:
            at = datetime.fromisoformat(event["at"])
            if name.at <= at < end:
                return str(event["run"])
    return ""


def _words(name: RecordName, run_id: str, applied: tuple[str, ...]) -> str:
    if applied:
        return f"The run was cut off after it had applied {', '.join(applied)}."
    if run_id:
        return "The run was cut off while it deployed; nothing of it is applied."
    if name.act == "restore_prod":
        return "The run was cut off; a database that it was restoring into may be left beside production."
    return "The run was cut off before it changed anything."


def _seal(path: Path, name: RecordName, run_id: str, applied: tuple[str, ...], words: str) -> Path:
    import nbformat

    notebook = read_notebook(path)
    now = datetime.now(UTC).strftime(_TIME)
    last_seen = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime(_TIME)
    begun: dict[str, Any] = dict(notebook.metadata.get("safemig", {}))
    word = "CUT-OFF-APPLIED" if applied else "CUT-OFF"
    facts = begun | {
        "verb": name.act,
        "environment": name.environment,
        "by": begun.get("by", ""),
        "started": begun.get("started", name.at.strftime(_TIME)),
        "finished": last_seen,
        "word": word,
        "exit_code": 4 if applied else 1,
        "version": __version__,
        "error": [words, f"settled {now} from the journal and the database"],
    }
    notebook.metadata["safemig"] = facts
    note = f"**{word}**: {words} Settled {now}" + (
        f" from the journal's run `{run_id}` and the database." if run_id else "."
    )
    cell = nbformat.v4.new_markdown_cell(note, id="settled")  # type: ignore[no-untyped-call]
    notebook.cells.insert(0, cell)
    final = path.with_name(f"{name.prefix}{word}.ipynb")
    page = final.with_suffix(".html")
    with locked(path.parent):
        write_atomically(path, notebook_bytes(notebook))
        write_atomically(page, draw_page(notebook, facts).encode())
        path.replace(final)
    kept = ("by", "started", "finished", "exit_code")
    entry = {key: facts[key] for key in kept} | {
        "act": name.act,
        "environment": name.environment,
        "verdict": word,
        "run_id": run_id,
        "plan_id": "",
        "migrations": list(applied),
    }
    ledger.seal(path.parent, final, page, entry)
    return final
