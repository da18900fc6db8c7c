"""The data folder of a throwaway server: made by initdb once a version, copied from then on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from safemig.errors import ToolError
from safemig.postgres.server.programs import Programs

SUPERUSER = "postgres"
_ROOT_CACHE = Path("/var/cache/safemig")
_LOCALES = Path("/usr/lib/locale")


class RunAs(TypedDict, total=False):
    """How subprocess runs a program as another user; empty for ourselves."""

    user: int
    group: int
    extra_groups: list[int]


def run_as(user: pwd.struct_passwd | None) -> RunAs:
    """Return the arguments of subprocess that run a program as `user`, or as ourselves for None."""
    return RunAs() if user is None else RunAs(user=user.pw_uid, group=user.pw_gid, extra_groups=[])


def make_data_folder(
    programs: Programs,
    home: Path,
    user: pwd.struct_passwd | None,
    environment: Mapping[str, str],
    *,
    unique: bool,
    superuser: str = SUPERUSER,
) -> None:
    """Make `home / "data"`, the data folder of a server that was never started, owned by `user`.

    A copy of one that initdb made before, where the cache holds it and `unique` is False: five times as fast, but all
    copies carry one system identifier. `unique` runs initdb, for a server that is kept.

    Raises:
        ToolError: initdb failed; its words are in the message.
    """
    prepared = None if unique else _prepared(programs, user, environment, superuser)
    if prepared is None or not _copy(prepared, home / "data", user):
        _initdb(programs, home / "data", user, environment, superuser)


def _prepared(
    programs: Programs, user: pwd.struct_passwd | None, environment: Mapping[str, str], superuser: str
) -> Path | None:
    """Return the cached data folder, made now if it is missing; None where the cache cannot be written."""
    cache = _ROOT_CACHE if user is not None else _cache_of_ours()
    if cache is None:
        return None
    folder = cache / f"data-{programs.version}-{_mark(programs, user, superuser)}"
    if folder.is_dir():
        return folder
    half_made: Path | None = None
    try:
        cache.mkdir(mode=0o755, parents=True, exist_ok=True)
        half_made = Path(tempfile.mkdtemp(prefix=folder.name + ".", dir=cache))
        if user is not None:
            os.chown(half_made, user.pw_uid, user.pw_gid)
        _initdb(programs, half_made / "data", user, environment, superuser)
        (half_made / "data").rename(folder)
    except (OSError, ToolError):  # a full or read-only cache; another process that was first
        return folder if folder.is_dir() else None
    finally:
        if half_made is not None:
            shutil.rmtree(half_made, ignore_errors=True)
    return folder


def _cache_of_ours() -> Path | None:
    with contextlib.suppress(RuntimeError):  # no home folder
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "safemig"
    return None


def _mark(programs: Programs, user: pwd.struct_passwd | None, superuser: str) -> str:
    """Return what a data folder depends on, as a short hash: the server, who runs it, its superuser, the collations."""
    mark = hashlib.sha256(programs.path("postgres").read_bytes())
    mark.update(programs.path("initdb").read_bytes())
    archive = _LOCALES / "locale-archive"
    locales = sorted(path.name for path in _LOCALES.iterdir()) if _LOCALES.is_dir() else []
    facts = (
        superuser,
        os.geteuid() if user is None else user.pw_uid,
        locales,
        archive.stat().st_mtime_ns if archive.is_file() else 0,
    )
    mark.update(repr(facts).encode())
    return mark.hexdigest()[:16]


def _copy(prepared: Path, data: Path, user: pwd.struct_passwd | None) -> bool:
    answer = subprocess.run(
        ["/bin/cp", "-Rp", prepared, data], capture_output=True, check=False, cwd="/", **run_as(user)
    )
    if answer.returncode != 0:
        shutil.rmtree(data, ignore_errors=True)
    return answer.returncode == 0


def _initdb(
    programs: Programs, data: Path, user: pwd.struct_passwd | None, environment: Mapping[str, str], superuser: str
) -> None:
    command: list[str | Path] = [
        programs.path("initdb"), "--pgdata", data, "--username", superuser, "--auth", "trust",
        "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions",
    ]  # fmt: skip
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", env=environment, **run_as(user)
    )
    if answer.returncode != 0:
        raise ToolError(
            "initdb could not make a throwaway server's data folder",
            where=f"{data.parent}: {answer.stderr.strip()[-1000:]}",
            next="free disk space, or set TMPDIR to a folder with room",
        )
