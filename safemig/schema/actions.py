"""Turn a plan into actions: what is created, dropped, altered, and what each waits for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from safemig.schema import grants
from safemig.schema.kinds.base import Kind, Step
from safemig.schema.model import INSIDE_RELATION, Grant, Id
from safemig.schema.plan import Plan
from safemig.schema.swap import swap_steps
from safemig.sql.identifiers import quote_identifier, quote_literal

Key = tuple[int, str, str, str, int, str]


@dataclass(eq=False)
class Action:
    """Statements that run together. `before` are the actions that must run first; True where it cannot do without."""

    key: Key
    item: Id
    steps: list[Step]
    creates: set[Id] = field(default_factory=set)
    drops: set[Id] = field(default_factory=set)
    alters: set[Id] = field(default_factory=set)
    needs: set[Id] = field(default_factory=set)
    before: dict[Action, bool] = field(default_factory=dict)

    def wait_for(self, other: Action, *, hard: bool) -> None:
        if other is not self:
            self.before[other] = self.before.get(other, False) or hard

    @property
    def is_destructive(self) -> bool:
        return any(step.destructive for step in self.steps)


def build_actions(plan: Plan) -> list[Action]:
    """Return every action of `plan`, with its edges."""
    actions: list[Action] = []
    producers: dict[Id, list[Action]] = {}
    droppers: dict[Id, Action] = {}
    folded: list[Id] = []
    for item in sorted(plan.created):
        if plan.created_by(item) != item:
            folded.append(item)
            continue
        kind = plan.kinds[item.kind]
        action = Action(_key(item, kind.phase), item, kind.create(item, plan.target.facts[item], plan), creates={item})
        producers[item] = [action]
        actions.append(action)
    for item in sorted(plan.alterations):
        steps = plan.alterations[item]
        if steps:
            action = Action(_key(item, plan.kinds[item.kind].phase), item, steps, alters={item})
            producers.setdefault(item, []).append(action)
            actions.append(action)
    for item in sorted(plan.swapped):
        action = Action(_key(item, 36), item, swap_steps(item, plan), alters={item})
        producers.setdefault(item, []).append(action)
        actions.append(action)
    for item in folded:
        makers = producers.get(plan.created_by(item), ())
        for maker in makers:
            maker.creates.add(item)
        producers[item] = list(makers)
    carried: list[Id] = []
    for item in sorted(plan.dropped):
        if plan.dropped_by(item) != item:
            carried.append(item)
            continue
        kind = plan.kinds[item.kind]
        steps = kind.drop(item, plan.base.facts[item], plan)
        phase = kind.drop_phase if item in plan.removed or not any(step.destructive for step in steps) else 14
        action = Action(_key(item, phase, backwards=True), item, steps, drops={item})
        droppers[item] = action
        actions.append(action)
    for item in carried:
        taker = droppers.get(plan.dropped_by(item))
        if taker is None:  # it goes with something that is altered
            taker = next(iter(producers.get(plan.dropped_by(item), ())), None)
        if taker is not None:
            taker.drops.add(item)
            droppers[item] = taker
    actions += _belongings(plan, producers)
    _join(plan, actions, producers, droppers)
    return actions


def _key(item: Id, phase: int, *, backwards: bool = False, place: int = 0, more: str = "") -> Key:
    del backwards
    return (phase, item.schema, item.name, item.sub, place, more)


def _belongings(plan: Plan, producers: dict[Id, list[Action]]) -> list[Action]:
    """Comments, privileges, owners and labels: of what is created all, of the rest what differs."""
    actions: list[Action] = []

    def say(item: Id, steps: Iterable[Step], place: int, what: str) -> None:
        found = list(steps)
        if found:
            maker = producers.get(item)
            key = maker[0].key if maker else _key(item, plan.kinds[item.kind].phase)
            inner = item.sub if maker and maker[0].item != item else ""
            actions.append(Action((*key[:4], place, f"{what}{item.kind}{inner}"), item, found, needs={item}))

    base, target = plan.base, plan.target
    for item in sorted(set(base.comments) | set(target.comments)):
        before = None if item in plan.created else base.comments.get(item)
        after = target.comments.get(item)
        if before != after and _exists(plan, item):
            say(item, [comment_step(plan, item, before, after)], 1, "comment")
    for labelled in sorted(set(base.labels) | set(target.labels)):
        item, provider = labelled
        before = None if item in plan.created else base.labels.get(labelled)
        after = target.labels.get(labelled)
        if before != after and _exists(plan, item):
            label = "NULL" if after is None else quote_literal(after).strip()
            on = _kind(plan, item).target(item, target.facts.get(item))
            say(item, [Step(f"SECURITY LABEL FOR {quote_identifier(provider)} ON {on} IS {label}")], 3, "label")
    if base.with_ownership and target.with_ownership:
        for item in sorted(target.owners):
            if not _exists(plan, item) or not _kind(plan, item).has_owner:
                continue
            before = base.current_user if item in plan.created else base.owners.get(item)
            if before != target.owners[item]:
                on = _kind(plan, item).target(item, target.facts[item])
                say(item, [Step(f"ALTER {on} OWNER TO {quote_identifier(target.owners[item])}",
                                "the owner may do anything with it", rule="owner-role")], 2, "owner")
    candidates = set(base.grants) | set(target.grants)
    candidates |= {item for item in plan.created if plan.kinds[item.kind].grant_letter and item.kind != "column"}
    for item in sorted(candidates):
        if _exists(plan, item):
            say(item, _grant_steps(plan, item), 4, "grant")
    return actions


def _exists(plan: Plan, item: Id) -> bool:
    return item in plan.target.facts or (item.kind == "attribute" and Id("composite type", item.schema, item.name) in plan.target.facts)


def _kind(plan: Plan, item: Id) -> Kind:
    return plan.kinds["column" if item.kind == "attribute" else item.kind]


def comment_step(plan: Plan, item: Id, before: str | None, after: str | None) -> Step:
    on = _kind(plan, item).target(item, plan.target.facts.get(item))

    def sql(text: str | None) -> str:
        return f"COMMENT ON {on} IS {'NULL' if text is None else quote_literal(text).strip()}"

    return Step(sql(after), reverse=sql(before))


def _grant_steps(plan: Plan, item: Id) -> list[Step]:
    kind = plan.kinds[item.kind]
    letter = kind.grant_letter
    if letter is None:
        return []
    fact = plan.target.facts[item]
    usual = grants.builtin(letter)
    after = plan.target.grants.get(item, usual)
    if item in plan.created:
        before = initial_grants(plan, item, letter) if item.kind != "column" else frozenset()
    else:
        before = plan.base.grants.get(item, usual)
    columns = ""
    on = kind.grant_target(item, fact)
    if item.kind == "column":
        columns = quote_identifier(item.sub)
        on = f"TABLE {on.removeprefix('COLUMN ').rpartition('.' + quote_identifier(item.sub))[0]}"
        before = frozenset(before) - _lost_with_table(plan, item)
    if before == after:
        return []
    owner = plan.target.owners.get(item, "") if plan.target.with_ownership else ""
    return [
        Step(sql, why, rule="grants")
        for sql, why in grants.changes(before, after, on, object_type=letter, columns=columns, owner=owner)
    ]


def _lost_with_table(plan: Plan, column: Id) -> frozenset[Grant]:
    """Column privileges that go when the table's same privilege is revoked."""
    table = plan.target.relation(column.schema, column.name)
    if table is None or table in plan.created:
        return frozenset()
    lost = plan.base.grants.get(table, frozenset()) - plan.target.grants.get(table, frozenset())
    return frozenset(
        grant for grant in plan.base.grants.get(column, ()) if any(grant[:2] == other[:2] for other in lost)
    )


