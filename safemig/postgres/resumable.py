"""Where a deployment of several parts stands, kept in the database that it is on.

The first thing of it that stays brings its row: a transaction its own, a statement that refuses one the note before
it. So who goes on needs nothing of the machine that it stopped on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from safemig.postgres.connection import Connection

MAKE_RESUMABLE = """
CREATE TABLE IF NOT EXISTS safemig.resumable (
    run_id text NOT NULL PRIMARY KEY,
    plan_id text NOT NULL,
    migrations jsonb NOT NULL,
    ran text[] NOT NULL DEFAULT '{}',
    running text NOT NULL DEFAULT '',
    schema_reached text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now())
"""
# to_regclass() raises where the role may not use the schema.
IS_THERE = """
SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'safemig' AND c.relname = 'resumable'
                 AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))
"""
ADD = """
INSERT INTO safemig.resumable (run_id, plan_id, migrations, schema_reached) VALUES (%s, %s, %s::jsonb, %s)
ON CONFLICT (run_id) DO NOTHING
"""
NOTE_RUNNING = "UPDATE safemig.resumable SET running = %s, changed_at = now() WHERE run_id = %s"
NOTE_RAN = """
UPDATE safemig.resumable SET ran = ran || %s::text, running = '', schema_reached = %s, changed_at = now() WHERE run_id = %s
"""
NOTE_ALL_RAN = "UPDATE safemig.resumable SET ran = %s, running = '', changed_at = now() WHERE run_id = %s"
NOTE_REACHED = "UPDATE safemig.resumable SET running = '', schema_reached = %s, changed_at = now() WHERE run_id = %s"
# Nothing of it stays: then it is no deployment that could be gone on with.
FORGET = """
DELETE FROM safemig.resumable WHERE run_id = %s AND ran = '{}' AND NOT migrations ?| %s::text[]
"""
WHICH = """
SELECT run_id, plan_id, migrations, ran, running, schema_reached FROM safemig.resumable
WHERE run_id = %(id)s OR plan_id = %(id)s ORDER BY changed_at DESC LIMIT 1
"""
WHICH_STOPPED = "SELECT run_id FROM safemig.resumable ORDER BY changed_at DESC"
FORGET_COMPLETE = """
DELETE FROM safemig.resumable r
WHERE NOT EXISTS (SELECT FROM jsonb_object_keys(r.migrations) AS part (version)
                  WHERE part.version <> ALL (%s::text[]))
"""
WAS_RUNNING = "SELECT 1 FROM safemig.resumable WHERE running = %s"


@dataclass(frozen=True, slots=True)
class Resumable:
    """A deployment of several parts: what it was to apply, by version with sha256, and which statements ran."""

    run_id: str
    plan_id: str
    migrations: Mapping[str, str]
    schema_reached: str  # its fingerprint, when something was noted last
    ran: tuple[str, ...] = ()
    running: str = ""  # the statement that was begun, and of whose end nothing is known


def add(connection: Connection, deployment: Resumable) -> None:
    """Add a deployment where it is not there yet, in the caller's transaction if there is one."""
    connection.execute(MAKE_RESUMABLE.encode())
    what = (deployment.run_id, deployment.plan_id, json.dumps(dict(deployment.migrations)), deployment.schema_reached)
    connection.execute(ADD, what)


def note_running(connection: Connection, run_id: str, statement: str) -> None:
    """Note that a statement begins."""
    connection.execute(NOTE_RUNNING, (statement, run_id))


def note_all_ran(connection: Connection, deployment: Resumable) -> None:
    """Note all statements of a deployment that ran, and that none runs."""
    connection.execute(NOTE_ALL_RAN, (list(deployment.ran), deployment.run_id))


def note_ran(connection: Connection, run_id: str, statement: str, schema: str) -> None:
    """Note that a statement ran, and the schema's fingerprint after it."""
    connection.execute(NOTE_RAN, (statement, schema, run_id))


def note_reached(connection: Connection, run_id: str, schema: str) -> None:
    """Note that no statement runs, and the schema's fingerprint."""
    connection.execute(NOTE_REACHED, (schema, run_id))


def forget_unbegun(connection: Connection, run_id: str, applied: Sequence[str]) -> None:
    """Take a deployment out of which nothing stays; `applied` are the versions that the history knows."""
    connection.execute(FORGET, (run_id, list(applied)))


def forget_complete(connection: Connection, applied: Callable[[], Sequence[str]]) -> None:
    """Take every deployment out that is applied as a whole, in the caller's transaction.

    `applied` gives the versions that the history knows; it is asked only where there is a deployment to take out.
    """
    if stopped(connection):
        connection.execute(FORGET_COMPLETE, (list(applied()),))


def find(connection: Connection, identity: str) -> Resumable | None:
    """Return the deployment of that run or plan, None where there is none. Reads only."""
    if not _is_there(connection):
        return None
    row = connection.execute(WHICH, {"id": identity}).fetchone()
    if row is None:
        return None
    run_id, plan_id, migrations, ran, running, schema = row
    return Resumable(run_id, plan_id, migrations, schema, tuple(ran), running)


def stopped(connection: Connection) -> tuple[str, ...]:
    """Return the runs that stopped part-way, the latest first. Reads only."""
    if not _is_there(connection):
        return ()
    return tuple(run_id for (run_id,) in connection.execute(WHICH_STOPPED))


def was_cut_off_in(connection: Connection, statement: str) -> bool:
    """Return whether a deployment began that statement and was cut off in it. Reads only."""
    return _is_there(connection) and connection.execute(WAS_RUNNING, (statement,)).fetchone() is not None


def _is_there(connection: Connection) -> bool:
    row = connection.execute(IS_THERE).fetchone()
    return bool(row and row[0])
