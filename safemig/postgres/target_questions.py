"""Count in a target what would make a migration fail. Reads only, and never for long."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from safemig.review.questions import Question

# Without row_security the count would be of the rows that this role may see; with it off the server refuses instead.
BOUNDS = "SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = 100; SET LOCAL row_security = off"
NULLS = "SELECT count(*) FROM (SELECT FROM {table} WHERE {columns} IS NULL LIMIT 1000) found"
DUPLICATES = "SELECT count(*) FROM (SELECT FROM {table}{where} GROUP BY {columns} HAVING count(*) > 1 LIMIT 1000) found"
MOST = 1000
ONE_MS = 1000
ALL_S = 3.0


def answers(connection: psycopg.Connection[Any], asked: Iterable[Question]) -> dict[Question, int]:
    """Return the counts, of which 1,000 means at least so many; what takes longer than 1 s, or 3 s with all, is left out.

    Takes ACCESS SHARE on each table while it is read.
    """
    found: dict[Question, int] = {}
    until = time.monotonic() + ALL_S
    for question in asked:
        left_ms = min(ONE_MS, int((until - time.monotonic()) * 1000))
        if left_ms <= 0:
            break
        try:
            with connection.transaction():
                connection.execute(sql.SQL(BOUNDS).format(sql.Literal(left_ms)))
                row = connection.execute(_query(question)).fetchone()
        except psycopg.OperationalError:
            if connection.broken:
                raise
        except psycopg.Error:
            continue  # no right to read it, or no such operator: then it is not known
        else:
            found[question] = row[0] if row else 0
    return found


def _query(question: Question) -> sql.Composed:
    columns = [sql.Identifier(column) for column in question.columns]
    present = sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(column) for column in columns)
    where = sql.SQL("") if question.nulls_are_equal else sql.SQL(" WHERE {}").format(present)
    return sql.SQL(NULLS if question.what == "nulls" else DUPLICATES).format(
        table=sql.Identifier(*question.table), columns=sql.SQL(", ").join(columns), where=where
    )
