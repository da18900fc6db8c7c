"""What the current role may not read: the platform's tables, which dumps leave out by name, and the team's, which they must not."""

from __future__ import annotations

from collections.abc import Sequence

from safemig.errors import BackupError
from safemig.postgres.connection import Connection
from safemig.postgres.platforms import Platform, platform_of

# Members of extensions belong to anyone who made the extension. Sequences: pg_dump reads where they stand.
WHAT_WE_MAY_NOT_READ = """
SELECT n.nspname, format('%I.%I', n.nspname, c.relname), c.relkind, pg_get_userbyid(c.relowner),
       EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'),
       EXISTS (SELECT FROM pg_roles r WHERE r.oid = c.relowner AND r.rolsuper),
       has_schema_privilege(n.oid, 'USAGE'), row_security_active(c.oid), quote_ident(current_user), quote_ident(n.nspname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'S') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND (row_security_active(c.oid) OR NOT (has_schema_privilege(n.oid, 'USAGE') AND CASE WHEN c.relkind = 'S'
       THEN has_sequence_privilege(c.oid, 'SELECT') ELSE has_table_privilege(c.oid, 'SELECT') END))
ORDER BY 2
"""
IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
_MOST_NAMED = 5


def platform_tables_left_out(connection: Connection) -> tuple[str, ...]:
    """Return the platform's tables and sequences that the current role may not read: a dump does without them. Reads only.

    Raises:
        BackupError: the team's own cannot be read; the message has the GRANT.
    """
    rows = connection.execute(WHAT_WE_MAY_NOT_READ.encode()).fetchall()
    if not rows:
        return ()
    platform = platform_of(connection)
    team = [
        (*row[:4], *row[5:]) for row in rows if not (row[4] or _is_platforms(platform, row[0], by_superuser=row[5]))
    ]
    if team:
        _refuse(team)
    return tuple(row[1] for row in rows)


def hosted_on(connection: Connection) -> str:
    """Return the platform's name where our role is no superuser on one; "" elsewhere. Reads only."""
    row = connection.execute(IS_SUPERUSER).fetchone()
    return "" if row and row[0] else platform_of(connection).name


def exclusions(tables: Sequence[str]) -> tuple[str, ...]:
    """Return pg_dump's options that leave tables out, with the rows of an extension's table, too."""
    return tuple(f"--exclude-table{what}={name}" for name in tables for what in ("", "-data"))


def _is_platforms(platform: Platform, schema: str, *, by_superuser: bool) -> bool:
    # On a server of one's own a superuser's table may well be the team's.
    return bool(platform.name) and (by_superuser or schema in platform.schemas)


def _refuse(rows: Sequence[Sequence[object]]) -> None:
    names = [str(row[1]) for row in rows]
    shown = ", ".join(names[:_MOST_NAMED]) + (
        f", and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    )
    _, _, _, owner, _, in_schema, _, role, schema = rows[0]
    hidden = [row for row in rows if row[6]]
    if len(hidden) == len(rows):
        raise BackupError(
            f"row security hides rows of {shown} from {role}",
            where="a backup without them would be no backup",
            next=f"as a superuser: ALTER ROLE {role} BYPASSRLS; or connect as {owner}, the owner",
        )
    grants = [] if in_schema else [f"GRANT USAGE ON SCHEMA {schema} TO {role}"]
    tables = [str(row[1]) for row in rows if row[2] != "S" and not row[6]]
    sequences = [str(row[1]) for row in rows if row[2] == "S"]
    grants += [f"GRANT SELECT ON {', '.join(tables)} TO {role}"] if tables else []
    grants += [f"GRANT SELECT ON SEQUENCE {', '.join(sequences)} TO {role}"] if sequences else []
    raise BackupError(
        f"{role} may not read {shown}",
        where=f"it belongs to {owner}; a backup without it would be no backup",
        next=f"as {owner}: {'; '.join(grants)}",
    )
