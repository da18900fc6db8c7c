"""What is applied: Supabase's own history table, and beside it ours for what that one lacks.

`supabase_migrations.schema_migrations (version, statements, name)` is the one that its CLI reads and writes, so that
both tools agree; other tools' tables are in `migrations.layouts`. `safemig.migrations` adds each file's checksum and
the run; `safemig.deployments` has a row a run.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from safemig.postgres.connection import Connection
from safemig.results import AppliedMigration, Step

MAKE_SUPABASE = """
CREATE SCHEMA IF NOT EXISTS supabase_migrations;
CREATE TABLE IF NOT EXISTS supabase_migrations.schema_migrations (version text NOT NULL PRIMARY KEY);
ALTER TABLE supabase_migrations.schema_migrations ADD COLUMN IF NOT EXISTS statements text[];
ALTER TABLE supabase_migrations.schema_migrations ADD COLUMN IF NOT EXISTS name text;
"""
MAKE_OURS = """
CREATE SCHEMA IF NOT EXISTS safemig;
CREATE TABLE IF NOT EXISTS safemig.migrations (
    version text NOT NULL PRIMARY KEY,
    sha256 text NOT NULL,
    run_id text NOT NULL,
    applied_by text NOT NULL DEFAULT session_user,
    applied_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS safemig.deployments (
    run_id text NOT NULL PRIMARY KEY,
    act text NOT NULL,
    plan_id text NOT NULL,
    started_at timestamptz NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    transaction_id text,
    by text NOT NULL,
    migrations text[] NOT NULL,
    schema_before text,
    schema_after text,
    facts jsonb NOT NULL DEFAULT '{}');
CREATE TABLE IF NOT EXISTS safemig.steps (
    run_id text NOT NULL REFERENCES safemig.deployments,
    number integer NOT NULL,
    file text NOT NULL,
    line integer NOT NULL,
    kind text NOT NULL,
    statement text NOT NULL,
    attempts integer NOT NULL,
    rows bigint,
    ran_s double precision,
    lock_wait_s double precision,
    PRIMARY KEY (run_id, number));
"""
WHICH_TABLES_EXIST = """
SELECT to_regclass('supabase_migrations.schema_migrations') IS NOT NULL, to_regclass('safemig.migrations') IS NOT NULL,
       to_regclass('safemig.deployments') IS NOT NULL AND to_regclass('safemig.steps') IS NOT NULL
"""
WHICH_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = 'supabase_migrations.schema_migrations'::regclass AND attnum > 0 AND NOT attisdropped
"""
CHECKSUMS = "SELECT version, sha256 FROM safemig.migrations"
ADD_APPLIED = """
INSERT INTO supabase_migrations.schema_migrations (version, statements, name) VALUES (%s, %s, %s)
"""
# Another tool may have taken the version out of the history (supabase migration repair), and does not know of ours.
ADD_CHECKSUM = """
INSERT INTO safemig.migrations (version, sha256, run_id) VALUES (%s, %s, %s) ON CONFLICT (version) DO UPDATE
SET (sha256, run_id, applied_by, applied_at) = (excluded.sha256, excluded.run_id, excluded.applied_by, excluded.applied_at)
"""
ADD_DEPLOYMENT = """
INSERT INTO safemig.deployments
    (run_id, act, plan_id, started_at, transaction_id, by, migrations, schema_before, schema_after, facts)
VALUES (%(run_id)s, %(act)s, %(plan_id)s, %(started_at)s, pg_current_xact_id()::text, %(by)s, %(migrations)s,
        %(schema_before)s, %(schema_after)s, %(facts)s::jsonb)
"""
ADD_STEP = """
INSERT INTO safemig.steps (run_id, number, file, line, kind, statement, attempts, rows, ran_s, lock_wait_s)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
WHAT_A_RUN_COMMITTED = """
SELECT unnest(CASE WHEN cardinality(migrations) > 0 THEN migrations ELSE ARRAY[act] END) FROM safemig.deployments
WHERE run_id = %(run)s OR starts_with(run_id, %(run)s || '-') ORDER BY committed_at
"""
WHAT_WAS_COMMITTED_BETWEEN = """
SELECT DISTINCT unnest(CASE WHEN cardinality(migrations) > 0 THEN migrations ELSE ARRAY[act] END) FROM safemig.deployments
WHERE act = %(act)s AND %(plan)s IN (plan_id, '') AND started_at >= %(first)s AND started_at < %(last)s
  AND coalesce(facts ->> 'schema', '') = %(schema)s ORDER BY 1
"""
WHICH_RUNS_WERE_RECORDED = """
SELECT run_id, act, by, committed_at, facts ->> 'record', facts ->> 'ledger' FROM safemig.deployments
WHERE facts ? 'record' ORDER BY committed_at
"""
# Made when the settings first ask for more than one approval.
MAKE_APPROVALS = """
CREATE SCHEMA IF NOT EXISTS safemig;
CREATE TABLE IF NOT EXISTS safemig.approvals (
    plan_id text NOT NULL,
    by text NOT NULL,
    how text NOT NULL,
    session_user_name text NOT NULL DEFAULT session_user,
    approved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (plan_id, by));
"""
ADD_APPROVAL = "INSERT INTO safemig.approvals (plan_id, by, how) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
APPROVALS = "SELECT by FROM safemig.approvals WHERE plan_id = %s ORDER BY approved_at, by"
LAST_SCHEMA = "SELECT schema_after FROM safemig.deployments ORDER BY committed_at DESC LIMIT 1"
RUNS_OF_A_PLAN = "SELECT run_id FROM safemig.deployments WHERE plan_id = %s ORDER BY committed_at"
# What migration files were seen to make of an empty database; kept with the deployment of the last of them.
WHAT_FILES_MAKE = """
SELECT facts #>> '{files_make,schema}' FROM safemig.deployments WHERE facts #>> '{files_make,files}' = %s
ORDER BY committed_at DESC LIMIT 1
"""
DEPLOYMENT_EXISTS = "SELECT 1 FROM safemig.deployments WHERE run_id = %s"


def read_history(connection: Connection) -> tuple[AppliedMigration, ...]:
    """Return what is applied, oldest first; nothing where there is no history table. Reads only."""
    theirs, ours, _ = _existing(connection)
    if not theirs:
        return ()
    columns = {name for (name,) in connection.execute(WHICH_COLUMNS)}
    wanted = ", ".join(name if name in columns else f"NULL AS {name}" for name in ("name", "statements"))
    rows = connection.execute(
        f"SELECT version, {wanted} FROM supabase_migrations.schema_migrations ORDER BY version"  # noqa: S608
    ).fetchall()
    known = dict(connection.execute(CHECKSUMS).fetchall()) if ours else {}
    return tuple(
        AppliedMigration(version, name or "", tuple(statements or ()), known.get(version, ""))
        for version, name, statements in rows
    )


def make_history(connection: Connection) -> None:
    """Make the history tables, Supabase's and ours, where they are missing; complete that of an older CLI."""
    is_there = _existing(connection)[0]
    if not is_there or not {"name", "statements"} <= {column for (column,) in connection.execute(WHICH_COLUMNS)}:
        connection.execute(MAKE_SUPABASE)
    make_own_history(connection)


def make_own_history(connection: Connection) -> None:
    """Make our tables where they are missing."""
    if not all(_existing(connection)[1:]):
        connection.execute(MAKE_OURS)


def checksums(connection: Connection) -> dict[str, str]:
    """Return the sha256 of each migration that safemig applied, by version. Reads only."""
    return dict(connection.execute(CHECKSUMS).fetchall()) if _existing(connection)[1] else {}


def record_applied(
    connection: Connection, version: str, name: str, statements: Sequence[str], sha256: str, run_id: str
) -> None:
    """Record one migration as applied, within the caller's transaction."""
    add_to_supabase(connection, version, name, statements)
    record_checksum(connection, version, sha256, run_id)


def add_to_supabase(connection: Connection, version: str, name: str, statements: Sequence[str]) -> None:
    """Record one migration in Supabase's table."""
    stored = [_storable(connection, each) for each in statements]
    connection.execute(ADD_APPLIED, (version, stored, _storable(connection, name)))


def record_checksum(connection: Connection, version: str, sha256: str, run_id: str) -> None:
    """Record a migration's checksum and its run in our table."""
    connection.execute(ADD_CHECKSUM, (version, sha256, run_id))


def record_deployment(connection: Connection, *, facts: dict[str, Any] | None = None, **row: Any) -> None:
    """Add a run's row, within its own transaction, so that the row is there exactly when its work is."""
    row = {name: _storable(connection, value) if isinstance(value, str) else value for name, value in row.items()}
    row["migrations"] = [_storable(connection, name) for name in row["migrations"]]
    connection.execute(ADD_DEPLOYMENT, {**row, "facts": json.dumps(facts or {})})


def record_steps(connection: Connection, run_id: str, steps: Sequence[Step]) -> None:
    """Add the steps of a run's transaction, within it."""
    rows = [
        (
            run_id,
            each.number,
            _storable(connection, each.file),
            each.line,
            _storable(connection, each.kind),
            _storable(connection, each.sql),
            each.attempts,
            each.rows,
            each.ran_s,
            each.lock_wait_s,
        )
        for each in steps
    ]
    with connection.cursor() as cursor:
        cursor.executemany(ADD_STEP, rows)


def committed_parts(connection: Connection, run_id: str) -> list[str]:
    """Return the files that a run's committed transactions were about; its act where there are none. Reads only."""
    if not _existing(connection)[2]:
        return []
    return [name for (name,) in connection.execute(WHAT_A_RUN_COMMITTED, {"run": run_id})]


def committed_between(
    connection: Connection, act: str, plan_id: str, first: datetime, last: datetime, schema: str
) -> list[str]:
    """Return the files that runs which began from `first` until before `last` committed, to that schema alone where it is named.

    Of that plan, of any where it is "". Reads only.
    """
    if not _existing(connection)[2]:
        return []
    asked = {"act": act, "plan": plan_id, "first": first, "last": last, "schema": schema}
    return [name for (name,) in connection.execute(WHAT_WAS_COMMITTED_BETWEEN, asked)]


def runs_of_plan(connection: Connection, plan_id: str) -> list[str]:
    """Return the transactions' ids of the runs that deployed a plan, oldest first. Reads only."""
    if not _existing(connection)[2]:
        return []
    return [run_id for (run_id,) in connection.execute(RUNS_OF_A_PLAN, (plan_id,))]


def recorded_runs(connection: Connection) -> list[tuple[str, str, str, datetime, str, str]]:
    """Return (run, act, by, time, record, the ledger's last hash before it) of each recorded run. Reads only."""
    if not _existing(connection)[2]:
        return []
    return connection.execute(WHICH_RUNS_WERE_RECORDED).fetchall()


def deployment_exists(connection: Connection, run_id: str) -> bool:
    """Return whether a run's transaction was committed. Reads only."""
    if not _existing(connection)[2]:
        return False
    return connection.execute(DEPLOYMENT_EXISTS, (run_id,)).fetchone() is not None


def last_schema(connection: Connection) -> str:
    """Return the fingerprint of the schema that safemig's last run left, "" where none is recorded. Reads only."""
    row = connection.execute(LAST_SCHEMA).fetchone() if _existing(connection)[2] else None
    return row[0] or "" if row else ""


def schema_that_files_make(connection: Connection, files: str) -> str:
    """Return the fingerprint of the schema that files of that identity were seen to make, "" where unknown. Reads only."""
    if not _existing(connection)[2]:
        return ""
    row = connection.execute(WHAT_FILES_MAKE, (files,)).fetchone()
    return row[0] if row else ""


def record_approval(connection: Connection, plan_id: str, by: str, how: str) -> None:
    """Keep that someone approved a plan; twice is once."""
    connection.execute(MAKE_APPROVALS.encode())
    connection.execute(ADD_APPROVAL, (plan_id, _storable(connection, by), how))


def approvals_of(connection: Connection, plan_id: str) -> list[str]:
    """Return who approved a plan, the first of them first. Reads only."""
    return [by for (by,) in connection.execute(APPROVALS, (plan_id,))]


def _storable(connection: Connection, text: str) -> str:
    """Return `text` with what the database's encoding cannot hold (a comment, our own "…") written as an escape."""
    encoding = connection.info.parameter_status("server_encoding") or "UTF8"
    if encoding == "UTF8":
        return text
    try:
        codec = codecs.lookup(encoding.replace("WIN", "cp")).name
    except LookupError:
        codec = "ascii"
    return text.encode(codec, "backslashreplace").decode(codec)


def _existing(connection: Connection) -> tuple[bool, bool, bool]:
    row = connection.execute(WHICH_TABLES_EXIST).fetchone()
    return row if row else (False, False, False)
