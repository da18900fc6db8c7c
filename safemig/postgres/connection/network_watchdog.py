"""Guard a connection against a network that swallows what it sends or should get: the client would wait forever."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg.pq import TransactionStatus

from safemig.errors import UnreachableError
from safemig.postgres.connection.poolers import server_pid

if TYPE_CHECKING:
    from safemig.postgres.connection import Connection

PATIENCE_SECONDS = 5.0
STATE_OF = "SELECT state, state_change FROM pg_stat_activity WHERE pid = %s"
END_LOST = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND (state, state_change) = (%s, %s)
"""
_UNREACHABLE = "unreachable"
# That no one can connect may have other reasons than the network, and pass.
LOOKS_WHILE_UNREACHABLE = 6


@contextmanager
def guarded(connection: Connection, reach: Callable[[], Connection]) -> Iterator[None]:
    """End the session and cut the connection while the client waits, and the server has been seen twice to do nothing for it.

    What is at work may take as long as it needs. `reach` opens a second connection to look from, only after the client
    has waited for `PATIENCE_SECONDS`. Not for a connection through a pooler in transaction mode: its session cannot be found.

    Guarantee: none of it delays or fails the block, but for the psycopg.OperationalError of the one that waits.
    """
    pid = server_pid(connection)
    ended = threading.Event()

    def watch() -> None:
        seen: object = None
        times = 0
        while not ended.wait(PATIENCE_SECONDS):
            waits = connection.info.transaction_status is TransactionStatus.ACTIVE
            now = _idle_since(reach, pid) if waits else None
            times = times + 1 if now == seen else 1
            seen = now
            enough = LOOKS_WHILE_UNREACHABLE if now == _UNREACHABLE else 2
            if now is not None and times >= enough and not ended.is_set():
                _end(reach, pid, now)
                cut(connection)
                return

    with beside(watch, ended, name="safemig guard"):
        yield


@contextmanager
def beside(work: Callable[[], None], ended: threading.Event, *, name: str) -> Iterator[None]:
    """Run `work` in a thread for as long as the block lasts; it is to end when `ended` is set. Never waits for it long."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=1)


def cut(connection: Connection) -> None:
    """End a connection from another thread than the one that waits on it, which then gets an OperationalError."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as twin:
        twin.shutdown(socket.SHUT_RDWR)


def _end(reach: Callable[[], Connection], pid: int, state: object) -> None:
    """End the lost session on the server, unless it does something after all: its locks must not stay with no one."""
    with contextlib.suppress(psycopg.Error, UnreachableError), contextlib.closing(reach()) as watch:
        watch.execute(END_LOST, (pid, *(state if isinstance(state, tuple) else (None, None))))


def _idle_since(reach: Callable[[], Connection], pid: int) -> object:
    """Return what stays the same for as long as a session does nothing; None while it works."""
    try:
        watch = reach()
    except UnreachableError:
        return _UNREACHABLE
    try:
        row = watch.execute(STATE_OF, (pid,)).fetchone()
        return None if row and row[0] == "active" else row or "gone"
    except psycopg.Error:
        return _UNREACHABLE
    finally:
        watch.close()
