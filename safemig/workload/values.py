"""Values for a statement's parameters, drawn from the columns of a copy that has rows.

Parameters that belong to one relation are drawn from one of its rows, so that keys of several columns fit together;
what must be unique and is written gets values that no row has. The values stay in this process and on the copy.
"""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg

from safemig.postgres.connection import Connection
from safemig.workload.parameters import Parameters, ParameterUse, read_parameters

WHICH_TYPES = (
    "SELECT array_agg(t::text) FROM unnest((SELECT parameter_types FROM pg_prepared_statements WHERE name = %s)) t"
)
WHICH_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, NULL), a.atttypmod,
       EXISTS (SELECT FROM pg_constraint f WHERE f.conrelid = a.attrelid AND f.contype = 'f' AND a.attnum = ANY (f.conkey))
FROM pg_attribute a WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""
WHICH_ARE_UNIQUE = """
SELECT (SELECT array_agg(a.attname ORDER BY k.n) FROM unnest(x.indkey) WITH ORDINALITY k (attnum, n)
        JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum WHERE k.n <= x.indnkeyatts)
FROM pg_index x WHERE x.indrelid = to_regclass(%s) AND x.indisunique AND x.indisvalid
"""
LAST_VALUE = 'SELECT coalesce(max("{column}"), 0)::bigint FROM {table}'
SOME_ROWS = "SELECT {listed} FROM (SELECT {wanted} FROM {relation} LIMIT {sampled}) AS drawn ({names}) ORDER BY random() LIMIT {rows}"
HOW_MANY_ROWS = "SELECT c.reltuples, c.relkind::text FROM pg_class c WHERE c.oid = to_regclass(%s)"
_ROWS = 300
_SAMPLED = 3_000
_LISTED = 5  # values in an array
_INTEGERS = ("smallint", "integer", "bigint", "numeric")
# Of a parameter that is compared with nothing, such as one in a select list.
_BY_TYPE = {
    "boolean": "true", "date": "2026-01-01", "json": "{}", "jsonb": "{}", "uuid": "00000000-0000-0000-0000-000000000001",
    "timestamp with time zone": "2026-01-01 00:00:00+00", "timestamp without time zone": "2026-01-01 00:00:00",
    "interval": "1 day", "inet": "127.0.0.1", "bytea": "",
}  # fmt: skip
_NUMBERS = (*_INTEGERS, "real", "double precision")

Row = tuple[str | None, ...]


@dataclass(slots=True)
class _Pool:
    """Rows of one relation: what its parameters are drawn from together."""

    uses: list[ParameterUse]
    rows: list[Row]


@dataclass(slots=True)
class ValueSource:
    """Draws values for one statement."""

    count: int
    pools: list[_Pool]
    fixed: dict[int, str]
    fresh: dict[int, Iterator[str]]
    drawn: int  # how many parameters have values from the copy's rows

    def draw(self, chance: random.Random) -> list[str | None]:
        """Return a value for each parameter, in their text form."""
        values: list[str | None] = [self.fixed.get(number) for number in range(1, self.count + 1)]
        for pool in self.pools:
            row = chance.choice(pool.rows)
            for use, value in zip(pool.uses, row, strict=True):
                values[use.number - 1] = value
        for number, following in self.fresh.items():
            values[number - 1] = next(following)
        return values


