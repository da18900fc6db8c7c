"""Try statements on a copy, as their roles: prepare each, describe its result, plan it. Runs none, changes no row.

A `Session` keeps what it prepared. So after a migration the same session tells what sessions of the application will
meet that hold their statements prepared: PostgreSQL itself says whether a result type changed (0A000).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import pq, sql
from psycopg.pq import DiagnosticField, ExecStatus

from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect
from safemig.sql.reads import Reads, reads_of
from safemig.workload.statement import Statement

_TEXT = 25  # pg_type's oid of text: for a parameter whose type nothing tells
_UNKNOWN_TYPE = b"could not determine data type of parameter $"
_MOST_UNKNOWN = 50
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


class Session:
    """A session on a copy that prepares statements, and holds them until it is closed. A context manager."""

    def __init__(self, url: str) -> None:
        self._connection: Connection = connect(url, "the copy")
        for name, value in SETTINGS.items():
            self._connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        row = self._connection.execute(ALL_SCHEMAS).fetchone()
        self._every_schema: str = (row and row[0]) or "public"
        self._parameters: dict[str, int] = {}
        self._paths: dict[str, str] = {}
        self._now = ("", "")

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
        paths: Mapping[str, str] | None = None,
        told: Callable[[int], None] = lambda _: None,
    ) -> dict[str, Trial]:
        """Prepare and plan each statement, by its id. `paths` are search paths found before (see `paths`)."""
        found: dict[str, Trial] = {}
        for each in in_order(statements):
            told(1)
            path = (paths or {}).get(each.id, each.search_path)
            if refusal := self._become(each.role, path):
                found[each.id] = refusal
                continue
            trial = self._prepared(each)
            if trial.sqlstate == "42P01" and paths is None and path != self._every_schema:
                # An application may set its own search path, which nothing records: look for the table elsewhere.
                self._become(each.role, self._every_schema)
                again = self._prepared(each)
                if again.works:
                    self._paths[each.id] = self._every_schema
                    trial = again
            found[each.id] = trial
        return found

    @property
    def paths(self) -> Mapping[str, str]:
        """The search paths that `prepare` found to work where the recorded one did not, by statement."""
        return self._paths

    def still_holds(self, statements: Iterable[Statement]) -> dict[str, Trial]:
        """Plan again what this session holds prepared, as a session of the application would at its next call."""
        found: dict[str, Trial] = {}
        for each in in_order(statements):
            if each.id in self._parameters:
                refusal = self._become(each.role, self._paths.get(each.id, each.search_path))
                found[each.id] = refusal or self._planned(each.id)
        return found

    def without_value(self, statements: Iterable[Statement], paths: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
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
            if self._become(each.role, paths.get(each.id, each.search_path)):
                continue
            row = self._connection.execute("SELECT to_regclass(%s)::oid::int8", [reads.target.sql]).fetchone()
            oid = row[0] if row else None
            names, fills = required.get(oid, ((), False))
            missing = [] if fills else [name for name in names if name not in _given(reads, columns.get(oid, ()))]
            if missing:
                found[each.id] = (str(reads.target), *missing)
        return found

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

    def _prepared(self, each: Statement) -> Trial:
        """Prepare as drivers do, by the extended protocol; a parameter whose type nothing tells is text."""
        pgconn = self._connection.pgconn
        name, text = each.id.encode(), each.text.encode()
        types: list[int] = []
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
