"""Data migrations in batches: one statement run for a range of keys at a time, each a short transaction of its own.

In a migration file, before the statement, which says where the range goes by `$1` and `$2`, both of them within it:

    -- safemig: batches of 10000 by users.id, pause 100 ms
    UPDATE users SET active = true WHERE active IS NULL AND id BETWEEN $1 AND $2;

How far it came is kept in the database, in each batch's own transaction: whatever ends it, a rerun goes on there.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import errors as pg
from psycopg import sql
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from safemig.errors import MigrationError
from safemig.execution.acting import as_ourselves
from safemig.fault_points import FaultPoint, pass_point
from safemig.migrations import Migration
from safemig.postgres.connection import Connection
from safemig.results import Batches, Step
from safemig.sql import ParsedStatement

_BEGINNING = re.compile(r"^--[ \t]*safemig:[ \t]*batch", re.MULTILINE)
_DECLARATION = re.compile(
    r"--[ \t]*safemig:[ \t]*batches of (?P<size>[1-9]\d*) by (?P<table>(?:[\w$]+\.)?[\w$]+)\.(?P<key>[\w$]+)"
    r"(?:, pause (?P<pause>\d+) ms)?[ \t]*$"
)
_EXAMPLE = "-- safemig: batches of 10000 by users.id, pause 100 ms"
_IN_BATCHES = ("INSERT", "UPDATE", "DELETE", "MERGE")

CAN_BE_GONE_THROUGH = """
SELECT a.attnotnull AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisvalid
                                AND i.indkey[0] = a.attnum AND i.indpred IS NULL)
FROM pg_attribute a WHERE a.attrelid = to_regclass(%s) AND a.attname = %s AND NOT a.attisdropped
"""
MAKE_PROGRESS = """
CREATE TABLE IF NOT EXISTS safemig.batches (
    statement_sha256 text NOT NULL PRIMARY KEY,
    run_id text NOT NULL,
    file text NOT NULL,
    line integer NOT NULL,
    upto text,
    last text,
    rows bigint NOT NULL DEFAULT 0,
    batches bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now())
