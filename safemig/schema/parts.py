"""Parts: which statements of a migration share a transaction, and which must stand alone before or after it.

Part 0 holds what must be committed before anything uses it (new enum values); odd parts are one transaction each; even
parts are statements that each stand alone. There are as few as the dependencies allow.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from safemig.schema.action import Action
from safemig.schema.change_sets import ActionSet
from safemig.schema.kinds.base import Step
from safemig.schema.model import Id

_VALIDATES = re.compile(r"ALTER TABLE .* VALIDATE CONSTRAINT ", re.DOTALL)
_ADDS_VALUE = re.compile(r"ALTER TYPE .* ADD VALUE ", re.DOTALL)
_TRIES = 3  # how often a set is moved behind what it waits for

Placed = dict[Action, list[tuple[int, Step]]]


def place(sets: Sequence[ActionSet]) -> tuple[Placed, list[tuple[ActionSet, int, int, Id]]]:
    """Return each action's online steps with their parts, and what is missing between two parts.

    A set that drops something and creates it again keeps both in one part. Where a statement in between must stand
    alone, that cannot be: (set, part of the drop, part of the creation, object) says so.
    """
    least: dict[ActionSet, int] = {}
    tries: Counter[ActionSet] = Counter()
    while True:
        placed = _place(sets, least)
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


def _place(sets: Sequence[ActionSet], least: dict[ActionSet, int]) -> Placed:
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
            end = part
            steps: list[tuple[int, Step]] = []
            for step in _steps(action, each):
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
    return not step.transactional or bool(_VALIDATES.match(step.sql))


def _steps(action: Action, each: ActionSet) -> Iterator[Step]:
    """Yield the steps that block least; but an index that is dropped and created again stays in one transaction."""
    if any(item.kind in ("index", "constraint") for item in (action.creates | action.drops) & each.recreated):
        yield from action.steps
        return
    for step in action.steps:
        yield from step.online if step.online is not None else (step,)


def _gaps(each: ActionSet, placed: Placed) -> Iterator[tuple[int, int, Id]]:
    for item in sorted(each.recreated):
        drops = [part for action in each.actions if item in action.drops for part, _ in placed[action]]
        creates = [part for action in each.actions if item in action.creates for part, _ in placed[action]]
        if drops and creates and max(drops) < min(creates):
            yield max(drops), min(creates), item
