"""Roles on a copy as they are on the source, so that the copy refuses what the source would refuse.

A role has the source's attributes (superusers stay superusers, whatever their name), memberships with their options,
and settings. No password is copied, and only the deploying role may log in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from safemig.copies.scratch import ScratchServer
from safemig.errors import ToolError
from safemig.postgres.connection import Connection
from safemig.postgres.server.throwaway import ThrowawayServer

WHICH_ROLES = """
SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls
FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1
"""
# The options INHERIT and SET of a membership came with 16; before, the member's own INHERIT decides.
WHICH_MEMBERSHIPS = """
SELECT r.rolname, m.rolname, g.rolname, a.admin_option, to_jsonb(a) ->> 'inherit_option', to_jsonb(a) ->> 'set_option',
       a.grantor = 10
FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
LEFT JOIN pg_roles g ON g.oid = a.grantor
WHERE m.rolname !~ '^pg_' ORDER BY a.grantor = 10 DESC, 1, 2
"""
# What would stop a session on the copy, or names what only the source's machine has, is left out.
WHICH_SETTINGS = """
SELECT r.rolname, s.setdatabase <> 0, split_part(entry, '=', 1), substr(entry, strpos(entry, '=') + 1)
FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS entry LEFT JOIN pg_roles r ON r.oid = s.setrole
WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND (s.setrole = 0 OR r.rolname IS NOT NULL)
  AND split_part(entry, '=', 1) !~ '(preload_libraries|tablespaces?|_timeout|^default_transaction_read_only)$'
"""
WHO_DEPLOYS = "SELECT session_user, current_user"
HOW_THE_DATABASE_IS_OWNED = """
SELECT pg_get_userbyid(datdba), datacl IS NULL,
       ARRAY(SELECT format('%s TO %s%s', a.privilege_type, CASE WHEN a.grantee = 0 THEN 'PUBLIC'
                           ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
                           CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
             FROM aclexplode(d.datacl) a WHERE a.grantee = 0 OR a.grantee IN (SELECT oid FROM pg_roles))
FROM pg_database d WHERE datname = current_database()
"""
IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
_ATTRIBUTES = ("SUPERUSER", "INHERIT", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS")
_LISTS = ("search_path", "unix_socket_directories")  # kept as they were written, identifiers quoted where needed


def name_of_superuser(source: Connection) -> str:
    """Return a name for the copies' own superuser that no role of the source has."""
    taken = {name for name, *_ in source.execute(WHICH_ROLES)}
    return next(name for name in _names() if name not in taken)


def deploying_role(source: Connection) -> str:
    """Return the role that deploys to the source: who logged in, whatever role its settings made it then."""
    row = source.execute(WHO_DEPLOYS).fetchone()
    assert row is not None  # noqa: S101 - a SELECT of a function gives one row
    return str(row[0])


def acting_role(source: Connection) -> str:
    """Return the role whose rights the connection has: the deploying role, or the one that its settings make it."""
    row = source.execute(WHO_DEPLOYS).fetchone()
    assert row is not None  # noqa: S101 - a SELECT of functions gives one row
    return str(row[1])


def make_roles(source: Connection, copy: Connection, *, may_log_in: bool = True) -> None:
    """Make the source's roles on the server of `copy`, a superuser's, where they are missing, with all their rights.

    On a server of someone else's even the deploying role may not log in.
    """
    have = {name for name, *_ in copy.execute(WHICH_ROLES)}
    deployer = deploying_role(source)
    made = [row for row in source.execute(WHICH_ROLES).fetchall() if row[0] not in have]
    for name, *attributes in made:
        has = dict(zip(_ATTRIBUTES, attributes, strict=True))
        words = [word if has[word] else f"NO{word}" for word in _ATTRIBUTES]
        words.append("LOGIN" if name == deployer and may_log_in else "NOLOGIN")
        copy.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(name), sql.SQL(" ").join(map(sql.SQL, words))))
    new = {name for name, *_ in made}
    _make_memberships(source, copy, new)
    for role, in_database, name, value in source.execute(WHICH_SETTINGS.encode()).fetchall():
        if role in new and not in_database:
            _set(copy, sql.SQL("ROLE {}").format(sql.Identifier(role)), name, value)


