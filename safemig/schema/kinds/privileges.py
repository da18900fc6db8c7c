"""Default privileges, and privileges on what an extension brought."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safemig.schema.facts import (
    DefaultPrivilegesFact,
    MemberPrivilegesFact,
)
from safemig.schema.grants import builtin, changes
from safemig.schema.kinds.base import Kind, Step
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier

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


class MemberPrivileges(Kind):
    """What was granted or revoked on something that an extension or PostgreSQL itself brought, beside what it came with."""

    name = "member privileges"
    phase = 72
    drop_phase = 72
    rebuildable = False

    def _change(self, item: Id, fact: MemberPrivilegesFact, before: Any, after: Any) -> list[Step]:
        pairs = changes(before, after, fact.target, object_type=fact.letter, owner=fact.owner)
        return [Step(sql, why, rule="grants") for sql, why in pairs]

    def create(self, item: Id, fact: MemberPrivilegesFact, plan: Plan) -> list[Step]:
        return self._change(item, fact, fact.usual, fact.grants)

    def drop(self, item: Id, fact: MemberPrivilegesFact, plan: Plan) -> list[Step]:
        return self._change(item, fact, fact.grants, fact.usual)

    def dropped_with(self, item: Id, fact: MemberPrivilegesFact, plan: Plan) -> Id | None:
        return next((needed for needed in plan.base.graph.needs.get(item, ()) if needed in plan.dropped), None)

    def alter(self, item: Id, old: MemberPrivilegesFact, new: MemberPrivilegesFact, plan: Plan) -> list[Step] | None:
        return self._change(item, new, old.grants, new.grants)
