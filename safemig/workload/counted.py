"""Read pg_stat_statements: what a server has counted of its applications' statements. Reads only."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from safemig.errors import RefusedError
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import words_of
from safemig.sql.builtin_functions import BUILT_IN_FUNCTIONS
from safemig.sql.reads import reads_of
from safemig.workload.statement import Counter, Source, Statement, identity
from safemig.workload.texts import Skipped, kept

# Supabase has it in schema "extensions"; RDS and Azure in public.
WHERE_IS_THE_VIEW = """
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'
"""
WHICH_COLUMNS = """
SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = 'pg_stat_statements' AND a.attnum > 0 AND NOT a.attisdropped
"""
# Of this database alone: a migration is about one. Nested statements hold a function's variables and cannot be prepared.
WHAT_WAS_COUNTED = """
SELECT s.query, s.queryid, coalesce(pg_get_userbyid(s.userid), ''), s.calls, s.rows, s.{total}, s.{max}, {since},
       s.userid::int8
FROM {view} s WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) {toplevel}
"""
HOW_MANY_ELSEWHERE = """
SELECT count(*) FILTER (WHERE dbid = d.oid AND NOT {toplevel}), count(*) FILTER (WHERE dbid <> d.oid)
FROM {view} s, pg_database d WHERE d.datname = current_database()
"""
SINCE_WHEN = "SELECT stats_reset, dealloc FROM {info}"
WHEN_IS_IT = "SELECT now(), current_database()"
# What a session of a role finds first: its own setting for this database, its own, the database's, the server's.
WHICH_SEARCH_PATHS = """
SELECT r.rolname, coalesce(
  (SELECT substr(entry, strpos(entry, '=') + 1) FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) entry
   WHERE split_part(entry, '=', 1) = 'search_path' AND s.setrole IN (r.oid, 0)
     AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
   ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1), '')
FROM pg_roles r
"""
# The server's own, where nothing nearer sets it for this session; else PostgreSQL's default.
SERVER_SEARCH_PATH = """
SELECT CASE WHEN source IN ('default', 'configuration file', 'session') THEN
       CASE WHEN source = 'session' THEN boot_val ELSE setting END ELSE boot_val END
FROM pg_settings WHERE name = 'search_path'
"""
# A setting of the library's own is known only where the library is loaded.
IS_IT_LOADED = "SELECT EXISTS (SELECT FROM pg_settings WHERE name = 'pg_stat_statements.max')"
MAY_SEE_ALL = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
NOT_VISIBLE = "statements of roles that this role may not see"
NESTED = "statements inside functions"
OTHER_DATABASE = "statements of other databases"
OWN = "statements that use only PostgreSQL's and safemig's own objects"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at a source found: statements with what was counted, and from when to when."""

    statements: tuple[Statement, ...]
    begin: datetime | None
    end: datetime | None
    dealloc: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """What a source tells of one statement: its text and role, and what was counted of it."""

    text: str
    role: str
    database: str
    source: Source
    calls: int = 0
    rows: int = 0
    total_ms: float = 0
    max_ms: float = 0
    since: datetime | None = None
    until: datetime | None = None
    queryid: int | None = None
    search_path: str = ""


@dataclass(slots=True)
class _Sum:
    """What was counted of one text under one role: several entries may share it, as of two search paths."""

    statement: Statement
    calls: int = 0
    rows: int = 0
    total_ms: float = 0.0
    max_ms: float = 0.0
    since: datetime | None = None


class Sums:
    """Entries summed by text and role, in the order in which they came."""

    def __init__(self) -> None:
        self.skipped: Tally[str] = Tally()
        self._sums: dict[str, _Sum] = {}

    def add(self, entry: Entry) -> None:
        """Add an entry; one whose text is not kept is counted by the reason."""
        found = kept(entry.text)
        if isinstance(found, Skipped):
            self.skipped[found.reason] += 1
            return
        if is_own(found.text):
            self.skipped[OWN] += 1
            return
        key = identity(found.text, entry.role, entry.database)
        if (sum_ := self._sums.get(key)) is None:
            first = Statement(
                key, found.text, entry.role, entry.database, found.kind, entry.source, entry.search_path, entry.queryid,
                first_seen=entry.since, last_seen=entry.until,
            )  # fmt: skip
            sum_ = self._sums[key] = _Sum(first)
        sum_.calls += entry.calls
        sum_.rows += entry.rows
        sum_.total_ms += entry.total_ms
        sum_.max_ms = max(sum_.max_ms, entry.max_ms)
        sum_.since = min((each for each in (sum_.since, entry.since) if each), default=None)

    def statements(self) -> tuple[Statement, ...]:
        """Return the statements with what was counted of them in all."""
        return tuple(_summed(each) for each in self._sums.values())


def _summed(each: _Sum) -> Statement:
    first = each.statement
    return Statement(
        first.id, first.text, first.role, first.database, first.kind, first.source, first.search_path, first.queryid,
        each.calls, each.rows, each.total_ms / each.calls if each.calls else 0.0, each.max_ms, each.since,
        first.last_seen, Counter(each.calls, each.rows, each.total_ms, each.since),
    )  # fmt: skip


_OWN_WORDS = ("pg_catalog.", "information_schema.", "pg_class", "pg_stat_", "supabase_migrations.", "safemig.")
_OWN_SCHEMAS = ("pg_catalog", "information_schema", "safemig", "supabase_migrations")
_OWN_TYPES = frozenset((
    "text", "int2", "int4", "int8", "oid", "bool", "name", "regclass", "regtype", "regproc", "json", "jsonb", "float4",
    "float8", "numeric", "date", "time", "timetz", "timestamp", "timestamptz", "interval", "uuid", "bytea", "varchar",
    "bpchar", "char", "inet",
))  # fmt: skip


