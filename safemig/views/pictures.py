"""The pictures: bars of blocking per table, the deployment's timeline, the archive strip, what becomes of the calls.

Each is SVG on a light panel of its own, so that it reads the same in a dark and a light notebook; nothing in one is
said by colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from safemig.results import HeldLock, RecordEntry, Step
from safemig.review import ReviewedFile
from safemig.review.advice import BYTES_A_SECOND, READS_OR_WRITES_ALL
from safemig.sql.locks import LockMode
from safemig.sql.passwords import without_passwords
from safemig.views import numbers
from safemig.views.document import Picture
from safemig.views.in_text import printable
from safemig.views.record_words import ended_badly, tone_of
from safemig.workload_facts import WorkloadCheck

_WIDTH = 720
_LABEL = 216
_ROW = 24
_INK, _FAINT, _PANEL = "#202124", "#5f6368", "#f8f9fb"
_RED, _AMBER, _GREEN, _GREY = "#b3261e", "#8a5300", "#2e6b34", "#5f6368"
_STRIP = {"ok": _GREEN, "warning": _AMBER, "waiting": _GREY}
_OUTCOMES = {
    "breaks": ("fail", _RED), "refused": ("are refused", _RED), "result-type": ("change result type", _AMBER),
    "plan": ("get a dearer plan", _AMBER),
}  # fmt: skip
_MOST_BARS = 12
_SHORTEST_S = 0.05
_MOST_STEPS = 24
_MOST_RECORDS = 120


@dataclass(frozen=True, slots=True)
class Blocking:
    """How long a table is kept from its users, and from what."""

    table: str
    mode: LockMode
    seconds: float


def blocking_of_steps(steps: Sequence[Step]) -> tuple[Blocking, ...]:
    """Return, longest first, how long each table was blocked: from the lock to the end of its transaction.

    PostgreSQL releases a table-level lock at the end of the transaction, not of the statement (manual, 13.3.1); so a
    lock that an early step takes is held through all later steps of the same transaction.
    """
    worst: dict[str, Blocking] = {}
    for step, held_s in zip(steps, _held(steps), strict=True):
        for lock in step.locks:
            if not lock.mode.blocks_writes:
                continue
            found = worst.get(lock.object)
            if found is None or (lock.mode.blocks_reads, held_s) > (found.mode.blocks_reads, found.seconds):
                worst[lock.object] = Blocking(lock.object, lock.mode, held_s)
    return tuple(sorted(worst.values(), key=lambda each: -each.seconds))


def _held(steps: Sequence[Step]) -> list[float]:
    """Return for each step the seconds from its lock to the end of its transaction."""
    held: list[float] = []
    after_s = 0.0  # what the later steps of the same transaction take
    for step in reversed(steps):
        # A step that runs alone is a transaction of its own; those that share one run one after another.
        own_s = step.ran_s or 0.0
        held.append(own_s + after_s if step.transactional else own_s)
        after_s = held[-1] if step.transactional else 0.0
    return held[::-1]


def blocking_of_review(files: Sequence[ReviewedFile]) -> tuple[Blocking, ...]:
    """Return, longest first, how long each table may be blocked, estimated from the sizes that the target told.

    By the same measure as the review's own words, and by what `blocking_of_steps` says of locks. Nothing where no
    statement goes through a table under a lock, or no size is known.
    """
    if not any(each.size_bytes for file in files for each in file.statements):
        return ()
    steps = tuple(
        Step(
            0, file.name, each.line, each.kind, each.sql, each.transactional,
            ran_s=(each.size_bytes or 0) / BYTES_A_SECOND if READS_OR_WRITES_ALL.intersection(each.rules) else 0.0,
            locks=tuple(HeldLock(lock.table, lock.mode) for lock in each.locks),
        )
        for file in files
        for each in file.statements
    )  # fmt: skip
    return tuple(each for each in blocking_of_steps(steps) if each.seconds >= _SHORTEST_S)


def blocking_bars(blockings: Sequence[Blocking], *, estimated: bool) -> Picture | None:
    """Draw a bar a table: how long its readers or writers wait. None where nothing waits."""
    if not blockings:
        return None
    shown = blockings[:_MOST_BARS]
    # A full bar is at least a second: what no one notices must not look like the worst.
    longest = max(1.0, *(each.seconds for each in shown))
    room = _WIDTH - _LABEL - 210
    parts = []
    for i, each in enumerate(shown):
        y = 12 + i * _ROW
        width = max(2.0, each.seconds / longest * room)
        colour = _RED if each.mode.blocks_reads else _AMBER
        time = numbers.seconds(each.seconds)
        parts += [
            _text(8, y + 13, each.table, longest=26),
            f'<rect x="{_LABEL}" y="{y + 2}" width="{width:.1f}" height="14" fill="{colour}"/>',
            _text(
                _LABEL + width + 8, y + 13, f"{numbers.estimate(time) if estimated else time}: {each.mode.blocks} wait"
            ),
        ]
    worst = shown[0]
    time = numbers.seconds(worst.seconds)
    finding = (
        f"Blocking per table: {worst.table} longest, {worst.mode.blocks} wait "
        f"{numbers.estimate(time) if estimated else time} ({worst.mode.value})."
    )
    return Picture(_panel(20 + len(shown) * _ROW, parts), printable(finding))


def timeline(steps: Sequence[Step]) -> Picture | None:
    """Draw when each step waited for a lock (dashed) and ran (solid), one after another.

    None where none ran, or all of it was over in a moment: the table tells that better.
    """
    ran = [step for step in steps if step.ran_s is not None]
    total = sum((step.ran_s or 0.0) + (step.lock_wait_s or 0.0) for step in ran)
    if total < _SHORTEST_S:
        return None
    shown = ran[:_MOST_STEPS]
    room = _WIDTH - _LABEL - 84
    height = 34 + len(shown) * _ROW
    parts = []
    for i in range(5):
        x = _LABEL + room * i / 4
        parts += [
            f'<line x1="{x:.1f}" y1="24" x2="{x:.1f}" y2="{height - 6}" stroke="#dadce0"/>',
            _text(x, 16, numbers.seconds(total * i / 4) if i else "0 s", colour=_FAINT, anchor="middle"),
        ]
    at = 0.0
    for i, step in enumerate(shown):
        y = 30 + i * _ROW
        wait, run = step.lock_wait_s or 0.0, step.ran_s or 0.0
        x = _LABEL + at / total * room
        waited = wait / total * room
        width = max(1.5, run / total * room)
        colour = _RED if step.state == "failed" else _GREEN
        parts.append(
            _text(8, y + 13, f"{step.number} {numbers.shortened(without_passwords(step.sql), 60)}", longest=26)
        )
        if waited >= 1:
            parts.append(
                f'<rect x="{x:.1f}" y="{y + 2}" width="{waited:.1f}" height="13" fill="none" stroke="{_AMBER}" '
                'stroke-dasharray="3 2"/>'
            )
        parts.append(f'<rect x="{x + waited:.1f}" y="{y + 2}" width="{width:.1f}" height="13" fill="{colour}"/>')
        words = f"{numbers.seconds(run)} {'FAILED' if step.state == 'failed' else ''}".strip()
        end = x + waited + width
        # Beyond the middle of the panel there may be no room to the right of a bar, but there is to its left.
        beside_right = end + 6 + 7 * len(words) < _WIDTH
        parts.append(
            _text(end + 6 if beside_right else x - 6, y + 13, words, anchor="start" if beside_right else "end")
        )
        at += wait + run
    waited_s = sum(step.lock_wait_s or 0.0 for step in ran)
    slowest = max(ran, key=lambda step: step.ran_s or 0.0)
    finding = (
        f"Timeline: {numbers.counted(len(ran), 'step')} in {numbers.seconds(total)}, of which "
        f"{numbers.seconds(waited_s)} waiting for locks; step {slowest.number} took longest."
    )
    return Picture(_panel(height, parts), finding)


def archive_strip(records: Sequence[RecordEntry]) -> Picture | None:
    """Draw the records as a strip, oldest on the left: full height for a good one, a low crossed one for a bad one."""
    if len(records) < 2:
        return None
    shown = sorted(records, key=lambda each: each.at)[-_MOST_RECORDS:]
    step = min(26.0, (_WIDTH - 24) / len(shown))
    parts = []
    for i, each in enumerate(shown):
        x, width = 12 + i * step, max(2.0, step - 2)
        title = f"<title>{escape(printable(f'{numbers.time(each.at)} {each.act} {each.verdict}'))}</title>"
        if ended_badly(each.verdict):
            parts.append(
                f'<g>{title}<rect x="{x:.1f}" y="34" width="{width:.1f}" height="22" fill="{_RED}"/>'
                f'<path d="M{x:.1f} 34l{width:.1f} 22M{x:.1f} 56l{width:.1f} -22" stroke="#fff"/></g>'
            )
        else:
            colour = _STRIP[tone_of(each.verdict)]
            parts.append(f'<g>{title}<rect x="{x:.1f}" y="16" width="{width:.1f}" height="40" fill="{colour}"/></g>')
    failed = sum(ended_badly(each.verdict) for each in shown)
    first, last = numbers.time(shown[0].at)[:10], numbers.time(shown[-1].at)[:10]
    parts += [
        _text(12, 74, first, colour=_FAINT),
        _text(
            _WIDTH - 12,
            74,
            f"{last} · grey: nothing done, or running · amber: to look at · crossed: failed",
            colour=_FAINT,
            anchor="end",
        ),
    ]
    finding = f"Archive: {numbers.counted(len(shown), 'record')} from {first} to {last}, {failed:,} of them failed."
    return Picture(_panel(84, parts), finding)


def outcome_bar(check: WorkloadCheck) -> Picture | None:
    """Draw the calls of the window by what becomes of their statements after the migration. None where none was counted."""
    calls = check.window.calls
    worst: dict[str, tuple[str, int]] = {}
    for each in check.findings:
        if each.after == "migration":
            worst.setdefault(each.id, (each.kind, each.calls))
    if not calls or not worst:
        return None
    of = {kind: sum(number for what, number in worst.values() if what == kind) for kind in _OUTCOMES}
    works = max(0, check.checked_calls - sum(of.values()))
    rows = [
        ("work as before", works, _GREEN),
        *((words, of[kind], colour) for kind, (words, colour) in _OUTCOMES.items()),
    ]
    rows.append(("not tried", max(0, calls - check.checked_calls), _GREY))
    shown = [row for row in rows if row[1]]
    room = _WIDTH - _LABEL - 190
    parts = []
    for i, (words, number, colour) in enumerate(shown):
        y = 12 + i * _ROW
        width = max(2.0, number / calls * room)
        parts += [
            _text(8, y + 13, words, longest=30),
            f'<rect x="{_LABEL}" y="{y + 2}" width="{width:.1f}" height="14" fill="{colour}"/>',
            _text(_LABEL + width + 8, y + 13, f"{numbers.count(number)} calls, {number / calls:.1%}"),
        ]
    finding = (
        f"Of {numbers.counted(calls, 'call')}: "
        + ", ".join(f"{number / calls:.1%} {words}" for words, number, _ in shown)
        + "."
    )
    return Picture(_panel(20 + len(shown) * _ROW, parts), printable(finding))


def _text(x: float, y: float, words: str, *, colour: str = _INK, anchor: str = "start", longest: int = 90) -> str:
    shown = escape(numbers.shortened(printable(words), longest))
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}"{place}>{shown}</text>'


def _panel(height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {_WIDTH} {height:.0f}" font-family="DejaVu Sans,Verdana,sans-serif" font-size="12">'
        f'<rect width="{_WIDTH}" height="{height:.0f}" rx="5" fill="{_PANEL}" stroke="#dadce0"/>'
        f"{''.join(parts)}</svg>"
    )
