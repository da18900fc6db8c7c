"""Defaults of columns, and the expressions of generated ones."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

from safemig.schema.facts import DefaultFact
from safemig.schema.kinds.base import InsideRelation, Step, comes_with_relation
from safemig.schema.model import Facts, Id
from safemig.sql.identifiers import quote_identifier, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.plan import Plan

_EXCLUSIVE = LockMode.ACCESS_EXCLUSIVE


class Default(InsideRelation):
    """A column's default, or the expression of a generated column."""

    name = "default"
    stands_on_types = True
    phase = 48
    drop_phase = 17
    is_told_with_table = True
    is_same_thing = True

    def moved(self, item: Id, renamed: Mapping[Id, Id]) -> Id:
        new = renamed.get(Id("column", *item[1:]))
        return item if new is None else Id(item.kind, *new[1:])

    def same_thing(self, item: Id) -> Id:
        return Id("column", *item[1:])

    def is_told_with(self, item: Id, listed: Container[Id], facts: Facts, *, is_gone: bool) -> bool:
        return comes_with_relation(item, listed, facts) or Id("column", *item[1:]) in listed

    def hinders_type_change(self, item: Id, column: Id, plan: Plan) -> bool:
        return plan.is_generated(self.same_thing(item), plan.base)

    def hinders_conversion(self, item: Id, column: Id, plan: Plan) -> bool:
        return item[1:] != column[1:] and plan.is_generated(self.same_thing(item), plan.base)

    def replaced_as(self, item: Id, plan: Plan) -> Id:
        column = self.same_thing(item)
        if plan.is_generated(column, plan.base) and not plan.can_step_aside(item):
            return column if column not in plan.replaced and column in plan.target.facts else item
        return item

    def created_with(self, item: Id, fact: DefaultFact, plan: Plan) -> Id | None:
        column = Id("column", *item[1:])
        if Id("table", item.schema, item.name) not in plan.target.facts:
            return None  # CREATE VIEW has no word for it
        if column in plan.created:
            return None if plan.stands_apart(item) or plan.differs_from_parent(item) else column
        return column if plan.is_generated(column, plan.target) and not plan.steps_aside(item) else None

    def dropped_with(self, item: Id, fact: DefaultFact, plan: Plan) -> Id | None:
        column = Id("column", *item[1:])
        if column in plan.dropped:
            return None if plan.must_go_first(item, column) and not plan.is_generated(column, plan.base) else column
        return column if plan.is_generated(column, plan.base) and not plan.steps_aside(item) else None

    def _prefix(self, item: Id, plan: Plan) -> str:
        only = "ONLY " if plan.has_children(item) and not plan.passes_on(item) else ""
        return (
            f"ALTER {plan.table_keyword(item)} {only}{quote_name(item.schema, item.name)}"
            f" ALTER COLUMN {quote_identifier(item.sub)}"
        )

    def create(self, item: Id, fact: DefaultFact, plan: Plan) -> list[Step]:
        prefix = self._prefix(item, plan)
        if plan.steps_aside(item):
            return [
                Step(
                    f"{prefix} SET EXPRESSION AS ({fact.expression})",
                    "the column is recomputed for every row",
                    rule="add-col-generated-stored",
                    lock=_EXCLUSIVE,
                    rewrites=True,
                )
            ]
        return [Step(f"{prefix} SET DEFAULT {fact.expression}", lock=_EXCLUSIVE, reverse=f"{prefix} DROP DEFAULT")]

    def drop(self, item: Id, fact: DefaultFact, plan: Plan) -> list[Step]:
        prefix = self._prefix(item, plan)
        if plan.steps_aside(item):
            type_name = plan.base.facts[Id("column", *item[1:])].type
            return [
                Step(
                    f"{prefix} SET EXPRESSION AS (NULL::{type_name})",
                    "removed first, recomputed below",
                    rule="add-col-generated-stored",
                    lock=_EXCLUSIVE,
                    rewrites=True,
                )
            ]
        return [Step(f"{prefix} DROP DEFAULT", lock=_EXCLUSIVE, reverse=f"{prefix} SET DEFAULT {fact.expression}")]

    def alter(self, item: Id, old: DefaultFact, new: DefaultFact, plan: Plan) -> list[Step] | None:
        if plan.is_passed_on(item):
            return []
        column = Id("column", *item[1:])
        now, then = plan.is_generated(column, plan.base), plan.is_generated(column, plan.target)
        if now or then:
            if now and then and plan.version >= 170000:
                prefix = self._prefix(item, plan)
                return [
                    Step(
                        f"{prefix} SET EXPRESSION AS ({new.expression})",
                        "the column is recomputed for every row",
                        rule="add-col-generated-stored",
                        lock=_EXCLUSIVE,
                        rewrites=True,
                    )
                ]
            return None
        steps = self.create(item, new, plan)
        column_old, column_new = plan.base.facts[column], plan.target.facts[column]
        if column_old.type != column_new.type:
            return None  # the old default must be gone before the type changes
        return [Step(steps[0].sql, lock=_EXCLUSIVE, reverse=f"{self._prefix(item, plan)} SET DEFAULT {old.expression}")]

    def detail(self, old: DefaultFact, new: DefaultFact) -> str:
        return f"default {old.expression} -> {new.expression}"
