"""Read tables, columns, defaults, sequences and views."""

# ruff: noqa: S608 - the queries are constants; only other constants are put into them

from __future__ import annotations

from sys import intern
from typing import Any

from safemig.postgres.catalog.constraints import CONSTRAINTS, INDEXES, read_constraints, read_indexes
from safemig.postgres.catalog.snapshot import (
    PG_ATTRDEF,
    PG_CLASS,
    PG_TYPE,
    SchemaChangedError,
    Snapshot,
    generic_options,
    not_of_extension,
    options,
    present,
)
from safemig.schema import facts
from safemig.schema.model import Id

RELATIONS = f"""
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, c.relpersistence::text, c.reloptions, t.reloptions,
       coalesce(am.amname, ''), coalesce(ts.spcname, ''), c.relreplident::text, c.relrowsecurity, c.relforcerowsecurity,
       CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) ELSE '' END,
       CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) ELSE '' END,
       CASE WHEN c.relispartition THEN coalesce(pg_get_expr(c.relpartbound, c.oid), '') END,
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

# A default names no column of its table, and without the table it is written much faster; a generation expression does.
COLUMNS = """
SELECT a.attrelid::int8, a.attnum, a.attname, a.attacl::text[], d.oid::int8,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, 0) ELSE pg_get_expr(d.adbin, d.adrelid) END,
       format_type(a.atttypid, a.atttypmod),
       CASE WHEN a.attcollation <> 0 AND a.attcollation <> y.typcollation THEN
         CASE WHEN cn.nspname = 'pg_catalog' THEN '' ELSE quote_ident(cn.nspname) || '.' END || quote_ident(co.collname)
       ELSE '' END,
       a.attnotnull, a.attidentity::text, a.attgenerated::text,
       CASE WHEN a.attstorage <> y.typstorage THEN a.attstorage::text ELSE '' END,
       {compression}, coalesce(a.attstattarget, -1), a.attoptions, a.attfdwoptions, a.attislocal, a.attinhcount > 0
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


def _columns(version: int) -> str:
    return COLUMNS.format(compression="a.attcompression::text" if version >= 140000 else "''")


def relation_queries(version: int) -> tuple[str, ...]:
    """Return what `read_relations` asks a server of `version`."""
    return RELATIONS, SEQUENCES, _columns(version), INHERITANCE, CONSTRAINTS, INDEXES


# In the longest loops a tuple is made as one: the classes' own constructors take three times as long.
_new = tuple.__new__


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
        item = Id(kind, intern(schema), intern(name))
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
        if relkind == "p":
            present(partition_key, item)
        if bound is not None:
            bounds[oid] = present(bound, item)
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
    read_constraints(snapshot, relations)
    read_indexes(snapshot, relations)


def _add_view(snapshot: Snapshot, item: Id, row: tuple[Any, ...], columns: tuple[tuple[str, str, str], ...]) -> None:
    definition = present(row[15], item).strip().removesuffix(";")
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
    order: dict[int, list[str]] = {}
    columns, found, extra = snapshot.columns, snapshot.facts, snapshot.extra_dependencies
    # Many columns are the same but for their names: one fact stands for all of them.
    known: dict[tuple[Any, ...], facts.ColumnFact] = {}
    defaults: dict[str, facts.DefaultFact] = {}
    last, relation = None, None
    for row in snapshot.rows(_columns(snapshot.version)):
        table, number, name, acl, default_oid, expression = row[:6]
        if table != last:
            last, relation = table, relations.get(table)
            if relation is not None:
                kind, schema, of = relation[:3]
                names = order[table] = []
                if kind != "table":
                    shown = outputs[table] = []
        if relation is None:
            continue
        item = _new(Id, ("column", schema, of, intern(name)))
        columns[table, number] = item
        names.append(item[3])
        if kind != "table":
            found[item] = _output_column(kind, row)
            shown.append((name, row[6], row[7]))
        elif row[9] or row[14] is not None or row[15] is not None:
            sequence = identities.get((table, number))
            found[item] = _table_column(row, sequence)
            if sequence is not None:
                identity_item = Id("identity sequence", sequence[0], sequence[1])
                found[identity_item] = facts.SequenceOwnerFact(schema, of, name)
                extra.append((identity_item, item, "i"))
        else:
            shape = row[6:]
            fact = known.get(shape)
            if fact is None:
                fact = known[shape] = _table_column(row, None)
            found[item] = fact
        if acl is not None:
            snapshot.privileges(item, acl, None, "c")
        if default_oid is not None:
            if expression is None:
                raise SchemaChangedError(f"the default of {item.dotted} is gone")
            default = _new(Id, ("default", schema, of, name))
            said = defaults.get(expression)
            if said is None:
                said = defaults[expression] = facts.DefaultFact(expression)
            found[default] = said
            snapshot.objects[PG_ATTRDEF, default_oid] = default
            if row[10]:
                extra.append((default, item, "a"))
    for item, owned in [(item, fact) for item, fact in snapshot.facts.items() if item.kind == "sequence owner"]:
        column = snapshot.columns.get(owned)
        if column is None:
            del snapshot.facts[item]
            continue
        snapshot.facts[item] = facts.SequenceOwnerFact(column.schema, column.name, column.sub)
        sequence_item = Id("sequence", item.schema, item.name)
        snapshot.extra_dependencies += [(item, sequence_item, "a"), (item, column, "a")]
    for oid, columns_of in order.items():
        snapshot.column_order[relations[oid]] = tuple(columns_of)
    return {oid: tuple(columns_of) for oid, columns_of in outputs.items()}


def _table_column(
    row: tuple[Any, ...], sequence: tuple[str, str, facts.SequenceOptions, str] | None
) -> facts.ColumnFact:
    return facts.ColumnFact(
        type=row[6],
        collation=row[7],
        not_null=row[8],
        identity=row[9],
        identity_sequence=sequence,
        generated=row[10],
        storage=row[11],
        compression=row[12],
        statistics=row[13],
        options=options(row[14]),
        foreign_options=generic_options(row[15]),
        is_local=row[16],
        inherited=row[17],
        not_null_name="",
        not_null_no_inherit=False,
        not_null_not_valid=False,
    )


def _output_column(kind: str, row: tuple[Any, ...]) -> facts.ColumnFact:
    """Return the fact of a view's column: its type and what can be said of it by itself."""
    return facts.ColumnFact(
        type=row[6],
        collation=row[7],
        not_null=False,
        identity="",
        identity_sequence=None,
        generated="",
        storage=row[11] if kind == "materialized view" else "",
        compression=row[12] if kind == "materialized view" else "",
        statistics=row[13] if kind != "view" else -1,
        options=options(row[14]),
        foreign_options=(),
        is_local=True,
        inherited=False,
        not_null_name="",
        not_null_no_inherit=False,
        not_null_not_valid=False,
    )
