"""Replay migrations on an empty database, leniently: what was once applied, by whatever tool, runs again.

Only what is pending must be as safemig runs it (`execution.steps.plan_files`), and is held to that before it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import psycopg

from safemig.errors import MigrationError
from safemig.execution.steps import plan_files, run_steps
from safemig.migrations import Migration
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import words_of
from safemig.postgres.pretences import adapter
from safemig.sql import ParsedStatement, SqlSyntaxError, parse
from safemig.sql.psql_script import Piece, is_psql_script, read_psql_script

# A dump sets an empty search_path, and much else, for the whole session.
WHAT_THE_SESSION_SET = "SELECT name, setting FROM pg_settings WHERE source = 'session'"


def replay(connection: Connection, migrations: Sequence[Migration]) -> None:
    """Run migrations from the first to the last, each in a transaction of its own where it can.

    BEGIN and COMMIT, psql's harmless commands and the data of COPY are understood; what a script sets for its session
    ends with it.

    Raises:
        MigrationError: one does not parse or does not run.
    """
    for migration in migrations:
        if is_psql_script(migration.sql):
            with _own_settings(connection):
                _run_script(connection, migration)
        else:
            _run_file(connection, migration)


def _run_file(connection: Connection, migration: Migration) -> None:
    (file,) = plan_files([migration], applied=True)
    done, adapt = 0, adapter(connection)
    try:
        with connection.transaction() if file.transactional else nullcontext():
            for done, _ in enumerate(run_steps(connection, file.steps, adapt=adapt), start=1):  # noqa: B007 - read below
                pass
    except psycopg.Error as error:
        failed = file.steps[done] if done < len(file.steps) else None
        raise _does_not_run(migration, error, f", line {failed.line}: {failed.kind}" if failed else "") from None


def _run_script(connection: Connection, migration: Migration) -> None:
    try:
        pieces = [(piece, _statements(piece)) for piece in read_psql_script(migration.sql)]
    except SqlSyntaxError as error:
        raise MigrationError(
            f"does not parse: {error.reason}",
            where=f"{migration.path}, line {error.line}, column {error.column}",
            next="remove it from the applied file, or write what it did as SQL",
        ) from None
    together = all(statement.transactional for _, statements in pieces for statement in statements)
    at, adapt = "", adapter(connection) or (lambda statement: (statement,))
    try:
        with connection.transaction() if together else nullcontext():
            for piece, statements in pieces:
                for statement in statements:
                    at = f", line {piece.line + statement.line - 1}: {statement.kind}"
                    for part in () if statement.is_transaction_control else adapt(statement.sql):
                        connection.execute(part.encode())
                if piece.kind == "copy":
                    at = f", line {piece.line}: COPY"
                    with connection.cursor().copy(piece.sql.encode()) as copy:
                        copy.write(piece.data)
    except psycopg.Error as error:
        raise _does_not_run(migration, error, at) from None


def _statements(piece: Piece) -> list[ParsedStatement]:
    if piece.kind == "copy":
        return []
    try:
        return parse(piece.sql)
    except SqlSyntaxError as error:
        raise SqlSyntaxError(error.reason, piece.line + error.line - 1, error.column) from None


@contextmanager
def _own_settings(connection: Connection) -> Iterator[None]:
    before = dict(connection.execute(WHAT_THE_SESSION_SET).fetchall())
    yield
    for name, setting in connection.execute(WHAT_THE_SESSION_SET).fetchall():
        if name not in before:
            connection.execute(psycopg.sql.SQL("RESET {}").format(psycopg.sql.Identifier(name)))
        elif before[name] != setting:
            connection.execute("SELECT set_config(%s, %s, false)", (name, before[name]))


def _does_not_run(migration: Migration, error: psycopg.Error, at: str) -> MigrationError:
    return MigrationError(
        f"does not run on an empty database after the migrations before it: {words_of(error)}",
        where=f"{migration.path}{at}",
        next="the files must build the schema from nothing; add what is missing as an earlier migration, "
        "or what the platform provides: safemig base",
    )
