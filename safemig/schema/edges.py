"""Draw the edges between actions: what must run before what, by pg_depend and by what it does not say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from safemig.schema.action import Action
from safemig.schema.bounds import may_overlap
from safemig.schema.facts import ConstraintFact
from safemig.schema.kinds.views import lists_columns
from safemig.schema.model import INSIDE_RELATION, Id, Schema
from safemig.schema.plan import Plan


def implied(item: Id) -> list[Id]:
    """What a fact needs though pg_depend does not say so."""
    found = [Id("schema", "", item.schema)] if item.schema else []
    if item.kind in INSIDE_RELATION or item.kind == "configuration row":
        found += [Id(kind, item.schema, item.name) for kind in ("table", "view", "materialized view")]
    return found


@dataclass(frozen=True, slots=True)
class Stages:
    """What is made in two stages, for it is needed before it can be whole: `shells` come first, `ends` at the end.

    `circles` holds the created views that read each other.
    """

    shells: dict[Id, Action]
    ends: dict[Id, Action]
    circles: dict[Id, frozenset[Id]]

    def before(self, item: Id, needed: Id, plan: Plan) -> Action | None:
        """Return the shell of `needed`, where that is all that `item` can wait for."""
        whole = Id("view", *needed[1:3]) if needed.kind == "column" else needed
        shell = self.shells.get(whole)
        if shell is None or whole[1:3] == item[1:3]:
            return None
        if whole.kind == "view":
            return shell if whole in self.circles.get(Id("view", *item[1:3]), ()) else None
        return shell if item.kind == "routine" and item in plan.target.graph.needs.get(whole, ()) else None

    def after(self, item: Id, dependent: Id, dropper: Action) -> Action:
        """Return what of `dependent` must be gone before `item`: itself, or in a circle only what it reads."""
        ends = Id("view", *item[1:3]) in self.ends
        return self.ends.get(Id("view", *dependent[1:3]), dropper) if ends else dropper


def join(
    plan: Plan,
    actions: list[Action],
    producers: dict[Id, list[Action]],
    droppers: dict[Id, Action],
    stages: Stages,
) -> None:
    """Draw the edges between the actions."""
    new, old = plan.target.graph, plan.base.graph
    slots: dict[tuple[str, ...], Action] = {}
    for item, action in droppers.items():
        for slot in plan.kinds[item.kind].slots(item, plan.base.facts[item]):
            slots[slot] = action
    for action in actions:
        for item in action.needs:
            for maker in producers.get(item, ()):
                action.wait_for(maker, hard=True)
            for parent in implied(item):
                for maker in producers.get(parent, ()):
                    if parent in maker.creates:
                        action.wait_for(maker, hard=True)
        creates = action.creates
        for item in creates | action.alters if action.alters else creates:
            # What is created inside a relation needs what its relation needs, and that itself.
            inside = item[1:3] == action.item[1:3] and item != action.item and action.item in creates
            for needed in new.needs.get(item, ()) if inside else (*new.needs.get(item, ()), *implied(item)):
                if needed in creates:
                    continue
                if stages.shells and (early := stages.before(item, needed, plan)) is not None:
                    action.wait_for(early, hard=True)
                    continue
                for maker in producers.get(needed, ()):
                    if needed in maker.creates:
                        action.wait_for(maker, hard=True)
                    elif plan.kinds[needed.kind].alter_matters:
                        action.wait_for(
                            maker,
                            hard=needed in plan.swapped
                            or needed.kind == "enum"
                            or (needed in plan.retyped and maker.is_destructive),
                        )
            if item in creates:
                for slot in plan.kinds[item.kind].slots(item, plan.target.facts[item]) if slots else ():
                    if slot in slots:
                        action.wait_for(slots[slot], hard=True)
                if item in droppers:
                    action.wait_for(droppers[item], hard=True)
        for item in action.alters:
            for parent in plan.parent_columns(item, plan.target):
                for maker in producers.get(parent, ()):
                    if plan.leaves_not_null_to_parent(item) or (
                        plan.has_not_null_apart(item) and plan.target.facts[item].not_null
                    ):
                        maker.wait_for(action, hard=True)
                    else:
                        action.wait_for(maker, hard=False)
            for needed in old.needs.get(item, ()):
                dropper = droppers.get(needed)
                if dropper is not None and needed not in new.needs.get(item, ()):
                    dropper.wait_for(action, hard=True)
            hinders = item in plan.retyped or item in plan.swapped
            waits = item in plan.swapped or plan.kinds[item.kind].alter_waits
            for dependent in old.needed_by.get(item, ()) if waits else ():
                if dependent in droppers and droppers[dependent].item not in plan.swapped:
                    action.wait_for(droppers[dependent], hard=hinders and dependent in plan.replaced)
            if item in plan.swapped:
                for column in plan.stored_in_columns(item):
                    for dependent in old.needed_by.get(column, ()):
                        if dependent in droppers:
                            action.wait_for(droppers[dependent], hard=dependent in plan.replaced)
                    for maker in producers.get(column, ()):
                        maker.wait_for(action, hard=False)
                for dependent in new.needed_by.get(item, ()):
                    if dependent.kind == "column" and dependent not in plan.created:
                        for later in new.needed_by.get(dependent, ()):
                            for maker in producers.get(later, ()):
                                if later in maker.creates:
                                    maker.wait_for(action, hard=False)
        for item in action.drops:
            for dependent in old.needed_by.get(item, ()):
                if dependent in droppers:
                    action.wait_for(stages.after(item, dependent, droppers[dependent]), hard=True)
            for parent in implied(item):
                if parent in droppers and droppers[parent] is not action:
                    droppers[parent].wait_for(action, hard=True)
    _join_partitions(plan, producers, droppers)
    _join_typed_tables(plan, producers, droppers)
    _join_domains(plan, producers, droppers)
    _join_column_lists(plan, producers, droppers)
    _join_bodies(plan, actions)


def join_successors(plan: Plan, actions: Sequence[Action], droppers: Mapping[Id, Action]) -> None:
    """What keeps values unique goes only when what takes its place is there, unless both have one name."""
    made: dict[tuple[str, str], list[Action]] = {}
    for action in actions:
        for item in action.creates:
            table = _unique_on(item, plan.target)
            if table is not None:
                made.setdefault(table, []).append(action)
    for item, dropper in droppers.items():
        table = _unique_on(item, plan.base)
        if table is not None and dropper.item == item:
            for maker in made.get(table, ()):
                if dropper not in maker.before:
                    dropper.wait_for(maker, hard=False)


def _unique_on(item: Id, schema: Schema) -> tuple[str, str] | None:
    """Return the table on which `item` keeps values unique; None where it does not."""
    if item.kind == "index" and schema.facts[item].definition.startswith("CREATE UNIQUE INDEX "):
        return schema.facts[item].table_schema, schema.facts[item].table
    is_unique = item.kind == "constraint" and schema.facts[item].type in ("p", "u", "x")
    return (item.schema, item.name) if is_unique else None


def _join_partitions(plan: Plan, producers: dict[Id, list[Action]], droppers: dict[Id, Action]) -> None:
    """A partition is attached when it has all that it must bring, and after others have gone out of its way."""
    leaving: dict[Id, list[Id]] = {}
    for item, action in droppers.items():
        if item.kind == "partition":
            old = plan.base.facts[item]
            leaving.setdefault(Id("table", old.parent_schema, old.parent), []).append(item)
        if item.kind == "inheritance":
            link = plan.base.facts[item]
            for inner in plan.base.children.get(Id("table", link.parent_schema, link.parent)):
                if inner in plan.alterations:  # a child that goes may have another name for its not-null constraint
                    for maker in producers.get(inner, ()):
                        maker.wait_for(action, hard=False)
        if item.kind in ("partition", "inheritance") and action.item == item:
            table = Id("table", item.schema, item.name)
            # What it has from its parent is kept when it leaves, and only then its own to drop.
            kept = [inner for inner in plan.base.children.get(table) if inner.kind == "constraint"]
            kept = [inner for inner in kept if plan.base.facts[inner].inherited]
            kept += [inner for inner in plan.indexes_of(table, plan.base) if plan.base.facts[inner].parent]
            for inner in kept:
                if inner in droppers:
                    droppers[inner].wait_for(action, hard=True)
            for inner in plan.base.children.get(table, ()):  # its columns are its own to change only then
                for maker in producers.get(inner, ()) if inner.kind == "column" and inner in plan.alterations else ():
                    maker.wait_for(action, hard=True)
            if table in plan.dropped:
                for other in (table, *plan.base.descendants(table)):
                    if other in droppers:
                        droppers[other].wait_for(action, hard=True)
    for item in plan.removed:
        for parent in plan.parent_columns(item, plan.base):
            dropper, first = droppers.get(item), droppers.get(parent)
            if dropper and first and dropper.item == item:  # a child's own column goes after its parent's
                dropper.wait_for(first, hard=True)
    for item in (*plan.removed, *plan.retyped):
        if item.kind == "column":  # a child that goes may hold on to it by its partition key
            for child in plan.base.descendants(Id("table", item.schema, item.name)):
                for own in _touching(item, producers, droppers):
                    if child in droppers and own.item == item:
                        own.wait_for(droppers[child], hard=False)
    for item in plan.created:
        if item.kind == "column" and plan.created_by(item) == item:
            for theirs in plan.parent_columns(item, plan.target):
                if theirs in plan.created and plan.inherits_throughout(item, theirs):  # which then merges with it
                    for maker in producers.get(theirs, ()):
                        for own in producers.get(item, ()):
                            maker.wait_for(own, hard=True)
        if item.kind == "inheritance":  # what its parent's columns become, they should be before it has them too
            link = plan.target.facts[item]
            for inner in plan.target.children.get(Id("table", link.parent_schema, link.parent)):
                if inner.kind == "column" and inner not in plan.created:
                    for maker in producers.get(inner, ()):
                        for own in producers.get(item, ()):
                            own.wait_for(maker, hard=False)
        if item.kind == "partition":
            fact = plan.target.facts[item]
            parent, child = Id("table", fact.parent_schema, fact.parent), Id("table", item.schema, item.name)
            for attach in producers.get(item, ()):
                for table in (parent, child):
                    for inner in (*plan.target.children.get(table, ()), *plan.indexes_of(table, plan.target)):
                        if inner.kind in ("column", "default", "constraint") or (
                            inner.kind == "index" and table == child
                        ):
                            late = inner.kind == "constraint" and _comes_late(plan.target.facts[inner])
                            if late and (table == child or plan.target.facts[inner].type == "f"):
                                continue
                            for maker in producers.get(inner, ()):
                                if late and inner in maker.creates:
                                    maker.wait_for(attach, hard=True)
                                else:
                                    attach.wait_for(maker, hard=table == child)
                    for inner in plan.base.children.get(table, ()):
                        if inner.kind in ("column", "constraint") and inner in droppers:
                            attach.wait_for(droppers[inner], hard=False)
                for other in leaving.get(parent, ()):
                    if other != item:
                        attach.wait_for(droppers[other], hard=may_overlap(plan.base.facts[other].bound, fact.bound))
        elif item.kind == "index":
            fact = plan.target.facts[item]
            if not fact.is_valid:  # made for the parent alone, when its partitions are in place
                for other in plan.target.partitions.get((fact.table_schema, fact.table), ()):
                    for attach in producers.get(other, ()):
                        for own in producers.get(item, ()):
                            own.wait_for(attach, hard=False)
            if fact.parent:
                parent = Id("index", fact.parent_schema, fact.parent)
                for maker in producers.get(parent, ()):
                    if parent in maker.creates:
                        for own in producers.get(item, ()):
                            maker.wait_for(own, hard=False)
        elif item.kind == "constraint" and plan.target.facts[item].parent:
            over = plan.parent_constraint(item)
            if over is not None and Id("table", over.schema, over.name) not in plan.created:
                for maker in producers.get(over, ()):
                    for own in producers.get(item, ()):
                        maker.wait_for(own, hard=False)


def _touching(item: Id, producers: dict[Id, list[Action]], droppers: dict[Id, Action]) -> list[Action]:
    """What drops, makes or alters `item`."""
    return [*([droppers[item]] if item in droppers else []), *producers.get(item, ())]


def _comes_late(constraint: ConstraintFact) -> bool:
    """Tell whether a parent's constraint is made after its partitions are there, for ATTACH would refuse theirs."""
    return constraint.type == "f" or (constraint.type == "c" and constraint.definition.endswith(" NOT VALID"))


