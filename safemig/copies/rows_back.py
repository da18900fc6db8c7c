"""The configuration rows that migrations changed, made again by the rollback script as they were: every column of them."""

# ruff: noqa: S608 - the statements are written for a file, of names and literals that are quoted

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from safemig.errors import SettingsError
from safemig.execution.acting import act_as
from safemig.postgres.catalog.configuration import read_configuration_rows
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect
from safemig.schema.facts import ConfigurationRowFact
from safemig.schema.model import Id
from safemig.settings import Settings
from safemig.sql.identifiers import quote_identifier, quote_literal, quote_name

Rows = Mapping[Id, ConfigurationRowFact]
# A row that was made is not deleted where that would change rows that were written since.
WHAT_A_DELETE_REACHES = """
SELECT conrelid::regclass::text FROM pg_constraint
WHERE confrelid = to_regclass(%s) AND contype = 'f' AND confdeltype IN ('c', 'n', 'd') ORDER BY 1 LIMIT 1
"""
_DELETE = """DO $safemig$ BEGIN
  DELETE FROM {table} WHERE {key};
EXCEPTION WHEN foreign_key_violation OR restrict_violation THEN RAISE WARNING '%', {words};
END $safemig$;"""


@dataclass(frozen=True, slots=True)
class RowsBack:
    """SQL before the schema is taken back and after it, and in words what it leaves."""

    first: str = ""
    last: str = ""
    stays: tuple[str, ...] = ()

    def around(self, sql: str) -> str:
        """Return the SQL that takes the schema back, with the rows."""
        return "\n".join(filter(None, (self.first, sql.rstrip("\n"), self.last)))


def read_rows(settings: Settings, url: str) -> Rows:
    """Return the whole rows of the tables in `configuration_rows`, as the deploying role sees them. Reads only."""
    if not settings.configuration_rows:
        return {}
    with connect(url, "the copy") as copy:
        act_as(copy, settings.deploy_as)
        try:
            with copy.transaction():
                return read_configuration_rows(copy, settings.configuration_rows, whole=True)[0]
        except SettingsError:  # which generate and status tell
            return {}


def rows_back(copy: Connection, before: Rows | None, after: Rows) -> RowsBack:
    """Return how the rows become again what they were: those that were made go, the others have their values back.

    None before: the copy is without rows, and what a row was is not known.
    """
    if before is None:
        written = {quote_name(item.schema, item.name) for item in after}
        return RowsBack(
            stays=tuple(f"the rows of {table} as they were: they were not on the copy" for table in sorted(written))
        )
    first: list[str] = []
    last: list[str] = []
    stays: list[str] = []
    for item in after.keys() - before.keys():
        table = quote_name(item.schema, item.name)
        reaches = copy.execute(WHAT_A_DELETE_REACHES, (table,)).fetchone()
        if after[item].form == "cron":
            first.append(f"SELECT cron.unschedule({after[item].value('jobname')});")
        elif reaches:
            stays.append(f"{table} without its new row {item.sub}: to delete that would change rows of {reaches[0]}")
        else:
            words = quote_literal(f"{table}: the row {item.sub} stays, for other rows refer to it").strip()
            first.append(_DELETE.format(table=table, key=item.sub, words=words))
    for item, fact in before.items():
        if fact != after.get(item):
            last += _restored(item, fact, after.get(item))
    return RowsBack("\n".join(sorted(first)), "\n".join(sorted(last)), tuple(sorted(stays)))


def _restored(item: Id, fact: ConfigurationRowFact, now: ConfigurationRowFact | None) -> list[str]:
    if fact.form == "cron":
        name = fact.value("jobname")
        job = f"(SELECT jobid FROM cron.job WHERE jobname = {name} AND username = current_user)"
        return [
            f"SELECT cron.schedule({name}, {fact.value('schedule')}, {fact.value('command')}); "
            f"SELECT cron.alter_job({job}, active := {fact.value('active')});"
        ]
    table = quote_name(item.schema, item.name)
    if now is None:
        names = ", ".join(map(quote_identifier, fact.columns))
        return [f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({', '.join(fact.values)});"]
    known = dict(zip(now.columns, now.values, strict=True))
    changed = [
        f"{quote_identifier(column)} = {value}"
        for column, value in zip(fact.columns, fact.values, strict=True)
        if known.get(column) != value
    ]
    return [f"UPDATE {table} SET {', '.join(changed)} WHERE {item.sub};"] if changed else []
