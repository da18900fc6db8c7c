"""Run pg_dump, pg_restore and psql so that no secret shows in a process list, and their failures are read, not guessed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from safemig.errors import BackupError, ToolError, UnreachableError
from safemig.postgres.connection import session_settings
from safemig.postgres.connection.connect import are_encrypted, connect, server_versions
from safemig.postgres.connection.network_watchdog import LOOKS_WHILE_UNREACHABLE, beside
from safemig.postgres.connection.poolers import refuses_options
from safemig.postgres.dump.compression import Readable, is_compressed, opened
from safemig.postgres.server.programs import WITHOUT_TLS, Program, Programs, require_tls
from safemig.secrets import hide

# Gives the lines of a script as they are to be run.
Rewrite = Callable[[Iterator[bytes]], Iterator[bytes]]
# A table without a live row may keep pg_dump silent for long, and so may a lock that it waits for (then for a minute).
SILENT_SECONDS = 60.0
LOCK_WAIT = "--lock-wait-timeout=60s"
A_DUMP_IS_AT_WORK = """
SELECT 1 FROM pg_stat_activity
WHERE application_name = %s AND state = 'active' AND wait_event IS DISTINCT FROM 'ClientWrite' LIMIT 1
"""
WHAT_A_RESTORE_DOES = """
SELECT a.state = 'active' AND a.wait_event_type IS DISTINCT FROM 'Client', a.pid, a.state_change, p.bytes_processed
FROM pg_stat_activity a LEFT JOIN pg_stat_progress_copy p USING (pid) WHERE a.application_name = %s ORDER BY a.pid
"""
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
# What writes and reads files of its own would go on without us: the kernel ends it when this process is killed
# (PR_SET_PDEATHSIG is 1). SIGTERM, at which pg_dump and pg_restore end their workers and cancel what they run.
ENDING_WITH_US = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]): os.execv(sys.argv[2], sys.argv[2:])
"""


@contextmanager
def without_password(conninfo: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Give (a connection string without its password, an environment that leads libpq to it).

    The password stands in a file that only we can read, for as long as the block lasts: neither a command line
    nor an environment, which `ps e` shows, holds it.
    """
    parts = conninfo_to_dict(conninfo)
    password = parts.pop("password", None)
    environment = os.environ | session_settings.as_environment()
    if password is None:
        yield make_conninfo("", **parts), environment
        return
    environment.pop("PGPASSWORD", None)
    escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
    descriptor, name = tempfile.mkstemp(prefix="safemig-pgpass-")  # mode 0600, as libpq demands
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"*:*:*:*:{escaped}\n")
        yield make_conninfo("", **parts, passfile=name), environment
    finally:
        Path(name).unlink(missing_ok=True)


def pg_dump_arguments(conninfo: str, *options: str) -> list[str]:
    """Return the arguments that dump what `conninfo` (without a password) names, asking for nothing."""
    return [f"--dbname={conninfo}", "--no-password", *options]


def session_name(program: Program) -> str:
    """Return the application name of the sessions of a program that we run."""
    return f"safemig {'dump' if program == 'pg_dump' else 'restore'} {os.getpid()}"


@contextmanager
def piped(
    programs: Programs, program: Program, conninfo: str, *options: str, ends_with_us: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `program` with its standard output piped to us; at the end of the block it must have succeeded.

    `ends_with_us` is for one that writes or reads files by itself, perhaps by several processes: it ends when we do.

    Raises:
        ToolError: it ended with an error; the message has its own words, without secrets.
    """
    with without_password(conninfo) as (plain, environment), tempfile.TemporaryFile() as stderr:
        plain = _pinned(programs, plain, environment, conninfo, program)
        command = [str(programs.path(program)), *pg_dump_arguments(plain, *options)]
        if ends_with_us:
            command = [sys.executable, "-I", "-S", "-c", ENDING_WITH_US, str(os.getpid()), *command]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, env=environment, umask=0o077,
            start_new_session=ends_with_us,
        )  # fmt: skip
        try:
            yield process
        except BaseException:
            if ends_with_us:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # its workers, too
            process.kill()
            process.wait()
            raise
        finally:
            if process.stdout:
                process.stdout.close()
        if process.wait() != 0:
            stderr.seek(0)
            raise _failure(programs, program, stderr.read().decode(errors="replace"), conninfo)