def initial_grants(plan: Plan, item: Id, letter: str) -> frozenset[Grant]:
    """What a new object of that kind is granted when the base's current user creates it there."""
    role = plan.base.current_user
    everywhere = plan.base.facts.get(Id("default privileges", "", role, letter))
    found = set(grants.builtin(letter) if everywhere is None else everywhere.grants)
    here = plan.base.facts.get(Id("default privileges", item.schema, role, letter))
    if here is not None and letter != "n":
        found.update(here.grants)
    return frozenset(found)


def _implied(item: Id) -> list[Id]:
    """What a fact needs though pg_depend does not say so."""
    found = [Id("schema", "", item.schema)] if item.schema else []
    if item.kind in INSIDE_RELATION:
        found += [Id(kind, item.schema, item.name) for kind in ("table", "view", "materialized view")]
    return found


def _join(plan: Plan, actions: list[Action], producers: dict[Id, list[Action]], droppers: dict[Id, Action]) -> None:
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
            for parent in _implied(item):
                for maker in producers.get(parent, ()):
                    if parent in maker.creates:
                        action.wait_for(maker, hard=True)
        for item in action.creates | action.alters:
            for needed in [*new.needs.get(item, ()), *_implied(item)]:
                for maker in producers.get(needed, ()):
                    if needed in maker.creates:
                        action.wait_for(maker, hard=True)
                    elif plan.kinds[needed.kind].alter_matters:
                        action.wait_for(maker, hard=needed in plan.swapped or needed.kind == "enum")
            if item in action.creates:
                for slot in plan.kinds[item.kind].slots(item, plan.target.facts[item]):
                    if slot in slots:
                        action.wait_for(slots[slot], hard=True)
                if item in droppers:
                    action.wait_for(droppers[item], hard=True)
        for item in action.alters:
            for needed in old.needs.get(item, ()):
                dropper = droppers.get(needed)
                if dropper is not None and needed not in new.needs.get(item, ()):
                    dropper.wait_for(action, hard=True)
            hinders = item in plan.retyped or item in plan.swapped
            for dependent in old.needed_by.get(item, ()):
                if dependent in droppers:
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
            for dependent in [*old.needed_by.get(item, ())]:
                if dependent in droppers:
                    action.wait_for(droppers[dependent], hard=True)
            for parent in _implied(item):
                if parent in droppers and droppers[parent] is not action:
                    droppers[parent].wait_for(action, hard=True)
    _join_partitions(plan, producers, droppers)


