"""Add one look at a source to what was seen before: repeated collections add up, and count nothing twice. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from safemig.workload.counted import Reading
from safemig.workload.statement import Counter, SeenWorkload, Statement, Window, counts_better, joined

_SAME_MOMENT = timedelta(seconds=2)  # times are written by the second


def merged(before: SeenWorkload, reading: Reading) -> SeenWorkload:
    """Return what was seen, with a new reading added.

    Of a counter that went on, only what came since is added; one that starts over (after a reset, a restart or an
    eviction) is added whole. A statement has one source: that which counts better.
    """
    known = {each.id: each for each in before.statements}
    for new in reading.statements:
        old = known.get(new.id)
        if old is None:
            known[new.id] = new
        elif counts_better(new.source, old.source):
            known[new.id] = _added(old, new)
    windows = before.windows
    if reading.begin and reading.end and reading.begin <= reading.end:
        windows = joined((*windows, Window(reading.begin, reading.end)), _SAME_MOMENT)
    dealloc, evicted = before.dealloc, before.evicted
    if any(each.source == "pg_stat_statements" for each in reading.statements):
        began_anew = reading.dealloc < dealloc
        evicted += reading.dealloc - (0 if began_anew else dealloc)
        dealloc = reading.dealloc
    return SeenWorkload(
        before.environment, tuple(known.values()), windows, evicted, dealloc, tuple(sorted(reading.skipped.items()))
    )


def _added(old: Statement, new: Statement) -> Statement:
    now = new.read or Counter(new.calls, new.rows, new.total_ms)
    if old.source != new.source:  # counted over the same time in another way
        return replace(new, first_seen=min((each for each in (old.first_seen, new.first_seen) if each), default=None))
    last = old.read
    if new.source == "log":  # which counts its new lines alone
        delta = now
    elif last and now.calls >= last.calls and last.since == now.since:
        delta = Counter(now.calls - last.calls, now.rows - last.rows, now.total_ms - last.total_ms)
    elif new.source == "sql":
        delta = Counter(0, 0, 0.0)
    else:
        delta = now
    calls = old.calls + delta.calls
    total = old.total_ms + max(0.0, delta.total_ms)
    return replace(
        new,
        calls=calls,
        rows=old.rows + max(0, delta.rows),
        mean_ms=total / calls if calls else 0.0,
        max_ms=max(old.max_ms, new.max_ms),
        first_seen=old.first_seen or new.first_seen,
        last_seen=new.last_seen if delta.calls or not old.last_seen else old.last_seen,
    )
