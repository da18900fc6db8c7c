"""Who may do what with which object, by the server's own has_*_privilege. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from safemig.postgres.connection import Connection
from safemig.postgres.platforms import Platform, platform_of
from safemig.result import BOOKKEEPING_SCHEMAS
from safemig.results import Access

MOST_ROLES = 12
MOST_OBJECTS = 60
BOOKKEEPING = ("information_schema", *BOOKKEEPING_SCHEMAS)
EVERYBODY = "public"  # what the has_*_privilege functions call everyone
# Of each object all that decides who may use it; the names as the to_reg* functions read them.
WHAT_DECIDES_ACCESS = """
SELECT 'schema', n.oid::int8, format('%%I', n.nspname), n.nspname, pg_get_userbyid(n.nspowner), false, md5(concat(n.nspacl))
FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND NOT n.nspname = ANY (%(left_out)s)
UNION ALL
SELECT CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END,
       c.oid::int8, format('%%I.%%I', n.nspname, c.relname), n.nspname, pg_get_userbyid(c.relowner), c.relrowsecurity
         OR c.relkind = 'v' AND c.reloptions::text ~ 'security_invoker=(true|on|yes|1)',
       md5(concat(n.nspacl, c.relacl, c.relowner, c.relrowsecurity, c.relforcerowsecurity,
                  (SELECT string_agg(concat(p.polname, p.polroles, p.polcmd, p.polqual, p.polwithcheck), ',' ORDER BY p.oid)
                   FROM pg_policy p WHERE p.polrelid = c.oid),
                  (SELECT string_agg(a.attname || a.attacl::text, ',' ORDER BY attnum)
                   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL)))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND NOT n.nspname = ANY (%(left_out)s)
  -- a sequence of a column follows its table
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 1259 AND d.objid = c.oid AND d.deptype IN ('i', 'e'))
UNION ALL
SELECT 'function', p.oid::int8, format('%%I.%%I(%%s)', n.nspname, p.proname, oidvectortypes(p.proargtypes)), n.nspname,
       pg_get_userbyid(p.proowner), false, md5(concat(n.nspacl, p.proacl, p.proowner))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname !~ '^pg_' AND NOT n.nspname = ANY (%(left_out)s)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 1255 AND d.objid = p.oid AND d.deptype = 'e')
"""
# A right on an object is of no use without USAGE on its schema.
MAY_USE_RELATIONS = """
WITH asked AS (SELECT r, o, c.oid, c.relnamespace, c.relkind FROM unnest(%(roles)s::text[]) r, unnest(%(objects)s::text[]) o,
               LATERAL (SELECT * FROM pg_class WHERE oid = to_regclass(o)) c
               WHERE r = 'public' OR EXISTS (SELECT FROM pg_roles WHERE rolname = r))
SELECT r, o, v, CASE
  WHEN NOT has_schema_privilege(r::name, relnamespace, 'USAGE') THEN 'no'
  WHEN relkind = 'S' THEN CASE WHEN has_sequence_privilege(r::name, oid, v) THEN 'yes' ELSE 'no' END
  WHEN has_table_privilege(r::name, oid, v) THEN 'yes'
  WHEN v <> 'DELETE' AND has_any_column_privilege(r::name, oid, v) THEN 'columns' ELSE 'no' END
FROM asked, LATERAL unnest(CASE relkind WHEN 'S' THEN '{USAGE}' ELSE '{SELECT,INSERT,UPDATE,DELETE}'::text[] END) v
"""
MAY_USE_FUNCTIONS = """
SELECT r, o, 'EXECUTE', CASE WHEN has_schema_privilege(r::name, p.pronamespace, 'USAGE')
                              AND has_function_privilege(r::name, p.oid, 'EXECUTE') THEN 'yes' ELSE 'no' END
FROM unnest(%(roles)s::text[]) r, unnest(%(objects)s::text[]) o, LATERAL (SELECT * FROM pg_proc WHERE oid = to_regprocedure(o)) p
WHERE r = 'public' OR EXISTS (SELECT FROM pg_roles WHERE rolname = r)
"""
MAY_USE_SCHEMAS = """
SELECT r, o, v, CASE WHEN has_schema_privilege(r::name, n.oid, v) THEN 'yes' ELSE 'no' END
FROM unnest(%(roles)s::text[]) r, unnest(%(objects)s::text[]) o, LATERAL (SELECT * FROM pg_namespace WHERE oid = to_regnamespace(o)) n,
     unnest('{USAGE,CREATE}'::text[]) v
