"""What a table in production is now: columns, keys, foreign keys, triggers, sequences. Asked before rows are put back."""

from __future__ import annotations

from dataclasses import dataclass

from safemig.backups.stored_tables import Table
from safemig.postgres.connection import Connection
from safemig.sql.identifiers import quote_name

WHAT_IT_IS = """
SELECT c.oid::int8, c.relkind, pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE'), row_security_active(c.oid),
       has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'INSERT'), has_table_privilege(c.oid, 'UPDATE'),
       ARRAY(SELECT r.rulename::text FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type IN ('2', '3') AND r.ev_enabled <> 'D')
FROM pg_class c WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s) AND c.relname = %s
"""
COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull OR t.typnotnull, a.attidentity, a.attgenerated,
       a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
       CASE WHEN a.attcollation <> 0 THEN (SELECT format('%%I.%%I', n.nspname, o.collname) FROM pg_collation o
                                          JOIN pg_namespace n ON n.oid = o.collnamespace WHERE o.oid = a.attcollation) END
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
# Those of plain columns that hold for every row, at once: what rows can be told apart by, and what may stand in the way.
UNIQUE_INDEXES = """
SELECT c.relname, i.indisprimary,
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number WHERE k.place <= i.indnkeyatts ORDER BY k.place)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY i.indisprimary DESC, i.indnkeyatts, c.relname
"""
FOREIGN_KEYS = """
SELECT k.conname, fn.nspname, f.relname, rn.nspname, r.relname, k.confdeltype,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u (number, place)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY u.place),
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u (number, place)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY u.place)
FROM pg_constraint k JOIN pg_class f ON f.oid = k.conrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND %s IN (k.conrelid, k.confrelid) ORDER BY k.conname
"""
# Of the table and of its partitions, whose triggers have a state of their own. Bits of tgtype: 4 INSERT, 16 UPDATE.
TRIGGERS = """
SELECT n.nspname, c.relname, t.tgname, t.tgenabled, (t.tgtype & 4) <> 0, (t.tgtype & 16) <> 0, p.oid::int8,
       pg_has_role(p.proowner, 'USAGE') AND has_schema_privilege(p.pronamespace, 'CREATE') AND l.lanpltrusted
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang
WHERE NOT t.tgisinternal
  AND (c.oid = %(table)s OR c.oid IN (WITH RECURSIVE below (oid) AS (
        SELECT inhrelid FROM pg_inherits JOIN pg_class i ON i.oid = inhrelid AND i.relispartition WHERE inhparent = %(table)s
        UNION ALL SELECT p.inhrelid FROM pg_inherits p JOIN below b ON b.oid = p.inhparent) SELECT oid FROM below))
ORDER BY c.oid <> %(table)s, 1, 2, 3
"""
# Owned by a column, or named in its default.
SEQUENCES = """
SELECT DISTINCT a.attname, n.nspname, s.relname, ps.seqincrement FROM pg_attribute a
JOIN LATERAL (
  SELECT d.objid AS oid FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
    AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i')
  UNION SELECT d.refobjid FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
    AND d.refclassid = 'pg_class'::regclass WHERE f.adrelid = a.attrelid AND f.adnum = a.attnum) used ON true
JOIN pg_class s ON s.oid = used.oid AND s.relkind = 'S' JOIN pg_namespace n ON n.oid = s.relnamespace
JOIN pg_sequence ps ON ps.seqrelid = s.oid
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column as it is now. `collation` is "" where the type has none."""

    name: str
    type: str
    is_required: bool  # NULL is refused
    identity: str  # "a" ALWAYS, "d" BY DEFAULT, "" none
    is_generated: bool
    has_default: bool
    collation: str


@dataclass(frozen=True, slots=True)
class UniqueIndex:
    """A unique index over plain columns, for every row, checked at once."""

    name: str
    is_primary: bool
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` of `table` refer to `referred_columns` of `referred`. `on_delete` is PostgreSQL's letter: c cascade, n set null."""

    name: str
    table: Table
    referred: Table
    on_delete: str
    columns: tuple[str, ...]
    referred_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of the team's, and its state: O enabled, A always, R on replicas, D disabled."""

    table: Table
    name: str
    state: str
    on_insert: bool
    on_update: bool
    function: int  # its OID
    may_replace: bool  # our role may replace the function, and make it again as it was

    @property
    def fires(self) -> bool:
        """True where it fires for what a session like ours does."""
        return self.state in ("O", "A")


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence that gives a column its values."""

    column: str
    schema: str
    name: str
    increment: int


@dataclass(frozen=True, slots=True)
class TargetTable:
    """A table of production as it is now."""

    name: Table
    oid: int
    is_partitioned: bool
    owner: str
    is_ours: bool  # our role is its owner, or a member of that role
    hides_rows: bool  # by row security, from our role
    may_read: bool
    may_insert: bool
    may_update: bool
    rules: tuple[str, ...]
    columns: tuple[TargetColumn, ...]
    unique: tuple[UniqueIndex, ...]
    foreign_keys: tuple[ForeignKey, ...]
    triggers: tuple[Trigger, ...]
    sequences: tuple[Sequence, ...]

    @property
    def sql(self) -> str:
        """The name as SQL."""
        return quote_name(*self.name)


def read_table(connection: Connection, name: Table) -> TargetTable | None:
    """Return a table as it is now; None where there is none of that name. Reads only the catalogs."""
    row = connection.execute(WHAT_IT_IS, name).fetchone()
    if row is None or row[1] not in ("r", "p"):
        return None
    oid, kind, owner, is_ours, hides, may_read, may_insert, may_update, rules = row
    return TargetTable(
        name=name,
        oid=oid,
        is_partitioned=kind == "p",
        owner=owner,
        is_ours=is_ours,
        hides_rows=hides,
        may_read=may_read,
        may_insert=may_insert,
        may_update=may_update,
        rules=tuple(rules),
        columns=tuple(
            TargetColumn(column, type_, required, identity, bool(generated), default, collation or "")
            for column, type_, required, identity, generated, default, collation in connection.execute(COLUMNS, (oid,))
        ),
        unique=tuple(
            UniqueIndex(index, primary, tuple(columns))
            for index, primary, columns in connection.execute(UNIQUE_INDEXES, (oid,))
        ),
        foreign_keys=tuple(
            ForeignKey(key, (schema, table), (their_schema, theirs), on_delete, tuple(columns), tuple(referred))
            for key, schema, table, their_schema, theirs, on_delete, columns, referred in connection.execute(
                FOREIGN_KEYS, (oid,)
            )
        ),
        triggers=read_triggers(connection, oid),
        sequences=tuple(Sequence(*each) for each in connection.execute(SEQUENCES, (oid,))),
    )


def read_triggers(connection: Connection, oid: int) -> tuple[Trigger, ...]:
    """Return the triggers of a table and of its partitions, in their states."""
    return tuple(
        Trigger((schema, table), *rest) for schema, table, *rest in connection.execute(TRIGGERS, {"table": oid})
    )
