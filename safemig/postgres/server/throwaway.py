"""The throwaway server: a real PostgreSQL of our own, on a Unix socket only, that ends with this process."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import psycopg
from psycopg import sql

from safemig import live
from safemig.errors import ToolError
from safemig.postgres.server.data_folder import SUPERUSER, make_data_folder, run_as
from safemig.postgres.server.private_installation import ExtraFiles, make_private_installation
from safemig.postgres.server.programs import Programs, server_programs

PORT = 5432
CONNECTIONS = 100
# A Unix socket's path may have 107 bytes (unix(7)); ours ends in /.s.PGSQL.5432.
_LONGEST_FOLDER = 107 - len("/.s.PGSQL.5432")
_START_SECONDS = 60.0
_QUICKLY_SECONDS = 1.0  # a removal that takes longer is told

# Safe here only because the data is a copy: losing it in a crash of the machine loses nothing.
_FOR_COPIES = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "shared_buffers": "128MB",
    "max_connections": str(CONNECTIONS),
    "log_min_messages": "warning",
}


class ThrowawayServer:
    """A PostgreSQL server with its own data folder and socket folder, and no TCP.

    Guarantee: it ends with the process that started it, also when that is killed, and its data folder is removed
    then (unless `folder` was given: then the data stays). Started as root, the server runs as another user.
    Use as a context manager, or call `stop`.
    """

    def __init__(
        self, programs: Programs, folder: Path, supervisor: subprocess.Popen[bytes], superuser: str = SUPERUSER
    ) -> None:
        self.programs = programs
        self.folder = folder
        self.superuser = superuser
        self._supervisor = supervisor
        self.exceptions: tuple[str, ...] = ()  # what copies on it do not show, in words

    def __repr__(self) -> str:
        state = "running" if self._supervisor.poll() is None else "ended"
        return f"<ThrowawayServer PostgreSQL {self.programs.version} in {self.folder} ({state})>"

    @classmethod
    def start(
        cls,
        *,
        at_least: int | None = None,
        major: int | None = None,
        programs: Programs | None = None,
        folder: Path | None = None,
        settings: Mapping[str, str] | None = None,
        superuser: str = SUPERUSER,
        extra: ExtraFiles | None = None,
    ) -> ThrowawayServer:
        """Start a server and wait until it answers (about a second).

        `major` asks for exactly that version, `at_least` for the lowest one not below it; `programs` names the
        installation outright. `folder` keeps the data there (made if missing, opened again if it holds a server's data
        already). `superuser` is the name of the role that the server is made with. With `extra` the server runs from a
        private installation that has these files, too.

        Raises:
            ToolError: no server of that version on this machine, or it did not start (with the server's own words).
        """
        programs = programs or server_programs(at_least, major=major)
        user = _server_user()
        programs = _reachable(programs, user)
        keep = folder is not None
        home = _folder_for(user, folder)
        try:
            if not (home / "data").is_dir():
                make_data_folder(programs, home, user, _environment(programs), unique=keep, superuser=superuser)
            if extra:
                programs = make_private_installation(programs, home, extra)
            supervisor = _start_supervisor(
                programs, home, user, keep=keep, settings={**_FOR_COPIES, **(settings or {})}
            )
        except BaseException:
            if not keep:
                shutil.rmtree(home, ignore_errors=True)
            raise
        server = cls(programs, home, supervisor, superuser)
        try:
            server._wait_until_ready()
        except BaseException:
            server.stop()
            raise
        return server

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.programs.major

    def url(self, database: str = "postgres") -> str:
        """Return the connection URL of `database` for the superuser; it holds no password."""
        return (
            f"postgresql://{self.superuser}@/{quote(database, safe='')}"
            f"?host={quote(str(self.folder), safe='')}&port={PORT}"
        )

    def create_database(self, name: str, *, template: str | None = None, options: sql.Composable | None = None) -> str:
        """Create a database, by default from `template0`, or as `options` of CREATE DATABASE say, and return its URL."""
        how = options or sql.SQL("TEMPLATE {}").format(sql.Identifier(template or "template0"))
        # By files (15 and later): half the work of the write-ahead log for an empty one, and far less for a large one.
        by_files = sql.SQL("STRATEGY file_copy" if self.major >= 15 else "")
        self._administer(sql.SQL("CREATE DATABASE {} {} {}").format(sql.Identifier(name), how, by_files))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending its sessions first; it may be missing."""
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def stop(self) -> None:
        """End the server and wait for it; the data folder goes, unless it was given. Safe to call again."""
        if self._supervisor.stdin and not self._supervisor.stdin.closed:
            self._supervisor.stdin.close()
        try:
            self._supervisor.wait(_QUICKLY_SECONDS)
        except subprocess.TimeoutExpired:  # of thousands of tables
            with live.stage("remove the throwaway PostgreSQL"):
                self._supervisor.wait()

    def __enter__(self) -> ThrowawayServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _administer(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                log = self.folder / "server.log"
                words = log.read_text(errors="replace")[-2000:] if log.is_file() else str(error)
                if self._supervisor.poll() is not None or time.monotonic() > deadline:
                    raise ToolError(
                        f"the throwaway PostgreSQL {self.programs.version} did not start",
                        where=f"{self.programs.folder}: {words.strip()}",
                        next="free disk space in the temporary folder, or install another PostgreSQL",
                    ) from None
            time.sleep(0.05)


def _server_user() -> pwd.struct_passwd | None:
    """Return whom to run the server as: None for ourselves, else (PostgreSQL refuses root) an unprivileged user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ToolError(
        "PostgreSQL will not run as root, and there is no other user to run it as",
        where="neither postgres nor nobody is in /etc/passwd",
        next="run safemig as an ordinary user, or create the user postgres",
    )


def _environment(programs: Programs) -> dict[str, str]:
    # Nothing of ours: no PG* variable may reach the server, and no secret either.
    return {"PATH": f"{programs.folder}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _runs_as(program: Path, user: pwd.struct_passwd) -> bool:
    try:
        return (
            subprocess.run([program, "--version"], capture_output=True, check=False, cwd="/", **run_as(user)).returncode
            == 0
        )
    except PermissionError:
        return False


def _reachable(programs: Programs, user: pwd.struct_passwd | None) -> Programs:
    """Return programs that `user` can run: a copy (made once a version) where the folder is closed to them."""
    if user is None or _runs_as(programs.path("postgres"), user):
        return programs
    root = programs.folder.parent
    package = root.parent
    # By content and layout, so that all virtual environments share one copy.
    layout = f"{package.name}/{root.name}/{programs.folder.name}".encode()
    mark = hashlib.sha256(layout + programs.path("postgres").read_bytes()).hexdigest()[:12]
    home = Path("/var/cache/safemig") / f"postgresql-{programs.version}-{mark}"
    if not home.is_dir():
        home.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        half_made = Path(tempfile.mkdtemp(prefix=home.name + ".", dir=home.parent))
        # As a wheel lays them out: the programs look for their libraries beside the package, by a relative path.
        shutil.copytree(root, half_made / package.name / root.name, symlinks=True)
        for libraries in package.parent.glob(f"{package.name}*.libs"):
            shutil.copytree(libraries, half_made / libraries.name)
        half_made.chmod(0o755)
        try:
            half_made.rename(home)
        except OSError:  # someone else was first
            shutil.rmtree(half_made)
    folder = home / package.name / root.name / programs.folder.name
    copied = replace(programs, folder=folder)
    if not _runs_as(copied.path("postgres"), user):
        raise ToolError(
            f"the user {user.pw_name} cannot run PostgreSQL {programs.version}",
            where=str(programs.folder),
            next="run safemig as an ordinary user, or install the package postgresql",
        )
    return copied


def _folder_for(user: pwd.struct_passwd | None, wanted: Path | None) -> Path:
    if wanted is not None:
        home = wanted.resolve()
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    else:
        home = Path(tempfile.mkdtemp(prefix="safemig-"))
        if len(str(home)) > _LONGEST_FOLDER:
            home.rmdir()
            home = Path(tempfile.mkdtemp(prefix="safemig-", dir="/tmp"))
    if len(str(home)) > _LONGEST_FOLDER:
        raise ToolError(
            f"the server's folder has a path of {len(str(home))} characters; a Unix socket allows {_LONGEST_FOLDER}",
            where=str(home),
            next="choose a folder with a shorter path",
        )
    if user is not None:
        os.chown(home, user.pw_uid, user.pw_gid)
        if subprocess.run(["/usr/bin/test", "-w", home], check=False, cwd="/", **run_as(user)).returncode != 0:
            raise ToolError(
                f"the server runs as {user.pw_name}, who cannot enter its folder",
                where=str(home),
                next="choose a folder outside of a closed home folder",
            )
    return home


def _start_supervisor(
    programs: Programs, home: Path, user: pwd.struct_passwd | None, *, keep: bool, settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    who = ("-1", "-1") if user is None else (str(user.pw_uid), str(user.pw_gid))
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [
        sys.executable, "-I", "-S", str(Path(__file__).with_name("server_supervisor.py")), str(home), "1" if keep else "0", *who,
        str(programs.path("postgres")), "-D", str(home / "data"), "-k", str(home), "-p", str(PORT),
        "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", *options,
    ]  # fmt: skip
    # A session of its own: the terminal's Ctrl-C is for us, not for the server.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=_environment(programs), cwd="/", start_new_session=True,
    )  # fmt: skip