WHERE r = 'public' OR EXISTS (SELECT FROM pg_roles WHERE rolname = r)
"""
# Whom the project's objects are for: who was granted something on them, and who owns some; superusers need no right.
WHO_WAS_GRANTED = """
SELECT n.nspname, pg_get_userbyid(g.role) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
  LATERAL (SELECT c.relowner AS role UNION SELECT grantee FROM aclexplode(c.relacl)) g
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND NOT n.nspname = ANY (%(left_out)s)
  AND EXISTS (SELECT FROM pg_roles r WHERE r.oid = g.role AND NOT r.rolsuper AND r.rolname !~ '^pg_')
GROUP BY 1, 2 ORDER BY 1, 2
"""
WHICH_MEMBERS = """
SELECT r.rolname, m.rolname FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
ORDER BY 1, 2
"""
_QUESTIONS = {"schema": MAY_USE_SCHEMAS, "function": MAY_USE_FUNCTIONS}

Rights = dict[tuple[str, str, str], str]  # (role, object, verb): "yes", "columns" or "no"


@dataclass(frozen=True, slots=True)
class Guarded:
    """An object and what decides who may use it; `mark` changes when any of that does."""

    kind: str
    name: str
    schema: str
    owner: str
    has_row_security: bool  # or, of a view, that it reads with the rights of who asks
    mark: str


def what_decides_access(connection: Connection, left_out: Sequence[str]) -> dict[int, Guarded]:
    """Return the objects outside of the schemas `left_out` by OID."""
    rows = connection.execute(WHAT_DECIDES_ACCESS.encode(), {"left_out": list(left_out)})
    return {oid: Guarded(kind, *rest) for kind, oid, *rest in rows.fetchall()}


def roles_by_schema(connection: Connection, left_out: Sequence[str]) -> dict[str, list[str]]:
    """Return who was granted something on the tables of each schema, or owns one."""
    found: dict[str, list[str]] = {}
    for schema, role in connection.execute(WHO_WAS_GRANTED.encode(), {"left_out": list(left_out)}).fetchall():
        found.setdefault(schema, []).append(role)
    return found


def application_roles(
    platform: Platform, by_schema: Mapping[str, Sequence[str]], deployer: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the roles that use the project's tables, without who deploys; and a note of those left out."""
    by_ownership = platform.foreign[0]  # roles out of the deployer's reach: just those that applications have
    others = {
        role
        for schema, roles in by_schema.items()
        if schema not in platform.schemas
        for role in roles
        if role not in platform.roles or role in by_ownership
    }
    ordered = [*sorted(platform.application_roles), *sorted(others - platform.application_roles - {deployer})]
    left_out = ordered[MOST_ROLES:]
    return tuple(ordered[:MOST_ROLES]), (f"access of {', '.join(left_out)} is not compared",) if left_out else ()


def members(connection: Connection) -> set[tuple[str, str]]:
    """Return (role, member) of every membership."""
    return {(role, member) for role, member in connection.execute(WHICH_MEMBERS).fetchall()}


def rights_on(connection: Connection, roles: Sequence[str], objects: Collection[tuple[str, str]]) -> Rights:
    """Return what roles may do with objects, given as (kind, name); nothing for what is not there."""
    found: Rights = {}
    by_question: dict[str, list[str]] = {}
    for kind, name in objects:
        by_question.setdefault(_QUESTIONS.get(kind, MAY_USE_RELATIONS), []).append(name)
    for question, names in by_question.items():
        for role, name, verb, word in connection.execute(question.encode(), {"roles": list(roles), "objects": names}):
            found[role, name, verb] = word
    return found


def access_now(connection: Connection, role: str, tables: Collection[str]) -> tuple[Access, ...]:
    """Return what everyone and the application's roles may do with tables now, at most MOST_OBJECTS. Reads only."""
    names = sorted(tables)[:MOST_OBJECTS]
    if not names:
        return ()
    roles, _ = application_roles(platform_of(connection), roles_by_schema(connection, BOOKKEEPING), role)
    found = rights_on(connection, (EVERYBODY, *roles), [("table", name) for name in names])
    return tuple(
        Access("PUBLIC" if who == EVERYBODY else who, name, "table", verb, word, "")  # type: ignore[arg-type]
        for (who, name, verb), word in sorted(found.items(), key=lambda item: (item[0][1], item[0][0]))
        if word != "no"
    )
