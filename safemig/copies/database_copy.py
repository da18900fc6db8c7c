"""Copies of a database: made like it; on the throwaway server with its roles and extensions, a dump restored into them."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from safemig import live
from safemig.copies.provider import Provider
from safemig.copies.roles import is_superuser, make_roles, make_roles_on_scratch, name_of_superuser, own_database_alike
from safemig.copies.scratch import ScratchServer
from safemig.errors import RehearsalError, ToolError
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect, words_of
from safemig.postgres.dump.piecewise import restore_piecewise
from safemig.postgres.dump.plain import dump_schema
from safemig.postgres.dump.tools import restore, run_psql
from safemig.postgres.platforms import SETTING, platform_of
from safemig.postgres.pretences import Pretences
from safemig.postgres.server.programs import Programs
from safemig.postgres.server.throwaway import CONNECTIONS, ThrowawayServer
from safemig.postgres.stand_in.needs import needs_of
from safemig.postgres.unreadable import platform_tables_left_out
from safemig.settings import Scratch

WHICH_EXTENSIONS = "SELECT extname FROM pg_extension ORDER BY 1"
WHICH_EXTENSIONS_CAN_BE_MADE = "SELECT name FROM pg_available_extensions"
# The role's own, whatever this session has; the copy's role is another one, whose "$user" is another schema.
WHICH_SEARCH_PATH = """
SELECT replace(reset_val, '"$user"', quote_ident(current_user)) FROM pg_settings WHERE name = 'search_path'
"""
# Its own columns differ: locale providers came with 15, and 17 renamed the column of their locale.
HOW_IT_WAS_MADE = """
SELECT to_jsonb(d) || jsonb_build_object('encoding', pg_encoding_to_char(encoding)) FROM pg_database d
WHERE datname = current_database()
"""
SILENT = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {}', current_database()); END $$"
# What a transaction may lock that makes, or drops, all that the database holds.
HOW_MANY_OBJECTS = """
SELECT (SELECT count(*) FROM pg_class) + (SELECT count(*) FROM pg_constraint) + (SELECT count(*) FROM pg_trigger)
     + (SELECT count(*) FROM pg_proc WHERE oid >= 16384) + (SELECT count(*) FROM pg_policy)
