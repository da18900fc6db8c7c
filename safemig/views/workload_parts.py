"""What the application will notice of a migration, as several views show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from safemig.commands import command_on
from safemig.views import numbers
from safemig.views.document import (
    Badge,
    Block,
    Bullets,
    Callout,
    Details,
    Inline,
    Line,
    Listing,
    Mono,
    Paragraph,
    Table,
    Tone,
)
from safemig.views.pictures import outcome_bar
from safemig.views.shared_parts import without_empty_columns
from safemig.views.sql_layout import lines_of

if TYPE_CHECKING:
    from safemig.results import RehearsedWorkload
    from safemig.workload_facts import PlansCheck, SeenWindow, WorkloadCheck, WorkloadFinding

TITLE = "What the application will notice"
_MOST_LINES = 40
_SHORTENED = 90
_WORDS = {"breaks": "FAILS", "refused": "REFUSED", "result-type": "RESULT TYPE", "plan": "DEARER PLAN"}
_ADVICE = {
    "result-type": "Sessions that hold the statement prepared get the error until they reconnect or DEALLOCATE ALL: do that after the "
    "deployment, or name columns instead of *.",
}


def rehearsed_workload(found: RehearsedWorkload | None, environment: str) -> tuple[Block, ...]:
    """Return what the application will notice by the last rehearsal, or that no rehearsal of these migrations is known here."""
    if found is None:
        return ()
    if found.rehearsed_at is None:
        said = f"{numbers.counted(found.statements, 'collected statement')} of the application: not tried with these migrations. "
        return (Paragraph((said, Mono(command_on(environment, "rehearse")), " finds out which of them break.")),)
    when = f"rehearsed {found.rehearsed_at:%Y-%m-%d %H:%M} UTC"
    blocks: list[Block] = []
    if not found.is_current:
        blocks.append(
            Callout(
                Badge("CAUTION", "warning"), "older rehearsal",
                (f"what the application will notice was {when}; the schema, a setting or the collected statements have changed since",),
                "Instead", command_on(environment, "rehearse"),
            )
        )  # fmt: skip
    tried = f"{found.checked:,} of {numbers.counted(found.statements, 'statement')} tried"
    if not found.findings:
        return (*blocks, Bullets(f"{TITLE} ({when})", (f"{tried}: none fails", *found.not_checked)))
    columns = ("", "Statement", "Role", "Calls", "Share of load", "After", "What happens", "Caused by")
    rows = tuple(_row(each) for each in found.findings[:_MOST_LINES])
    blocks.append(
        Table(
            f"{TITLE} ({when})",
            columns,
            rows,
            numeric=frozenset({"Calls", "Share of load"}),
            whole=frozenset({"After"}),
        )
    )
    hidden = len(found.findings) - _MOST_LINES
    more = (f"and {numbers.counted(hidden, 'more finding')}",) if hidden > 0 else ()
    return (*blocks, Bullets("", (tried, *more, *found.not_checked)))


def workload_blocks(check: WorkloadCheck | None) -> tuple[Block, ...]:
    """Return the findings as a table, a picture of all calls, the window seen, and what was not checked and why."""
    if check is None:
        return ()
    blocks: list[Block] = []
    shown = check.findings[:_MOST_LINES]
    if shown:
        rows = tuple(_row(each) for each in shown)
        columns = ("", "Statement", "Role", "Calls", "Share of load", "After", "What happens", "Caused by")
        blocks.append(
            Table(TITLE, columns, rows, numeric=frozenset({"Calls", "Share of load"}), whole=frozenset({"After"}))
        )
        if hidden := len(check.findings) - len(shown):
            blocks.append(Bullets("", (f"and {numbers.counted(hidden, 'more finding')}: .to_frame() has all",)))
        blocks += [
            _advice(kind, check.findings) for kind in _ADVICE if any(each.kind == kind for each in check.findings)
        ]
        blocks.append(Details("The statements in full", (_full(shown),)))
    if picture := outcome_bar(check):
        blocks.append(picture)
    blocks.append(Bullets("Evidence" if shown else TITLE, _evidence(check)))
    blocks += _plans(check.plans)
    if check.order:
        blocks.append(Bullets(f"Order of deployment: {check.order}", check.order_reasons))
    if check.not_checked:
        blocks.append(Bullets("Not checked", check.not_checked))
    if check.outcomes:
        every = check.outcomes[:_MOST_LINES]
        lines = tuple(
            (Mono(numbers.shortened(each.statement, _SHORTENED)), each.role, numbers.count(each.calls), each.after,
             each.after_rollback)
            for each in every
        )  # fmt: skip
        table = Table(
            "",
            ("Statement", "Role", "Calls", "After the migration", "After the rollback"),
            lines,
            numeric=frozenset({"Calls"}),
        )
        blocks.append(
            Details(f"The {numbers.counted(len(every), 'statement')} with the most load, before: all work", (table,))
        )
    return tuple(blocks)


def _plans(plans: PlansCheck | None) -> list[Block]:
    """Return the plans that changed, and what they rest on."""
    if plans is None:
        return []
    dearer = sum(each.is_dearer or each.is_slower for each in plans.changed)
    found: list[Block] = []
    if plans.compared:
        said = f"{numbers.counted(plans.compared, 'plan')} compared: {len(plans.changed):,} changed, {dearer:,} dearer"
        found.append(Bullets("Plans", (said, *plans.notes, *skipped_words(plans.skipped))))
    elif plans.notes:
        found.append(Bullets("Plans", plans.notes))
    if plans.changed:
        rows = tuple(
            (
                Mono(numbers.shortened(each.statement, _SHORTENED)), numbers.count(each.calls),
                f"{each.before_cost:,.0f}", f"{each.after_cost:,.0f}",
                numbers.NOTHING if each.before_ms is None else f"{each.before_ms:,.1f} ms",
                numbers.NOTHING if each.after_ms is None else f"{each.after_ms:,.1f} ms",
                each.difference,
            )
            for each in plans.changed[:_MOST_LINES]
        )  # fmt: skip
        columns = ("Statement", "Calls", "Cost before", "Cost after", "Time before", "Time after", "Plan")
        table = Table("Plans that change", columns, rows, numeric=frozenset(columns[1:6]))
        found.append(without_empty_columns(table))
    return found


def window_words(window: SeenWindow) -> str:
    """Return from when to when statements were seen, and how many calls."""
    calls = numbers.counted(window.calls, "call")
    if window.from_ is None or window.to is None:
        return f"{calls}; when they were sent is not known"
    return f"{calls} seen in {numbers.seconds(window.hours * 3600)} from {numbers.time(window.from_)} to {numbers.time(window.to)}"


def skipped_words(skipped: Mapping[str, int]) -> tuple[str, ...]:
    """Return what was left out, a line a reason."""
    return tuple(f"left out, {reason}: {count:,}" for reason, count in skipped.items())


def _evidence(check: WorkloadCheck) -> tuple[str, ...]:
    share = f", {check.checked_calls / check.window.calls:.1%} of the calls" if check.window.calls else ""
    said = [f"{check.checked:,} of {numbers.counted(check.statements, 'statement')} tried on the copy{share}"]
    if not check.findings:
        said[0] += ": all work before the migration, after it, and after its rollback"
    said.append(window_words(check.window))
    said += skipped_words(check.skipped)
    said.append("a statement that was not seen in this window was not tried")
    return tuple(said)


def _row(each: WorkloadFinding) -> tuple[Inline, ...]:
    tone: Tone = "info" if each.accepted is not None else "error" if each.is_dangerous else "warning"
    word = "ACCEPTED" if each.accepted is not None else _WORDS[each.kind]
    state = f"{each.sqlstate}: " if each.sqlstate else ""
    accepted = f" · accepted: {each.accepted}" if each.accepted is not None else ""
    return (
        Badge(word, tone),
        Mono(numbers.shortened(each.statement, _SHORTENED)),
        each.role,
        numbers.count(each.calls),
        numbers.NOTHING if each.share is None else f"{each.share:.1%}",
        each.after,
        f"{state}{each.message}{accepted}",
        each.cause,
    )


def _advice(kind: str, findings: Sequence[WorkloadFinding]) -> Callout:
    count = sum(each.kind == kind for each in findings)
    return Callout(
        Badge("NOTE", "info"),
        f"{numbers.counted(count, 'statement')}: {_WORDS[kind].lower()} changes",
        (_ADVICE[kind],),
    )


def _full(findings: Sequence[WorkloadFinding]) -> Listing:
    lines: list[Line] = []
    for each in findings:
        lines.append(Line(f"-- {each.rule}:{each.object} (statement {each.id}, role {each.role or 'not known'})"))
        lines += [Line(line) for line in lines_of(each.statement)]
    return Listing("", tuple(lines))
