"""Publications, with their tables and schemas, and subscriptions."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safemig.schema.facts import (
    PublicationFact,
    PublicationTableFact,
    SubscriptionFact,
)
from safemig.schema.kinds.base import Kind, Step
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_literal, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.plan import Plan


class Publication(Kind):
    name = "publication"
    keyword = "PUBLICATION"
    phase = 70
    drop_phase = 5
    has_owner = True
    alter_matters = False

    def create(self, item: Id, fact: PublicationFact, plan: Plan) -> list[Step]:
        name, facts = quote_identifier(item.name), plan.target.facts
        along = sorted(plan.made_along.get(item, ()))
        tables = [f"ONLY {published(facts[each])}" for each in along if each.kind == PublicationTable.name]
        schemas = [quote_identifier(facts[each].schema) for each in along if each.kind == PublicationSchema.name]
        parts = [f"TABLE {', '.join(tables)}"] if tables else []
        parts += [f"TABLES IN SCHEMA {', '.join(schemas)}"] if schemas else []
        what = "ALL TABLES" if fact.all_tables else ", ".join(parts)
        return [
            Step(
                f"CREATE PUBLICATION {name}{f' FOR {what}' if what else ''} WITH ({_with(fact.options)})",
                lock=LockMode.SHARE_UPDATE_EXCLUSIVE if tables else None,
                reverse=f"DROP PUBLICATION {name}",
            )
        ]

    def drop(self, item: Id, fact: PublicationFact, plan: Plan) -> list[Step]:
        return [
            Step(
                f"DROP PUBLICATION IF EXISTS {quote_identifier(item.name)}",
                "subscribers no longer receive anything from it",
                rule="publication-subscription",
            )
        ]

    def alter(self, item: Id, old: PublicationFact, new: PublicationFact, plan: Plan) -> list[Step] | None:
        if old.all_tables != new.all_tables:
            return None
        names = {name for name, _ in new.options}
        usual = {"publish_via_partition_root": "false", "publish_generated_columns": "none"}
        gone = tuple((name, usual[name]) for name, _ in old.options if name not in names)
        return [
            Step(
                f"ALTER PUBLICATION {quote_identifier(item.name)} SET ({_with((*new.options, *gone))})",
                "what subscribers get changes",
                rule="publication-subscription",
            )
        ]


def published(fact: PublicationTableFact) -> str:
    """Return a table as it stands in a publication, with its columns and its filter."""
    said = f" ({', '.join(map(quote_identifier, fact.columns))})" if fact.columns else ""
    where = fact.where if fact.where is None or fact.where.startswith("(") else f"({fact.where})"
    return f"{quote_name(fact.schema, fact.table)}{said}" + (f" WHERE {where}" if where else "")


def _with(options: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name} = '{value}'" for name, value in options)


class PublicationTable(Kind):
    name = "publication table"
    stands_on_types = True
    phase = 71
    drop_phase = 6

    def dropped_with(self, item: Id, fact: PublicationTableFact, plan: Plan) -> Id | None:
        for outer in (Id("publication", "", item.name), Id("table", fact.schema, fact.table)):
            if outer in plan.dropped:
                return outer
        return None

    def relations(self, fact: PublicationTableFact) -> tuple[tuple[str, str], ...]:
        return ((fact.schema, fact.table),)

    def created_with(self, item: Id, fact: PublicationTableFact, plan: Plan) -> Id | None:
        return _created_publication(item, plan)

    def create(self, item: Id, fact: PublicationTableFact, plan: Plan) -> list[Step]:
        table = quote_name(fact.schema, fact.table)
        name = quote_identifier(item.name)
        return [
            Step(
                f"ALTER PUBLICATION {name} ADD TABLE ONLY {published(fact)}",
                lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
                reverse=f"ALTER PUBLICATION {name} DROP TABLE ONLY {table}",
            )
        ]

    def drop(self, item: Id, fact: PublicationTableFact, plan: Plan) -> list[Step]:
        name = quote_identifier(item.name)
        return [
            Step(
                f"ALTER PUBLICATION {name} DROP TABLE ONLY {quote_name(fact.schema, fact.table)}",
                lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
                reverse=f"ALTER PUBLICATION {name} ADD TABLE ONLY {published(fact)}",
            )
        ]


def _created_publication(item: Id, plan: Plan) -> Id | None:
    publication = Id(Publication.name, "", item.name)
    return publication if publication in plan.created else None


class PublicationSchema(Kind):
    name = "publication schema"
    phase = 71
    drop_phase = 6

    def created_with(self, item: Id, fact: Any, plan: Plan) -> Id | None:
        return _created_publication(item, plan)

    def dropped_with(self, item: Id, fact: Any, plan: Plan) -> Id | None:
        for outer in (Id("publication", "", item.name), Id("schema", "", fact.schema)):
            if outer in plan.dropped:
                return outer
        return None

    def create(self, item: Id, fact: Any, plan: Plan) -> list[Step]:
        return [
            Step(
                f"ALTER PUBLICATION {quote_identifier(item.name)} ADD TABLES IN SCHEMA {quote_identifier(fact.schema)}"
            )
        ]

    def drop(self, item: Id, fact: Any, plan: Plan) -> list[Step]:
        return [
            Step(
                f"ALTER PUBLICATION {quote_identifier(item.name)} DROP TABLES IN SCHEMA {quote_identifier(fact.schema)}"
            )
        ]


class Subscription(Kind):
    name = "subscription"
    keyword = "SUBSCRIPTION"
    phase = 97
    drop_phase = 4
    has_owner = True

    def create(self, item: Id, fact: SubscriptionFact, plan: Plan) -> list[Step]:
        said = ", ".join(f"{name} = {value}" for name, value in (("connect", "false"), *fact.options))
        names = ", ".join(map(quote_identifier, fact.publications))
        return [
            Step(
                f"CREATE SUBSCRIPTION {quote_identifier(item.name)} CONNECTION {quote_literal(fact.connection).strip()}"
                f"\n    PUBLICATION {names}\n    WITH ({said})",
                "made without connecting, as pg_dump does; enable it when its slot is there",
                rule="publication-subscription",
            )
        ]

    def drop(self, item: Id, fact: SubscriptionFact, plan: Plan) -> list[Step]:
        name = quote_identifier(item.name)
        why = f"where {item.name} had got to is lost; its slot on the publisher stays and must be dropped there"
        rule = "publication-subscription"
        return [
            Step(f"ALTER SUBSCRIPTION {name} DISABLE", why, destructive=True, rule=rule),
            Step(f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE)", why, destructive=True, rule=rule),
            Step(f"DROP SUBSCRIPTION {name}", why, destructive=True, rule=rule),
        ]

    def alter(self, item: Id, old: SubscriptionFact, new: SubscriptionFact, plan: Plan) -> list[Step] | None:
        name = quote_identifier(item.name)
        before, after = dict(old.options), dict(new.options)
        if before.get("two_phase") != after.get("two_phase"):
            return None
        steps = []
        if old.connection != new.connection:
            steps.append(Step(f"ALTER SUBSCRIPTION {name} CONNECTION {quote_literal(new.connection).strip()}"))
        if old.publications != new.publications:
            names = ", ".join(map(quote_identifier, new.publications))
            steps.append(Step(f"ALTER SUBSCRIPTION {name} SET PUBLICATION {names} WITH (refresh = false)"))
        usual = {
            "binary": "false",
            "streaming": "off",
            "synchronous_commit": "'off'",
            "disable_on_error": "false",
            "origin": "any",
            "password_required": "true",
            "run_as_owner": "false",
            "failover": "false",
        }
        differ = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
        said = [f"{key} = {after.get(key, usual.get(key, 'NONE'))}" for key in differ]
        if said:
            steps.append(Step(f"ALTER SUBSCRIPTION {name} SET ({', '.join(said)})"))
        return steps
