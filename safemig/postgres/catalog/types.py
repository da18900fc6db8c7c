"""Read schemas, extensions, enums, domains, composites, ranges and base types."""

# ruff: noqa: S608 - the queries are constants; only other constants are put into them

from __future__ import annotations

from safemig.postgres.catalog.snapshot import (
    PG_CLASS,
    PG_CONSTRAINT,
    PG_EXTENSION,
    PG_NAMESPACE,
    PG_TYPE,
    Snapshot,
    not_of_extension,
)
from safemig.schema import facts
from safemig.schema.model import Id

NAMESPACES = """
SELECT n.oid::int8, n.nspname, pg_get_userbyid(n.nspowner), n.nspacl::text[]
FROM pg_namespace n
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""

# Schemas that an extension made come with it; their other contents are still read.
EXTENSION_NAMESPACES = f"SELECT objid::int8 FROM pg_depend WHERE classid = {PG_NAMESPACE} AND deptype = 'e'"

EXTENSIONS = """
SELECT e.oid::int8, e.extname, n.nspname, e.extrelocatable
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.oid >= 16384
"""

EXTENSION_MEMBERS = """
SELECT d.classid::int8, d.objid::int8, e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
WHERE d.refclassid = 3079 AND d.deptype = 'e' AND e.oid >= 16384
"""

_COLLATION = """CASE WHEN {given} <> 0 AND {given} <> {usual} THEN (SELECT
  CASE WHEN cn.nspname = 'pg_catalog' THEN '' ELSE quote_ident(cn.nspname) || '.' END || quote_ident(co.collname)
  FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = {given}) ELSE '' END"""

TYPES = f"""
SELECT t.oid::int8, n.nspname, t.typname, t.typtype::text, t.typarray::int8, pg_get_userbyid(t.typowner), t.typacl::text[],
       (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
       {_COLLATION.format(given="t.typcollation", usual="coalesce(b.typcollation, 0)")},
       CASE WHEN t.typtype = 'd' THEN coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault) ELSE t.typdefault END,
       t.typnotnull, t.typrelid::int8, t.typisdefined,
       k.oid::int8, k.conname
FROM pg_type t
JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_type b ON b.oid = t.typbasetype
LEFT JOIN pg_class c ON c.oid = t.typrelid
LEFT JOIN pg_constraint k ON k.contypid = t.oid AND k.contype = 'n' AND t.typnotnull
  AND current_setting('server_version_num')::int >= 180000  -- 17 keeps it too, and its pg_dump does not write it
WHERE t.typnamespace = ANY(%(namespaces)s::oid[])
  AND (t.typtype IN ('e', 'd', 'r', 'b', 'p') OR (t.typtype = 'c' AND c.relkind = 'c'))
  -- By the element's oid, for there is no index on typarray.
  AND NOT (t.typtype = 'b' AND EXISTS (SELECT FROM pg_type element WHERE element.oid = t.typelem AND element.typarray = t.oid))
  AND {not_of_extension(PG_TYPE, "t.oid")}
"""

COMPOSITE_ATTRIBUTES = f"""
SELECT c.reltype::int8, c.oid::int8, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
       {_COLLATION.format(given="a.attcollation", usual="y.typcollation")}
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_type y ON y.oid = a.atttypid
WHERE c.relkind = 'c' AND a.attnum > 0 AND NOT a.attisdropped AND c.relnamespace = ANY(%(namespaces)s::oid[])
ORDER BY a.attrelid, a.attnum
"""

RANGES = """
SELECT r.rngtypid::int8, format_type(r.rngsubtype, NULL),
       CASE WHEN o.opcdefault THEN '' ELSE quote_ident(opn.nspname) || '.' || quote_ident(o.opcname) END,
       {collation}, CASE WHEN r.rngcanonical <> 0 THEN r.rngcanonical::regproc::text ELSE '' END,
       CASE WHEN r.rngsubdiff <> 0 THEN r.rngsubdiff::regproc::text ELSE '' END, {multirange}, {multirange_oid}
