"""What the calls of a load tell: latency by statement while the migration ran, errors, and the run in small parts. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from safemig.load_facts import LoadError, LoadPoint, StatementUnderLoad
from safemig.workload.load import Call, Driven

_POINTS = 120


def by_statement(
    driven: Sequence[Driven], calls: Sequence[Call], begin: float, end: float
) -> tuple[StatementUnderLoad, ...]:
    """Return how each statement fared in the calls that were under way between `begin` and `end`, the worst first."""
    before: dict[int, list[float]] = {}
    during: dict[int, list[Call]] = {}
    for call in calls:
        if call.end < begin and not call.sqlstate:
            before.setdefault(call.which, []).append(_ms(call))
        elif call.begin <= end and call.end >= begin:
            during.setdefault(call.which, []).append(call)
    found = []
    for which, each in enumerate(driven):
        of = during.get(which, [])
        times = sorted(_ms(call) for call in of)
        usual = before.get(which)
        found.append(
            StatementUnderLoad(
                each.statement.id, each.statement.text, each.statement.role, len(of),
                sum(bool(call.sqlstate) for call in of),
                round(statistics.median(usual), 3) if usual else None,
                round(percentile(times, 0.99), 3) if times else None,
                round(times[-1], 3) if times else None,
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda each: -(each.worst_ms or 0.0)))


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest of the ordered values that at least `share` of them do not exceed."""
    return ordered[max(0, -(-len(ordered) * share // 1).__int__() - 1)]


def errors_of(calls: Sequence[Call], messages: Mapping[str, str]) -> tuple[LoadError, ...]:
    """Return the errors by SQLSTATE, the most frequent first."""
    counts = Counter(call.sqlstate for call in calls if call.sqlstate)
    return tuple(LoadError(state, count, messages.get(state, "")) for state, count in counts.most_common())


def points_of(calls: Sequence[Call], begun: float, ended: float) -> tuple[LoadPoint, ...]:
    """Return the run in parts of equal length: a call counts in every part in which it was under way.

    So that a call that waits for two seconds is seen as two seconds of waiting, not as one point at their end.
    """
    length = max((ended - begun) / _POINTS, 0.001)
    parts: list[list[Call]] = [[] for _ in range(_POINTS)]
    for call in calls:
        first = int((call.begin - begun) / length)
        last = int((call.end - begun) / length)
        for place in range(max(0, first), min(_POINTS - 1, last) + 1):
            parts[place].append(call)
    points = []
    for place, of in enumerate(parts):
        if of:
            times = [_ms(call) for call in of]
            points.append(
                LoadPoint(
                    round(place * length, 3), len(of), sum(bool(call.sqlstate) for call in of),
                    round(statistics.median(times), 3), round(max(times), 3),
                )
            )  # fmt: skip
    return tuple(points)


def _ms(call: Call) -> float:
    return 1000 * (call.end - call.begin)
