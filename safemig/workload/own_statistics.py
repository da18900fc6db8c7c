"""Write production's statistics into the catalogs of a throwaway server, which is ours.

PostgreSQL 18 has functions for it, but not for groups of columns; so rows of pg_statistic are written as ANALYZE writes
them (src/include/catalog/pg_statistic.h, 15 to 18), with the operators and collations that ANALYZE would choose.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import ClientCursor

from safemig.postgres.connection import Connection
from safemig.workload.planner_facts import ColumnStatistics, GroupStatistics

# The casts that are made for a moment must not fire the event triggers of the copy.
ALLOW = "SET allow_system_table_mods = on; SET session_replication_role = replica"
WHICH_TYPES = """
SELECT t.oid::int8, t.typtype::text, t.typbasetype::int8, t.typelem::int8, t.typsubscript::oid::int8, r.rngsubtype::int8
FROM pg_type t LEFT JOIN pg_range r ON r.rngtypid = t.oid
"""
WHICH_OPERATORS = """
SELECT c.opcintype::int8, a.amname,
       (SELECT o.amopopr::int8 FROM pg_amop o WHERE o.amopfamily = c.opcfamily AND o.amoplefttype = c.opcintype
          AND o.amoprighttype = c.opcintype AND o.amopstrategy = 1),
       (SELECT o.amopopr::int8 FROM pg_amop o WHERE o.amopfamily = c.opcfamily AND o.amoplefttype = c.opcintype
          AND o.amoprighttype = c.opcintype AND o.amopstrategy = 3)
FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod WHERE c.opcdefault AND a.amname IN ('btree', 'hash')
"""
WHICH_ARE_ALIKE = "SELECT castsource::int8, casttarget::int8 FROM pg_cast WHERE castmethod = 'b' AND castcontext = 'i'"
WHICH_COLUMNS = """
SELECT n.nspname, c.relname, a.attname, c.oid::int8, a.attnum, a.atttypid::int8, a.atttypmod,
       coalesce(nullif(i.collation, 0), a.attcollation)::int8
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (SELECT x.indcollation[a.attnum - 1] AS collation FROM pg_index x
                   WHERE x.indexrelid = c.oid AND a.attnum <= x.indnkeyatts) i ON true
WHERE c.relkind IN ('r', 'p', 'm', 'i') AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
"""
WHICH_STATISTICS_ARE_THERE = "SELECT starelid::int8, staattnum, stainherit FROM pg_statistic WHERE starelid >= 16384"
_SLOTS = 5
_AT_ONCE = 200
_ANYENUM, _ANYARRAY, _ANYRANGE, _ANYMULTIRANGE, _RECORD = 3500, 2277, 3831, 4537, 2249
_TEXT, _TSVECTOR, _FLOAT8, _FLOAT8_LESS, _DEFAULT_COLLATION = 25, 3614, 701, 672, 100
# The kinds of pg_statistic.h.
_MCV, _HISTOGRAM, _CORRELATION, _MCELEM, _DECHIST, _RANGE_LENGTHS, _RANGE_BOUNDS = range(1, 8)
REMOVE_ONE = "DELETE FROM pg_statistic WHERE starelid = %s AND staattnum = %s AND stainherit = %s"
REMOVE_THESE = """
DELETE FROM pg_statistic s USING unnest(%s::int8[], %s::int2[], %s::bool[]) AS gone (relation, number, inherited)
WHERE s.starelid = gone.relation::oid AND s.staattnum = gone.number AND s.stainherit = gone.inherited
"""
_ONE = "(%s, %s, %s, %s, %s, %s, {kinds}, {operators}, {collations}, {numbers}, {values})"
WRITE_ONE = f"INSERT INTO pg_statistic VALUES {_ONE}"  # noqa: S608 - constants of ours
CASTS = """
DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['pg_ndistinct', 'pg_dependencies', 'pg_mcv_list'] LOOP
    IF NOT EXISTS (SELECT FROM pg_cast WHERE castsource = 'bytea'::regtype AND casttarget = t::regtype) THEN
      EXECUTE format('CREATE CAST (bytea AS %s) WITHOUT FUNCTION', t);
    END IF;
  END LOOP; END $$
