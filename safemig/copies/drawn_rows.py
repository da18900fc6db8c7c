"""Rows for a copy of a schema: drawn from a database that has some, and otherwise made up from the columns' types.

What is drawn stays on the copy; nothing of it is shown or stored.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from safemig.postgres.connection import Connection
from safemig.sql.identifiers import quote_identifier, quote_literal

ROWS = 20  # of each table
_TRIES = 8  # constraints that refuse the first values
_PATIENCE = "SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '1s'"

COLUMNS = """
SELECT a.attname, format_type(t.oid, NULL), t.typcategory, t.typtype, a.atttypmod, a.attnotnull,
       a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%', false), a.attgenerated <> '',
       (SELECT e.enumlabel FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder LIMIT 1),
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY (i.indkey)),
       EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = a.attrelid AND c.contype = 'f' AND a.attnum = ANY (c.conkey))
FROM pg_attribute a JOIN pg_type u ON u.oid = a.atttypid
JOIN pg_type t ON t.oid = CASE WHEN u.typtype = 'd' THEN u.typbasetype ELSE u.oid END
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
FOREIGN_KEYS = """
SELECT format('%%I.%%I', n.nspname, f.relname),
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k (num, at) JOIN pg_attribute a
             ON a.attrelid = c.conrelid AND a.attnum = k.num ORDER BY k.at),
       ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k (num, at) JOIN pg_attribute a
             ON a.attrelid = c.confrelid AND a.attnum = k.num ORDER BY k.at)
FROM pg_constraint c JOIN pg_class f ON f.oid = c.confrelid JOIN pg_namespace n ON n.oid = f.relnamespace
WHERE c.conrelid = to_regclass(%s) AND c.contype = 'f'
"""
WHAT_A_CONSTRAINT_SAYS = """
SELECT pg_get_constraintdef(c.oid), ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.conrelid
                                          AND a.attnum = ANY (c.conkey))
FROM pg_constraint c WHERE c.conname = %s AND c.conrelid = to_regclass(%s)
"""
WHICH_BOUNDS_PARTITIONS_HAVE = """
SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass(%s)
"""
_LITERAL = re.compile(r"'((?:[^']|'')*)'|\b(\d+(?:\.\d+)?)\b")
_PLAIN = {
    "N": "1", "S": "a", "B": "true", "T": "01:00:00", "I": "127.0.0.1", "V": "1", "A": "{}", "U": "{}", "R": "empty",
}  # by pg_type.typcategory  # fmt: skip
_BY_NAME = {
    "date": "2026-01-01", "timestamp without time zone": "2026-01-01", "timestamp with time zone": "2026-01-01",
    "time without time zone": "12:00", "time with time zone": "12:00", "interval": "1 day", "bytea": "\\x00", "xml": "<a/>",
    "point": "(0,0)", "macaddr": "08:00:2b:01:02:03", "bit": "0", "tsvector": "a", "tsquery": "a", "pg_lsn": "0/0",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """What must be known of a column to give it a value."""

    name: str
    type: str
    category: str
    kind: str
    modifier: int
    not_null: bool
    is_numbered: bool  # by a sequence
    is_computed: bool
    first_label: str | None
    is_unique: bool
    is_reference: bool

    @property
    def is_given(self) -> bool:
        """True where the server gives it its value."""
        return self.is_numbered or self.is_computed


@dataclass
class Rows:
    """Draws rows for the tables of `copy`, from `source` where that has some. Tables are named as SQL.

    They fit the foreign keys of the copy, and those that only the source has: a later file may add them.
    """

    copy: Connection
    source: Connection | None = None
    has_drawn: bool = False  # else all rows are made up
    _columns: dict[str, tuple[Column, ...]] = field(default_factory=dict)
    _keys: dict[str, list[tuple[str, list[str], list[str]]]] = field(default_factory=dict)

    def columns(self, table: str) -> tuple[Column, ...]:
        """Return the columns of a table as they were when they were first asked for."""
        if table not in self._columns:
            self._columns[table] = tuple(Column(*row) for row in self.copy.execute(COLUMNS, (table,)).fetchall())
        return self._columns[table]

    def fill(self, tables: Iterable[str]) -> dict[str, int]:
        """Put rows into `tables` and what they reference; return how many each holds. No trigger is kept from firing."""
        order = self._parents_first(tables)
        drawn: dict[str, list[Mapping[str, str | None]]] = {}
        wanted: dict[str, list[tuple[list[str], set[tuple[str | None, ...]]]]] = {}
        for table in reversed(order):
            drawn[table] = self._drawn(table, wanted.get(table, ()))
            for parent, columns, keys in self._references(table):
                found = {tuple(row.get(column) for column in columns) for row in drawn[table]}
                wanted.setdefault(parent, []).append((keys, {key for key in found if None not in key}))
        counts = {}
        for table in order:
            rows = list(drawn[table])
            self.has_drawn |= bool(rows)
            for _ in range(2):  # a row may reference another of its table
                rows = [row for row in rows if not self._keep(self.insert_of(table, row))]
            self._number_on(table)
            if len(rows) == len(drawn[table]) and (insert := self.insert(table)):
                self._keep(insert)
            counts[table] = self.count(table)
        return counts

    def count(self, table: str) -> int:
        """Return how many rows a table of the copy holds, up to a thousand."""
        row = self.copy.execute(f"SELECT count(*) FROM (SELECT FROM {table} LIMIT 1000) t".encode()).fetchone()  # noqa: S608
        return int(row[0]) if row else 0

    def insert(self, table: str) -> str | None:
        """Return an INSERT that works now, with values like those of a row that is there; None where none was found."""
        columns = [column for column in self.columns(table) if not column.is_given]
        there = self._first(table, columns)
        values = dict(there) if there else {column.name: self._made_up(column) for column in columns}
        if not columns:
            return f"INSERT INTO {table} DEFAULT VALUES"
        for column in columns:
            if there and column.is_unique and not column.is_reference:
                values[column.name] = self._fresh(table, column)
        self._reference_parents(table, values, there is not None)
        names = {column.name: column for column in columns}
        allowed = self._allowed(table, values, names)
        return None if allowed is None else self.insert_of(table, allowed)

    def insert_of(self, table: str, values: Mapping[str, str | None]) -> str:
        """Return the INSERT of these values, as literals without a type."""
        if not values:
            return f"INSERT INTO {table} DEFAULT VALUES"
        names = ", ".join(map(quote_identifier, values))
        return f"INSERT INTO {table} ({names}) VALUES ({', '.join(map(_literal, values.values()))})"  # noqa: S608

    def update(self, table: str) -> str | None:
        """Return an UPDATE that gives one row of the copy the value that it has already; None where there is none."""
        columns = [column for column in self.columns(table) if not column.is_given]
        usual = [column for column in columns if not (column.is_unique or column.is_reference)] or columns
        row = self._first(table, usual[-1:])
        if not row:
            return None
        ((name, value),) = row.items()
        one = f"(SELECT tableoid FROM {table} LIMIT 1) AND ctid = (SELECT ctid FROM {table} LIMIT 1)"  # noqa: S608
        return f"UPDATE {table} SET {quote_identifier(name)} = {_literal(value)} WHERE tableoid = {one}"  # noqa: S608

    def value_of_type(self, type_name: str) -> str | None:
        """Return an expression of that type for a call; None where its name says too little."""
        row = self.copy.execute(
            "SELECT typcategory, typtype, format_type(oid, NULL), (SELECT enumlabel FROM pg_enum WHERE enumtypid = t.oid "
            "ORDER BY enumsortorder LIMIT 1) FROM pg_type t WHERE oid = to_regtype(%s)",
            (type_name,),
        ).fetchone()
        if row is None or row[1] == "p":
            return None
        column = Column("", row[2], row[0], row[1], -1, False, False, False, row[3], False, False)
        value = self._made_up(column)
        return f"{_literal(value)}::{type_name}"

    def _number_on(self, table: str) -> None:
        """Let the sequences of numbered columns go on after the rows that were drawn with their numbers."""
        for column in self.columns(table):
            if column.is_numbered:
                name = quote_identifier(column.name)
                where = f"FROM {table} HAVING max({name}) > 0"
                sql = f"SELECT setval(pg_get_serial_sequence({_literal(table)}, {_literal(column.name)}), max({name})) {where}"
                with suppress(psycopg.Error):  # a sequence that is not the column's own
                    self.copy.execute(sql.encode())

    def _parents_first(self, tables: Iterable[str]) -> list[str]:
        order: list[str] = []
        under_way: set[str] = set()

        def visit(table: str) -> None:
            if table in under_way or table in order:
                return
            under_way.add(table)
            for parent, _, _ in self._references(table):
                visit(parent)
            order.append(table)

        for table in tables:
            visit(table)
        return order

    def _references(self, table: str) -> list[tuple[str, list[str], list[str]]]:
        if table not in self._keys:
            found = [
                row for one in filter(None, (self.source, self.copy)) for row in one.execute(FOREIGN_KEYS, (table,))
            ]
            keys = {repr(row): row for row in found}
            self._keys[table] = [row for row in keys.values() if self._has(table, row[1]) and self._has(row[0], row[2])]
        return self._keys[table]

    def _has(self, table: str, columns: Sequence[str]) -> bool:
        return set(columns) <= {column.name for column in self.columns(table)}

    def _drawn(
        self, table: str, wanted: Sequence[tuple[list[str], set[tuple[str | None, ...]]]]
    ) -> list[Mapping[str, str | None]]:
        """Return rows of the source, those first that its children reference."""
        if self.source is None:
            return []
        there = {row[0] for row in self.source.execute(COLUMNS, (table,)).fetchall()}
        names = [each.name for each in self.columns(table) if each.name in there and not each.is_computed]
        if not names:
            return []
        listed = ", ".join(f"{quote_identifier(name)}::text" for name in names)
        rows: list[Mapping[str, str | None]] = []
        queries = [(f"SELECT {listed} FROM {table} LIMIT {ROWS}", ())]  # noqa: S608
        for keys, values in wanted:
            if values and set(keys) <= there:
                places = ", ".join(f"{quote_identifier(key)}::text" for key in keys)
                pairs = ", ".join(f"({', '.join(map(_literal, value))})" for value in sorted(values, key=repr))
                queries.insert(0, (f"SELECT {listed} FROM {table} WHERE ({places}) IN ({pairs}) LIMIT {ROWS}", ()))  # noqa: S608
        for query, _ in queries:
            try:
                with self.source.transaction(force_rollback=True):
                    self.source.execute(_PATIENCE)
                    found = self.source.execute(query.encode()).fetchall()
            except psycopg.Error:  # our role may not read it, or it is busy
                continue
            rows += [dict(zip(names, row, strict=True)) for row in found]
        return list({tuple(row.items()): row for row in rows}.values())

    def _first(self, table: str, columns: Sequence[Column]) -> dict[str, str | None] | None:
        if not columns:
            return None
        listed = ", ".join(f"{quote_identifier(column.name)}::text" for column in columns)
        row = self.copy.execute(f"SELECT {listed} FROM {table} LIMIT 1".encode()).fetchone()  # noqa: S608
        return None if row is None else {column.name: value for column, value in zip(columns, row, strict=True)}

    def _fresh(self, table: str, column: Column) -> str:
        name = quote_identifier(column.name)
        if column.category == "N":
            row = self.copy.execute(f"SELECT (max({name}) + 1)::text FROM {table}".encode()).fetchone()  # noqa: S608
            return row[0] if row and row[0] else "1"
        if column.category == "D":
            row = self.copy.execute(f"SELECT (max({name}) + interval '1 day')::text FROM {table}".encode()).fetchone()  # noqa: S608
            return row[0] if row and row[0] else "2026-01-01"
        if column.category == "S":
            return uuid.uuid4().hex[: column.modifier - 4 if column.modifier > 4 else 32]
        return str(uuid.uuid4()) if column.type == "uuid" else self._made_up(column) or ""

    def _made_up(self, column: Column) -> str | None:
        if column.first_label is not None:
            return column.first_label
        if column.type == "uuid":
            return str(uuid.uuid4())
        if column.kind == "c":
            return None
        return _BY_NAME.get(column.type) or ("2026-01-01" if column.category == "D" else _PLAIN.get(column.category))

    def _reference_parents(self, table: str, values: dict[str, str | None], is_like_another: bool) -> None:
        for parent, columns, keys in self._references(table):
            if not set(columns) <= values.keys():
                continue
            unique = [column for column in self.columns(table) if column.name in columns and column.is_unique]
            if is_like_another and not unique:
                continue
            listed = ", ".join(f"p.{quote_identifier(key)}::text" for key in keys)
            pairs = zip(columns, keys, strict=True)
            same = " AND ".join(f"t.{quote_identifier(column)} = p.{quote_identifier(key)}" for column, key in pairs)
            free = f" WHERE NOT EXISTS (SELECT FROM {table} t WHERE {same})" if unique else ""
            row = self.copy.execute(f"SELECT {listed} FROM {parent} p{free} LIMIT 1".encode()).fetchone()  # noqa: S608
            values.update(zip(columns, row or [None] * len(columns), strict=True))

    def _allowed(
        self, table: str, values: dict[str, str | None], columns: Mapping[str, Column]
    ) -> dict[str, str | None] | None:
        """Return the values changed until no check and no partition's bounds refuse them; None where none were found."""
        for _ in range(_TRIES):
            error = self._works(self.insert_of(table, values))
            if error is None:
                return values
            if not isinstance(error, psycopg.errors.CheckViolation):
                return None
            for changed in self._other_values(table, values, columns, error.diag.constraint_name):
                now = self._works(self.insert_of(table, changed))
                if now is None:
                    return changed
                refused = isinstance(now, psycopg.errors.CheckViolation)
                if refused and now.diag.constraint_name != error.diag.constraint_name:
                    values = changed
                    break
            else:
                return None
        return None

    def _other_values(
        self, table: str, values: Mapping[str, str | None], columns: Mapping[str, Column], constraint: str | None
    ) -> Iterator[dict[str, str | None]]:
        """Yield the values with another one in each column that a constraint names: what it says itself comes first."""
        row = self.copy.execute(WHAT_A_CONSTRAINT_SAYS, (constraint, table)).fetchone() if constraint else None
        if row is None:
            bounds = [bound for (bound,) in self.copy.execute(WHICH_BOUNDS_PARTITIONS_HAVE, (table,)).fetchall()]
            row = (" ".join(filter(None, bounds)), list(columns))
        said = [text.replace("''", "'") if text else number for text, number in _LITERAL.findall(row[0])]
        numbers = [str(int(text) + more) for text in said if text.isdecimal() for more in (1, -1)]
        for name in row[1]:
            if name in columns:
                for other in dict.fromkeys([*said, *numbers, "a", "A", "abc@example.com", "1", "0", "-1", None]):
                    yield {**values, name: other}

    def _works(self, sql: str) -> psycopg.Error | None:
        try:
            with self.copy.transaction(force_rollback=True):
                self.copy.execute(_PATIENCE)
                self.copy.execute(sql.encode())
        except psycopg.Error as error:
            return error
        return None

    def _keep(self, sql: str) -> bool:
        """Run an INSERT, and tell whether it did."""
        try:
            with self.copy.transaction():
                self.copy.execute(_PATIENCE)
                self.copy.execute(sql.replace(") VALUES (", ") OVERRIDING SYSTEM VALUE VALUES (", 1).encode())
        except psycopg.Error:
            return False
        return True


def _literal(value: str | None) -> str:
    return "NULL" if value is None else quote_literal(value).strip()
