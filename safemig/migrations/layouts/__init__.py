"""Every tool's layout of migrations by name, and which one a folder is of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safemig.errors import SettingsError
from safemig.migrations.layouts import (
    code,
    dbmate,
    drizzle,
    flyway,
    golang_migrate,
    goose,
    prisma,
    sqitch,
    sql_migrate,
    timestamped,
)
from safemig.migrations.layouts.base import Layout
from safemig.sql.identifiers import quote_name

SUPABASE, TIMESTAMPED = timestamped.LAYOUT, timestamped.TIMESTAMPED
# In the order in which a folder is looked at: the plainest sign first; by a timestamp alone comes last.
LAYOUTS: dict[str, Layout] = {
    each.name: each
    for each in (
        prisma.LAYOUT,
        drizzle.LAYOUT,
        sqitch.LAYOUT,
        golang_migrate.LAYOUT,
        goose.LAYOUT,
        dbmate.LAYOUT,
        sql_migrate.LAYOUT,
        code.ALEMBIC,
        code.DJANGO,
        code.RAILS,
        code.KNEX,
        code.TYPEORM,
        flyway.LAYOUT,
        TIMESTAMPED,
        SUPABASE,
    )
}


@dataclass(frozen=True, slots=True)
class Found:
    """A layout and the folder that is of it."""

    layout: Layout
    folder: Path


def layout_of(folder: Path) -> Layout:
    """Return the layout that a folder is plainly of; by timestamp where it is empty, missing, or shows no sign of another."""
    if folder.parts[-2:] == Path(SUPABASE.folders[0]).parts:
        return SUPABASE
    try:
        if folder.is_dir():
            return next((each for each in LAYOUTS.values() if each.recognises(folder)), TIMESTAMPED)
    except OSError:
        pass  # anyone who reads the migrations says why
    return TIMESTAMPED


def find(home: Path) -> tuple[Found, ...]:
    """Return the folders of a project that plainly hold migrations, where tools mostly keep them. Reads names only."""
    found: dict[Path, Found] = {}
    for place in dict.fromkeys(place for each in LAYOUTS.values() for place in each.folders):
        folder = home / place
        if not folder.is_dir() or folder in found:
            continue
        layout = next((each for each in LAYOUTS.values() if place in each.folders and each.recognises(folder)), None)
        if layout:
            found[folder] = Found(layout, folder)
    return tuple(found.values())


def history_name(layout: Layout, table: str = "") -> str:
    """Return the history table's (or its schema's) name as SQL: the tool's own, or `table`, where the team chose another.

    Raises:
        SettingsError: what the team chose is no name.
    """
    name = table or layout.history
    parts = name.split(".")
    if len(parts) > 2 or not all(parts):
        raise SettingsError(
            f"history_table = {name!r}: not a name such as public.schema_migrations",
            where="settings",
            next="write schema.table, or leave it out for the tool's own",
        )
    if len(parts) == 1 and not layout.has_own_schema:
        parts = ["public", *parts]
    return quote_name(*parts)


__all__ = ["LAYOUTS", "SUPABASE", "TIMESTAMPED", "Found", "Layout", "find", "history_name", "layout_of"]
