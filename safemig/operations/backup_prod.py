"""backup_prod: a full and a schema backup of one snapshot, each table's rows and hash taken on the way, read back."""

from __future__ import annotations

import math
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from safemig import live
from safemig.backups.manifest import claimed, mark_verified, remove_old, write_manifest
from safemig.errors import BackupError, ToolError
from safemig.execution.environment import open_environment
from safemig.execution.layout import layout_for
from safemig.execution.lock_watch import watched_dump
from safemig.fault_points import FaultPoint, pass_point
from safemig.postgres.activity import sizes_of
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import read_target
from safemig.postgres.dump.backup_files import write_whole
from safemig.postgres.dump.cluster import write_cluster
from safemig.postgres.dump.compression import SUFFIXES, compressed
from safemig.postgres.dump.directory import TABLES_BY_OID, compression_option, write_directory
from safemig.postgres.dump.piecewise import script_of
from safemig.postgres.dump.plain import read_back, write_full_dump, write_schema_dump
from safemig.postgres.dump.team_script import TeamScript, read_ownership
from safemig.postgres.server.programs import Programs, client_programs
from safemig.postgres.unreadable import exclusions, hosted_on, platform_tables_left_out
from safemig.results import BOOKKEEPING_TABLES, Backup, BackupFile, TableContent
from safemig.settings import PRODUCTION, Settings

EXPORT_SNAPSHOT = """
SELECT pg_export_snapshot(),
       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text
"""
NOW = "SELECT clock_timestamp()"
HOW_LARGE = "SELECT pg_database_size(current_database())"
# What `psql -1` and `pg_restore -1` lock in one transaction over the damaged database: all that they drop, and all that
# they make. The server's room for locks (manual, 19.12) may be overdrawn by little only.
LOCKS_OF_ONE_TRANSACTION = """
SELECT 2 * ((SELECT count(*) FROM pg_class WHERE oid >= 16384) + (SELECT count(*) FROM pg_constraint)),
       current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int,
       current_setting('max_locks_per_transaction')::int
"""


@live.act("backup")
def backup_prod(settings: Settings, environment: str = PRODUCTION, *, verify: bool = True) -> Backup:
    """Back up a database into `backups/<environment>/`, and prove the backup by restoring it (see `verify_backup`).

    `verify` False only reads it back; the backup then says of itself that it is not verified.

    Raises:
        BackupError: no room, no right to write, an incomplete dump; or one that does not restore, naming the object.
        ToolError: no pg_dump as new as the server, or it failed (a right is missing, ...).
        UnreachableError: the database cannot be reached.
    """
    from safemig.operations.verify_backup import verify_backup

    backup = take_backup(settings, environment)
    if not verify:
        return mark_verified(settings, backup, backup.verified, ("not restored: --no-verify",))
    with open_environment(settings, environment) as connection:
        return verify_backup(settings, connection, backup)


@live.act("backup")
def take_backup(
    settings: Settings,
    environment: str = PRODUCTION,
    *,
    folder: Path | None = None,
    read: bool = True,
    rows: bool = True,
) -> Backup:
    """Back up a database into `backups/<environment>/` (or `folder`) and read the backup back.

    `read` False leaves that out, for who goes on to restore it, which proves more. `rows` False takes the schema only, for
    a rehearsal without rows: the full backup is then that of the schema.

    Guarantee: full and schema dump are of one exported snapshot, which is closed at the end; files are made with
    mode 0600, under another name until they are whole, and never replace others.

    Raises:
        BackupError: no room, no right to write, an incomplete dump.
        ToolError: no pg_dump as new as the server, or it failed (a right is missing, ...).
        UnreachableError: the database cannot be reached.
    """
    pass_point(FaultPoint.BACKUP_BEGINS)
    elsewhere, started = folder is not None, time.monotonic()
    is_history = layout_for(settings).keeps_history_in
    with open_environment(settings, environment) as connection:
        target = read_target(connection, environment)
        left_out, hosted = platform_tables_left_out(connection), hosted_on(connection)
        programs = client_programs(target.server_version_num)
        dump = _Dump(settings, environment, programs, target.server_version_num, left_out)
        dump.require_fitting()
        folder = _prepared(folder or settings.path("backups") / environment)
        with_script = bool(hosted) and rows and not elsewhere
        if rows:
            share = 1.0 if elsewhere else share_of_backup(connection)
            what = "the backup and the team's script of it" if with_script else "the backup"
            require_room(
                connection, folder, share, what, "free disk space, or set backups to a folder on a larger disk"
            )
        about = sizes_of(connection).rows_estimate if live.is_watched() else None
        ((now,),) = connection.execute(NOW).fetchall()
        with claimed(folder, now) as timestamp:
            pass_point(FaultPoint.BACKUP_CLAIMED)
            taken = dump.take(connection, folder, timestamp, rows=rows, about=about)
            full = taken.full or taken.schema
            if read and rows:
                _require_as_written(full, taken.tables)
                pass_point(FaultPoint.BACKUP_READ_BACK)
            team, left = dump.team(connection, folder, timestamp, taken) if with_script else (None, ())
            backup = Backup(
                target=target,
                timestamp=timestamp,
                full=full,
                schema=taken.schema,
                manifest=folder / f"manifest_{timestamp}.json",
                tables=taken.tables,
                snapshot_lsn=taken.lsn,
                client_version=dump.programs.version,
                seconds=time.monotonic() - started,
                verified="read" if read else "no",
                cluster=taken.cluster,
                team=team,
                notes=(*taken.notes, *left),
                left_out=left_out,
                hosted_on=hosted,
                history=tuple(table.name for table in taken.tables if is_history(table.name)),
            )
            pass_point(FaultPoint.MANIFEST_BEGINS)
            write_manifest(backup)
    if read and not elsewhere:
        remove_old(settings, folder)
    pass_point(FaultPoint.BACKUP_TAKEN)
    return backup


