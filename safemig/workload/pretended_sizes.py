"""Let the planner of a throwaway server believe that an empty copy is as large as production.

The planner asks the file for its blocks, not pg_class (src/backend/optimizer/util/plancat.c, 15 to 18). So each
relation's file is made longer by a hole, which takes no room on the disk, and shorter again at the end. Nothing may
read the tables in between: a scan would go through all of the hole. So plans are only asked for (EXPLAIN), never run.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from safemig.errors import RehearsalError
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect, words_of
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.workload.own_statistics import (
    ALLOW,
    WHICH_STATISTICS_ARE_THERE,
    Catalog,
    read_columns,
    write_columns,
    write_groups,
)
from safemig.workload.planner_facts import ColumnStatistics, PlannerFacts

# The versions on which plans on such a copy were compared with those of full ones (benchmarks/plans.py).
TESTED_MAJORS = (15, 17, 18)
WHICH_RELATIONS = """
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, c.relfilenode::int8, pg_relation_filepath(c.oid),
       c.relpages, c.reltuples, c.relallvisible, coalesce(x.indrelid, 0)::int8,
       coalesce(m.amname, ''), pg_relation_size(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index x ON x.indexrelid = c.oid
LEFT JOIN pg_am m ON m.oid = c.relam
WHERE c.relkind IN ('r', 'm', 'p', 'i') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
  AND n.nspname NOT IN ('information_schema', 'safemig', 'supabase_migrations')
"""
# Of a table without statistics, the planner guesses 32 bytes for what has no length of its own.
HOW_WIDE_ARE_ROWS = """
SELECT a.attrelid::int8, sum(coalesce(s.stawidth, nullif(a.attlen, -1), 32))::int
FROM pg_attribute a LEFT JOIN LATERAL (SELECT max(stawidth) AS stawidth FROM pg_statistic s
  WHERE s.starelid = a.attrelid AND s.staattnum = a.attnum) s ON true
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY (%s) GROUP BY 1
"""
WHAT_THE_INDEX_HOLDS = """
SELECT format('%%I.%%I', n.nspname, t.relname),
       (SELECT string_agg(pg_get_indexdef(x.indexrelid, k, true), ', ' ORDER BY k)
        FROM generate_series(1, x.indnatts) k),
       pg_get_expr(x.indpred, x.indrelid)
FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE x.indexrelid = %s
"""
SET_SIZES = """
UPDATE pg_class c SET relpages = v.pages, reltuples = v.rows, relallvisible = v.visible
FROM unnest(%s::int8[], %s::int[], %s::real[], %s::int[]) AS v (oid, pages, rows, visible) WHERE c.oid = v.oid::oid
"""
WHERE_IS_THE_DATA = "SELECT current_setting('data_directory'), current_setting('block_size')::int"
_GROWN = 1.1
_SEGMENT_BLOCKS = 131_072  # 1 GB, as every build of PostgreSQL we know of
_ROW_OVERHEAD = 28  # header and line pointer
_LEAF_BYTES = 8152 * 0.9  # a page of a b-tree that was just built
_ENTRY_OVERHEAD = 12  # header and line pointer
_DUPLICATES_BYTES = 812  # the longest list of a key's rows in one entry (btree deduplication, 13 and later)


@dataclass(frozen=True, slots=True)
class OnCopy:
    """A relation of the copy as its catalogs describe it."""

    oid: int
    schema: str
    name: str
    kind: str
    node: int
    path: str | None
    pages: int
    rows: float
    all_visible: int
    table: int  # of an index
    method: str
    bytes: int


@dataclass(frozen=True, slots=True)
class _Size:
    blocks: int
    pages: int
    rows: float
    all_visible: int


@dataclass(slots=True)
class Pretence:
    """How large each relation of the copy is to seem: by its oid, so that a rename or another type changes nothing."""

    facts: PlannerFacts
    sizes: dict[int, _Size] = field(default_factory=dict)
    nodes: dict[int, int] = field(default_factory=dict)
    bytes: dict[int, int] = field(default_factory=dict)  # of the copy's files before the migration
    grown: set[int] = field(default_factory=set)  # tables that the migration's own writes made larger, till a VACUUM
    widths: dict[int, int] = field(default_factory=dict)
    statistics: dict[tuple[int, int], list[ColumnStatistics]] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)  # tables that production does not have: the migration makes them
    notes: list[str] = field(default_factory=list)
    has_rows: bool = False  # then files stay as they are, and the planner is told production's rows and statistics only


def pretend(server: object, url: str, facts: PlannerFacts, *, has_rows: bool = False) -> Pretence:
    """Write production's statistics into a copy, and note which relation is to have which size.

    A copy that `has_rows` keeps its own files' sizes: restored, they have none of production's bloat.

    Raises:
        RehearsalError: the copy's server is none of ours, or of a version on which this is not tested.
    """
    if not isinstance(server, ThrowawayServer):
        raise RehearsalError(
            "plans need a server that safemig starts itself, because its catalogs and files are changed", where="scratch",
            next="leave out [scratch], or set rehearsal = \"data\"",
        )  # fmt: skip
    if server.major not in TESTED_MAJORS:
        raise RehearsalError(
            f"plans with production's statistics are not tested on PostgreSQL {server.major}",
            where=f"the copy's server, {server.programs.version}",
            next=f'install PostgreSQL {", ".join(str(major) for major in TESTED_MAJORS)}, or set rehearsal = "data"',
        )
    pretence = Pretence(facts, notes=list(facts.notes), has_rows=has_rows)
    if facts.major != server.major:
        pretence.notes.append(f"plans are those of PostgreSQL {server.major}; production runs {facts.major}")
    with connect(url, "the copy") as copy:
        copy.execute(ALLOW)
        there = {(each.schema, each.name): each for each in _relations(copy)}
        for relation in facts.relations:
            found = there.get((relation.schema, relation.name))
            if found is not None:
                pretence.sizes[found.oid] = _Size(relation.blocks, relation.pages, relation.rows, relation.all_visible)
                pretence.nodes[found.oid], pretence.bytes[found.oid] = found.node, found.bytes
        catalog, columns = Catalog(copy), read_columns(copy)
        wanted = []
        for statistics in facts.columns:
            column = columns.get((statistics.schema, statistics.relation, statistics.name))
            if column is not None:
                wanted.append((column, statistics))
                pretence.statistics.setdefault((column.relation, column.number), []).append(statistics)
        write_columns(copy, catalog, wanted)
        write_groups(copy, facts.groups)
        pretence.widths = _widths(copy, list(pretence.sizes))
    return pretence


@contextmanager
def as_large_as_production(url: str, pretence: Pretence) -> Iterator[Connection]:
    """Give a connection whose planner sees production's sizes; at the end, the copy is as it was.

    Nothing else may read the copy's tables meanwhile. What a migration made since `pretend` is sized by what it holds.
    """
    with connect(url, "the copy") as ours:
        ours.execute(ALLOW)
        ours.execute("SET synchronous_commit = off")
        ((folder, block_size),) = ours.execute(WHERE_IS_THE_DATA).fetchall()
        relations = _relations(ours)
        _refresh(ours, pretence, relations)
        known = {each.oid: each for each in relations}
        files = _Files(Path(folder), block_size)
        try:
            sizes = _sizes_now(ours, pretence, relations)
            if not pretence.has_rows:
                files.enlarge([(known[oid], size.blocks) for oid, size in sizes.items() if oid in known])
            _set_sizes(ours, sizes)
            with connect(url, "the copy", own_search_path=True) as planner:
                for name, value in pretence.facts.settings:
                    _set(planner, name, value)
                if not pretence.has_rows:
                    made = _new_indexes(planner, pretence, relations)
                    files.enlarge([(known[oid], size.blocks) for oid, size in made.items()])
                    _set_sizes(ours, made)
                yield planner
        finally:
            files.shrink()
            _set_sizes(ours, {each.oid: _Size(0, each.pages, each.rows, each.all_visible) for each in relations})


def _relations(copy: Connection) -> list[OnCopy]:
    return [OnCopy(*row) for row in copy.execute(WHICH_RELATIONS)]


def _widths(copy: Connection, oids: Sequence[int]) -> dict[int, int]:
    return dict(copy.execute(HOW_WIDE_ARE_ROWS, (list(oids),)).fetchall())


def _refresh(copy: Connection, pretence: Pretence, relations: Sequence[OnCopy]) -> None:
    """Put back the statistics that a change of a column's type removed; find the tables that production does not have."""
    _follow_indexes(copy, pretence, relations)
    there = set(copy.execute(WHICH_STATISTICS_ARE_THERE).fetchall())
    missing = {
        place: [each for each in of if (*place, each.inherited) not in there]
        for place, of in pretence.statistics.items()
    }
    if any(missing.values()):
        catalog = Catalog(copy)
        columns = {(each.relation, each.number): each for each in read_columns(copy).values()}
        again = [(columns[place], each) for place, of in missing.items() if place in columns for each in of]
        for each in write_columns(copy, catalog, again):
            pretence.notes.append(f"{each.schema}.{each.relation}.{each.name}: its values do not fit its new type")
    pretence.grown = {
        each.oid
        for each in relations
        if pretence.nodes.get(each.oid) == each.node and each.bytes > pretence.bytes[each.oid] * _GROWN
    }
    pretence.unknown = {
        each.oid for each in relations if each.kind in ("r", "p", "m") and each.oid not in pretence.sizes
    }


def _follow_indexes(copy: Connection, pretence: Pretence, relations: Sequence[OnCopy]) -> None:
    """Let an index on expressions that was re-created, as for a column's new type, keep what is known of its values."""
    of_name: dict[tuple[str, str], list[ColumnStatistics]] = {}
    for each in pretence.facts.columns:
        of_name.setdefault((each.schema, each.relation), []).append(each)
    made = {
        (each.schema, each.name): each.oid
        for each in relations
        if each.kind == "i" and each.oid not in pretence.sizes and (each.schema, each.name) in of_name
    }
    if not made:
        return
    columns = read_columns(copy)
    for name in made:
        for statistics in of_name[name]:
            column = columns.get((*name, statistics.name))
            if column is not None:
                pretence.statistics[column.relation, column.number] = [statistics]


def _sizes_now(copy: Connection, pretence: Pretence, relations: Sequence[OnCopy]) -> dict[int, _Size]:
    """Return production's sizes; of what was rewritten with other columns, in proportion to the width of its rows."""
    if pretence.has_rows:
        return {each.oid: _of_file(each, pretence.sizes[each.oid]) for each in relations if each.oid in pretence.sizes}
    rewritten = [each for each in relations if each.oid in pretence.sizes and each.node != pretence.nodes[each.oid]]
    now = _widths(copy, [each.oid for each in rewritten]) if rewritten else {}
    sizes = {each.oid: pretence.sizes[each.oid] for each in relations if each.oid in pretence.sizes}
    for each in rewritten:
        before, after = pretence.widths.get(each.oid, 0), now.get(each.oid, 0)
        overhead = _ENTRY_OVERHEAD if each.kind == "i" else _ROW_OVERHEAD
        if before and after and before != after:
            size = sizes[each.oid]
            factor = (after + overhead) / (before + overhead)
            sizes[each.oid] = _Size(
                math.ceil(size.blocks * factor), math.ceil(size.pages * factor), size.rows,
                math.ceil(size.all_visible * factor),
            )  # fmt: skip
    return sizes


def _of_file(relation: OnCopy, production: _Size) -> _Size:
    """Return the size of a file that has rows, with production's estimate of them and its share of visible pages."""
    pages = relation.bytes // 8192
    visible = round(pages * min(1.0, production.all_visible / production.blocks)) if production.blocks else 0
    return _Size(pages, pages if production.pages > 0 else production.pages, production.rows, visible)


def _new_indexes(planner: Connection, pretence: Pretence, relations: Sequence[OnCopy]) -> dict[int, _Size]:
    """Return how large the indexes are that a migration made, by the rows and widths that the planner expects."""
    made = {}
    for each in relations:
        if each.kind == "i" and each.oid not in pretence.sizes and each.table in pretence.sizes:
            rows, width, distinct = _expected(planner, each)
            blocks = _blocks_of_index(each.method, rows, width, distinct)
            made[each.oid] = _Size(blocks, blocks, rows, 0)
    return made


def _expected(planner: Connection, index: OnCopy) -> tuple[float, int, float]:
    """Return the rows that an index holds, the width of its entries, and how many different ones there are."""
    row = planner.execute(WHAT_THE_INDEX_HOLDS, (index.oid,)).fetchone()
    assert row is not None  # noqa: S101 - it was read from the catalogs a moment ago
    table, expressions, predicate = row
    where = f" WHERE {predicate}" if predicate else ""
    try:
        what = f"{expressions} FROM {table}{where}"
        plain, grouped = _plan(planner, f"SELECT {what}"), _plan(planner, f"SELECT DISTINCT {what}")
    except psycopg.Error as error:
        raise RehearsalError(
            f"the size of the new index {index.name} cannot be estimated: {words_of(error)}", where=f"on {table}",
            next="set rehearsal = \"data\"",
        ) from None  # fmt: skip
    return max(1.0, plain["Plan Rows"]), plain["Plan Width"], max(1.0, grouped["Plan Rows"])


def _plan(planner: Connection, query: str) -> dict[str, Any]:
    (found,) = planner.execute(f"EXPLAIN (FORMAT JSON) {query}".encode()).fetchone() or ([{"Plan": {}}],)
    plan: dict[str, Any] = found[0]["Plan"]
    return plan


def _blocks_of_index(method: str, rows: float, width: int, distinct: float) -> int:
    """Estimate an index's blocks. Exact to some percent for a b-tree of keys of equal length; a guess for the others."""
    key = _ENTRY_OVERHEAD + math.ceil(width / 8) * 8
    if method == "brin":
        return 3
    if method == "gin":
        return 2 + math.ceil((rows * 6 + distinct * key) / _LEAF_BYTES)
    if method in ("gist", "spgist"):
        return 1 + math.ceil(rows * (key + 8) / (8152 * 0.7))
    if method == "hash":
        return 2 + math.ceil(rows * 20 / (8152 * 0.75))
    per_key = rows / distinct
    if per_key >= 2:
        lists = max(1.0, per_key * 6 / max(6.0, _DUPLICATES_BYTES - key))
        entries = distinct * (lists * key + per_key * 6)
    else:
        entries = rows * key
    leaves = math.ceil(entries / _LEAF_BYTES)
    return 1 + leaves + (math.ceil(leaves * (key + 8) / _LEAF_BYTES) if leaves > 1 else 0)


def _set_sizes(copy: Connection, sizes: Mapping[int, _Size]) -> None:
    if sizes:
        of = list(sizes.values())
        copy.execute(
            SET_SIZES,
            (list(sizes), [each.pages for each in of], [each.rows for each in of], [each.all_visible for each in of]),
        )


def _set(planner: Connection, name: str, value: str) -> None:
    try:
        planner.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
    except psycopg.Error:
        return  # a setting that this version does not have, or not with this value


class _Files:
    """The files of relations, made longer by holes, and what they were before."""

    def __init__(self, data: Path, block_size: int) -> None:
        self._data = data
        self._block_size = block_size
        self._before: list[tuple[Path, int]] = []
        self._made: list[Path] = []

    def enlarge(self, wanted: Sequence[tuple[OnCopy, int]]) -> None:
        """Make each relation's file as many blocks long; one that is longer already stays."""
        for relation, blocks in wanted:
            if relation.path is None or relation.kind == "p":
                continue
            first = self._data / relation.path
            owner = first.stat()
            for number in range(max(1, math.ceil(blocks / _SEGMENT_BLOCKS))):
                length = min(blocks - number * _SEGMENT_BLOCKS, _SEGMENT_BLOCKS) * self._block_size
                path = first if number == 0 else first.with_name(f"{first.name}.{number}")
                if not path.exists():
                    path.touch(mode=0o600)
                    if os.geteuid() == 0:
                        os.chown(path, owner.st_uid, owner.st_gid)
                    self._made.append(path)
                now = path.stat().st_size
                if length > now:
                    self._before.append((path, now))
                    os.truncate(path, length)

    def shrink(self) -> None:
        """Make all files as long as they were, and remove those that were made."""
        for path, length in reversed(self._before):
            os.truncate(path, length)
        for path in self._made:
            path.unlink(missing_ok=True)
        self._before.clear()
        self._made.clear()
