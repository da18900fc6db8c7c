"""Read the rows that the project's settings count as configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from safemig.errors import SettingsError
from safemig.postgres.platforms import CONFIGURATION_COLUMNS
from safemig.schema.facts import ConfigurationRowFact
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_literal, quote_name

MOST_ROWS = 1000
_NAMED = re.compile(r'\s*("(?:[^"]|"")+"|[^\s".(]+)\.("(?:[^"]|"")+"|[^\s".(]+)\s*(?:\(([^)]*)\))?\s*')
# Values come out in one form, whatever the session's settings.
FORMS_OF_VALUES = """
SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, YMD', true),
       set_config('IntervalStyle', 'postgres', true), set_config('extra_float_digits', '1', true),
       set_config('bytea_output', 'hex', true), set_config('row_security', %s, true)
"""
# Written down as they are, without quotes.
_BARE = frozenset({"boolean", "smallint", "integer", "bigint", "numeric", "real", "double precision"})
# A column whose default is the clock, or who is there, tells when and by whom a row was made: of no two places the same.
COLUMNS_OF_TABLE = r"""
SELECT a.attname, format_type(a.atttypid, NULL), a.attgenerated <> '',
       a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) ~ 'nextval\(|gen_random_uuid|uuid_generate',
       coalesce(pg_get_expr(d.adbin, d.adrelid) ~* '\m(now|[a-z]+_timestamp|timezone)\(|current_|localtime', false),
       CASE WHEN t.typtype = 'e' THEN ARRAY[t.typnamespace::regnamespace::text, t.typname::text] ELSE '{}' END
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
# The primary key first. Of an index with a condition or an expression ON CONFLICT needs more than its columns.
KEYS_OF_TABLE = """
SELECT i.indisprimary, ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place)
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number WHERE k.place <= i.indnkeyatts ORDER BY k.place),
       (SELECT bool_and(a.attnotnull) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place)
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number WHERE k.place <= i.indnkeyatts)
FROM pg_index i WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
  AND i.indexprs IS NULL ORDER BY i.indisprimary DESC, i.indexrelid
"""
EXTENSION_OF_TABLE = """
SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
WHERE d.classid = 'pg_class'::regclass AND d.objid = to_regclass(%s) AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
"""


class _Column(NamedTuple):
    type: str
    is_generated: bool
    makes_itself: bool  # the database gives it a value: another one in each place
    is_of_the_moment: bool
    enum: tuple[str, ...]  # schema and name, where its type is one


def read_configuration_rows(
    connection: psycopg.Connection[Any], tables: Sequence[str], *, whole: bool = False
) -> tuple[dict[Id, ConfigurationRowFact], list[tuple[Id, Id, str]], tuple[str, ...]]:
    """Return the rows of `tables` as facts, what each needs, and in words what of them is not compared. Reads only.

    `tables` are names such as `storage.buckets`, or with columns `public.plans(code, price)`; the others are then not
    compared; `whole` is for all that can be written. To be called within a transaction, whose settings it changes.

    Raises:
        SettingsError: a table has no key by which rows can be told apart, has thousands of them, or hides some from us.
    """
    facts: dict[Id, ConfigurationRowFact] = {}
    needs: list[tuple[Id, Id, str]] = []
    left_out: list[str] = []
    for said in tables:
        schema, table, wanted = parse_table(said)
        name = f"{quote_identifier(schema)}.{quote_identifier(table)}"
        # pg_cron shows to each role its own jobs, and means it so.
        connection.execute(FORMS_OF_VALUES, ("on" if name == "cron.job" else "off",))
        columns = {
            column: _Column(type_, generated, makes_itself, of_the_moment, tuple(enum))
            for column, type_, generated, makes_itself, of_the_moment, enum in connection.execute(
                COLUMNS_OF_TABLE, (name,)
            ).fetchall()
        }
        if not columns:
            left_out.append(f"rows of {name}: no such table")
            continue
        key = ("jobname",) if name == "cron.job" else _key(connection, name, columns)
        if whole and name != "cron.job":
            wanted = tuple(each for each, column in columns.items() if not column.is_generated)
        chosen = _chosen(name, columns, key, wanted)
        rows = _rows(connection, schema, table, chosen)
        extension = connection.execute(EXTENSION_OF_TABLE, (name,)).fetchone()
        for row in rows:
            values = tuple(map(_literal, row, (columns[each].type for each in chosen)))
            fact = ConfigurationRowFact(key, chosen, values, "cron" if name == "cron.job" else "")
            if "NULL" in [fact.value(each) for each in key]:
                left_out.append(
                    f"a row of {name} without {', '.join(key)}, so that no other row can be held against it"
                )
                continue
            item = Id(
                "configuration row", schema, table,
                " AND ".join(f"{quote_identifier(each)} = {fact.value(each)}" for each in key),
            )  # fmt: skip
            facts[item] = fact
            needs += [(item, Id("column", schema, table, each), "n") for each in chosen]
            needs += [(item, Id("enum", *columns[each].enum[:2]), "n") for each in chosen if columns[each].enum]
            if extension:
                needs.append((item, Id("extension", "", extension[0]), "n"))
    return facts, needs, tuple(left_out)


