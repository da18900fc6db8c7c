"""Read the constraints and indexes of tables."""

from __future__ import annotations

from typing import Any

from safemig.postgres.catalog.snapshot import PG_CLASS, PG_CONSTRAINT, Snapshot, options, present
from safemig.postgres.pretences import real_index
from safemig.schema import facts
from safemig.schema.model import Id

CONSTRAINTS = """
SELECT k.oid::int8, k.conname, k.contype::text, k.conrelid::int8,
       CASE WHEN k.contype <> 'n' THEN pg_get_constraintdef(k.oid) END,
       k.conislocal, k.coninhcount > 0, coalesce(p.conname, ''), coalesce(p.conrelid = k.conrelid, false),
       i.reloptions, coalesce(ts.spcname, ''), x.indisclustered, x.indisreplident, k.conindid::int8,
       k.conkey, k.connoinherit, NOT k.convalidated
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
LEFT JOIN pg_constraint p ON p.oid = k.conparentid
LEFT JOIN pg_class i ON i.oid = k.conindid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_tablespace ts ON ts.oid = i.reltablespace
LEFT JOIN pg_index x ON x.indexrelid = i.oid
WHERE k.contype IN ('p', 'u', 'x', 'f', 'c', 'n') AND c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
  AND c.relnamespace = ANY(%(namespaces)s::oid[])
"""

# Only a column that is an expression has a statistics target of its own.
INDEXES = """
SELECT i.oid::int8, n.nspname, i.relname, x.indrelid::int8, pg_get_indexdef(i.oid), x.indisvalid, x.indisclustered,
       x.indisreplident, coalesce(pn.nspname, ''), coalesce(p.relname, ''),
       coalesce(ts.spcname, ''),
       CASE WHEN x.indexprs IS NOT NULL THEN
         (SELECT array_agg(ARRAY[a.attnum, a.attstattarget] ORDER BY a.attnum) FROM pg_attribute a
          WHERE a.attrelid = i.oid AND a.attstattarget >= 0) END
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_class c ON c.oid = x.indrelid
JOIN pg_namespace n ON n.oid = i.relnamespace
LEFT JOIN pg_inherits h ON h.inhrelid = i.oid
LEFT JOIN pg_class p ON p.oid = h.inhparent
LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace
LEFT JOIN pg_tablespace ts ON ts.oid = i.reltablespace
WHERE c.relkind IN ('r', 'p', 'f', 'm') AND c.relpersistence <> 't' AND c.relnamespace = ANY(%(namespaces)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))
"""

# In the longest loops a tuple is made as one: the classes' own constructors take three times as long.
_new = tuple.__new__


def read_constraints(snapshot: Snapshot, relations: dict[int, Id]) -> None:
    """Read the constraints of tables; a not-null one is part of its column's fact."""
    columns = snapshot.columns
    for row in snapshot.rows(CONSTRAINTS):
        (
            oid,
            name,
            kind,
            table,
            definition,
            is_local,
            inherited,
            parent,
            of_referenced,
            index_options,
            tablespace,
            clustered,
            identity,
            index,
            numbers,
            no_inherit,
            not_valid,
        ) = row
        relation = relations.get(table)
        if relation is None:
            continue
        if kind == "n":
            column = columns[table, numbers[0]]
            _note_not_null(snapshot, column, name, is_local=is_local, no_inherit=no_inherit, not_valid=not_valid)
            snapshot.objects[PG_CONSTRAINT, oid] = column
            continue
        item = _new(Id, ("constraint", relation[1], relation[2], name))
        if of_referenced:  # a foreign key's own row for a partition of the table that it references
            continue
        snapshot.add(
            PG_CONSTRAINT,
            oid,
            item,
            facts.ConstraintFact(
                kind,
                definition,
                is_local,
                inherited,
                parent,
                options(index_options),
                tablespace,
                # A check of the whole row has column 0 here, one of tableoid a negative number.
                tuple([columns[table, number][3] for number in numbers or () if number > 0]),
            ),
        )
        if kind in "pux":
            snapshot.objects[PG_CLASS, index] = item
            _note_index_uses(snapshot, relation, item, name, clustered, identity)


def _note_not_null(
    snapshot: Snapshot, item: Id, name: str, *, is_local: bool, no_inherit: bool, not_valid: bool
) -> None:
    is_usual = name == facts.usual_not_null_name(item)
    is_own = is_local or Id("partition", item.schema, item.name) in snapshot.facts
    if is_usual and is_local and not (no_inherit or not_valid):
        return  # as the column's fact is already
    snapshot.facts[item] = snapshot.facts[item]._replace(
        not_null_name="" if is_usual else name,
        not_null_no_inherit=no_inherit,
        not_null_not_valid=not_valid,
        not_null_local=is_own,
    )


def _note_index_uses(snapshot: Snapshot, table: Id, item: Id, name: str, clustered: bool, identity: bool) -> None:
    """Note that the table is clustered on this index, or replicates by it: facts of their own that need the index."""
    if not (clustered or identity):
        return
    uses: list[tuple[str, Any]] = []
    if clustered:
        uses.append(("cluster", facts.ClusterFact(name)))
    if identity:
        uses.append(("replica identity", facts.ReplicaIdentityFact("i", name)))
    for kind, fact in uses:
        use = Id(kind, table.schema, table.name)
        snapshot.facts[use] = fact
        snapshot.extra_dependencies += [(use, item, "n"), (use, table, "a")]


def read_indexes(snapshot: Snapshot, relations: dict[int, Id]) -> None:
    """Read the indexes that no constraint made."""
    for row in snapshot.rows(INDEXES):
        (
            oid,
            schema,
            name,
            table,
            definition,
            is_valid,
            clustered,
            identity,
            parent_schema,
            parent,
            tablespace,
            targets,
        ) = row
        relation = relations.get(table)
        if relation is None:
            continue
        item = Id("index", schema, name)
        snapshot.add(
            PG_CLASS,
            oid,
            item,
            facts.IndexFact(
                relation.name,
                relation.schema,
                real_index(present(definition, item)).replace(" ON ONLY ", " ON ", 1),
                is_valid,
                parent_schema,
                parent,
                tuple((number, target) for number, target in targets or ()),
                tablespace,
            ),
        )
        snapshot.extra_dependencies.append((item, relation, "a"))
        _note_index_uses(snapshot, relation, item, name, clustered, identity)
