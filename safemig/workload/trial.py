"""Try statements on a copy, as their roles: prepare each, describe its result, plan it. Runs none, changes no row.

A `Session` keeps what it prepared. So after a migration the same session tells what sessions of the application will
meet that hold their statements prepared: PostgreSQL itself says whether a result type changed (0A000).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
from psycopg import pq, sql
from psycopg.pq import DiagnosticField, ExecStatus

from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect
from safemig.sql.reads import Reads, reads_of
from safemig.workload.statement import Statement

K = TypeVar("K")
_TEXT = 25  # pg_type's oid of text: for a parameter whose type nothing tells
_UNKNOWN_TYPE = b"could not determine data type of parameter $"
_MOST_UNKNOWN = 50
_DOUBTFUL_TYPES = ("42883", "42725", "42804", "42P18", "42846")
_INT4, _NUMERIC, _TIMESTAMPTZ, _INTERVAL = 23, 1700, 1184, 1186
_LIKELY_TYPES = (_INT4, _TEXT, _NUMERIC, _TIMESTAMPTZ, _INTERVAL)
_MOST_CANDIDATES = 120
_PARAMETER = re.compile(r"\$(\d+)")
_NULL_REFUSED = (
    "23502",
    "23514",
)  # a parameter's type is a domain that NULL, which stands for its value here, is not in
SETTINGS = {
    "plan_cache_mode": "force_generic_plan",  # so that NULL for a parameter does not plan for NULL
    "statement_timeout": "20s",
    "jit": "off",
    "default_transaction_read_only": "off",
}
# Which columns an INSERT must give a value to: no default, and no trigger that may fill them in.
WHICH_ARE_REQUIRED = """
SELECT a.attrelid::int8, array_agg(a.attname::text ORDER BY a.attnum),
       EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = a.attrelid AND t.tgtype::int & 7 = 7 AND t.tgenabled <> 'D')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type y ON y.oid = a.atttypid
WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND NOT a.atthasdef
  AND a.attidentity = '' AND y.typdefault IS NULL AND c.relnamespace <> 'pg_catalog'::regnamespace
GROUP BY a.attrelid
"""
WHICH_COLUMNS = """
SELECT attrelid::int8, array_agg(attname::text ORDER BY attnum) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE c.relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped AND c.relnamespace <> 'pg_catalog'::regnamespace
GROUP BY attrelid
"""
ALL_SCHEMAS = """
SELECT string_agg(quote_ident(nspname), ', ' ORDER BY nspname <> 'public', nspname) FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """How a statement fared: `sqlstate` is "" where it could be prepared and planned."""

    sqlstate: str = ""
    message: str = ""

    @property
    def works(self) -> bool:
        """True where nothing was refused."""
        return not self.sqlstate


WORKS = Trial()


@dataclass(frozen=True, slots=True)
class Hint:
    """How a statement is to be tried: under which search path, and with which types (oids, 0 for any) of its parameters."""

    path: str
    types: tuple[int, ...] = ()


