"""Run pg_dump and psql so that no secret shows in a process list, and their failures are read, not guessed."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from safemig.errors import ToolError
from safemig.postgres.compression import SUFFIX, opened
from safemig.postgres.connect import redacted
from safemig.postgres.programs import Program, Programs


@contextmanager
def without_password(conninfo: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Give (a connection string without its password, an environment that leads libpq to it).

    The password stands in a file that only we can read, for as long as the block lasts: neither a command line
    nor an environment, which `ps e` shows, holds it.
    """
    parts = conninfo_to_dict(conninfo)
    password = parts.pop("password", None)
    environment = dict(os.environ)
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


@contextmanager
def piped(programs: Programs, program: Program, conninfo: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start `program` with its standard output piped to us; at the end of the block it must have succeeded.

    Raises:
        ToolError: it ended with an error; the message has its own words, without secrets.
    """
    with without_password(conninfo) as (plain, environment), tempfile.TemporaryFile() as stderr:
        # Its own name, by which its session is found (libpq's fallback_application_name says only "pg_dump").
        # And no limit that the role has of its own: pg_dump lifts it by itself, but not before its first queries.
        given = conninfo_to_dict(plain).get("options") or environment.get("PGOPTIONS", "")
        lifted = f"{given} -c statement_timeout=0".strip()
        plain = make_conninfo(plain, application_name=f"safemig dump {os.getpid()}", options=lifted)
        command = [str(programs.path(program)), *pg_dump_arguments(plain, *options)]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, env=environment
        )
        try:
            yield process
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            if process.stdout:
                process.stdout.close()
        if process.wait() != 0:
            stderr.seek(0)
            raise _failure(programs, program, stderr.read().decode(errors="replace"), conninfo)


def run_psql(programs: Programs, conninfo: str, file: Path, *, single_transaction: bool = True) -> None:
    """Run a script by psql, which understands dumps whole (`\\restrict`, COPY data); stops at the first error.

    Raises:
        ToolError: a statement failed; the message has psql's own words.
    """
    is_piped = file.suffix == SUFFIX
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
        process = subprocess.Popen(
            [str(programs.path("psql")), f"--dbname={plain}", *options],
            stdin=subprocess.PIPE if is_piped else subprocess.DEVNULL,
            stderr=stderr,
            env=environment | {"PGOPTIONS": "-c client_min_messages=warning"},
        )
        try:
            if process.stdin:
                with suppress(BrokenPipeError):  # it has ended at an error, and says so itself
                    while piece := script.read(1 << 20):
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


def _failure(programs: Programs, program: Program, stderr: str, conninfo: str) -> ToolError:
    words = [line for line in redacted(stderr, conninfo).splitlines() if line.strip()]
    telling: Sequence[str] = [line for line in words if "error" in line.lower() or "fatal" in line.lower()] or words
    return ToolError(
        f"{program} {programs.version} failed: {telling[0].strip() if telling else 'it said nothing'}",
        where=" · ".join(line.strip() for line in telling[1:4]) or None,
        next="correct what it says; the rights it needs are listed by the pre-flight checks",
    )
