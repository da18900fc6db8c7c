"""Rights tried on a copy: SELECT, INSERT, UPDATE, DELETE as each role, each in a savepoint that is rolled back.

A privilege alone says little: a policy may hide every row, a default may call a sequence that the role may not use. No
trigger fires and no foreign key is checked; sequences are set back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import words_of

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE")
WHICH_CAN_BE_TRIED = """
SELECT o, n.nspname, c.relname, c.relkind IN ('r', 'p'), c.relrowsecurity,
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a')
FROM unnest(%s::text[]) o JOIN pg_class c ON c.oid = to_regclass(o) JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v')
"""
WHICH_COLUMN_MAY_BE_UPDATED = """
SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = ANY (%s)
  AND has_column_privilege(%s::name, attrelid, attnum, 'UPDATE') ORDER BY attnum LIMIT 1
"""
# Sequences give no number back when a transaction is rolled back.
WHICH_SEQUENCES_MAY_MOVE = """
SELECT DISTINCT s.oid::regclass::text FROM pg_depend d JOIN pg_class s ON s.oid = d.objid OR s.oid = d.refobjid
WHERE s.relkind = 'S' AND ((d.classid = 'pg_attrdef'::regclass AND EXISTS
        (SELECT FROM pg_attrdef f WHERE f.oid = d.objid AND f.adrelid = ANY (SELECT to_regclass(o) FROM unnest(%(names)s::text[]) o)))
   OR (d.refobjid = ANY (SELECT to_regclass(o) FROM unnest(%(names)s::text[]) o) AND d.deptype IN ('a', 'i')))
"""
_PATIENCE = "5s"
_BY_ROW_SECURITY = "ExecWithCheckOptions"  # the server's own function, the same in every language of its messages


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one verb: "yes", "rows" where row security decides which, "no", or "" where it could not be told."""

    word: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    identifier: sql.Identifier
    is_table: bool
    has_row_security: bool
    columns: tuple[str, ...]


def try_access(copy: Connection, roles: Sequence[str], names: Sequence[str]) -> dict[tuple[str, str, str], Trial]:
    """Return what came of each verb as each role on each table, by (role, table, verb). `copy` is a superuser's.

    Guarantee: the copy is as it was, its sequences too.
    """
    rows = copy.execute(WHICH_CAN_BE_TRIED, (list(names),)).fetchall()
    tables = [
        _Table(name, sql.Identifier(schema, table), is_table, secured, tuple(columns or ()))
        for name, schema, table, is_table, secured, columns in rows
    ]
    found: dict[tuple[str, str, str], Trial] = {}
    if not (tables and roles):
        return found
    with _sequences_kept(copy, [table.name for table in tables]), copy.transaction(force_rollback=True):
        for setting, value in (
            ("session_replication_role", "replica"), ("row_security", "on"), ("statement_timeout", _PATIENCE),
        ):  # fmt: skip
            copy.execute(sql.SQL("SET LOCAL {} = {}").format(sql.SQL(setting), sql.Literal(value)))
        for role in roles:
            for table in tables:
                for verb in VERBS if table.is_table else ("SELECT",):
                    found[role, table.name, verb] = _tried(copy, role, table, verb)
    return found


@contextmanager
def _sequences_kept(copy: Connection, names: Sequence[str]) -> Iterator[None]:
    sequences = [name for (name,) in copy.execute(WHICH_SEQUENCES_MAY_MOVE, {"names": list(names)}).fetchall()]
    before = {name: copy.execute(f"SELECT last_value, is_called FROM {name}".encode()).fetchone() for name in sequences}  # noqa: S608 - quoted by the server
    try:
        yield
    finally:
        for name, state in before.items():
            copy.execute("SELECT setval(%s::regclass, %s, %s)", (name, *(state or ())))


def _tried(copy: Connection, role: str, table: _Table, verb: str) -> Trial:
    try:
        with copy.transaction(force_rollback=True):
            copy.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            return _run(copy, role, table, verb)
    except psycopg.errors.InsufficientPrivilege as error:
        if error.diag.source_function == _BY_ROW_SECURITY:
            return Trial("rows")
        return Trial("no", words_of(error))
    except psycopg.errors.IntegrityError:  # a constraint is asked after the rights
        return Trial("yes")
    except psycopg.Error as error:
        return Trial("", words_of(error))


def _run(copy: Connection, role: str, table: _Table, verb: str) -> Trial:
    name = table.identifier
    if verb == "SELECT":
        row = copy.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(name)).fetchone()
        return Trial("rows" if table.has_row_security and not (row and row[0]) else "yes")
    if verb == "INSERT":
        copy.execute(sql.SQL("INSERT INTO {} DEFAULT VALUES").format(name))
        return Trial("yes")
    command = sql.SQL("DELETE FROM {}").format(name)
    if verb == "UPDATE":
        row = copy.execute(WHICH_COLUMN_MAY_BE_UPDATED, (table.name, list(table.columns), role)).fetchone()
        column = row[0] if row else next(iter(table.columns), None)
        if column is None:
            return Trial("")
        command = sql.SQL("UPDATE {} SET {} = DEFAULT").format(name, sql.Identifier(column))
    if not table.has_row_security:
        copy.execute(command + sql.SQL(" WHERE false"))
        return Trial("yes")
    # One row that the role sees, if any; without a condition no right to read is needed, but every row would be written.
    one = sql.SQL(" WHERE (tableoid, ctid) = (SELECT tableoid, ctid FROM {} LIMIT 1)").format(name)
    try:
        with copy.transaction(force_rollback=True):
            return Trial("yes" if copy.execute(command + one).rowcount else "rows")
    except psycopg.errors.InsufficientPrivilege as error:
        if error.diag.source_function == _BY_ROW_SECURITY:
            return Trial("rows")
        copy.execute(command + sql.SQL(" WHERE false"))  # which it may, where it just may not read
        return Trial("rows")
