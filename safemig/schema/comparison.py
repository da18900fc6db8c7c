"""Compare two schemas: the statements that turn the base into the target, in order, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

from safemig.schema.actions import build_actions
from safemig.schema.change_sets import group, reasons
from safemig.schema.changes import changes
from safemig.schema.collection import without_collection
from safemig.schema.decisions import decide
from safemig.schema.difference import Change, SchemaDiff, Statement, without_idle_parts
from safemig.schema.kinds import KINDS
from safemig.schema.kinds.base import Step
from safemig.schema.majors import within_reach
from safemig.schema.model import Id, Schema
from safemig.schema.order import ordered
from safemig.schema.plan import Plan
from safemig.schema.renames import apply_renames, questions
from safemig.schema.statements import change_sets, plain, statements_of, values_committed_first


def compare(
    base: Schema,
    target: Schema,
    *,
    renames: Mapping[str, str] = {},
    with_change_sets: bool = False,
    may_commit: bool = False,
    not_before: Mapping[int, int] = {},
) -> SchemaDiff:
    """Return what turns `base` into `target`.

    renames: old dotted name to new one, of tables (`app.users`) and columns (`app.users.name`); what is not named
    here is taken for a drop and an addition, and a likely rename becomes a question in the result.
    with_change_sets: fill `change_sets` too, the statements as a migration that a person reads.
    not_before: the first part in which the change set of a number may have statements.
    may_commit: let `statements` hold a COMMIT where that spares a table: a new enum value can only be used after it.
    """
    with without_collection():
        return _compare(base, target, renames, with_change_sets, may_commit, not_before)


def _compare(
    base: Schema,
    target: Schema,
    renames: Mapping[str, str],
    with_change_sets: bool,
    may_commit: bool,
    not_before: Mapping[int, int],
) -> SchemaDiff:
    renamed: tuple[Statement, ...] = ()
    steps: list[tuple[Id, Step]] = []
    target = within_reach(target, base)
    if renames:
        base, steps = apply_renames(base, target, renames)
        renamed = tuple(plain(item, step) for item, step in steps)
    plan = decide(base, target, KINDS)
    actions, warnings = ordered(build_actions(plan))
    sets = group(plan, actions) if with_change_sets or any(action.is_destructive for action in actions) else []
    blocked = reasons(sets)
    statements, online = statements_of(plan, actions, blocked)
    online_plan = plan
    if plan.differs_online:
        online_plan = decide(base, target, KINDS, online=True, like=plan)
        actions = ordered(build_actions(online_plan))[0]
        sets = group(online_plan, actions) if sets else []
        blocked = reasons(sets)
        at_once, online = statements_of(online_plan, actions, blocked)
        if may_commit:
            statements = values_committed_first(at_once)
    return SchemaDiff(
        changes=(*(_rename_change(item, step) for item, step in steps), *changes(plan)),
        statements=(*renamed, *statements),
        warnings=(
            *warnings,
            *_unmodelled(base, target),
            *_unseen(base, target),
            *_leftovers(target),
            *_column_order(base, target),
            *_origins(plan).values(),
        ),
        rename_questions=tuple(questions(plan)),
        online_statements=(*renamed, *online),
        change_sets=without_idle_parts(tuple(change_sets(online_plan, sets, blocked, steps, not_before)))
        if with_change_sets
        else (),
    )


def _rename_change(item: Id, step: Step) -> Change:
    return Change(item.kind, item.dotted, "change", f"renamed: {step.sql}")


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
        f"{kind.name} {item.dotted} is invalid in the target, left by a build that failed: not counted as a difference"
        for kind in KINDS.values()
        if kind.may_be_left_over
        for item, fact in target.of_kind(kind.name)
        if kind.is_leftover(fact, target)
    ]


def _origins(plan: Plan) -> dict[Id, str]:
    """What a child table has of its own or from its parent and should have the other way, with a note: no statement does that."""
    return {
        item: f"{item.kind} {item.dotted} is {_OWN[not plan.base.facts[item].is_local]}, on staging {_OWN[plan.base.facts[item].is_local]}:"
        " no statement changes that; it counts only if the parent's is dropped"
        for item in sorted(plan.no_longer_local)
        if Id("partition", item.schema, item.name) not in plan.target.facts
    }


_OWN = ("the child table's own", "its parent's alone")


def own_beside_parents(made: Schema, wanted: Schema) -> dict[Id, str]:
    """Return what in a child table is its own in one schema and its parent's in the other, and nothing else differs in it."""
    return _origins(decide(made, wanted, KINDS))


def _column_order(base: Schema, target: Schema) -> list[str]:
    found = []
    for item, columns in target.column_order.items():
        if item not in base.column_order or item not in target.facts or not KINDS[item.kind].is_in_column_order:
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
