"""restore_prod: a backup restored beside the production database, verified, and swapped in when that is approved."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from safemig import live
from safemig.approval.approve import About, Ask
from safemig.approval.approve import approve as ask_for_approval
from safemig.approval.approvers import require_approvers
from safemig.approval.plan import identify
from safemig.backups.everything import ALL
from safemig.backups.manifest import find_backup
from safemig.backups.put_back import Wish
from safemig.backups.same_content import what_differs
from safemig.backups.swap import comment_on, database_exists, elsewhere
from safemig.backups.swap import swap as exchange_names
from safemig.commands import command_on
from safemig.copies.database_copy import made_like
from safemig.errors import BackupError, RefusedError, SettingsError, ToolError
from safemig.execution.environment import open_environment, schema_of
from safemig.execution.lock_watch import watched_restore
from safemig.execution.run import Run
from safemig.execution.transaction import only_deployment
from safemig.fault_points import FaultPoint, pass_point
from safemig.operations.drop_replaced import REPLACED, RESTORED, RESTORING
from safemig.operations.restore_tables import TablesAsked, restore_tables
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect, read_target, words_of
from safemig.postgres.connection.search_path import own_search_path
from safemig.postgres.dump.cluster import settings_and_grants
from safemig.postgres.dump.piecewise import restore_piecewise
from safemig.postgres.dump.plain import content_of, read_back
from safemig.postgres.dump.tools import restore
from safemig.postgres.server.programs import Programs, client_programs
from safemig.results import Backup, Check, Plan, PlannedMigration, Restored, RestoredTables, Target
from safemig.secrets import hide
from safemig.settings import PRODUCTION, Settings

WHAT_STANDS_BY_THAT_NAME = """
SELECT coalesce(shobj_description(oid, 'pg_database'), ''), datallowconn FROM pg_database WHERE datname = %s
"""
OWNER_AND_PLACE = """
SELECT pg_get_userbyid(d.datdba), CASE WHEN d.dattablespace <> o.dattablespace THEN t.spcname END, d.datconnlimit,
       coalesce(shobj_description(d.oid, 'pg_database'), '')
FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace JOIN pg_database o ON o.datname = 'template0'
WHERE d.datname = current_database()
"""
HOLDS_NOTHING = """
SELECT NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_')
"""
WHAT_DOES_NOT_MOVE = """
SELECT 'replication slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
UNION ALL SELECT 'subscription ' || subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
WHERE d.datname = current_database() ORDER BY 1
"""
REPLACED_BEFORE = """
SELECT datname FROM pg_database WHERE shobj_description(oid, 'pg_database') = %s ORDER BY datname DESC LIMIT 1
"""
WHAT_RESTORES_LEFT = """
SELECT datname, shobj_description(oid, 'pg_database')
FROM pg_database WHERE shobj_description(oid, 'pg_database') LIKE 'safemig: % backup %' ORDER BY datname
"""
NUMBER_OF_A_DATABASE = "SELECT oid::bigint FROM pg_database WHERE datname = %s"
NOW = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISS')"
LONGEST_NAME_BYTES = 63


@live.act("restore_prod")
def restore_prod(
    settings: Settings,
    backup: str = "",
    *,
    environment: str = PRODUCTION,
    swap: bool = False,
    asked: TablesAsked | None = None,
    approve: str = "",
    ask: Ask | None = None,
) -> Restored | RestoredTables:
    """Restore a backup (a timestamp, a manifest's path, or the latest) into a new database on production's server.

    Where the platform or the role allows no second database: every table, into a schema of production itself.

    Or, with `asked`, restore only these tables, into a schema of production itself, and bring back the rows that production
    lacks, where that is asked for (see `restore_tables`).

    Guarantee: the production database is not touched, unless `swap` is asked for and approved: then the two change
    names in one transaction, and the former one is kept under a dated name. It may be ended at any point: the same
    command again goes on, or makes a half restored one again; and does nothing where it is done already.

    Raises:
        BackupError: there is no such backup, or it is not whole.
        RefusedError: the restored content is not the backup's, the swap is not approved or not possible, or a deployment is under way.
        ToolError: psql or pg_restore failed.
        DeploymentFailedError: the swap failed; nothing was changed.
    """
    if asked:
        if swap:
            raise SettingsError("swap is for a whole backup, not for single tables", next="--put-back brings rows back")
        return restore_tables(settings, backup, asked, environment, approve=approve, ask=ask)
    chosen = find_backup(settings, environment, backup)
    try:
        return _restore_whole(settings, chosen, environment, swap=swap, approve=approve, ask=ask)
    except _NoSecondDatabaseError as none:
        if swap:
            raise none.error from None
        everything = TablesAsked((ALL,), put_back=False, wish=Wish())
        try:
            restored = restore_tables(settings, chosen.timestamp, everything, environment)
        except RefusedError as error:
            raise RefusedError(
                f"{none.error.what}; and within the database: {error.what}",
                where=error.where,
                next=f"{error.next}; or let the role make databases (ALTER ROLE ... CREATEDB)",
                result=error.result,
            ) from None
        return replace(restored, notes=(f"no second database: {none.error.what}", *restored.notes))


class _NoSecondDatabaseError(Exception):
    """No second database can be made, or filled, on this server; `error` says why."""

    def __init__(self, error: RefusedError | ToolError) -> None:
        super().__init__(error.what)
        self.error = error


def _restore_whole(
    settings: Settings, chosen: Backup, environment: str, *, swap: bool, approve: str, ask: Ask | None
) -> Restored:
    started = time.monotonic()
    with live.stage("read the backup", chosen.rows):
        pass_point(FaultPoint.BACKUP_CHECK_BEGINS)
        is_whole = read_back(chosen.full) == chosen.tables
        pass_point(FaultPoint.BACKUP_CHECKED)
    if not is_whole:
        raise BackupError("the backup does not match its manifest", where=str(chosen.full.path), next="use another one")
    conninfo, run_id = settings.conninfo(environment), secrets.token_hex(6)
    equal = "every hash as in the manifest"
    with (
        only_deployment(conninfo, environment, run_id),
        open_environment(settings, environment, read_only=False) as connection,
    ):
        target = read_target(connection, environment)
        programs = client_programs(target.server_version_num)
        plan_id = _identify(chosen, target)
        if approve and approve != plan_id:
            raise RefusedError(
                f"approved was {approve}; this restore is {plan_id}", where=str(chosen.manifest), next="approve that id"
            )
        if swap and (before := _swapped_before(connection, chosen, conninfo, programs)):
            return _result(target, chosen, target.database, before, "production already has it", started)
        name = _name(target.database, f"_restored_{chosen.timestamp}")
        notes = _restore_beside(settings, connection, conninfo, name, chosen, programs)
        notes = (*_settings_lost(connection, target.database, name), *notes)
        if not swap:
            return _result(target, chosen, name, "", equal, started, notes)
        stays = [each for (each,) in connection.execute(WHAT_DOES_NOT_MOVE)]
        comment = connection.execute(OWNER_AND_PLACE).fetchone()[3]  # type: ignore[index]
        ((now,),) = connection.execute(NOW).fetchall()
        ((restored,),) = connection.execute(NUMBER_OF_A_DATABASE, (name,)).fetchall()
    what = f"The database {target.database} becomes the backup of {chosen.timestamp} (UTC). All sessions end."
    what += "".join(f"\n{each} stays with the former one." for each in stays)
    kept_as = _name(target.database, f"_before_{now}")
    lost_rows = f"what was written after the backup of {chosen.timestamp} (UTC) is only in {kept_as}, which is kept"
    words = (*what.splitlines(), f"{lost_rows}.")
    plan = Plan(plan_id, target, "", (), (), act="restore_prod", what=words)
    about = About(plan, (("Restored", f"beside {target.database}, as {name}; every hash as in the manifest"),))
    verb = f"restore-prod {chosen.timestamp} --swap"
    given = ask_for_approval(plan_id, target, approve, what, verb=verb, ask=ask, about=about)
    require_approvers(settings, given, verb=verb)
    run = Run(settings, "restore_prod", environment, run_id, plan_id, datetime.now(UTC), schema_before="")
    # Not while someone deploys; the swap ends this session with all others, and that is the end of the lock.
    with run.noted():
        try:
            with live.stage("end the sessions, and exchange the names"), only_deployment(conninfo, environment, run_id):
                run.note("swapping", former=kept_as, restored=restored)
                pass_point(FaultPoint.SWAP_BEGINS)
                exchange_names(
                    conninfo, environment, target.database, name, kept_as,
                    note=REPLACED.format(chosen.full.sha256), comment=comment,
                )  # fmt: skip
                pass_point(FaultPoint.SWAPPED)
        except KeyboardInterrupt:
            if not database_exists(elsewhere(conninfo, target.database), environment, kept_as):
                raise  # else it came too late: they are exchanged
    return _result(target, chosen, target.database, kept_as, equal, started, notes)


def _restore_beside(
    settings: Settings, connection: Connection, conninfo: str, name: str, backup: Backup, programs: Programs
) -> tuple[Check, ...]:
    """Restore into a database of that name, unless it is there, and compare it with the backup; return what that needed.

    Raises:
        RefusedError: it holds something else.
        ToolError: it cannot be restored.
    """
    beside = make_conninfo("", **{**conninfo_to_dict(conninfo), "dbname": name})
    notes: tuple[Check, ...] = ()
    pass_point(FaultPoint.DATABASE_BEGINS)
    if is_new := _create(connection, beside, name, backup):
        with live.stage("restore beside", backup.rows), watched_restore(conninfo, name):
            notes = _restore(settings, connection, beside, name, backup, programs)
            live.reached(backup.rows)
    with live.stage("compare with the backup", backup.rows):
        pass_point(FaultPoint.COMPARE_BEGINS)
        is_equal = _holds(backup, beside, programs)
    if not is_equal:
        raise RefusedError(
            "the restored content differs from the backup" if is_new else "an earlier restore has been changed since",
            where=f"database {name}; nothing was swapped",
            next="use another backup" if is_new else f'look at it; then DROP DATABASE "{name}" and restore again',
        )
    pass_point(FaultPoint.COMPARED)
    comment_on(connection, name, RESTORED.format(backup.full.sha256))
    pass_point(FaultPoint.RESTORED_MARKED)
    return notes


@dataclass(frozen=True, slots=True)
class LeftByRestore:
    """A database beside production that a restore has made or replaced."""

    name: str
    is_former: bool  # a restored one has taken its place


def what_restores_left(connection: Connection) -> tuple[LeftByRestore, ...]:
    """Return what restores of this database have made or replaced on its server. Reads only."""
    rows = connection.execute(WHAT_RESTORES_LEFT).fetchall()
    found = [LeftByRestore(name, note.startswith(REPLACED.format(""))) for name, note in rows]
    database, digits = connection.info.dbname, len("YYYYMMDDHHMMSS")
    return tuple(
        each
        for each in found
        if each.name == _name(database, f"_{'before' if each.is_former else 'restored'}_{each.name[-digits:]}")
    )


def _restore(
    settings: Settings, connection: Connection, beside: str, name: str, backup: Backup, programs: Programs
) -> tuple[Check, ...]:
    """Restore into the new database as a whole, else piece by piece; return what that needed (see `piecewise`).

    Raises:
        ToolError: neither goes; the database is dropped again.
    """
    try:
        if not backup.not_by_psql:
            pass_point(FaultPoint.FILL_BEGINS)
            restore(programs, beside, backup.full.path, jobs=settings.backup_jobs)
            pass_point(FaultPoint.FILLED)
            return ()
    except ToolError as error:
        _drop(connection, name)
        if backup.hosted_on:
            raise _NoSecondDatabaseError(
                ToolError(
                    f"the backup cannot be restored into a new database: {error.what}",
                    where=f"{backup.hosted_on} owns objects that the current role cannot create; {name} was dropped again",
                    next=f"the rows come back without a second database: {_in_the_same(backup)}",
                )
            ) from None
        _create(connection, beside, name, backup)
    try:
        notes = restore_piecewise(programs, beside, backup.full.path, own_search_path(connection))
        return tuple(Check("restored by", "warning", note, "psql alone restores it") for note in notes)
    except ToolError:
        _drop(connection, name)
        raise


def plan_restore(settings: Settings, backup: str = "", *, environment: str = PRODUCTION) -> Plan:
    """Return what a swap of a restored backup would do, with the id that approves it. Reads only: nothing is restored.

    Raises:
        BackupError: there is no such backup.
    """
    chosen = find_backup(settings, environment, backup)
    with open_environment(settings, environment) as connection:
        target, schema = read_target(connection, environment), schema_of(settings, connection)
    what = (
        f"The backup {chosen.timestamp} ({chosen.rows:,} rows) takes the place of {target.database}; what was written since is not in it.",
        "It is restored beside production and verified before the two change names; the former database is kept.",
    )
    file = PlannedMigration(chosen.timestamp, "restore", chosen.full.path.name, chosen.full.sha256)
    return Plan(_identify(chosen, target), target, schema.fingerprint, (file,), (), act="restore_prod", what=what)


def _identify(backup: Backup, target: Target) -> str:
    return identify({"restore": backup.full.sha256, "database": target.database, "server": target.system_identifier})


def _result(
    target: Target,
    backup: Backup,
    database: str,
    kept_as: str,
    words: str,
    started: float,
    more: tuple[Check, ...] = (),
) -> Restored:
    found = f"{backup.rows:,} rows in {len(backup.own_tables)} tables, {words}"
    return Restored(
        target=target,
        backup=backup.manifest,
        database=database,
        kept_as=kept_as,
        tables=backup.tables,
        checks=(Check("content", "ok", found, "what was backed up"), *more),
        seconds=time.monotonic() - started,
        swapped=database == target.database,
    )


def _swapped_before(connection: Connection, backup: Backup, conninfo: str, programs: Programs) -> str:
    """Return the name under which the former database was kept, where this backup has taken its place already."""
    row = connection.execute(REPLACED_BEFORE, (REPLACED.format(backup.full.sha256),)).fetchone()
    if row is None:
        return ""
    with live.stage("read what production holds", backup.rows):
        return str(row[0]) if _holds(backup, conninfo, programs) else ""


def _holds(backup: Backup, conninfo: str, programs: Programs) -> bool:
    """Tell whether a database holds what was backed up."""
    content = content_of(conninfo, programs)
    return backup.holds(content) or not what_differs(backup, content, conninfo, programs)


def _create(connection: Connection, beside: str, name: str, backup: Backup) -> bool:
    """Make the database for the restore; False where an earlier restore of this backup stands there, whole.

    One that was cut off is dropped and re-created.

    Raises:
        RefusedError: it cannot be made, or someone else's stands there.
    """
    row = connection.execute(WHAT_STANDS_BY_THAT_NAME, (name,)).fetchone()
    if row and row[0] == RESTORED.format(backup.full.sha256):
        return False
    if row:
        if row[0] != RESTORING.format(backup.full.sha256) and not _holds_nothing(beside):
            raise RefusedError(
                "a database with the restore's name exists, and this restore did not create it",
                where=f"{name}: {row[0] or 'no comment'}",
                next=f'look at it; then DROP DATABASE "{name}" and restore again',
            )
        _drop(connection, name)
    owner, place, limit, _ = connection.execute(OWNER_AND_PLACE).fetchone() or ("", "", 0, "")
    try:
        connection.execute(
            sql.SQL("CREATE DATABASE {} {} OWNER {} {} CONNECTION LIMIT {}").format(
                sql.Identifier(name), made_like(connection), sql.Identifier(owner),
                # Only a superuser may name one, and the template's needs no name.
                sql.SQL("TABLESPACE {}").format(sql.Identifier(place)) if place else sql.SQL(""),
                sql.Literal(limit),
            )
        )  # fmt: skip
        pass_point(FaultPoint.DATABASE_CREATED)
        comment_on(connection, name, RESTORING.format(backup.full.sha256))
        pass_point(FaultPoint.DATABASE_MARKED)
    except psycopg.Error as error:
        refused = RefusedError(
            f"the database for the restore cannot be made: {words_of(error)}",
            where=name,
            next=f"the role needs CREATEDB; or without a second database: {_in_the_same(backup)}",
        )
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            raise _NoSecondDatabaseError(refused) from None
        raise refused from None
    _take_settings(connection, connection.info.dbname, name)
    return True


def _in_the_same(backup: Backup) -> str:
    return command_on(backup.target.environment, "restore-prod", f"{backup.timestamp} --tables {ALL} --put-back")


def _holds_nothing(conninfo: str) -> bool:
    connection = connect(conninfo, "the database of an earlier restore")
    try:
        row = connection.execute(HOLDS_NOTHING).fetchone()
        return bool(row and row[0])
    finally:
        connection.close()


def _take_settings(connection: Connection, old: str, new: str) -> None:
    # A dump of one database holds neither its settings nor the grants on the database itself.
    for statement in settings_and_grants(connection, old, new):
        with suppress(psycopg.errors.InsufficientPrivilege):  # a platform's own, which only its administrator may set
            connection.execute(statement.encode())


def _settings_lost(connection: Connection, old: str, new: str) -> tuple[Check, ...]:
    """Return a warning for what is set for the database, and could not be set for the restored one."""
    have = set(settings_and_grants(connection, new))
    lost = [
        was for was, wanted in zip(settings_and_grants(connection, old), settings_and_grants(connection, old, new), strict=True)
        if wanted not in have
    ]  # fmt: skip
    if not lost:
        return ()
    found = f"not on the restored one: {hide('; '.join(lost))}"
    return (
        Check("settings of the database", "warning", found, "those of production", "only the platform may set them"),
    )


def _drop(connection: Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _name(database: str, suffix: str) -> str:
    room = LONGEST_NAME_BYTES - len(suffix.encode())
    return database.encode()[:room].decode(errors="ignore") + suffix
