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
        if item.kind == "constraint" and catalog == PG_CLASS:
            item = Id("constraint index", item.schema, item.name, item.sub)
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
        if role in snapshot.platform_roles:
            continue
        found = grants.read_acl(tuple(acl or ()), role, object_type, snapshot.version)
        if schema:  # only adds to what is granted anyway
            found = frozenset(grant for grant in found if grant[0] != OWNER_LACKS)
        snapshot.facts[Id("default privileges", schema, role, object_type)] = facts.DefaultPrivilegesFact(
            tuple(sorted(found))
        )


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
            if one.kind == "attribute":
                one = Id("composite type", one.schema, one.name)
            if other.kind == "attribute":
                other = Id("composite type", other.schema, other.name)
            if one == other:
                continue
            if letter == "a" and one.kind == "column" and one in generated:
                one = Id("default", *one[1:])
            if one.kind == "sequence" and other.kind == "column" and letter == "a":
                continue  # OWNED BY is a fact of its own
            yield one, other, letter
        yield from extra

    return resolve
