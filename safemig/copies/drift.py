"""Drift: how a database's schema differs from what its applied migrations make, measured on a throwaway server."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import psycopg

from safemig import __version__
from safemig.copies.base import base_for
from safemig.copies.database_copy import WHICH_SEARCH_PATH, CopyServer
from safemig.copies.roles import deploying_role, refuse_nothing
from safemig.copies.shadow import Shadow, open_shadow
from safemig.errors import SafemigError
from safemig.execution.environment import schema_with_rows
from safemig.migrations import Migration, Standing
from safemig.postgres.connection import Connection
from safemig.postgres.history import schema_that_files_make
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.schema import Schema
from safemig.settings import Settings

_MOST_NAMED = 3


def what_files_make(
    settings: Settings,
    source: Connection,
    server: CopyServer,
    files: Sequence[Migration],
    known: Mapping[str, str] | None = None,
) -> dict[str, str] | None:
    """Return the identity of files and the fingerprint of what they make of an empty database, to be kept in `source`.

    `known` is what a pre-flight of this act found (see `Drift.with_pending`): of the same files it is the answer.
    None where they cannot be run from nothing there. To be called when the server's copies are done with: roles, which
    a migration may make, are the server's.
    """
    ordered = tuple(files)
    if known and known["files"] == identity_of(settings, source, ordered):
        return dict(known)
    if not isinstance(server, ThrowawayServer):
        return None
    refuse_nothing(server)
    shadow = Shadow(settings, server, deploying_role(source), base_for(settings, source))
    try:
        schema = shadow.schema(shadow.make(ordered))
    except (SafemigError, psycopg.Error):
        return None
    return {"files": identity_of(settings, source, ordered), "schema": schema.fingerprint}


def is_as_files_make_it(settings: Settings, connection: Connection, standing: Standing) -> bool:
    """Tell whether a database's schema is known to be what its applied migrations make, from an earlier replay of them.

    Guarantee: True only where these very files, run from nothing by this safemig, made this very schema. False says
    nothing: then it is to be measured. Reads only.
    """
    if standing.edited or standing.unknown:
        return False
    made = schema_that_files_make(connection, identity_of(settings, connection, standing.applied))
    return bool(made) and made == schema_with_rows(settings, connection).fingerprint


def identity_of(settings: Settings, source: Connection, files: Sequence[Migration]) -> str:
    """Return a hash of all that decides what files make: their bytes, the search path, the schemas read, and us."""
    ((search_path,),) = source.execute(WHICH_SEARCH_PATH).fetchall()
    base = base_for(settings, source).sha256
    parts = [
        __version__,
        search_path,
        repr(settings.schemas) + (repr(settings.configuration_rows) if settings.configuration_rows else ""),
        base,
        *(f"{file.version} {file.sha256}" for file in files),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Drift:
    """How databases differ from what their applied migrations make; one throwaway server a major version and base."""

    def __init__(self, settings: Settings, shadows: ExitStack) -> None:
        self._settings = settings
        self._shadows = shadows
        self._open: dict[tuple[int, str], Shadow] = {}
        self.bases: dict[str, None] = {}  # which were begun with, in words
        self._made: dict[tuple[int, str, tuple[str, ...]], tuple[str, Schema]] = {}

    def of(self, connection: Connection, standing: Standing) -> str:
        """Return "none", what differs, or why it could not be compared. Reads only."""
        if standing.edited or standing.unknown:
            return "not compared: files and history contradict each other"
        try:
            shadow = self._shadow(connection)
            _, expected = self._expected(shadow, standing.applied)
        except SafemigError as error:
            return f"not compared: {error.what}"
        diff, left_out = shadow.against(expected, schema_with_rows(self._settings, connection))
        if words := shadow.base.words:
            self.bases[words] = None
        but = ""
        if left_out:
            named = ", ".join(f"{item.kind} {item.dotted}" for item in left_out[:_MOST_NAMED])
            more = f", and {len(left_out) - _MOST_NAMED} more" if len(left_out) > _MOST_NAMED else ""
            but = f"; not compared, for this machine lacks the extension {', '.join(shadow.lacks)}: {named}{more}"
        if diff.is_empty:
            return f"none{but}"
        named = ", ".join(f"{each.action} {each.kind} {each.name}" for each in diff.changes[:_MOST_NAMED])
        rest = f", and {len(diff.changes) - _MOST_NAMED} more" if len(diff.changes) > _MOST_NAMED else ""
        return f"{diff.summary} beyond the applied migrations: {named}{rest}{but}"

    def _shadow(self, connection: Connection) -> Shadow:
        base = base_for(self._settings, connection)
        key = (connection.info.server_version // 10000, base.sha256)
        if key not in self._open:
            self._open[key] = self._shadows.enter_context(open_shadow(self._settings, connection, base))
        return self._open[key]

    def with_pending(self, connection: Connection, standing: Standing) -> dict[str, str] | None:
        """Run the pending files, too, where `of` ran the applied ones; return what `what_files_make` returns of them all.

        None where they do not run there, or would not run in that order from nothing.
        """
        ordered = (*standing.applied, *standing.pending)
        if ordered != standing.in_order(ordered):
            return None
        try:
            shadow = self._shadow(connection)
            name, _ = self._made.pop(self._key(shadow, standing.applied))  # it is no longer what they alone make
            shadow.run_on(name, standing.pending)
            schema = shadow.schema(name)
        except (KeyError, SafemigError, psycopg.Error):
            return None
        return {"files": identity_of(self._settings, connection, ordered), "schema": schema.fingerprint}

    def _expected(self, shadow: Shadow, applied: Sequence[Migration]) -> tuple[str, Schema]:
        key = self._key(shadow, applied)
        if key not in self._made:
            name = shadow.make(applied)
            self._made[key] = name, shadow.schema(name)
        return self._made[key]

    def _key(self, shadow: Shadow, applied: Sequence[Migration]) -> tuple[int, str, tuple[str, ...]]:
        return shadow.server.major, shadow.base.sha256, tuple(each.sha256 for each in applied)
