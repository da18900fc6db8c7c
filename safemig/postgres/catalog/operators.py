"""Read operators, operator families and operator classes."""

# ruff: noqa: S608 - the queries are constants; only other constants are put into them

from __future__ import annotations

from safemig.postgres.catalog.snapshot import (
    PG_AMOP,
    PG_AMPROC,
    PG_OPCLASS,
    PG_OPERATOR,
    PG_OPFAMILY,
    Snapshot,
    not_of_extension,
)
from safemig.schema import facts
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_name

_OPERATOR_NAME = """(SELECT 'OPERATOR(' || quote_ident(xn.nspname) || '.' || x.oprname || ')' FROM pg_operator x
  JOIN pg_namespace xn ON xn.oid = x.oprnamespace WHERE x.oid = {oid})"""

OPERATORS = f"""
SELECT o.oid::int8, n.nspname, o.oprname,
       CASE WHEN o.oprleft <> 0 THEN format_type(o.oprleft, NULL) END,
       CASE WHEN o.oprright <> 0 THEN format_type(o.oprright, NULL) END, o.oprcode::text,
       {_OPERATOR_NAME.format(oid="o.oprcom")}, {_OPERATOR_NAME.format(oid="o.oprnegate")},
       CASE WHEN o.oprrest <> 0 THEN o.oprrest::text END, CASE WHEN o.oprjoin <> 0 THEN o.oprjoin::text END,
       o.oprcanmerge, o.oprcanhash, pg_get_userbyid(o.oprowner)
FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
WHERE o.oprcode <> 0 AND o.oprnamespace = ANY(%(namespaces)s::oid[]) AND {not_of_extension(PG_OPERATOR, "o.oid")}
"""

FAMILIES = f"""
SELECT f.oid::int8, n.nspname, f.opfname, a.amname, pg_get_userbyid(f.opfowner)
FROM pg_opfamily f JOIN pg_namespace n ON n.oid = f.opfnamespace JOIN pg_am a ON a.oid = f.opfmethod
WHERE f.opfnamespace = ANY(%(namespaces)s::oid[]) AND {not_of_extension(PG_OPFAMILY, "f.oid")}
"""

CLASSES = f"""
SELECT c.oid::int8, n.nspname, c.opcname, a.amname, c.opcdefault, format_type(c.opcintype, NULL), fn.nspname, f.opfname,
       CASE WHEN c.opckeytype <> 0 THEN format_type(c.opckeytype, NULL) END, pg_get_userbyid(c.opcowner)
FROM pg_opclass c JOIN pg_namespace n ON n.oid = c.opcnamespace JOIN pg_am a ON a.oid = c.opcmethod
JOIN pg_opfamily f ON f.oid = c.opcfamily JOIN pg_namespace fn ON fn.oid = f.opfnamespace
WHERE c.opcnamespace = ANY(%(namespaces)s::oid[]) AND {not_of_extension(PG_OPCLASS, "c.oid")}
"""

# A member that a class needs hangs on the class (deptype i), one added to the family by itself on the family (a).
MEMBERS = f"""
SELECT d.refclassid::int8, d.refobjid::int8, {PG_AMOP}::int8, o.oid::int8,
       'OPERATOR ' || o.amopstrategy || ' ' || (SELECT quote_ident(xn.nspname) || '.' || x.oprname FROM pg_operator x
         JOIN pg_namespace xn ON xn.oid = x.oprnamespace WHERE x.oid = o.amopopr)
       || '(' || format_type(o.amoplefttype, NULL) || ',' || format_type(o.amoprighttype, NULL) || ')'
       || CASE WHEN o.amopsortfamily <> 0 THEN ' FOR ORDER BY ' || (SELECT quote_ident(sn.nspname) || '.' || quote_ident(s.opfname)
         FROM pg_opfamily s JOIN pg_namespace sn ON sn.oid = s.opfnamespace WHERE s.oid = o.amopsortfamily) ELSE '' END,
       'OPERATOR ' || o.amopstrategy || ' (' || format_type(o.amoplefttype, NULL) || ',' || format_type(o.amoprighttype, NULL) || ')'
FROM pg_amop o JOIN pg_depend d ON d.classid = {PG_AMOP} AND d.objid = o.oid AND d.deptype IN ('i', 'a')
  AND d.refclassid IN ({PG_OPCLASS}, {PG_OPFAMILY})
WHERE o.oid >= 16384
UNION ALL
SELECT d.refclassid::int8, d.refobjid::int8, {PG_AMPROC}::int8, p.oid::int8,
       'FUNCTION ' || p.amprocnum || ' (' || format_type(p.amproclefttype, NULL) || ',' || format_type(p.amprocrighttype, NULL)
       || ') ' || p.amproc::oid::regprocedure::text,
       'FUNCTION ' || p.amprocnum || ' (' || format_type(p.amproclefttype, NULL) || ',' || format_type(p.amprocrighttype, NULL) || ')'
FROM pg_amproc p JOIN pg_depend d ON d.classid = {PG_AMPROC} AND d.objid = p.oid AND d.deptype IN ('i', 'a')
  AND d.refclassid IN ({PG_OPCLASS}, {PG_OPFAMILY})
WHERE p.oid >= 16384
ORDER BY 5
"""