def is_superuser(connection: Connection) -> bool:
    """Tell whether the connection's role is a superuser."""
    row = connection.execute(IS_SUPERUSER).fetchone()
    return bool(row and row[0])


def make_roles_on_scratch(source: Connection, copy: Connection) -> None:
    """Make the source's roles, which stay, on a scratch server; names without attributes where we are no superuser."""
    if is_superuser(copy):
        make_roles(source, copy, may_log_in=False)
        return
    have = {name for name, *_ in copy.execute(WHICH_ROLES)}
    for name, *_ in source.execute(WHICH_ROLES).fetchall():
        if name not in have:
            copy.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """Owner, grants and settings of one database."""

    owner: str
    has_default_grants: bool
    grants: tuple[str, ...]
    settings: tuple[tuple[str | None, bool, str, str], ...]


def database_facts(source: Connection) -> DatabaseFacts:
    """Read how the database of `source` is owned, and what is set for it. Reads only."""
    row = source.execute(HOW_THE_DATABASE_IS_OWNED.encode()).fetchone()
    assert row is not None  # noqa: S101 - we are connected to it
    return DatabaseFacts(row[0], row[1], tuple(row[2]), tuple(source.execute(WHICH_SETTINGS.encode()).fetchall()))


def own_database_alike(source: Connection, copy: Connection) -> None:
    """Give the database of `copy` the owner, the grants and the settings of the source's. `copy` is a superuser's."""
    make_alike(database_facts(source), copy)


def make_alike(facts: DatabaseFacts, copy: Connection) -> None:
    """Give the database of `copy` these. `copy` is a superuser's."""
    owner, is_default, grants = facts.owner, facts.has_default_grants, facts.grants
    database = sql.Identifier(copy.info.dbname)
    copy.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, sql.Identifier(owner)))
    if not is_default:
        copy.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        copy.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, sql.Identifier(owner)))
        for grant in grants:
            privilege, _, who = grant.partition(" TO ")
            copy.execute(sql.SQL("GRANT {} ON DATABASE {} TO {}").format(sql.SQL(privilege), database, sql.SQL(who)))
    for role, in_database, name, value in facts.settings:
        if not in_database:
            continue
        whose = sql.SQL("DATABASE {}").format(database)
        if role:
            whose = sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), database)
        _set(copy, whose, name, value)


def url_as(url: str, server: ThrowawayServer | ScratchServer, role: str) -> str:
    """Return the connection string for acting as `role` on a database of the server.

    On a throwaway server it logs in. On a scratch server whose own role is a superuser, and which therefore has roles
    and database alike, it acts as the role from the start (`SET ROLE`); else the string is returned as it is.
    """
    if isinstance(server, ThrowawayServer):
        return make_conninfo(url, user=role)
    with psycopg.connect(url, autocommit=True) as connection:
        if not is_superuser(connection):
            return url
    return url_acting_as(url, role)


def let_act_as(url: str, role: str) -> None:
    """Let the role of a scratch server's URL act as `role`, as whom migrations are replayed there.

    Raises:
        ToolError: it may not, and cannot be made to.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        name = sql.Identifier(role)
        for statement in (None, sql.SQL("GRANT {} TO CURRENT_USER").format(name)):
            with suppress(psycopg.errors.InsufficientPrivilege):
                if statement:
                    connection.execute(statement)
                connection.execute(sql.SQL("SET ROLE {}").format(name))
                return
        raise ToolError(
            f"the scratch server's role {connection.info.user} may not act as {role}, as whom the migrations were applied",
            where="scratch",
            next=f'connect as a superuser there, or GRANT "{role}" TO "{connection.info.user}"',
        )


def url_acting_as(url: str, role: str) -> str:
    """Return the connection string of a scratch server's database that acts as `role` from the start (`SET ROLE`)."""
    given = conninfo_to_dict(url)
    if given.get("user") == role:
        return url
    quoted = role.replace("\\", "\\\\").replace(" ", "\\ ")
    return make_conninfo(url, options=f"{given.get('options') or ''} -c role={quoted}".strip())


