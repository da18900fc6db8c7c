"""The view of a rehearsal on the copy."""

from __future__ import annotations

from collections.abc import Sequence

from safemig.results import Rehearsal, RollbackProof, Step
from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Document, Inline, Mono, Strong, Table
from safemig.views.of_backup import VERIFIED
from safemig.views.pictures import blocking_bars, blocking_of_steps
from safemig.views.shared_parts import (
    change_list,
    row_table,
    run_steps,
    said,
    statements,
    step_errors,
    without_empty_columns,
)


def build(result: Rehearsal) -> Document:
    """Show what the migrations did to the copy: locks, rewrites, times, rows, and whether the way back is proven."""
    failed = any(step.state == "failed" for step in result.steps)
    proven = result.rollback is not None and result.rollback.is_proven
    if failed:
        verdict = Badge("REHEARSAL FAILED", "error")
    elif result.rollback is None or proven:
        verdict = Badge("REHEARSED", "ok")
    else:
        verdict = Badge("REHEARSED, ROLLBACK NOT PROVEN", "warning")
    headline: list[Inline] = [
        Mono(f"plan {result.plan_id}"),
        Strong("on a copy with its data" if result.mode == "data" else "on a copy without data"),
        f"PostgreSQL {result.server_version}",
        result.diff.summary,
        numbers.seconds(result.seconds),
    ]
    picture = blocking_bars(blocking_of_steps(result.steps), estimated=False)
    blocks: list[Block] = [
        run_steps(result.steps, "Steps on the copy"),
        *_kept_waiting(result.steps),
        *step_errors(result.steps),
        *said(result.steps),
        *([picture] if picture else []),
        *_rollback(result.rollback),
        *change_list(result.diff),
        *row_table(result.rows, "Rows on the copy, before and after"),
        Bullets("", (f"backup: {VERIFIED[result.backup_verified][0]}",)),
        statements(result.steps),
    ]
    return Document(verdict, tuple(headline), tuple(blocks))


def _kept_waiting(steps: Sequence[Step]) -> tuple[Block, ...]:
    """Show what each lock would have kept waiting, and for how long, on which table of the database itself."""
    locks = [(step, lock) for step in steps for lock in step.locks if lock.mode.kept_waiting]
    if not locks:
        return ()
    columns = ("#", "Table", "Rows", "Size", "Lock", "Held", "Would have kept waiting")
    rows = [
        (
            str(step.number),
            Mono(lock.object),
            numbers.count(lock.rows),
            numbers.size(lock.size_bytes),
            lock.mode.value,
            numbers.seconds(lock.held_s),
            ", ".join(lock.mode.kept_waiting),
        )
        for step, lock in locks
    ]
    table = Table("What it would have blocked", columns, tuple(rows), frozenset({"#", "Rows", "Size", "Held"}))
    return (without_empty_columns(table),)


def _rollback(rollback: RollbackProof | None) -> tuple[Block, ...]:
    if rollback is None:
        return ()
    items = [f"script: {rollback.path}"]
    if rollback.is_proven:
        items.append("proven: run on the copy, it brought the schema back as it was")
    items += [f"NOT PROVEN, it left: {each}" for each in rollback.remaining]
    items += [f"no script brings back: {each}" for each in dict.fromkeys(rollback.cannot_bring_back)]
    return (Bullets("The way back", tuple(items)),)
