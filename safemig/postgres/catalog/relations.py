"""Read tables, columns, defaults, constraints, indexes, sequences and views."""

# ruff: noqa: S608 - the queries are constants; only other constants are put into them

from __future__ import annotations

from typing import Any

from safemig.postgres.catalog.snapshot import (
    PG_ATTRDEF,
    PG_CLASS,
    PG_CONSTRAINT,
    PG_TYPE,
    Snapshot,
    generic_options,
    not_of_extension,
    options,
)
from safemig.schema import facts
from safemig.schema.model import Id

_OPTIONS = "(SELECT array_agg(o) FROM unnest({column}) AS o)"

RELATIONS = f"""
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, c.relpersistence::text, c.reloptions, t.reloptions,
       coalesce(am.amname, ''), coalesce(ts.spcname, ''), c.relreplident::text, c.relrowsecurity, c.relforcerowsecurity,
       CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) ELSE '' END,
       CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) ELSE '' END,
       CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END,
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END, c.relispopulated,
       pg_get_userbyid(c.relowner), c.relacl::text[], c.reltype::int8, coalesce(y.typarray, 0)::int8,
       coalesce(s.srvname, ''), f.ftoptions
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
LEFT JOIN pg_am am ON am.oid = c.relam
LEFT JOIN pg_tablespace ts ON ts.oid = c.reltablespace
LEFT JOIN pg_type y ON y.oid = c.reltype
LEFT JOIN pg_foreign_table f ON f.ftrelid = c.oid
LEFT JOIN pg_foreign_server s ON s.oid = f.ftserver
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.relpersistence <> 't' AND c.relnamespace = ANY(%(namespaces)s::oid[])
  AND {not_of_extension(PG_CLASS, "c.oid")}
"""

COLUMNS = """
SELECT a.attrelid::int8, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
       CASE WHEN a.attcollation <> 0 AND a.attcollation <> y.typcollation THEN
         CASE WHEN cn.nspname = 'pg_catalog' THEN '' ELSE quote_ident(cn.nspname) || '.' END || quote_ident(co.collname)
       ELSE '' END,
       a.attnotnull, a.attidentity::text, a.attgenerated::text,
       CASE WHEN a.attstorage <> y.typstorage THEN a.attstorage::text ELSE '' END,
       {compression}, coalesce(a.attstattarget, -1), a.attoptions, a.attfdwoptions, a.attislocal, a.attinhcount > 0,
       a.attacl::text[], d.oid::int8, pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_type y ON y.oid = a.atttypid
LEFT JOIN pg_collation co ON co.oid = a.attcollation AND a.attcollation <> y.typcollation
LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.relpersistence <> 't'
  AND c.relnamespace = ANY(%(namespaces)s::oid[])
ORDER BY a.attrelid, a.attnum
"""

INHERITANCE = """
SELECT i.inhrelid::int8, i.inhparent::int8, i.inhseqno
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE c.relkind IN ('r', 'p', 'f') AND c.relnamespace = ANY(%(namespaces)s::oid[])
ORDER BY i.inhrelid, i.inhseqno
"""

CONSTRAINTS = """
SELECT k.oid::int8, k.conname, k.contype::text, k.conrelid::int8, pg_get_constraintdef(k.oid),
       k.conislocal, k.coninhcount > 0, coalesce(p.conname, ''), coalesce(p.conrelid = k.conrelid, false),
       i.reloptions, coalesce(ts.spcname, ''), x.indisclustered, x.indisreplident, k.conindid::int8,
       (SELECT array_agg(a.attname ORDER BY u.position) FROM unnest(k.conkey) WITH ORDINALITY AS u (number, position)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number), k.connoinherit, NOT k.convalidated
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
LEFT JOIN pg_constraint p ON p.oid = k.conparentid
LEFT JOIN pg_class i ON i.oid = k.conindid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_tablespace ts ON ts.oid = i.reltablespace
LEFT JOIN pg_index x ON x.indexrelid = i.oid
WHERE k.contype IN ('p', 'u', 'x', 'f', 'c', 'n') AND c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
  AND c.relnamespace = ANY(%(namespaces)s::oid[])
"""

