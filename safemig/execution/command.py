"""Run a migration tool's own command against one database: it gets the connection in its environment, never as an argument."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlencode

from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from safemig import live
from safemig.errors import SettingsError
from safemig.postgres.connection.poolers import refuses_options
from safemig.secrets import hide
from safemig.settings import Settings

_LAST_LINES = 40
_FRAME = re.compile(r"\s+at \S|\s*from \S+:\d+:in |\s*[{}],?\s*$|\s*[~^]+\s*$")
_GRACE_SECONDS = 10.0
_LIBPQ = {
    "host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD",
    "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended: its exit code, how long it took, and the last lines that it said, without passwords."""

    command: str
    exit_code: int
    seconds: float
    said: tuple[str, ...]

    @property
    def last_words(self) -> str:
        """What it said last, on one line, without the frames of a stack, as Python, Node, Java and Ruby write them."""
        lines = [line for line in self.said if line.strip() and not _FRAME.match(line)]
        if any(line.startswith("Traceback (most recent call last)") for line in lines):
            lines = [line for line in lines if not line[0].isspace()]  # the frames are what is indented
        said = [line.strip() for line in lines if not line.startswith("Traceback (most")]
        return " / ".join(said[-3:]) or "no message"


def words_of_command(command: str) -> list[str]:
    """Return a command's words; no shell reads it.

    Raises:
        SettingsError: a quote is not closed, there is no word, or there is no such program.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SettingsError(f"the command cannot be read: {error}", where=command, next="close the quote") from None
    if not words:
        raise SettingsError("the command is empty", where="--run", next='such as --run "alembic upgrade head"')
    if shutil.which(words[0]) is None:
        raise SettingsError(
            f"there is no program {words[0]}",
            where=f"--run {command!r}",
            next=f'name one that is installed; what a shell must read: sh -c "{command}"',
        )
    return words


def environment_for(settings: Settings, conninfo: str, *, lock_timeout: bool) -> dict[str, str]:
    """Return the environment of a command: DATABASE_URL and libpq's variables name this one database.

    The variables that name the project's own databases are taken out: a command that reads one of them would work on
    another database than the one that it is run for. `lock_timeout` limits, for clients of libpq, how long a statement
    waits for a lock, and with it how long others queue behind it.
    """
    urls = [each.url or "" for each in settings.environments.values()]
    own = {url.removeprefix("env:") for url in urls if url.startswith("env:")}
    kept = {name: value for name, value in os.environ.items() if name not in own and not name.startswith("PG")}
    parts = resolved(conninfo)
    options = [parts["options"]] if parts.get("options") else []
    if settings.deploy_as:
        options.append(f"-c role={settings.deploy_as}")
    if lock_timeout:
        options.append(f"-c lock_timeout={settings.lock_timeout_ms * settings.lock_attempts}ms")
    if options and not refuses_options(conninfo):
        kept["PGOPTIONS"] = " ".join(options)
    return {
        **kept,
        "DATABASE_URL": url_of(parts),
        **{variable: parts[name] for name, variable in _LIBPQ.items() if parts.get(name)},
    }


def resolved(conninfo: str) -> dict[str, str]:
    """Return a connection string's parts, with what a libpq service or the environment adds.

    libpq's own default `sslmode=prefer` is left out, and all about TLS where the server is a socket, which has none: other
    clients take these words for a demand (node-postgres), or know them not (lib/pq).
    """
    given = {name: str(value) for name, value in conninfo_to_dict(conninfo).items() if value is not None}
    defaults = {
        each.keyword.decode(): each.val.decode()
        for each in pq.Conninfo.get_defaults()
        if each.val and each.keyword.decode() in _LIBPQ and (each.keyword != b"sslmode" or "PGSSLMODE" in os.environ)
    }
    if service := given.pop("service", ""):
        given = {**_of_service(service), **given}
    found = {**defaults, **given}
    is_socket = found.get("host", "").startswith("/")
    return {name: value for name, value in found.items() if not (is_socket and name.startswith("ssl"))}


def _of_service(name: str) -> dict[str, str]:
    """Return what libpq's service file says of a service; libpq itself has no function for that."""
    import configparser

    home = Path(os.environ.get("PGSERVICEFILE") or Path.home() / ".pg_service.conf")
    for path in (home, Path(os.environ.get("PGSYSCONFDIR") or "/etc/postgresql-common") / "pg_service.conf"):
        reader = configparser.ConfigParser(interpolation=None)
        if path.is_file() and reader.read(path, encoding="utf-8") and reader.has_section(name):
            return dict(reader.items(name))
    return {}


def url_of(parts: Mapping[str, str]) -> str:
    """Return a connection's URL, which may hold a password: for an environment variable, and nothing else.

    A socket's folder, or several hosts, have no place before the path, and Ruby takes no user there without a host: all of
    it is in the query then. A client that does not read it there finds it in libpq's variables.
    """
    more = {name: parts[name] for name in ("sslmode", "sslrootcert") if parts.get(name)}
    host = parts.get("host", "")
    if not host or "/" in host or "," in host:
        words = ("host", "port", "user", "password") if host else ("user", "password")
        more, place = {name: parts[name] for name in words if parts.get(name)} | more, ""
    else:
        user = quote(parts.get("user", ""), safe="")
        password = f":{quote(parts['password'], safe='')}" if parts.get("password") else ""
        port = f":{parts['port']}" if parts.get("port") else ""
        place = f"{user}{password}{'@' if user else ''}{host}{port}"
    query = f"?{urlencode(more)}" if more else ""
    return f"postgresql://{place}/{quote(parts.get('dbname', ''), safe='')}{query}"


def run_command(command: str, folder: Path, environment: Mapping[str, str]) -> Ran:
    """Run a command in the project's folder and wait for its end; an interrupt ends it, with all that it started.

    Raises:
        SettingsError: there is no such program.
        KeyboardInterrupt: it was interrupted; the command has ended.
    """
    words, started = words_of_command(command), time.monotonic()
    said: deque[str] = deque(maxlen=_LAST_LINES)
    with live.stage(f"run {hide(command)}"):
        process = subprocess.Popen(
            words, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        reader = threading.Thread(target=_read, args=(process.stdout, said), daemon=True)
        reader.start()
        try:
            code = process.wait()
        except BaseException:
            _end(process)
            raise
        reader.join(timeout=_GRACE_SECONDS)  # who started what stays behind holds the pipe open
    return Ran(command, code, time.monotonic() - started, tuple(hide(line) for line in said))


def _read(stream: IO[str] | None, said: deque[str]) -> None:
    if stream is None:
        return
    with stream:
        for line in stream:
            said.append(line.rstrip("\n"))


def _end(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=_GRACE_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return


def hash_of_files(paths: Iterable[Path], home: Path) -> str:
    """Return one hash over the names and bytes of files."""
    import hashlib

    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(f"{path.relative_to(home).as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()
