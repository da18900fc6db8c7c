"""What production's planner knows of its tables: their sizes, the statistics of their columns, the settings. Reads only.

Statistics hold values of rows (the most common ones, the bounds of histograms). They stay in this process and on the
throwaway server; `withheld` columns give no values away, only widths and shares.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from psycopg.rows import dict_row

from safemig.postgres.connection import Connection

_OURS = "nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'safemig', 'supabase_migrations')"
HOW_LARGE_ARE_RELATIONS = f"""
SELECT n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
       CASE WHEN c.relkind IN ('r', 'm', 'i')
            THEN pg_relation_size(c.oid) / current_setting('block_size')::int ELSE 0 END AS blocks,
       c.relpages, c.reltuples, c.relallvisible
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p', 'i') AND c.relpersistence <> 't' AND {_OURS}
"""  # noqa: S608 - constants of ours
# The view shows what this role may read; the columns of range types are in it from 17 on.
WHAT_COLUMNS_HOLD = (
    """
SELECT s.schemaname AS schema, s.tablename AS relation, s.attname AS name, s.inherited, s.null_frac, s.avg_width,
       s.n_distinct, s.most_common_vals::text, s.most_common_freqs, s.histogram_bounds::text, s.correlation,
       s.most_common_elems::text, s.most_common_elem_freqs, s.elem_count_histogram, {ranges}
