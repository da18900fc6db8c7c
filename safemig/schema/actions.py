"""Turn a plan into actions: what is created, dropped, altered, and what each waits for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from safemig.schema import grants
from safemig.schema.action import Action, Key
from safemig.schema.edges import Stages, join, join_successors
from safemig.schema.kinds.base import Step
from safemig.schema.loops import stand_in, view_loops
from safemig.schema.model import Grant, Id
from safemig.schema.plan import Plan
from safemig.schema.swap import swap_steps
from safemig.sql.identifiers import quote_identifier, quote_literal


def build_actions(plan: Plan) -> list[Action]:
    """Return every action of `plan`, with its edges."""
    actions: list[Action] = []
    producers: dict[Id, list[Action]] = {}
    droppers: dict[Id, Action] = {}
    shells: dict[Id, Action] = {}
    kinds = plan.kinds
    circles = view_loops(plan.target, plan.created_of_kinds("may_circle"))
    for item in sorted(plan.created.difference(*plan.made_along.values())):
        kind, fact = kinds[item.kind], plan.target.facts[item]
        action = Action(_key(item, kind.phase), item, kind.create(item, fact, plan), creates={item})
        producers[item] = [action]
        actions.append(action)
        first = stand_in(item, plan.target) if item in circles else kind.shell(item, fact)
        if first is not None:
            shell = Action(_key(item, kind.phase - 1), item, [first])
            action.wait_for(shell, hard=True)
            shells[item] = shell
            actions.append(shell)
    for item in sorted(plan.alterations):
        steps = plan.alterations[item]
        if steps:
            action = Action(_key(item, plan.kinds[item.kind].phase), item, steps, alters={item})
            producers.setdefault(item, []).append(action)
            actions.append(action)
    swaps: dict[Id, tuple[Action, Action]] = {}
    for item in sorted(plan.swapped):
        *steps, last = swap_steps(item, plan)
        swap, sweep = Action(_key(item, 36), item, steps, alters={item}), Action(_key(item, 36, place=9), item, [last])
        sweep.wait_for(swap, hard=True)
        swaps[item] = (swap, sweep)
        producers.setdefault(item, []).append(swap)
        actions += [swap, sweep]
    for item, (_, sweep) in swaps.items():
        for other, (swap, _) in swaps.items():
            if item in plan.base.graph.needs.get(other, ()):
                sweep.wait_for(swap, hard=True)
                sweep.wait_for(swaps[other][1], hard=True)
    for maker, along in plan.made_along.items():
        makers = producers.get(maker, [])
        for action in makers:
            action.creates.update(along)
        producers.update(dict.fromkeys(along, makers))
        for item in along if kinds[maker[0]].has_attributes else ():
            steps = kinds[item[0]].completion(item, plan.target.facts[item], plan)
            if steps:
                actions.append(Action(_key(item, 50), item, steps, needs={item}))
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
    for item, shell in shells.items():
        if item in droppers:
            shell.wait_for(droppers[item], hard=True)
    for item, action in droppers.items():
        container = plan.base.relation(item.schema, item.name) if kinds[item[0]].is_inside else None
        if container is not None and container in plan.removed:
            action.only_with = droppers.get(container)
    for item in carried:
        taker = droppers.get(plan.dropped_by(item))
        if taker is None:  # it goes with something that is altered
            taker = next(iter(producers.get(plan.dropped_by(item), ())), None)
        if taker is not None:
            taker.drops.add(item)
            droppers[item] = taker
    actions += _belongings(plan, producers)
    ends: dict[Id, Action] = {}
    for item in view_loops(plan.base, (item for item in plan.dropped if kinds[item[0]].may_circle)):
        ends[item] = Action(_key(item, kinds[item.kind].drop_phase - 1), item, [stand_in(item, plan.base)])
        droppers[item].wait_for(ends[item], hard=True)
        actions.append(ends[item])
    join(plan, actions, producers, droppers, Stages(shells, ends, circles))
    join_successors(plan, actions, droppers)
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
            bearer = plan.kinds[item.kind].bearer(item)
            maker = producers.get(bearer)
            key = maker[0].key if maker else _key(item, plan.kinds[bearer.kind].phase)
            inner = item.sub if maker and maker[0].item != item else ""
            actions.append(Action((*key[:4], place, f"{what}{item.kind}{inner}"), item, found, needs={bearer}))

    base, target, kinds = plan.base, plan.target, plan.kinds
    fresh = plan.created | plan.swapped
    for item in sorted(set(base.comments) | set(target.comments)):
        before = None if kinds[item.kind].bearer(item) in fresh else base.comments.get(item)
        after = target.comments.get(item)
        if before != after and kinds[item.kind].is_there(item, plan):
            say(item, [comment_step(plan, item, before, after)], 1, "comment")
    for labelled in sorted(set(base.labels) | set(target.labels)):
        item, provider = labelled
        before = None if item in fresh else base.labels.get(labelled)
        after = target.labels.get(labelled)
        if before != after and kinds[item.kind].is_there(item, plan):
            label = "NULL" if after is None else quote_literal(after).strip()
            on = _on(plan, item)
            say(item, [Step(f"SECURITY LABEL FOR {quote_identifier(provider)} ON {on} IS {label}")], 3, "label")
    for item, owner in _owner_changes(plan):
        sql = f"ALTER {_on(plan, item)} OWNER TO {quote_identifier(owner)}"
        lock = kinds[item.kind].owner_lock
        say(item, [Step(sql, "the owner may do anything with it", rule="owner-role", lock=lock)], 2, "owner")
    candidates = set(base.grants) | set(target.grants)
    candidates |= plan.swapped
    candidates.update(item for item in plan.created_of_kinds("grant_letter") if kinds[item[0]].has_initial_grants)
    for item in sorted(candidates):
        if kinds[item.kind].is_there(item, plan):
            say(item, _grant_steps(plan, item), 4, "grant")
    _join_grants(plan, actions)
    _join_owners(plan, actions, producers)
    return actions


def _owner_changes(plan: Plan) -> Iterator[tuple[Id, str]]:
    """Yield what gets another owner than it has, or would have from the role that creates it."""
    base, target = plan.base, plan.target
    if not (base.with_ownership and target.with_ownership):
        return
    for item in sorted(target.owners):
        kind = plan.kinds[item.kind]
        if not kind.is_there(item, plan) or not kind.has_owner or kind.has_owner_of_table(item, plan):
            continue
        before = base.current_user if item in plan.created or item in plan.swapped else base.owners.get(item)
        if before != target.owners[item]:
            yield item, target.owners[item]


def _join_owners(plan: Plan, actions: list[Action], producers: dict[Id, list[Action]]) -> None:
    """A sequence is linked to a table of the same owner, and follows it once it is linked."""
    owners = {action.item: action for action in actions if action.key[-1].startswith("owner")}
    for action in actions if owners else ():
        if action.key[-1].startswith("grant") and action.item in owners:
            action.wait_for(owners[action.item], hard=True)
    for item, makers in producers.items() if owners else ():
        found = plan.kinds[item.kind].links_owners(plan.target.facts[item])
        if found is None:
            continue
        table, sequence = found[0], Id(found[1], item.schema, item.name)
        for maker in makers:
            if sequence in owners:
                maker.wait_for(owners[sequence], hard=True)
                if table in owners:
                    maker.wait_for(owners[table], hard=True)
            elif table in owners:
                owners[table].wait_for(maker, hard=True)


def _join_grants(plan: Plan, actions: list[Action]) -> None:
    """A table's REVOKE takes the same privilege from its columns: what they get comes afterwards, in the same change."""
    granting = [action for action in actions if action.key[-1].startswith("grant")]
    leaders = {action.item[1:3]: action for action in granting if plan.kinds[action.item.kind].is_relation}
    for action in granting:
        if not plan.kinds[action.item.kind].is_granted_in_relation:
            continue
        first = leaders.setdefault(action.item[1:3], action)
        if first is not action:
            action.only_with = first
            action.wait_for(first, hard=plan.kinds[first.item.kind].is_relation)