def parse_table(said: str) -> tuple[str, str, tuple[str, ...]]:
    """Return schema, table and columns of an entry of the setting.

    Raises:
        SettingsError: it is none.
    """
    match = _NAMED.fullmatch(said)
    if match is None:
        raise SettingsError(
            f'configuration_rows: "{said}" is no table',
            where="configuration_rows",
            next='write it with its schema, such as "storage.buckets" or "public.plans(code, price)"',
        )
    columns = tuple(_plain(each.strip()) for each in (match[3] or "").split(",") if each.strip())
    return _plain(match[1]), _plain(match[2]), columns


def table_names(tables: Sequence[str]) -> frozenset[str]:
    """Return the tables of the setting, as SQL names them."""
    return frozenset(quote_name(*parse_table(each)[:2]) for each in tables)


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _key(connection: psycopg.Connection[Any], name: str, columns: dict[str, _Column]) -> tuple[str, ...]:
    found = [tuple(row[1]) for row in connection.execute(KEYS_OF_TABLE, (name,)).fetchall() if row[0] or row[2]]
    # A number or UUID that the database makes up is another one in each environment.
    by_meaning = [key for key in found if not any(columns[each].makes_itself for each in key)]
    if not found:
        raise SettingsError(
            f"configuration_rows: the rows of {name} cannot be told apart",
            where="it has no primary key, and no unique index over columns that are NOT NULL",
            next="give it a primary key, or take it out of configuration_rows",
        )
    return (by_meaning or found)[0]


def _chosen(name: str, columns: dict[str, _Column], key: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    if gone := [each for each in wanted if each not in columns]:
        raise SettingsError(
            f"configuration_rows: {name} has no column {gone[0]}",
            where=f"its columns: {', '.join(columns)}",
            next="correct the name",
        )
    known = wanted or CONFIGURATION_COLUMNS.get(name, ())
    if known:
        return tuple(each for each in columns if each in key or each in known)
    return tuple(
        each
        for each, column in columns.items()
        if each in key or not (column.is_generated or column.makes_itself or column.is_of_the_moment)
    )


def _rows(
    connection: psycopg.Connection[Any], schema: str, table: str, columns: tuple[str, ...]
) -> list[tuple[str | None, ...]]:
    query = sql.SQL("SELECT {} FROM {}{} ORDER BY 1 LIMIT {}").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(each)) for each in columns),
        sql.Identifier(schema, table),
        sql.SQL(" WHERE username = current_user" if (schema, table) == ("cron", "job") else ""),
        sql.Literal(MOST_ROWS + 1),
    )
    try:
        rows = connection.execute(query).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        raise SettingsError(
            f"configuration_rows: the rows of {schema}.{table} cannot be read: {error.diag.message_primary}",
            where="configuration_rows",
            next=f"GRANT SELECT ON {schema}.{table} to that role (with BYPASSRLS, or a policy), or take it out of configuration_rows",
        ) from None
    if len(rows) > MOST_ROWS:
        raise SettingsError(
            f"configuration_rows: {schema}.{table} has more than {MOST_ROWS:,} rows, which is data, not configuration",
            where="configuration_rows",
            next="take it out of configuration_rows",
        )
    return rows


def _literal(value: str | None, type_: str) -> str:
    if value is None:
        return "NULL"
    return (
        value if type_ in _BARE and re.fullmatch(r"-?\d+(\.\d+)?|true|false", value) else quote_literal(value).strip()
    )
