"""Migrations as ordered steps, and the running of steps: in one transaction, or one by one where that must be."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import Cursor
from psycopg.pq import TransactionStatus

from safemig import live
from safemig.errors import MigrationError
from safemig.execution.batches import Keeping, declared, run_batches
from safemig.execution.expected_locks import locks_by_kind
from safemig.migrations import Migration
from safemig.postgres.connection import Connection
from safemig.postgres.connection.notices import heard
from safemig.postgres.connection.search_path import catalog_first, change_search_path, own_search_path
from safemig.postgres.pretences import Adapt, adapter
from safemig.results import HeldLock, Step
from safemig.sql import ParsedStatement, SqlSyntaxError, parse
from safemig.sql.client_text import statement_and_rows, with_rows
from safemig.sql.kinds import NO_TRANSACTION, says_no_transaction
from safemig.sql.locks import LockMode
from safemig.sql.parsing import wrapper_of
from safemig.sql.psql_script import is_psql_script, read_psql_script

# Names come from the session that made them: another one does not see what is not committed yet.
WHICH_LOCKS_HELD = """
SELECT format('%I.%I', n.nspname, c.relname), l.mode
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted AND c.relkind IN ('r', 'p', 'm', 'v', 'f')
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
"""
WHICH_FILE_NODES = """
SELECT c.oid, format('%I.%I', n.nspname, c.relname), c.relfilenode
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
"""
WHICH_ARE_TABLES = """
SELECT name FROM unnest(%s::text[]) AS name JOIN pg_class c ON c.oid = to_regclass(name) WHERE c.relkind IN ('r', 'p')
"""
# Within a transaction only; what it has read so far, so that the difference is one statement's.
WHICH_SCANS = """
SELECT format('%I.%I', s.schemaname, s.relname), s.seq_scan FROM pg_stat_xact_user_tables s
WHERE s.seq_scan > 0 AND s.schemaname NOT IN ('safemig', 'supabase_migrations')
"""
# By itself a statement's scans are counted when the session has told them to the statistics, which it is made to.
TELL_STATISTICS = "SELECT pg_stat_force_next_flush()"
WHICH_SCANS_SO_FAR = """
SELECT format('%I.%I', schemaname, relname), seq_scan FROM pg_stat_user_tables
WHERE schemaname NOT IN ('safemig', 'supabase_migrations')
"""
UP_FRONT_SECONDS = 1.0
_INTO = re.compile(r"(?:INSERT\s+INTO|DELETE\s+FROM|UPDATE)\s+([^\s(]+)", re.IGNORECASE)
_WRITES_ROWS = ("INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "COPY")

Listener = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A migration and its statements as steps."""

    migration: Migration
    steps: tuple[Step, ...]
    transactional: bool  # True where all of it runs inside a transaction
    ran: tuple[Step, ...] = ()  # what an earlier run, which this one goes on with, has done of it


@dataclass(frozen=True, slots=True)
class Segment:
    """What is committed together: migrations in one transaction, or one file of statements that refuse any."""

    files: tuple[PlannedFile, ...]
    transactional: bool

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its steps, in order."""
        return tuple(step for file in self.files for step in file.steps)

    @property
    def migrations(self) -> tuple[Migration, ...]:
        """Its migrations, in order."""
        return tuple(file.migration for file in self.files)

    @property
    def names(self) -> tuple[str, ...]:
        """Its files' names, in order."""
        return tuple(each.file for each in self.migrations)


def plan_files(migrations: Sequence[Migration], *, applied: bool = False) -> tuple[PlannedFile, ...]:
    """Read migrations into numbered steps. `applied` ones, which are not run on a target, may be as psql ran them: with
    transactions of their own, which are left out, psql's harmless commands, and the data of COPY.

    Raises:
        MigrationError: one does not parse (file, line, column), controls transactions itself, or mixes statements
            that refuse a transaction (CREATE INDEX CONCURRENTLY, ...) with others.
    """
    files: list[PlannedFile] = []
    number = 0
    for migration in migrations:
        steps: list[Step] = []
        statements = as_psql_ran_it(migration) if applied else parse_file(migration)
        in_batches = declared(migration, statements)
        wrapper = wrapper_of(statements) or ()
        for place, statement in enumerate(statements):
            if place in wrapper:
                continue  # safemig's own transaction is around the file; its bytes stay bound to the plan
            if statement.is_transaction_control:
                raise MigrationError(
                    f"{statement.kind} in a migration: safemig manages the transaction",
                    where=f"{migration.file}, line {statement.line}",
                    next="remove it; all pending migrations run in one transaction",
                )
            number += 1
            batches = in_batches.get(place)
            transactional = statement.transactional and batches is None
            steps.append(
                Step(
                    number,
                    migration.file,
                    statement.line,
                    statement.kind,
                    _with_its_rows(migration, statement),
                    transactional,
                    batches=batches,
                )
            )
        alone = migration.alone or says_no_transaction(migration.sql)
        file = PlannedFile(migration, tuple(steps), not alone and all(step.transactional for step in steps))
        if (
            not applied
            and not file.transactional
            and not alone
            and any(step.transactional and step.kind != "SET" for step in steps)
        ):
            apart = next(step for step in steps if not step.transactional)
            raise MigrationError(
                f"{apart.kind}{' in batches' if apart.batches else ''} cannot run in a transaction, "
                "and other statements of this file must",
                where=f"{migration.file}, line {apart.line}",
                next=f'put it into a migration file of its own, or write "-- {NO_TRANSACTION}" into this one',
            )
        files.append(file)
    return tuple(files)


