"""Drift: how a database's schema differs from what its applied migrations make, measured on a throwaway server."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from safemig.errors import SafemigError
from safemig.migrations import Migration, Standing
from safemig.operations.databases import schema_of
from safemig.operations.shadow import Shadow, open_shadow
from safemig.postgres.connect import Connection
from safemig.schema import Schema, compare
from safemig.settings import Settings

_MOST_NAMED = 3


class Drift:
    """How databases differ from what their applied migrations make; one throwaway server a major version."""

    def __init__(self, settings: Settings, shadows: ExitStack) -> None:
        self._settings = settings
        self._shadows = shadows
        self._by_major: dict[int, Shadow] = {}
        self._made: dict[tuple[int, tuple[str, ...]], Schema] = {}

    def of(self, connection: Connection, standing: Standing) -> str:
        """Return "none", what differs, or why it could not be compared. Reads only."""
        if standing.edited or standing.unknown:
            return "not compared: files and history contradict each other"
        try:
            expected = self._expected(connection, standing.applied)
        except SafemigError as error:
            return f"not compared: {error.what}"
        diff = compare(expected, schema_of(self._settings, connection))
        if diff.is_empty:
            return "none"
        named = ", ".join(f"{each.action} {each.kind} {each.name}" for each in diff.changes[:_MOST_NAMED])
        rest = f", and {len(diff.changes) - _MOST_NAMED} more" if len(diff.changes) > _MOST_NAMED else ""
        return f"{diff.summary} beyond the applied migrations: {named}{rest}"

    def _expected(self, connection: Connection, applied: Sequence[Migration]) -> Schema:
        major = connection.info.server_version // 10000
        key = (major, tuple(each.sha256 for each in applied))
        if key not in self._made:
            if major not in self._by_major:
                self._by_major[major] = self._shadows.enter_context(open_shadow(self._settings, connection))
            shadow = self._by_major[major]
            self._made[key] = shadow.schema(shadow.make(applied))
        return self._made[key]
