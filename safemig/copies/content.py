"""The content of what a migration was not to touch, proven unchanged on the copy: table by table, column by column."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg import sql

from safemig.copies.event_triggers import EventTrigger, written_by
from safemig.errors import RehearsalError
from safemig.postgres.connection import Connection
from safemig.results import BOOKKEEPING_TABLES, RowChange, Step, TableContent
from safemig.schema import SchemaDiff
from safemig.sql import parse
from safemig.sql.identifiers import quote_name

# A column's type by the name that it was defined with: of an array its elements', of a domain its base's. What a value
# of some types looks like lies elsewhere than in its row: in a composite's columns, a name, a library, an expression.
COLUMNS = """
WITH RECURSIVE made_of (oid, part) AS (
  SELECT DISTINCT atttypid, atttypid FROM pg_attribute WHERE attnum > 0
  UNION SELECT m.oid, p.oid FROM made_of m JOIN pg_type t ON t.oid = m.part
  LEFT JOIN pg_range r ON t.oid::text IN (r.rngtypid::text, to_jsonb(r) ->> 'rngmultitypid')  -- since 14
  JOIN pg_type p ON p.oid IN (t.typbasetype, t.typelem, r.rngsubtype)),
elsewhere AS (
  SELECT m.oid FROM made_of m JOIN pg_type t ON t.oid = m.part
  WHERE t.typtype = 'c' OR t.typname ~ '^(reg|aclitem)' OR (t.typtype = 'b' AND t.typcategory <> 'A' AND t.oid >= 16384))
SELECT c.oid::int8, n.nspname, c.relname, format('%I.%I', n.nspname, c.relname), c.relkind = 'r', c.relfilenode::int8,
       a.attnum, a.attname, format('%s %s %s', a.atttypid, a.atttypmod, a.attgenerated),
       a.attgenerated = 'v' OR EXISTS (SELECT FROM elsewhere e WHERE e.oid = a.atttypid),
       (SELECT array_agg(format('%I.%I', tn.nspname, t.typname)) FROM pg_type t JOIN pg_namespace tn ON tn.oid = t.typnamespace
        WHERE t.oid IN (a.atttypid, y.typelem, y.typbasetype)),
       coalesce(a.attnum = ANY (k.conkey), false)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_type y ON y.oid = a.atttypid
LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('information_schema', 'safemig', 'supabase_migrations') AND n.nspname !~ '^pg_'
ORDER BY c.oid, a.attnum
"""

ENUM_LABELS = """
SELECT e.oid::int8, n.nspname, t.typname, e.enumlabel
FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid JOIN pg_namespace n ON n.oid = t.typnamespace
"""
# Tables of these names, whatever their schema, and all that inherit from them or are partitions of them.
TABLES_LIKE = """
WITH RECURSIVE meant (oid) AS (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND relname = ANY (%s)
                               UNION SELECT i.inhrelid FROM pg_inherits i JOIN meant m ON m.oid = i.inhparent)
SELECT oid::int8 FROM meant
"""
# One number a column, whatever the rows' order: the sum over all rows of a hash of the row's key and the value.
# As text, so that 1.0 is not 1.00, and json and point can be hashed (hash_record() fails on them).
_HASH = "sum(hashtextextended(ROW({})::text, 0)::numeric)"

_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "COPY")

Labels = Mapping[int, tuple[str, str, str]]  # (schema, enum, value) by OID


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    types: tuple[str, ...]
    is_key: bool
    form: str  # its type, by what the catalog knows it
    lies_elsewhere: bool  # what its values look like may change, and no row with it


@dataclass(frozen=True, slots=True)
class TableColumns:
    """A table's columns by number; with `hashes`, by number too, where its content was read."""

    schema: str
    name: str
    label: str  # as pg_dump writes it
    has_rows: bool  # of its own: not a partitioned table
    file: int  # where its rows are; another one once it is rewritten
    columns: Mapping[int, _Column]
    hashes: Mapping[int, object]


def named_tables(connection: Connection, steps: Sequence[Step]) -> set[int]:
    """Return the oids of the tables that statements name, and of what inherits from them; perhaps of others, too."""
    names = {name.rpartition(".")[2] for step in steps for each in parse(step.sql) for name in each.tables}
    return {oid for (oid,) in connection.execute(TABLES_LIKE, (list(names),))}


def read_columns(connection: Connection, oids: Collection[int]) -> dict[int, TableColumns]:
    """Return every table by its oid, with hashes for those in `oids`. Reads each of those once."""
    tables: dict[int, TableColumns] = {}
    found: dict[int, dict[int, _Column]] = {}
    for oid, schema, name, label, has_rows, file, number, column, form, elsewhere, types, is_key in connection.execute(
        COLUMNS.encode()
    ):
        columns = found.setdefault(oid, {})
        if number is not None:
            columns[number] = _Column(column, tuple(types), is_key, form, elsewhere)
        tables[oid] = TableColumns(schema, name, label, has_rows, file, columns, {})
    return tables | {oid: hashed(connection, table) for oid, table in tables.items() if oid in oids and table.has_rows}


