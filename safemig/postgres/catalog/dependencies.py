"""Read what belongs to any kind: comments, security labels, default privileges, dependencies, and what is not modelled."""

# ruff: noqa: S608 - the queries are constants; only other constants are put into them

from __future__ import annotations

from collections.abc import Callable, Iterator

from safemig.postgres.catalog.snapshot import (
    PG_CLASS,
    PG_CONSTRAINT,
    PG_EXTENSION,
    PG_NAMESPACE,
    PG_TRIGGER,
    PG_TYPE,
    Snapshot,
)
from safemig.postgres.pretences import real_collation
from safemig.schema import facts, grants
from safemig.schema.model import OWNER_LACKS, Id

COMMENTS = """
SELECT d.classoid::int8, d.objoid::int8, d.objsubid, d.description FROM pg_description d
WHERE d.objoid >= 16384 OR d.classoid = 2615
"""

LABELS = "SELECT classoid::int8, objoid::int8, objsubid, provider, label FROM pg_seclabel"

DEFAULT_PRIVILEGES = """
SELECT pg_get_userbyid(d.defaclrole), coalesce(n.nspname, ''), d.defaclobjtype::text, d.defaclacl::text[]
FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
WHERE d.defaclnamespace = 0 OR d.defaclnamespace = ANY(%(namespaces)s::oid[])
"""

# An extension's objects, and PostgreSQL's own, whose privileges are not those that they came with (pg_init_privs).
# The letters are those of pg_default_acl, which acldefault() writes otherwise for sequences and servers.
MEMBER_PRIVILEGES = """
WITH granted AS (
  SELECT 1255 AS class, oid, pronamespace AS namespace, 'f' AS letter, proowner AS owner, proacl AS acl,
         CASE prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END || oid::regprocedure::text AS target
  FROM pg_proc WHERE proacl IS NOT NULL
  UNION ALL
  SELECT 1259, oid, relnamespace, CASE relkind WHEN 'S' THEN 'S' ELSE 'r' END, relowner, relacl,
         CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || oid::regclass::text
  FROM pg_class WHERE relacl IS NOT NULL
  UNION ALL
  SELECT 1247, oid, typnamespace, 'T', typowner, typacl, 'TYPE ' || format_type(oid, NULL) FROM pg_type WHERE typacl IS NOT NULL
  UNION ALL
  SELECT 2612, oid, 0, 'l', lanowner, lanacl, 'LANGUAGE ' || quote_ident(lanname) FROM pg_language WHERE lanacl IS NOT NULL
  UNION ALL
  SELECT 2328, oid, 0, 'F', fdwowner, fdwacl, 'FOREIGN DATA WRAPPER ' || quote_ident(fdwname)
  FROM pg_foreign_data_wrapper WHERE fdwacl IS NOT NULL
)
SELECT g.letter, g.target, pg_get_userbyid(g.owner), g.acl::text[], i.initprivs::text[], m.refobjid::int8
FROM granted g
LEFT JOIN pg_init_privs i ON i.classoid = g.class AND i.objoid = g.oid AND i.objsubid = 0
LEFT JOIN pg_depend m ON m.classid = g.class AND m.objid = g.oid AND m.deptype = 'e'
WHERE g.acl IS DISTINCT FROM i.initprivs
  AND CASE WHEN m.refobjid IS NULL THEN %(whole)s AND g.oid < 16384 AND g.namespace IN (0, 11)  -- pg_catalog
           ELSE g.namespace = 0 OR g.namespace = ANY(%(namespaces)s::oid[]) END
"""

# Rows about pinned objects and schemas (every name carries its schema) add nothing; nor do those that tie a table to
# its row type, an index or a trigger to its constraint, and the server's own storage to its table.
DEPENDENCIES = f"""
SELECT classid::int8, objid::int8, objsubid, refclassid::int8, refobjid::int8, refobjsubid, deptype::text
FROM pg_depend WHERE deptype IN ('n', 'a', 'i') AND refobjid >= 16384 AND refclassid <> {PG_NAMESPACE}
  AND NOT (deptype = 'i' AND (classid = {PG_TYPE} OR (refclassid = {PG_CONSTRAINT} AND classid IN ({PG_CLASS}, {PG_TRIGGER}))))
  AND NOT (refclassid = {PG_CLASS} AND refobjid IN (SELECT oid FROM pg_class WHERE relkind = 't'))
"""


