"""Compare two schemas: the statements that turn the base into the target, in order, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from safemig.schema.action import Action
from safemig.schema.actions import build_actions
from safemig.schema.collection import without_collection
from safemig.schema.decisions import decide, is_leftover
from safemig.schema.difference import Change, SchemaDiff, Statement
from safemig.schema.edges import BODIES
from safemig.schema.kinds.base import Step
from safemig.schema.majors import within_reach
from safemig.schema.model import Id, Schema
from safemig.schema.order import blocked_by, ordered
from safemig.schema.plan import Plan
from safemig.schema.renames import apply_renames, questions
from safemig.schema.reparse import readable


def compare(base: Schema, target: Schema, *, renames: Mapping[str, str] = {}) -> SchemaDiff:
    """Return what turns `base` into `target`.

    renames: old dotted name to new one, of tables (`app.users`) and columns (`app.users.name`); what is not named
    here is taken for a drop and an addition, and a likely rename becomes a question in the result.
    """
    with without_collection():
        return _compare(base, target, renames)


def _compare(base: Schema, target: Schema, renames: Mapping[str, str]) -> SchemaDiff:
    renamed: tuple[Statement, ...] = ()
    steps: list[tuple[Id, Step]] = []
    target = within_reach(target, base)
    if renames:
        base, steps = apply_renames(base, target, renames)
        renamed = tuple(_plain(item, step) for item, step in steps)
    plan = decide(base, target)
    actions, warnings = ordered(build_actions(plan))
    statements, online = _statements(plan, actions)
    if plan.differs_online:
        online_plan = decide(base, target, online=True, like=plan)
        _, online = _statements(online_plan, ordered(build_actions(online_plan))[0])
    return SchemaDiff(
        changes=(*(_rename_change(item, step) for item, step in steps), *_changes(plan)),
        statements=(*renamed, *statements),
        warnings=(
            *warnings,
            *_unmodelled(base, target),
            *_unseen(base, target),
            *_leftovers(target),
            *_column_order(base, target),
            *_origins(plan),
        ),
        rename_questions=tuple(questions(plan)),
        online_statements=(*renamed, *online),
    )


def _plain(item: Id, step: Step) -> Statement:
    return Statement(
        sql=step.sql,
        reverse_sql=step.reverse,
        objects=(item.dotted,),
        destructive=False,
        why=step.why,
        rule=step.rule,
        transactional=True,
        lock=step.lock,
        rewrites=False,
    )


def _rename_change(item: Id, step: Step) -> Change:
    return Change(item.kind, item.dotted, "change", f"renamed: {step.sql}")


def _statements(plan: Plan, actions: list[Action]) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
    """Return the statements of ordered actions: for one transaction, and in their least blocking form."""
    blocked = blocked_by(actions)
    found = [_UNCHECKED] if _writes_bodies(plan, actions) else []
    online = list(found)
    for action in actions:
        for step in action.steps:
            statement = _statement(action, step, step, blocked)
            found.append(statement)
            if step.online is None:
                online.append(statement)
            else:
                online += [_statement(action, one, step, blocked) for one in step.online]
    return tuple(found), tuple(online)


_UNCHECKED = Statement(
    sql="SET check_function_bodies = off",
    reverse_sql=None,
    objects=(),
    destructive=False,
    why="a body may name what is made later, or what its own search_path finds",
    rule=None,
    transactional=True,
    lock=None,
    rewrites=False,
)


def _writes_bodies(plan: Plan, actions: list[Action]) -> bool:
    """Tell whether a routine is written whose body is a text, which PostgreSQL would check as it stands now."""
    return any(
        item.kind == "routine" and (fact := plan.target.facts[item]).language in BODIES and fact.routine != "a"
        for action in actions
        for item in action.creates | action.alters
    )


def _statement(action: Action, step: Step, whole: Step, blocked: Mapping[Action, str]) -> Statement:
    objects = sorted(
        item.dotted for item in (action.creates | action.drops | action.alters | action.needs) if item.kind != "default"
    )
    reason = blocked.get(action)
    # A body that is a text is kept to the letter.
    said = str if action.item.kind == "routine" and "\nAS $" in step.sql else readable
    return Statement(
        sql=said(step.sql),
        reverse_sql=None if step.reverse is None else said(step.reverse),
        objects=tuple(dict.fromkeys((action.item.dotted, *objects))),
        destructive=step.destructive,
        why=step.why or (whole.why if step is whole else ""),
        rule=step.rule,
        transactional=step.transactional,
        lock=step.lock,
        rewrites=step.rewrites,
        blocked=None if step.destructive else reason,
    )


_QUIET = frozenset({"identity sequence", "sequence owner"})


def _changes(plan: Plan) -> Iterator[Change]:
    for item in sorted(plan.added | plan.removed | plan.changed):
        action: Literal["add", "change", "remove"]
        action = "add" if item in plan.added else "remove" if item in plan.removed else "change"
        schema = plan.base if action == "remove" else plan.target
        if item.kind in _QUIET or _inside_a_change(plan, item, action):
            continue
        kind = plan.kinds[item.kind]
        if item.kind == "enum" and action == "change":
            yield from _enum_changes(plan, item)
            continue
        if action == "change":
            detail = kind.detail(plan.base.facts[item], plan.target.facts[item])
        else:
            detail = "created" if action == "add" else "dropped"
        yield Change(kind.words(item, schema.facts[item]), item.dotted, action, detail)
    yield from _belonging_changes(plan)


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


def _unmodelled(base: Schema, target: Schema) -> list[str]:
    found = []
    for words in sorted({*base.unmodelled, *target.unmodelled}):
        where = (
            "in both"
            if words in base.unmodelled and words in target.unmodelled
            else ("only in the base" if words in base.unmodelled else "only in the target")
        )
        found.append(f"not compared, for it is not modelled: {words} ({where})")
    return found


def _unseen(base: Schema, target: Schema) -> list[str]:
    where = {(True, True): "in both", (True, False): "in the base", (False, True): "in the target"}
    return [
        f"not compared, for the role that reads may not see it {where[item in base.unseen, item in target.unseen]}: {words}"
        for item, words in sorted({**base.unseen, **target.unseen}.items())
    ]


def _leftovers(target: Schema) -> list[str]:
    return [
        f"index {item.dotted} is invalid in the target, left by a build that failed: not counted as a difference"
        for item in target.facts
        if is_leftover(item, target)
    ]


def _origins(plan: Plan) -> list[str]:
    """What a child table has of its own and should have from its parent alone: no statement says that."""
    return [
        f"{item.kind} {item.dotted} stays the table's own beside its parent's; pg_dump writes it out, and nothing else differs"
        for item in sorted(plan.no_longer_local)
        if Id("partition", item.schema, item.name) not in plan.target.facts
    ]


def _column_order(base: Schema, target: Schema) -> list[str]:
    found = []
    for item, columns in target.column_order.items():
        if item.kind != "table" or item not in base.column_order or item not in target.facts:
            continue
        before = base.column_order[item]
        if before == columns:
            continue
        kept = [name for name in before if name in set(columns)]
        result = kept + [name for name in columns if name not in set(before)]
        if tuple(result) != columns:
            found.append(
                f"the columns of {item.dotted} will be in another order: {', '.join(result)}"
                f" instead of {', '.join(columns)}"
            )
    return found