"""

CopyServer = ThrowawayServer | ScratchServer


def open_server_like(source: Connection, scratch: Scratch | None = None, *, at_least: int = 0) -> CopyServer:
    """Return a server for copies of `source`: the one that `scratch` names or starts, else a throwaway one (see below).

    Its major version is that of the source or a newer one, and `at_least` that.

    Raises:
        ToolError: the scratch server cannot be started, or not be used.
        RehearsalError: it lacks an extension that the source uses; the message names it.
    """
    if scratch is None:
        return start_server_like(source, at_least=at_least)
    if scratch.command is None:
        return _open_scratch(source, scratch.conninfo("scratch"), at_least)
    provider = Provider(scratch.command, scratch.wait_s)
    try:
        with live.stage("start the scratch server"):
            url = provider.url()
        server = _open_scratch(source, url, at_least, is_clone=scratch.holds_data)
    except BaseException:
        provider.stop()
        raise
    server.when_stopped = provider.stop
    return server


def _open_scratch(source: Connection, scratch: str, at_least: int, *, is_clone: bool = False) -> ScratchServer:
    row = source.execute(WHICH_SEARCH_PATH).fetchone()
    server = ScratchServer.open(scratch, source, (row[0] if row else "public") or "''", is_clone=is_clone)
    try:
        _require_major(server, at_least)
        connection = connect(scratch, "the scratch server")
        try:
            make_roles_on_scratch(source, connection)
            _require_extensions(source, connection, "scratch", server.programs)
        finally:
            connection.close()
    except psycopg.Error as error:
        server.stop()
        raise ToolError(
            f"the scratch server refuses: {words_of(error)}", where="scratch", next="connect as a role with CREATEROLE"
        ) from None
    except BaseException:
        server.stop()
        raise
    return server


def _require_major(server: ScratchServer, at_least: int) -> None:
    if server.major < at_least:
        raise ToolError(
            f"the scratch server is PostgreSQL {server.major}, and one of {at_least} is needed here",
            where="scratch",
            next=f"name one of PostgreSQL {at_least} or later",
        )


def start_server_like(source: Connection, *, at_least: int = 0) -> ThrowawayServer:
    """Start a throwaway server for copies of `source`: of its major version or `at_least`, else the next newer one.

    The source's roles exist on it (see `roles.make_roles`). What no server here has, the copies have a stand-in of (see
    `stand_in.needs`); the server's `exceptions` name what they therefore do not show.

    Raises:
        ToolError: no such server on this machine.
    """
    with live.stage("look for a server that has what the database uses"):
        needs = needs_of(source, at_least)
    server = ThrowawayServer.start(
        programs=needs.programs,
        settings={**_limits_for(source), **needs.settings, SETTING: platform_of(source).setting},
        superuser=name_of_superuser(source),
        extra=needs.files,
    )
    server.exceptions = needs.exceptions
    try:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            make_roles(source, connection)
            _make_collations(connection, server, needs.collations)
            row = source.execute(WHICH_SEARCH_PATH).fetchone()
            # Migrations that name no schema must find what they find on the source.
            if row:
                connection.execute(sql.SQL("ALTER SYSTEM SET search_path = {}").format(_setting(row[0])))
                connection.execute("SELECT pg_reload_conf()")
    except BaseException:
        server.stop()
        raise
    return server


def _limits_for(source: Connection) -> dict[str, str]:
    """Return the settings that let one transaction on the copy lock all that the source holds, before and after."""
    row = source.execute(HOW_MANY_OBJECTS).fetchone()
    objects = row[0] if row else 0
    return {"max_locks_per_transaction": str(max(64, math.ceil(2 * objects / CONNECTIONS)))}


def _make_collations(connection: Connection, server: ThrowawayServer, names: Sequence[str]) -> None:
    """Make collations of PostgreSQL that this build lacks in what every database is made from, by the order of bytes."""
    if not names:
        return
    connection.execute("ALTER DATABASE template0 ALLOW_CONNECTIONS true")
    with psycopg.connect(server.url("template0"), autocommit=True) as template:
        for name in names:
            template.execute(f"CREATE COLLATION IF NOT EXISTS {name} (provider = libc, locale = 'C')".encode())
    connection.execute("ALTER DATABASE template0 ALLOW_CONNECTIONS false")


def made_like(source: Connection) -> sql.Composable:
    """Return the options of CREATE DATABASE that make one of the source's encoding, collation and their provider."""
    row = source.execute(HOW_IT_WAS_MADE).fetchone()
    assert row is not None  # noqa: S101 - we are connected to it
    made = row[0]
    options = {"ENCODING": made["encoding"], "LC_COLLATE": made["datcollate"], "LC_CTYPE": made["datctype"]}
    locale = made.get("datlocale") or made.get("daticulocale")
    if made.get("datlocprovider") == "i":
        options |= {"LOCALE_PROVIDER": "icu", "ICU_LOCALE": locale}
        if made.get("daticurules"):
            options["ICU_RULES"] = made["daticurules"]
    elif made.get("datlocprovider") == "b":
        options |= {"LOCALE_PROVIDER": "builtin", "BUILTIN_LOCALE": locale}
    return sql.SQL(" ").join(
        sql.SQL(name) + sql.SQL(" ") + sql.Literal(str(value))
        for name, value in [("TEMPLATE", "template0"), *options.items()]
    )


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a database: its URL, and what psql or pg_restore alone could not restore of it (see `piecewise`)."""

    url: str
    notes: tuple[str, ...] = ()


def restore_copy(source: Connection, server: CopyServer, database: str, dump: Path, *, jobs: int = 1) -> Copy:
    """Make a database on the throwaway server like `source`, from a dump of it: as a whole, else piece by piece.

    Where this machine lacks the source's collation, the copy sorts by bytes (C).

    Raises:
        RehearsalError: the dump does not restore in any way; the message names what cannot be.
    """
    url = _create(source, server, database)
    notes: tuple[str, ...] = ()
    try:
        _restore(server, url, dump, jobs)
    except ToolError as whole:
        server.drop_database(database)
        url, path = _create(source, server, database), source.execute(WHICH_SEARCH_PATH).fetchone()
        try:
            with live.stage("restore piece by piece"):
                _silence(url)
                notes = restore_piecewise(server.programs, url, dump, path[0] if path else "")
        except ToolError as error:
            raise RehearsalError(
                f"the dump does not restore: {error.what}",
                where=f"{dump}, into a throwaway PostgreSQL {server.programs.version}: {error.where or whole.what}",
                next=error.next or "look at the backup; a deployment without one that restores is refused",
            ) from None
        # Nothing stood in the way this time: a disk that was full, a server that was busy.
        notes = notes or (f"{dump.name} did not restore as a whole: {whole.what}",)
    # After the restore, which must not meet the settings of the database. The copy's search path is the source's by now,
    # where an application's function may bear the name of one of PostgreSQL's.
    with closing(connect(url, "the copy")) as copy:
        copy.execute(SILENT.format("RESET safemig.stand_ins").encode())
        if is_superuser(copy):
            own_database_alike(source, copy)
    return Copy(url, notes)


def _create(source: Connection, server: CopyServer, database: str) -> str:
    try:
        return server.create_database(database, options=made_like(source))
    except psycopg.Error:
        encoding = source.info.parameter_status("server_encoding") or "UTF8"
        letters = "C.UTF-8" if encoding == "UTF8" else "C"
        plain = sql.SQL("TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE {} ENCODING {}").format(letters, encoding)
        return server.create_database(database, options=plain)


def _restore(server: CopyServer, url: str, dump: Path, jobs: int) -> None:
    pretences = _silence(url)
    restore(server.programs, url, dump, jobs=jobs, rewrite=pretences.adapted_lines if pretences else None)


def _silence(url: str) -> Pretences:
    """Let a check, a generated column or an index that calls what is not real pass every row: it passed before."""
    with closing(connect(url, "the copy")) as copy:
        copy.execute(SILENT.format("SET safemig.stand_ins = ''silent''").encode())
        return Pretences.of(copy)


def run_on_copy(server: CopyServer, url: str, script: Path) -> None:
    """Run a script of ours on a copy, in one transaction, as it runs with the copy's stand-ins.

    Raises:
        ToolError: a statement failed; the message has psql's own words.
    """
    with closing(connect(url, "the copy")) as copy:
        pretences = Pretences.of(copy)
    run_psql(server.programs, url, script, rewrite=pretences.adapted_lines if pretences else None)


def copy_schema(
    source: Connection, conninfo: str, server: CopyServer, database: str, *, only: tuple[str, ...] = ()
) -> str:
    """Make a database on the throwaway server with the schema of `source` and no data, and return its URL.

    `only` are the schemas to copy; all but bookkeeping where none is said. `conninfo` is how pg_dump reaches the source.

    Raises:
        RehearsalError: the dump does not restore; the message has psql's own words.
        ToolError: there is no dump: no pg_dump as new as the source or the server, or a right is missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder) / "schema.sql"
        version_num = max(server.programs.version_num, source.info.server_version)
        dump.write_text(
            dump_schema(conninfo, version_num, only=only, without=platform_tables_left_out(source)), encoding="utf-8"
        )
        return restore_copy(source, server, database, dump).url


def _require_extensions(source: Connection, copy: Connection, where: str, programs: Programs) -> None:
    available = {name for (name,) in copy.execute(WHICH_EXTENSIONS_CAN_BE_MADE)}
    missing = [name for (name,) in source.execute(WHICH_EXTENSIONS).fetchall() if name not in available]
    if missing:
        raise RehearsalError(
            f"the PostgreSQL {programs.version} for the copy lacks the extensions: {', '.join(missing)}",
            where=where,
            next="install them for that server (such as postgresql-17-pgvector), or another PostgreSQL that has them",
        )


def _setting(search_path: str) -> sql.Composable:
    """Return a search path, as the server shows it, as it is written after SET: identifiers are quoted already."""
    return sql.SQL(search_path or "''")
