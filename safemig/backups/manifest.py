"""The folder of backups: what a manifest says, which backup is meant, which are kept, what a killed run left there."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from safemig.commands import command_on
from safemig.errors import BackupError, NoSuchFileError
from safemig.identity import who
from safemig.migrations import new_version
from safemig.results import Backup, BackupFile, BackupPart, TableContent, Target
from safemig.settings import Settings


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
        files = list(backup.files.values())
        if good < settings.keep_backups:
            good += all(_has_its_size(file) for file in files) and backup.verified != "no"
            continue
        with suppress(OSError):
            for file in files:
                _remove(file.path)
            manifest.unlink()  # last, so that a removal that is cut off is seen
            removed.append(backup.timestamp)
    return tuple(removed)


def _has_its_size(file: BackupFile) -> bool:
    described = {part.name: part.size_bytes for part in file.parts} or {"": file.size_bytes}
    places = {name: file.path / name if name else file.path for name in described}
    return all(places[name].is_file() and places[name].stat().st_size == size for name, size in described.items())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def claimed(folder: Path, now: datetime) -> Iterator[str]:
    """Give a timestamp that no other backup in the folder has, and keep it ours until the end of the block.

    Guarantee: a block that fails leaves no file of that timestamp; what one left that was killed goes with the next.
    """
    remove_abandoned(folder)
    claim = None
    while claim is None:
        timestamp = _free_timestamp(folder, now)
        claim = _claim(folder, timestamp, wait=False)
    try:
        yield timestamp
    except BaseException:
        _remove_unfinished(folder, timestamp)
        raise
    finally:
        _claim_of(folder, timestamp).unlink(missing_ok=True)
        os.close(claim)


def remove_abandoned(folder: Path) -> None:
    """Remove what a backup left in the folder whose process was killed; one that is under way is let alone."""
    for path in folder.glob("claim_*.partial"):
        timestamp = path.name.removeprefix("claim_").removesuffix(".partial")
        # The kernel ends a lock with its process, however that ends.
        if (claim := _claim(folder, timestamp, wait=False)) is not None:
            with suppress(OSError):  # another user's; or a pg_dump that is just ending
                _remove_unfinished(folder, timestamp)
                path.unlink(missing_ok=True)
            os.close(claim)


def _claim_of(folder: Path, timestamp: str) -> Path:
    return folder / f"claim_{timestamp}.partial"


def _claim(folder: Path, timestamp: str, *, wait: bool) -> int | None:
    """Return a descriptor that holds the claim to a timestamp; None where another process holds it."""
    path = _claim_of(folder, timestamp)
    while True:
        is_new = not path.exists()
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unwritable(path, error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return None
            if is_new:  # of another's it cannot be learned here whether he is at work
                path.unlink(missing_ok=True)
            raise BackupError(
                f"the folder of the backups cannot be locked: {error.strerror}",
                where=str(folder),
                next='set one on a file system with locks: backups = "..." in safemig.toml',
            ) from None
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # removed by who had it before us


def _remove_unfinished(folder: Path, timestamp: str) -> None:
    is_finished = (folder / f"manifest_{timestamp}.json").exists()
    for path in [*folder.glob(f"backup_*_{timestamp}*"), *folder.glob(f"manifest_{timestamp}.json.partial")]:
        if not is_finished or path.suffix == ".partial":
            _remove(path)


def _free_timestamp(folder: Path, now: datetime) -> str:
    # Two backups within a second: the later one takes the next second, so that names sort and none is replaced.
    taken = (
        path.name.partition(".")[0].rpartition("_")[2]
        for pattern in ("backup_full_*", "manifest_*", "claim_*")
        for path in folder.glob(pattern)
    )
    return new_version(now, taken)


def write_manifest(backup: Backup) -> None:
    """Write a backup's manifest beside it, replacing an earlier one whole or not at all."""
    content = {
        "format": 1,
        "timestamp": backup.timestamp,
        "target": asdict(backup.target),
        "server_version": backup.target.server_version,
        "client_version": backup.client_version,
        "snapshot_lsn": backup.snapshot_lsn,
        "files": {name: _described(file) for name, file in backup.files.items()},
        "tables": [asdict(table) for table in backup.tables],
        "verified": backup.verified,
        "seconds": backup.seconds,
        "notes": backup.notes,
        "left_out": backup.left_out,
        "hosted_on": backup.hosted_on,
        "history": backup.history,
        "not_by_psql": backup.not_by_psql,
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
        raise _unwritable(backup.manifest, error) from None


def _unwritable(path: Path, error: OSError) -> BackupError:
    return BackupError(f"the manifest cannot be written: {error.strerror}", where=str(path), next="free disk space")


def read_manifest(path: Path) -> Backup:
    """Return the backup that a manifest describes; its files are looked for beside it.

    Raises:
        BackupError: the manifest is missing or not one.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files = {
            name: BackupFile(
                path.parent / Path(file["name"]).name,  # beside it, whatever it says
                file["size_bytes"],
                file["sha256"],
                tuple(BackupPart(**part) for part in file.get("parts", ())),
            )
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
            team=files.get("team"),
            notes=tuple(content.get("notes", ())),
            left_out=tuple(content.get("left_out", ())),
            hosted_on=content.get("hosted_on", ""),
            history=tuple(content.get("history", ())),
            not_by_psql=tuple(content.get("not_by_psql", ())),
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
        NoSuchFileError: there is none of that name.
        BackupError: there is none at all.
    """
    folder = settings.path("backups") / environment
    if which and (path := Path(which)).suffix == ".json":
        return read_manifest(path if path.is_absolute() else settings.folder / path)
    manifests = sorted(folder.glob(f"manifest_{which or '*'}.json"))
    known = sorted(path.stem.removeprefix("manifest_") for path in folder.glob("manifest_*.json"))
    if not manifests and known:
        raise NoSuchFileError(
            f"no backup {which} of {environment}", where=str(folder), next=f"name one of: {', '.join(known[-5:])}"
        )
    if not manifests:
        raise BackupError(
            f"no backup {which} of {environment}" if which else f"no backup of {environment}",
            where=str(folder),
            next=f"{command_on(environment, 'backup-prod')} makes one",
        )
    return read_manifest(manifests[-1])


def mark_verified(
    settings: Settings, backup: Backup, verified: Literal["restored", "read", "no"], notes: Sequence[str] = ()
) -> Backup:
    """Write into the manifest how the backup was verified and what that showed, and return the backup so marked."""
    restored = tuple(notes) if verified == "restored" else ()
    more = () if verified == "restored" else tuple(notes)
    marked = replace(backup, verified=verified, not_by_psql=restored, notes=(*backup.notes, *more))
    folder = backup.manifest.parent
    claim = _claim(folder, backup.timestamp, wait=True)
    try:
        write_manifest(marked)
    finally:
        _claim_of(folder, backup.timestamp).unlink(missing_ok=True)
        if claim is not None:
            os.close(claim)
    remove_old(settings, folder)
    return marked


def _described(file: BackupFile) -> dict[str, object]:
    described: dict[str, object] = {"name": file.path.name, "size_bytes": file.size_bytes, "sha256": file.sha256}
    if file.parts:
        described["parts"] = [asdict(part) for part in file.parts]
    return described