DEPENDENCY_QUERIES = (COMMENTS, LABELS, DEFAULT_PRIVILEGES, DEPENDENCIES)


def read_comments(snapshot: Snapshot) -> None:
    """Read comments and security labels of everything that was read."""
    for catalog, oid, number, text in snapshot.rows(COMMENTS):
        item = (
            snapshot.columns.get((oid, number))
            if catalog == PG_CLASS and number
            else snapshot.objects.get((catalog, oid))
        )
        if item is None or (item.kind == "extension" and catalog != PG_EXTENSION):
            continue  # of something that the extension brought
        if item.kind == "collation" and real_collation(text):
            continue
        if item.kind == "constraint" and catalog == PG_CLASS:
            item = Id("constraint index", item.schema, item.name, item.sub)
        elif item.kind in ("column", "domain") and catalog == PG_CONSTRAINT:
            item = Id("not-null constraint", item.schema, item.name, item.sub)
        snapshot.comments[item] = text
    for catalog, oid, number, provider, label in snapshot.rows(LABELS):
        item = (
            snapshot.columns.get((oid, number))
            if catalog == PG_CLASS and number
            else snapshot.objects.get((catalog, oid))
        )
        if item is not None and item.kind != "extension":
            snapshot.labels[item, provider] = label


def read_default_privileges(snapshot: Snapshot) -> None:
    for role, schema, object_type, acl in snapshot.rows(DEFAULT_PRIVILEGES):
        # In a schema it only adds to what is granted anyway; what it gives the role itself is said there too.
        found = grants.read_acl(tuple(acl or ()), OWNER_LACKS if schema else role, object_type, snapshot.version)
        if schema:
            found = frozenset(grant for grant in found if grant[0] != OWNER_LACKS)
        snapshot.facts[Id("default privileges", schema, role, object_type)] = facts.DefaultPrivilegesFact(
            tuple(sorted(found))
        )


def read_member_privileges(snapshot: Snapshot) -> None:
    """Read what was granted and revoked on extensions' objects, and on PostgreSQL's own where all is read."""
    for letter, target, owner, acl, initial, extension in snapshot.rows(MEMBER_PRIVILEGES):
        now = grants.read_acl(tuple(acl), owner, letter, snapshot.version)
        usual = (
            grants.builtin(letter)
            if initial is None
            else grants.read_acl(tuple(initial), owner, letter, snapshot.version)
        )
        if now == usual:
            continue
        item = Id("member privileges", "", "", target)
        snapshot.facts[item] = facts.MemberPrivilegesFact(
            target, letter, owner, tuple(sorted(usual)), tuple(sorted(now))
        )
        brought_by = snapshot.objects.get((PG_EXTENSION, extension))
        if brought_by is not None:
            snapshot.extra_dependencies.append((item, brought_by, "n"))


def read_dependencies(snapshot: Snapshot) -> Callable[[], Iterator[tuple[Id, Id, str]]]:
    """Read pg_depend; return what turns its rows into names, for those who ask."""
    rows = snapshot.rows(DEPENDENCIES)
    # Up to PostgreSQL 14 a generated column itself, not its expression, leans on what the expression names; so
    # DROP FUNCTION takes the column along, unasked.
    generated = {item for item, fact in snapshot.facts.items() if item.kind == "column" and fact.generated}
    objects, columns, extra = snapshot.objects, snapshot.columns, snapshot.extra_dependencies

    def resolve() -> Iterator[tuple[Id, Id, str]]:
        for catalog, oid, number, on_catalog, on_oid, on_number, letter in rows:
            one = columns.get((oid, number)) if number and catalog == PG_CLASS else objects.get((catalog, oid))
            if one is None:
                continue
            other = (
                columns.get((on_oid, on_number))
                if on_number and on_catalog == PG_CLASS
                else objects.get((on_catalog, on_oid))
            )
            if other is None:
                continue
            if one[0] == "attribute":
                one = Id("composite type", one.schema, one.name)
            if other[0] == "attribute":
                other = Id("composite type", other.schema, other.name)
            if one == other:
                continue
            if letter == "a":
                if one[0] == "column" and one in generated:
                    one = Id("default", *one[1:])
                elif one[0] == "sequence" and other[0] == "column":
                    continue  # OWNED BY is a fact of its own
            yield one, other, letter
        yield from extra

    return resolve
