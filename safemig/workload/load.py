"""A share of the application's load on a copy: calls that come at their own pace, whether or not the last one is answered.

Each worker has sessions of its own, one a role and search path, and prepares as drivers do (psycopg: after five calls).
A session that gets 0A000 is closed and opened again, as a pool would.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from safemig.postgres.connection import Connection
from safemig.workload.statement import SeenWorkload, Statement
from safemig.workload.values import Values, ValueSource

CONNECTIONS = 10
# What one Python process can drive besides the server; a higher rate is told as not reached.
MOST_PER_S = 1_000.0
# Of statements that no source counted, such as a folder's: each as often as the next.
UNCOUNTED_PER_S = 20.0
WHICH_ROLES = "SELECT rolname FROM pg_roles"
_TRIES = 3
_TRIAL_MS = 5_000
_LONGEST_CALL = "120s"
_PATIENCE_S = 1.0  # for calls that are under way when the load ends
_CANCELLED = "57014"
# Errors whose first words name objects, never values: features, constraints, rollbacks, syntax, resources, states.
_WITHOUT_VALUES = ("0A", "23", "25", "40", "42", "53", "55", "57")


@dataclass(frozen=True, slots=True)
class Driven:
    """A statement that can be driven: it ran on the copy with drawn values, and was rolled back."""

    statement: Statement
    source: ValueSource
    weight: float


@dataclass(frozen=True, slots=True)
class Call:
    """A call: when it began and ended on this machine's clock, which statement, and the SQLSTATE where it failed."""

    begin: float
    end: float
    which: int
    sqlstate: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is driven and how often, and what is not and why."""

    driven: tuple[Driven, ...]
    skipped: tuple[tuple[str, int], ...]
    per_s: float
    notes: tuple[str, ...]


def choose(url: str, seen: SeenWorkload, share: int, chance: random.Random) -> Chosen:
    """Try each statement on the copy with drawn values, and roll back; what runs is driven at its share of the seen rate."""
    skipped: Counter[str] = Counter()
    driven: list[Driven] = []
    counted = any(each.calls for each in seen.statements)
    with psycopg.connect(url, autocommit=True, application_name="safemig load") as copy:
        roles = {name for (name,) in copy.execute(WHICH_ROLES)}
        copy.execute("SELECT set_config('statement_timeout', %s, false)", (f"{_TRIAL_MS}ms",))
        values = Values(copy, chance)
        for each in seen.statements:
            if not each.is_checked:
                skipped["a utility statement"] += 1
                continue
            if counted and not each.calls:
                skipped["no call of it was counted"] += 1
                continue
            if each.search_path:
                copy.execute("SELECT set_config('search_path', %s, false)", (each.search_path,))
            # Values are drawn as ourselves: who may insert may not be allowed to read.
            source = values.of(each.text)
            become(copy, each, roles)
            reason = "its text cannot be prepared" if source is None else _tried(copy, each, source, chance)
            copy.execute("RESET ROLE")
            copy.execute("RESET search_path")
            if source is None or reason:
                skipped[reason] += 1
            else:
                driven.append(Driven(each, source, float(each.calls or 1)))
    calls = sum(each.weight for each in driven)
    notes = []
    if counted and seen.hours:
        per_s = calls / (3600 * seen.hours) * share / 100
    else:
        per_s = UNCOUNTED_PER_S * share / 100
        notes.append(f"the window has no counts: {UNCOUNTED_PER_S:g} calls a second were taken as the whole load")
    if per_s > MOST_PER_S:
        notes.append(f"{per_s:,.0f} calls a second were wanted; {MOST_PER_S:,.0f} is the most that is driven from here")
    return Chosen(tuple(driven), tuple(sorted(skipped.items())), min(per_s, MOST_PER_S), tuple(notes))


def become(connection: Connection, statement: Statement, roles: set[str]) -> None:
    """Take on the role and search path of who sends a statement, where the copy has that role."""
    if statement.search_path:
        connection.execute("SELECT set_config('search_path', %s, false)", (statement.search_path,))
    if statement.role in roles:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(statement.role)))


def _tried(copy: Connection, statement: Statement, source: ValueSource, chance: random.Random) -> str:
    """Return "" where the statement runs with drawn values, else why not."""
    state = ""
    for _ in range(_TRIES):
        try:
            with copy.transaction(force_rollback=True):
                psycopg.RawCursor(copy).execute(statement.text.encode(), source.draw(chance), prepare=False)
            return ""
        except psycopg.Error as error:
            state = error.sqlstate or "unknown"
    return f"drawn values are refused ({state})"


def _words_without_values(error: psycopg.Error) -> str:
    """Return the server's first words, or only the error's name where they may quote a value that was drawn."""
    words = error.diag.message_primary
    if words and (error.sqlstate or "").startswith(_WITHOUT_VALUES):
        return words.split("\n")[0]
    return type(error).__name__


@dataclass(slots=True)
class _Worker:
    number: int
    load: Load
    calls: list[Call] = field(default_factory=list)
    sessions: dict[tuple[str, str], Connection] = field(default_factory=dict)
    thread: threading.Thread | None = None


class Load:
    """Drives what was chosen from entering the block to leaving it; then `calls` tells what happened."""

    def __init__(self, url: str, chosen: Chosen, connections: int = CONNECTIONS) -> None:
        self._url = make_conninfo(url, application_name="safemig load", options=f"-c statement_timeout={_LONGEST_CALL}")
        self._driven = chosen.driven
        self._weights = list(itertools.accumulate(each.weight for each in chosen.driven))
        self._gap_s = connections / chosen.per_s
        self._ended = threading.Event()
        self._drawing = threading.Lock()  # fresh values are one sequence for all workers
        self._workers = [_Worker(number, self) for number in range(connections)]
        self._roles: set[str] = set()
        self._messages: dict[str, str] = {}
        self.begun = 0.0

    def __enter__(self) -> Self:
        with psycopg.connect(self._url, autocommit=True) as connection:
            self._roles = {name for (name,) in connection.execute(WHICH_ROLES)}
        self.begun = time.monotonic()
        for worker in self._workers:
            worker.thread = threading.Thread(target=self._work, args=(worker,), name="safemig load", daemon=True)
            worker.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for worker in self._workers:
            if worker.thread:
                worker.thread.join(_PATIENCE_S)
        for worker in self._workers:
            if worker.thread and worker.thread.is_alive():
                for session in tuple(worker.sessions.values()):
                    with suppress(psycopg.Error):
                        session.cancel()
                worker.thread.join()

    @property
    def calls(self) -> list[Call]:
        """All calls that ended, in the order of their beginning."""
        return sorted((call for worker in self._workers for call in list(worker.calls)), key=lambda call: call.begin)

    @property
    def messages(self) -> dict[str, str]:
        """The server's first words of each SQLSTATE."""
        return dict(self._messages)

    def _work(self, worker: _Worker) -> None:
        chance = random.Random(worker.number)  # noqa: S311 - a load, no secret
        due = time.monotonic() + chance.expovariate(1 / self._gap_s)
        try:
            while not self._ended.wait(max(0.0, due - time.monotonic())):
                (which,) = chance.choices(range(len(self._driven)), cum_weights=self._weights)
                call = self._call(worker, which, chance)
                if call.sqlstate != _CANCELLED or not self._ended.is_set():  # else it was us who ended it
                    worker.calls.append(call)
                # At its own pace: what came due while a call was blocked follows at once, as from waiting users.
                due += chance.expovariate(1 / self._gap_s)
        finally:
            for session in worker.sessions.values():
                session.close()

    def _call(self, worker: _Worker, which: int, chance: random.Random) -> Call:
        driven = self._driven[which]
        with self._drawing:
            values = driven.source.draw(chance)
        sender = (driven.statement.role, driven.statement.search_path)
        try:
            session = worker.sessions.get(sender)
            if session is None or session.closed:
                session = worker.sessions[sender] = psycopg.connect(self._url, autocommit=True)
                become(session, driven.statement, self._roles)
        except psycopg.Error as error:
            return self._failed(time.monotonic(), which, error)
        begin = time.monotonic()
        try:
            cursor = psycopg.RawCursor(session).execute(driven.statement.text.encode(), values)
            if cursor.description:
                cursor.fetchall()
        except psycopg.errors.FeatureNotSupported as error:
            session.close()
            return self._failed(begin, which, error)
        except psycopg.Error as error:
            return self._failed(begin, which, error)
        return Call(begin, time.monotonic(), which)

    def _failed(self, begin: float, which: int, error: psycopg.Error) -> Call:
        state = error.sqlstate or "connection"
        self._messages.setdefault(state, _words_without_values(error))
        return Call(begin, time.monotonic(), which, state)
