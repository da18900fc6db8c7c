"""Validation: the schema before COMMIT; afterwards indexes, constraints, rows, sequences and the project's checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from safemig import live
from safemig.errors import (
    DeploymentFailedError,
    DeploymentStoppedError,
    MigrationError,
    SafemigError,
    UnreachableError,
    words_of_fault,
)
from safemig.execution.environment import schema_of
from safemig.execution.steps import as_psql_ran_it
from safemig.migrations import Migration
from safemig.postgres import activity
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import words_of
from safemig.postgres.dump.reader import LARGE_OBJECTS
from safemig.result import Result
from safemig.results import BOOKKEEPING_TABLES, Check, RowChange, TableContent
from safemig.schema import Schema, compare
from safemig.settings import Settings
from safemig.views.numbers import counted

_ASKED_TOGETHER = 100
_AFTER_COMMIT = (4, 5)  # the exit codes that may follow one

UNVALIDATED_CONSTRAINTS = """
SELECT format('%I on %s', conname, conrelid::regclass) FROM pg_constraint
WHERE NOT convalidated AND conrelid <> 0 ORDER BY 1
"""
SEQUENCES_OF_COLUMNS = """
SELECT sn.nspname, s.relname, tn.nspname, t.relname, a.attname, ps.seqincrement
FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace
JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid JOIN pg_sequence ps ON ps.seqrelid = s.oid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  AND tn.nspname !~ '^pg_' ORDER BY 1, 2
"""


@contextmanager
def told_when_cut_short(did: str, where: str) -> Iterator[None]:
    """Say, where what follows a COMMIT is interrupted, loses its connection or meets any fault, that what was done stays.

    Raises:
        DeploymentStoppedError: it was cut short.
    """
    try:
        yield
    except SafemigError as error:
        if error.exit_code in _AFTER_COMMIT:
            raise
        raise _not_validated(did, error.what, where, isinstance(error, UnreachableError)) from None
    except psycopg.Error as error:
        raise _not_validated(did, words_of(error), where, True) from None
    except (Exception, KeyboardInterrupt) as fault:
        raise _not_validated(did, words_of_fault(fault), where, False) from fault


def _not_validated(did: str, words: str, where: str, is_away: bool) -> DeploymentStoppedError:
    then = "safemig status" + (", when the server answers again" if is_away else "")
    return DeploymentStoppedError(f"{did}, but not validated: {words}", where=where, next=then)


def require_none_failed(checks: Sequence[Check], did: str, *, where: str, then: str, result: Result) -> None:
    """Look whether all checks after a COMMIT say yes.

    Raises:
        DeploymentStoppedError: one says no. What was done stays.
    """
    if failed := [check for check in checks if check.state == "failed"]:
        raise DeploymentStoppedError(
            f"{did}, but {counted(len(failed), 'check')} after it said no: "
            + "; ".join(f"{check.name}: {check.found}" for check in failed),
            where=where,
            next=then,
            result=result,
        )


@dataclass(frozen=True, slots=True)
class SchemaPromise:
    """What the rehearsal promised: from the copy's start to what it reached; production must do the same.

    Where copy and production began equal, production must end equal. Where they did not (the copy's server is of
    another major version and writes an expression in another form), the changes must be the same ones.
    """

    settings: Settings
    copy_start: Schema
    production_start: Schema

    def validator(self, reached: Schema, migrations: Sequence[Migration] = ()) -> Callable[[Connection], Schema]:
        """Return the check to be run inside the transaction, before COMMIT; it raises DeploymentFailedError.

        The verify scripts of `migrations` are part of it.
        It returns the schema that it has read, for locks are held meanwhile and no one should read it again.
        """

        def validate(connection: Connection) -> Schema:
            now = schema_of(self.settings, connection)
            if differences := self.differences(reached, now):
                raise DeploymentFailedError(
                    f"the schema is not what the rehearsal ended with: {len(differences)} differences",
                    where=", ".join(differences[:5]) + "; rolled back, nothing was changed",
                    next="look for what the copy does not have: event triggers, roles, settings of the database",
                )
            require_verified(connection, migrations)
            return now

        return validate

    def differences(self, reached: Schema, now: Schema) -> list[str]:
        """Return in words how production's schema differs from what was promised; empty where it does not."""
        if self.copy_start.fingerprint == self.production_start.fingerprint:
            if now.fingerprint == reached.fingerprint:
                return []
            found = compare(reached, now).changes
            return [f"{each.action} {each.kind} {each.name}" for each in found] or ["in the order of columns"]
        promised = {(each.action, each.kind, each.name) for each in compare(self.copy_start, reached).changes}
        happened = {(each.action, each.kind, each.name) for each in compare(self.production_start, now).changes}
        return [
            f"{'not done' if each in promised else 'not rehearsed'}: {' '.join(each)}"
            for each in sorted(promised ^ happened)
        ]


