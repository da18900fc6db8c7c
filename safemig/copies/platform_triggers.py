"""Triggers of the team's on the platform's tables: dropped by a road that does not need the table's owner.

On Supabase the deploying role may make a trigger on auth.users, for it has the right TRIGGER there; DROP TRIGGER is for
the table's owner alone (manual, DROP TRIGGER). CREATE OR REPLACE TRIGGER (14 and later) needs no more than CREATE: the
trigger is made to call a function of ours, and goes with that one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from safemig.postgres.platforms import Platform
from safemig.schema import ChangeSet, Schema, SchemaDiff, Statement
from safemig.sql.identifiers import quote_identifier, quote_name

WITH_REPLACE = 140000
_CALL = re.compile(r"EXECUTE (?:FUNCTION|PROCEDURE) .+\Z", re.DOTALL)
_ROAD = """\
-- only the owner of {table} may drop a trigger there: it is replaced by one whose function goes, and goes with that
CREATE FUNCTION pg_temp.safemig_gone() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
{replaced} EXECUTE FUNCTION pg_temp.safemig_gone();
DROP FUNCTION pg_temp.safemig_gone() CASCADE"""


def without_their_owner(diff: SchemaDiff, before: Schema, platform: Platform) -> SchemaDiff:
    """Return the difference with such triggers dropped by a road that the deploying role may take.

    `before` is the schema that the statements run on. Where there is no such road (a constraint trigger, PostgreSQL 13),
    the statement stays, and a warning says who may run it.
    """
    if platform.reader_is_superuser:
        return diff
    roads = _roads(before, platform)
    dropped = {drop for drop in roads if any(_drops(each.sql, drop) for each in _all(diff))}
    if not dropped:
        return diff

    def put(statement: Statement) -> Statement:
        drop = next((each for each in dropped if _drops(statement.sql, each)), None)
        return replace(statement, sql=roads[drop]) if drop and roads[drop] else statement

    return replace(
        diff,
        statements=tuple(map(put, diff.statements)),
        online_statements=tuple(map(put, diff.online_statements)),
        change_sets=tuple(_mapped(each, put) for each in diff.change_sets),
        warnings=(
            *diff.warnings,
            *(f"DROP TRIGGER {drop}: only the table's owner may run it" for drop in sorted(dropped) if not roads[drop]),
        ),
    )


def _roads(before: Schema, platform: Platform) -> Mapping[str, str]:
    """Return for each of those triggers, as DROP TRIGGER names it, what drops it; "" where only the owner can."""
    found: dict[str, str] = {}
    for item, fact in before.facts.items():
        if item.kind != "trigger" or item.schema not in platform.schemas:
            continue
        table = quote_name(item.schema, item.name)
        begins = "CREATE TRIGGER "
        may = before.server_version_num >= WITH_REPLACE and fact.definition.startswith(begins)
        replaced = _CALL.sub("", f"CREATE OR REPLACE TRIGGER {fact.definition.removeprefix(begins)}").strip()
        road = _ROAD.format(table=table, replaced=replaced) if may else ""
        found[f"{quote_identifier(item.sub)} ON {table}"] = road
    return found


def _drops(sql: str, trigger: str) -> bool:
    return sql.startswith("DROP TRIGGER") and sql.endswith(f" {trigger}")


def _all(diff: SchemaDiff) -> tuple[Statement, ...]:
    sets = tuple(statement for each in diff.change_sets for statement in each.statements)
    return (*diff.statements, *diff.online_statements, *sets)


def _mapped(change: ChangeSet, put: Callable[[Statement], Statement]) -> ChangeSet:
    return replace(change, parts=tuple((part, tuple(map(put, statements))) for part, statements in change.parts))
