"""How to deploy a file: the hour, the order with the application, the blocking to expect, what to split."""

from __future__ import annotations

from collections.abc import Sequence

from safemig.review.held_statements import held_statements
from safemig.review.model import Finding, ReviewedStatement
from safemig.review.scene import in_bytes
from safemig.review.severity import Severity
from safemig.review.world import World
from safemig.sql.fold import without_holes
from safemig.sql.locks import LockMode

# A cautious guess for a disk that others use too; the rehearsal measures.
BYTES_A_SECOND = 50 * 1024 * 1024
READS_OR_WRITES_ALL = frozenset(
    ("index-not-concurrent", "add-check-validates", "add-foreign-key-validates", "add-unique-builds-index", "add-exclusion",
     "set-not-null", "alter-column-type", "alter-type-loses-data", "add-column-rewrites", "add-column-constraint", "table-rewrite",
     "vacuum-full", "reindex", "attach-partition-scans", "validate-in-same-file")
)  # fmt: skip
_AFTER_THE_APPLICATION = frozenset(
    ("drop-table", "drop-column", "drop-code", "rename-in-use", "drop-schema", "drop-sequence", "drop-attribute", "drop-other",
     "enum-value-renamed", "enum-value-removed")
)  # fmt: skip


def advice(world: World, statements: Sequence[ReviewedStatement], findings: Sequence[Finding]) -> list[str]:
    """Return what to mind when the file is deployed, in plain sentences; nothing where there is nothing to mind."""
    lines = [
        *_hour(world, statements),
        *_blocking(world, findings),
        _order(statements, findings),
        without_holes(held_statements(world.reshaped)),
    ]
    return [line for line in lines if line]


def _hour(world: World, statements: Sequence[ReviewedStatement]) -> list[str]:
    blocking: dict[str, LockMode] = {}
    for statement in statements:
        if statement.lock is None or not statement.lock.blocks_writes:
            continue
        for table, mode in statement.locks:
            known = blocking.get(table)
            if mode.blocks_writes and (known is None or known.strength < mode.strength):
                blocking[table] = mode
    if not blocking:
        return []
    said = ", ".join(f"{table} ({mode.value}{_writes(world, table)})" for table, mode in sorted(blocking.items()))
    reads = any(mode is LockMode.ACCESS_EXCLUSIVE for mode in blocking.values())
    lines = [
        f"{'reads and writes' if reads else 'writes'} wait while it runs: {said}; run it off-peak if these tables are busy"
    ]
    oldest = world.target.oldest_transaction_s if world.target else None
    if oldest is not None and oldest >= 10:
        lines.append(
            f"a transaction of another session was open for {_duration(oldest).removeprefix('≈ ')} when the target was read: the lock "
            "waits for it if it touched these tables, and everyone waits behind the lock"
        )
    return lines


def _writes(world: World, table: str) -> str:
    if world.target is None:
        return ""
    known = world.tables.get(world.resolve(world.named(table)))
    writes = known.facts.writes_per_second if known and known.facts else None
    return f", {writes:,.0f} rows written/s on average" if writes and writes >= 1 else ""


def _blocking(world: World, findings: Sequence[Finding]) -> list[str]:
    """Say how long the work under a lock may take, from the sizes that the target told."""
    seconds: dict[str, float] = {}
    if world.target is None:
        return []
    for finding in findings:
        if finding.rule not in READS_OR_WRITES_ALL or finding.severity is Severity.RECOMMENDATION:
            continue
        table = _table_of(world, finding.object)
        if table:
            facts = world.tables[world.resolve(world.named(table))].facts
            size = facts.size_bytes if facts else 0
            seconds[table] = seconds.get(table, 0) + size / BYTES_A_SECOND
    said = []
    for table, length in sorted(seconds.items()):
        known = world.tables[world.resolve(world.named(table))].facts
        words = in_bytes(known.size_bytes) if known else ""
        said.append(
            f"work on all of {table} ({words}) under a lock: {_duration(length)}, guessed at 50 MiB/s; the rehearsal measures it"
        )
    return said


def _table_of(world: World, named: str) -> str | None:
    """Return the table that a finding's object (`users`, `app.users.email`) belongs to, where its size is known."""
    parts = named.split(".")
    for length in range(len(parts), 0, -1):
        candidate = ".".join(parts[:length])
        found = world.tables.get(world.resolve(world.named(candidate)))
        if found and found.facts:
            return candidate
    return None


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "≈ under a second"
    if seconds < 90:
        return f"≈ {seconds:.0f} s"
    return f"≈ {seconds / 60:.0f} min" if seconds < 5400 else f"≈ {seconds / 3600:.1f} h"


def _order(statements: Sequence[ReviewedStatement], findings: Sequence[Finding]) -> str:
    takes_away = sorted({one.object for one in findings if one.rule in _AFTER_THE_APPLICATION and one.accepted is None})
    if takes_away:
        return f"deploy it after the application no longer uses {', '.join(takes_away[:5])}{' …' if len(takes_away) > 5 else ''}"
    adds = any("ADD COLUMN" in statement.kind or statement.kind.startswith("CREATE TABLE") for statement in statements)
    return "deploy it before the application that uses what it adds" if adds else ""


def advice_to_split(parts: int, statements: Sequence[ReviewedStatement]) -> str:
    """Return why the file should be several, which in its safer form is so many; nothing where one will do."""
    if parts > 1:
        return f"in its safer form it is {parts} files, each deployed on its own: see fixed_sql"
    alone = [statement for statement in statements if not statement.transactional]
    if alone and len(statements) > 1:
        return f"{alone[0].kind} cannot run in a transaction: give it a file of its own"
    return ""
