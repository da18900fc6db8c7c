"""A table's place among partitions and parents: what attaches and detaches it, and in which order."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from typing import TYPE_CHECKING

from safemig.schema.bounds import may_overlap
from safemig.schema.facts import ConstraintFact, InheritanceFact, PartitionFact
from safemig.schema.kinds.base import InsideRelation, Step
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.links import Links
    from safemig.schema.plan import Plan

_EXCLUSIVE = LockMode.ACCESS_EXCLUSIVE


class _Link(InsideRelation):
    """What partitions and children of an inheritance share."""

    phase = 51
    drop_phase = 14
    is_told_with_table = True
    links_tables = True

    def slots(self, item: Id, fact: PartitionFact | InheritanceFact) -> tuple[tuple[str, ...], ...]:
        return ()

    def join_dropped(self, item: Id, links: Links) -> None:
        plan, action = links.plan, links.droppers[item]
        if action.item != item:
            return
        table = Id("table", item.schema, item.name)
        # What it has from its parent is kept when it leaves, and only then its own to drop.
        kept = [inner for inner in plan.base.children.get(table) if inner.kind == "constraint"]
        kept = [inner for inner in kept if plan.base.facts[inner].inherited]
        kept += [inner for inner in plan.indexes_of(table, plan.base) if plan.base.facts[inner].parent]
        for inner in kept:
            for dropper in links.dropper(inner):
                dropper.wait_for(action, hard=True)
        for inner in plan.base.children.get(table, ()):  # its columns are its own to change only then
            for maker in links.makers(inner) if inner.kind == "column" and inner in plan.alterations else ():
                maker.wait_for(action, hard=True)
        if table in plan.dropped:
            for other in (table, *plan.base.descendants(table)):
                for dropper in links.dropper(other):
                    dropper.wait_for(action, hard=True)


class Partition(_Link):
    """A table's place as a partition: attached and detached, never recreated."""

    name = "partition"
    says_values_plainly = True

    def dropped_with(self, item: Id, fact: PartitionFact, plan: Plan) -> Id | None:
        found = super().dropped_with(item, fact, plan)
        if found is None or Id("table", fact.parent_schema, fact.parent) in plan.dropped:
            return found
        # DROP TABLE refuses a partition that a foreign key reaches through its parent.
        return None if any(map(plan.is_referenced, plan.base.ancestors(found))) else found

    def create(self, item: Id, fact: PartitionFact, plan: Plan) -> list[Step]:
        parent, child = quote_name(fact.parent_schema, fact.parent), quote_name(item.schema, item.name)
        return [
            Step(
                f"ALTER TABLE {parent} ATTACH PARTITION {child} {fact.bound}",
                lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
                reverse=f"ALTER TABLE {parent} DETACH PARTITION {child}",
            )
        ]

    def drop(self, item: Id, fact: PartitionFact, plan: Plan) -> list[Step]:
        parent, child = quote_name(fact.parent_schema, fact.parent), quote_name(item.schema, item.name)
        return [
            Step(
                f"ALTER TABLE {parent} DETACH PARTITION {child}",
                "its rows are no longer seen through the parent"
                if item in plan.removed
                else "attached again below with its new bounds",
                rule="detach-partition",
                lock=_EXCLUSIVE,
                reverse=f"ALTER TABLE {parent} ATTACH PARTITION {child} {fact.bound}",
            )
        ]

    def join_created(self, item: Id, links: Links) -> None:
        plan = links.plan
        fact = plan.target.facts[item]
        parent, child = Id("table", fact.parent_schema, fact.parent), Id("table", item.schema, item.name)
        for attach in links.makers(item):
            for table in (parent, child):
                for inner in (*plan.target.children.get(table, ()), *plan.indexes_of(table, plan.target)):
                    if inner.kind in ("column", "default", "constraint") or (inner.kind == "index" and table == child):
                        late = inner.kind == "constraint" and _comes_late(plan.target.facts[inner])
                        if late and (table == child or plan.target.facts[inner].type == "f"):
                            continue
                        for maker in links.makers(inner):
                            if late and inner in maker.creates:
                                maker.wait_for(attach, hard=True)
                            else:
                                attach.wait_for(maker, hard=table == child)
                for inner in plan.base.children.get(table, ()):
                    for dropper in links.dropper(inner) if inner.kind in ("column", "constraint") else ():
                        attach.wait_for(dropper, hard=False)
            for other in links.dropped(self.name):
                old = plan.base.facts[other]
                if other != item and (old.parent_schema, old.parent) == parent[1:3]:
                    attach.wait_for(links.droppers[other], hard=may_overlap(old.bound, fact.bound))


def _comes_late(constraint: ConstraintFact) -> bool:
    """Tell whether a parent's constraint is made after its partitions are there, for ATTACH would refuse theirs."""
    return constraint.type == "f" or (constraint.type == "c" and constraint.definition.endswith(" NOT VALID"))


class Inheritance(_Link):
    """A table's place among the children of another."""

    name = "inheritance"

    def created_with(self, item: Id, fact: InheritanceFact, plan: Plan) -> Id | None:
        table = Id("table", item.schema, item.name)
        return table if table in plan.created else None

    def create(self, item: Id, fact: InheritanceFact, plan: Plan) -> list[Step]:
        return [
            Step(
                f"ALTER TABLE {quote_name(item.schema, item.name)} INHERIT {quote_name(fact.parent_schema, fact.parent)}",
                lock=_EXCLUSIVE,
            )
        ]

    def drop(self, item: Id, fact: InheritanceFact, plan: Plan) -> list[Step]:
        return [
            Step(
                f"ALTER TABLE {quote_name(item.schema, item.name)} NO INHERIT {quote_name(fact.parent_schema, fact.parent)}",
                lock=_EXCLUSIVE,
            )
        ]

    def alter(self, item: Id, old: InheritanceFact, new: InheritanceFact, plan: Plan) -> list[Step] | None:
        return []  # only the order of several parents: nothing that ALTER could say

    def join_dropped(self, item: Id, links: Links) -> None:
        plan, action = links.plan, links.droppers[item]
        link = plan.base.facts[item]
        for inner in plan.base.children.get(Id("table", link.parent_schema, link.parent)):
            if inner in plan.alterations:  # a child that goes may have another name for its not-null constraint
                for maker in links.makers(inner):
                    maker.wait_for(action, hard=False)
        super().join_dropped(item, links)

    def join_created(self, item: Id, links: Links) -> None:
        plan = links.plan
        link = plan.target.facts[item]  # what its parent's columns become, they should be before it has them too
        for inner in plan.target.children.get(Id("table", link.parent_schema, link.parent)):
            if inner.kind == "column" and inner not in plan.created:
                for maker in links.makers(inner):
                    for own in links.makers(item):
                        own.wait_for(maker, hard=False)