def hashed(connection: Connection, table: TableColumns) -> TableColumns:
    """Return a table with its columns' hashes. Reads it once."""
    key = [sql.Identifier(column.name) for column in table.columns.values() if column.is_key]
    hashes = [
        sql.SQL(_HASH).format(sql.SQL(", ").join([*key, sql.Identifier(column.name)]))
        for column in table.columns.values()
    ]
    query = sql.SQL("SELECT {} FROM ONLY {}").format(
        sql.SQL(", ").join(hashes), sql.Identifier(table.schema, table.name)
    )
    row = connection.execute(query).fetchone()
    return replace(table, hashes=dict(zip(table.columns, row or (), strict=False)))


def renamed_back(before: Mapping[int, TableColumns], after: Mapping[int, TableColumns]) -> dict[str, str]:
    """Return what was renamed, as `schema.compare` takes it to go back: new dotted name to old one, tables first.

    Seen by the identity of tables and columns, not by their looks: a rename, whichever statement made it.
    """
    tables: dict[str, str] = {}
    columns: dict[str, str] = {}
    for oid in before.keys() & after.keys():
        old, new = before[oid], after[oid]
        if (old.schema, old.name) != (new.schema, new.name):
            tables[quote_name(new.schema, new.name)] = quote_name(old.schema, old.name)
        for number in old.columns.keys() & new.columns.keys():
            names = (new.columns[number].name, old.columns[number].name)
            if names[0] != names[1]:
                # The table has its old name again by then.
                columns[quote_name(old.schema, old.name, names[0])] = quote_name(old.schema, old.name, names[1])
    return tables | columns


def read_labels(connection: Connection) -> Labels:
    """Return (schema, enum, label) of every enum value, by its OID, which a rename keeps. Reads only."""
    return {oid: (schema, enum, label) for oid, schema, enum, label in connection.execute(ENUM_LABELS).fetchall()}


def renamed_labels_back(before: Labels, after: Labels) -> dict[str, str]:
    """Return what enum values were renamed, as `schema.compare` takes it to go back: new dotted name to old label."""
    return {
        quote_name(*before[oid][:2], after[oid][2]): quote_name(before[oid][2])
        for oid in before.keys() & after.keys()
        if before[oid][2] != after[oid][2]
    }


def rows_and_columns(
    before: Sequence[TableContent],
    after: Sequence[TableContent],
    columns_before: Mapping[int, TableColumns],
    columns_after: Mapping[int, TableColumns],
    steps: Sequence[Step],
    diff: SchemaDiff,
    event_triggers: Sequence[EventTrigger] = (),
) -> tuple[RowChange, ...]:
    """Return the rows of all tables before and after, with the columns whose content changed.

    Where no statement writes rows, the content of a column may change only by a change of its own or of its type; or,
    in a table that no statement names, by one of the database's event triggers, which is then named.

    Raises:
        RehearsalError: it changed all the same.
    """
    then, now = _by_name(before), _by_name(after)
    shapes = {change.name for change in diff.changes}
    changed: dict[str, tuple[str, ...]] = {}
    unforeseen: list[str] = []
    labels = {table.label: oid for oid, table in columns_before.items()}
    for name, table in then.items():
        old = columns_before.get(labels.get(name, -1))
        new = columns_after.get(labels.get(name, -1))
        renamed = new.label if new else name
        if now.get(renamed) in (None, table):
            continue
        if old is None or new is None or not (old.hashes and new.hashes):
            changed[renamed] = ("all",)
            foreseen = any(shape == name or shape.startswith(f"{name}.") for shape in shapes)
            foreseen |= old is not None and any(set(each.types) & shapes for each in old.columns.values())
            unforeseen += [] if foreseen else [name]
            continue
        same = [number for number in old.columns if number in new.columns]
        differing = [number for number in same if old.hashes[number] != new.hashes[number]]
        changed[renamed] = tuple(new.columns[number].name for number in differing)
        for number in differing:
            own = {
                f"{label}.{each.name}" for label, each in ((name, old.columns[number]), (renamed, new.columns[number]))
            }
            own |= {*old.columns[number].types, *new.columns[number].types}
            if not own & shapes:
                unforeseen.append(f"{name}.{old.columns[number].name}")
    named = {name.rpartition(".")[2] for step in steps for each in parse(step.sql) for name in each.tables}
    others = [name for name in then if changed.get(name) and name.rpartition(".")[2] not in named]
    written = written_by(event_triggers, steps, others)
    unforeseen = [
        each for each in unforeseen if not any(each == name or each.startswith(f"{name}.") for name in written)
    ]
    # A statement that writes rows may reach any table by a trigger: then what changed is shown before the approval.
    if unforeseen and not any(step.rows or (step.rows is None and step.kind.startswith(_WRITES)) for step in steps):
        raise RehearsalError(
            f"the migration changed content that it does not name: {', '.join(unforeseen)}",
            where="on the copy, where no other session writes",
            next="look for triggers, rules, event triggers and functions that it runs",
        )
    return tuple(
        RowChange(
            name,
            then[name].rows if name in then else None,
            now[name].rows if name in now else None,
            changed.get(name, ()),
            written.get(name, ""),
        )
        for name in sorted({*then, *now})
    )


def _by_name(tables: Sequence[TableContent]) -> dict[str, TableContent]:
    return {table.name: table for table in tables if not table.name.startswith(BOOKKEEPING_TABLES)}