def _join_typed_tables(plan: Plan, producers: dict[Id, list[Action]], droppers: dict[Id, Action]) -> None:
    """ALTER TABLE ... OF wants the columns as the type has them; only after NOT OF may they become others."""
    for item in plan.alterations:
        if item.kind != "table" or plan.base.facts[item].of_type == plan.target.facts[item].of_type:
            continue
        columns = {
            inner
            for schema in (plan.base, plan.target)
            for inner in schema.children.get(item)
            if inner.kind == "column"
        }
        others = [other for inner in sorted(columns) for other in _touching(inner, producers, droppers)]
        for table in producers.get(item, ()):
            for other in others:
                if plan.target.facts[item].of_type:
                    table.wait_for(other, hard=True)
                else:
                    other.wait_for(table, hard=True)


def _join_domains(plan: Plan, producers: dict[Id, list[Action]], droppers: dict[Id, Action]) -> None:
    """A domain is checked again when no column that leaves it, and might hold it where it cannot be checked, is left."""
    for item in (*plan.created, *plan.alterations):
        domain = Id("domain", item.schema, item.name)
        if item.kind not in ("domain", "domain constraint") or domain not in plan.base.facts:
            continue
        for column in plan.base.graph.needed_by.get(domain, ()):
            if column.kind != "column" or domain in plan.target.graph.needs.get(column, ()):
                continue
            for own in producers.get(item, ()):
                for other in _touching(column, producers, droppers):
                    own.wait_for(other, hard=False)
        for column in plan.target.graph.needed_by.get(domain, ()):
            if column.kind == "column" and domain not in plan.base.graph.needs.get(column, ()):
                for maker in producers.get(column, ()):
                    for own in producers.get(item, ()):
                        maker.wait_for(own, hard=False)


