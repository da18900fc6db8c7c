"""Where a database, the journal, the records and the migration files contradict each other, and what to do about each."""

from __future__ import annotations

from safemig.copies.base import platform_changes
from safemig.errors import SettingsError
from safemig.execution import journal
from safemig.execution.base_file import read_base_text
from safemig.execution.environment import is_unrecorded
from safemig.migrations import Standing
from safemig.operations.drop_replaced import SCHEMAS_OF_TABLES
from safemig.operations.restore_prod import what_restores_left
from safemig.postgres import resumable
from safemig.postgres.connection import Connection
from safemig.postgres.history import recorded_runs
from safemig.settings import Settings, command_on
from safemig.views.numbers import counted

_LONGEST_CHANGE = 80


def disagreements(settings: Settings, environment: str, connection: Connection, standing: Standing) -> list[str]:
    """Return each in words, with the next step after a semicolon. Reads only."""
    path, restore = journal.path_of(settings, environment), command_on(environment, "restore-prod")
    found = [
        f"{run.words}, unless it is under way; the next deployment settles it, its record: safemig records --settle"
        for run in journal.unended(path, connection)
    ]
    found += [
        f"deployment {run_id} stopped part-way; {command_on(environment, 'migrate-prod', f'--resume {run_id}')} continues it"
        for run_id in resumable.stopped(connection)
    ]
    if lost := journal.lost(path, connection):
        found.append(
            f"{lost}, but the database does not have it: a failover or a restore undid it; "
            "what is pending now must be deployed again"
        )
    found += _recorded_elsewhere(settings, environment, connection)
    found += [
        f"database {each.name} was replaced by a restore, and is kept; when it is no longer needed: {restore} --drop {each.name}"
        if each.is_former
        else f"database {each.name} was left by a restore that was not swapped in; {restore} continues "
        f"with it, {restore} --drop {each.name} drops it"
        for each in what_restores_left(connection)
    ]
    found += [
        f"schema {name} holds tables of a backup; when they are no longer needed: {restore} --drop {name}"
        for name, *_ in connection.execute(SCHEMAS_OF_TABLES)
    ]
    if is_unrecorded(settings, connection, standing):
        found.append(
            "it has tables, and no migration is recorded; where they were applied by hand: "
            + command_on(environment, "baseline-prod")
        )
    if changed := platform_changed(settings, environment, connection):
        found.append(changed)
    found += [
        f"{each.file} was edited since it was applied; restore its applied version (git), and put the change into a new one"
        for each in standing.edited
    ]
    found += [
        f"{each.version} {each.name} is applied, and no such file is here; get it (git pull) before you deploy"
        for each in standing.unknown
    ]
    found += [
        f"{each.file} is pending, though older than what is applied; expected after branches were merged, otherwise rename it"
        for each in standing.out_of_order
    ]
    return found


def _short(change: str) -> str:
    return change if len(change) <= _LONGEST_CHANGE else f"{change[:_LONGEST_CHANGE]} …"


def _recorded_elsewhere(settings: Settings, environment: str, connection: Connection) -> list[str]:
    # One line however many: where each run of a pipeline has a checkout of its own, that is all of them.
    records = settings.path("records") / environment
    runs = [
        f"run {run_id} ({act}, by {by}) is recorded in {record}"
        for run_id, act, by, _, record, _ in recorded_runs(connection)
        if not any(records.glob(f"{record}-*.ipynb"))
    ]
    if not runs:
        return []
    more = f", and {len(runs) - 1} earlier" if len(runs) > 1 else ""
    return [
        f"{runs[-1]}, which is not here{more}; get the records from the person who ran it, then safemig records --verify"
    ]


def platform_changed(settings: Settings, environment: str, connection: Connection) -> str:
    """Return in words that the project's base is no longer what the platform has, or was changed by hand; else "".

    Raises:
        SettingsError: the file is no SQL.
    """
    try:
        read_base_text(settings)
    except SettingsError as error:
        return f"{error.what}; {error.next}"
    changes = platform_changes(settings, environment, connection)
    if not changes:
        return ""
    return (
        f"the platform changed since {settings.base} was written ({counted(len(changes), 'difference')}, such as "
        f"{_short(changes[0])}); look at them, and refresh it: safemig base {environment}"
    )
