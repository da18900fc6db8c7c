"""Put nodes in an order that every need allows: actions of a plan, and sets of actions."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Any, TypeVar

from safemig.schema.action import Action

Node = TypeVar("Node", bound=Hashable)
Before = Mapping[Node, Mapping[Node, bool]]  # what each waits for; True where it cannot do without


def ordered(actions: Iterable[Action]) -> tuple[list[Action], list[str]]:
    """Return the actions in order, and a warning for each loop that had to be cut.

    Among those that may run, the smallest key is first; a loop is cut at an edge that is only a preference
    where it has one.
    """
    everyone = set(actions)
    before = {
        action: {other: hard for other, hard in action.before.items() if other in everyone} for action in everyone
    }
    warnings: list[str] = []

    def cut(loop: list[Action]) -> Action:
        action = min(loop, key=lambda one: one.key)
        warnings.append(f"{action.item.kind} {action.item.dotted} is part of a loop of dependencies; check its place")
        return action

    return in_order(before, key=lambda action: action.key, cut=cut), warnings


def in_order(
    before: Before[Node], *, key: Callable[[Node], Any], cut: Callable[[list[Node]], Node | None]
) -> list[Node]:
    """Return the nodes in order: the smallest key first among those that wait for nothing.

    Where a loop keeps all from running, one of it runs that waits only for what is preferred; where there is none,
    `cut` is given the loop and returns the one to run next, or None to give up: then what is returned ends there.
    """
    waiting = {node: set(needed) for node, needed in before.items()}
    followers: dict[Node, list[Node]] = {}
    for node, needed in waiting.items():
        for other in needed:
            followers.setdefault(other, []).append(node)
    heap = [(key(node), number, node) for number, node in enumerate(before) if not waiting[node]]
    heapq.heapify(heap)
    result: list[Node] = []
    done: set[Node] = set()
    number = len(before)
    while len(result) < len(before):
        if not heap:
            chosen = _next(before.keys() - done, waiting, before, key, cut)
            if chosen is None:
                break
            number += 1
            heapq.heappush(heap, (key(chosen), number, chosen))
            waiting[chosen] = set()
        _, _, node = heapq.heappop(heap)
        if node in done:
            continue
        done.add(node)
        result.append(node)
        for follower in followers.get(node, ()):
            if follower in done:
                continue
            waiting[follower].discard(node)
            if not waiting[follower]:
                number += 1
                heapq.heappush(heap, (key(follower), number, follower))
    return result


def _next(
    rest: Collection[Node],
    waiting: Mapping[Node, set[Node]],
    before: Before[Node],
    key: Callable[[Node], Any],
    cut: Callable[[list[Node]], Node | None],
) -> Node | None:
    """Return the node to run next though it waits: of a knot, in which all wait for each other and for nothing else."""
    knot = _knot(min(rest, key=key), waiting, key)
    needs = {node: [other for other in waiting[node] if before[node].get(other)] for node in knot}
    free = [node for node in knot if not needs[node]]
    return min(free, key=key) if free else cut(_loop(knot, needs, key))


def _knot(start: Node, waiting: Mapping[Node, set[Node]], key: Callable[[Node], Any]) -> set[Node]:
    while True:
        reached = _reached(start, waiting)
        followers: defaultdict[Node, set[Node]] = defaultdict(set)
        for node in reached:
            for other in waiting[node]:
                followers[other].add(node)
        back: set[Node] = _reached(start, followers)
        elsewhere = reached - back
        if not elsewhere:
            return reached
        start = min(elsewhere, key=key)  # what it waits for does not wait for it


def _reached(start: Node, edges: Mapping[Node, set[Node]]) -> set[Node]:
    found: set[Node] = set()
    queue = [start]
    while queue:
        for other in edges.get(queue.pop(), ()):
            if other not in found:
                found.add(other)
                queue.append(other)
    return found


def _loop(rest: Collection[Node], needs: Mapping[Node, Collection[Node]], key: Callable[[Node], Any]) -> list[Node]:
    node = min(rest, key=key)
    path: list[Node] = []
    seen: dict[Node, int] = {}
    while node not in seen:
        seen[node] = len(path)
        path.append(node)
        node = min(needs[node], key=key)
    return path[seen[node] :]