FROM pg_stats s JOIN pg_namespace n ON n.nspname = s.schemaname WHERE """
    + _OURS
)
_RANGES = "s.range_length_histogram::text, s.range_empty_frac, s.range_bounds_histogram::text"
_NO_RANGES = "NULL AS range_length_histogram, NULL::real AS range_empty_frac, NULL AS range_bounds_histogram"
# The raw lists of most common combinations only a superuser may read; the rest is in a view for the owners.
WHAT_GROUPS_OF_COLUMNS_HOLD = f"""
SELECT s.statistics_schemaname AS schema, s.statistics_name AS name, s.inherited, s.schemaname AS table_schema,
       s.tablename AS table_name, s.n_distinct::bytea AS ndistinct, s.dependencies::bytea AS dependencies,
       {{combinations}} AS combinations,
       (SELECT jsonb_object_agg(a.attnum, a.attname) FROM pg_attribute a
        WHERE a.attrelid = e.stxrelid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
FROM pg_stats_ext s JOIN pg_namespace n ON n.nspname = s.statistics_schemaname
JOIN pg_statistic_ext e ON e.stxnamespace = n.oid AND e.stxname = s.statistics_name
WHERE {_OURS}
"""  # noqa: S608 - constants of ours
_COMBINATIONS = """(SELECT d.stxdmcv::bytea FROM pg_statistic_ext_data d
        WHERE d.stxoid = e.oid AND d.stxdinherit = s.inherited)"""
WHAT_EXPRESSIONS_HOLD = f"""
SELECT s.statistics_schemaname AS schema, s.statistics_name AS name, s.inherited, s.expr, s.null_frac, s.avg_width,
       s.n_distinct, s.most_common_vals::text, s.most_common_freqs, s.histogram_bounds::text, s.correlation
FROM pg_stats_ext_exprs s JOIN pg_namespace n ON n.nspname = s.statistics_schemaname WHERE {_OURS}
"""  # noqa: S608 - constants of ours
MAY_READ_RAW = "SELECT has_table_privilege('pg_statistic_ext_data', 'SELECT')"
# jit_above_cost and its like are no part of a plan's shape; they change nothing here.
HOW_THE_PLANNER_IS_SET = """
SELECT name, reset_val || coalesce(CASE WHEN unit = '8kB' THEN '' ELSE unit END, '') FROM pg_settings
WHERE (category LIKE 'Query Tuning%' AND name NOT IN ('plan_cache_mode', 'recursive_worktable_factor')
       OR name IN ('work_mem', 'hash_mem_multiplier', 'max_parallel_workers_per_gather', 'max_parallel_workers',
                   'max_worker_processes'))
  AND reset_val <> boot_val AND context IN ('user', 'superuser')
"""


@dataclass(frozen=True, slots=True)
class RelationSize:
    """A table's or an index's size as the planner sees it: the file's blocks, and what pg_class estimates."""

    schema: str
    name: str
    kind: str
    blocks: int
    pages: int
    rows: float
    all_visible: int


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """What pg_stats says of one column of a table or of an index on expressions; arrays are in their text form."""

    schema: str
    relation: str
    name: str
    inherited: bool
    null_frac: float
    avg_width: int
    n_distinct: float
    most_common_vals: str | None = None
    most_common_freqs: Sequence[float] | None = None
    histogram_bounds: str | None = None
    correlation: float | None = None
    most_common_elems: str | None = None
    most_common_elem_freqs: Sequence[float] | None = None
    elem_count_histogram: Sequence[float] | None = None
    range_length_histogram: str | None = None
    range_empty_frac: float | None = None
    range_bounds_histogram: str | None = None

    @property
    def without_values(self) -> ColumnStatistics:
        """The same without any value of a row."""
        return replace(
            self,
            most_common_vals=None, most_common_freqs=None, histogram_bounds=None, most_common_elems=None,
            most_common_elem_freqs=None, elem_count_histogram=None, range_length_histogram=None, range_empty_frac=None,
            range_bounds_histogram=None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """What CREATE STATISTICS keeps of a group of columns, in PostgreSQL's own bytes; `columns` by number."""

    schema: str
    name: str
    inherited: bool
    table_schema: str
    table_name: str
    ndistinct: bytes | None
    dependencies: bytes | None
    combinations: bytes | None
    columns: Mapping[str, str]
    expressions: tuple[ColumnStatistics, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannerFacts:
    """All that the plans of one database depend on besides its schema."""

    major: int
    relations: tuple[RelationSize, ...]
    columns: tuple[ColumnStatistics, ...]
    groups: tuple[GroupStatistics, ...]
    settings: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()  # what could not be read, or was withheld


def read_planner_facts(source: Connection, withheld: Collection[str] = ()) -> PlannerFacts:
    """Read production's sizes and statistics. `withheld` are columns (table.column, schema.table.column, with * and ?)
    whose values stay where they are.
    """
    major = source.info.server_version // 10000
    relations = tuple(RelationSize(*row) for row in source.execute(HOW_LARGE_ARE_RELATIONS))
    question = WHAT_COLUMNS_HOLD.format(ranges=_RANGES if major >= 17 else _NO_RANGES)
    cursor = source.cursor(row_factory=dict_row)
    columns, hidden = [], 0
    for row in cursor.execute(question.encode()):
        column = ColumnStatistics(**row)
        if is_withheld(column.schema, column.relation, column.name, withheld):
            column, hidden = column.without_values, hidden + 1
        columns.append(column)
    may_read_raw = bool((source.execute(MAY_READ_RAW).fetchone() or (False,))[0])
    groups = _groups(source, may_read_raw, withheld)
    settings = tuple(source.execute(HOW_THE_PLANNER_IS_SET).fetchall())
    notes = []
    if hidden:
        notes.append(f"the values of {hidden:,} {'column' if hidden == 1 else 'columns'} were withheld, as set")
    if groups and not may_read_raw:
        notes.append(
            "most common combinations (CREATE STATISTICS, mcv) were not carried over: only a superuser reads them"
        )
    return PlannerFacts(major, relations, tuple(columns), groups, settings, tuple(notes))


def _groups(source: Connection, may_read_raw: bool, withheld: Collection[str]) -> tuple[GroupStatistics, ...]:
    if source.info.server_version < 150000:  # pg_stats_ext tells of inherited ones from 15 on
        return ()
    cursor = source.cursor(row_factory=dict_row)
    expressions: dict[tuple[str, str, bool], list[ColumnStatistics]] = {}
    for row in cursor.execute(WHAT_EXPRESSIONS_HOLD).fetchall():
        key = (row.pop("schema"), row.pop("name"), row["inherited"])
        name = row.pop("expr")
        expressions.setdefault(key, []).append(ColumnStatistics(schema=key[0], relation=key[1], name=name, **row))
    question = WHAT_GROUPS_OF_COLUMNS_HOLD.format(combinations=_COMBINATIONS if may_read_raw else "NULL::bytea")
    found = []
    for row in cursor.execute(question.encode()).fetchall():
        of = tuple(expressions.get((row["schema"], row["name"], row["inherited"]), ()))
        group = GroupStatistics(**(row | {"columns": row["columns"] or {}}), expressions=of)
        if any(is_withheld(group.table_schema, group.table_name, name, withheld) for name in group.columns.values()):
            group = replace(group, combinations=None, expressions=tuple(each.without_values for each in of))
        found.append(group)
    return tuple(found)


def is_withheld(schema: str, table: str, column: str, withheld: Collection[str]) -> bool:
    """Tell whether a column's values are to stay in production; an index's expressions go by the index's name."""
    names = (f"{table}.{column}", f"{schema}.{table}.{column}")
    return any(fnmatchcase(name, pattern) for pattern in withheld for name in names)
