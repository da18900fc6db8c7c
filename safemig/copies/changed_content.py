"""What a copy holds since a moment: only what was written to since is read again.

PostgreSQL never changes a row version in place (manual, 13.1): anyone who writes to a table adds a version of a newer
transaction, takes one away, or gives the table another file. So where the file is the same, as many rows are seen, and
none of them is newer, it is the very same rows, whichever statement, trigger or function might have written. Freezing
keeps a version's transaction (since 9.4), and locking a row leaves its content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg import sql

from safemig import live
from safemig.copies.content import Labels, TableColumns, hashed, read_columns, read_labels
from safemig.postgres import activity
from safemig.postgres.connection import Connection
from safemig.postgres.dump.plain import content_of
from safemig.postgres.dump.reader import LARGE_OBJECTS
from safemig.postgres.server.programs import Programs
from safemig.results import TableContent

THIS_TRANSACTION = "SELECT pg_current_xact_id()::xid::text"
ROWS_AND_NEWER_ONES = "SELECT {}, count(*), count(*) FILTER (WHERE age(xmin) < age({}::xid)) FROM ONLY {}"
_MOST_NAMED = 200
_ASKED_TOGETHER = 100


@dataclass(frozen=True, slots=True)
class Moment:
    """A copy at a moment: the latest transaction, its tables, the values of its enums, and its content."""

    transaction: str
    tables: Mapping[int, TableColumns]
    labels: Labels
    contents: Mapping[str, TableContent]  # by name

    @classmethod
    def now(cls, copy: Connection, tables: Mapping[int, TableColumns], contents: Sequence[TableContent]) -> Moment:
        """Return this moment of a copy to which no one else writes; `tables` and `contents` are as it is now."""
        ((transaction,),) = activity.ask(copy, THIS_TRANSACTION)
        return cls(transaction, tables, read_labels(copy), {each.name: each for each in contents})


def content_since(
    copy: Connection, url: str, programs: Programs, then: Moment, *, by_column: bool = False
) -> tuple[dict[int, TableColumns], tuple[TableContent, ...]]:
    """Return the tables, with hashes of those that had them at the moment, and all content as it is now.

    Read is what was written to, or looks otherwise than it did. With `by_column` a table that only gained or lost
    columns is left to the hashes of those that stayed, and has no hash as a whole.
    """
    now, labels = read_columns(copy, ()), read_labels(copy)
    is_same_words = all(labels.get(oid) == label for oid, label in then.labels.items())
    ((large,),) = activity.ask(copy, activity.HOW_MANY_LARGE_OBJECTS)
    untouched = _hold_the_same_rows(copy, then, now)
    contents: list[TableContent] = []
    to_read: list[str] = []
    for oid, table in list(now.items()):
        old = then.tables.get(oid)
        known = then.contents.get(old.label) if old else None
        if not table.has_rows or (old and not known):  # the latter pg_dump leaves to their extension
            continue
        if old and known and oid in untouched:
            common = old.columns.keys() & table.columns.keys()
            is_whole = old.columns.keys() == table.columns.keys()
            if (is_whole or (by_column and old.hashes)) and all(
                _looks_the_same(old, table, number, is_same_words) for number in common
            ):
                contents.append(TableContent(table.label, known.rows, known.sha256 if is_whole else ""))
                now[oid] = replace(table, hashes={each: old.hashes[each] for each in common if each in old.hashes})
                live.advance(known.rows)
                continue
        to_read.append(table.label)
        if old and old.hashes:
            now[oid] = hashed(copy, table)
    # By its --table pg_dump would leave large objects out, and it looks each name up by itself.
    if large or LARGE_OBJECTS in then.contents or len(to_read) > _MOST_NAMED:
        return now, content_of(url, programs)
    return now, (*contents, *(content_of(url, programs, to_read) if to_read else ()))


def _hold_the_same_rows(copy: Connection, then: Moment, now: Mapping[int, TableColumns]) -> set[int]:
    """Return the oids of the tables that hold the very rows that they held then."""
    rows = {
        oid: then.contents[old.label].rows
        for oid, old in then.tables.items()
        if old.label in then.contents and oid in now and now[oid].has_rows and now[oid].file == old.file
    }
    found: set[int] = set()
    for first in range(0, len(rows), _ASKED_TOGETHER):
        questions = [
            sql.SQL(ROWS_AND_NEWER_ONES).format(
                sql.Literal(oid), sql.Literal(then.transaction), sql.Identifier(now[oid].schema, now[oid].name)
            )
            for oid in list(rows)[first : first + _ASKED_TOGETHER]
        ]
        answers = copy.execute(sql.SQL(" UNION ALL ").join(questions)).fetchall()
        found |= {oid for oid, count, newer in answers if (count, newer) == (rows[oid], 0)}
    return found


def _looks_the_same(old: TableColumns, table: TableColumns, number: int, is_same_words: bool) -> bool:
    column = table.columns[number]
    return column.form == old.columns[number].form and not column.lies_elsewhere and is_same_words
