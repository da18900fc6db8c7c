"""What restores left on production's server: the former databases that were kept, and those that only stand beside it."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import psycopg
from psycopg import sql

from safemig.approval.approve import Ask, approve
from safemig.approval.approvers import require_approvers
from safemig.approval.plan import identify
from safemig.errors import RefusedError
from safemig.execution.environment import open_environment
from safemig.execution.transaction import only_deployment
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import read_target, words_of
from safemig.results import Check, Restored
from safemig.settings import Settings

# The comment of a database on its way; whoever comes after a crash reads there how far it came.
RESTORING = "safemig: restoring backup {}"
RESTORED = "safemig: restored from backup {}"
REPLACED = "safemig: replaced by backup {}"
# Never the one that we are connected to: that is production, whatever its comment says.
WHAT_RESTORES_LEFT = """
SELECT d.datname, d.oid::bigint, shobj_description(d.oid, 'pg_database'), pg_database_size(d.oid)
FROM pg_database d
WHERE shobj_description(d.oid, 'pg_database') ~ '^safemig: (restoring|restored from|replaced by) backup '
  AND d.datname <> current_database() ORDER BY 1
"""


def drop_former(
    settings: Settings, name: str, environment: str, *, approved: str = "", ask: Ask | None = None
) -> Restored:
    """Drop a database that an earlier restore kept, or left beside production, once that is approved.

    Guarantee: only one whose comment says that a restore of safemig left it, never production itself, and not while
    anybody is connected to it.

    Raises:
        RefusedError: it is no such database, the drop is not approved, or somebody uses it; nothing was changed.
    """
    started, conninfo = time.monotonic(), settings.conninfo(environment)
    with open_environment(settings, environment, read_only=False) as connection:
        target = read_target(connection, environment)
        number, comment, size = _left_by_a_restore(connection, name)
        plan_id = identify({"drop": f"{name} {number} {comment}", "server": target.system_identifier})
        verb = f"restore-prod --drop {name}"
        what = f"The database {name} ({size / 1e6:,.0f} MB; {comment}) is dropped, and nothing but a backup brings it back."
        require_approvers(settings, approve(plan_id, target, approved, what, verb=verb, ask=ask), verb=verb)
        with only_deployment(conninfo, environment, secrets.token_hex(6)):
            _left_by_a_restore(connection, name)  # a swap may have given its name to another meanwhile
            try:
                connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
            except psycopg.Error as error:
                raise RefusedError(
                    f"the database cannot be dropped: {words_of(error)}",
                    where=name,
                    next="end what uses it, then the same command again",
                ) from None
    return Restored(
        target=target,
        backup=Path(),
        database=name,
        kept_as="",
        tables=(),
        checks=(Check("database", "ok", f"dropped {name}, {size:,} bytes", "one that a restore left"),),
        seconds=time.monotonic() - started,
        swapped=False,
        dropped=True,
    )


def names_left(settings: Settings, environment: str) -> tuple[str, ...]:
    """Return the databases that restores kept or left beside the environment's: those that can be dropped. Reads only.

    Raises:
        UnreachableError: its server does not answer.
    """
    with open_environment(settings, environment) as connection:
        return tuple(name for name, *_ in connection.execute(WHAT_RESTORES_LEFT))


def _left_by_a_restore(connection: Connection, name: str) -> tuple[int, str, int]:
    left = {found: (number, comment, size) for found, number, comment, size in connection.execute(WHAT_RESTORES_LEFT)}
    if name in left:
        return left[name]
    raise RefusedError(
        f"no restore of safemig left a database {name}",
        where=f"left are: {', '.join(left)}" if left else "none is left",
        next="name one of those" if left else "nothing is to be dropped",
    )
