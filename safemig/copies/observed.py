"""What a program does to a copy: every statement of its sessions, as the throwaway server's own log tells it.

The log has each statement when it ends, with its duration; so nothing is missed, however quick, and the program is not
slowed down by being asked. What a session holds to the end of its transaction is seen by the times of the two. A scratch
server's log is not ours to read: there the program talks to the server through a relay (see `relay`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from safemig.copies.database_copy import CopyServer
from safemig.copies.relay import Statement, relayed
from safemig.execution.expected_locks import locks_by_kind
from safemig.execution.steps import file_nodes
from safemig.postgres.connection import Connection
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.results import HeldLock, Step
from safemig.review import review
from safemig.sql import SourceFile, SqlSyntaxError, parse
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
# Rules about statements that give a table another file.
_REWRITING = frozenset(("add-column-rewrites", "alter-column-type", "table-rewrite", "truncate", "vacuum-full"))
OFF = ("log_line_prefix", "log_min_duration_statement", "log_parameter_max_length", "log_parameter_max_length_on_error")


@dataclass
class Observed:
    """What was seen; complete once the block of `observing` is left."""

    url: str  # where the program has to connect to be seen
    steps: tuple[Step, ...] = ()
    sessions: int = 0
    reads: int = 0  # statements that only read or set
    commits: int = 0


@contextmanager
def observing(server: CopyServer, copy: Connection, url: str, source: str, own: Sequence[int]) -> Iterator[Observed]:
    """Observe what others than the sessions `own` do within the block to the copy that `url` names.

    `source` is what the steps are said to come from.
    """
    before, existing = file_nodes(copy), {name for name, _ in file_nodes(copy).values()}
    if isinstance(server, ThrowawayServer):
        seen = Observed(url)
        with _logged(server, copy.info.dbname, own) as statements:
            yield seen
        _understand(seen, statements(), source, existing)
    else:
        with relayed(copy, url) as (through, told):
            seen = Observed(through)
            yield seen
        _understand(seen, told, source, existing)
    now = file_nodes(copy)
    rewritten = {before[oid][0] for oid in before if oid in now and now[oid][1] != before[oid][1]}
    seen.steps = tuple(_with_rewrites(seen.steps, rewritten))


@contextmanager
def _logged(server: ThrowawayServer, database: str, own: Sequence[int]) -> Iterator[Callable[[], Sequence[Statement]]]:
    """Let the server log all statements within the block; what it gives reads those of the others than `own` after it."""
    log = server.folder / "server.log"
    with psycopg.connect(server.url(), autocommit=True) as administrator:
        for statement in ON:
            administrator.execute(statement.format(prefix=_PREFIX).encode())
        _reload(administrator)
        start = log.stat().st_size
        try:
            yield lambda: [each for each in _entries(log, start, database) if each.session not in own]
        finally:
            for name in OFF:
                administrator.execute(f"ALTER SYSTEM RESET {name}".encode())
            _reload(administrator)


def _reload(administrator: psycopg.Connection[tuple[object, ...]]) -> None:
    """Let the server read its settings, and wait until our own session has them: then new ones have, too."""
    administrator.execute("SELECT pg_reload_conf(), pg_sleep(0.2)")


def _entries(log: Path, start: int, database: str) -> Iterator[Statement]:
    """Yield the statements in a database that the log has since `start`; a text's further lines begin with a tab."""
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").split("\n")
    entry: list[str] = []
    for line in [*lines, "safemig\x1f"]:
        if line.startswith("safemig\x1f") and entry:
            if (match := _LINE.match(entry[0])) and match["level"] == "LOG" and match["database"] == database:
                text = "\n".join([match["text"], *(more.removeprefix("\t") for more in entry[1:])]).rstrip("\n")
                if ran := _STATEMENT.match(text):
                    yield Statement(float(match["at"]), int(match["pid"]), float(ran["ms"]) / 1000, ran["sql"])
            entry = []
        entry.append(line)


def _understand(seen: Observed, statements: Sequence[Statement], source: str, existing: set[str]) -> None:
    steps: list[Step] = []
    open_: dict[int, list[int]] = {}  # the steps of a session's transaction that is not at its end
    began: dict[int, float] = {}  # when each step's statement began
    sessions: set[int] = set()
    for at, session, seconds, text in statements:
        sessions.add(session)
        for kind, sql in _kinds(text):
            word = kind.split()[0]
            if word in ("BEGIN", "START"):
                open_[session] = []
                continue
            if kind in ("COMMIT", "ROLLBACK"):
                own = open_.pop(session, [])
                seen.commits += kind == "COMMIT" and bool(own)
                for number in own:
                    steps[number] = _held(steps[number], at - began[number])
                continue
            if word in _READS:
                seen.reads += 1
                continue
            step = Step(len(steps) + 1, source, 0, kind, sql, state="ran", ran_s=seconds, attempts=1)
            locks = tuple(HeldLock(name, mode) for name, mode in sorted(_locks(step).items()) if name in existing)
            began[len(steps)] = at - seconds
            if session in open_:
                open_[session].append(len(steps))
            else:
                seen.commits += 1  # by itself: a transaction of its own
            steps.append(_held(replace(step, locks=locks), seconds))
    seen.steps, seen.sessions = tuple(steps), len(sessions)


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
    """Yield the steps; a table that has another file now was rewritten by the first statement that the review says can
    do that, else by the first that locks the table wholly.
    """
    by: dict[int, list[str]] = {}
    for table in sorted(rewritten):
        able = [step for step in steps if any(lock.object == table and lock.mode.blocks_reads for lock in step.locks)]
        if able:
            by.setdefault(next(filter(_can_rewrite, able), able[0]).number, []).append(table)
    for step in steps:
        yield replace(step, rewrites=tuple(by.get(step.number, ())))


def _can_rewrite(step: Step) -> bool:
    return any(found.rule in _REWRITING for found in review([SourceFile(step.file, step.sql)]).findings)