OPERATOR_QUERIES = (OPERATORS, MEMBERS, FAMILIES, CLASSES)


def read_operators(snapshot: Snapshot) -> None:
    """Read operators, and the families and classes that hold them."""
    for row in snapshot.rows(OPERATORS):
        (oid, schema, name, left, right, function, commutator, negator, restrict, join, merges, hashes, owner) = row
        parts = [f"FUNCTION = {function}"]
        for word, value in (
            ("LEFTARG", left),
            ("RIGHTARG", right),
            ("COMMUTATOR", commutator),
            ("NEGATOR", negator),
            ("RESTRICT", restrict),
            ("JOIN", join),
        ):
            if value:
                parts.append(f"{word} = {value}")
        parts += (["HASHES"] if hashes else []) + (["MERGES"] if merges else [])
        item = Id("operator", schema, name, f"{left or 'NONE'}, {right or 'NONE'}")
        inner = ",\n    ".join(parts)
        snapshot.add(
            PG_OPERATOR,
            oid,
            item,
            facts.DefinedFact(f"CREATE OPERATOR {quote_identifier(schema)}.{name} (\n    {inner}\n)"),
        )
        snapshot.owners[item] = owner
    _read_families(snapshot)


def _read_families(snapshot: Snapshot) -> None:
    members: dict[tuple[int, int], list[tuple[int, int, str, str]]] = {}
    for on_catalog, on, catalog, oid, words, short in snapshot.rows(MEMBERS):
        members.setdefault((on_catalog, on), []).append((catalog, oid, words, short))
    for oid, schema, name, method, owner in snapshot.rows(FAMILIES):
        item = Id("operator family", schema, name, f"USING {quote_identifier(method)}")
        found = members.get((PG_OPFAMILY, oid), [])
        snapshot.add(PG_OPFAMILY, oid, item, facts.CollationFact(tuple((words, short) for _, _, words, short in found)))
        snapshot.owners[item] = owner
        for catalog, member, _, _ in found:
            snapshot.objects[catalog, member] = item
    for oid, schema, name, method, is_default, type_name, family_schema, family, storage, owner in snapshot.rows(
        CLASSES
    ):
        item = Id("operator class", schema, name, f"USING {quote_identifier(method)}")
        found = members.get((PG_OPCLASS, oid), [])
        parts = [words for _, _, words, _ in found]
        if storage:
            parts.append(f"STORAGE {storage}")
        inner = ",\n    ".join(parts or [f"STORAGE {type_name}"])
        snapshot.add(
            PG_OPCLASS,
            oid,
            item,
            facts.DefinedFact(
                f"CREATE OPERATOR CLASS {quote_name(schema, name)}{' DEFAULT' if is_default else ''} FOR TYPE {type_name}"
                f" USING {quote_identifier(method)} FAMILY {quote_name(family_schema, family)} AS\n    {inner}"
            ),
        )
        snapshot.owners[item] = owner
        for catalog, member, _, _ in found:
            snapshot.objects[catalog, member] = item
