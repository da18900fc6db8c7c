"""The view of an act on a database that came to an end: the heart of a record."""

from __future__ import annotations

import shlex

from safemig.commands import command_on
from safemig.results import Deployment
from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Document, Inline, Mono, Strong, Table, Tone
from safemig.views.pictures import timeline
from safemig.views.rights_parts import rights_blocks
from safemig.views.shared_parts import (
    change_list,
    check_table,
    failed_checks,
    on,
    row_table,
    run_steps,
    said,
    statements,
    step_errors,
)

TONES: dict[str, Tone] = {
    "DEPLOYED": "ok",
    "NOTHING TO DEPLOY": "ok",
    "ROLLED BACK": "ok",
    "SYNCED": "ok",
    "NOTHING TO SYNC": "ok",
    "BASELINED": "ok",
    "NOTHING TO RECORD": "ok",
    "FAILED": "error",
}


def build(result: Deployment) -> Document:
    """Show who did what to which database, each step, the schema and rows before and after, and the way back."""
    headline: list[Inline] = [Strong(on(result.target))]
    if result.migrations:
        headline.append(numbers.counted(len(result.migrations), "migration"))
    headline += [numbers.seconds(result.seconds), f"by {result.by}", numbers.time(result.finished_at)]
    if result.plan_id:
        headline.append(Mono(f"plan {result.plan_id}"))
    picture = timeline(result.steps)
    blocks: list[Block] = [
        *([picture] if picture else []),
        *([run_steps(result.steps)] if result.steps else []),
        *step_errors(result.steps),
        *said(result.steps),
        *failed_checks(result.validation),
        *(change_list(result.diff, f"Schema: {result.diff.summary}") if result.diff else ()),
        *row_table(result.rows),
        *rights_blocks(result.rights),
        *check_table("Validation", result.validation),
        *([Bullets("Notes", result.notes)] if result.notes else []),
        _facts(result),
        *([Bullets("To undo this", _way_back(result))] if _way_back(result) else []),
        *([statements(result.steps)] if result.steps else []),
    ]
    return Document(Badge(result.verdict, TONES[result.verdict]), tuple(headline), tuple(blocks))


def _facts(result: Deployment) -> Table:
    rows: list[tuple[Inline, ...]] = [
        ("run", Mono(result.run_id)),
        ("started", numbers.time(result.started_at)),
        ("finished", numbers.time(result.finished_at)),
        *(("migration", Mono(each)) for each in result.migrations),
        *(("recorded as applied, its result was there", Mono(each)) for each in result.recorded_only),
    ]
    for name, value in (
        ("backup", str(result.backup or "")),
        ("rollback script", str(result.rollback or "")),
        ("system identifier", result.target.system_identifier),
        ("transaction", result.transaction_id),
        ("LSN of the commit", result.commit_lsn),
    ):
        if value:
            rows.append((name, Mono(value)))
    return Table("Facts", ("What", "Value"), tuple(rows))


def _way_back(result: Deployment) -> tuple[str, ...]:
    items, environment = [], result.target.environment
    if result.act == "rollback_prod":
        items.append(f"to deploy it again: {command_on(environment, 'migrate-prod')}")
    elif result.rollback:
        proven = "proven on the copy" if result.rollback_is_proven else "NOT proven on the copy: read it first"
        back = command_on(environment, "rollback-prod", shlex.quote(str(result.rollback)))
        items.append(f"schema: {back}  ({proven})")
    if result.backup:
        restore = command_on(environment, "restore-prod", shlex.quote(str(result.backup)))
        items.append(f"data and schema: {restore}  (restores beside {environment}, verifies)")
    return tuple(items)
