"""What the connecting role may do in a database, asked of the server itself. Reads only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from safemig.postgres.connection import Connection

WHO_WE_ARE = """
SELECT session_user::text, current_user::text, rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolreplication,
       ARRAY(SELECT m.rolname::text FROM pg_roles m WHERE m.rolname <> current_user AND NOT r.rolsuper
             AND pg_has_role(current_user, m.oid, 'MEMBER') ORDER BY 1)
FROM pg_roles r WHERE rolname = current_user
"""
WHAT_WE_MAY_WITH_THE_DATABASE = """
SELECT datname::text, pg_get_userbyid(datdba)::text, pg_has_role(current_user, datdba, 'USAGE'),
       has_database_privilege(oid, 'CREATE'), pg_is_in_recovery(), current_setting('server_version_num')::int
FROM pg_database WHERE datname = current_database()
"""
# One grant a line, of those that a full backup needs and we lack; platforms' own schemas are left to them.
WHAT_WE_MAY_NOT_READ = """
SELECT format('%%I.%%I', n.nspname, c.relname), pg_get_userbyid(c.relowner)::text,
       CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE')
            THEN format(E'GRANT USAGE ON SCHEMA %%I TO %%I;\\n', n.nspname, current_user) ELSE '' END
       || format('GRANT SELECT ON %%s%%I.%%I TO %%I;', CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END,
                 n.nspname, c.relname, current_user)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'S') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT n.nspname = ANY (%(platform)s)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 1259 AND d.objid = c.oid AND d.deptype = 'e')
  AND NOT (has_schema_privilege(n.oid, 'USAGE') AND CASE WHEN c.relkind = 'S'
           THEN has_sequence_privilege(c.oid, 'SELECT') ELSE has_table_privilege(c.oid, 'SELECT') END) ORDER BY 1
"""
WHAT_ROW_SECURITY_HIDES = """
SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relrowsecurity AND c.relkind IN ('r', 'p') AND row_security_active(c.oid)
  AND NOT n.nspname = ANY (%(platform)s) ORDER BY 1
"""
WHOSE_TABLES_WE_MAY_NOT_ALTER = """
SELECT pg_get_userbyid(c.relowner)::text, count(*), min(format('%%I.%%I', n.nspname, c.relname))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT n.nspname = ANY (%(platform)s)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 1259 AND d.objid = c.oid AND d.deptype = 'e')
  AND NOT pg_has_role(current_user, c.relowner, 'USAGE') GROUP BY 1 ORDER BY 2 DESC
"""
# Both schemas are made where they are missing, and written to where they are not: ours and the tool's. Where the tool has a
# schema of its own, all its tables are written to; where its table is among the team's, the schema need not be ours.
WHAT_OF_THE_HISTORY_WE_MAY_NOT_WRITE = """
SELECT format('GRANT USAGE, CREATE ON SCHEMA %%I TO %%I;', nspname, current_user) FROM pg_namespace
WHERE (nspname = 'safemig' OR (nspname = %(schema)s AND NOT (nspname = 'public' AND EXISTS (
         SELECT FROM pg_class h WHERE h.relnamespace = pg_namespace.oid AND h.relname = %(table)s))))
  AND NOT (has_schema_privilege(oid, 'USAGE') AND has_schema_privilege(oid, 'CREATE'))
UNION ALL
SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE ON %%I.%%I TO %%I;', n.nspname, c.relname, current_user)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND (n.nspname = 'safemig' OR (n.nspname = %(schema)s AND c.relname = coalesce(%(table)s, c.relname)))
  AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
           AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
ORDER BY 1
"""
MISSING_HISTORY_SCHEMAS = """
SELECT name FROM unnest(ARRAY['safemig', %(schema)s]) name WHERE to_regnamespace(quote_ident(name)) IS NULL
"""
MAY_TAKE_THE_ROLE = """
SELECT pg_has_role(current_user, oid,
                   CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)
FROM pg_roles WHERE rolname = %s
"""
MAY_SEE_OTHER_SESSIONS = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"


@dataclass(frozen=True, slots=True)
class OwnRights:
    """Who connects, and what that role lacks; lists are empty where it lacks nothing."""

    session_role: str
    role: str
    is_superuser: bool
    attributes: tuple[str, ...]
    member_of: tuple[str, ...]
    database: str
    database_owner: str
    owns_database: bool
    may_create_schemas: bool
    is_standby: bool
    version_num: int
    unreadable: tuple[tuple[str, str, str], ...]  # (relation, its owner, the grants that are missing)
    hidden: tuple[str, ...]  # tables of which row security hides rows
    of_others: tuple[tuple[str, int, str], ...]  # (owner, how many relations, one of them)
    history_grants: tuple[str, ...]
    missing_history: tuple[str, ...]
    may_see_sessions: bool

    @property
    def may_create_databases(self) -> bool:
        """True with CREATEDB, or for a superuser."""
        return self.is_superuser or "CREATEDB" in self.attributes


def own_rights(
    connection: Connection,
    platform_schemas: Collection[str],
    history: tuple[str, str | None] = ("supabase_migrations", "schema_migrations"),
) -> OwnRights:
    """Ask for all of it. Reads only. `history` is the migration tool's table, or its schema alone."""
    (who,) = connection.execute(WHO_WE_ARE).fetchall()
    session, role, is_superuser, *flags, member_of = who
    words = ("CREATEDB", "CREATEROLE", "BYPASSRLS", "REPLICATION")
    (database,) = connection.execute(WHAT_WE_MAY_WITH_THE_DATABASE).fetchall()
    name, owner, owns, may_create, is_standby, version_num = database
    platform = {"platform": sorted(platform_schemas)}
    names = {"schema": history[0], "table": history[1]}
    ((may_see,),) = connection.execute(MAY_SEE_OTHER_SESSIONS).fetchall()

    def listed(question: str) -> tuple[str, ...]:
        parameters = {**(platform if "%(platform)s" in question else {}), **(names if "%(schema)s" in question else {})}
        return tuple(each for (each,) in connection.execute(question.encode(), parameters).fetchall())

    return OwnRights(
        session_role=session,
        role=role,
        is_superuser=is_superuser,
        attributes=(
            *(["SUPERUSER"] if is_superuser else []),
            *(word for word, has in zip(words, flags, strict=True) if has),
        ),
        member_of=tuple(member_of),
        database=name,
        database_owner=owner,
        owns_database=owns,
        may_create_schemas=may_create,
        is_standby=is_standby,
        version_num=version_num,
        unreadable=tuple(connection.execute(WHAT_WE_MAY_NOT_READ.encode(), platform).fetchall()),
        hidden=listed(WHAT_ROW_SECURITY_HIDES),
        of_others=tuple(connection.execute(WHOSE_TABLES_WE_MAY_NOT_ALTER.encode(), platform).fetchall()),
        history_grants=listed(WHAT_OF_THE_HISTORY_WE_MAY_NOT_WRITE),
        missing_history=listed(MISSING_HISTORY_SCHEMAS),
        may_see_sessions=may_see,
    )


def may_take(connection: Connection, role: str) -> bool | None:
    """Tell whether we may SET ROLE to a role; None where there is no such role. Reads only."""
    row = connection.execute(MAY_TAKE_THE_ROLE, (role,)).fetchone()
    return bool(row[0]) if row else None