@live.stage("count the rows")
def count_rows(connection: Connection, only: str = "") -> dict[str, int]:
    """Return the rows of every table, and how many large objects there are, counted. Reads every table once.

    With `only`, the rows of that schema's tables alone.
    """
    tables = activity.ask(connection, activity.WHICH_TABLES_HOLD_DATA)
    if only:
        tables = [each for each in tables if each[0] == only]
    counts: dict[str, int] = {}
    questions = [
        # pg_dump's own spelling of the name, so that backups and counts meet.
        sql.SQL("SELECT format('%I.%I', {}::text, {}::text), count(*) FROM {}").format(
            sql.Literal(schema), sql.Literal(table), sql.Identifier(schema, table)
        )
        for schema, table in tables
    ]
    for name, rows in _answers(connection, questions):
        counts[name] = rows
        live.advance(rows)
    ((large,),) = activity.ask(connection, activity.HOW_MANY_LARGE_OBJECTS)
    if large and not only:
        counts[LARGE_OBJECTS] = large
    return counts


def _answers(connection: Connection, questions: Sequence[sql.Composed]) -> Iterator[tuple[Any, ...]]:
    """Give the one row of each question as it comes; where there are thousands, no way to and fro for each."""
    for first in range(0, len(questions), _ASKED_TOGETHER):
        with connection.pipeline():
            cursors = [connection.execute(each) for each in questions[first : first + _ASKED_TOGETHER]]
            for cursor in cursors:
                yield from cursor.fetchall()


def rows_changed(
    before: Sequence[TableContent], after: Mapping[str, int], hides: Callable[[str], bool] = lambda _: False
) -> tuple[RowChange, ...]:
    """Return every table's rows at the backup's snapshot and now; `hides` tells which is a tool's history."""
    then = {table.name: table.rows for table in before if not table.name.startswith(BOOKKEEPING_TABLES)}
    names = sorted(name for name in {*then, *after} if not hides(name))
    return tuple(RowChange(name, then.get(name), after.get(name)) for name in names)


def check_schema(promise: SchemaPromise, reached: Schema, now: Schema) -> Check:
    """Check the schema against the rehearsal's."""
    differences = promise.differences(reached, now)
    return Check(
        "schema",
        "failed" if differences else "ok",
        ", ".join(differences[:5]) if differences else f"as rehearsed (fingerprint {now.fingerprint[:12]})",
        "equal to what the rehearsal ended with",
    )


def check_rows(rows: Sequence[RowChange], rehearsed: Mapping[str, RowChange]) -> list[Check]:
    """Check that no table has fewer rows than at the backup's snapshot, but for what the rehearsal foretold.

    The application goes on writing: fewer rows are a warning where the migration did not foretell them, and a
    failure where a table that held rows is empty or gone.
    """
    fewer, lost = [], []
    for row in rows:
        foretold = rehearsed.get(row.table)
        expected = foretold.after if foretold else row.before
        if row.before is None or expected is None:
            continue
        if row.after is None or (row.after == 0 < expected):
            lost.append(f"{row.table} had {row.before:,} rows, {'is gone' if row.after is None else 'has none'}")
        elif row.after < expected:
            fewer.append(f"{row.table}: {expected:,} → {row.after:,}")
    then = [row.before for row in rows if row.before is not None]
    now = [row.after for row in rows if row.after is not None]
    found = f"{sum(then):,} rows in {len(then)} tables at the backup, {sum(now):,} in {len(now)} now"
    if lost:
        return [Check("rows", "failed", "; ".join(lost), "no row lost", "restore-prod brings them back")]
    if fewer:
        return [
            Check(
                "rows", "warning", f"{found}; fewer in {', '.join(fewer)}", "no row lost",
                "expected if the application has deleted rows since the backup's snapshot",
            )
        ]  # fmt: skip
    return [Check("rows", "ok", found, "no row lost")]


