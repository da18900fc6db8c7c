"""The view of the statements that were collected of an environment."""

from __future__ import annotations

from safemig.views import numbers
from safemig.views.document import Badge, Block, Bullets, Details, Document, Inline, Mono, Strong, Table
from safemig.views.shared_parts import DRY_RUN
from safemig.views.workload_parts import skipped_words, window_words
from safemig.workload_facts import CollectedWorkload, LoadRow

_MOST_LINES = 25
_SHORTENED = 100


def build(result: CollectedWorkload) -> Document:
    """Say how many statements are known, the window in which they were seen, and each by its share of the load."""
    count = len(result.statements)
    verdict = Badge("COLLECTED" if result.read_from else "WORKLOAD", "ok" if count else "warning")
    headline: list[Inline] = [Strong(result.environment), numbers.counted(count, "statement")]
    if result.read_from:
        headline.append(f"{result.new:,} new")
    headline.append(window_words(result.window))
    blocks: list[Block] = [_table(result.statements[:_MOST_LINES])] if count else []
    if hidden := result.statements[_MOST_LINES:]:
        blocks.append(Details(f"{numbers.counted(len(hidden), 'more statement')}", lambda: (_table(hidden),)))
    file = f"file: {result.path}{' (not written)' if result.is_dry_run else ''}"
    items = [file, *(f"read: {each}" for each in result.read_from), *skipped_words(result.skipped)]
    blocks.append(Bullets("Source", tuple(items)))
    if result.notes:
        blocks.append(Bullets("What this does not show", result.notes))
    return Document(DRY_RUN if result.is_dry_run else verdict, tuple(headline), tuple(blocks))


def _table(rows: tuple[LoadRow, ...]) -> Table:
    return Table(
        "Statements by share of load",
        ("Load", "Calls/h", "Calls", "Mean ms", "Max ms", "Role", "Statement"),
        tuple(
            (
                numbers.NOTHING if each.share is None else f"{each.share:.1%}",
                numbers.NOTHING if each.calls_per_hour is None else f"{each.calls_per_hour:,.1f}",
                numbers.count(each.calls), f"{each.mean_ms:,.2f}", f"{each.max_ms:,.2f}", each.role,
                Mono(numbers.shortened(each.text, _SHORTENED)),
            )
            for each in rows
        ),
        numeric=frozenset({"Load", "Calls/h", "Calls", "Mean ms", "Max ms"}),
    )  # fmt: skip
