"""Ask every member's rows what would make the migrations fail there: read-only, bounded in time, no lock that blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import psycopg
from psycopg import errors as pg
from psycopg import sql

from safemig import live
from safemig.errors import SafemigError
from safemig.execution.steps import plan_files
from safemig.fleet.row_questions import (
    CONSTRAINT,
    MOST,
    RowQuestion,
    orphans,
    question_of_constraint,
    row_questions,
)
from safemig.fleet.survey import Reading, in_parallel, open_member
from safemig.fleet_facts import RowCheck, SetAside
from safemig.operations.preflight import unready
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import words_of
from safemig.results import Check
from safemig.settings import FleetSettings, Settings
from safemig.sql import parse
from safemig.views.numbers import counted

# With row_security off the server refuses where it would hide rows from this role; the role's own path finds the names.
BOUNDS = """
SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = '1s'; SET LOCAL row_security = off; RESET search_path;
SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0
"""
DEFINITION_OF_CONSTRAINT = """
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = to_regclass(%s) AND conname = %s
"""
KEY_COLUMNS = """
SELECT array_agg(quote_ident(a.attname) ORDER BY k.place) FROM pg_index i
CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE i.indisprimary AND i.indrelid = to_regclass(%s)
"""
SIZES = "SELECT name, pg_total_relation_size(to_regclass(name)) FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NOT NULL"
_NOT_THERE_YET = (pg.UndefinedTable, pg.UndefinedColumn, pg.UndefinedObject, pg.UndefinedFunction, pg.InvalidSchemaName)


LOCKED = "a lock on the table is held"


class Checked:
    """What the members' rows said: every answer that is not a plain zero, how many were asked for, and sizes."""

    def __init__(self) -> None:
        self.found: list[RowCheck] = []
        self.made = 0
        self.sizes: dict[str, int] = {}
        self.unready: list[tuple[str, Check]] = []  # of members, what the pre-flight does not say yes to

    def cannot(self) -> list[SetAside]:
        """Return the members that cannot be deployed to: by their rows, or by their pre-flight."""
        failed = [(name, each) for name, each in self.unready if each.state == "failed"]
        return [
            *violations(self.found),
            *(SetAside(name, f"{each.name}: {each.found}", each.fix) for name, each in dict(failed).items()),
        ]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the members' pre-flights warn of, and of how many members."""
        of = Counter(f"{each.name}: {each.found}" for _, each in self.unready if each.state == "warning")
        return tuple(f"{words} ({counted(count, 'member')})" for words, count in of.most_common(10))

    @property
    def locked(self) -> frozenset[str]:
        """The members whose tables were locked, or that went away."""
        return frozenset(
            each.member for each in self.found if each.violations is None and (not each.file or each.note == LOCKED)
        )

    def all_locked(self, readings: Sequence[Reading]) -> list[SetAside]:
        """Return the members of cohorts in which every one is locked: none of them can be rehearsed on."""
        free = {each.alike for each in readings if each.member.name not in self.locked}
        why = {each.member: each.note for each in self.found if each.member in self.locked}
        return [
            SetAside(
                each.member.name,
                f"its tables are locked: {why[each.member.name]}",
                "end what holds the lock, then resume",
            )
            for each in readings
            if each.alike not in free
        ]


def violations(found: Sequence[RowCheck]) -> list[SetAside]:
    """Return the members whose rows would make a statement fail."""
    by_member: dict[str, list[RowCheck]] = {}
    for each in found:
        if each.violations:
            by_member.setdefault(each.member, []).append(each)
    return [
        SetAside(
            name,
            "; ".join(f"{each.violations:,} {each.what} ({each.file}, line {each.line})" for each in rows[:3]),
            "correct these rows there, then plan again",
        )
        for name, rows in by_member.items()
    ]


