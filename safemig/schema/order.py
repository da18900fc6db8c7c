"""Put actions in an order that every dependency allows."""

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
