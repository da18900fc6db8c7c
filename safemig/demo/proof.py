"""The demo's own look at production, apart from the verbs: no row lost, the schema what it should be."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from safemig.postgres.connection.connect import connect
from safemig.postgres.dump.tools import piped
from safemig.postgres.server.programs import client_programs
from safemig.result import BOOKKEEPING_SCHEMAS

TABLES_AND_COLUMNS = """
SELECT relation.relnamespace::regnamespace::text, relation.relname, array_agg(attname::text ORDER BY attnum)
  FROM pg_class AS relation
  JOIN pg_attribute ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
 WHERE relation.relkind = 'r'
   AND relation.relnamespace::regnamespace::text <> ALL (%s)
   AND relation.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
 GROUP BY 1, 2
 ORDER BY 1, 2
"""
# The sum does not depend on the order of the rows; xor would lose two equal ones.
ROWS_AND_CONTENT = """
SELECT count(*), coalesce(sum(hashtextextended(ROW({columns})::text, 0)::numeric), 0)::text FROM {table}
"""


@dataclass(frozen=True, slots=True)
class Content:
    """One table's rows, and a number that stands for everything in `columns` of them."""

    columns: tuple[str, ...]
    rows: int
    hash: str


def read_content(conninfo: str, columns_of: Mapping[str, Content] | None = None) -> dict[str, Content]:
    """Return every table's content, by `schema.table`; of the columns in `columns_of` where that has the table.

    Reads only. A column that is gone is missing in the result's `columns`.
    """
    found = {}
    with connect(conninfo, "the demo's database") as connection:
        for schema, table, columns in connection.execute(TABLES_AND_COLUMNS, (list(BOOKKEEPING_SCHEMAS),)).fetchall():
            name = f"{schema}.{table}"
            wanted = tuple(columns)
            if columns_of and name in columns_of:
                wanted = tuple(column for column in columns_of[name].columns if column in columns)
            query = sql.SQL(ROWS_AND_CONTENT).format(
                columns=sql.SQL(", ").join(map(sql.Identifier, wanted)), table=sql.Identifier(schema, table)
            )
            rows, content = connection.execute(query).fetchall()[0]
            found[name] = Content(wanted, rows, content)
    return found


def lost_rows(before: Mapping[str, Content], conninfo: str) -> list[str]:
    """Return what is missing or different of the content that was there `before`, a sentence each; none is good.

    Columns that came since do not count: what is compared is what was there.
    """
    after = read_content(conninfo, before)
    return [problem for name, was in before.items() if (problem := _loss(name, was, after.get(name)))]


def _loss(name: str, was: Content, now: Content | None) -> str:
    if now is None:
        return f"table {name} is gone"
    if gone := set(was.columns) - set(now.columns):
        return f"{name}: gone with all it held: {', '.join(sorted(gone))}"
    if was.rows != now.rows:
        return f"{name}: {was.rows:,} rows before, {now.rows:,} now"
    return "" if was == now else f"{name}: its {was.rows:,} rows hold something else now"


def schema_differences(staging: str, production: str, major: int, kept: Sequence[str]) -> list[str]:
    """Return the lines in which the two databases' schema dumps differ: `-` only in production, `+` only in staging.

    pg_dump writes them, so that no engine of ours has a say in it. Of the column that staging dropped, and whose
    DROP was commented out, production still has the lines `kept`: they are expected, and missing ones are a difference.
    """
    differences = [
        line
        for line in difflib.unified_diff(_dump(production, major), _dump(staging, major), lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
    missing = [f"kept column: {line}" for line in kept if line not in differences]
    return missing + [line for line in differences if line not in kept]


def _dump(conninfo: str, major: int) -> list[str]:
    without = [f"--exclude-schema={schema}" for schema in BOOKKEEPING_SCHEMAS]
    with piped(client_programs(major * 10000), "pg_dump", conninfo, "--schema-only", *without) as dump:
        text = dump.stdout.read().decode() if dump.stdout else ""
    # Headers are no schema, and the key of \restrict is another one in each dump.
    return [line for line in text.splitlines() if line and not line.startswith(("--", "\\restrict", "\\unrestrict"))]