def _pinned(
    programs: Programs, plain: str, environment: dict[str, str], conninfo: str, program: Program, more: str = ""
) -> str:
    """Return a connection string with the settings of our sessions (see `session_settings`) and a name of its own.

    By options, not by statements: pg_dump's first queries come before any that it could be made to run.
    """
    if conninfo not in server_versions:
        connect(conninfo, "the database").close()
    if are_encrypted.get(conninfo):
        require_tls(programs, program)
    # Its own name, by which its session is found (libpq's fallback_application_name says only "pg_dump").
    named = make_conninfo(plain, application_name=session_name(program))
    if refuses_options(conninfo):  # a pooler; time zone and dates are set by the environment all the same
        return named
    given = conninfo_to_dict(plain).get("options") or environment.get("PGOPTIONS", "")
    options = f"{given} {session_settings.as_options(server_versions[conninfo])} {more}".strip()
    return make_conninfo(named, options=options)


def require_at_work(process: subprocess.Popen[bytes], conninfo: str) -> None:
    """Look whether a pg_dump that has been silent for SILENT_SECONDS is at work.

    Raises:
        BackupError: its session does nothing, or is gone.
    """
    connection = connect(conninfo, "the database")
    try:
        works = connection.execute(A_DUMP_IS_AT_WORK, (session_name("pg_dump"),)).fetchone()
    finally:
        connection.close()
    if not works:
        raise BackupError(
            f"pg_dump has sent nothing for {SILENT_SECONDS:g} s, and its session does no work",
            where=f"process {process.pid}, ended by safemig",
            next="check this machine (a stopped process, a network that drops packets), then try again",
        )


def encoding_of(conninfo: str) -> str:
    """Return pg_dump's option for the encoding to dump a database in: UTF-8, or for SQL_ASCII its bytes as they are."""
    # What is in an SQL_ASCII database need not be UTF-8, and the server refuses to send it as such.
    connection = connect(conninfo, "the database")
    try:
        is_bytes = connection.info.parameter_status("server_encoding") == "SQL_ASCII"
    finally:
        connection.close()
    return "--encoding=SQL_ASCII" if is_bytes else "--encoding=UTF8"


def restore(programs: Programs, conninfo: str, backup: Path, *, jobs: int = 1, rewrite: Rewrite | None = None) -> None:
    """Restore a backup into an empty database of ours: SQL by psql, a folder by pg_restore and `jobs`.

    Statement by statement: one transaction would hold a lock on every table and index at once, for which a server with
    the default max_locks_per_transaction has room up to about 1,000 tables. No one waits for each statement's WAL to be
    on disk (`synchronous_commit`); the next commit of any session that does wait puts all of it there. `rewrite` gives the
    lines of the SQL as they are to be run.

    Raises:
        ToolError: a statement failed; the message has the program's own words. The database is then half restored.
    """
    if not backup.is_dir():
        run_psql(
            programs, conninfo, backup, single_transaction=False, settings="-c synchronous_commit=off", rewrite=rewrite
        )
        return
    for section in ("pre-data", "data", "post-data") if rewrite else ("",):
        if section in ("", "data"):
            _run_pg_restore(programs, conninfo, backup, jobs, *([f"--section={section}"] if section else []))
        else:
            _run_section(programs, conninfo, backup, section, rewrite)


def _run_pg_restore(programs: Programs, conninfo: str, backup: Path, jobs: int, *options: str) -> None:
    options = ("--exit-on-error", f"--jobs={jobs}", *options, str(backup))
    with (
        piped(programs, "pg_restore", conninfo, *options, ends_with_us=True) as process,
        _ended_when_lost(process, "pg_restore", conninfo),
    ):
        process.wait()


