"""A scratch server, named by a URL, for copies where this machine cannot start one of its own."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from types import TracebackType

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from safemig.errors import ToolError
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect, read_target, words_of
from safemig.postgres.platforms import SETTING, platform_of
from safemig.postgres.server.programs import Programs, client_programs
from safemig.results import Target

PREFIX = "safemig_copy_"
# Anyone who made one holds this lock for as long as it lives, by the connection that made it.
_LOCK = "SELECT pg_try_advisory_lock(hashtext(%s))"
LEFT_BEHIND = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"


class ScratchServer:
    """Databases on a server that is someone else's: each under a name of its own, dropped at the end.

    Guarantee: nothing of the server's other databases is touched; roles that the copies need are made, without login,
    and stay. What a killed process left behind is dropped by the next one.
    """

    def __init__(
        self, conninfo: str, connection: Connection, programs: Programs, search_path: str, platform: str
    ) -> None:
        self.programs = programs
        self._conninfo = conninfo
        self._connection = connection
        self._search_path = search_path
        self._platform = platform
        self._names: dict[str, str] = {}
        self._adopted: set[str] = set()  # what a provider handed over, and takes away itself
        self.when_stopped: Callable[[], None] = lambda: None  # ends the program that started the server
        self.exceptions: tuple[str, ...] = ()  # what copies on it do not show, in words

    @classmethod
    def open(cls, conninfo: str, source: Connection, search_path: str, *, is_clone: bool = False) -> ScratchServer:
        """Connect to it. A clone may have the source's identifier, for it has its files (see `clone.adopt_clone`).

        Raises:
            UnreachableError: it cannot be reached.
            ToolError: it is the source's own server, or older than that.
        """
        connection = connect(conninfo, "the scratch server", application_name="safemig scratch")
        try:
            own = _require_fitting(read_target(connection, "scratch"), read_target(source, "source"), is_clone=is_clone)
            server = cls(
                conninfo, connection, client_programs(own.server_version_num), search_path, platform_of(source).setting
            )
            server._drop_left_behind()
        except BaseException:
            connection.close()
            raise
        return server

    def url(self, database: str = "") -> str:
        """Return the connection string of one of the copies, or of the database that the URL names."""
        if not database:
            return self._conninfo
        given = conninfo_to_dict(self._conninfo)
        # By the session: to set it for a database takes a right (PostgreSQL 15 and later).
        escaped = self._platform.replace("\\", r"\\").replace(" ", r"\ ")
        options = f"{given.get('options') or ''} -c {SETTING}={escaped}".strip()
        return make_conninfo("", **{**given, "dbname": self._names[database], "options": options})

    @property
    def major(self) -> int:
        """The server's major version."""
        return self._connection.info.server_version // 10000

    def create_database(self, name: str, *, template: str | None = None, options: sql.Composable | None = None) -> str:
        """Create a database that is called `name` here and otherwise on the server, and return its URL.

        From `template`, another of these, else as `options` of CREATE DATABASE say, else from `template0`.

        Raises:
            ToolError: the role may not.
        """
        real = f"{PREFIX}{secrets.token_hex(6)}"
        self._connection.execute(_LOCK, (real,))
        try:
            how = options or sql.SQL("TEMPLATE {}").format(
                sql.Identifier(self._names[template] if template else "template0")
            )
            self._connection.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(real), how))
            self._names[name] = real
            self._connection.execute(
                sql.SQL("ALTER DATABASE {} SET search_path = {}").format(
                    sql.Identifier(real), sql.SQL(self._search_path)
                )
            )
        except psycopg.errors.InsufficientPrivilege as error:
            raise ToolError(
                f"the scratch server does not let us make a database: {words_of(error)}",
                where="scratch",
                next="grant CREATEDB to that role",
            ) from None
        return self.url(name)

    def adopt(self, name: str) -> str:
        """Call the database that the URL names `name` from now on, and return its URL. It is never dropped here."""
        self._names[name] = self._connection.info.dbname
        self._adopted.add(name)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop one of the copies."""
        real = self._names.pop(name)
        if name not in self._adopted:
            self._drop(real)

    def stop(self) -> None:
        """Drop what was made, and close the connection. Safe to call again."""
        with contextlib.suppress(psycopg.Error):
            for name in tuple(self._names):
                self.drop_database(name)
        self._connection.close()
        self.when_stopped()

    def __enter__(self) -> ScratchServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _drop(self, name: str) -> None:
        self._connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _drop_left_behind(self) -> None:
        for (name,) in self._connection.execute(LEFT_BEHIND, (PREFIX,)).fetchall():
            if self._connection.execute(_LOCK, (name,)).fetchone()[0]:  # type: ignore[index]
                with contextlib.suppress(psycopg.errors.InsufficientPrivilege):  # another role's
                    self._drop(name)


def _require_fitting(own: Target, theirs: Target, *, is_clone: bool) -> Target:
    if not is_clone and own.system_identifier == theirs.system_identifier:
        raise ToolError(
            "the scratch server is the server of the database itself",
            where=f"scratch, {own.host}, system {own.system_identifier or 'not to be read'}",
            next="name another server, or none: then a throwaway one is started here",
        )
    if own.server_version_num // 10000 < theirs.server_version_num // 10000:
        raise ToolError(
            f"the scratch server is PostgreSQL {own.server_version}, older than the database's {theirs.server_version}",
            where=f"scratch, {own.host}",
            next="name one of the same major version",
        )
    return own
