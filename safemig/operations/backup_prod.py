"""backup_prod: a full and a schema backup of one snapshot, each table's rows and hash taken on the way, read back."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from safemig import live
from safemig.errors import BackupError, ToolError
from safemig.migrations import new_version
from safemig.operations.databases import open_environment, who
from safemig.postgres.activity import sizes_of
from safemig.postgres.cluster import write_cluster
from safemig.postgres.compression import SUFFIX
from safemig.postgres.connect import Connection, read_target
from safemig.postgres.dump import read_back, write_full_dump, write_schema_dump
from safemig.postgres.programs import Programs, client_programs
from safemig.results import Backup, BackupFile, TableContent, Target
from safemig.settings import PRODUCTION, Settings

EXPORT_SNAPSHOT = """
SELECT pg_export_snapshot(),
       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text,
       clock_timestamp()
"""
HOW_LARGE = "SELECT pg_database_size(current_database())"


@live.act("backup")
def backup_prod(
    settings: Settings, environment: str = PRODUCTION, *, folder: Path | None = None, read: bool = True
) -> Backup:
    """Back up a database into `backups/<environment>/` (or `folder`) and read the backup back.

    `read` False leaves that out, for who goes on to restore it, which proves more.

    Guarantee: full and schema dump are of one exported snapshot, which is closed at the end; files are made with
    mode 0600, under another name until they are whole, and never replace others.

    Raises:
        BackupError: no room, no right to write, an incomplete dump.
        ToolError: no pg_dump as new as the server, or it failed (a right is missing, ...).
        UnreachableError: the database cannot be reached.
    """
    conninfo, elsewhere = settings.conninfo(environment), folder is not None
    started = time.monotonic()
    with open_environment(settings, environment) as connection:
        target = read_target(connection, environment)
        programs = client_programs(target.server_version_num)
        folder = _prepared(folder or settings.path("backups") / environment)
        _require_room(connection, folder)
        about = sizes_of(connection).rows_estimate if live.is_watched() else None
        # The snapshot stays valid for as long as this transaction is open; it holds no lock on any table.
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            row = connection.execute(EXPORT_SNAPSHOT).fetchone()
            assert row is not None  # noqa: S101 - a SELECT of functions gives one row
            snapshot, lsn, now = row
            timestamp = _free_timestamp(folder, now)
            suffix = SUFFIX if settings.compression == "zstd" else ""
            of = {"snapshot": snapshot, "server_version_num": target.server_version_num}
            with live.stage("full backup", about):
                full, tables = write_full_dump(
                    conninfo, programs, folder / f"backup_full_{timestamp}.sql{suffix}", **of
                )
            with live.stage("schema backup"):
                schema = write_schema_dump(conninfo, programs, folder / f"backup_schema_{timestamp}.sql", **of)
        cluster, notes = _cluster(connection, conninfo, programs, folder / f"backup_cluster_{timestamp}.sql")
    if read:
        with live.stage("read it back", sum(table.rows for table in tables)):
            is_whole = read_back(full) == tables
    if read and not is_whole:
        raise BackupError(
            "the backup on disk is not what was written", where=str(full.path), next="check the disk, then try again"
        )
    backup = Backup(
        target=target,
        timestamp=timestamp,
        full=full,
        schema=schema,
        manifest=folder / f"manifest_{timestamp}.json",
        tables=tables,
        snapshot_lsn=lsn,
        client_version=programs.version,
        seconds=time.monotonic() - started,
        verified="read" if read else "no",
        cluster=cluster,
        notes=notes,
    )
    write_manifest(backup)
    if read and not elsewhere:
        remove_old(settings, folder)
    return backup


def _cluster(
    connection: Connection, conninfo: str, programs: Programs, path: Path
) -> tuple[BackupFile | None, tuple[str, ...]]:
    # Managed platforms do not let everybody read it; the data is what a deployment must not be without.
    try:
        return write_cluster(connection, conninfo, programs, path), ()
    except ToolError as error:
        return None, (f"without roles and settings of the cluster: {error.what}",)


def remove_old(settings: Settings, folder: Path) -> tuple[str, ...]:
    """Remove backups beyond the `keep_backups` newest good ones, and return their timestamps.

    Guarantee: a good one (verified, its files there with their sizes) is only removed where that many newer good ones
    are kept, never the last; rollback scripts stay. What is cut off in the middle is finished the next time.
    """
    good, removed = 0, []
    for manifest in sorted(folder.glob("manifest_*.json"), reverse=True) if settings.keep_backups else ():
        try:
            backup = read_manifest(manifest)
        except BackupError:
            continue  # not ours to judge
        files = [backup.full, backup.schema, *([backup.cluster] if backup.cluster else [])]
        if good < settings.keep_backups:
            is_whole = all(file.path.is_file() and file.path.stat().st_size == file.size_bytes for file in files)
            good += is_whole and backup.verified != "no"
            continue
        with suppress(OSError):
            for file in files:
                file.path.unlink(missing_ok=True)
            manifest.unlink()  # last, so that a removal that is cut off is seen
            removed.append(backup.timestamp)
    return tuple(removed)


def write_manifest(backup: Backup) -> None:
    """Write a backup's manifest beside it, replacing an earlier one whole or not at all."""
    content = {
        "format": 1,
        "timestamp": backup.timestamp,
        "target": asdict(backup.target),
        "server_version": backup.target.server_version,
        "client_version": backup.client_version,
        "snapshot_lsn": backup.snapshot_lsn,
        "files": {
            name: _described(file)
            for name, file in (("full", backup.full), ("schema", backup.schema), ("cluster", backup.cluster))
            if file
        },
        "tables": [asdict(table) for table in backup.tables],
        "verified": backup.verified,
        "seconds": backup.seconds,
        "notes": backup.notes,
        "by": who(),
    }
    partial = backup.manifest.with_name(backup.manifest.name + ".partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        partial.rename(backup.manifest)
    except OSError as error:
        raise BackupError(
            f"the manifest cannot be written: {error.strerror}", where=str(backup.manifest), next="free disk space"
        ) from None


def read_manifest(path: Path) -> Backup:
    """Return the backup that a manifest describes; its files are looked for beside it.

    Raises:
        BackupError: the manifest is missing or not one.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files = {
            name: BackupFile(path.parent / file["name"], file["size_bytes"], file["sha256"])
            for name, file in content["files"].items()
        }
        return Backup(
            target=Target(**content["target"]),
            timestamp=content["timestamp"],
            full=files["full"],
            schema=files["schema"],
            manifest=path,
            tables=tuple(TableContent(**table) for table in content["tables"]),
            snapshot_lsn=content["snapshot_lsn"],
            client_version=content["client_version"],
            seconds=content["seconds"],
            verified=content["verified"],
            cluster=files.get("cluster"),
            notes=tuple(content.get("notes", ())),
        )
    except OSError as error:
        raise BackupError(
            f"the manifest cannot be read: {error.strerror}", where=str(path), next="name another backup"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(
            f"not a manifest of a backup: {error!r}", where=str(path), next="name another backup"
        ) from None


def find_backup(settings: Settings, environment: str, which: str = "") -> Backup:
    """Return a backup by its timestamp or its manifest's path; the latest for "".

    Raises:
        BackupError: there is none.
    """
    folder = settings.path("backups") / environment
    if which and (path := Path(which)).suffix == ".json":
        return read_manifest(path if path.is_absolute() else settings.folder / path)
    manifests = sorted(folder.glob(f"manifest_{which or '*'}.json"))
    if not manifests:
        raise BackupError(
            f"no backup {which} of {environment}" if which else f"no backup of {environment}",
            where=str(folder),
            next="safemig backup-prod makes one",
        )
    return read_manifest(manifests[-1])


def mark_verified(settings: Settings, backup: Backup, verified: Literal["restored", "read"]) -> Backup:
    """Write into the manifest how the backup was verified, and return the backup so marked."""
    marked = replace(backup, verified=verified)
    write_manifest(marked)
    remove_old(settings, backup.manifest.parent)
    return marked


def _described(file: BackupFile) -> dict[str, object]:
    return {"name": file.path.name, "size_bytes": file.size_bytes, "sha256": file.sha256}


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
        raise BackupError("the folder for backups cannot be written", where=str(folder), next="correct its permissions")
    return folder


def _require_room(connection: Connection, folder: Path) -> None:
    row = connection.execute(HOW_LARGE).fetchone()
    size, free = (row[0] if row else 0), shutil.disk_usage(folder).free
    if free < size:
        raise BackupError(
            f"the database has {size / 2**30:,.1f} GiB, the disk {free / 2**30:,.1f} GiB free",
            where=str(folder),
            next="free disk space, or set backups to a folder on a larger disk",
        )


def _free_timestamp(folder: Path, now: datetime) -> str:
    # Two backups within a second: the later one takes the next second, so that names sort and none is replaced.
    taken = (
        path.name.partition(".")[0].rpartition("_")[2]
        for pattern in ("backup_full_*", "manifest_*")
        for path in folder.glob(pattern)
    )
    return new_version(now, taken)