def check_rows(settings: Settings, fleet: FleetSettings, name: str, readings: Sequence[Reading]) -> Checked:
    """Return what the rows of these members, which have pending migrations, say. Reads only."""
    checked = Checked()
    questions: dict[tuple[str, ...], tuple[tuple[RowQuestion, ...], tuple[str, ...]]] = {}
    for each in readings:
        key = tuple(file.version for file in each.pending)
        if key not in questions:
            files = plan_files(each.pending)
            tables = dict.fromkeys(
                table for file in files for step in file.steps for one in parse(step.sql) for table in one.tables
            )
            questions[key] = row_questions(files), tuple(tables)

    def ask(reading: Reading) -> Checked:
        asked, tables = questions[tuple(file.version for file in reading.pending)]
        return _ask(settings, fleet, name, reading, asked, tables)

    with live.stage(f"check the rows of {counted(len(readings), 'member')}", len(readings), "member"):
        for found in in_parallel(readings, ask, fleet, server=lambda each: each.member.server):
            checked.found += found.found
            checked.made += found.made
            checked.unready += found.unready
            for table, size in found.sizes.items():
                checked.sizes[table] = max(size, checked.sizes.get(table, 0))
    return checked


def _ask(
    settings: Settings,
    fleet: FleetSettings,
    name: str,
    reading: Reading,
    questions: Sequence[RowQuestion],
    tables: Sequence[str],
) -> Checked:
    checked, member = Checked(), reading.member.name
    try:
        with open_member(settings, name, reading.member) as (own, connection):
            if not reading.member.schema:  # of a database that all share, the rehearsal's pre-flight tells
                checked.unready = [(member, each) for each in unready(own, connection)]
            with connection.transaction(force_rollback=True):
                connection.execute(sql.SQL(BOUNDS).format(sql.Literal(f"{fleet.check_timeout_s}s")))
                found = connection.execute(SIZES, (list(tables),))
                checked.sizes = {table: size for table, size in found if size is not None}
            for question in questions:
                answer, note = _answer(connection, question, fleet.check_timeout_s)
                checked.made += 1
                if answer != 0:
                    checked.found.append(RowCheck(member, question.file, question.line, question.what, answer, note))
    except (SafemigError, psycopg.Error) as error:
        words = error.what if isinstance(error, SafemigError) else words_of(error)
        checked.found.append(RowCheck(member, "", 0, "its rows could not be checked", None, words))
    return checked


def _answer(connection: Connection, question: RowQuestion, seconds: int) -> tuple[int | None, str]:
    """Return how many rows are in the way, 0 where the question does not apply yet, or None and why it is not known."""
    if question.unknown:
        return None, question.unknown
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(sql.SQL(BOUNDS).format(sql.Literal(f"{seconds}s")))
            text = _sql_of(connection, question)
            row = connection.execute(text.encode()).fetchone() if text else None
            count = int(row[0]) if row else 0
            return count, f"{MOST:,} or more" if count >= MOST else ""
    except _NOT_THERE_YET:
        return 0, ""  # an earlier statement of the plan makes it
    except pg.DataError as error:
        return 1, words_of(error)
    except pg.QueryCanceled:
        return None, f"not answered in {seconds} s"
    except pg.OperationalError:
        if connection.broken:
            raise
        return None, LOCKED
    except psycopg.Error as error:
        return None, words_of(error)


def _sql_of(connection: Connection, question: RowQuestion) -> str:
    if not question.lookup:
        return question.sql
    if question.lookup[0] == CONSTRAINT:
        row = connection.execute(DEFINITION_OF_CONSTRAINT, (question.table, question.lookup[1])).fetchone()
        made = question_of_constraint(question, row[0]) if row else None
        return _sql_of(connection, made) if made else ""
    _, parent, *own = question.lookup
    row = connection.execute(KEY_COLUMNS, (parent,)).fetchone()
    return orphans(question.table, own, parent, row[0]) if row and row[0] and len(row[0]) == len(own) else ""