class Session:
    """A session on a copy that prepares statements, and holds them until it is closed. A context manager."""

    def __init__(self, url: str) -> None:
        self._connection: Connection = connect(url, "the copy")
        for name, value in SETTINGS.items():
            self._connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        row = self._connection.execute(ALL_SCHEMAS).fetchone()
        self._every_schema: str = (row and row[0]) or "public"
        self._parameters: dict[str, int] = {}
        self._hints: dict[str, Hint] = {}
        self._now = ("", "")
        self._types: dict[str, bool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def prepare(
        self,
        statements: Iterable[Statement],
        *,
        hints: Mapping[str, Hint] | None = None,
        told: Callable[[int], None] = lambda _: None,
    ) -> dict[str, Trial]:
        """Prepare and plan each statement, by its id. `hints` are those of an earlier session (see `hints`)."""
        found: dict[str, Trial] = {}
        for each in in_order(statements):
            told(1)
            hint = (hints or {}).get(each.id) or Hint(each.search_path)
            refusal = self._become(each.role, hint.path)
            found[each.id] = trial = refusal or self._prepared(each, hint.types)
            if hints is not None:
                self._hints[each.id] = hint
            elif refusal is None and not trial.works:
                found[each.id] = self._tried_otherwise(each, trial)
        return found

    @property
    def connection(self) -> Connection:
        """The connection that is ours, and none of the migration's."""
        return self._connection

    @property
    def hints(self) -> Mapping[str, Hint]:
        """What `prepare` found to make statements work that did not as they were recorded, by statement."""
        return self._hints

    def _tried_otherwise(self, each: Statement, trial: Trial) -> Trial:
        """Try what no record tells: another search path, that the application sets itself, or types of parameters.

        Where a parameter stands for a number in `date - 30`, its type cannot be told from the text alone.
        """
        if trial.sqlstate == "42P01" and each.search_path != self._every_schema:
            self._become(each.role, self._every_schema)
            if (again := self._prepared(each)).works:
                self._hints[each.id] = Hint(self._every_schema)
                return again
        if trial.sqlstate in _DOUBTFUL_TYPES:
            self._become(each.role, each.search_path)
            for types in _candidates(each.text):
                if (again := self._prepared(each, types)).works:
                    self._hints[each.id] = Hint(each.search_path, types)
                    return again
        return trial

    def still_holds(self, statements: Iterable[Statement]) -> dict[str, Trial]:
        """Plan again what this session holds prepared, as a session of the application would at its next call."""
        found: dict[str, Trial] = {}
        for each in in_order(statements):
            if each.id in self._parameters:
                refusal = self._become(each.role, self._path_of(each))
                found[each.id] = refusal or self._planned(each.id)
        return found

    def without_value(self, statements: Iterable[Statement]) -> dict[str, tuple[str, ...]]:
        """Return the columns that are required and to which an INSERT gives no value, by statement; with its table first."""
        required = {oid: (tuple(names), fills) for oid, names, fills in self._as_ourselves(WHICH_ARE_REQUIRED)}
        columns = {oid: tuple(names) for oid, names in self._as_ourselves(WHICH_COLUMNS)}
        found: dict[str, tuple[str, ...]] = {}
        for each in in_order(statements):
            if each.kind != "INSERT":
                continue
            reads = reads_of(each.text)
            if not reads.is_insert or reads.inserted is None or reads.target is None:
                continue
            if self._become(each.role, self._path_of(each)):
                continue
            row = self._connection.execute("SELECT to_regclass(%s)::oid::int8", [reads.target.sql]).fetchone()
            oid = row[0] if row else None
            names, fills = required.get(oid, ((), False))
            missing = [] if fills else [name for name in names if name not in _given(reads, columns.get(oid, ()))]
            if missing:
                found[each.id] = (str(reads.target), *missing)
        return found

    def _path_of(self, each: Statement) -> str:
        return self._hints[each.id].path if each.id in self._hints else each.search_path

    def analysed(self, functions: Mapping[K, str]) -> dict[K, Trial]:
        """Create each function, whose body PostgreSQL analyses then, and take it back at once: whether it could be created."""
        self._become("", self._every_schema)
        pgconn = self._connection.pgconn
        found = {}
        pgconn.exec_(b"SET check_function_bodies = on")
        for key, text in functions.items():
            pgconn.exec_(b"BEGIN")
            answer = pgconn.exec_(text.encode())
            found[key] = WORKS if answer.status == ExecStatus.COMMAND_OK else _failed(answer)
            pgconn.exec_(b"ROLLBACK")
        return found

    def types_that_exist(self, types: Iterable[str]) -> frozenset[str]:
        """Return which of the types are there, as the application finds them."""
        for kind in set(types) - self._types.keys():
            self._become("", self._every_schema)
            row = self._connection.execute("SELECT to_regtype(%s) IS NOT NULL", [kind]).fetchone()
            self._types[kind] = bool(row and row[0])
        return frozenset(kind for kind in types if self._types[kind])

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query of our own."""
        return self._as_ourselves(query)

    def _as_ourselves(self, query: str) -> list[tuple[Any, ...]]:
        self._become("", "pg_catalog")
        return self._connection.execute(query.encode()).fetchall()

    def _become(self, role: str, path: str) -> Trial | None:
        """Take on a role and its search path; return the refusal, if there is one."""
        if self._now == (role, path):
            return None
        self._now = ("?", "?")
        try:
            self._connection.execute("RESET ROLE")
            if path:
                self._connection.execute("SELECT set_config('search_path', %s, false)", [path])
            else:
                self._connection.execute("RESET search_path")
            if role:
                self._connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        except psycopg.Error as error:
            return Trial("no role", error.diag.message_primary or str(error))
        self._now = (role, path)
        return None

    def _prepared(self, each: Statement, given: Sequence[int] = ()) -> Trial:
        """Prepare as drivers do, by the extended protocol; a parameter whose type nothing tells is text."""
        pgconn = self._connection.pgconn
        name, text = each.id.encode(), each.text.encode()
        types = list(given)
        if each.id in self._parameters:
            self._connection.execute(sql.SQL("DEALLOCATE {}").format(sql.Identifier(each.id)))
            del self._parameters[each.id]
        for _ in range(_MOST_UNKNOWN):
            answer = pgconn.prepare(name, text, types or None)
            if answer.status == ExecStatus.COMMAND_OK:
                break
            words = answer.error_field(DiagnosticField.MESSAGE_PRIMARY) or b""
            place = words.removeprefix(_UNKNOWN_TYPE) if _state(answer) == "42P18" else b""
            if not place.isdigit():
                return _failed(answer)
            types += [0] * (int(place) - len(types))
            types[int(place) - 1] = _TEXT
        else:
            return _failed(answer)
        described = pgconn.describe_prepared(name)
        if described.status != ExecStatus.COMMAND_OK:
            return _failed(described)
        self._parameters[each.id] = described.nparams
        return self._planned(each.id)

    def _planned(self, name: str) -> Trial:
        count = self._parameters[name]
        values = f"({', '.join(['NULL'] * count)})" if count else ""
        answer = self._connection.pgconn.exec_(f'EXPLAIN EXECUTE "{name}"{values}'.encode())
        if answer.status == ExecStatus.TUPLES_OK or _state(answer) in _NULL_REFUSED:
            return WORKS
        return _failed(answer)


def in_order(statements: Iterable[Statement]) -> Sequence[Statement]:
    """Return the statements so that those of one role and search path follow one another."""
    return sorted(statements, key=lambda each: (each.role, each.search_path, each.id))


def _candidates(text: str) -> Iterable[tuple[int, ...]]:
    """Yield types to try for a statement's parameters: one of them, then all of them, then each two as integers."""
    count = max((int(number) for number in _PARAMETER.findall(text)), default=0)
    single = [(*[0] * place, kind) for kind in _LIKELY_TYPES for place in range(count)]
    every = [(kind,) * count for kind in _LIKELY_TYPES]
    pairs = [
        tuple(_INT4 if place in pair else 0 for place in range(count))
        for pair in itertools.combinations(range(count), 2)
    ]
    yield from (single + every + pairs)[:_MOST_CANDIDATES] if count else ()


def _given(reads: Reads, columns: Sequence[str]) -> set[str]:
    """Return to which columns an INSERT gives a value, by name."""
    inserted = reads.inserted or frozenset()
    return {
        columns[each] if isinstance(each, int) else each
        for each in inserted
        if not isinstance(each, int) or each < len(columns)
    }


def _state(answer: pq.abc.PGresult) -> str:
    return (answer.error_field(DiagnosticField.SQLSTATE) or b"").decode()


def _failed(answer: pq.abc.PGresult) -> Trial:
    words = (answer.error_field(DiagnosticField.MESSAGE_PRIMARY) or answer.error_message or b"").decode(
        errors="replace"
    )
    return Trial(_state(answer) or "unknown", " ".join(words.split()))
