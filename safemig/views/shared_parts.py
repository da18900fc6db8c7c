"""Parts that several views are made of: checks, steps, rows before and after, schema changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from safemig.sql.passwords import without_passwords
from safemig.views import numbers
from safemig.views.document import (
    Badge,
    Beside,
    Block,
    Bullets,
    Callout,
    Details,
    Inline,
    Line,
    Listing,
    Mono,
    Table,
    Tone,
)

if TYPE_CHECKING:
    from safemig.results import Check, FileText, RowChange, Step, TableContent, Target
    from safemig.schema import SchemaDiff

_CHECK_TONES: dict[str, Tone] = {"ok": "ok", "warning": "warning", "failed": "error", "not done": "waiting"}
_STEP_TONES: dict[str, Tone] = {
    "planned": "waiting",
    "running": "info",
    "waiting": "warning",
    "ran": "ok",
    "failed": "error",
    "rolled back": "warning",
    "not run": "waiting",
}
_MOST_UNCHANGED_ROWS = 12
_MOST_PASSED = 8
_MOST_NOTICES = 20
_MOST_LINES = 200
DRY_RUN = Badge("DRY RUN", "info")


def on(target: Target) -> str:
    """Return `production (app on db.example.org, PostgreSQL 17.10)`."""
    if not target.server_version_num:  # of a fleet, whose members are on any servers
        return f"{target.environment} ({target.database})"
    return f"{target.environment} ({target.database} on {target.host}, PostgreSQL {target.server_version})"


def check_table(title: str, checks: Sequence[Check]) -> tuple[Block, ...]:
    """Return every check, what was found, what was needed, and how to fix it; many that passed are folded to one line."""
    if not checks:
        return ()
    passed = [check for check in checks if check.state == "ok"]
    rest = [check for check in checks if check.state != "ok"]
    if len(passed) <= _MOST_PASSED:
        return (_checks(title, checks),)
    blocks = [_checks(title, rest)] if rest else []
    summary = f"{numbers.counted(len(passed), 'check')} passed: {', '.join(check.name for check in passed)}"
    return (*blocks, Details(summary, (_checks("", passed),), in_text=True))


def _checks(title: str, checks: Sequence[Check]) -> Table:
    columns = ["Result", "Check", "Found"]
    columns += ["Needed"] if any(check.needed for check in checks) else []
    columns += ["How to fix"] if any(check.fix and check.state != "ok" for check in checks) else []

    def drawn(check: Check) -> tuple[Inline, ...]:
        cells: dict[str, Inline] = {
            "Result": Badge(check.state.upper(), _CHECK_TONES[check.state]),
            "Check": check.name,
            "Found": check.found or numbers.NOTHING,
            "Needed": check.needed or numbers.NOTHING,
            "How to fix": check.fix if check.state != "ok" else "",
        }
        return tuple(cells[column] for column in columns)

    return Table(title, tuple(columns), tuple(map(drawn, checks)))


def failed_checks(checks: Sequence[Check]) -> tuple[Block, ...]:
    """Return a callout for every check that failed, so that nothing of its text is cut to a column's width."""
    return tuple(
        Callout(
            Badge("FAILED", "error"),
            check.name,
            tuple(
                line
                for line in (
                    f"found: {check.found}" if check.found else "",
                    f"needed: {check.needed}" if check.needed else "",
                    f"fix: {check.fix}" if check.fix else "",
                )
                if line
            ),
        )
        for check in checks
        if check.state == "failed"
    )


def planned_steps(steps: Sequence[Step]) -> Table:
    """Return the statements that would run."""
    files = {step.file for step in steps}
    table = Table(
        "Steps",
        ("#", "Statement", "Migration", "Line", "Transaction"),
        tuple(
            (
                str(step.number),
                Mono(numbers.shortened(without_passwords(step.sql), 56)),
                step.file.partition("_")[0] if len(files) > 1 else numbers.NOTHING,  # the table above has the names
                str(step.line),
                "main" if step.transactional else "none: runs alone",
            )
            for step in steps
        ),
        frozenset({"#", "Line"}),
    )
    return without_empty_columns(table)


def run_steps(steps: Sequence[Step], title: str = "Steps") -> Table:
    """Return the statements that ran, with their times, locks and rows; the tries, where one was not enough."""
    tried_again = any(step.attempts > 1 for step in steps)
    table = Table(
        title,
        (
            "#",
            "Statement",
            "Result",
            "Lock wait",
            "Ran",
            "Tries",
            "Rows",
            "Strongest lock, held",
            "Scanned",
            "Rewrote",
        ),
        tuple(
            (
                str(step.number),
                Mono(numbers.shortened(without_passwords(step.sql), 56)),
                Badge(step.state.upper(), _STEP_TONES[step.state]),
                numbers.seconds(step.lock_wait_s),
                numbers.seconds(step.ran_s),
                str(step.attempts) if tried_again and step.attempts else numbers.NOTHING,
                numbers.count(step.rows),
                _strongest_lock(step),
                ", ".join(step.scans) or numbers.NOTHING,
                ", ".join(step.rewrites) or numbers.NOTHING,
            )
            for step in steps
        ),
        frozenset({"#", "Lock wait", "Ran", "Tries", "Rows"}),
    )
    return without_empty_columns(table)


def kept_waiting(steps: Sequence[Step], title: str, waits: str) -> tuple[Block, ...]:
    """Return what each lock keeps waiting, for how long where that was measured, and how large its table is."""
    locks = [(step, lock) for step in steps for lock in step.locks if lock.mode.kept_waiting]
    if not locks:
        return ()
    columns = ("#", "Table", "Rows", "Size without indexes", "Lock", "Held", waits)
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
    table = Table(title, columns, tuple(rows), frozenset({"#", "Rows", "Size without indexes", "Held"}))
    return (without_empty_columns(table),)


