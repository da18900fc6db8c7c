"""Put actions in an order that every dependency allows, and find what cannot run without a destructive one."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from safemig.schema.action import Action


def ordered(actions: Iterable[Action]) -> tuple[list[Action], list[str]]:
    """Return the actions in order, and a warning for each loop that had to be cut.

    Among those that may run, the smallest key is first; a loop is cut at an edge that is only a preference
    where it has one.
    """
    waiting: dict[Action, set[Action]] = {}
    followers: dict[Action, list[Action]] = {}
    everyone = set(actions)
    for action in everyone:
        waiting[action] = {other for other in action.before if other in everyone}
        for other in waiting[action]:
            followers.setdefault(other, []).append(action)
    heap = [(action.key, number, action) for number, action in enumerate(everyone) if not waiting[action]]
    heapq.heapify(heap)
    result: list[Action] = []
    done: set[Action] = set()
    warnings: list[str] = []
    number = len(everyone)
    while len(result) < len(everyone):
        if not heap:
            cut = _cut(everyone - done, waiting)
            if cut is None:
                break
            action, hard = cut
            if hard:
                warnings.append(
                    f"{action.item.kind} {action.item.dotted} is part of a loop of dependencies; check its place"
                )
            number += 1
            heapq.heappush(heap, (action.key, number, action))
            waiting[action] = set()
        _, _, action = heapq.heappop(heap)
        if action in done:
            continue
        done.add(action)
        result.append(action)
        for follower in followers.get(action, ()):
            if follower in done:
                continue
            waiting[follower].discard(action)
            if not waiting[follower]:
                number += 1
                heapq.heappush(heap, (follower.key, number, follower))
    return result, warnings


def _cut(rest: set[Action], waiting: dict[Action, set[Action]]) -> tuple[Action, bool] | None:
    """Return the action to run next though it waits: one in a loop, whose hard needs are all met if there is one."""
    if not rest:
        return None
    loop = _loop(rest, waiting)
    soft = [action for action in loop if not any(action.before.get(other) for other in waiting[action])]
    chosen = min(soft or loop, key=lambda action: action.key)
    return chosen, not soft


def _loop(rest: set[Action], waiting: dict[Action, set[Action]]) -> list[Action]:
    action = min(rest, key=lambda one: one.key)
    path: list[Action] = []
    seen: dict[Action, int] = {}
    while action not in seen:
        seen[action] = len(path)
        path.append(action)
        action = min(waiting[action], key=lambda one: one.key)
    return path[seen[action] :]


def blocked_by(actions: Iterable[Action]) -> dict[Action, str]:
    """Return the actions that cannot run when destructive ones are left out, each with the reason."""
    found: dict[Action, str] = {}
    everyone = list(actions)
    pairs: dict[object, list[Action]] = {}
    for action in everyone:
        for item in action.creates | action.drops:
            pairs.setdefault(item, []).append(action)
        if action.is_destructive:
            why = next(step.why for step in action.steps if step.destructive)
            found[action] = why
    grew = True
    while grew:
        grew = False
        for action in everyone:
            if action in found:
                continue
            if action.only_with in found:
                found[action] = found[action.only_with]
                grew = True
                continue
            for other, hard in action.before.items():
                if hard and other in found:
                    found[action] = found[other]
                    grew = True
                    break
        for action in list(found):
            # What is dropped only to be created again stays when it cannot be created again.
            for item in action.creates:
                for other in pairs.get(item, ()):
                    if item in other.drops and other not in found:
                        found[other] = found[action]
                        grew = True
    return found