def is_own(text: str) -> bool:
    """Tell whether a statement uses only what is PostgreSQL's or safemig's own: a migration does not break it."""
    lowered = text.lower()
    has_from = " from " in lowered or "into " in lowered or lowered.startswith(("update", "table"))
    if has_from and not any(word in lowered for word in _OWN_WORDS) and " pg_" not in lowered:
        return False
    reads = reads_of(text)
    if reads.relations:
        return all(
            each.schema in _OWN_SCHEMAS
            or (not each.schema and each.name.startswith("pg_"))
            or each.name.startswith("pg_stat_statements")
            for each in reads.relations
        )
    return not has_from and reads.functions <= BUILT_IN_FUNCTIONS | _EXTENSION and reads.types <= _OWN_TYPES


_EXTENSION = frozenset(("pg_stat_statements_reset",))


def read_counted(connection: Connection, environment: str) -> Reading:
    """Read what the server has counted of this database's top-level statements.

    Raises:
        RefusedError: the extension is not there, not loaded, or may not be read; the message says how to turn it on.
    """
    schema, columns = _view(connection, environment)
    view = sql.Identifier(schema, "pg_stat_statements")
    new = "total_exec_time" in columns  # 13 and later
    since = next((name for name in ("stats_since",) if name in columns), None)
    words: dict[str, sql.Composable] = {
        "view": view,
        "total": sql.Identifier("total_exec_time" if new else "total_time"),
        "max": sql.Identifier("max_exec_time" if new else "max_time"),
        "since": sql.SQL("s.stats_since") if since else sql.SQL("NULL::timestamptz"),
        "toplevel": sql.SQL("AND s.toplevel") if "toplevel" in columns else sql.SQL(""),
    }
    try:
        entries = connection.execute(sql.SQL(WHAT_WAS_COUNTED).format(**words)).fetchall()
        words["toplevel"] = sql.SQL("s.toplevel") if "toplevel" in columns else sql.SQL("true")
        (elsewhere,) = connection.execute(sql.SQL(HOW_MANY_ELSEWHERE).format(**words)).fetchall()
        reset, dealloc = _since(connection, schema, columns)
        ((now, database),) = connection.execute(WHEN_IS_IT).fetchall()
        paths = dict(connection.execute(WHICH_SEARCH_PATHS).fetchall())
        ((server_path,),) = connection.execute(SERVER_SEARCH_PATH).fetchall()
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        raise _not_on(environment, words_of(error)) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise RefusedError(
            f"pg_stat_statements may not be read: {words_of(error)}",
            where=f"{environment}, as {connection.info.user}",
            next=f'GRANT pg_read_all_stats TO "{connection.info.user}"',
        ) from None
    sums = Sums()
    # One text may have many entries; what it means is looked at once.
    for query, queryid, role, calls, rows, total, longest, since_when, _ in entries:
        if queryid is None or query is None:  # <insufficient privilege>
            sums.skipped[NOT_VISIBLE] += 1
            continue
        sums.add(Entry(
            query, role, database, "pg_stat_statements", calls, rows, total, longest, since_when or reset, now, queryid,
            paths.get(role) or server_path,
        ))  # fmt: skip
    nested, others = elsewhere
    sums.skipped.update({name: count for name, count in ((NESTED, nested), (OTHER_DATABASE, others)) if count})
    statements = sums.statements()
    begin = reset or min((each.first_seen for each in statements if each.first_seen), default=None)
    return Reading(statements, begin, now, dealloc, dict(sums.skipped))


def why_not_counted(connection: Connection) -> str:
    """Return why the server does not count statements, "" where it does. Reads only."""
    row = connection.execute(WHERE_IS_THE_VIEW).fetchone()
    if row is None:
        return "pg_stat_statements is not in this database: statements can be collected from files only"
    ((loaded,),) = connection.execute(IS_IT_LOADED).fetchall()
    return (
        ""
        if loaded
        else "pg_stat_statements is not in shared_preload_libraries: statements can be collected from files only"
    )


def may_see_all_statements(connection: Connection) -> bool:
    """Tell whether our role sees what other roles sent. Reads only."""
    ((may,),) = connection.execute(MAY_SEE_ALL).fetchall()
    return bool(may)


def _view(connection: Connection, environment: str) -> tuple[str, set[str]]:
    row = connection.execute(WHERE_IS_THE_VIEW).fetchone()
    if row is None:
        raise _not_on(environment, "the extension pg_stat_statements is not in this database")
    columns = {name for (name,) in connection.execute(WHICH_COLUMNS, row).fetchall()}
    return row[0], columns


def _since(connection: Connection, schema: str, columns: Iterable[str]) -> tuple[datetime | None, int]:
    """Return since when it counts and how often it evicted; both are unknown before 14."""
    if "toplevel" not in columns:
        return None, 0
    info = sql.Identifier(schema, "pg_stat_statements_info")
    row: Any = connection.execute(sql.SQL(SINCE_WHEN).format(info=info)).fetchone()
    return (row[0], row[1]) if row else (None, 0)


def _not_on(environment: str, why: str) -> RefusedError:
    return RefusedError(
        f"no statements to collect: {why}",
        where=environment,
        next="add pg_stat_statements to shared_preload_libraries, restart, CREATE EXTENSION pg_stat_statements (Supabase, RDS and "
        "Azure load it already: CREATE EXTENSION is enough); or collect from files: safemig workload PATH",
    )
