"""db_status: both databases and every migration, side by side; what drifted, what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal

from safemig import live
from safemig.copies.drift import Drift
from safemig.errors import MigrationError, SettingsError, UnreachableError
from safemig.execution.environment import open_environment, schema_of
from safemig.execution.layout import files_of, layout_for, read_history
from safemig.migrations import Migration, Standing, stand
from safemig.operations.status_warnings import disagreements
from safemig.postgres.activity import sizes_of
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import read_target
from safemig.postgres.history import last_schema
from safemig.results import EnvironmentStatus, MigrationState, Status
from safemig.settings import PRODUCTION, STAGING, Settings

State = Literal["applied", "pending", "edited", "missing", "unknown"]


@live.act("db_status")
def db_status(settings: Settings, targets: Sequence[str] = ()) -> Status:
    """Describe staging and production against the local migrations. Reads only; an unreachable one is described as such.

    `targets` are the environments to ask; none: all. Drift is measured: the applied migrations are replayed on a
    throwaway server of that database's version, and the two schemas compared. Where the migrations are programs, the
    schema is compared with the one that safemig's last run left.

    Raises:
        SettingsError: there is no environment of a name in `targets`.
    """
    for name in targets:
        settings.environment(name)
    problems: list[str] = []
    try:
        files = files_of(settings)
    except MigrationError as error:
        files = ()
        problems.append(f"{error.what} ({error.where})")
    layout = layout_for(settings).layout
    tool = layout.tool if layout.is_code else ""
    environments: list[EnvironmentStatus] = []
    standings: dict[str, Standing] = {}
    with ExitStack() as shadows:
        drift = Drift(settings, shadows)
        for name in targets or (STAGING, PRODUCTION, *sorted(set(settings.environments) - {STAGING, PRODUCTION})):
            try:
                with live.stage(f"read {name}"), open_environment(settings, name) as connection:
                    sizes = sizes_of(connection)
                    target = read_target(connection, name)
                    try:
                        standing = stand(files, read_history(settings, connection, files))
                    except MigrationError as error:  # the team's own tool left its history half done
                        problems.append(f"{name}: {error.what}; {error.next}")
                        drifted = f"not compared: {error.what}"
                    else:
                        standings[name] = standing
                        problems += [f"{name}: {each}" for each in disagreements(settings, name, connection, standing)]
                        drifted = _since_the_last_run(settings, connection) if tool else drift.of(connection, standing)
                    found = (sizes.size_bytes, sizes.tables, sizes.rows_estimate, drifted)
                    environments.append(EnvironmentStatus(name, target, *found))
            except (UnreachableError, SettingsError) as error:
                where = f" ({error.where})" if error.where else ""
                environments.append(EnvironmentStatus(name, None, problem=f"{error.what}{where}"))
    return Status(tuple(environments), _migrations(files, standings), tuple(problems), tuple(drift.bases), tool)


def _since_the_last_run(settings: Settings, connection: Connection) -> str:
    """Return the drift of a database whose migrations are programs: what they make, only safemig's last run can say."""
    then = last_schema(connection)
    if not then:
        return "not compared: the migrations are programs, and no run of safemig is recorded"
    return "none" if then == schema_of(settings, connection).fingerprint else "changed since the last run of safemig"


def _migrations(files: Sequence[Migration], standings: dict[str, Standing]) -> tuple[MigrationState, ...]:
    rows: dict[str, MigrationState] = {}
    for file in files:
        states: dict[str, State] = {}
        for environment, standing in standings.items():
            if file in standing.edited:
                states[environment] = "edited"
            else:
                states[environment] = "applied" if file in standing.applied else "pending"
        rows[file.version] = MigrationState(file.version, file.name, file.file, states)
    for environment, standing in standings.items():
        for each in standing.unknown:
            known = rows.setdefault(each.version, MigrationState(each.version, each.name, "", {}))
            known.states[environment] = "unknown"
    # Timestamps sort by themselves; of other versions only the tool knows the order, and an unknown one comes last.
    stamped = all(len(version) == len("20260101000000") and version.isdigit() for version in rows)
    return tuple(rows[version] for version in (sorted(rows) if stamped else rows))
