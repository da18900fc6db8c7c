"""Change sets: actions that make sense only together, in an order in which each set stands in one place.

A set is live or disabled as a whole. It is disabled when one of its statements destroys data, or when it may be a rename
that no one has answered for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from safemig.schema.action import Action
from safemig.schema.model import Id
from safemig.schema.order import in_order
from safemig.schema.plan import Plan
from safemig.schema.renames import likely_renames


@dataclass(eq=False)
class ActionSet:
    """Ordered actions that belong together; `disabled` says why they do not run as they stand."""

    actions: list[Action]
    disabled: str | None = None
    is_doubtful: bool = False

    @property
    def recreated(self) -> set[Id]:
        """What is dropped here and created again."""
        made = {item for action in self.actions for item in action.creates}
        return made & {item for action in self.actions for item in action.drops}


@dataclass
class _Unions:
    """Which actions are known to belong together (union-find)."""

    parent: dict[Action, Action] = field(default_factory=dict)

    def find(self, action: Action) -> Action:
        root = action
        while (above := self.parent.get(root, root)) is not root:
            root = above
        while (above := self.parent.get(action, action)) is not root:
            self.parent[action], action = root, above
        return root

    def join(self, one: Action, other: Action) -> bool:
        first, second = self.find(one), self.find(other)
        if first is second:
            return False
        self.parent[second] = first
        return True


def group(plan: Plan, actions: Sequence[Action]) -> list[ActionSet]:
    """Return `actions`, which are in order, as sets in order. Each set's needs come before it."""
    unions = _Unions()
    doubts = _join_related(plan, actions, unions)
    disabled = _join_disabled(plan, actions, unions, doubts)
    members: dict[Action, ActionSet] = {}
    for action in actions:
        root = unions.find(action)
        each = members.setdefault(root, ActionSet([], disabled.get(root)))
        each.actions.append(action)
        each.is_doubtful |= action in doubts
    return _in_order(list(members.values()), actions)


def reasons(sets: Iterable[ActionSet]) -> dict[Action, str]:
    """Return why each action of a disabled set is left out."""
    return {action: each.disabled for each in sets if each.disabled is not None for action in each.actions}


def _join_related(plan: Plan, actions: Sequence[Action], unions: _Unions) -> dict[Action, str]:
    """Join what is one change whether it destroys or not; return the doubts: one action of each likely rename, with why."""
    makers: dict[Id, list[Action]] = {}
    droppers: dict[Id, list[Action]] = {}
    for action in actions:
        for item in action.creates | action.alters:
            makers.setdefault(item, []).append(action)
        for item in action.drops:
            droppers.setdefault(item, []).append(action)
    for index, parts in plan.target.attached_indexes.items():  # of the partitions, with their parent's
        for maker in makers.get(Id("index", *index), ()):
            for part in parts:
                for other in makers.get(part, ()):
                    unions.join(maker, other)
    again = {item for item in makers.keys() & droppers.keys() if any(item in maker.creates for maker in makers[item])}
    for item in again:
        for one in (*droppers[item], *makers[item]):
            unions.join(droppers[item][0], one)
    for action in actions:
        for other in action.before:
            if other.drops & again:  # it is why the other is dropped and created again
                unions.join(other, action)
    for action in actions:
        if action.only_with is not None:
            unions.join(action.only_with, action)
        for other, hard in action.before.items():
            if hard and other.item == action.item and not (action.creates or action.drops or action.alters):
                unions.join(
                    other, action
                )  # the second step of one thing: a stand-in made whole, an old type swept away
        for item in action.creates | (set() if action.drops else action.needs):
            for whole in (item, *plan.kinds[item.kind].implied(item)):
                for maker in makers.get(whole, ()):
                    if whole == item or (whole in maker.creates and not plan.kinds[whole.kind].is_container):
                        unions.join(maker, action)
        for item in action.creates | action.alters:
            if (same := plan.kinds[item.kind].same_thing(item)) is not None:
                for maker in makers.get(same, ()):
                    unions.join(maker, action)
    doubts: dict[Action, str] = {}
    for gone, fresh in likely_renames(plan):
        for dropper in droppers.get(gone, ()):
            for maker in makers.get(fresh, ()):
                unions.join(dropper, maker)
                doubts[maker] = (
                    f"this may be a rename of the table {gone.dotted} to {fresh.dotted}: if it is,"
                    f" generate again with --rename {gone.dotted}={fresh.dotted}"
                )
    return doubts


def _join_disabled(
    plan: Plan, actions: Sequence[Action], unions: _Unions, doubts: Mapping[Action, str]
) -> dict[Action, str]:
    """Join to each set that is disabled what cannot run without it, and what would only be torn down for it."""
    why: dict[Action, str] = dict(doubts)
    for action in actions:
        if action.is_destructive:
            why.setdefault(action, next(step.why for step in action.steps if step.destructive))
    roots = {unions.find(action) for action in why}
    grew = bool(roots)
    while grew:
        grew = False
        for action in actions:
            off = unions.find(action) in roots
            for other, hard in action.before.items():
                if not hard or unions.find(other) is unions.find(action):
                    continue
                needs_it = not off and unions.find(other) in roots
                makes_way = off and _only_removes(plan, other)
                if needs_it or makes_way:
                    off = True
                    unions.join(action, other)
                    grew = True
        roots = {unions.find(action) for action in why}
    found: dict[Action, str] = {}
    place = {action: at for at, action in enumerate(actions)}
    for action in sorted(why, key=lambda action: (action not in doubts, place[action])):  # a question comes first
        found.setdefault(unions.find(action), why[action])
    return found


def _only_removes(plan: Plan, action: Action) -> bool:
    return bool(action.drops) and not action.creates and not action.alters and action.drops <= plan.dropped


def _in_order(sets: list[ActionSet], actions: Sequence[Action]) -> list[ActionSet]:
    """Order the sets so that what one needs stands before it; sets that need each other become one."""
    place = {action: number for number, action in enumerate(actions)}
    while True:
        owner = {action: each for each in sets for action in each.actions}
        before: dict[ActionSet, dict[ActionSet, bool]] = {each: {} for each in sets}
        for each in sets:
            for action in each.actions:
                for other, hard in action.before.items():
                    them = owner.get(other)
                    if them is not None and them is not each and place[other] < place[action]:
                        before[each][them] = before[each].get(them, False) or hard
        loops: list[list[ActionSet]] = []
        ordered = in_order(before, key=lambda each: place[each.actions[0]], cut=loops.append)
        if not loops:
            return ordered
        (loop,) = loops
        merged = ActionSet(
            sorted((action for each in loop for action in each.actions), key=place.__getitem__),
            next((each.disabled for each in loop if each.disabled is not None), None),
            any(each.is_doubtful for each in loop),
        )
        sets = [each for each in sets if each not in loop] + [merged]
