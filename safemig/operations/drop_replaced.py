"""What restores left on production's server: former databases that were kept, restored ones, and schemas of restored tables."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import psycopg
from psycopg import sql

from safemig import live
from safemig.approval.approve import Ask, approve
from safemig.approval.approvers import require_approvers
from safemig.approval.plan import identify
from safemig.errors import RefusedError
from safemig.execution.environment import open_environment
from safemig.execution.transaction import only_deployment
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import read_target, words_of
from safemig.results import Check, Restored, Target
from safemig.settings import Settings

# The comment of a database on its way; anyone who comes after a crash reads there how far it came.
RESTORING = "safemig: restoring backup {}"
RESTORED = "safemig: restored from backup {}"
REPLACED = "safemig: replaced by backup {}"
# The schemas of restored tables, and what is in them.
SCHEMAS_OF_TABLES = """
SELECT n.nspname, n.oid::int8, obj_description(n.oid, 'pg_namespace'),
       (SELECT coalesce(sum(c.relpages), 0)::int8 * current_setting('block_size')::int8 FROM pg_class c WHERE c.relnamespace = n.oid)
FROM pg_namespace n WHERE obj_description(n.oid, 'pg_namespace') LIKE 'safemig: tables restored from backup %' ORDER BY 1
"""
WHAT_IS_IN_SCHEMA = """
SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.relname FROM pg_class c
WHERE c.relnamespace = %s AND c.relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') LIKE 'safemig: %%'
ORDER BY c.relkind = 'r'
"""
# Never the one that we are connected to: that is production, whatever its comment says.
WHAT_RESTORES_LEFT = """
SELECT d.datname, d.oid::bigint, shobj_description(d.oid, 'pg_database'), pg_database_size(d.oid)
FROM pg_database d
WHERE shobj_description(d.oid, 'pg_database') ~ '^safemig: (restoring|restored from|replaced by) backup '
  AND d.datname <> current_database() ORDER BY 1
"""


@live.act("restore_prod")
def drop_former(
    settings: Settings, name: str, environment: str, *, approved: str = "", ask: Ask | None = None
) -> Restored:
    """Drop a database or a schema that an earlier restore kept, or left beside production, once that is approved.

    Guarantee: only one whose comment says that a restore of safemig left it, never production itself, and not while
    anyone is connected to it.

    Raises:
        RefusedError: it is no such database, the drop is not approved, or someone uses it; nothing was changed.
    """
    started, conninfo = time.monotonic(), settings.conninfo(environment)
    with open_environment(settings, environment, read_only=False) as connection:
        target = read_target(connection, environment)
        is_schema = name in {found for found, *_ in connection.execute(SCHEMAS_OF_TABLES)}
        number, _, size = _left_by_a_restore(connection, name)
        binding, what = about_what_is_left(connection, name, target)
        plan_id = identify(binding)
        verb = f"restore-prod --drop {name}"
        kind = "schema" if is_schema else "database"
        require_approvers(settings, approve(plan_id, target, approved, what, verb=verb, ask=ask), verb=verb)
        with only_deployment(conninfo, environment, secrets.token_hex(6)):
            _left_by_a_restore(connection, name)  # a swap may have given its name to another meanwhile
            try:
                if is_schema:
                    _drop_schema(connection, name, number)
                else:
                    connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
            except psycopg.Error as error:
                raise RefusedError(
                    f"the {kind} cannot be dropped: {words_of(error)}",
                    where=name,
                    next="end what uses it, then run the same command again",
                ) from None
    return Restored(
        target=target,
        backup=Path(),
        database=name,
        kept_as="",
        tables=(),
        checks=(Check(kind, "ok", f"dropped {name}, {size:,} bytes", "one that a restore left"),),
        seconds=time.monotonic() - started,
        swapped=False,
        dropped=True,
    )


def about_what_is_left(connection: Connection, name: str, target: Target) -> tuple[dict[str, object], str]:
    """Return what the approval of a drop is bound to, and the drop in words. Reads only.

    Raises:
        RefusedError: no restore of safemig left it.
    """
    is_schema = name in {found for found, *_ in connection.execute(SCHEMAS_OF_TABLES)}
    number, comment, size = _left_by_a_restore(connection, name)
    kind = "schema" if is_schema else "database"
    what = f"The {kind} {name} ({size / 1e6:,.0f} MB; {comment}) is dropped; only a backup brings it back."
    return {"drop": f"{name} {number} {comment}", "server": target.system_identifier}, what


def names_left(settings: Settings, environment: str) -> tuple[str, ...]:
    """Return what restores kept or left beside the environment's: the databases and schemas that can be dropped. Reads only.

    Raises:
        UnreachableError: its server does not answer.
    """
    with open_environment(settings, environment) as connection:
        return tuple(
            name for question in (WHAT_RESTORES_LEFT, SCHEMAS_OF_TABLES) for name, *_ in connection.execute(question)
        )


def _drop_schema(connection: Connection, name: str, number: int) -> None:
    """Drop a schema with the tables that restores put there; what else is in it, or uses it, stops that."""
    with connection.transaction():
        for kind, relation in connection.execute(WHAT_IS_IN_SCHEMA, (number,)).fetchall():
            connection.execute(sql.SQL("DROP {} {}").format(sql.SQL(kind), sql.Identifier(name, relation)))
        connection.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(name)))


def _left_by_a_restore(connection: Connection, name: str) -> tuple[int, str, int]:
    left = {
        found: (number, comment, size)
        for question in (WHAT_RESTORES_LEFT, SCHEMAS_OF_TABLES)
        for found, number, comment, size in connection.execute(question)
    }
    if name in left:
        return left[name]
    raise RefusedError(
        f"no restore of safemig left a database or schema {name}",
        where=f"left are: {', '.join(left)}" if left else "none is left",
        next="name one of those" if left else "there is nothing to drop",
    )