"""
NO_CASTS = """
DROP CAST IF EXISTS (bytea AS pg_ndistinct); DROP CAST IF EXISTS (bytea AS pg_dependencies);
DROP CAST IF EXISTS (bytea AS pg_mcv_list)
"""
# The expressions' types are what their own planning says; a table's row is not needed for that.
WHICH_EXPRESSIONS = """
SELECT array_to_string(pg_get_statisticsobjdef_expressions(e.oid), ', '), format('%%I.%%I', n.nspname, c.relname)
FROM pg_statistic_ext e JOIN pg_class c ON c.oid = e.stxrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE e.oid = %s
"""
WHICH_COLLATIONS = "SELECT oid::int8, typcollation::int8 FROM pg_type WHERE oid = ANY (%s)"
WRITE_EXPRESSIONS = (
    "UPDATE pg_statistic_ext_data SET stxdexpr = ARRAY[{rows}]::pg_statistic[] WHERE stxoid = %s AND stxdinherit = %s"
)
WHICH_GROUPS = """
SELECT n.nspname, e.stxname, e.oid::int8,
       (SELECT jsonb_object_agg(a.attname, a.attnum) FROM pg_attribute a
        WHERE a.attrelid = e.stxrelid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
FROM pg_statistic_ext e JOIN pg_namespace n ON n.oid = e.stxnamespace
"""
SOME_EXPRESSIONS = "SELECT {expressions} FROM {table} LIMIT 0"
REMOVE_GROUP = "DELETE FROM pg_statistic_ext_data WHERE stxoid = %s AND stxdinherit = %s"
WRITE_GROUP = """
INSERT INTO pg_statistic_ext_data (stxoid, stxdinherit, stxdndistinct, stxddependencies, stxdmcv)
VALUES (%s, %s, %s::bytea::pg_ndistinct, %s::bytea::pg_dependencies, %s::bytea::pg_mcv_list)
"""
_HEADER = struct.Struct("<III")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the copy: where its statistics belong."""

    relation: int
    number: int
    type: int
    modifier: int
    collation: int


class Catalog:
    """What the copy's catalogs say of types, operators and columns; read once."""

    def __init__(self, copy: Connection) -> None:
        self._types = {row[0]: row[1:] for row in copy.execute(WHICH_TYPES)}
        self._alike: dict[int, list[int]] = {}
        for source, target in copy.execute(WHICH_ARE_ALIKE):
            self._alike.setdefault(source, []).append(target)
        self._operators: dict[str, dict[int, tuple[int, int]]] = {"btree": {}, "hash": {}}
        for of, method, first, equal in copy.execute(WHICH_OPERATORS):
            self._operators[method][of] = (first or 0, equal or 0)
        self._true_array = self._types[1007][3]  # of integer[]: what makes a type an array

    def base(self, of: int) -> int:
        """Return the type below a domain."""
        while of in self._types and self._types[of][0] == "d":
            of = self._types[of][1]
        return of

    def element(self, of: int) -> int:
        """Return an array's element type, 0 where it is none."""
        found = self._types.get(self.base(of))
        return found[2] if found and found[3] == self._true_array else 0

    def less_and_equal(self, of: int) -> tuple[int, int]:
        """Return the operators < and = of a type's default order, 0 where there is none."""
        base = self.base(of)
        kind = self._types.get(base, ("b",))[0]
        general = {"e": _ANYENUM, "r": _ANYRANGE, "m": _ANYMULTIRANGE, "c": _RECORD}.get(kind)
        candidates = [base, *self._alike.get(base, []), *([general] if general else [])]
        if self.element(base):
            candidates.append(_ANYARRAY)
        for each in candidates:
            if each in self._operators["btree"]:
                return self._operators["btree"][each]
        for each in candidates:
            if each in self._operators["hash"]:
                return 0, self._operators["hash"][each][0]
        return 0, 0


def read_columns(copy: Connection) -> dict[tuple[str, str, str], Column]:
    """Return the columns of the copy by schema, relation and name."""
    return {(row[0], row[1], row[2]): Column(*row[3:]) for row in copy.execute(WHICH_COLUMNS)}


def write_columns(
    copy: Connection, catalog: Catalog, wanted: Sequence[tuple[Column, ColumnStatistics]]
) -> tuple[ColumnStatistics, ...]:
    """Write the statistics of columns, replacing what is there; return those whose values do not fit their column's type."""
    misfits: list[ColumnStatistics] = []
    for start in range(0, len(wanted), _AT_ONCE):
        batch = wanted[start : start + _AT_ONCE]
        try:
            with copy.transaction():
                cursor = ClientCursor(copy)
                places = [_place(column, facts) for column, facts in batch]
                cursor.execute(REMOVE_THESE, tuple(list(each) for each in zip(*places, strict=True)))
                # In one round trip: there are thousands.
                rows = [cursor.mogrify(*_row(catalog, column, facts)) for column, facts in batch]
                cursor.execute(";".join(rows).encode())
        except psycopg.DataError:  # of one of them: each by itself
            misfits += [facts for column, facts in batch if not write_column(copy, catalog, column, facts)]
    return tuple(misfits)


def _place(column: Column, facts: ColumnStatistics) -> tuple[int, int, bool]:
    return column.relation, column.number, facts.inherited


def write_column(copy: Connection, catalog: Catalog, column: Column, facts: ColumnStatistics) -> bool:
    """Write one column's statistics, replacing what is there; False where its values do not fit the column's type.

    Then only shares and widths are written, as for a column whose values are withheld.
    """
    for tried in (facts, facts.without_values):
        statement, values = _row(catalog, column, tried)
        try:
            with copy.transaction():
                cursor = ClientCursor(copy)
                cursor.execute(REMOVE_ONE, _place(column, facts))
                cursor.execute(statement.encode(), values)
        except psycopg.DataError:
            continue
        return tried is facts
    return False


def _row(catalog: Catalog, column: Column, facts: ColumnStatistics, form: str = WRITE_ONE) -> tuple[str, list[Any]]:
    slots = _slots(catalog, column, facts)[:_SLOTS]
    slots += [(0, 0, 0, None, None, 0, -1)] * (_SLOTS - len(slots))
    written = [
        "NULL" if text is None else f"array_in(%s::cstring, {element}, {modifier})"
        for _, _, _, _, text, element, modifier in slots
    ]
    statement = form.format(
        kinds=", ".join(str(slot[0]) for slot in slots),
        operators=", ".join(str(slot[1]) for slot in slots),
        collations=", ".join(str(slot[2]) for slot in slots),
        numbers=", ".join("NULL" if slot[3] is None else "%s::real[]" for slot in slots),
        values=", ".join(written),
    )
    values: list[Any] = [
        column.relation, column.number, facts.inherited, facts.null_frac, facts.avg_width, facts.n_distinct,
        *(list(slot[3]) for slot in slots if slot[3] is not None),
        *(slot[4] for slot in slots if slot[4] is not None),
    ]  # fmt: skip
    return statement, values


def _slots(catalog: Catalog, column: Column, facts: ColumnStatistics) -> list[tuple[Any, ...]]:
    """Return (kind, operator, collation, numbers, values, their type, its modifier) of each slot that is used."""
    less, equal = catalog.less_and_equal(column.type)
    of = (column.type, column.modifier)
    slots: list[tuple[Any, ...]] = []
    if facts.most_common_vals is not None and facts.most_common_freqs is not None:
        slots.append((_MCV, equal, column.collation, facts.most_common_freqs, facts.most_common_vals, *of))
    if facts.histogram_bounds is not None:
        slots.append((_HISTOGRAM, less, column.collation, None, facts.histogram_bounds, *of))
    if facts.correlation is not None:
        slots.append((_CORRELATION, less, column.collation, [facts.correlation], None, 0, -1))
    if facts.most_common_elems is not None and facts.most_common_elem_freqs is not None:
        is_words = catalog.base(column.type) == _TSVECTOR
        element = _TEXT if is_words else catalog.element(column.type)
        collation = _DEFAULT_COLLATION if is_words else column.collation
        equal_elements = catalog.less_and_equal(element)[1]
        slots.append(
            (_MCELEM, equal_elements, collation, facts.most_common_elem_freqs, facts.most_common_elems, element, -1)
        )
        if facts.elem_count_histogram is not None:
            slots.append((_DECHIST, equal_elements, collation, facts.elem_count_histogram, None, 0, -1))
    if facts.range_bounds_histogram is not None:
        slots.append((_RANGE_BOUNDS, 0, 0, None, facts.range_bounds_histogram, *of))
    if facts.range_length_histogram is not None:
        lengths = facts.range_length_histogram
        slots.append((_RANGE_LENGTHS, _FLOAT8_LESS, 0, [facts.range_empty_frac or 0.0], lengths, _FLOAT8, -1))
    return slots


def write_groups(copy: Connection, groups: tuple[GroupStatistics, ...]) -> int:
    """Write what CREATE STATISTICS keeps of groups of columns; return how many there are on the copy."""
    there = {(schema, name): (oid, columns or {}) for schema, name, oid, columns in copy.execute(WHICH_GROUPS)}
    written = 0
    fitting = [(each, *there[each.schema, each.name]) for each in groups if (each.schema, each.name) in there]
    if not fitting:
        return 0
    copy.execute(CASTS)
    try:
        for group, oid, columns in fitting:
            numbers = {int(number): columns.get(name, 0) for number, name in group.columns.items()}
            ndistinct, dependencies = _renumbered(group.ndistinct, numbers), _renumbered(group.dependencies, numbers)
            combinations = group.combinations if _has_only_own_types(group.combinations) else None
            copy.execute(REMOVE_GROUP, (oid, group.inherited))
            copy.execute(WRITE_GROUP, (oid, group.inherited, ndistinct, dependencies, combinations))
            if group.expressions:
                _write_expressions(copy, oid, group)
            written += 1
    finally:
        copy.execute(NO_CASTS)
    return written


def _write_expressions(copy: Connection, oid: int, group: GroupStatistics) -> None:
    """Write the statistics of a group's expressions, in their order; nothing where the copy has others."""
    row = copy.execute(WHICH_EXPRESSIONS, (oid,)).fetchone()
    if not row or not row[0]:
        return
    described = copy.execute(SOME_EXPRESSIONS.format(expressions=row[0], table=row[1]).encode()).description or []
    if len(described) != len(group.expressions):
        return
    types = [each.type_code for each in described]
    collations = dict(copy.execute(WHICH_COLLATIONS, (types,)).fetchall())
    catalog, rows, values = Catalog(copy), [], []
    for of, facts in zip(types, group.expressions, strict=True):
        column = Column(0, 0, of, -1, collations.get(of, 0))
        text, given = _row(catalog, column, facts, f"ROW{_ONE}::pg_statistic")
        rows.append(text)
        values += given
    statement = WRITE_EXPRESSIONS.format(rows=", ".join(rows))
    ClientCursor(copy).execute(statement.encode(), [*values, oid, group.inherited])


def _renumbered(content: bytes | None, numbers: Mapping[int, int]) -> bytes | None:
    """Return the bytes of pg_ndistinct or pg_dependencies for the copy's column numbers: a dump leaves no gaps.

    After a header of magic, type and count: each entry is a float8, and a list of int16 behind its length. Expressions
    have negative numbers, which stay (src/backend/statistics/mvdistinct.c and dependencies.c, 15 to 18).
    """
    if content is None:
        return None
    magic, _, entries = _HEADER.unpack_from(content)
    wide = magic == 0xA352BFA4  # of pg_ndistinct its count of columns is an int32
    place, result = _HEADER.size, bytearray(content)
    for _ in range(entries):
        place += 8
        (count,) = struct.unpack_from("<i" if wide else "<h", content, place)
        place += 4 if wide else 2
        for _ in range(count):
            (number,) = struct.unpack_from("<h", content, place)
            new = numbers.get(number, 0) if number > 0 else number
            if not new:
                return None
            struct.pack_into("<h", result, place, new)
            place += 2
    return bytes(result)


def _has_only_own_types(content: bytes | None) -> bool:
    """Tell whether a list of combinations has PostgreSQL's own types only, whose numbers are the same everywhere."""
    if content is None:
        return False
    (dimensions,) = struct.unpack_from("<h", content, _HEADER.size)
    return all(struct.unpack_from("<I", content, _HEADER.size + 2 + 4 * n)[0] < 16384 for n in range(dimensions))
