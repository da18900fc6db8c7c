"""The rarer kinds: statistics, collations, conversions, casts, operators, languages, access methods, transforms."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safemig.schema.facts import (
    CollationFact,
    DefinedFact,
    StatisticsFact,
)
from safemig.schema.kinds.base import Kind, Step
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.plan import Plan


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