@dataclass(frozen=True, slots=True)
class _Taken:
    """What was taken of one snapshot, and where that stands in the WAL."""

    full: BackupFile | None
    tables: tuple[TableContent, ...]
    schema: BackupFile
    cluster: BackupFile | None
    notes: tuple[str, ...]
    lsn: str


@dataclass(frozen=True, slots=True)
class _Dump:
    """What the dumps of one backup have in common."""

    settings: Settings
    environment: str
    programs: Programs
    server_version_num: int
    left_out: tuple[str, ...]

    @property
    def _conninfo(self) -> str:
        return self.settings.conninfo(self.environment)

    def require_fitting(self) -> None:
        """Look whether the programs can do what the settings ask for.

        Raises:
            ToolError: they cannot.
        """
        major = self.server_version_num // 10000
        if self.settings.backup_format != "directory":
            return
        if self.programs.major != major:
            # What a newer pg_restore sets, an older server refuses (17: transaction_timeout); SQL can be rewritten.
            raise ToolError(
                f"a backup in directory format needs the pg_dump and pg_restore of PostgreSQL {major}",
                where=f"found: {self.programs.version}, {self.programs.folder}",
                next=f'install postgresql-client-{major}, or set backup_format to "plain"',
            )
        if not self.programs.path("pg_restore").is_file():
            raise ToolError(
                "a backup in directory format needs pg_restore",
                where=str(self.programs.folder),
                next=f'install postgresql-client-{major} whole, or set backup_format to "plain"',
            )

    def take(self, connection: Connection, folder: Path, timestamp: str, *, rows: bool, about: int | None) -> _Taken:
        """Take all dumps of one snapshot: with `rows` the full one (of `about` so many), the schema's, the cluster's."""
        full: BackupFile | None = None
        tables: tuple[TableContent, ...] = ()
        notes: tuple[str, ...] = ()
        # The snapshot stays valid for as long as this transaction is open; it holds no lock on any table.
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            ((snapshot, lsn),) = connection.execute(EXPORT_SNAPSHOT).fetchall()
            # The two small ones beside the large one: they end long before it.
            with ThreadPoolExecutor(1) as beside:
                small = beside.submit(self.small, folder, timestamp, snapshot)
                if rows:
                    with live.stage("full backup", about):
                        pass_point(FaultPoint.FULL_DUMP_BEGINS)
                        full, tables, notes = self.full(connection, folder, timestamp, snapshot)
                        pass_point(FaultPoint.FULL_DUMP_WRITTEN)
                    notes += _room_for_locks(connection)
                with live.stage("schema backup"):
                    schema, cluster, more_notes = small.result()
        return _Taken(full, tables, schema, cluster, notes + more_notes, lsn)

    def full(
        self, connection: Connection, folder: Path, timestamp: str, snapshot: str
    ) -> tuple[BackupFile, tuple[TableContent, ...], tuple[str, ...]]:
        """Take the full dump; return what it is, what it holds, and what is to be told of it."""
        settings = self.settings
        if settings.backup_format == "plain":
            path = folder / f"backup_full_{timestamp}.sql{SUFFIXES[settings.compression]}"
            file, content = write_full_dump(
                self._conninfo, self.programs, path, snapshot=snapshot,
                server_version_num=self.server_version_num, compression=settings.compression, without=self.left_out,
            )  # fmt: skip
            return file, content, ()
        option, note = compression_option(self.programs, settings.compression)
        names = dict(connection.execute(TABLES_BY_OID).fetchall())
        with watched_dump(self._conninfo, self.environment):
            file, content = write_directory(
                self._conninfo, self.programs, folder / f"backup_full_{timestamp}", snapshot=snapshot,
                names=names, jobs=settings.backup_jobs, options=(option, *exclusions(self.left_out)),
            )  # fmt: skip
        live.reached(sum(table.rows for table in content if not table.name.startswith(BOOKKEEPING_TABLES)))
        return file, content, (note,) if note else ()

    def small(
        self, folder: Path, timestamp: str, snapshot: str
    ) -> tuple[BackupFile, BackupFile | None, tuple[str, ...]]:
        """Take the schema's dump and the cluster's; return both, and what is to be told of them."""
        pass_point(FaultPoint.SCHEMA_DUMP_BEGINS)
        schema = write_schema_dump(
            self._conninfo, self.programs, folder / f"backup_schema_{timestamp}.sql",
            snapshot=snapshot, server_version_num=self.server_version_num, without=self.left_out,
        )  # fmt: skip
        path = folder / f"backup_cluster_{timestamp}.sql"
        # Managed platforms do not let everyone read it; the data is what a deployment must not be without.
        try:
            with open_environment(self.settings, self.environment) as connection:
                return schema, write_cluster(connection, self._conninfo, self.programs, path), ()
        except ToolError as error:
            return schema, None, (f"without roles and settings of the cluster: {error.what}",)

    def team(
        self, connection: Connection, folder: Path, timestamp: str, taken: _Taken
    ) -> tuple[BackupFile, tuple[str, ...]]:
        """Write what is the team's as a script (see `team_script`); return it, and in words whose rows it lacks."""
        full = taken.full or taken.schema
        with live.stage("what is yours, as a script", sum(table.rows for table in taken.tables)):
            with taken.schema.path.open("rb") as stream:
                script = TeamScript.of(read_ownership(connection), stream)
            # pg_dump compresses a folder by itself, whatever Python has.
            how = self.settings.compression if not full.parts or self.settings.compression == "none" else "gzip"
            path = folder / f"backup_team_{timestamp}.sql{SUFFIXES[how]}"
            with script_of(self.programs, full.path, "--clean", "--if-exists") as stream:
                file = write_whole(path, compressed(script.pieces(stream), how))
        held = {table.name for table in taken.tables if table.rows}
        return file, tuple(f"not in {path.name}: the rows of {name}" for name in script.left_out if name in held)


