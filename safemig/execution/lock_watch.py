"""Watch a session from another one: who blocks it, how far an index build or a restore is. Only while someone looks on.

pg_blocking_pids() takes the lock manager's shared state exclusively for a moment (manual, 9.27.1); so it is asked only
while the session does wait for a lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from safemig import live
from safemig.errors import SafemigError
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect
from safemig.postgres.connection.network_watchdog import beside
from safemig.postgres.connection.poolers import server_pid
from safemig.postgres.dump.tools import session_name
from safemig.results import Blocker

WHO_BLOCKS_IT = """
SELECT blocking.pid, coalesce(b.usename, ''), coalesce(b.application_name, ''), coalesce(b.state, 'prepared transaction'),
       extract(epoch FROM clock_timestamp() - b.xact_start)::float8, coalesce(left(b.query, 400), '')
FROM pg_stat_activity w CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS blocking (pid)
LEFT JOIN pg_stat_activity b ON b.pid = blocking.pid
WHERE w.pid = %s AND w.wait_event_type = 'Lock'
"""
WHO_BLOCKS_OURS = """
SELECT w.datname, blocking.pid, coalesce(b.usename, ''), coalesce(b.application_name, ''), coalesce(b.state, 'prepared transaction'),
       extract(epoch FROM clock_timestamp() - b.xact_start)::float8, coalesce(left(b.query, 400), '')
FROM pg_stat_activity w CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS blocking (pid)
LEFT JOIN pg_stat_activity b ON b.pid = blocking.pid
WHERE w.application_name LIKE 'safemig %' AND w.wait_event_type = 'Lock'
"""
HOW_FAR_THE_INDEX_IS = """
SELECT phase, CASE WHEN tuples_total > 0 THEN tuples_done ELSE blocks_done END,
       CASE WHEN tuples_total > 0 THEN tuples_total ELSE blocks_total END
FROM pg_stat_progress_create_index WHERE pid = %s
"""
WHAT_IS_COPIED_IN = """
SELECT relid, tuples_processed FROM pg_stat_progress_copy WHERE command = 'COPY FROM' AND datname = %s
"""
WHAT_IS_COPIED_OUT = """
SELECT p.relid, p.tuples_processed FROM pg_stat_progress_copy p JOIN pg_stat_activity a USING (pid)
WHERE p.command = 'COPY TO' AND a.application_name = %s
"""
WHICH_INDEX_IS_BUILT = "SELECT phase FROM pg_stat_progress_create_index WHERE datname = %s"

# A waiting attempt ends after lock_timeout (100 ms); what looks less often would miss who blocks it.
_PAUSE_S = 0.03
_PAUSE_OF_A_SERVER_S = 0.07  # of all its sessions
_PAUSE_OF_A_RESTORE_S = 0.2
_BLOCKER_GONE_AFTER_S = 1.5  # between two attempts no one is seen to block


@contextmanager
def watched(conninfo: str, environment: str, session: Connection) -> Iterator[None]:
    """Tell, while the block runs, who blocks `session` and how far its statement is.

    Guarantee: never fails and never delays; a watcher that cannot connect sees nothing.
    """
    pid = server_pid(session)
    last_seen = time.monotonic()

    def look(connection: Connection) -> None:
        nonlocal last_seen
        blockers = tuple(Blocker(*row) for row in connection.execute(WHO_BLOCKS_IT, (pid,)))
        note = "; ".join(
            f"{phase}: {done:,} of {total:,}" if total else phase
            for phase, done, total in connection.execute(HOW_FAR_THE_INDEX_IS, (pid,))
        )
        if blockers or note:
            last_seen = time.monotonic()
            live.blocked(blockers, note)
        elif time.monotonic() - last_seen > _BLOCKER_GONE_AFTER_S:
            live.blocked(())

    with _looking(conninfo, environment, look, _PAUSE_S):
        yield


@contextmanager
def watched_server(conninfo: str, environment: str, see: Callable[[str, Blocker], None]) -> Iterator[None]:
    """Tell, while the block runs, who blocks any session of ours on this server: the database's name, and who.

    Guarantee: as `watched`.
    """

    def look(connection: Connection) -> None:
        for database, *row in connection.execute(WHO_BLOCKS_OURS):
            see(database, Blocker(*row))

    with _looking(conninfo, environment, look, _PAUSE_OF_A_SERVER_S):
        yield


@contextmanager
def watched_dump(conninfo: str, environment: str) -> Iterator[None]:
    """Tell, while the block runs, how many rows a dump of ours, by whatever number of jobs, has copied out."""
    copied: dict[int, int] = {}

    def look(connection: Connection) -> None:
        copied.update(connection.execute(WHAT_IS_COPIED_OUT, (session_name("pg_dump"),)).fetchall())
        if copied:
            live.reached(sum(copied.values()))

    with _looking(conninfo, environment, look, _PAUSE_OF_A_RESTORE_S):
        yield


@contextmanager
def watched_restore(conninfo: str, database: str) -> Iterator[None]:
    """Tell, while the block runs, how many rows a restore into `database`, of the same server, has copied in."""
    copied: dict[int, int] = {}

    def look(connection: Connection) -> None:
        copied.update(connection.execute(WHAT_IS_COPIED_IN, (database,)).fetchall())
        if copied:
            live.reached(sum(copied.values()))
        phases = [phase for (phase,) in connection.execute(WHICH_INDEX_IS_BUILT, (database,))]
        live.blocked((), f"index: {phases[0]}" if phases else "")

    with _looking(conninfo, database, look, _PAUSE_OF_A_RESTORE_S):
        yield


@contextmanager
def _looking(conninfo: str, environment: str, look: Callable[[Connection], None], pause_s: float) -> Iterator[None]:
    if not live.is_watched():
        yield
        return
    ended = threading.Event()

    def work() -> None:
        # Whatever happens to the watcher is no concern of the act; it then has nothing to tell.
        with suppress(psycopg.Error, SafemigError):
            connection = connect(conninfo, environment, application_name="safemig watch")
            try:
                while not ended.wait(pause_s):
                    look(connection)
            finally:
                connection.close()

    with beside(work, ended, name="safemig watch"):
        yield