def check_left_behind(connection: Connection) -> list[Check]:
    """Check that no invalid index is there, and name the constraints that were never validated."""
    invalid = [name for (name,) in activity.ask(connection, activity.INVALID_INDEXES)]
    unvalidated = [name for (name,) in activity.ask(connection, UNVALIDATED_CONSTRAINTS)]
    return [
        Check("indexes", "failed" if invalid else "ok", ", ".join(invalid) or "all valid", "none invalid",
              f"DROP INDEX CONCURRENTLY {invalid[0]}, then create it again" if invalid else ""),
        Check("constraints", "warning" if unvalidated else "ok", ", ".join(unvalidated) or "all validated",
              "none left NOT VALID", "ALTER TABLE … VALIDATE CONSTRAINT …" if unvalidated else ""),
    ]  # fmt: skip


def check_sequences(connection: Connection) -> Check:
    """Check that no sequence stands behind the column that it feeds: the next insert would fail."""
    behind = []
    fed = activity.ask(connection, SEQUENCES_OF_COLUMNS)
    questions = [
        sql.SQL("SELECT (SELECT last_value FROM {}), (SELECT {}({}) FROM {})").format(
            sql.Identifier(sequence_schema, sequence),
            sql.SQL("max" if increment > 0 else "min"),
            sql.Identifier(column),
            sql.Identifier(table_schema, table),
        )
        for sequence_schema, sequence, table_schema, table, column, increment in fed
    ]
    for row, (schema, sequence, _, table, column, increment) in zip(_answers(connection, questions), fed, strict=True):
        if row[1] is not None and (row[0] - row[1]) * increment < 0:
            behind.append(f"{schema}.{sequence} at {row[0]}, {table}.{column} at {row[1]}")
    return Check(
        "sequences",
        "warning" if behind else "ok",
        "; ".join(behind) or "none behind its column",
        "none behind its column",
        "SELECT setval(…)" if behind else "",
    )


def verify_scripts(connection: Connection, migrations: Sequence[Migration]) -> list[Check]:
    """Run what the team wrote to verify migrations; a script's statements are taken back, whether they fail or not."""
    checks = []
    for each in migrations:
        if not each.verify.strip():
            continue
        passed, problem = verified_before_commit(each), ""
        try:
            with connection.transaction(force_rollback=True):
                connection.execute("RESET search_path")
                for statement in as_psql_ran_it(replace(each, sql=each.verify)):
                    if not statement.is_transaction_control:
                        connection.execute(statement.sql.encode())
        except psycopg.Error as error:
            problem = words_of(error)
        except MigrationError as error:
            problem = error.what
        failed = replace(passed, state="failed", found=problem, fix="correct the migration or the script")
        checks.append(failed if problem else passed)
    return checks


def verified_before_commit(migration: Migration) -> Check:
    """Return the answer of a verify script that ran without an error."""
    return Check(f"verify script of {migration.file}", "ok", "no error, before COMMIT", "no error")


def require_verified(connection: Connection, migrations: Sequence[Migration]) -> None:
    """Look whether all of the team's verify scripts say yes to what was run and is not committed yet.

    Raises:
        DeploymentFailedError: one says no.
    """
    if failed := [each for each in verify_scripts(connection, migrations) if each.state == "failed"]:
        raise DeploymentFailedError(
            "; ".join(f"the {each.name} fails: {each.found}" for each in failed),
            where="before COMMIT; rolled back, nothing was changed",
            next=failed[0].fix,
        )


def project_checks(settings: Settings, connection: Connection) -> list[Check]:
    """Run the project's own checks, `checks/*.sql`: each is one query that must return no row. Reads only."""
    folder = settings.path("checks")
    checks = []
    for path in sorted(folder.glob("*.sql")) if folder.is_dir() else ():
        try:
            with connection.transaction(force_rollback=True):
                connection.execute("RESET search_path")  # the role's own, for as long as this transaction
                row = connection.execute(path.read_bytes()).fetchone()
        except psycopg.Error as error:
            checks.append(Check(f"checks/{path.name}", "failed", words_of(error), "no row", "correct the check"))
            continue
        found = "no row" if row is None else f"a row: {', '.join(map(str, row))[:200]}"
        checks.append(Check(f"checks/{path.name}", "ok" if row is None else "failed", found, "no row"))
    return checks