"""
BEGIN_PROGRESS = """
INSERT INTO safemig.batches (statement_sha256, run_id, file, line, last) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (statement_sha256) DO UPDATE SET run_id = excluded.run_id RETURNING upto, last, rows
"""
NOTE_PROGRESS = """
UPDATE safemig.batches SET upto = %s, rows = rows + %s, batches = batches + 1, changed_at = now() WHERE statement_sha256 = %s
"""
# Not min() and max(), which uuid has only from 18 on.
# And by t.key: a bare name in ORDER BY would be the text that is selected.
LAST_KEY = "SELECT t.{key}::text FROM {table} AS t ORDER BY t.{key} DESC LIMIT 1"
_KEYS = """
SELECT (array_agg(k ORDER BY k))[1]::text, (array_agg(k ORDER BY k DESC))[1]::text
FROM (SELECT {{key}} AS k FROM {{table}} WHERE {after} {{key}} <= $1 ORDER BY {{key}} LIMIT {{size}}) AS batch
"""
FIRST_KEYS = _KEYS.format(after="")
NEXT_KEYS = _KEYS.format(after="{key} > $2 AND")
_RETRIED = (pg.LockNotAvailable, pg.DeadlockDetected, pg.SerializationFailure)


@dataclass(frozen=True, slots=True)
class Keeping:
    """That progress is kept in the database, by which run; how often a batch is tried; who is told of each."""

    run_id: str
    attempts: int
    note: Callable[[str, int], None]  # (the last key of the batch, rows so far)
    deploy_as: str = ""  # the role under which batches run; progress is kept as who connected


def declared(migration: Migration, statements: Sequence[ParsedStatement]) -> dict[int, Batches]:
    """Return the batches that a migration declares, by the place (from 0) of the statement that follows each.

    Raises:
        MigrationError: a declaration is not understood, or nothing that it could be for follows.
    """
    found: dict[int, Batches] = {}
    for begin in _BEGINNING.finditer(migration.sql):
        line = migration.sql.count("\n", 0, begin.start()) + 1
        match = _DECLARATION.match(migration.sql.splitlines()[line - 1])
        place = next((place for place, each in enumerate(statements) if each.line > line), None)
        if match is None:
            raise _not_so("invalid declaration of batches", migration, line, f"such as: {_EXAMPLE}")
        if place is None or statements[place].kind.split()[0] not in _IN_BATCHES:
            what = "batches are for an INSERT, UPDATE, DELETE or MERGE, and none follows"
            raise _not_so(what, migration, line, "put the statement right after it")
        if not all(name in statements[place].sql for name in ("$1", "$2")):
            key = match["key"]
            what = "the statement does not use the range of keys"
            raise _not_so(what, migration, statements[place].line, f"add: AND {key} BETWEEN $1 AND $2")
        found[place] = Batches(int(match["size"]), match["table"], match["key"], int(match["pause"] or 0))
    return found


def _not_so(what: str, migration: Migration, line: int, next_step: str) -> MigrationError:
    return MigrationError(what, where=f"{migration.file}, line {line}", next=next_step)


def run_batches(connection: Connection, step: Step, keeping: Keeping | None = None) -> int:
    """Run a step in its batches on a connection in autocommit, and return the rows that it wrote in all.

    What is there at the beginning is gone through; rows that come later are the application's own. Without `keeping`,
    for a copy, there are no pauses, and nothing is kept.

    Raises:
        MigrationError: the key's column may be NULL, or has no index to go through it by.
        psycopg.Error: a batch failed; those before it stay.
    """
    batches = step.batches
    assert batches is not None  # noqa: S101 - the caller looked
    row = connection.execute(CAN_BE_GONE_THROUGH, (batches.table, batches.key)).fetchone()
    if not (row and row[0]):
        raise MigrationError(
            f"{batches.table}.{batches.key} cannot be processed in batches",
            where=f"{step.file}, line {step.line}",
            next="name a column that is NOT NULL and the first of an index, such as the primary key",
        )
    table, key = sql.Identifier(*batches.table.lower().split(".")), sql.Identifier(batches.key.lower())
    ask = psycopg.RawCursor(connection)
    last = ask.execute(sql.SQL(LAST_KEY).format(key=key, table=table)).fetchone()
    upto, rows, end = None, 0, last[0] if last else None
    mark = hashlib.sha256(f"{step.file}\n{step.sql}".encode()).hexdigest()
    if keeping:
        with as_ourselves(connection, keeping.deploy_as):
            connection.execute(MAKE_PROGRESS.encode())
            begun = connection.execute(BEGIN_PROGRESS, (mark, keeping.run_id, step.file, step.line, end)).fetchone()
        upto, end, rows = begun or (None, end, 0)
    if end is None:  # an empty table; the statement must be a good one all the same
        ask.execute(step.sql.encode(), (None, None))
        return 0
    following = sql.SQL(NEXT_KEYS).format(key=key, table=table, size=sql.Literal(batches.size))
    first = sql.SQL(FIRST_KEYS).format(key=key, table=table, size=sql.Literal(batches.size))
    while True:
        found = ask.execute(following, (end, upto)) if upto is not None else ask.execute(first, (end,))
        low, high = found.fetchone() or (None, None)
        if high is None:
            return rows
        if upto is not None and keeping:
            time.sleep(batches.pause_ms / 1000)
        retrying = Retrying(
            retry=retry_if_exception_type(_RETRIED),
            stop=stop_after_attempt(keeping.attempts if keeping else 1),
            wait=wait_random(0.05, 1),
            reraise=True,
        )
        rows += retrying(
            _batch, connection, step, (low, high), mark if keeping else "", keeping.deploy_as if keeping else ""
        )
        upto = high
        if keeping:
            keeping.note(high, rows)


def _batch(connection: Connection, step: Step, bounds: tuple[str, str], mark: str, deploy_as: str) -> int:
    pass_point(FaultPoint.BATCH_BEGINS)
    with connection.transaction():
        written = psycopg.RawCursor(connection).execute(step.sql.encode(), bounds).rowcount
        if mark:
            with as_ourselves(connection, deploy_as):
                connection.execute(NOTE_PROGRESS, (bounds[1], written, mark))
    pass_point(FaultPoint.BATCH_COMMITTED)
    return written
