"""What differs, in words: every change of a plan, and the title of a change set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from safemig.schema.change_sets import ActionSet
from safemig.schema.difference import Change
from safemig.schema.model import Id
from safemig.schema.plan import Plan

_LONGEST_LIST = 4

QUIET = frozenset({"identity sequence", "sequence owner"})
_TOLD_BY_TABLE = frozenset(
    {"column", "default", "constraint", "partition", "inheritance", "replica identity", "cluster"}
)


def changes(plan: Plan) -> Iterator[Change]:
    """Yield every difference between the plan's schemas."""
    new = {item[1:3] for item in plan.added if item[0] in ("table", "view", "materialized view")}
    told = (
        item
        for item in plan.added | plan.removed | plan.changed
        if item[0] not in _TOLD_BY_TABLE or item[1:3] not in new
    )
    for item in sorted(told):
        yield from _changes_of(plan, item)
    yield from _belonging_changes(plan)


def _changes_of(plan: Plan, item: Id) -> Iterator[Change]:
    action: Literal["add", "change", "remove"]
    action = "add" if item in plan.added else "remove" if item in plan.removed else "change"
    schema = plan.base if action == "remove" else plan.target
    if item.kind in QUIET or _inside_a_change(plan, item, action):
        return
    kind = plan.kinds[item.kind]
    if item.kind == "enum" and action == "change":
        yield from _enum_changes(plan, item)
        return
    if action == "change":
        detail = kind.detail(plan.base.facts[item], plan.target.facts[item])
    else:
        detail = "created" if action == "add" else "dropped"
    yield Change(kind.words(item, schema.facts[item]), item.dotted, action, detail)


def _inside_a_change(plan: Plan, item: Id, action: str) -> bool:
    """Tell whether `item` is part of a larger change that is listed already."""
    facts = plan.base.facts if action == "remove" else plan.target.facts
    whole = plan.removed if action == "remove" else plan.added
    if item.kind in ("column", "default"):
        for container in ("table", "view", "materialized view"):
            outer = Id(container, item.schema, item.name)
            if outer in whole or (container != "table" and outer in facts):
                return True
        return item.kind == "default" and Id("column", *item[1:]) in whole
    outer = Id("domain" if item.kind == "domain constraint" else "table", item.schema, item.name)
    if item.kind == "configuration row":
        return action == "remove" and outer in whole
    return (
        item.kind in ("constraint", "domain constraint", "partition", "inheritance", "replica identity", "cluster")
        and outer in whole
    )


def _enum_changes(plan: Plan, item: Id) -> Iterator[Change]:
    old, new = plan.base.facts[item].labels, plan.target.facts[item].labels
    fresh = [label for label in new if label not in old]
    gone = [label for label in old if label not in new]
    for label in fresh:
        yield Change("enum value", item.dotted, "add", f"'{label}'")
    for label in gone:
        yield Change("enum value", item.dotted, "remove", f"'{label}'")
    if not fresh and not gone:
        yield Change("enum", item.dotted, "change", "values in another order")


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
        for item in sorted(touched & (plan.added | plan.removed | plan.changed))
        for change in _changes_of(plan, item)
    ]
    again = [
        f"{plan.kinds[item.kind].words(item, plan.target.facts[item])} {item.dotted}"
        for item in sorted(each.recreated - plan.changed)
        if item.kind not in QUIET and not _inside(item, each.recreated)
    ]
    if not said and again:
        return f"{_list(again)}: created again"
    said = said or [f"{what} {item.dotted}" for what, item in _belongings(plan, each)]
    return _list(said) + (f", with {_list(again)}" if again else "")


_BELONGINGS = {"comment": "on", "grant": "on", "owner": "of", "label": "on"}


def _belongings(plan: Plan, each: ActionSet) -> Iterator[tuple[str, Id]]:
    for action in each.actions:
        words = next((word for word in _BELONGINGS if action.key[-1].startswith(word)), "")
        fact = plan.target.facts.get(action.item)
        kind = action.item.kind if fact is None else plan.kinds[action.item.kind].words(action.item, fact)
        yield f"{words} {_BELONGINGS[words]} {kind}" if words else kind, action.item


def _inside(item: Id, others: set[Id]) -> bool:
    return any(Id(kind, item.schema, item.name) in others for kind in ("view", "materialized view")) and bool(item.sub)


def _list(words: list[str]) -> str:
    words = list(dict.fromkeys(words))
    more = len(words) - _LONGEST_LIST
    return "; ".join(words[:_LONGEST_LIST]) + (f"; and {more} more" if more > 0 else "")
