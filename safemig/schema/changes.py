"""What differs, in words: every change of a plan, and the title of a change set."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Literal

from safemig.schema.change_sets import ActionSet
from safemig.schema.difference import Change
from safemig.schema.model import Id
from safemig.schema.plan import Plan

_LONGEST_LIST = 100  # characters of a title, which fits on a line


def changes(plan: Plan) -> Iterator[Change]:
    """Yield every difference between the plan's schemas."""
    kinds = plan.kinds
    new = {item[1:3] for item in plan.added if kinds[item[0]].is_relation}
    told = (
        item
        for item in plan.added | plan.removed | plan.changed
        if not kinds[item[0]].is_told_with_table or item[1:3] not in new
    )
    for item in sorted(told):
        yield from _changes_of(plan, item)
    yield from _belonging_changes(plan)


def _changes_of(plan: Plan, item: Id) -> Iterator[Change]:
    kind = plan.kinds[item.kind]
    is_gone = item in plan.removed
    facts = plan.base.facts if is_gone else plan.target.facts
    if kind.is_quiet or kind.is_told_with(item, plan.removed if is_gone else plan.added, facts, is_gone=is_gone):
        return
    if is_gone:
        yield Change(kind.words(item, facts[item]), item.dotted, "remove", "dropped")
    elif item in plan.added:
        yield Change(kind.words(item, facts[item]), item.dotted, "add", "created")
    else:
        yield from kind.changes(item, plan.base.facts[item], facts[item])


def _belonging_changes(plan: Plan) -> Iterator[Change]:
    base, target = plan.base, plan.target
    both = (
        set(base.facts) & set(target.facts)
        if base.comments != target.comments
        or base.grants != target.grants
        or (base.labels != target.labels or base.with_ownership)
        else set()
    )
    for what, before, after in (("comment", base.comments, target.comments), ("grant", base.grants, target.grants)):
        for item in sorted(set(before) | set(after)):
            if item not in both or before.get(item) == after.get(item):
                continue
            action: Literal["add", "change", "remove"] = (
                "add" if item not in before else "remove" if item not in after else "change"
            )
            yield Change(what, item.dotted, action, f"on {item.kind} {item.dotted}")
    if base.with_ownership and target.with_ownership:
        for item in sorted(target.owners):
            if item in both and item in base.owners and base.owners[item] != target.owners[item]:
                yield Change("owner", item.dotted, "change", f"{base.owners[item]} -> {target.owners[item]}")


def title_of(plan: Plan, each: ActionSet) -> str:
    """Return what a change set does: its own changes, then what is created again because of them."""
    touched = {item for action in each.actions for item in action.creates | action.drops | action.alters}
    said = [
        f"{change.kind} {change.name}: {change.detail}"
        for item in sorted(
            (touched & plan.added) | (touched & plan.removed) | (touched & plan.changed),
            # What stays before what comes and goes; a table before what stands on it; an index before its partitions'.
            key=lambda item: (
                item not in plan.changed,
                plan.kinds[item.kind].phase,
                item in plan.target.facts and plan.kinds[item.kind].is_part(plan.target.facts[item]),
                item,
            ),
        )
        for change in _changes_of(plan, item)
    ]
    again = [
        f"{plan.kinds[item.kind].words(item, plan.target.facts[item])} {item.dotted}"
        for item in sorted(each.recreated - plan.changed)
        if not plan.kinds[item.kind].is_quiet and not _inside(item, each.recreated)
    ]
    if not said and again:
        return f"{_list(again)}: created again"
    said = said or [f"{what} {item.dotted}" for what, item in _belongings(plan, each)]
    return _list(said) + (f", with {_list(again, _LONGEST_LIST // 2)}" if again else "")


_BELONGINGS = {"comment": "on", "grant": "on", "owner": "of", "label": "on"}


def _belongings(plan: Plan, each: ActionSet) -> Iterator[tuple[str, Id]]:
    for action in each.actions:
        words = next((word for word in _BELONGINGS if action.key[-1].startswith(word)), "")
        fact = plan.target.facts.get(action.item)
        kind = action.item.kind if fact is None else plan.kinds[action.item.kind].words(action.item, fact)
        yield f"{words} {_BELONGINGS[words]} {kind}" if words else kind, action.item


def _inside(item: Id, others: set[Id]) -> bool:
    return any(Id(kind, item.schema, item.name) in others for kind in ("view", "materialized view")) and bool(item.sub)


def _list(words: list[str], most: int = _LONGEST_LIST) -> str:
    """Return as many words as a title holds, and how many more there are; the first in any case."""
    words = list(dict.fromkeys(words))
    lengths = accumulate(len(word) + 2 for word in words)
    shown = max(1, sum(length <= most for length in lengths))
    more = len(words) - shown
    return "; ".join(words[:shown]) + (f"; and {more} more" if more else "")
