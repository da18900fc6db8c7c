"""Everything of a backup beside production's own, and compared with it: where no second database can be made.

What cannot be restored or put back is left out and named with its reason; the rest does not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from safemig import live
from safemig.backups.beside import Beside
from safemig.backups.put_back import Found, Pair, Wish, find, pair, require_rows_possible
from safemig.backups.stored_tables import StoredSchema, StoredTable, name_of
from safemig.backups.target_tables import read_table
from safemig.errors import RefusedError, UnsupportedError
from safemig.postgres.connection import Connection
from safemig.postgres.dump.reader import LARGE_OBJECTS
from safemig.postgres.platforms import TABLES_FOR_THE_TEAM, platform_of
from safemig.result import BOOKKEEPING_SCHEMAS
from safemig.results import Backup
from safemig.sql.identifiers import quote_name

ALL = "all"  # a reserved word: as the name of a table it would be quoted
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Compared:
    """The tables of a backup against production's: those with rows to put back, the others, and what is left out."""

    work: tuple[tuple[Pair, Found], ...]
    same: tuple[tuple[Pair, Found], ...]
    left_out: tuple[str, ...]


def everything_in(
    connection: Connection, backup: Backup, stored: StoredSchema, hides: Callable[[str], bool]
) -> tuple[tuple[StoredTable, ...], tuple[str, ...]]:
    """Return the tables of a backup whose rows are the team's, and what is left out, in words. Reads only.

    `hides` tells which tables are a migration tool's history.
    """
    platform = platform_of(connection)
    wanted: list[StoredTable] = []
    notes: list[str] = []
    others: list[str] = []
    for each in stored.every():
        schema, name = each.name
        if schema in BOOKKEEPING_SCHEMAS or hides(each.sql):
            continue
        if schema in platform.schemas and f"{schema}.{name}" not in TABLES_FOR_THE_TEAM:
            others += [each.sql] * bool(each.rows)
            continue
        try:
            for part in each.parts:
                stored.columns_of(name_of(part.name))
        except UnsupportedError as error:
            notes.append(f"{each.sql} is not restored: {error.what}")
            continue
        wanted.append(each)
    if others:
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        notes.append(f"not restored, the platform's own: {', '.join(others[:_MOST_NAMED])}{more}")
    if any(table.name == LARGE_OBJECTS and table.rows for table in backup.tables):
        notes.append("large objects are not restored beside: they are in the backup's own files")
    return tuple(wanted), tuple(notes)


def compare_everything(connection: Connection, besides: Sequence[Beside], wish: Wish) -> Compared:
    """Compare every restored table with production's, in the caller's transaction. Reads only.

    A table that is gone, has no key, lacks a right or has rows that something stands against is left out, and with it
    those whose rows refer to rows that would have to come back with it.
    """
    left_out: list[str] = []
    work: list[tuple[Pair, Found]] = []
    same: list[tuple[Pair, Found]] = []
    with live.stage("compare with production", sum(each.rows for each in besides)):
        for each in besides:
            try:
                with connection.transaction():  # a savepoint: what fails does not end the comparison
                    made = _paired(connection, each, wish)
                    found = find(connection, made)
            except RefusedError as error:
                left_out.append(_in_words(quote_name(*each.table), error))
                continue
            (work if found.missing or (wish.update and found.differing) else same).append((made, found))
            live.advance(each.rows)
        while refused := _first_impossible(connection, [made for made, _ in work], wish):
            made, _ = work.pop(refused[0])
            left_out.append(_in_words(made.name, refused[1]))
    return Compared(tuple(work), tuple(same), tuple(left_out))


def _paired(connection: Connection, each: Beside, wish: Wish) -> Pair:
    table = read_table(connection, each.table)
    if table is None:
        raise RefusedError(
            "production no longer has that table",
            next=f"its rows stand in {each.sql}; its CREATE TABLE is in the backup's schema file",
        )
    return pair(connection, each, table, wish)


def _first_impossible(connection: Connection, pairs: Sequence[Pair], wish: Wish) -> tuple[int, RefusedError] | None:
    by_name = {each.target.name: each for each in pairs}
    for number, each in enumerate(pairs):
        try:
            with connection.transaction():
                require_rows_possible(connection, each, by_name, wish)
        except RefusedError as error:
            return number, error
    return None


def _in_words(table: str, error: RefusedError) -> str:
    return f"{table} is not put back: {error.what}" + (f"; {error.next}" if error.next else "")
