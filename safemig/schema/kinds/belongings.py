"""What is no fact of its own but has a comment or a new name: attributes, not-null constraints, constraints' indexes, enum values."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safemig.schema.facts import not_null_name
from safemig.schema.kinds.base import InsideRelation, Kind
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_name

if TYPE_CHECKING:
    from safemig.schema.plan import Plan


class Attribute(InsideRelation):
    """A column of a composite type."""

    name = "attribute"

    def bearer(self, item: Id) -> Id:
        return Id("composite type", item.schema, item.name)

    def target(self, item: Id, fact: Any) -> str:
        return f"COLUMN {quote_name(item.schema, item.name, item.sub)}"


class ConstraintIndex(InsideRelation):
    """The index behind a constraint, which may have a comment beside the constraint's."""

    name = "constraint index"

    def bearer(self, item: Id) -> Id:
        return Id("constraint", *item[1:])

    def target(self, item: Id, fact: Any) -> str:
        return f"INDEX {quote_name(item.schema, item.sub)}"


class NotNullConstraint(Kind):
    """The not-null constraint of a column or domain, which has a name and a comment."""

    name = "not-null constraint"
    since = 180000

    def bearer(self, item: Id) -> Id:
        return Id("column" if item.sub else "domain", *item[1:])

    def is_there(self, item: Id, plan: Plan) -> bool:
        bearer = self.bearer(item)
        return super().is_there(item, plan) and plan.target.facts[bearer].not_null

    def target(self, item: Id, fact: Any) -> str:
        name = quote_identifier(not_null_name(item, fact))
        return f"CONSTRAINT {name} ON {'' if item.sub else 'DOMAIN '}{quote_name(item.schema, item.name)}"
