"""Replay migrations on an empty database, leniently: what was once applied, by whatever tool, runs again.

Only what is pending must be as safemig runs it (`execution.steps.plan_files`), and is held to that before it runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import psycopg

from safemig.errors import MigrationError
from safemig.execution.steps import plan_files, run_steps
from safemig.migrations import Migration
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import words_of
from safemig.postgres.pretences import adapter
from safemig.results import Step
from safemig.sql import ParsedStatement, SqlSyntaxError, parse
from safemig.sql.psql_script import Piece, is_psql_script, read_psql_script

T = TypeVar("T")

# A statement that locks more than 15 objects makes the server go through all locks of its transaction when it ends
# (LockReassignCurrentOwner, all versions to 18): 3,000 tables in one take three times the work of 30 times 100.
STATEMENTS_TOGETHER = 200
# Statements whose effect is the same in a transaction of their own, where no text says anything of a transaction.
_BY_THEMSELVES = ("CREATE ", "ALTER ", "DROP ", "COMMENT", "GRANT", "REVOKE", "SET", "INSERT", "COPY", "SECURITY LABEL")
_NOT_BY_THEMSELVES = ("SET CONSTRAINTS", "SET TRANSACTION", "SET LOCAL")
_OF_A_TRANSACTION = re.compile(r"\b(?:local|deferr\w*|temp|temporary|set_config|set\s+constraints)\b", re.IGNORECASE)
# How each pg_dump begins, and how it sets sequences.
_PATH_OF_A_DUMP = "SELECT pg_catalog.set_config('search_path', '', false)"
_OF_A_DUMP = (_PATH_OF_A_DUMP, "SELECT pg_catalog.setval(")

# A dump sets an empty search_path, and much else, for the whole session.
WHAT_THE_SESSION_SET = "SELECT name, setting FROM pg_settings WHERE source = 'session'"


def replay(connection: Connection, migrations: Sequence[Migration]) -> None:
    """Run migrations from the first to the last, each in a transaction of its own where it can.

    BEGIN and COMMIT, psql's harmless commands and the data of COPY are understood; what a script sets for its session
    ends with it.

    Raises:
        MigrationError: one does not parse or does not run.
    """
    may_part = True  # a constraint that is deferred counts for every file after it
    for migration in migrations:
        may_part = may_part and not _OF_A_TRANSACTION.search(migration.sql.replace(_PATH_OF_A_DUMP, ""))
        if is_psql_script(migration.sql):
            with _own_settings(connection):
                _run_script(connection, migration, may_part=may_part)
        else:
            _run_file(connection, migration, may_part=may_part)


def _together(statements: Sequence[Step | ParsedStatement], *, may_part: bool) -> int:
    """Return how many of a file's statements share a transaction; 0: all, for it may count for one that they do."""
    return STATEMENTS_TOGETHER if may_part and all(map(_is_by_itself, statements)) else 0


def _is_by_itself(statement: Step | ParsedStatement) -> bool:
    kind = statement.kind
    if kind == "SELECT":
        return statement.sql.startswith(_OF_A_DUMP)
    return kind.startswith(_BY_THEMSELVES) and not kind.startswith(_NOT_BY_THEMSELVES)


def _in_parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), size or max(len(items), 1)):
        yield items[first : first + size] if size else items


def _run_file(connection: Connection, migration: Migration, *, may_part: bool) -> None:
    (file,) = plan_files([migration], applied=True)
    done, adapt = 0, adapter(connection)
    size = _together(file.steps, may_part=may_part)
    try:
        for some in _in_parts(file.steps, size):
            if size and file.transactional and adapt is None and _run_at_once(connection, some):
                done += len(some)
                continue
            with connection.transaction() if file.transactional else nullcontext():
                for _ in run_steps(connection, some, adapt=adapt):
                    done += 1
    except psycopg.Error as error:
        failed = file.steps[done] if done < len(file.steps) else None
        raise _does_not_run(migration, error, f", line {failed.line}: {failed.kind}" if failed else "") from None


def _run_at_once(connection: Connection, steps: Sequence[Step]) -> bool:
    """Run statements as one message in one transaction, which spares thousands their ways; tell whether they ran.

    Where one fails nothing of them is done: run one by one, it is known which.
    """
    if len(steps) == 1 or any(step.batches or step.kind == "COPY" for step in steps):
        return False
    try:
        with connection.transaction():
            connection.execute("\n;\n".join(step.sql for step in steps).encode())
    except (psycopg.errors.DatabaseError, psycopg.errors.InterfaceError):
        return False
    return True


def _run_script(connection: Connection, migration: Migration, *, may_part: bool) -> None:
    try:
        pieces = [(piece, _statements(piece)) for piece in read_psql_script(migration.sql)]
    except SqlSyntaxError as error:
        raise MigrationError(
            f"does not parse: {error.reason}",
            where=f"{migration.path}, line {error.line}, column {error.column}",
            next="remove it from the applied file, or write what it did as SQL",
        ) from None
    to_run: list[tuple[Piece, ParsedStatement | None]] = []
    for piece, statements in pieces:
        to_run += [(piece, statement) for statement in statements] or [(piece, None)]
    is_transactional = all(each.transactional for _, each in to_run if each)
    size = _together([each for _, each in to_run if each and not each.is_transaction_control], may_part=may_part)
    at, adapt = "", adapter(connection) or (lambda statement: (statement,))
    try:
        for some in _in_parts(to_run, size):
            with connection.transaction() if is_transactional else nullcontext():
                for piece, statement in some:
                    if statement is None:
                        at = f", line {piece.line}: COPY"
                        _copy(connection, piece)
                    elif not statement.is_transaction_control:
                        at = f", line {piece.line + statement.line - 1}: {statement.kind}"
                        for part in adapt(statement.sql):
                            connection.execute(part.encode())
    except psycopg.Error as error:
        raise _does_not_run(migration, error, at) from None


def _copy(connection: Connection, piece: Piece) -> None:
    if piece.kind == "copy":
        with connection.cursor().copy(piece.sql.encode()) as copy:
            copy.write(piece.data)


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
