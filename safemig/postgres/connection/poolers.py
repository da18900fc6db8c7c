"""Poolers: whether one stands between, and whether a session through it is one: told by what it does, not by what it says.

In session mode a server process is one client's until it leaves: settings and advisory locks hold, and safemig works.
In transaction mode the process is lent to anyone who begins a transaction: settings and locks get lost, or leak to others.
"""

from __future__ import annotations

import weakref
from contextlib import ExitStack, closing
from typing import Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from safemig.postgres.connection import Connection

Mode = Literal["direct", "session", "transaction"]

BACKEND_PID = "SELECT pg_backend_pid()"
WHERE_THE_SERVER_IS = "SELECT host(inet_server_addr()), current_setting('port')"
_ROUNDS = 8
_POOLER_PORTS = ("6432", "6543")
_Place = tuple[str, int]
_modes: dict[tuple[_Place, str, str], Mode] = {}
_server_pids: weakref.WeakKeyDictionary[Connection, int] = weakref.WeakKeyDictionary()


def mode_of(connection: Connection) -> Mode:
    """Return what stands between us and the server. Reads only; asked once for each host, database and role.

    That the server process is the one that greeted us shows that there is no pooler. Where it is another one, second
    sessions begin transactions while ours is idle: if one of them gets our process, or we come back to another one,
    processes are lent by the transaction.
    """
    info = connection.info
    key = (_place(connection), info.dbname, info.user)
    if key not in _modes:
        pid = _pid(connection)
        looks_pooled = "pooler" in info.host or str(info.port) in _POOLER_PORTS
        if pid == info.backend_pid and not looks_pooled:
            return "direct"  # not kept: asking again costs one round trip
        mode: Mode = "transaction" if _is_lent(connection, pid) else "session"
        _modes[key] = "direct" if mode == "session" and pid == info.backend_pid else mode
    return _modes[key]


def refuses_options(conninfo: str) -> bool:
    """Tell whether `conninfo` leads to a pooler that was met before: they refuse `options` in the start-up message."""
    parts = conninfo_to_dict(conninfo)
    place = (str(parts.get("host") or ""), int(str(parts.get("port") or 5432).split(",", maxsplit=1)[0]))
    return any(place == met and mode != "direct" for (met, _, _), mode in _modes.items())


def server_pid(connection: Connection) -> int:
    """Return the server process of a session: a pooler greets us with a number of its own."""
    return _server_pids.get(connection, connection.info.backend_pid)


def remember_pid(connection: Connection) -> None:
    """Note the server process of a session that came through a pooler in session mode, for `server_pid`."""
    _server_pids[connection] = _pid(connection)


def instead(connection: Connection) -> str:
    """Return, in words, where to connect instead of to this pooler in transaction mode."""
    host, port = connection.info.host, connection.info.port
    if host.endswith(".pooler.supabase.com"):
        return f"{host}:5432, Supabase's pooler in session mode (the same URL with port 5432)"
    if host.startswith("db.") and host.endswith(".supabase.co"):
        return f"{host}:5432, the server itself (the same URL with port 5432)"
    if "-pooler." in host:
        return f"{host.replace('-pooler.', '.', 1)}:{port}, the server itself (the same URL without -pooler)"
    try:
        row = connection.execute(WHERE_THE_SERVER_IS).fetchone() or (None, "5432")
    except psycopg.Error:
        row = (None, "5432")
    server = f"{row[0]}:{row[1]}" if row[0] else f"port {row[1]} on the server's own host"
    return f"{server}, where the server itself listens; or a pool in session mode (pool_mode = session)"


def _place(connection: Connection) -> _Place:
    return connection.info.host, connection.info.port


def _pid(connection: Connection) -> int:
    row = connection.execute(BACKEND_PID).fetchone()
    return int(row[0]) if row else 0


def _is_lent(connection: Connection, pid: int) -> bool:
    conninfo = make_conninfo(connection.info.dsn, password=connection.info.password or None, connect_timeout=10)
    with ExitStack() as stack:
        for _ in range(_ROUNDS):
            other = stack.enter_context(closing(psycopg.connect(conninfo)))
            if _pid(other) == pid:  # its transaction stays open until the end
                return True
            if _pid(connection) != pid:
                return True
    return False