@dataclass(slots=True)
class Values:
    """What statements draw from on one copy; what was read of a table once is kept."""

    copy: Connection
    chance: random.Random
    _columns: dict[str, dict[str, tuple[str, int, bool]]] = field(default_factory=dict)
    _unique: dict[str, list[list[str]]] = field(default_factory=dict)
    _fresh: dict[tuple[str, str], Iterator[str]] = field(default_factory=dict)

    def of(self, text: str) -> ValueSource | None:
        """Return what a statement's values are drawn from; None where it cannot be read or prepared.

        The copy's session must have the statement's search path.
        """
        parameters = read_parameters(text)
        types = self._types(text)
        if parameters is None or types is None:
            return None
        relations = dict(parameters.relations)
        by_relation: dict[str, list[ParameterUse]] = {}
        fixed: dict[int, str] = {}
        fresh: dict[int, Iterator[str]] = {}
        for use in parameters.uses:
            if use.use in ("limit", "offset"):
                fixed[use.number] = "10" if use.use == "limit" else "0"
                continue
            relation = use.relation if use.relation in relations else self._which(relations, use.column)
            if relation is None:
                continue
            if self._must_be_fresh(parameters, relations[relation], use):
                made = self._fresh_values(relations[relation], use.column)
                if made is not None:
                    fresh[use.number] = made
                    continue
            by_relation.setdefault(relation, []).append(use)
        pools = []
        for relation, uses in by_relation.items():
            rows = self._rows(relations[relation], relation, uses)
            if rows:
                pools.append(_Pool(uses, rows))
        drawn = {use.number for pool in pools for use in pool.uses} | fresh.keys() | fixed.keys()
        for number, name in enumerate(types, 1):
            if number not in drawn:
                fixed[number] = "1" if name in _NUMBERS else _BY_TYPE.get(name, "{}" if name.endswith("[]") else "x")
        return ValueSource(len(types), pools, fixed, fresh, len(drawn))

    def _types(self, text: str) -> list[str] | None:
        name = f"safemig_{uuid.uuid4().hex[:12]}"
        try:
            self.copy.execute(f"PREPARE {name} AS {text}".encode())
            row = self.copy.execute(WHICH_TYPES, (name,)).fetchone()
            self.copy.execute(f"DEALLOCATE {name}".encode())
        except psycopg.Error:
            return None
        return list(row[0] or []) if row else None

    def _which(self, relations: dict[str, str], column: str) -> str | None:
        return next((name for name, table in relations.items() if column in self._columns_of(table)), None)

    def _columns_of(self, table: str) -> dict[str, tuple[str, int, bool]]:
        if table not in self._columns:
            found = self.copy.execute(WHICH_COLUMNS, (table,)).fetchall()
            self._columns[table] = {name: (of, modifier, is_key) for name, of, modifier, is_key in found}
        return self._columns[table]

    def _must_be_fresh(self, parameters: Parameters, table: str, use: ParameterUse) -> bool:
        """Tell whether an INSERT's value must be one that no row has: for one column of each unique index."""
        if not (parameters.is_insert and use.use == "written"):
            return False
        if table not in self._unique:
            self._unique[table] = [row[0] or [] for row in self.copy.execute(WHICH_ARE_UNIQUE, (table,))]
        columns = self._columns_of(table)
        for of in self._unique[table]:
            free = [name for name in of if name in columns and not columns[name][2]] or of
            if use.column == free[-1]:
                return True
        return False

    def _fresh_values(self, table: str, column: str) -> Iterator[str] | None:
        if (table, column) not in self._fresh:
            made = self._make_fresh(table, column)
            if made is None:
                return None
            self._fresh[table, column] = made
        return self._fresh[table, column]

    def _make_fresh(self, table: str, column: str) -> Iterator[str] | None:
        of, modifier, _ = self._columns_of(table).get(column, ("", -1, False))
        if of in _INTEGERS:
            row = self.copy.execute(
                LAST_VALUE.format(column=column.replace('"', '""'), table=table).encode()
            ).fetchone()
            return map(str, itertools.count((row[0] if row else 0) + 1))
        if of in ("text", "character varying", "character"):
            room = modifier - 4 if modifier > 4 else 32
            return (uuid.uuid4().hex[:room] for _ in itertools.count())
        if of == "uuid":
            return (str(uuid.uuid4()) for _ in itertools.count())
        if of.startswith("timestamp"):
            begun = datetime.now(UTC)
            return ((begun + timedelta(microseconds=n)).isoformat() for n in itertools.count())
        return None

    def _rows(self, table: str, relation: str, uses: Sequence[ParameterUse]) -> list[Row]:
        named = f'{table} AS "{relation}"'
        row = self.copy.execute(HOW_MANY_ROWS, (table,)).fetchone()
        expected, kind = row or (0, "")
        share = min(100.0, 100 * _SAMPLED / expected) if expected and expected > 0 else 100.0
        sample = f" TABLESAMPLE BERNOULLI ({share:.6f})" if kind in ("r", "m", "p") and share < 100 else ""
        wanted = ", ".join(f"({use.expression})" for use in uses)
        names = [f"v{n}" for n in range(len(uses))]
        listed = ", ".join(f"({_drawn(name, use, uses)})::text" for name, use in zip(names, uses, strict=True))
        query = SOME_ROWS.format(
            listed=listed, wanted=wanted, relation=named + sample, sampled=_SAMPLED, names=", ".join(names), rows=_ROWS
        )
        try:
            rows: list[Row] = self.copy.execute(query.encode()).fetchall()
        except psycopg.Error:
            return []
        compared = [n for n, use in enumerate(uses) if use.use != "written"]
        whole = [each for each in rows if all(each[n] is not None for n in compared)]
        return whole or rows


def _drawn(name: str, use: ParameterUse, uses: Sequence[ParameterUse]) -> str:
    """Return the SQL of one value: a list for an array, neighbours in the order of values for the ends of a range."""
    if use.use == "array":
        return f"array_agg({name}) OVER (ROWS {_LISTED - 1} PRECEDING)"
    ends = {"low": ("high", "least"), "high": ("low", "greatest")}
    if use.use in ends and any(other.use == ends[use.use][0] and other.expression == use.expression for other in uses):
        return f"{ends[use.use][1]}({name}, lag({name}) OVER (ORDER BY {name}))"
    return name
