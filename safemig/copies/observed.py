"""What a program does to a copy: every statement of its sessions, as the throwaway server's own log tells it.

The log has each statement when it ends, with its duration; so nothing is missed, however quick, and the program is not
slowed down by being asked. What a session holds to the end of its transaction is seen by the times of the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg

from safemig.copies.database_copy import CopyServer
from safemig.execution.expected_locks import locks_by_kind
from safemig.execution.steps import file_nodes
from safemig.postgres.connection import Connection
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.results import HeldLock, Step
from safemig.sql import SqlSyntaxError, parse
from safemig.sql.locks import LockMode

_PREFIX = "safemig\x1f%n\x1f%p\x1f%d\x1f"
_LINE = re.compile(
    r"safemig\x1f(?P<at>[\d.]+)\x1f(?P<pid>\d+)\x1f(?P<database>[^\x1f]*)\x1f(?P<level>[A-Z]+):  (?P<text>.*)"
)
_STATEMENT = re.compile(r"duration: (?P<ms>[\d.]+) ms  (?:statement|execute [^:]*): (?P<sql>.*)", re.DOTALL)
_READS = (
    "SELECT",
    "SHOW",
    "SET",
    "EXPLAIN",
    "PREPARE",
    "DEALLOCATE",
    "DISCARD",
    "FETCH",
    "DECLARE",
    "CLOSE",
    "LISTEN",
    "SAVEPOINT",
    "RELEASE",
    "ROLLBACK",
)
ON = (
    "ALTER SYSTEM SET log_line_prefix = '{prefix}'",
    "ALTER SYSTEM SET log_min_duration_statement = 0",
    "ALTER SYSTEM SET log_parameter_max_length = 0",  # values are data, which no record may hold
    "ALTER SYSTEM SET log_parameter_max_length_on_error = 0",
)
NOT_OBSERVED = "the command's statements: on a scratch server they are not observed, and so not reviewed"
OFF = ("log_line_prefix", "log_min_duration_statement", "log_parameter_max_length", "log_parameter_max_length_on_error")


@dataclass
class Observed:
    """What was seen; complete once the block of `observing` is left."""

    steps: tuple[Step, ...] = ()
    sessions: int = 0
    reads: int = 0  # statements that only read or set
    commits: int = 0
    note: str = ""
    _own: frozenset[int] = field(default_factory=frozenset)


@contextmanager
def observing(
    server: CopyServer, copy: Connection, database: str, source: str, own: Sequence[int]
) -> Iterator[Observed]:
    """Observe what others than the sessions `own` do to a database of the server within the block.

    `source` is what the steps are said to come from.
    """
    seen = Observed()
    if not isinstance(server, ThrowawayServer):
        seen.note = NOT_OBSERVED
        yield seen
        return
    log = server.folder / "server.log"
    before, existing = file_nodes(copy), {name for name, _ in file_nodes(copy).values()}
    with psycopg.connect(server.url(), autocommit=True) as administrator:
        for statement in ON:
            administrator.execute(statement.format(prefix=_PREFIX).encode())
        _reload(administrator)
        start = log.stat().st_size
        try:
            yield seen
        finally:
            for name in OFF:
                administrator.execute(f"ALTER SYSTEM RESET {name}".encode())
            _reload(administrator)
    entries = [each for each in _entries(log, start) if each[2] == database and each[1] not in own]
    _understand(seen, entries, source, existing)
    now = file_nodes(copy)
    rewritten = {before[oid][0] for oid in before if oid in now and now[oid][1] != before[oid][1]}
    seen.steps = tuple(_with_rewrites(seen.steps, rewritten))


def _reload(administrator: psycopg.Connection[tuple[object, ...]]) -> None:
    """Let the server read its settings, and wait until our own session has them: then new ones have, too."""
    administrator.execute("SELECT pg_reload_conf(), pg_sleep(0.2)")


def _entries(log: Path, start: int) -> Iterator[tuple[float, int, str, str, str]]:
    """Yield (time in s, pid, database, level, text) of each entry; a text's further lines begin with a tab."""
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").split("\n")
    entry: list[str] = []
    for line in [*lines, "safemig\x1f"]:
        if line.startswith("safemig\x1f") and entry:
            if match := _LINE.match(entry[0]):
                text = "\n".join([match["text"], *(more.removeprefix("\t") for more in entry[1:])]).rstrip("\n")
                yield float(match["at"]), int(match["pid"]), match["database"], match["level"], text
            entry = []
        entry.append(line)


def _understand(
    seen: Observed, entries: Sequence[tuple[float, int, str, str, str]], source: str, existing: set[str]
) -> None:
    steps: list[Step] = []
    open_: dict[int, list[int]] = {}  # the steps of a session's transaction that is not at its end
    began: dict[int, float] = {}  # when each step's statement began
    pids: set[int] = set()
    for at, pid, _, level, text in entries:
        match = _STATEMENT.match(text) if level == "LOG" else None
        if match is None:
            continue
        pids.add(pid)
        for kind, sql in _kinds(match["sql"]):
            word = kind.split()[0]
            if word in ("BEGIN", "START"):
                open_[pid] = []
                continue
            if kind in ("COMMIT", "ROLLBACK"):
                own = open_.pop(pid, [])
                seen.commits += kind == "COMMIT" and bool(own)
                for number in own:
                    steps[number] = _held(steps[number], at - began[number])
                continue
            if word in _READS:
                seen.reads += 1
                continue
            seconds = float(match["ms"]) / 1000
            step = Step(len(steps) + 1, source, 0, kind, sql, state="ran", ran_s=seconds, attempts=1)
            locks = tuple(HeldLock(name, mode) for name, mode in sorted(_locks(step).items()) if name in existing)
            began[len(steps)] = at - seconds
            if pid in open_:
                open_[pid].append(len(steps))
            else:
                seen.commits += 1  # by itself: a transaction of its own
            steps.append(_held(replace(step, locks=locks), seconds))
    seen.steps, seen.sessions = tuple(steps), len(pids)


def _kinds(sql: str) -> Iterator[tuple[str, str]]:
    try:
        for each in parse(sql):
            yield each.kind, each.sql
    except SqlSyntaxError:
        yield "statement that the parser does not know", sql


def _locks(step: Step) -> dict[str, LockMode]:
    try:
        return dict(locks_by_kind(step))
    except SqlSyntaxError:
        return {}


def _held(step: Step, seconds: float) -> Step:
    return replace(step, locks=tuple(replace(lock, held_s=seconds) for lock in step.locks))


def _with_rewrites(steps: Sequence[Step], rewritten: set[str]) -> Iterator[Step]:
    """Yield the steps; a table that has another file now was rewritten by the first statement that locks it wholly."""
    left = set(rewritten)
    for step in steps:
        own = {lock.object for lock in step.locks if lock.object in left and lock.mode.blocks_reads}
        left -= own
        yield replace(step, rewrites=tuple(sorted(own)))