def _with_its_rows(migration: Migration, statement: ParsedStatement) -> str:
    """Return a statement's SQL, and that of a COPY FROM stdin with the rows that follow it in the file."""
    rows = with_rows(migration.sql, statement.start + len(statement.sql)) if statement.has_rows else None
    return f"{statement.sql};\n{migration.sql[rows[0] : rows[1]]}\\." if rows else statement.sql


def parse_file(migration: Migration) -> list[ParsedStatement]:
    """Parse a migration; a syntax error says which file.

    Raises:
        MigrationError: it does not parse: file, line, column and PostgreSQL's own words.
    """
    try:
        return parse(migration.sql)
    except SqlSyntaxError as error:
        raise MigrationError(
            f"does not parse: {error.reason}",
            where=f"{migration.path}, line {error.line}, column {error.column}",
            next=error.next,
        ) from None


def as_psql_ran_it(migration: Migration) -> list[ParsedStatement]:
    """Parse a migration that may be psql's: its harmless commands are left out, and of such a file its transactions.

    Raises:
        MigrationError: it does not parse: file, line, column and PostgreSQL's own words.
    """
    if not is_psql_script(migration.sql):
        return parse_file(migration)
    try:
        return [
            statement._replace(line=piece.line + statement.line - 1)
            for piece in read_psql_script(migration.sql)
            for statement in parse(piece.sql)
            if not statement.is_transaction_control
        ]
    except SqlSyntaxError as error:
        raise MigrationError(
            f"does not parse: {error.reason}",
            where=f"{migration.path}, line {error.line}, column {error.column}",
            next=error.next,
        ) from None


def rows_not_written(recorded: Sequence[PlannedFile], compared: Collection[str] = ()) -> tuple[str, ...]:
    """Return in words which statements that write rows were not run, of files that are only recorded as applied.

    `compared` are tables whose rows were seen to be there, such as `storage.buckets`.
    """
    return tuple(
        f"{file.migration.file} was recorded only: its {step.kind} in line {step.line} was not run"
        for file in recorded
        for step in file.steps
        if step.kind.split()[0] in _WRITES_ROWS and not _writes_only(step.sql, compared)
    )


def _writes_only(sql: str, tables: Collection[str]) -> bool:
    match = _INTO.match(sql) if tables else None
    return match is not None and match[1] in tables


def segments(files: Sequence[PlannedFile], *, together: bool = True) -> tuple[Segment, ...]:
    """Group files into what is committed together: with `together`, neighbours that can share a transaction do."""
    found: list[Segment] = []
    for file in files:
        if together and file.transactional and found and found[-1].transactional:
            found[-1] = Segment((*found[-1].files, file), True)
        else:
            found.append(Segment((file,), file.transactional))
    return tuple(found)


def run_steps(
    connection: Connection,
    steps: Sequence[Step],
    *,
    listen: Listener | None = None,
    keeping: Keeping | None = None,
    adapt: Adapt | None = None,
) -> Iterator[Step]:
    """Run steps on a connection, in the caller's transaction if there is one, and give each back with what it did.

    `adapt`, for a copy with stand-ins, puts a statement so that it runs there.

    Raises:
        psycopg.Error: a statement failed; the steps before it were given, `failed_step` makes the failing one.
    """
    for step in steps:
        started = time.monotonic()
        live.became(replace(step, state="running"))
        rows: int | None
        with heard(connection) as notices:
            if step.batches:
                rows = run_batches(connection, step, keeping)
            else:
                statement, *notes = adapt(step.sql) if adapt else (step.sql,)
                cursor = _execute(connection, statement, step.kind)
                for note in notes:
                    connection.execute(note.encode())
                rows = cursor.rowcount if cursor.rowcount >= 0 and _counts_rows(cursor.statusmessage) else None
        done = replace(
            step,
            state="ran",
            ran_s=time.monotonic() - started,
            attempts=step.attempts + 1,
            rows=rows,
            notices=notices.lines,
        )
        live.became(done)
        if listen:
            listen(done)
        yield done


