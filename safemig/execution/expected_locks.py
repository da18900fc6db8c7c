"""The locks that statements take by what they are, and how large the tables are that they are on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from safemig.postgres import activity
from safemig.postgres.connection import Connection
from safemig.results import HeldLock, Step
from safemig.review.locks import locks
from safemig.review.world import World
from safemig.sql import parse
from safemig.sql.identifiers import quote_name
from safemig.sql.kinds import flag
from safemig.sql.locks import LockMode
from safemig.sql.tree import node


def locks_by_kind(step: Step) -> dict[str, LockMode]:
    """Return the strongest lock on each table that a statement names, by what it is. Pure."""
    return {
        quote_name(name.schema, name.name): mode
        for statement in parse(step.sql)
        for name, mode in locks(statement.tree, World(), statement.json).items()
    }


def blocks_while_it_waits(step: Step) -> bool:
    """Tell whether a statement that refuses a transaction keeps others waiting while it waits for its lock. Pure."""
    kind, body = node(parse(step.sql)[0].tree)
    if kind == "VacuumStmt":
        return flag(body.get("options"), "full")
    if kind == "ReindexStmt":
        return not flag(body.get("params"), "concurrently")
    return kind == "ClusterStmt"


def with_expected_locks(connection: Connection, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps with the locks that they will take on tables that are there. Reads only, locks nothing."""
    expected = [
        replace(step, locks=tuple(HeldLock(name, mode) for name, mode in sorted(locks_by_kind(step).items())))
        for step in steps
    ]
    there = {name for name, _, _ in _sizes(connection, expected)}
    return with_sizes(
        connection,
        [replace(step, locks=tuple(lock for lock in step.locks if lock.object in there)) for step in expected],
    )


def with_sizes(connection: Connection, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps with how large the tables that they lock are in the connection's database."""
    sizes = {name: (rows, size) for name, rows, size in _sizes(connection, steps)}

    def sized(lock: HeldLock) -> HeldLock:
        rows, size_bytes = sizes.get(lock.object, (None, None))
        return replace(lock, rows=rows, size_bytes=size_bytes)

    return tuple(replace(step, locks=tuple(map(sized, step.locks))) for step in steps)


def _sizes(connection: Connection, steps: Sequence[Step]) -> list[tuple[str, int | None, int | None]]:
    names = sorted({lock.object for step in steps for lock in step.locks})
    return activity.ask(connection, activity.SIZES_OF_TABLES, names) if names else []
