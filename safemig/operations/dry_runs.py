"""What the verbs would do that are not approved by a plan's ID, or have one only for a part of what they do. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from safemig.approval.plan import assess, identify
from safemig.backups.beside import schema_for
from safemig.backups.manifest import find_backup
from safemig.backups.stored_tables import StoredSchema
from safemig.commands import command_on
from safemig.errors import SettingsError
from safemig.execution.environment import open_environment, schema_of
from safemig.operations.by_command import Command, situation_of
from safemig.operations.drop_replaced import about_what_is_left
from safemig.operations.migrate_staging import already_there
from safemig.operations.restore_tables import asked_for
from safemig.postgres.activity import Sizes, sizes_of
from safemig.postgres.connection.connect import read_target
from safemig.results import Plan
from safemig.settings import PRODUCTION, STAGING, Settings
from safemig.views.numbers import counted


def plan_staging(settings: Settings, environment: str = STAGING) -> Plan:
    """Return what `migrate_staging` would run, and what it would only record.

    Raises:
        MigrationError: a migration's result is there in part.
    """
    with open_environment(settings, environment) as connection:
        situation = assess(settings, connection, environment)
        there, _ = already_there(settings, connection, situation) if situation.files else ((), "")
    if not situation.files:
        return replace(situation.plan, act="migrate_staging")
    run = tuple(step for step in situation.plan.steps if step.file not in there)
    what = (f"Only recorded, its result is there: {file}." for file in there)
    return replace(situation.plan, act="migrate_staging", steps=run, what=(*what, "No approval is needed."))


def plan_rehearsal(settings: Settings, environment: str = PRODUCTION, command: Command | None = None) -> Plan:
    """Return what `rehearse` would run, files or a command, and on what kind of copy."""
    with open_environment(settings, environment) as connection:
        found = (
            situation_of(settings, connection, environment, command)
            if command
            else assess(settings, connection, environment)
        )
        content = _content(sizes_of(connection))
    if not found.plan.migrations:
        return replace(found.plan, act="rehearse")
    if settings.gets_a_clone:
        copy = "The copy is the clone that the command of [scratch] hands over"
    else:
        what = content if settings.restores_for_rehearsal else "the schema, without rows,"
        where = "the server of [scratch]" if settings.scratch else "a throwaway PostgreSQL on this machine"
        copy = f"A backup of {what} is restored on {where}"
    words = (
        f"{copy}; {environment} is only read.",
        f"{'The command runs' if command else 'The files run'} there, then the rollback. Then the copy is thrown away.",
        "No approval is needed.",
    )
    return replace(found.plan, act="rehearse", what=words)


def plan_backup(settings: Settings, environment: str = PRODUCTION, *, verify: bool = True) -> Plan:
    """Return what `backup_prod` would back up, and where to."""
    with open_environment(settings, environment) as connection:
        target, schema, sizes = (
            read_target(connection, environment),
            schema_of(settings, connection),
            sizes_of(connection),
        )
    folder = settings.backups / environment
    what = (
        f"A full and a schema backup of {_content(sizes)}.",
        f"Written to {folder}, format {settings.backup_format}, compression {settings.compression}.",
        "It is restored into a throwaway server and compared by hash."
        if verify
        else "It is not restored (--no-verify).",
        "No approval is needed; nothing is changed in the database.",
    )
    return Plan("", target, schema.fingerprint, (), (), act="backup_prod", what=what)


def _content(sizes: Sizes) -> str:
    rows = f", about {sizes.rows_estimate:,} rows" if sizes.rows_estimate else ""
    return f"{counted(sizes.tables, 'table')}{rows}, {sizes.size_bytes / 1e6:,.0f} MB in the database"


def plan_beside(settings: Settings, backup: str, environment: str = PRODUCTION) -> Plan:
    """Return what `restore_prod` does without --swap: a database of its own beside production.

    Raises:
        BackupError: there is no such backup.
    """
    chosen = find_backup(settings, environment, backup)
    with open_environment(settings, environment) as connection:
        target, schema = read_target(connection, environment), schema_of(settings, connection)
    what = (
        f"The backup {chosen.timestamp} ({chosen.rows:,} rows in {counted(len(chosen.tables), 'table')}) is restored into a database "
        f"beside {target.database} and verified.",
        "No approval is needed: production is not changed. With --swap the two change names, by the ID of that plan.",
    )
    return Plan("", target, schema.fingerprint, (), (), act="restore_prod", what=what)


def plan_tables(
    settings: Settings, backup: str, tables: str, rows: Mapping[str, Any], environment: str = PRODUCTION
) -> Plan:
    """Return what `restore_prod --tables` would restore; `rows` are its options on rows that are put back.

    Which rows would be put back is known when the tables are restored beside production and compared, which makes a
    schema there; so the ID that approves that comes from the command itself, without --approve.

    Raises:
        BackupError: there is no such backup or table.
        SettingsError: the options do not go together.
    """
    asked = asked_for(tables, **{"put_back": False, "update": False, "where": "", "fire_triggers": False, **rows})
    if asked is None:
        raise SettingsError("no table is named", next="--tables public.orders")
    chosen = find_backup(settings, environment, backup)
    found = StoredSchema(chosen).find(asked.tables)
    with open_environment(settings, environment) as connection:
        target, schema = read_target(connection, environment), schema_of(settings, connection)
    what = [
        f"{each.sql} ({sum(part.rows for part in each.parts):,} rows) is restored into schema {schema_for(chosen)} of {target.database}."
        for each in found
    ]
    if asked.put_back:
        what.append(
            "It is compared with production by primary key. The rows that would be put back, and the ID that approves that, are "
            f"shown by: {command_on(environment, 'restore-prod', f'{chosen.timestamp} {asked.verb}')}"
        )
    else:
        what.append("No approval is needed: no other schema is changed.")
    return Plan("", target, schema.fingerprint, (), (), act="restore_prod", what=tuple(what))


def plan_drop(settings: Settings, name: str, environment: str = PRODUCTION) -> Plan:
    """Return what `restore_prod --drop` would drop, with the ID that approves it.

    Raises:
        RefusedError: no restore of safemig left it.
    """
    with open_environment(settings, environment) as connection:
        target, schema = read_target(connection, environment), schema_of(settings, connection)
        binding, what = about_what_is_left(connection, name, target)
    return Plan(identify(binding), target, schema.fingerprint, (), (), act="restore_prod", what=(what,))
