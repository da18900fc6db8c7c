"""Actions as statements: as one script, and as the change sets of a migration that a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from safemig.schema.action import Action
from safemig.schema.change_sets import ActionSet
from safemig.schema.changes import title_of
from safemig.schema.difference import ChangeSet, Statement
from safemig.schema.kinds.base import Step
from safemig.schema.model import Id
from safemig.schema.parts import Placed, place
from safemig.schema.plan import Plan
from safemig.schema.reparse import readable
from safemig.sql.identifiers import quote_name


def statements_of(
    plan: Plan, actions: list[Action], blocked: Mapping[Action, str]
) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
    """Return the statements of ordered actions: for one transaction, and in their least blocking form."""
    found = [UNCHECKED_BODIES] if _writes_bodies(plan, actions) else []
    online = list(found)
    for action in actions:
        objects = _objects(plan, action)
        for step in action.steps:
            statement = _statement(plan, action, step, step, blocked, objects)
            found.append(statement)
            if step.online is None:
                online.append(statement)
            else:
                online += [_statement(plan, action, one, step, blocked, objects) for one in step.online]
    return tuple(found), tuple(online)


UNCHECKED_BODIES = Statement(
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


_COMMIT = Statement(
    sql="COMMIT",
    reverse_sql=None,
    objects=(),
    destructive=False,
    why="a new enum value can be used only when the transaction that adds it is committed",
    rule="enum-add-value",
    transactional=False,
    lock=None,
    rewrites=False,
)


def values_committed_first(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Return the statements with those first that must be committed before the rest: new enum values, then COMMIT."""
    first = tuple(each for each in statements if each.rule == "enum-add-value" and not each.transactional)
    return (*first, _COMMIT, *(each for each in statements if each not in first)) if first else statements


def _writes_bodies(plan: Plan, actions: list[Action]) -> bool:
    """Tell whether a routine is written whose body is a text, which PostgreSQL would check as it stands now."""
    ways = plan.ways("writes_body")
    return any(
        item[0] in ways and ways[item[0]](plan.target.facts[item])
        for action in actions
        for item in (*action.creates, *action.alters)
    )


# What an action touches, the tables that its foreign keys reference, and those that its VALIDATE reads.
Objects = tuple[tuple[str, ...], list[str], list[str]]


def _objects(plan: Plan, action: Action) -> Objects:
    named: list[str] = []
    made_on: list[str] = []
    referenced: list[str] = []
    read: list[str] = []
    relations, reads = plan.ways("relations"), plan.ways("read_by_validation")
    own, is_made, place = action.item, action.item in action.creates, action.item[1:3]
    for item in action.creates | action.drops | action.alters:
        kind = plan.kinds[item[0]]
        if kind.holds_values and is_made and item[1:3] == place and item != own:
            continue  # a column that is created with its table is no object of its own: the table says enough
        if not kind.is_same_thing:
            named.append(item.dotted)
        if item[0] in relations:
            fact = plan.target.facts[item] if item in plan.target.facts else plan.base.facts[item]
            made_on += [quote_name(*name) for name in relations[item[0]](fact)]
        if kind.may_reference:
            referenced += _referenced(plan, item)
        if item[0] in reads:
            read += [table.dotted for table in reads[item[0]](item, plan)]
    named += [item.dotted for item in action.needs if not plan.kinds[item[0]].is_same_thing]
    return (own.dotted, *sorted(named), *sorted(made_on)), sorted(referenced), sorted(read)


def _statement(
    plan: Plan, action: Action, step: Step, whole: Step, blocked: Mapping[Action, str], objects: Objects
) -> Statement:
    touched, referenced, read = objects
    validates = " VALIDATE " in step.sql
    reason = blocked.get(action)
    said = str if plan.kinds[action.item.kind].is_verbatim(step.sql) else readable
    return Statement(
        sql=said(step.sql),
        reverse_sql=None if step.reverse is None else said(step.reverse),
        objects=tuple(dict.fromkeys((*touched, *(read if validates else referenced)))),
        destructive=step.destructive,
        why=step.why or (whole.why if step is whole else ""),
        rule=step.rule,
        transactional=step.transactional,
        lock=step.lock,
        rewrites=step.rewrites,
        blocked=None if step.destructive else reason or step.until or None,
        shares=tuple(referenced) if validates else (),
    )


def _referenced(plan: Plan, item: Id) -> Iterator[str]:
    """Yield the table that a foreign key references, which is locked with its own."""
    for schema in (plan.target, plan.base):
        if item in schema.facts and schema.facts[item].type == "f":
            for needed in schema.graph.needs.get(item, ()):
                if needed[1:3] != item[1:3] and schema.relation(needed.schema, needed.name) is not None:
                    yield quote_name(needed.schema, needed.name)


def _numbers(sets: Sequence[ActionSet], placed: Placed, first: int) -> dict[ActionSet, int]:
    """Return the number of each set, as `change_sets` counts them."""
    found: dict[ActionSet, int] = {}
    for each in sets:
        found[each] = first
        first += 1 + _ends_later(each, placed)
    return found


def _ends_later(each: ActionSet, placed: Placed) -> bool:
    """Tell whether a set that is live has steps that wait for the rows to be given values."""
    return each.disabled is None and any(step.until for action in each.actions for _, step in placed[action])


def plain(item: Id, step: Step) -> Statement:
    """Return a step of a rename as a statement."""
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


def change_sets(
    plan: Plan,
    sets: Sequence[ActionSet],
    blocked: Mapping[Action, str],
    renames: Sequence[tuple[Id, Step]],
    not_before: Mapping[int, int],
) -> Iterator[ChangeSet]:
    """Yield what a reader sees: the renames that were named, then each set with its words.

    not_before: the first part of a set that its number names.
    """
    placed, missing = place(sets)
    if not_before:
        numbers = _numbers(sets, placed, 2 if renames else 1)
        placed, missing = place(sets, {each: not_before[at] for each, at in numbers.items() if at in not_before})
    if renames:
        title = "; ".join(f"{item.kind} {item.dotted} renamed" for item, _ in renames)
        yield ChangeSet(1, title, ((1, tuple(plain(item, step) for item, step in renames)),))
    number = 1 if renames else 0
    for each in sets:
        parts: dict[int, list[Statement]] = {}
        later: list[tuple[int, Statement]] = []  # what waits for the rows to be given values
        for action in each.actions:
            objects = _objects(plan, action)
            for part, step in placed[action]:
                statement = _statement(plan, action, step, step, blocked, objects)
                if step.until and each.disabled is None:
                    later.append((part, statement))
                else:
                    parts.setdefault(part, []).append(statement)
        number += 1
        title = title_of(plan, each)
        yield ChangeSet(
            number,
            title,
            tuple((part, tuple(statements)) for part, statements in sorted(parts.items())),
            each.disabled,
            tuple(item.dotted for item in sorted(each.recreated) if not plan.kinds[item.kind].is_quiet),
            tuple((drop, create, item.dotted) for one, drop, create, item in missing if one is each),
            each.is_doubtful,
        )
        if later:
            number += 1
            until = next(statement.blocked for _, statement in later if statement.blocked)
            # Not with what comes before it, for the rows change in between; each of it may run by itself.
            part = later[0][0] + later[0][0] % 2
            alone = tuple(statement for _, statement in later)
            yield ChangeSet(number, title.replace(": created", ": NOT NULL"), ((part, alone),), until)