def without_empty_columns(table: Table) -> Table:
    """Return the table without the columns that say nothing in any row."""
    kept = [
        i
        for i in range(len(table.columns))
        if not table.rows or any(row[i] not in ("", numbers.NOTHING) for row in table.rows)
    ]
    return replace(
        table,
        columns=tuple(table.columns[i] for i in kept),
        rows=tuple(tuple(row[i] for i in kept) for row in table.rows),
    )


def step_errors(steps: Sequence[Step]) -> tuple[Block, ...]:
    """Return a callout with the server's words for every step that failed."""
    return tuple(
        Callout(
            Badge("FAILED", "error"),
            f"step {step.number} · {step.file} line {step.line} · {step.kind}",
            (step.error or "the server gave no reason",),
            "Statement",
            without_passwords(step.sql),
        )
        for step in steps
        if step.state == "failed"
    )


def said(steps: Sequence[Step]) -> tuple[Block, ...]:
    """Return what the server said beside its answers, NOTICE and WARNING."""
    lines = tuple(f"step {step.number}: {line}" for step in steps for line in step.notices)
    shown = lines[:_MOST_NOTICES]
    if hidden := len(lines) - len(shown):
        shown += (f"and {numbers.counted(hidden, 'line')} more",)
    return (Bullets("The server said", shown),) if lines else ()


def statements(steps: Sequence[Step]) -> Details:
    """Return the complete SQL of all steps, folded."""
    lines: list[Line] = []
    for step in steps:
        for i, text in enumerate(without_passwords(step.sql).strip().splitlines()):
            lines.append(Line(text, step.line + i, "✖" if step.state == "failed" else " ",
                              "error" if step.state == "failed" else None))  # fmt: skip
    return Details(f"The SQL of {numbers.counted(len(steps), 'step')}", (Listing("", tuple(lines)),))


def row_table(rows: Sequence[RowChange], title: str = "Rows before and after") -> tuple[Block, ...]:
    """Return the tables whose rows changed, and how many did not; every table where they are few."""
    if not rows:
        return ()
    changed = [row for row in rows if row.before != row.after]
    shown = list(rows) if len(rows) <= _MOST_UNCHANGED_ROWS else changed
    hidden = len(rows) - len(shown)
    blocks: list[Block] = []
    if shown:
        blocks.append(_rows(title, shown))
    if hidden:
        blocks.append(
            Details(
                f"{numbers.counted(hidden, 'table')} with an unchanged row count",
                (_rows("", [row for row in rows if row.before == row.after]),),
            )
        )
        if not shown:
            blocks.insert(0, Bullets(title, (f"no table lost or gained a row ({numbers.counted(hidden, 'table')})",)))
    return tuple(blocks)


def content_table(tables: Sequence[TableContent], title: str) -> Details:
    """Return each table's rows and hash, folded."""
    return Details(
        title,
        (
            Table(
                "",
                ("Table", "Rows", "sha256 of its rows"),
                tuple((Mono(each.name), numbers.count(each.rows), Mono(each.sha256[:16] or "–")) for each in tables),
                frozenset({"Rows"}),
            ),
        ),
    )


def change_list(diff: SchemaDiff, title: str = "Schema changes") -> tuple[Block, ...]:
    """Return each change with its sign: before on the left, after on the right."""
    if not diff.changes:
        return ()
    pairs: list[tuple[str | None, str, str | None]] = []
    for each in diff.changes:
        name = f"{each.kind} {each.name}"
        detail = f": {each.detail}" if each.detail else ""
        if each.action == "add":
            pairs.append((None, "+", name + detail))
        elif each.action == "remove":
            pairs.append((name + detail, "-", None))
        else:
            pairs.append((name, "~", name + detail))
    return (Beside(title, "before", "after", tuple(pairs)),)


def sql_listing(title: str, sql: str) -> Listing:
    """Return SQL with line numbers."""
    return Listing(
        title, tuple(Line(text, i) for i, text in enumerate(without_passwords(sql).rstrip().splitlines(), 1))
    )


def not_written(files: Sequence[FileText]) -> list[Block]:
    """Return what a dry run would have written, a listing a file; long ones are folded."""

    def drawn(each: FileText) -> Block:
        title = f"Not written: {each.path}"
        listing = sql_listing(title, each.text)
        if len(listing.lines) <= _MOST_LINES:
            return listing
        return Details(f"{title} ({len(listing.lines):,} lines)", lambda: (listing,))

    return [drawn(each) for each in files]


def _rows(title: str, rows: Sequence[RowChange]) -> Table:
    def drawn(row: RowChange) -> tuple[Inline, ...]:
        return (
            Mono(row.table),
            "not there" if row.before is None else numbers.count(row.before),
            "not there" if row.after is None else numbers.count(row.after),
            numbers.change(row.before, row.after),
            (", ".join(row.changed) + (row.by and f", by {row.by}")) or numbers.NOTHING,
        )

    table = Table(
        title,
        ("Table", "Before", "After", "Change", "Other content in"),
        tuple(map(drawn, rows)),
        frozenset({"Before", "After", "Change"}),
    )
    return without_empty_columns(table) if not any(row.changed for row in rows) else table


def _strongest_lock(step: Step) -> str:
    if not step.locks:
        return numbers.NOTHING
    held = max(step.locks, key=lambda each: each.mode.strength)
    more = f" +{len(step.locks) - 1}" if len(step.locks) > 1 else ""
    longest = max((lock.held_s for lock in step.locks if lock.held_s is not None), default=None)
    how_long = f", {numbers.seconds(longest)}" if longest is not None else ""
    return f"{held.mode.value} on {held.object}{more}{how_long}"
