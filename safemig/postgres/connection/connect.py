"""Connections to the databases, opened with clear errors that hold no secret."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from safemig.errors import UnfitDatabaseError, UnreachableError
from safemig.postgres.connection import Connection, poolers, session_settings
from safemig.postgres.connection.network_watchdog import guarded
from safemig.secrets import hide, parts_of, remember, remember_conninfo

if TYPE_CHECKING:
    from safemig.results import Target

# PostgreSQL's oldest version that safemig knows; 13 went out of support in November 2025.
OLDEST_SERVER = 130000

WHO_AM_I = """
SELECT current_database(), current_user, current_setting('server_version_num')::int,
       CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')
            THEN (SELECT system_identifier::text FROM pg_control_system()) ELSE '' END,
       host(inet_server_addr())
"""
TIMELINE = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END"
_SET_UP_ATTEMPTS = 20
IS_STANDBY = "SELECT pg_is_in_recovery()"


# What this process has connected to: a program's options must fit the server.
server_versions: dict[str, int] = {}
# Which of them are encrypted: what connects beside us by the same string must not go unencrypted.
are_encrypted: dict[str, bool] = {}


def connect(
    conninfo: str,
    name: str,
    *,
    autocommit: bool = True,
    application_name: str = "safemig",
    own_search_path: bool = False,
) -> Connection:
    """Open a connection to the database that people call `name`, with pinned settings (see `session_settings`).

    `own_search_path` is for a session that runs the project's statements: they find what the role finds.

    Raises:
        UnreachableError: it cannot be reached, or refuses us. No secret is shown.
        UnfitDatabaseError: it is older than PostgreSQL 13.
    """
    try:
        parts = parts_of(conninfo)
    except ValueError:
        remember_conninfo(conninfo)
        # libpq's own message quotes pieces of the string, and a password may be one of them.
        raise UnreachableError(
            f"the connection string of {name} is not valid",
            where=f"{name} (not shown: it may hold a password)",
            next="postgresql://user@host:5432/database?sslmode=require; special characters percent-encoded",
        ) from None
    # A password that is also a name stands in every message as that name; a very short one in the middle of words.
    names = {str(parts.get(key)) for key in ("user", "dbname", "host")}
    remember_conninfo(conninfo)
    try:
        connection = psycopg.connect(
            make_conninfo(conninfo, application_name=application_name, client_encoding="UTF8"),
            autocommit=autocommit,
            connect_timeout=10,
        )
    except psycopg.Error as error:
        raise _explained(error, conninfo, name) from None
    remember((connection.info.password,), names)  # of PGPASSWORD, .pgpass or a service file
    if connection.info.server_version < OLDEST_SERVER:
        version = connection.info.server_version // 10000
        connection.close()
        raise UnfitDatabaseError(
            f"{name} is PostgreSQL {version}; safemig needs 13 or later", where=name, next="upgrade the server"
        )
    server_versions[conninfo] = connection.info.server_version
    are_encrypted[conninfo] = connection.pgconn.ssl_in_use
    if not is_pooled(connection):
        _patiently(
            connection,
            session_settings.as_statement(connection.info.server_version, own_search_path=own_search_path),
        )
        poolers.remember_pid(connection)
    else:
        connection.prepare_threshold = None  # a statement prepared on one server process is unknown on the next
    if not autocommit:
        connection.commit()
    return connection


def is_pooled(connection: Connection) -> bool:
    """Tell whether a pooler stands between that lends server processes by the transaction. Reads only.

    Behind one a setting of the session is lost for us, and kept for anyone who comes next. In session mode it is not.
    """
    for _ in range(_SET_UP_ATTEMPTS - 1):
        try:
            return poolers.mode_of(connection) == "transaction"
        except psycopg.errors.QueryCanceled:
            connection.rollback()
    return poolers.mode_of(connection) == "transaction"


def _patiently(connection: Connection, statement: str) -> tuple[Any, ...] | None:
    """Run what comes before the role's own limits are lifted, again where one of a millisecond or two ends it."""
    for _ in range(_SET_UP_ATTEMPTS - 1):
        try:
            return connection.execute(statement.encode()).fetchone()
        except psycopg.errors.QueryCanceled:
            connection.rollback()
    return connection.execute(statement.encode()).fetchone()


@contextmanager
def explained(conninfo: str, name: str) -> Iterator[None]:
    """Let psycopg's errors inside leave as ours, without secrets.

    Raises:
        UnreachableError: the database goes away, or does not let us read what we must.
    """
    try:
        yield
    except psycopg.Error as error:
        raise UnreachableError(
            f"{name} refuses: {hide(words_of(error), conninfo)}",
            where=name,
            next="connect as a role that owns the database, or may read all of it",
        ) from None