def _room_for_locks(connection: Connection) -> tuple[str, ...]:
    """Return what a restore by hand needs of the server first, where one transaction over all tables has no room."""
    ((locks, sessions, setting),) = connection.execute(LOCKS_OF_ONE_TRANSACTION).fetchall()
    if locks <= sessions * setting:
        return ()
    needed = math.ceil(locks / sessions)
    return (
        f"by hand, one transaction takes about {locks:,} locks, and this server has room for {sessions * setting:,}: set "
        f"max_locks_per_transaction = {needed} (now {setting}) and restart it first; restore-prod does not need that",
    )


def _require_as_written(full: BackupFile, tables: tuple[TableContent, ...]) -> None:
    with live.stage("read it back", sum(table.rows for table in tables)):
        if read_back(full) != tables:
            raise BackupError(
                "the backup on disk is not what was written",
                where=str(full.path),
                next="check the disk, then try again",
            )


def _prepared(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BackupError(
            f"the folder for backups cannot be made: {error.strerror}",
            where=str(folder),
            next="correct its permissions",
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        is_read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        raise BackupError(
            "the folder for backups cannot be written" + (": its file system is read-only" if is_read_only else ""),
            where=str(folder),
            next='set another one: backups = "..." in safemig.toml' if is_read_only else "correct its permissions",
        )
    return folder


# A copy that a backup is restored into, as a share of the database's size: with its indexes, and to spare.
COPY_SHARE = 1.5


def share_of_backup(connection: Connection) -> float:
    """Return the room that a backup may need, as a share of the database's size: on a platform also the team's script."""
    return 2.0 if hosted_on(connection) else 1.0


def require_room(connection: Connection, folder: Path, share: float, what: str, then: str) -> None:
    """Look whether the disk of `folder` has room for `share` times the database's size.

    Raises:
        BackupError: it has not; `what` is to go there, `then` is what can be done.
    """
    row = connection.execute(HOW_LARGE).fetchone()
    size, free = (row[0] if row else 0), shutil.disk_usage(folder).free
    if free < size * share:
        raise BackupError(
            f"the database has {size / 2**30:,.1f} GiB, the disk {free / 2**30:,.1f} GiB free, "
            f"and {what} may take {size * share / 2**30:,.1f} GiB",
            where=str(folder),
            next=then,
        )
