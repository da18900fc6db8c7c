"""The migration under load, as several views show it: what the application waited for, and a picture of the run."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Details, Mono, Picture, Table
from safemig.views.in_text import printable

if TYPE_CHECKING:
    from safemig.load_facts import LoadPoint, LoadRun

_MOST_LINES = 20
_SHORTENED = 90
_WIDTH, _LEFT, _TOP, _HEIGHT = 720, 64, 34, 190
_INK, _FAINT, _PANEL, _GRID = "#202124", "#5f6368", "#f8f9fb", "#dadce0"
_RED, _GREEN, _AMBER = "#b3261e", "#2e6b34", "#8a5300"
_BAND = 9  # pixels of a step's bar
_MOST_STEPS = 24


def load_blocks(run: LoadRun | None) -> tuple[Block, ...]:
    """Return latency by statement, the locks, the errors and the picture; nothing where no load was driven."""
    if run is None:
        return ()
    blocks: list[Block] = [Bullets(f"Under {run.share} % of the seen load", _facts(run))]
    if picture := load_picture(run):
        blocks.append(picture)
    noticed = [each for each in run.statements if each.calls]
    if noticed:
        table = Table(
            "Latency while the migration ran",
            ("Statement", "Role", "Calls", "Failed", "Usual", "p99", "Worst"),
            tuple(
                (
                    Mono(numbers.shortened(each.text, _SHORTENED)), each.role, numbers.count(each.calls),
                    numbers.count(each.failed), milliseconds(each.usual_ms), milliseconds(each.p99_ms),
                    milliseconds(each.worst_ms),
                )
                for each in noticed[:_MOST_LINES]
            ),
            numeric=frozenset({"Calls", "Failed", "Usual", "p99", "Worst"}),
        )  # fmt: skip
        blocks.append(table)
    if run.steps:
        blocks.append(
            Table(
                "Locks under load",
                ("Step", "Statement", "Attempts", "Waited for locks", "Ran"),
                tuple(
                    (
                        str(each.number), Mono(numbers.shortened(each.sql, _SHORTENED)), numbers.count(each.attempts),
                        numbers.seconds(each.lock_wait_s), numbers.seconds(each.end_s - each.begin_s),
                    )
                    for each in run.steps
                ),
                numeric=frozenset({"Step", "Attempts", "Waited for locks", "Ran"}),
            )
        )  # fmt: skip
    if run.errors:
        rows = tuple((Badge(each.sqlstate, "warning"), numbers.count(each.count), each.message) for each in run.errors)
        blocks.append(
            Table("Errors of the load", ("SQLSTATE", "Calls", "The first"), rows, numeric=frozenset({"Calls"}))
        )
    left = (*(f"not driven, {reason}: {number:,}" for reason, number in run.skipped), *run.notes)
    if left:
        blocks.append(Details("What was not driven", (Bullets("", left),), in_text=True))
    return tuple(blocks)


def milliseconds(value: float | None) -> str:
    """Return `0.42 ms`, `12 ms` or `2,034 ms`."""
    if value is None:
        return numbers.NOTHING
    return f"{value:.2f} ms" if value < 10 else f"{value:,.0f} ms"


def _facts(run: LoadRun) -> tuple[str, ...]:
    deadlocks = numbers.counted(run.deadlocks, "deadlock")
    return (
        f"{run.reached_per_s:,.1f} of {run.wanted_per_s:,.1f} calls a second, of "
        f"{numbers.counted(run.driven, 'statement')}, over {numbers.counted(run.connections, 'connection')}",
        f"DID NOT GO THROUGH: {run.outcome}"
        if run.outcome
        else f"the migration went through in {numbers.seconds(run.end_s - run.begin_s)}; all locks "
        + ("at the first attempt" if run.lock_attempts == 1 else f"in {run.lock_attempts} attempts"),
        f"the longest call took {milliseconds(run.worst_ms)}; "
        f"{numbers.counted(sum(each.count for each in run.errors), 'call')} failed; {deadlocks}",
        "on a copy on this machine: who waits for whom is as in production, how long each takes is not",
    )


def load_picture(run: LoadRun) -> Picture | None:
    """Draw latency over time, on a logarithmic scale, with the migration and its steps as bands. None without calls."""
    if not run.points:
        return None
    length = max(run.end_s, run.points[-1].at_s) or 1.0
    low, high = _decades(run)
    room = _WIDTH - _LEFT - 16

    def x(at_s: float) -> float:
        return _LEFT + min(1.0, at_s / length) * room

    def y(latency_ms: float) -> float:
        share = (math.log10(max(latency_ms, 10**low)) - low) / (high - low)
        return _TOP + _HEIGHT * (1 - min(1.0, share))

    parts = [
        f'<rect x="{x(run.begin_s):.1f}" y="{_TOP}" width="{max(1.0, x(run.end_s) - x(run.begin_s)):.1f}" '
        f'height="{_HEIGHT}" fill="none" stroke="{_FAINT}" stroke-dasharray="3 2"/>'
    ]
    parts += _bands(run, x)
    for power in range(low, high + 1):
        parts += [
            f'<line x1="{_LEFT}" y1="{y(10**power):.1f}" x2="{_LEFT + room}" y2="{y(10**power):.1f}" stroke="{_GRID}"/>',
            _text(_LEFT - 6, y(10**power) + 4, _axis(power), colour=_FAINT, anchor="end"),
        ]
    for i in range(5):
        parts.append(
            _text(
                x(length * i / 4),
                _TOP + _HEIGHT + 16,
                numbers.seconds(length * i / 4) if i else "0 s",
                colour=_FAINT,
                anchor="middle" if i < 4 else "end",
            )
        )
    parts += [
        _line(run.points, x, y, lambda point: point.worst_ms, _RED, ""),
        _line(run.points, x, y, lambda point: point.median_ms, _GREEN, ' stroke-dasharray="5 3"'),
        _text(_LEFT, 18, "solid: the longest call under way, dashed: the median; frame: the migration, bars: its steps",
              colour=_FAINT),
    ]  # fmt: skip
    height = _TOP + _HEIGHT + 28
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="DejaVu Sans,Verdana,sans-serif" font-size="12">'
        f'<rect width="{_WIDTH}" height="{height}" rx="5" fill="{_PANEL}" stroke="{_GRID}"/>{"".join(parts)}</svg>'
    )
    worst = next((each for each in run.statements if each.worst_ms), None)
    finding = f"Under load: the longest call took {milliseconds(run.worst_ms)} while the migration ran" + (
        f" (usually {milliseconds(worst.usual_ms)}): {numbers.shortened(worst.text, 60)}." if worst else "."
    )
    return Picture(svg, printable(finding))


def _bands(run: LoadRun, x: Callable[[float], float]) -> list[str]:
    """Return a bar and a number for each step; `x` gives the place of a second."""
    parts: list[str] = []
    taken = -100.0
    for each in run.steps[:_MOST_STEPS]:
        left, width = x(each.begin_s), max(1.0, x(each.end_s) - x(each.begin_s))
        title = f"step {each.number}: {numbers.shortened(each.sql, 80)}"
        parts.append(
            f'<g><title>{escape(printable(title))}</title><rect x="{left:.1f}" y="{_TOP}" width="{width:.1f}" '
            f'height="{_BAND}" fill="{_AMBER}"/><path d="M{left:.1f} {_TOP}v{_HEIGHT}M{left + width:.1f} {_TOP}v{_HEIGHT}" '
            f'stroke="{_AMBER}" stroke-width="0.5"/></g>'
        )
        if left - taken > 16:  # numbers of short steps would lie one upon the other
            parts.append(_text(left + 3, _TOP + _BAND + 12, str(each.number), colour=_AMBER))
            taken = left
    return parts


def _decades(run: LoadRun) -> tuple[int, int]:
    lowest = min(point.median_ms for point in run.points)
    highest = max(point.worst_ms for point in run.points)
    low = math.floor(math.log10(max(lowest, 0.01)))
    return low, max(low + 1, math.ceil(math.log10(max(highest, 0.01))))


def _axis(power: int) -> str:
    return f"{10 ** (power - 3):g} s" if power >= 3 else f"{10.0**power:g} ms"


def _line(
    points: tuple[LoadPoint, ...],
    x: Callable[[float], float],
    y: Callable[[float], float],
    value: Callable[[LoadPoint], float],
    colour: str,
    dashes: str,
) -> str:
    places = " ".join(f"{x(point.at_s):.1f},{y(value(point)):.1f}" for point in points)
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.5"{dashes}/>'


def _text(x: float, y: float, words: str, *, colour: str = _INK, anchor: str = "start") -> str:
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}"{place}>{escape(printable(words))}</text>'