def _execute(connection: Connection, sql: str, kind: str) -> Cursor[tuple[Any, ...]]:
    copied = statement_and_rows(sql) if kind == "COPY" else None
    if copied is None:
        return connection.execute(sql.encode())
    statement, rows = copied
    cursor = connection.cursor()
    with cursor.copy(statement.encode()) as copy:
        copy.write(rows)
    return cursor


def observe_steps(connection: Connection, steps: Sequence[Step], *, listen: Listener | None = None) -> Iterator[Step]:
    """Run steps as `run_steps` does, and note what each did to tables that were there: locks, rewrites, scans.

    For a copy: the catalogs are read after every statement.
    """
    nodes, scans = file_nodes(connection), _scans(connection)
    existing = {name for name, _ in nodes.values()}
    held: dict[str, LockMode] = {}
    path, adapt = own_search_path(connection), adapter(connection)
    for step in steps:
        # A statement may set another path for those after it; what we ask meanwhile must find PostgreSQL's own names.
        change_search_path(connection, path)
        (done,) = run_steps(connection, [step], adapt=adapt)
        path = change_search_path(connection, catalog_first(path))
        in_transaction = connection.info.transaction_status is TransactionStatus.INTRANS
        # By itself a statement has let go of its locks by now: what it took is known from what it is.
        locks = _held_locks(connection) if in_transaction else locks_by_kind(done)
        taken = tuple(
            HeldLock(name, mode)
            for name, mode in sorted(locks.items())
            if name in existing and (name not in held or mode.strength > held[name].strength)
        )
        held = locks if in_transaction else {}
        now = file_nodes(connection)
        rewrites = tuple(nodes[oid][0] for oid in nodes if oid in now and now[oid][1] != nodes[oid][1])
        nodes = now
        before, scans = scans, _scans(connection)
        read = tuple(name for name in sorted(scans) if name in existing and scans[name] > before.get(name, 0))
        observed = replace(done, locks=taken, rewrites=rewrites, scans=read)
        if listen:
            listen(observed)
        yield observed


def locks_up_front(connection: Connection, steps: Sequence[Step]) -> dict[str, LockMode]:
    """Return the locks on tables that steps, as rehearsed, will hold at their end, where they make others wait.

    None where the steps took long on the copy: then a lock that is needed late is better taken late.
    """
    if sum(step.ran_s or 0.0 for step in steps) > UP_FRONT_SECONDS:
        return {}
    wanted: dict[str, LockMode] = {}
    for lock in (lock for step in steps for lock in step.locks if lock.mode.blocks_writes):
        if lock.object not in wanted or lock.mode.strength > wanted[lock.object].strength:
            wanted[lock.object] = lock.mode
    # LOCK TABLE refuses a materialized view, and on a view it locks what the view reads.
    tables = {name for (name,) in connection.execute(WHICH_ARE_TABLES, (list(wanted),))}
    return {name: mode for name, mode in wanted.items() if name in tables}


def _counts_rows(status: str | None) -> bool:
    return bool(status) and status.split()[0] in ("INSERT", "UPDATE", "DELETE", "MERGE", "COPY")  # type: ignore[union-attr]


def _held_locks(connection: Connection) -> dict[str, LockMode]:
    locks: dict[str, LockMode] = {}
    for name, mode in connection.execute(WHICH_LOCKS_HELD):
        lock = LockMode.from_pg_locks(mode)
        if name not in locks or lock.strength > locks[name].strength:
            locks[name] = lock
    return locks


def with_held_times(steps: Sequence[Step], *, together: bool) -> list[Step]:
    """Return steps with how long each lock was held: to the end of the transaction, where they ran `together` in one."""
    left = [
        sum(later.ran_s or 0.0 for later in (steps[n:] if together else steps[n : n + 1])) for n in range(len(steps))
    ]
    return [
        replace(step, locks=tuple(replace(lock, held_s=held) for lock in step.locks))
        for step, held in zip(steps, left, strict=True)
    ]


def _scans(connection: Connection) -> dict[str, int]:
    if connection.info.transaction_status is TransactionStatus.INTRANS:
        return dict(connection.execute(WHICH_SCANS).fetchall())
    if connection.info.server_version < 150000:
        return {}
    connection.execute(TELL_STATISTICS)
    return dict(connection.execute(WHICH_SCANS_SO_FAR).fetchall())


def file_nodes(connection: Connection) -> dict[int, tuple[str, int]]:
    """Return each table by its OID: its name, and the file that holds it. Reads only."""
    return {oid: (name, node) for oid, name, node in connection.execute(WHICH_FILE_NODES)}