def _run_section(programs: Programs, conninfo: str, backup: Path, section: str, rewrite: Rewrite | None) -> None:
    """Run one section of a folder by psql, its lines rewritten."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "section.sql"
        command = [str(programs.path("pg_restore")), f"--section={section}", f"--file={script}", str(backup)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise _failure(programs, "pg_restore", answer.stderr, conninfo)
        run_psql(programs, conninfo, script, single_transaction=False, rewrite=rewrite)


def run_psql(
    programs: Programs,
    conninfo: str,
    file: Path,
    *,
    single_transaction: bool = True,
    settings: str = "",
    rewrite: Rewrite | None = None,
) -> None:
    """Run a script by psql, which understands dumps whole (`\\restrict`, COPY data); stops at the first error.

    `settings` are options of its session, as PGOPTIONS has them; `rewrite` gives the lines as they are to be run.

    Raises:
        ToolError: a statement failed, and the message has psql's own words; or the network swallowed its session.
    """
    is_piped = is_compressed(file) or rewrite is not None
    options = [
        "--no-psqlrc",
        "--quiet",
        "--no-password",
        "--set=ON_ERROR_STOP=1",
        "--output=/dev/null",
        f"--file={'-' if is_piped else file}",
    ]
    if single_transaction:
        options.append("--single-transaction")
    with (
        without_password(conninfo) as (plain, environment),
        opened(file) as script,
        tempfile.TemporaryFile() as stderr,
    ):
        named = _pinned(programs, plain, environment, conninfo, "psql", settings)
        if refuses_options(conninfo):
            options.insert(0, f"--command={session_settings.as_script(server_versions[conninfo])}")
        process = subprocess.Popen(
            [str(programs.path("psql")), f"--dbname={named}", *options],
            stdin=subprocess.PIPE if is_piped else subprocess.DEVNULL,
            stderr=stderr,
            env=environment | {"PGCLIENTENCODING": "UTF8"},
        )
        try:
            with _ended_when_lost(process, "psql", conninfo):
                if process.stdin:
                    with suppress(BrokenPipeError):  # it has ended at an error, and says so itself
                        for piece in rewrite(_lines(script)) if rewrite else iter(lambda: script.read(1 << 20), b""):
                            process.stdin.write(piece)
                        process.stdin.close()
                process.wait()
        except BaseException:
            # What it was not given to the end must not be committed, and to close its input would be the end.
            process.kill()
            process.wait()
            raise
        finally:
            if process.stdin:
                with suppress(BrokenPipeError):
                    process.stdin.close()
        stderr.seek(0)
        words = stderr.read().decode(errors="replace")
    if process.returncode != 0:
        raise _failure(programs, "psql", words, conninfo)


def _lines(script: Readable) -> Iterator[bytes]:
    rest = b""
    while piece := script.read(1 << 20):
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


@contextmanager
def _ended_when_lost(process: subprocess.Popen[bytes], program: Program, conninfo: str) -> Iterator[None]:
    """End a restoring program, and its sessions, once these have been seen twice to wait for it in vain.

    It gives the server what it has as fast as it can, so a session that gets nothing for SILENT_SECONDS is one of whose
    connection a network has swallowed.

    Raises:
        ToolError: that was so; whatever else the block raised because of it.
    """
    ended, lost = threading.Event(), threading.Event()

    def watch() -> None:
        seen: object = None
        times = 0
        while not ended.wait(SILENT_SECONDS):
            now = _what_it_waits_for(program, conninfo)
            times = times + 1 if now == seen else 1
            seen = now
            if now is not None and times >= (2 if isinstance(now, list) else LOOKS_WHILE_UNREACHABLE):
                lost.set()
                with (
                    suppress(UnreachableError, psycopg.Error),
                    closing(connect(conninfo, "the database")) as connection,
                ):
                    connection.execute(END_SESSIONS, (session_name(program),))
                process.kill()
                return

    try:
        with beside(watch, ended, name=f"safemig {program}"):
            yield
    finally:
        if lost.is_set():
            raise ToolError(
                f"{program} and its session have waited for each other for {2 * SILENT_SECONDS:g} s",
                where=f"process {process.pid}, ended by safemig",
                next="check the network between this machine and the server, then try again",
            )


def _what_it_waits_for(program: Program, conninfo: str) -> object:
    """Return what stays the same for as long as no session of a program gets anything to do; None while one works."""
    try:
        with closing(connect(conninfo, "the database")) as connection:
            rows = connection.execute(WHAT_A_RESTORE_DOES, (session_name(program),)).fetchall()
    except (UnreachableError, psycopg.Error):
        return "unreachable"
    return None if any(works for works, *_ in rows) else rows


def _failure(programs: Programs, program: Program, stderr: str, conninfo: str) -> ToolError:
    words = [line for line in hide(stderr, conninfo).splitlines() if line.strip()]
    telling: Sequence[str] = [line for line in words if "error" in line.lower() or "fatal" in line.lower()] or words
    if WITHOUT_TLS in stderr:
        return ToolError(
            f"the {program} {programs.version} here was built without TLS, and this connection needs it",
            where=str(programs.folder),
            next=f"install postgresql-client-{programs.major} of PostgreSQL or your distribution, which has TLS",
        )
    return ToolError(
        f"{program} {programs.version} failed: {telling[0].strip() if telling else 'no message'}",
        where=" · ".join(line.strip() for line in telling[1:4]) or None,
        next="correct what the message names; the rights it needs are listed by the pre-flight checks",
    )