def _join_partitions(plan: Plan, producers: dict[Id, list[Action]], droppers: dict[Id, Action]) -> None:
    """A partition is attached when it has all that it must bring, and after others have gone out of its way."""
    for item in plan.created:
        if item.kind == "partition":
            fact = plan.target.facts[item]
            parent, child = Id("table", fact.parent_schema, fact.parent), Id("table", item.schema, item.name)
            for attach in producers.get(item, ()):
                for table in (parent, child):
                    for inner in (*plan.target.children.get(table, ()), *plan.indexes_of(table, plan.target)):
                        if inner.kind in ("column", "default", "constraint") or (inner.kind == "index" and table == child):
                            if inner.kind == "constraint" and plan.target.facts[inner].type == "f":
                                continue
                            for maker in producers.get(inner, ()):
                                attach.wait_for(maker, hard=table == child)
                    for inner in plan.base.children.get(table, ()):
                        if inner.kind in ("column", "constraint") and inner in droppers:
                            attach.wait_for(droppers[inner], hard=False)
                for other, old in plan.base.facts.items():
                    if other.kind == "partition" and other in droppers and other != item and (old.parent_schema, old.parent) == (
                        fact.parent_schema, fact.parent
                    ):
                        attach.wait_for(droppers[other], hard=False)
        elif item.kind == "index":
            fact = plan.target.facts[item]
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