def _join_column_lists(plan: Plan, producers: dict[Id, list[Action]], droppers: dict[Id, Action]) -> None:
    """A view that lists the columns of what it reads can be made only when that has just these."""
    for item in plan.created:
        if item.kind not in ("view", "materialized view") or not lists_columns(plan.target.facts[item]):
            continue
        columns = sorted(plan.columns_that_come_and_go(item))
        others = [other for inner in columns for other in _touching(inner, producers, droppers)]
        for own in producers.get(item, ()):
            for other in others:
                own.wait_for(other, hard=other.is_destructive)


_WORD = re.compile(r"\w+")
BODIES = frozenset({"sql", "plpgsql"})


def _join_bodies(plan: Plan, actions: list[Action]) -> None:
    """A routine whose text names something that this script makes should follow it (its body is no dependency)."""
    for action, named in named_in_bodies(plan, actions):
        for other in named:
            action.wait_for(other, hard=False)


def named_in_bodies(plan: Plan, actions: Iterable[Action]) -> Iterator[tuple[Action, set[Action]]]:
    """Yield each action that writes a routine with what else in the script its body seems to name."""
    makers: dict[str, set[Action]] = {}
    columns: dict[str, dict[str, set[Action]]] = {}  # by their table's name, then their own
    writers: list[Action] = []
    for action in actions:
        for item in action.creates | action.alters:
            if item.kind == "routine" and plan.target.facts[item].language in BODIES:
                writers.append(action)
            if item.kind == "column":
                columns.setdefault(item.name, {}).setdefault(item.sub, set()).add(action)
            elif item.kind in _NAMED:
                makers.setdefault(item.name, set()).add(action)
    for action in writers:
        words = set(_WORD.findall(plan.target.facts[action.item].definition))
        named = {maker for word in words for maker in makers.get(word, ())}
        for table in words & columns.keys():
            named |= {maker for word in words & columns[table].keys() for maker in columns[table][word]}
        named.discard(action)
        if named:
            yield action, named


_NAMED = frozenset(
    {
        "table",
        "view",
        "materialized view",
        "routine",
        "enum",
        "domain",
        "composite type",
        "range",
        "sequence",
    }
)
