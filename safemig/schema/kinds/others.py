"""The rarer kinds: replication, foreign data, statistics, collations, casts, operators, text search, languages."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safemig.schema.facts import (
    CollationFact,
    DefaultPrivilegesFact,
    DefinedFact,
    PublicationFact,
    PublicationTableFact,
    ServerFact,
    StatisticsFact,
    SubscriptionFact,
    TextSearchFact,
    UserMappingFact,
    WrapperFact,
)
from safemig.schema.grants import builtin, changes
from safemig.schema.kinds.base import Kind, Step
from safemig.schema.kinds.tables import generic_changes, generic_options
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_literal, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.plan import Plan

_OBJECTS = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES", "n": "SCHEMAS", "L": "LARGE OBJECTS"}


class DefaultPrivileges(Kind):
    name = "default privileges"
    phase = 99
    drop_phase = 99
    rebuildable = False

    def _change(self, item: Id, before: Any, after: Any) -> list[Step]:
        head = f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote_identifier(item.name)}"
        if item.schema:
            head += f" IN SCHEMA {quote_identifier(item.schema)}"
        pairs = changes(before, after, _OBJECTS[item.sub], object_type=item.sub, owner=item.name)
        return [
            Step(f"{head} {sql.replace(f' ON {_OBJECTS[item.sub]} ', f' ON {_OBJECTS[item.sub]} ', 1)}", why)
            for sql, why in pairs
        ]

    def _usual(self, item: Id) -> Any:
        return () if item.schema else builtin(item.sub)

    def create(self, item: Id, fact: DefaultPrivilegesFact, plan: Plan) -> list[Step]:
        return self._change(item, self._usual(item), fact.grants)

    def drop(self, item: Id, fact: DefaultPrivilegesFact, plan: Plan) -> list[Step]:
        return self._change(item, fact.grants, self._usual(item))

    def alter(self, item: Id, old: DefaultPrivilegesFact, new: DefaultPrivilegesFact, plan: Plan) -> list[Step] | None:
        return self._change(item, old.grants, new.grants)


class Statistics(Kind):
    name = "statistics"
    keyword = "STATISTICS"
    phase = 69
    drop_phase = 13
    has_owner = True

    def create(self, item: Id, fact: StatisticsFact, plan: Plan) -> list[Step]:
        sql = fact.definition.replace("CREATE STATISTICS ", "CREATE STATISTICS IF NOT EXISTS ", 1)
        steps = [Step(sql, lock=LockMode.SHARE_UPDATE_EXCLUSIVE, reverse=f"DROP {self.target(item, fact)}")]
        return [*steps, self._target(item, fact.target)] if fact.target >= 0 else steps

    def _target(self, item: Id, target: int) -> Step:
        return Step(f"ALTER STATISTICS {quote_name(item.schema, item.name)} SET STATISTICS {target}")

    def alter(self, item: Id, old: StatisticsFact, new: StatisticsFact, plan: Plan) -> list[Step] | None:
        return None if old.definition != new.definition else [self._target(item, new.target)]


class Publication(Kind):
    name = "publication"
    keyword = "PUBLICATION"
    phase = 70
    drop_phase = 5
    has_owner = True
    alter_matters = False

    def create(self, item: Id, fact: PublicationFact, plan: Plan) -> list[Step]:
        name = quote_identifier(item.name)
        everything = " FOR ALL TABLES" if fact.all_tables else ""
        return [
            Step(
                f"CREATE PUBLICATION {name}{everything} WITH ({_with(fact.options)})",
                reverse=f"DROP PUBLICATION {name}",
            )
        ]

    def drop(self, item: Id, fact: PublicationFact, plan: Plan) -> list[Step]:
        return [
            Step(
                f"DROP PUBLICATION IF EXISTS {quote_identifier(item.name)}",
                "subscribers get nothing from it any more",
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


def _with(options: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name} = '{value}'" for name, value in options)


class PublicationTable(Kind):
    name = "publication table"
    phase = 71
    drop_phase = 6

    def dropped_with(self, item: Id, fact: PublicationTableFact, plan: Plan) -> Id | None:
        for outer in (Id("publication", "", item.name), Id("table", fact.schema, fact.table)):
            if outer in plan.dropped:
                return outer
        return None

    def _words(self, fact: PublicationTableFact) -> str:
        said = f" ({', '.join(map(quote_identifier, fact.columns))})" if fact.columns else ""
        where = fact.where if fact.where is None or fact.where.startswith("(") else f"({fact.where})"
        return f"{quote_name(fact.schema, fact.table)}{said}" + (f" WHERE {where}" if where else "")

    def create(self, item: Id, fact: PublicationTableFact, plan: Plan) -> list[Step]:
        table = quote_name(fact.schema, fact.table)
        name = quote_identifier(item.name)
        return [
            Step(
                f"ALTER PUBLICATION {name} ADD TABLE ONLY {self._words(fact)}",
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
                reverse=f"ALTER PUBLICATION {name} ADD TABLE ONLY {self._words(fact)}",
            )
        ]


class PublicationSchema(Kind):
    name = "publication schema"
    phase = 71
    drop_phase = 6

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


class Wrapper(Kind):
    name = "foreign data wrapper"
    keyword = "FOREIGN DATA WRAPPER"
    phase = 43
    drop_phase = 90
    grant_letter = "F"
    has_owner = True
    rebuildable = False
    alter_matters = False

    def grant_target(self, item: Id, fact: Any) -> str:
        return f"FOREIGN DATA WRAPPER {quote_identifier(item.name)}"

    def create(self, item: Id, fact: WrapperFact, plan: Plan) -> list[Step]:
        sql = f"CREATE FOREIGN DATA WRAPPER {quote_identifier(item.name)}"
        sql += f" HANDLER {fact.handler}" if fact.handler else ""
        sql += f" VALIDATOR {fact.validator}" if fact.validator else ""
        sql += f" OPTIONS ({generic_options(fact.options)})" if fact.options else ""
        return [Step(sql, reverse=f"DROP FOREIGN DATA WRAPPER {quote_identifier(item.name)}")]

    def alter(self, item: Id, old: WrapperFact, new: WrapperFact, plan: Plan) -> list[Step] | None:
        parts = []
        if old.handler != new.handler:
            parts.append(f"HANDLER {new.handler}" if new.handler else "NO HANDLER")
        if old.validator != new.validator:
            parts.append(f"VALIDATOR {new.validator}" if new.validator else "NO VALIDATOR")
        if old.options != new.options:
            parts.append(f"OPTIONS ({generic_changes(old.options, new.options)})")
        return [Step(f"ALTER FOREIGN DATA WRAPPER {quote_identifier(item.name)} {' '.join(parts)}")]


class Server(Kind):
    name = "server"
    keyword = "SERVER"
    phase = 44
    drop_phase = 89
    grant_letter = "s"
    has_owner = True
    rebuildable = False
    alter_matters = False

    def grant_target(self, item: Id, fact: Any) -> str:
        return f"FOREIGN SERVER {quote_identifier(item.name)}"

    def create(self, item: Id, fact: ServerFact, plan: Plan) -> list[Step]:
        sql = f"CREATE SERVER IF NOT EXISTS {quote_identifier(item.name)}"
        sql += f" TYPE {quote_literal(fact.type).strip()}" if fact.type else ""
        sql += f" VERSION {quote_literal(fact.version).strip()}" if fact.version else ""
        sql += f" FOREIGN DATA WRAPPER {quote_identifier(fact.wrapper)}"
        sql += f" OPTIONS ({generic_options(fact.options)})" if fact.options else ""
        return [Step(sql, reverse=f"DROP SERVER {quote_identifier(item.name)}")]

    def alter(self, item: Id, old: ServerFact, new: ServerFact, plan: Plan) -> list[Step] | None:
        if (old.wrapper, old.type) != (new.wrapper, new.type) or (old.version and not new.version):
            return None
        sql = f"ALTER SERVER {quote_identifier(item.name)}"
        sql += f" VERSION {quote_literal(new.version).strip()}" if old.version != new.version else ""
        sql += f" OPTIONS ({generic_changes(old.options, new.options)})" if old.options != new.options else ""
        return [Step(sql)]


class UserMapping(Kind):
    name = "user mapping"
    phase = 45
    drop_phase = 7

    def _on(self, item: Id) -> str:
        return f"FOR {quote_identifier(item.sub) if item.sub else 'PUBLIC'} SERVER {quote_identifier(item.name)}"

    def create(self, item: Id, fact: UserMappingFact, plan: Plan) -> list[Step]:
        said = f" OPTIONS ({generic_options(fact.options)})" if fact.options else ""
        return [
            Step(
                f"CREATE USER MAPPING IF NOT EXISTS {self._on(item)}{said}",
                reverse=f"DROP USER MAPPING {self._on(item)}",
            )
        ]

    def drop(self, item: Id, fact: UserMappingFact, plan: Plan) -> list[Step]:
        return [Step(f"DROP USER MAPPING IF EXISTS {self._on(item)}")]

    def alter(self, item: Id, old: UserMappingFact, new: UserMappingFact, plan: Plan) -> list[Step] | None:
        return [Step(f"ALTER USER MAPPING {self._on(item)} OPTIONS ({generic_changes(old.options, new.options)})")]

    def detail(self, old: UserMappingFact, new: UserMappingFact) -> str:
        return "options changed"  # they hold passwords


class Defined(Kind):
    """What is only ever created and dropped, with a CREATE statement that was written when it was read."""

    has_owner = True

    def create(self, item: Id, fact: DefinedFact, plan: Plan) -> list[Step]:
        return [Step(fact.definition, reverse=f"DROP {self.target(item, fact)}")]

    def drop(self, item: Id, fact: DefinedFact, plan: Plan) -> list[Step]:
        return [Step(f"DROP {self.target(item, fact)}", reverse=fact.definition)]

    def slots(self, item: Id, fact: DefinedFact) -> tuple[tuple[str, ...], ...]:
        return ((self.name, item.schema, item.name, item.sub),)


class Conversion(Defined):
    name = "conversion"
    keyword = "CONVERSION"
    phase = 63
    drop_phase = 13


class Cast(Defined):
    name = "cast"
    phase = 43
    drop_phase = 13
    has_owner = False

    def target(self, item: Id, fact: Any) -> str:
        return f"CAST {item.sub}"


class Operator(Defined):
    name = "operator"
    phase = 43
    drop_phase = 14

    def target(self, item: Id, fact: Any) -> str:
        return f"OPERATOR {quote_identifier(item.schema)}.{item.name} ({item.sub})"


class OperatorFamily(Kind):
    name = "operator family"
    phase = 43
    drop_phase = 17
    has_owner = True

    def target(self, item: Id, fact: Any) -> str:
        return f"OPERATOR FAMILY {quote_name(item.schema, item.name)} {item.sub}"

    def create(self, item: Id, fact: CollationFact, plan: Plan) -> list[Step]:
        steps = [Step(f"CREATE {self.target(item, fact)}", reverse=f"DROP {self.target(item, fact)}")]
        return steps + self._add(item, fact.options)

    def _add(self, item: Id, members: Any) -> list[Step]:
        if not members:
            return []
        inner = ",\n    ".join(words for words, _ in members)
        return [Step(f"ALTER {self.target(item, None)} ADD\n    {inner}")]

    def alter(self, item: Id, old: CollationFact, new: CollationFact, plan: Plan) -> list[Step] | None:
        gone = [short for words, short in old.options if (words, short) not in new.options]
        fresh = [pair for pair in new.options if pair not in old.options]
        steps = [Step(f"ALTER {self.target(item, None)} DROP {', '.join(gone)}")] if gone else []
        return steps + self._add(item, fresh)


class OperatorClass(Defined):
    name = "operator class"
    phase = 44
    drop_phase = 15

    def target(self, item: Id, fact: Any) -> str:
        return f"OPERATOR CLASS {quote_name(item.schema, item.name)} {item.sub}"

    def dropped_with(self, item: Id, fact: Any, plan: Plan) -> Id | None:
        return None


class Collation(Kind):
    name = "collation"
    keyword = "COLLATION"
    phase = 32
    drop_phase = 88
    has_owner = True

    def create(self, item: Id, fact: CollationFact, plan: Plan) -> list[Step]:
        name = quote_name(item.schema, item.name)
        said = ", ".join(f"{key} = {value}" for key, value in fact.options)
        return [Step(f"CREATE COLLATION IF NOT EXISTS {name} ({said})", reverse=f"DROP COLLATION {name}")]


class Language(Defined):
    name = "language"
    keyword = "LANGUAGE"
    phase = 30
    drop_phase = 90
    grant_letter = "l"


class AccessMethod(Defined):
    name = "access method"
    keyword = "ACCESS METHOD"
    phase = 31
    drop_phase = 90
    has_owner = False


class Transform(Defined):
    name = "transform"
    keyword = "TRANSFORM"
    phase = 43
    drop_phase = 13
    has_owner = False

    def target(self, item: Id, fact: Any) -> str:
        return f"TRANSFORM {item.sub}"


class TextSearchParser(Defined):
    name = "text search parser"
    keyword = "TEXT SEARCH PARSER"
    phase = 43
    drop_phase = 19
    has_owner = False


class TextSearchTemplate(Defined):
    name = "text search template"
    keyword = "TEXT SEARCH TEMPLATE"
    phase = 43
    drop_phase = 19
    has_owner = False


class TextSearchDictionary(Kind):
    name = "text search dictionary"
    keyword = "TEXT SEARCH DICTIONARY"
    phase = 44
    drop_phase = 18
    has_owner = True

    def create(self, item: Id, fact: TextSearchFact, plan: Plan) -> list[Step]:
        name = quote_name(item.schema, item.name)
        said = f",\n    {fact.options[0][1]}" if fact.options else ""
        return [
            Step(
                f"CREATE TEXT SEARCH DICTIONARY {name} (\n    TEMPLATE = {fact.base}{said}\n)",
                reverse=f"DROP TEXT SEARCH DICTIONARY {name}",
            )
        ]


class TextSearchConfiguration(Kind):
    name = "text search configuration"
    keyword = "TEXT SEARCH CONFIGURATION"
    phase = 45
    drop_phase = 17
    has_owner = True

    def create(self, item: Id, fact: TextSearchFact, plan: Plan) -> list[Step]:
        name = quote_name(item.schema, item.name)
        steps = [
            Step(
                f"CREATE TEXT SEARCH CONFIGURATION {name} (PARSER = {fact.base})",
                reverse=f"DROP TEXT SEARCH CONFIGURATION {name}",
            )
        ]
        return steps + [self._map(item, "ADD", token, dictionaries) for token, dictionaries in fact.options]

    def _map(self, item: Id, word: str, token: str, dictionaries: str) -> Step:
        return Step(
            f"ALTER TEXT SEARCH CONFIGURATION {quote_name(item.schema, item.name)} {word} MAPPING FOR"
            f" {quote_identifier(token)} WITH {dictionaries}"
        )

    def alter(self, item: Id, old: TextSearchFact, new: TextSearchFact, plan: Plan) -> list[Step] | None:
        if old.base != new.base:
            return None
        before, after = dict(old.options), dict(new.options)
        steps = [
            Step(
                f"ALTER TEXT SEARCH CONFIGURATION {quote_name(item.schema, item.name)} DROP MAPPING FOR {quote_identifier(token)}"
            )
            for token in before
            if token not in after
        ]
        return steps + [
            self._map(item, "ALTER" if token in before else "ADD", token, dictionaries)
            for token, dictionaries in after.items()
            if before.get(token) != dictionaries
        ]


OTHER_KINDS: tuple[type[Kind], ...] = (
    DefaultPrivileges,
    Statistics,
    Publication,
    PublicationTable,
    PublicationSchema,
    Subscription,
    Wrapper,
    Server,
    UserMapping,
    Conversion,
    Cast,
    Operator,
    OperatorFamily,
    OperatorClass,
    Collation,
    Language,
    AccessMethod,
    Transform,
    TextSearchParser,
    TextSearchTemplate,
    TextSearchDictionary,
    TextSearchConfiguration,
)