@contextmanager
def connected(conninfo: str, name: str, *, read_only: bool = True) -> Iterator[Connection]:
    """Open a connection in autocommit, by default one that cannot write, and close it at the end."""
    connection = connect(conninfo, name)
    try:
        if is_pooled(connection):
            yield connection
            return
        if read_only:
            connection.execute("SET default_transaction_read_only = on")
        with guarded(connection, lambda: connect(conninfo, name, application_name="safemig watch")):
            yield connection
    finally:
        connection.close()


def read_target(connection: Connection, environment: str) -> Target:
    """Return which database this is. Reads only."""
    from safemig.results import Target

    row = connection.execute(WHO_AM_I).fetchone()
    assert row is not None  # noqa: S101 - a SELECT of functions gives one row
    database, user, version_num, system_identifier, host = row
    # No address: a Unix socket, whose folder the client knows; the server tells it only to the privileged.
    return Target(environment, host or connection.info.host, database, user, version_num, system_identifier)


def read_timeline(connection: Connection) -> int:
    """Return the timeline that the server writes on, which every promotion of a standby makes a new one; 0 on a standby.

    From the WAL's file name: pg_control_checkpoint() still says the old one after a promotion (seen in 15 and 17).
    """
    row = connection.execute(TIMELINE).fetchone()
    return int(row[0], 16) if row and row[0] else 0


def require_primary(connection: Connection, name: str) -> None:
    """Refuse a standby: it cannot be written to, and advisory locks there guard nothing (they are per server).

    Raises:
        UnfitDatabaseError: the server is in recovery.
    """
    row = connection.execute(IS_STANDBY).fetchone()
    if row and row[0]:
        raise UnfitDatabaseError(
            f"{name} is a standby (in recovery), not the primary",
            where=f"{name}, {connection.info.host}:{connection.info.port}",
            next="connect to the primary; with several hosts, add target_session_attrs=read-write to the URL",
        )


def set_session(connection: Connection, **settings: str | int) -> None:
    """Set parameters for the session, each as `SET name = value`."""
    for name, value in settings.items():
        connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(str(value))))


def words_of(error: psycopg.Error) -> str:
    """Return an error as PostgreSQL says it: message, detail and hint in one line, with its SQLSTATE; no password."""
    diagnostic = error.diag
    parts = (diagnostic.message_primary or str(error), diagnostic.message_detail, diagnostic.message_hint)
    text = hide(" · ".join(" ".join(part.split()) for part in parts if part))
    return f"{text} ({error.sqlstate})" if error.sqlstate else text


def _explained(error: psycopg.Error, conninfo: str, name: str) -> UnreachableError:
    words = " ".join(hide(str(error), conninfo).split()).removeprefix("connection failed: ")
    lowered = words.lower()
    if "password authentication failed" in lowered or "no password supplied" in lowered:
        what, next_step = (
            f"{name} does not accept the password",
            "correct the password in the variable, service file or .pgpass",
        )
    elif "does not exist" in lowered and "database" in lowered:
        what, next_step = f"the database of {name} does not exist", "correct the database's name in the URL"
    elif "definition of service" in lowered:
        what, next_step = (
            f"the service of {name} is not defined",
            "write it into ~/.pg_service.conf, or set PGSERVICEFILE",
        )
    elif host := _only_ipv6(conninfo):
        what, next_step = (
            f"{name} has only an IPv6 address, and this machine cannot use IPv6",
            "use the platform's pooler in session mode, which has IPv4 (Supabase: Connect, Session pooler, port 5432)"
            if host.endswith(".supabase.co")
            else "use a host name with an IPv4 address, such as the platform's pooler in session mode; or a network with IPv6",
        )
    elif "invalid uri query parameter" in lowered:
        what, next_step = f"the URL of {name} has a parameter that libpq does not know", "correct or remove it"
    else:
        what, next_step = (
            f"{name} cannot be reached",
            "check host and port, that the server runs, and that no firewall blocks the connection",
        )
    return UnreachableError(what, where=words, next=next_step)


def _only_ipv6(conninfo: str) -> str:
    """Return the host where it has addresses of IPv6 alone, and none of them can be reached from here; else ""."""
    try:
        host = parts_of(conninfo).get("host", "")
    except ValueError:
        return ""
    if not host or "/" in host or "," in host:
        return ""

    def addresses(family: socket.AddressFamily) -> list[Any]:
        try:
            return socket.getaddrinfo(host, 5432, family, socket.SOCK_STREAM)
        except OSError:
            return []

    if addresses(socket.AF_INET) or not (found := addresses(socket.AF_INET6)):
        return ""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(found[0][4])  # sends nothing: it only looks for a route
        except OSError:
            return host
    return ""