def _on(plan: Plan, item: Id) -> str:
    """What stands behind COMMENT ON."""
    kind = plan.kinds[item.kind]
    return kind.target(item, plan.target.facts[kind.bearer(item)])


def comment_step(plan: Plan, item: Id, before: str | None, after: str | None) -> Step:
    on = _on(plan, item)

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
    if item in plan.created or item in plan.swapped:
        before = initial_grants(plan, item, letter) if kind.has_initial_grants else frozenset()
    else:
        before = plan.base.grants.get(item, usual)
    columns = quote_identifier(item.sub) if kind.is_granted_in_relation else ""
    on = kind.grant_target(item, fact)
    if kind.is_granted_in_relation:
        before = frozenset(before) - _lost_with_table(plan, item)
    if plan.base.with_ownership and plan.target.with_ownership:
        # What a role was granted is part of what it has as the owner.
        heir = plan.target.owners.get(item, "")
        is_made = item in plan.created or item in plan.swapped
        if heir != (plan.base.current_user if is_made else plan.base.owners.get(item, "")):
            before = frozenset(grant for grant in before if grant[0] != heir)
    if before == after:
        return []
    owner = plan.target.owners.get(item, "") if plan.target.with_ownership else ""
    if item in plan.created and owner == plan.base.current_user:
        owner = ""  # anyone who runs the script
    if not owner and item not in plan.created:
        owner = plan.base.owners.get(item, "")
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
    # What it gives itself is the owner's, and says nothing beside what every owner has.
    return frozenset(grant for grant in found if grant[0] != role)
