"""workload: collect the statements that the application sends, from the server or from files, into the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from safemig import live
from safemig.commands import command_on
from safemig.execution.environment import open_environment
from safemig.operations.try_statements import seen_in
from safemig.settings import PRODUCTION, Settings
from safemig.views.numbers import counted
from safemig.workload.counted import NOT_VISIBLE, Reading, read_counted
from safemig.workload.file import write_workload
from safemig.workload.files import read_files
from safemig.workload.merge import merged
from safemig.workload.statement import SeenWorkload
from safemig.workload_facts import CollectedWorkload, LoadRow, SeenWindow

_SHORT_H = 24.0


@live.act("workload")
def workload(
    settings: Settings,
    environment: str = PRODUCTION,
    paths: Sequence[str | Path] = (),
    *,
    role: str = "",
    show: bool = False,
    dry_run: bool = False,
) -> CollectedWorkload:
    """Add what the server, or the files named, tell of an environment's statements to its workload file. Reads the database only.

    `role` is who sends the statements of files that do not say it. With `show` nothing is read but the workload file; with
    `dry_run` all is read, and the file stays as it is.

    Raises:
        RefusedError: the server has no pg_stat_statements; the message says how to turn it on.
        NoSuchFileError: a file is not there, or nothing was collected yet that could be shown.
        FileError: the workload file is damaged, or cannot be written.
    """
    path = settings.workload_file(environment)
    settings.environment(environment)
    before = seen_in(settings, environment)
    if show:
        if before is None:
            from safemig.errors import NoSuchFileError

            raise NoSuchFileError(
                f"no statements of {environment} were collected yet",
                where=str(path),
                next=f"collect them: {command_on(environment, 'workload')}",
            )
        return _answer(settings, environment, path, before, before, ())
    old = before or SeenWorkload(environment)
    if paths:
        with live.stage("read the files"):
            database = next((each.database for each in old.statements if each.source == "pg_stat_statements"), "")
            reading, read_from = read_files(paths, old.statements, role=role, database=database), tuple(map(str, paths))
    else:
        reading, read_from = _of_server(settings, environment)
    now = merged(old, reading)
    if not dry_run:
        write_workload(path, now)
    answer = _answer(settings, environment, path, now, old, read_from, reading.notes)
    return replace(answer, is_dry_run=dry_run)


def _of_server(settings: Settings, environment: str) -> tuple[Reading, tuple[str, ...]]:
    asked = settings.workload_from if environment == PRODUCTION and settings.workload_from else environment
    with open_environment(settings, asked) as connection, live.stage("read pg_stat_statements"):
        return read_counted(connection, asked), (f"pg_stat_statements of {asked}",)


def _answer(
    settings: Settings,
    environment: str,
    path: Path,
    seen: SeenWorkload,
    old: SeenWorkload,
    read_from: tuple[str, ...],
    notes: tuple[str, ...] = (),
) -> CollectedWorkload:
    known = {each.id for each in old.statements}
    hours, load = seen.hours, seen.total_ms
    rows = (
        LoadRow(
            each.id, each.role, each.kind, each.calls, round(each.calls / hours, 2) if hours else None,
            round(each.total_ms / load, 4) if load else None, round(each.mean_ms, 3), round(each.max_ms, 3), each.rows,
            each.source, each.text,
        )
        for each in sorted(seen.statements, key=lambda each: (-each.total_ms, -each.calls, each.id))
    )  # fmt: skip
    return CollectedWorkload(
        environment=environment,
        path=path.relative_to(settings.folder.resolve()) if path.is_relative_to(settings.folder.resolve()) else path,
        window=SeenWindow(seen.begin, seen.end, seen.calls, round(hours, 2)),
        statements=tuple(rows),
        read_from=read_from,
        new=sum(each.id not in known for each in seen.statements),
        evicted=seen.evicted,
        skipped=dict(seen.skipped),
        notes=(*notes, *_notes(seen)),
    )


def _notes(seen: SeenWorkload) -> list[str]:
    """Return what this evidence is not."""
    notes = []
    skipped = dict(seen.skipped)
    if hidden := skipped.get(NOT_VISIBLE):
        notes.append(
            f"{counted(hidden, 'statement')} of other roles cannot be seen: GRANT pg_read_all_stats to the role that collects"
        )
    if seen.evicted:
        notes.append(
            f"the server evicted its least used statements {counted(seen.evicted, 'time')}, so rare ones may be missing: "
            "collect more often, or raise pg_stat_statements.max"
        )
    if not seen.windows:
        notes.append("how often these statements are sent is not known: files of SQL do not say it")
    elif seen.hours < _SHORT_H:
        notes.append(f"seen for {seen.hours:.1f} h only: collect over days, so that nightly and weekly jobs are in it")
    if any(each.role == "" for each in seen.statements):
        notes.append("statements without a role are tried with all rights: name it by --role")
    return notes