INDEXES = """
SELECT i.oid::int8, n.nspname, i.relname, x.indrelid::int8, pg_get_indexdef(i.oid), x.indisvalid, x.indisclustered,
       x.indisreplident, coalesce(pn.nspname, ''), coalesce(p.relname, ''),
       coalesce(ts.spcname, ''),
       (SELECT array_agg(ARRAY[a.attnum, a.attstattarget] ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = i.oid AND a.attstattarget >= 0)
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

SEQUENCES = f"""
SELECT c.oid::int8, n.nspname, c.relname, c.relpersistence::text, format_type(s.seqtypid, NULL), s.seqstart,
       s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle, pg_get_userbyid(c.relowner), c.relacl::text[],
       d.refobjid::int8, d.refobjsubid, coalesce(d.deptype::text, '')
FROM pg_sequence s
JOIN pg_class c ON c.oid = s.seqrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_depend d ON d.classid = {PG_CLASS} AND d.objid = c.oid AND d.objsubid = 0 AND d.refclassid = {PG_CLASS}
  AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
WHERE c.relpersistence <> 't' AND c.relnamespace = ANY(%(namespaces)s::oid[])
  AND {not_of_extension(PG_CLASS, "c.oid")}
"""


def read_relations(snapshot: Snapshot) -> None:
    """Read every table, view and what they hold."""
    views: dict[int, tuple[Any, ...]] = {}
    relations: dict[int, Id] = {}
    bounds: dict[int, str] = {}
    for row in snapshot.rows(RELATIONS):
        (
            oid,
            schema,
            name,
            relkind,
            persistence,
            reloptions,
            toast_options,
            method,
            tablespace,
            replica_identity,
            row_security,
            forced,
            of_type,
            partition_key,
            bound,
            viewdef,
            _,
            owner,
            acl,
            row_type,
            array_type,
            server,
            foreign_options,
        ) = row
        kind = {"v": "view", "m": "materialized view"}.get(relkind, "table")
        item = Id(kind, schema, name)
        relations[oid] = item
        snapshot.objects[PG_CLASS, oid] = item
        snapshot.objects[PG_TYPE, row_type] = item
        if array_type:
            snapshot.objects[PG_TYPE, array_type] = item
        snapshot.privileges(item, acl, owner, "r")
        if viewdef is not None or kind != "table":
            views[oid] = row
            continue
        found = options(reloptions) + tuple((f"toast.{key}", value) for key, value in options(toast_options))
        snapshot.facts[item] = facts.TableFact(
            relkind,
            persistence,
            found,
            "" if method == "heap" else method,
            tablespace,
            row_security,
            forced,
            of_type,
            partition_key,
            server,
            generic_options(foreign_options),
        )
        if bound is not None:
            bounds[oid] = bound
        if replica_identity in "nf" and relkind != "f":
            snapshot.facts[Id("replica identity", schema, name)] = facts.ReplicaIdentityFact(replica_identity, "")
    sequences = _read_sequences(snapshot)
    outputs = _read_columns(snapshot, relations, sequences)
    for oid, row in views.items():
        _add_view(snapshot, relations[oid], row, outputs.get(oid, ()))
    for child, parent, number in snapshot.rows(INHERITANCE):
        if child not in relations or parent not in relations:
            continue
        inner, outer = relations[child], relations[parent]
        fact: Any
        if child in bounds:
            item, fact = (
                Id("partition", inner.schema, inner.name),
                facts.PartitionFact(outer.schema, outer.name, bounds[child]),
            )
        else:
            item = Id("inheritance", inner.schema, inner.name, f"{outer.schema}.{outer.name}")
            fact = facts.InheritanceFact(outer.schema, outer.name, number)
        snapshot.facts[item] = fact
        snapshot.extra_dependencies += [(item, inner, "a"), (item, outer, "n")]
    _read_constraints(snapshot, relations)
    _read_indexes(snapshot, relations)


def _add_view(snapshot: Snapshot, item: Id, row: tuple[Any, ...], columns: tuple[tuple[str, str, str], ...]) -> None:
    definition = (row[15] or "").strip().removesuffix(";")
    if item.kind == "view":
        snapshot.facts[item] = facts.ViewFact(definition, options(row[5]), columns)
    else:
        found = options(row[5]) + tuple((f"toast.{key}", value) for key, value in options(row[6]))
        snapshot.facts[item] = facts.MaterializedViewFact(
            definition, found, "" if row[7] == "heap" else row[7], row[8], row[16], columns
        )


def _read_sequences(snapshot: Snapshot) -> dict[tuple[int, int], tuple[str, str, facts.SequenceOptions, str]]:
    """Read sequences; return those of identity columns by (table, column number)."""
    identities = {}
    for row in snapshot.rows(SEQUENCES):
        (
            oid,
            schema,
            name,
            persistence,
            type_name,
            start,
            step,
            low,
            high,
            cache,
            cycle,
            owner,
            acl,
            table,
            number,
            how,
        ) = row
        found = facts.SequenceOptions(type_name, start, step, low, high, cache, cycle)
        if how == "i":
            identities[table, number] = (schema, name, found, persistence)
            item = Id("identity sequence", schema, name)
            snapshot.objects[PG_CLASS, oid] = item
        else:
            item = Id("sequence", schema, name)
            snapshot.add(PG_CLASS, oid, item, facts.SequenceFact(found, persistence))
        snapshot.privileges(item, acl, owner, "S")
        if how == "a":
            # Resolved to names when the columns are known.
            snapshot.facts[Id("sequence owner", schema, name)] = (table, number)
    return identities


def _read_columns(
    snapshot: Snapshot,
    relations: dict[int, Id],
    identities: dict[tuple[int, int], tuple[str, str, facts.SequenceOptions, str]],
) -> dict[int, tuple[tuple[str, str, str], ...]]:
    """Read columns and defaults; return each relation's output columns."""
    outputs: dict[int, list[tuple[str, str, str]]] = {}
    compression = "a.attcompression::text" if snapshot.version >= 140000 else "''"
    for row in snapshot.rows(COLUMNS.format(compression=compression)):
        (
            table,
            number,
            name,
            type_name,
            collation,
            not_null,
            identity,
            generated,
            storage,
            how_compressed,
            statistics,
            attoptions,
            foreign_options,
            is_local,
            inherited,
            acl,
            default_oid,
            expression,
        ) = row
        relation = relations.get(table)
        if relation is None:
            continue
        item = Id("column", relation.schema, relation.name, name)
        snapshot.columns[table, number] = item
        sequence = identities.get((table, number))
        if relation.kind == "table":
            snapshot.facts[item] = facts.ColumnFact(
                type_name,
                collation,
                not_null,
                identity,
                sequence,
                generated,
                storage,
                how_compressed,
                statistics,
                options(attoptions),
                generic_options(foreign_options),
                is_local,
                inherited,
                "",
                False,
                False,
            )
        else:
            snapshot.facts[item] = facts.ColumnFact(
                type_name,
                collation,
                False,
                "",
                None,
                "",
                storage if relation.kind == "materialized view" else "",
                how_compressed if relation.kind == "materialized view" else "",
                statistics if relation.kind != "view" else -1,
                options(attoptions),
                (),
                True,
                False,
                "",
                False,
                False,
            )
        outputs.setdefault(table, []).append((name, type_name, collation))
        if sequence is not None:
            identity_item = Id("identity sequence", sequence[0], sequence[1])
            snapshot.facts[identity_item] = facts.SequenceOwnerFact(relation.schema, relation.name, name)
            snapshot.extra_dependencies.append((identity_item, item, "i"))
        if acl is not None:
            snapshot.privileges(item, acl, None, "c")
        if default_oid is not None:
            default = Id("default", relation.schema, relation.name, name)
            snapshot.add(PG_ATTRDEF, default_oid, default, facts.DefaultFact(expression))
            snapshot.extra_dependencies.append((default, item, "a"))
    for item, owned in [(item, fact) for item, fact in snapshot.facts.items() if item.kind == "sequence owner"]:
        column = snapshot.columns.get(owned)
        if column is None:
            del snapshot.facts[item]
            continue
        snapshot.facts[item] = facts.SequenceOwnerFact(column.schema, column.name, column.sub)
        sequence_item = Id("sequence", item.schema, item.name)
        snapshot.extra_dependencies += [(item, sequence_item, "a"), (item, column, "a")]
    for oid, found in outputs.items():
        snapshot.column_order[relations[oid]] = tuple(name for name, _, _ in found)
    return {oid: tuple(found) for oid, found in outputs.items()}


