"""A clone that a provider hands over with production's rows in it ([scratch] holds_data): held to what it must be."""

from __future__ import annotations

import secrets

import psycopg

from safemig.copies.database_copy import Copy, CopyServer
from safemig.copies.scratch import ScratchServer
from safemig.errors import RehearsalError
from safemig.execution.environment import schema_of
from safemig.execution.layout import files_of, read_history
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect
from safemig.schema import compare
from safemig.settings import Settings

HOLD = "SELECT pg_advisory_lock(%s)"
LET_GO = "SELECT pg_advisory_unlock(%s)"
# A bigint key is shown in two halves (manual, 53.13, "pg_locks").
IS_IT_HELD_HERE = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1
               AND (classid::int8 << 32 | objid::int8) = %s)
"""
_MOST_NAMED = 3


def adopt_clone(settings: Settings, source: Connection, server: CopyServer, name: str) -> Copy:
    """Take the database that the scratch server's URL names as the copy `name`, if it is what `source` is.

    Raises:
        RehearsalError: it is the source's own server, or its schema or history is another one.
    """
    if not isinstance(server, ScratchServer):
        raise TypeError("a clone comes from a scratch server")
    url = server.adopt(name)
    with connect(url, "the clone") as clone:
        _require_another_server(source, clone)
        before, found = schema_of(settings, source), schema_of(settings, clone)
        if before.fingerprint != found.fingerprint:
            changes = compare(before, found).changes
            named = ", ".join(f"{each.action} {each.kind} {each.name}" for each in changes[:_MOST_NAMED])
            raise _refused(f"its schema is not production's: {named or 'another order of columns'}", clone)
        files = files_of(settings)
        theirs, own = (
            [(each.version, each.name) for each in read_history(settings, each_, files)] for each_ in (source, clone)
        )
        if theirs != own:
            odd = sorted({version for version, _ in {*theirs} ^ {*own}})[:_MOST_NAMED]
            raise _refused(f"its history is not production's: {', '.join(odd) or 'in another order'}", clone)
    return Copy(url)


def _require_another_server(source: Connection, clone: Connection) -> None:
    """Tell by a lock that is seen on the one server alone: a clone of the files has the original's identifier, too."""
    key = secrets.randbits(62)
    source.execute(HOLD, (key,))
    try:
        ((held,),) = clone.execute(IS_IT_HELD_HERE, (key,)).fetchall()
    finally:
        source.execute(LET_GO, (key,))
    if held:
        raise _refused("it is on production's own server", clone)


def _refused(why: str, clone: psycopg.Connection[tuple[object, ...]]) -> RehearsalError:
    return RehearsalError(
        f"the clone that [scratch] handed over cannot stand for production: {why}",
        where=f"scratch, database {clone.info.dbname} on {clone.info.host}",
        next="let the command make a new clone of production as it is now, or leave out holds_data",
    )