FROM pg_range r
JOIN pg_type t ON t.oid = r.rngtypid
JOIN pg_type s ON s.oid = r.rngsubtype
JOIN pg_opclass o ON o.oid = r.rngsubopc
JOIN pg_namespace opn ON opn.oid = o.opcnamespace
WHERE t.typnamespace = ANY(%(namespaces)s::oid[])
"""

DOMAIN_CONSTRAINTS = """
SELECT k.oid::int8, k.conname, k.contypid::int8, pg_get_constraintdef(k.oid)
FROM pg_constraint k WHERE k.contypid <> 0 AND k.contype = 'c' AND k.connamespace = ANY(%(namespaces)s::oid[])
"""

BASE_TYPES = """
SELECT t.oid::int8, t.typinput::regproc::text, t.typoutput::regproc::text,
       CASE WHEN t.typreceive <> 0 THEN t.typreceive::regproc::text END,
       CASE WHEN t.typsend <> 0 THEN t.typsend::regproc::text END,
       CASE WHEN t.typmodin <> 0 THEN t.typmodin::regproc::text END,
       CASE WHEN t.typmodout <> 0 THEN t.typmodout::regproc::text END,
       CASE WHEN t.typanalyze <> 0 THEN t.typanalyze::regproc::text END,
       t.typlen, t.typbyval, t.typalign::text, t.typstorage::text, t.typcategory::text, t.typispreferred,
       t.typdefault, CASE WHEN t.typelem <> 0 THEN format_type(t.typelem, NULL) END, t.typdelim::text, t.typcollation <> 0,
       {subscript}
FROM pg_type t WHERE t.typtype = 'b' AND t.typisdefined AND t.typnamespace = ANY(%(namespaces)s::oid[])
"""

_ALIGN = {"c": "char", "s": "int2", "i": "int4", "d": "double"}
_STORAGE = {"p": "plain", "e": "external", "x": "extended", "m": "main"}


def type_queries(version: int) -> tuple[str, ...]:
    """Return what `read_extensions` and `read_types` ask a server of `version`."""
    return (
        EXTENSIONS, EXTENSION_MEMBERS, COMPOSITE_ATTRIBUTES, _ranges(version), _base_types(version), TYPES, DOMAIN_CONSTRAINTS,
    )  # fmt: skip


def _ranges(version: int) -> str:
    return RANGES.format(
        collation=_COLLATION.format(given="r.rngcollation", usual="s.typcollation"),
        multirange_oid="r.rngmultitypid::int8" if version >= 140000 else "0",
        multirange="(SELECT m.typname FROM pg_type m WHERE m.oid = r.rngmultitypid)" if version >= 140000 else "NULL",
    )


def _base_types(version: int) -> str:
    subscript = "CASE WHEN t.typsubscript <> 0 THEN t.typsubscript::regproc::text END"
    return BASE_TYPES.format(subscript=subscript if version >= 140000 else "NULL")


def read_extensions(snapshot: Snapshot) -> None:
    """Read the extensions; whatever they brought leads to them."""
    for oid, name, schema, relocatable in snapshot.rows(EXTENSIONS):
        item = Id("extension", "", name)
        snapshot.add(PG_EXTENSION, oid, item, facts.ExtensionFact(schema, relocatable))
        snapshot.extra_dependencies.append((item, Id("schema", "", schema), "n"))
    for catalog, oid, name in snapshot.rows(EXTENSION_MEMBERS):
        snapshot.objects[catalog, oid] = Id("extension", "", name)


def read_types(snapshot: Snapshot) -> None:
    """Read every type that is not a table's row."""
    attributes: dict[int, list[tuple[str, str, str]]] = {}
    for row_type, relation, number, name, type_name, collation in snapshot.rows(COMPOSITE_ATTRIBUTES):
        attributes.setdefault(row_type, []).append((name, type_name, collation))
        snapshot.columns[relation, number] = Id("column", "", str(relation), name)  # given its type's name below
    ranges, multiranges = _read_ranges(snapshot)
    bases = {row[0]: row[1:] for row in snapshot.rows(_base_types(snapshot.version))}
    for row in snapshot.rows(TYPES):
        oid, schema, name, kind, array, owner, acl, labels, base, collation, default, not_null, *others = row
        relation, defined, constraint, constraint_name = others
        fact: object
        if kind == "e":
            item, fact = Id("enum", schema, name), facts.EnumFact(tuple(labels or ()))
        elif kind == "d":
            item = Id("domain", schema, name)
            said = "" if constraint_name == facts.usual_not_null_name(item) else constraint_name or ""
            fact = facts.DomainFact(base, collation, default, not_null, said)
            if constraint:
                snapshot.objects[PG_CONSTRAINT, constraint] = item
        elif kind == "r":
            item, fact = Id("range", schema, name), facts.RangeFact(ranges[oid])
        elif kind == "c":
            item, fact = Id("composite type", schema, name), facts.CompositeFact(tuple(attributes.get(oid, ())))
            snapshot.objects[PG_CLASS, relation] = item
            _name_attributes(snapshot, relation, schema, name)
        else:
            item = Id("base type", schema, name)
            fact = facts.BaseTypeFact(_base_options(bases[oid]) if defined and oid in bases else ())
        snapshot.add(PG_TYPE, oid, item, fact)
        if array:
            snapshot.objects[PG_TYPE, array] = item
        if oid in multiranges:
            snapshot.objects[PG_TYPE, multiranges[oid]] = item
        snapshot.privileges(item, acl, owner, "T")
    for oid, name, domain, definition in snapshot.rows(DOMAIN_CONSTRAINTS):
        of = snapshot.objects.get((PG_TYPE, domain))
        if of is not None and of.kind == "domain":
            item = Id("domain constraint", of.schema, of.name, name)
            snapshot.add(PG_CONSTRAINT, oid, item, facts.DomainConstraintFact(definition))


