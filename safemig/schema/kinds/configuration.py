"""Rows that are configuration, such as a storage bucket or a cron job: written so that running them twice is once."""

# ruff: noqa: S608 - the statements are written for a file, of names and literals that are quoted
# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from safemig.schema.facts import ConfigurationRowFact
from safemig.schema.kinds.base import Kind, Step
from safemig.schema.model import Facts, Id
from safemig.sql.identifiers import quote_identifier, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.plan import Plan

_ROWS = LockMode.ROW_EXCLUSIVE


class ConfigurationRow(Kind):
    """One row of a table of the setting `configuration_rows`; `sub` is its key as a condition."""

    name = "configuration row"
    phase = 98
    drop_phase = 1
    rebuildable = False
    says_values_plainly = True
    is_named_after = True

    def implied(self, item: Id) -> Sequence[Id]:
        return (
            Id("schema", "", item.schema),
            *(Id(kind, item.schema, item.name) for kind in ("table", "view", "materialized view")),
        )

    def is_told_with(self, item: Id, listed: Container[Id], facts: Facts, *, is_gone: bool) -> bool:
        return is_gone and Id("table", item.schema, item.name) in listed

    def create(self, item: Id, fact: ConfigurationRowFact, plan: Plan) -> list[Step]:
        return _cron(fact) if fact.form == "cron" else [_upsert(item, fact)]

    def alter(self, item: Id, old: ConfigurationRowFact, new: ConfigurationRowFact, plan: Plan) -> list[Step] | None:
        return self.create(item, new, plan)

    def drop(self, item: Id, fact: ConfigurationRowFact, plan: Plan) -> list[Step]:
        why = "the row is gone from there; what refers to it may go with it, or stand in the way"
        sql = f"DELETE FROM {quote_name(item.schema, item.name)} WHERE {item.sub}"
        if fact.form == "cron":
            sql = f"SELECT cron.unschedule({fact.value('jobname')})"
            why = "the job is no longer run"
        return [Step(sql, why, destructive=True, lock=_ROWS)]

    def dropped_with(self, item: Id, fact: ConfigurationRowFact, plan: Plan) -> Id | None:
        table = Id("table", item.schema, item.name)
        return table if table in plan.dropped else None

    def detail(self, old: ConfigurationRowFact, new: ConfigurationRowFact) -> str:
        before, after = (dict(zip(each.columns, each.values, strict=True)) for each in (old, new))
        return "; ".join(
            f"{name} {before.get(name, 'none')} -> {after.get(name, 'none')}"
            for name in dict.fromkeys((*new.columns, *old.columns))
            if before.get(name) != after.get(name)
        )


def _upsert(item: Id, fact: ConfigurationRowFact) -> Step:
    names = ", ".join(map(quote_identifier, fact.columns))
    key = ", ".join(map(quote_identifier, fact.key))
    others = [quote_identifier(name) for name in fact.columns if name not in fact.key]
    then = f"UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in others)}" if others else "NOTHING"
    return Step(
        f"INSERT INTO {quote_name(item.schema, item.name)} ({names})\n    VALUES ({', '.join(fact.values)})"
        f"\n    ON CONFLICT ({key}) DO {then}",
        lock=_ROWS,
    )


def _cron(fact: ConfigurationRowFact) -> list[Step]:
    name = fact.value("jobname")
    steps = [Step(f"SELECT cron.schedule({name}, {fact.value('schedule')}, {fact.value('command')})", lock=_ROWS)]
    # What is scheduled anew keeps the state that it had.
    job = f"(SELECT jobid FROM cron.job WHERE jobname = {name} AND username = current_user)"
    return [*steps, Step(f"SELECT cron.alter_job({job}, active := {fact.value('active')})", lock=_ROWS)]
