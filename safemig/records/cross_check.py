"""Hold the archive against the databases: each deployment's row there names its record, and the ledger as it was before.

A ledger beside its records cannot show that its newest lines were cut off together with their records, nor that all of
it was rewritten. The database can; who wants to deceive must change both.
"""

from __future__ import annotations

from dataclasses import replace

from safemig import chain
from safemig.errors import SafemigError
from safemig.execution import journal
from safemig.execution.environment import open_environment
from safemig.postgres.history import recorded_runs
from safemig.records import ledger
from safemig.results import Archive
from safemig.settings import PRODUCTION, Settings
from safemig.views import numbers


def hear_witnesses(archive: Archive, settings: Settings) -> Archive:
    """Return the archive with what the databases contradict; where one cannot be asked, a note says so. Reads only."""
    problems, notes = list(archive.problems), list(archive.notes)
    homes = {each.name for each in archive.folder.iterdir() if each.is_dir()} if archive.folder.is_dir() else set()
    not_asked = []
    # Production also where all of its records are gone, and the folder with them.
    for environment in sorted((homes | {PRODUCTION}) & set(settings.environments)):
        try:
            problems += _contradictions(archive, settings, environment)
        except SafemigError as error:
            if environment in homes:
                notes.append(f"the records of {environment} were not compared with the database: {error.what}")
                not_asked.append(environment)
    return replace(archive, problems=tuple(problems), notes=tuple(notes), not_asked=tuple(not_asked))


def _contradictions(archive: Archive, settings: Settings, environment: str) -> list[str]:
    home = archive.folder / environment
    stems = [each.path.stem for each in archive.records if each.environment == environment]
    known = {chain.FIRST, *(str(each.facts.get("hash")) for each in ledger.read(home)[0])}
    problems = []
    with open_environment(settings, environment) as connection:
        runs = recorded_runs(connection)
    journaled = {str(each.get("run")) for each in journal.read(archive.folder / environment / journal.FILE_NAME)}
    for run_id, act, by, at, record, last_hash in runs:
        which = f"run {run_id} ({act}, {numbers.time(at)}, by {by})"
        if not any(stem.startswith(f"{record}-") for stem in stems):
            problems.append(
                f"{environment} knows of {which}; its record {record} is gone, and so is its line of the ledger"
            )
        if run_id not in journaled and run_id.rpartition("-")[0] not in journaled:
            problems.append(f"{environment} knows of {which}; its lines of the journal are gone")
        if last_hash not in known:
            problems.append(
                f"{environment} knows of a line of the ledger before {which} that is gone: the ledger was cut or rewritten"
            )
    return problems
