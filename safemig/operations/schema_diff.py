"""schema_diff: the DDL that turns one schema into the other."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from safemig.connection_urls import readable
from safemig.postgres.catalog import SchemaFilter, read_schema
from safemig.postgres.connection.connect import connected, explained
from safemig.postgres.owners import whom_may_own
from safemig.schema.collection import without_collection
from safemig.schema.owners import with_owners

if TYPE_CHECKING:
    from safemig.schema import Schema, SchemaDiff
    from safemig.settings import Scratch, Settings


def schema_diff(settings: Settings, from_: str, to: str, *, renames: Mapping[str, str] | None = None) -> SchemaDiff:
    """Return what turns the schema of `from_` into that of `to`; each is an environment's name or a URL. Reads only.

    Raises:
        SettingsError: neither an environment nor a URL.
        UnreachableError: one cannot be reached, or refuses us.
    """
    ends = [
        (readable(which, name, "the URL given"), name) if is_url(which) else (settings.conninfo(which), which)
        for which, name in ((from_, "--from"), (to, "--to"))
    ]
    managed = SchemaFilter(only=settings.schemas, rows=settings.configuration_rows)
    return _difference(*ends, managed=managed, renames=renames or {}, owners=settings.owners, scratch=settings.scratch)


def difference(from_url: str, to_url: str, *, renames: Mapping[str, str] | None = None) -> SchemaDiff:
    """Return what turns the schema at one URL into that at the other, with no settings at all. Reads only.

    Raises:
        UnreachableError: one cannot be reached, or refuses us.
    """
    ends = (from_url, "--from"), (to_url, "--to")
    return _difference(*ends, managed=SchemaFilter(), renames=renames or {}, owners="compare")


def is_url(which: str) -> bool:
    """Tell a connection string, of either of libpq's two forms, from an environment's name."""
    return "://" in which or "=" in which


def _difference(
    from_: tuple[str, str],
    to: tuple[str, str],
    *,
    managed: SchemaFilter,
    renames: Mapping[str, str],
    owners: str,
    scratch: Scratch | None = None,
) -> SchemaDiff:
    with without_collection():
        readings = _Reading(*from_, managed), _Reading(*to, managed)
        for reading in readings:
            reading.start()
        # While the servers are busy there is time to load what comes next.
        from safemig.schema import compare
        from safemig.sql.identifiers import keywords

        keywords()
        base, target = (reading.result() for reading in readings)
        may_own = readings[0].may_own
        reason = ""
        if base.major != target.major:
            from safemig.copies.same_version import alike

            base, target, reason = alike((from_, to), (base, target), managed, scratch)
        more: tuple[str, ...] = (reason,) if reason else ()
        if owners == "compare":
            base, target, not_compared = with_owners(base, target, may_own)
            more += not_compared
        diff = compare(base, target, renames=renames, may_commit=True)
        return replace(diff, warnings=(*diff.warnings, *more)) if more else diff


class _Reading(threading.Thread):
    """One side, read beside the other: most of the time is the servers'.

    An interrupt leaves it behind, which harms nothing: it only reads, and ends with the process.
    """

    def __init__(self, conninfo: str, name: str, managed: SchemaFilter) -> None:
        super().__init__(name=f"safemig reads {name}", daemon=True)
        self._what = (conninfo, name, managed)
        self._found: Schema | BaseException | None = None
        self.may_own: frozenset[str] = frozenset()  # the roles that its own may make owners

    def run(self) -> None:
        try:
            conninfo, name, managed = self._what
            with explained(conninfo, name), connected(conninfo, name) as connection:
                found = read_schema(connection, managed)
                self.may_own = whom_may_own(connection, found.current_user)
                self._found = found
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asks
            self._found = error

    def result(self) -> Schema:
        """Wait for the schema and return it, or raise what went wrong."""
        self.join()
        assert self._found is not None  # noqa: S101 - run() sets it
        if isinstance(self._found, BaseException):
            raise self._found
        return self._found
