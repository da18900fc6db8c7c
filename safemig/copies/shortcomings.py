"""What a copy of a database on this machine will not show: asked of a throwaway server that is started for it."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from safemig.copies.database_copy import made_like, missing_extensions, start_server_like
from safemig.postgres.connection import Connection
from safemig.postgres.own_rights import WHICH_COLLATIONS_ARE_USED

KNOWN_COLLATIONS = "SELECT collname::text FROM pg_collation"
CAN_MAKE_ICU = "SELECT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i')"
_NAME = "safemig_doctor"


@dataclass(frozen=True, slots=True)
class Shortcomings:
    """A server for copies, and what it lacks of the source."""

    server_version: str
    extensions: tuple[str, ...]
    collations: tuple[str, ...]
    locale: str  # why no database of the source's own encoding, locale and provider could be made; "" where it could

    @property
    def in_words(self) -> tuple[str, ...]:
        """One line each, for people."""
        found = [
            f"extension {name}: not on this machine's PostgreSQL {self.server_version}" for name in self.extensions
        ]
        found += [f"collation {name}: what sorts or is unique by it" for name in self.collations]
        return (*found, *([f"the database's own locale: {self.locale}; copies sort by bytes"] if self.locale else []))


def shortcomings_of_copies(source: Connection) -> Shortcomings:
    """Start a throwaway server as a rehearsal does, and ask it. The source is only read.

    Raises:
        ToolError: there is no server as new as the source on this machine, or it does not start.
    """
    with start_server_like(source, whole=False) as server, psycopg.connect(server.url(), autocommit=True) as copy:
        locale = ""
        try:
            server.create_database(_NAME, options=made_like(source))
        except psycopg.Error as error:
            locale = " ".join((error.diag.message_primary or str(error)).split())
        known = {name for (name,) in copy.execute(KNOWN_COLLATIONS).fetchall()}
        row = copy.execute(sql.SQL(CAN_MAKE_ICU)).fetchone()
        has_icu = bool(row and row[0])
        used = source.execute(WHICH_COLLATIONS_ARE_USED).fetchall()
        collations = tuple(name for name, provider in used if name not in known and not (provider == "i" and has_icu))
        return Shortcomings(server.programs.version, missing_extensions(source, copy), collations, locale)
