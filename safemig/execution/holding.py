"""How long the server lets a transaction of ours hold its locks when no one goes on with it: a client that vanished."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from psycopg import errors as pg

from safemig.postgres.connection import Connection

# A client that is stopped (a laptop that sleeps) keeps its connection; the server ends it after this, locks and all.
VANISHED_SECONDS = 8
# A transaction may take as long as this at least, and many times what it took on the copy: there no one else works.
_LEAST_SECONDS = 30.0
_TIMES_REHEARSED = 10
_ROUND_TRIPS_A_STEP = 10
# How the server ends a session whose client does not go on.
VANISHED = (pg.IdleInTransactionSessionTimeout, pg.TransactionTimeout)

# Only within the transaction. While a statement runs, keepalives tell that the client's machine is gone;
# client_connection_check_interval then ends the statement. On a Unix socket they mean nothing and are ignored.
BEGIN_HOLDING = """
SELECT pg_catalog.pg_current_xact_id()::text, pg_catalog.set_config('search_path', %(path)s, true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', %(vanished_s)s || 's', true),
       pg_catalog.set_config('tcp_user_timeout', %(vanished_s)s || 's', true),
       pg_catalog.set_config('tcp_keepalives_idle', '5', true), pg_catalog.set_config('tcp_keepalives_interval', '1', true),
       pg_catalog.set_config('tcp_keepalives_count', '3', true)
"""
LIMIT_TRANSACTION = ", pg_catalog.set_config('transaction_timeout', %(longest_ms)s, true)"
ROUND_TRIP = "SELECT 1"


def begin_holding(connection: Connection, *, search_path: str, longest_s: float | None) -> str:
    """Set how long the transaction that was just begun may hold its locks, and return its id; one round trip.

    `longest_s` is for the whole of it, where the server knows such a limit (17 and later).
    """
    is_limited = longest_s is not None and connection.info.server_version >= 170000
    question = BEGIN_HOLDING + (LIMIT_TRANSACTION if is_limited else "")
    values: dict[str, Any] = {"path": search_path, "vanished_s": str(VANISHED_SECONDS)}
    values["longest_ms"] = str(round(1000 * (longest_s or 0)))
    row = connection.execute(question.encode(), values).fetchone()
    return str(row[0]) if row else ""


def longest_of(connection: Connection, rehearsed_s: float | None, steps: Sequence[object]) -> float | None:
    """Return how long a transaction may take in all, by what its steps took on the copy; None where no one knows.

    Measures a round trip: on a remote server many short statements take longer by those alone.
    """
    if rehearsed_s is None:
        return None
    begun = time.monotonic()
    connection.execute(ROUND_TRIP)
    round_trip_s = time.monotonic() - begun
    return _LEAST_SECONDS + _TIMES_REHEARSED * rehearsed_s + _ROUND_TRIPS_A_STEP * round_trip_s * (len(steps) + 10)