def _read_constraints(snapshot: Snapshot, relations: dict[int, Id]) -> None:
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
            columns,
            no_inherit,
            not_valid,
        ) = row
        relation = relations.get(table)
        if relation is None:
            continue
        if kind == "n":
            _note_not_null(
                snapshot,
                relation,
                name,
                columns[0],
                is_local=is_local,
                no_inherit=no_inherit,
                not_valid=not_valid,
            )
            snapshot.objects[PG_CONSTRAINT, oid] = Id("column", relation.schema, relation.name, columns[0])
            continue
        item = Id("constraint", relation.schema, relation.name, name)
        if of_referenced:  # a foreign key's own row for a partition of the table that it references
            continue
        snapshot.add(
            PG_CONSTRAINT,
            oid,
            item,
            facts.ConstraintFact(
                kind, definition, is_local, inherited, parent, options(index_options), tablespace, tuple(columns or ())
            ),
        )
        if kind in "pux":
            snapshot.objects[PG_CLASS, index] = item
            _note_index_uses(snapshot, relation, item, name, clustered, identity)


def _note_not_null(
    snapshot: Snapshot, relation: Id, name: str, column: str, *, is_local: bool, no_inherit: bool, not_valid: bool
) -> None:
    item = Id("column", relation.schema, relation.name, column)
    fact = snapshot.facts[item]._replace(not_null_name="")
    snapshot.facts[item] = fact._replace(
        not_null_name="" if name == facts.not_null_name(item, fact) else name,
        not_null_no_inherit=no_inherit,
        not_null_not_valid=not_valid,
        not_null_local=is_local or Id("partition", relation.schema, relation.name) in snapshot.facts,
    )


def _note_index_uses(snapshot: Snapshot, table: Id, item: Id, name: str, clustered: bool, identity: bool) -> None:
    """Note that the table is clustered on this index, or replicates by it: facts of their own that need the index."""
    uses: list[tuple[str, Any]] = []
    if clustered:
        uses.append(("cluster", facts.ClusterFact(name)))
    if identity:
        uses.append(("replica identity", facts.ReplicaIdentityFact("i", name)))
    for kind, fact in uses:
        use = Id(kind, table.schema, table.name)
        snapshot.facts[use] = fact
        snapshot.extra_dependencies += [(use, item, "n"), (use, table, "a")]


def _read_indexes(snapshot: Snapshot, relations: dict[int, Id]) -> None:
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
                definition.replace(" ON ONLY ", " ON ", 1),
                is_valid,
                parent_schema,
                parent,
                tuple((number, target) for number, target in targets or ()),
                tablespace,
            ),
        )
        snapshot.extra_dependencies.append((item, relation, "a"))
        _note_index_uses(snapshot, relation, item, name, clustered, identity)
