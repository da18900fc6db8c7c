"""schema_diff: the DDL that turns one schema into the other."""

from __future__ import annotations

from collections.abc import Mapping

from safemig.operations.databases import schema_of
from safemig.postgres.connect import connected
from safemig.schema import Schema, SchemaDiff, compare
from safemig.settings import Settings


def schema_diff(settings: Settings, from_: str, to: str, *, renames: Mapping[str, str] | None = None) -> SchemaDiff:
    """Return what turns the schema of `from_` into that of `to`; each is an environment's name or a URL. Reads only.

    Raises:
        SettingsError: neither an environment nor a URL.
        UnreachableError: one cannot be reached.
    """
    return compare(_read(settings, from_, "--from"), _read(settings, to, "--to"), renames=renames or {})


def _read(settings: Settings, which: str, name: str) -> Schema:
    is_url = "://" in which or "=" in which
    conninfo = which if is_url else settings.conninfo(which)
    with connected(conninfo, name if is_url else which) as connection:
        return schema_of(settings, connection)
