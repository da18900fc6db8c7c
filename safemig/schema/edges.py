"""Draw the edges between actions: what must run before what, by pg_depend and by what it does not say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from safemig.schema.action import Action
from safemig.schema.links import Links
from safemig.schema.model import Id, by_kind
from safemig.schema.plan import Plan


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
        whole = plan.kinds[needed.kind].staged_with(needed)
        shell = self.shells.get(whole)
        if shell is None or whole[1:3] == item[1:3]:
            return None
        return shell if plan.kinds[whole.kind].is_stand_in_enough(whole, item, self.circles, plan) else None

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
    new, old, kinds = plan.target.graph, plan.base.graph, plan.kinds
    slots: dict[tuple[str, ...], Action] = {}

    def wait_for_makers(action: Action, item: Id, needs: Iterable[Id]) -> None:
        for needed in needs:
            if needed in action.creates:
                continue
            if stages.shells and (early := stages.before(item, needed, plan)) is not None:
                action.wait_for(early, hard=True)
                continue
            for maker in producers.get(needed, ()):
                if needed in maker.creates:
                    action.wait_for(maker, hard=True)
                elif kinds[needed.kind].alter_matters:
                    action.wait_for(
                        maker,
                        hard=needed in plan.swapped
                        or kinds[needed.kind].alter_is_needed
                        or (needed in plan.retyped and maker.is_destructive),
                    )

    for item, action in droppers.items():
        for slot in plan.kinds[item.kind].slots(item, plan.base.facts[item]):
            slots[slot] = action
    for action in actions:
        for item in action.needs:
            for maker in producers.get(item, ()):
                action.wait_for(maker, hard=True)
            for parent in kinds[item[0]].implied(item):
                for maker in producers.get(parent, ()):
                    if parent in maker.creates:
                        action.wait_for(maker, hard=True)
        creates, place = action.creates, action.item[1:3]
        # What is created inside a relation needs what its relation needs, and that itself: of it only pg_depend is asked.
        inside = (
            {item for item in creates if item[1:3] == place and item != action.item}
            if action.item in creates
            else set()
        )
        for item in new.needs.among(inside):
            wait_for_makers(action, item, new.needs.get(item))
        for item in (creates | action.alters) - inside:
            wait_for_makers(action, item, (*new.needs.get(item), *kinds[item[0]].implied(item)))
        for item in creates if droppers else ():
            for slot in kinds[item.kind].slots(item, plan.target.facts[item]):
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
                    if kinds[dependent.kind].holds_values and dependent not in plan.created:
                        for later in new.needed_by.get(dependent, ()):
                            for maker in producers.get(later, ()):
                                if later in maker.creates:
                                    maker.wait_for(action, hard=False)
        for item in action.drops:
            for dependent in old.needed_by.get(item, ()):
                if dependent in droppers:
                    action.wait_for(stages.after(item, dependent, droppers[dependent]), hard=True)
            for parent in kinds[item[0]].implied(item):
                if parent in droppers and droppers[parent] is not action:
                    droppers[parent].wait_for(action, hard=True)
    _join_by_kind(Links(plan, producers, droppers))
    _join_bodies(plan, actions)


def join_successors(plan: Plan, actions: Sequence[Action], droppers: Mapping[Id, Action]) -> None:
    """What keeps values unique goes only when what takes its place is there, unless both have one name."""
    made: dict[tuple[str, str], list[Action]] = {}
    unique = plan.ways("unique_on")
    for action in actions if droppers else ():
        for item in action.creates:
            table = unique[item[0]](item, plan.target.facts[item]) if item[0] in unique else None
            if table is not None:
                made.setdefault(table, []).append(action)
    for item, dropper in droppers.items():
        table = unique[item[0]](item, plan.base.facts[item]) if item[0] in unique else None
        if table is not None and dropper.item == item:
            for maker in made.get(table, ()):
                if dropper not in maker.before:
                    dropper.wait_for(maker, hard=False)


def _join_by_kind(links: Links) -> None:
    """Let each kind say what else its own wait for."""
    plan = links.plan
    for which, name in (
        (by_kind(links.droppers), "join_dropped"),
        (by_kind(plan.removed), "join_removed"),
        (by_kind(plan.retyped), "join_retyped"),
        (plan.created_by_kind, "join_created"),
        (by_kind(plan.alterations), "join_altered"),
    ):
        for kind, way in plan.ways(name).items():
            for item in which.get(kind, ()):
                way(item, links)


_WORD = re.compile(r"\w+")


def _join_bodies(plan: Plan, actions: list[Action]) -> None:
    """A routine whose text names something that this script makes should follow it (its body is no dependency)."""
    for action, named in named_in_bodies(plan, actions):
        for other in named:
            action.wait_for(other, hard=False)


def named_in_bodies(plan: Plan, actions: Iterable[Action]) -> Iterator[tuple[Action, set[Action]]]:
    """Yield each action that writes a routine with what else in the script its body seems to name."""
    made = [(action, item) for action in actions for item in (*action.creates, *action.alters)]
    bodies = plan.ways("writes_body")
    writers = [one for one, item in made if item[0] in bodies and bodies[item[0]](plan.target.facts[item])]
    words_of = {action: set(_WORD.findall(plan.target.facts[action.item].definition)) for action in writers}
    said = set().union(*words_of.values())
    makers: dict[str, set[Action]] = {}
    columns: dict[str, dict[str, set[Action]]] = {}  # by their table's name, then their own
    for action, item in made:
        if item[2] in said:
            kind = plan.kinds[item[0]]
            if kind.holds_values:
                columns.setdefault(item.name, {}).setdefault(item.sub, set()).add(action)
            elif kind.is_named_in_bodies:
                makers.setdefault(item.name, set()).add(action)
    for action, words in words_of.items():
        named = {maker for word in words for maker in makers.get(word, ())}
        for table in words & columns.keys():
            named |= {maker for word in words & columns[table].keys() for maker in columns[table][word]}
        named.discard(action)
        if named:
            yield action, named
