"""The view of a rehearsal on the copy."""

from __future__ import annotations

from collections.abc import Sequence

from safemig.results import Rehearsal, RollbackProof
from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Details, Document, Inline, Mono, Strong
from safemig.views.load_parts import load_blocks
from safemig.views.of_backup import VERIFIED, not_by_psql
from safemig.views.pictures import blocking_bars, blocking_of_steps
from safemig.views.rights_parts import rights_blocks
from safemig.views.shared_parts import (
    change_list,
    kept_waiting,
    row_table,
    run_steps,
    said,
    sql_listing,
    statements,
    step_errors,
)
from safemig.views.workload_parts import workload_blocks


def build(result: Rehearsal) -> Document:
    """Show what the migrations did to the copy: locks, rewrites, times, rows, and whether the way back is proven."""
    headline: list[Inline] = [
        Mono(f"plan {result.plan_id}"),
        Strong(
            "on a clone"
            if result.rows_from
            else "on a copy with its data"
            if result.mode == "data"
            else "on a copy without data"
        ),
        f"PostgreSQL {result.server_version}",
        result.diff.summary,
        numbers.seconds(result.seconds),
    ]
    picture = blocking_bars(blocking_of_steps(result.steps), estimated=False)
    blocks: list[Block] = [
        *([Bullets("Not rehearsed", result.exceptions)] if result.exceptions else []),
        *([Bullets("Notes", result.notes)] if result.notes else []),
        run_steps(result.steps, "Steps on the copy"),
        *kept_waiting(result.steps, "Locks that would have blocked others", "Would have blocked"),
        *step_errors(result.steps),
        *said(result.steps),
        *([picture] if picture else []),
        *workload_blocks(result.workload),
        *load_blocks(result.load),
        *rights_blocks(result.rights),
        *_rollback(result.rollback),
        *change_list(result.diff),
        *row_table(result.rows, "Rows on the copy, before and after"),
        Bullets(
            "",
            (
                *([f"rows: {result.rows_from}"] if result.rows_from else []),
                # Of a clone nothing is restored, now or later.
                *(
                    []
                    if result.rows_from and result.backup_verified == "no"
                    else [f"backup: {VERIFIED[result.backup_verified][0]}"]
                ),
            ),
        ),
        *not_by_psql(result.not_by_psql),
        statements(result.steps),
    ]
    return Document(_verdict(result), tuple(headline), tuple(blocks))


def _verdict(result: Rehearsal) -> Badge:
    if any(step.state == "failed" for step in result.steps):
        return Badge("REHEARSAL FAILED", "error")
    if result.rollback is not None and not result.rollback.is_proven:
        words = ["REHEARSED, ROLLBACK NOT PROVEN"]
    elif result.exceptions:
        words = [f"REHEARSED, except {_shortened(result.exceptions)}"]
    else:
        words = ["REHEARSED"]
    standing = len(result.rights.standing) if result.rights else 0
    standing += len(result.workload.standing) if result.workload else 0
    if standing:
        words.append(numbers.counted(standing, "FINDING").upper())
    if result.load and result.load.outcome:
        words.append("NOT UNDER LOAD")
    return Badge(", ".join(words), "ok" if words == ["REHEARSED"] else "warning")


def _shortened(exceptions: Sequence[str]) -> str:
    more = f" and {len(exceptions) - 1} more" if len(exceptions) > 1 else ""
    return exceptions[0].partition(":")[0] + more


def _rollback(rollback: RollbackProof | None) -> tuple[Block, ...]:
    if rollback is None:
        return ()
    items = [] if rollback.text else [f"script: {rollback.path}"]
    if rollback.is_proven:
        items.append("proven: run on the copy, it brought the schema back as it was")
    if rollback.source:
        items.append(rollback.source)
    if rollback.not_used:
        items.append(rollback.not_used)
    items += [f"NOT PROVEN, it left: {each}" for each in rollback.remaining]
    items += [f"a rollback cannot bring back: {each}" for each in dict.fromkeys(rollback.cannot_bring_back)]
    way_back = Bullets("The way back", tuple(items))
    if not rollback.text:
        return (way_back,)
    title = "The rollback script; the deployment writes its own"
    return way_back, Details(title, lambda: (sql_listing("", rollback.text),))