def refuse_nothing(server: ThrowawayServer | ScratchServer) -> None:
    """Make every role of a throwaway server a superuser: what is applied already was once allowed to anyone who did it. Roles of a
    scratch server stay as they are."""
    if isinstance(server, ScratchServer):
        return
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for role, is_super, *_ in connection.execute(WHICH_ROLES).fetchall():
            if not is_super:
                connection.execute(sql.SQL("ALTER ROLE {} SUPERUSER").format(sql.Identifier(role)))


def refuse_as(source: Connection, server: ThrowawayServer | ScratchServer, but: str) -> None:
    """Make every role of a throwaway server but one no superuser again that is none on the source. Roles of a scratch
    server stay as they are."""
    if isinstance(server, ScratchServer):
        return
    with psycopg.connect(server.url(), autocommit=True) as connection:
        have = {name for name, *_ in connection.execute(WHICH_ROLES)}
        for role, is_super, *_ in source.execute(WHICH_ROLES).fetchall():
            if not is_super and role != but and role in have:
                connection.execute(sql.SQL("ALTER ROLE {} NOSUPERUSER").format(sql.Identifier(role)))


def let_log_in(server: ThrowawayServer, role: str) -> None:
    """Let a role log in to a throwaway server."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(role)))


def _names() -> Iterator[str]:
    yield "safemig_copies"
    number = 2
    while True:
        yield f"safemig_copies_{number}"
        number += 1


def _make_memberships(source: Connection, copy: Connection, new: set[str]) -> None:
    """Grant memberships as they were granted: by the same grantor, where that one may by now; else by ourselves."""
    rows = [row for row in source.execute(WHICH_MEMBERSHIPS).fetchall() if row[1] in new]
    has_options = copy.info.server_version >= 160000
    left = [row for row in rows if has_options and row[2] and not row[6]]
    for row in rows:
        if row not in left:
            _grant(copy, row, has_options=has_options, by="")
    while left:
        before = len(left)
        left = [row for row in left if not _grant(copy, row, has_options=True, by=row[2])]
        if len(left) == before:
            for row in left:
                _grant(copy, row, has_options=True, by="")
            return


def _grant(copy: Connection, row: tuple[object, ...], *, has_options: bool, by: str) -> bool:
    role, member, _, admin, inherit, settable, _ = row
    options = ["ADMIN OPTION"] if admin else []
    if has_options:
        options = [f"ADMIN {'TRUE' if admin else 'FALSE'}"]
        options += [f"INHERIT {inherit}"] if inherit is not None else []
        options += [f"SET {settable}"] if settable is not None else []
    statement = sql.SQL("GRANT {} TO {}").format(sql.Identifier(str(role)), sql.Identifier(str(member)))
    if options:
        statement += sql.SQL(" WITH " + ", ".join(options))
    if by:
        statement += sql.SQL(" GRANTED BY {}").format(sql.Identifier(by))
    try:
        copy.execute(statement)
    except psycopg.Error:  # the grantor has not got its own ADMIN option yet, or the role is of a newer PostgreSQL
        return False
    return True


def _set(copy: Connection, whose: sql.Composable, name: str, value: str) -> None:
    written = sql.SQL(value) if name in _LISTS else sql.Literal(value)
    # Of an extension that is not loaded here, or a value that this build does not have: it changes nothing on a copy.
    with suppress(psycopg.Error):
        copy.execute(sql.SQL("ALTER {} SET {} TO {}").format(whose, sql.SQL(name), written))
