"""Parts: which statements of a migration share a transaction, and which must stand alone before or after it.

Part 0 holds what must be committed before anything uses it (new enum values); odd parts are one transaction each; even
parts are statements that each stand alone. There are as few as the dependencies allow.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from safemig.schema.action import Action
from safemig.schema.change_sets import ActionSet
from safemig.schema.kinds import KINDS
from safemig.schema.kinds.base import Step
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_name
from safemig.sql.locks import LockMode

_VALIDATES = re.compile(r"ALTER (TABLE|DOMAIN) .* VALIDATE CONSTRAINT ", re.DOTALL)
_ADDS_VALUE = re.compile(r"ALTER TYPE .* ADD VALUE ", re.DOTALL)
_TRIES = 3  # how often a set is moved behind what it waits for

Placed = dict[Action, list[tuple[int, Step]]]


def place(
    sets: Sequence[ActionSet], not_before: Mapping[ActionSet, int] = {}
) -> tuple[Placed, list[tuple[ActionSet, int, int, Id]]]:
    """Return each action's online steps with their parts, and what is missing between two parts.

    not_before: the first part that a set may have statements in; what needs it waits with it.

    A set that drops something and creates it again keeps both in one part. Where a statement in between must stand
    alone, that cannot be: (set, part of the drop, part of the creation, object) says so.
    """
    built = _built_beside(sets)
    least: dict[ActionSet, int] = {}
    tries: Counter[ActionSet] = Counter()
    while True:
        placed = _place(sets, least, not_before, built)
        gaps = [(each, *gap) for each in sets for gap in _gaps(each, placed)]
        torn = {each: create for each, _, create, _ in gaps if tries[each] <= _TRIES}
        if not torn:
            return placed, gaps
        for each, create in torn.items():
            tries[each] += 1
            if tries[each] > _TRIES:  # something in between must stand alone
                least.pop(each, None)
            else:
                least[each] = create


def _built_beside(sets: Sequence[ActionSet]) -> dict[Action, list[Step]]:
    """Return, for each index that only changes, no steps for its DROP, and for its creation those of a build beside it.

    The new index is built CONCURRENTLY under a name of its own; then one transaction drops the old one and renames it.
    """
    pairs = {}
    for each in sets:
        drops, creates = ([one for one in each.actions if getattr(one, what)] for what in ("drops", "creates"))
        if len(drops) == len(creates) == 1 and drops != creates and not any(one.alters for one in each.actions):
            (drop,), (create,) = drops, creates
            steps = _beside(create) if drop.drops == create.creates == {create.item} else None
            if steps is not None:
                pairs[drop] = (create, [steps[0], replace(drop.steps[0], why="", online=None), *steps[1:]])
    waited_for = {
        other
        for each in sets
        for action in each.actions
        for other in action.before
        if other in pairs and action is not pairs[other][0]
    }
    found: dict[Action, list[Step]] = {}
    for drop, (create, steps) in pairs.items():
        if drop not in waited_for:
            found |= {drop: [], create: steps}
    return found


def _beside(create: Action) -> list[Step] | None:
    """Return the build of an index under another name and its renaming; None for what is not built online.

    A primary key or unique constraint takes the index over, and gives it its own name.
    """
    item, (first, *more) = create.item, create.steps
    if not KINDS[item.kind].is_built_beside or not first.online or first.online[0].transactional:
        return None
    build = first.online[0]
    if item.sub:
        own, other = quote_identifier(item.sub), quote_identifier(f"{item.sub[:54]}__new")
        taken = first.online[1]
        return [
            replace(build, sql=build.sql.replace(f" IF NOT EXISTS {own} ON ", f" IF NOT EXISTS {other} ON ", 1)),
            replace(taken, sql=taken.sql.replace(f" USING INDEX {own}", f" USING INDEX {other}", 1)),
            *more,
        ]
    aside = f"{item.name[:54]}__new"
    name = quote_name(item.schema, aside)
    head, _, rest = build.sql.partition(" IF NOT EXISTS ")
    sql = f"{head} IF NOT EXISTS {quote_identifier(aside)}{rest.removeprefix(quote_identifier(item.name))}"
    return [
        replace(build, sql=sql, reverse=f"DROP INDEX CONCURRENTLY IF EXISTS {name}"),
        Step(f"ALTER INDEX {name} RENAME TO {quote_identifier(item.name)}", lock=LockMode.SHARE_UPDATE_EXCLUSIVE),
        *more,
    ]


def _place(
    sets: Sequence[ActionSet],
    least: Mapping[ActionSet, int],
    not_before: Mapping[ActionSet, int],
    built: Mapping[Action, list[Step]],
) -> Placed:
    placed: Placed = {}
    ends: dict[Action, int] = {}
    for each in sets:
        for action in each.actions:
            # What is only preferred need not be finished, but for what is dropped: its successor comes first.
            part = max(
                (
                    ends[other] if hard or action.drops else min(part for part, _ in placed[other])
                    for other, hard in action.before.items()
                    if placed.get(other)
                ),
                default=0,
            )
            part = max(part, not_before.get(each, 0))
            end = part
            steps: list[tuple[int, Step]] = []
            for step in built[action] if action in built else _steps(action, each):
                part = _next(part, step, least.get(each, 0))
                steps.append((part, step))
                if not _VALIDATES.match(step.sql):  # nothing waits for a constraint to be validated but its own steps
                    end = part
            placed[action] = steps
            ends[action] = end
    return placed


def _next(part: int, step: Step, least: int) -> int:
    if not stands_alone(step):
        return max(part, least, 1) | 1
    if _ADDS_VALUE.match(step.sql) and part == 0:
        return 0
    return max(part + part % 2, 2)


def stands_alone(step: Step) -> bool:
    """Tell whether a statement must not share a transaction.

    VALIDATE could, and would then scan the table under the lock that ADD CONSTRAINT holds.
    """
    return not step.transactional or step.alone or bool(_VALIDATES.match(step.sql))


def _steps(action: Action, each: ActionSet) -> Iterator[Step]:
    """Yield the steps that block least; but an index that is dropped and created again stays in one transaction."""
    recreated = (action.creates | action.drops) & each.recreated  # what is dropped comes back in the same transaction
    if any(KINDS[item.kind].is_built_online for item in recreated):
        yield from (replace(step, alone=False) for step in action.steps)
        return
    for step in action.steps:
        yield from step.online if step.online is not None else (replace(step, alone=False) if recreated else step,)


def _gaps(each: ActionSet, placed: Placed) -> Iterator[tuple[int, int, Id]]:
    for item in sorted(each.recreated):
        drops = [part for action in each.actions if item in action.drops for part, _ in placed[action]]
        creates = [part for action in each.actions if item in action.creates for part, _ in placed[action]]
        if drops and creates and max(drops) < min(creates):
            yield max(drops), min(creates), item