def _name_attributes(snapshot: Snapshot, relation: int, schema: str, name: str) -> None:
    number = 1
    while number <= 1600:
        item = snapshot.columns.get((relation, number))
        if item is not None:
            snapshot.columns[relation, number] = Id("attribute", schema, name, item.sub)
        elif number > 64 and (relation, number + 1) not in snapshot.columns:
            break
        number += 1


def _read_ranges(snapshot: Snapshot) -> tuple[dict[int, facts.Options], dict[int, int]]:
    """Return each range's options, and its multirange type (PostgreSQL 14 and later)."""
    names = ("subtype", "subtype_opclass", "collation", "canonical", "subtype_diff", "multirange_type_name")
    rows = snapshot.rows(_ranges(snapshot.version))
    found = {
        row[0]: tuple((name, value) for name, value in zip(names, row[1:-1], strict=True) if value) for row in rows
    }
    return found, {row[0]: row[-1] for row in rows if row[-1]}


def _base_options(row: tuple[object, ...]) -> facts.Options:
    (
        input_,
        output,
        receive,
        send,
        modin,
        modout,
        analyze,
        length,
        by_value,
        align,
        storage,
        category,
        preferred,
        default,
        element,
        delimiter,
        collatable,
        subscript,
    ) = row
    found: list[tuple[str, str]] = [("INPUT", str(input_)), ("OUTPUT", str(output))]
    for name, value in (
        ("RECEIVE", receive),
        ("SEND", send),
        ("TYPMOD_IN", modin),
        ("TYPMOD_OUT", modout),
        ("ANALYZE", analyze),
        ("SUBSCRIPT", subscript),
    ):
        if value:
            found.append((name, str(value)))
    found.append(("INTERNALLENGTH", "VARIABLE" if length == -1 else str(length)))
    if by_value:
        found.append(("PASSEDBYVALUE", ""))
    found += [("ALIGNMENT", _ALIGN[str(align)]), ("STORAGE", _STORAGE[str(storage)])]
    if category != "U":
        found.append(("CATEGORY", "'" + str(category).replace("'", "''") + "'"))
    if preferred:
        found.append(("PREFERRED", "true"))
    if default is not None:
        found.append(("DEFAULT", "'" + str(default).replace("'", "''") + "'"))
    if element:
        found.append(("ELEMENT", str(element)))
    if delimiter != ",":
        found.append(("DELIMITER", "'" + str(delimiter).replace("'", "''") + "'"))
    if collatable:
        found.append(("COLLATABLE", "true"))
    return tuple(found)
