"""How long SELECTs take on a copy with rows: with values drawn from it, read-only, bounded in time.

Guarantee: each runs in a read-only transaction that is rolled back, under its own role, and is ended by the server after
some seconds; all of them together stop after a minute, and the rest is not timed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence

import psycopg
from psycopg import ClientCursor

from safemig.postgres.connection import Connection
from safemig.workload.load import WHICH_ROLES, become
from safemig.workload.parameters import read_parameters
from safemig.workload.statement import Statement
from safemig.workload.values import Values

LONGEST_MS = 5_000
ALL_TOGETHER_S = 60.0
_DRAWS = 3

Drawn = Mapping[str, Sequence[list[str | None]]]


def draw_values(copy: Connection, statements: Sequence[Statement]) -> dict[str, list[list[str | None]]]:
    """Draw values for the SELECTs among the statements, by their id, before the migration changes what they are drawn from."""
    chance = random.Random(0)  # noqa: S311 - a choice of rows, no secret
    values = Values(copy, chance)
    drawn: dict[str, list[list[str | None]]] = {}
    for each in statements:
        found = read_parameters(each.text) if each.kind == "SELECT" else None
        if found is None or not found.is_read_only:
            continue
        if each.search_path:
            copy.execute("SELECT set_config('search_path', %s, false)", (each.search_path,))
        source = values.of(each.text)
        copy.execute("RESET search_path")
        if source is not None:
            drawn[each.id] = [source.draw(chance) for _ in range(_DRAWS)]
    return drawn


def time_statements(planner: Connection, statements: Sequence[Statement], drawn: Drawn) -> dict[str, float]:
    """Return the milliseconds that each statement takes for its drawn values, the median, by its id.

    Without those that are refused, that take longer than allowed, or for which no time is left.
    """
    roles = {name for (name,) in planner.execute(WHICH_ROLES)}
    ends = time.monotonic() + ALL_TOGETHER_S
    found: dict[str, float] = {}
    for each in statements:
        if each.id not in drawn or time.monotonic() > ends:
            continue
        try:
            found[each.id] = _timed(planner, each, drawn[each.id], roles)
        except psycopg.Error:
            continue
    return found


def _timed(planner: Connection, statement: Statement, drawn: Sequence[list[str | None]], roles: set[str]) -> float:
    planner.execute("BEGIN READ ONLY")
    try:
        planner.execute("SELECT set_config('statement_timeout', %s, true)", (f"{LONGEST_MS}ms",))
        become(planner, statement, roles)
        planner.execute(f"PREPARE safemig_time AS {statement.text}".encode(), prepare=False)
        times = []
        for values in drawn:
            given = f"({', '.join(['%s'] * len(values))})" if values else ""
            question = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE safemig_time{given}"
            row = ClientCursor(planner).execute(question.encode(), values or None).fetchone()
            times.append(float(row[0][0]["Execution Time"]) if row else 0.0)
    finally:
        planner.execute("ROLLBACK")
        planner.execute("RESET ROLE")
        planner.execute("RESET search_path")
        # It is no part of the transaction; one that was never prepared is no concern.
        planner.execute("DEALLOCATE ALL", prepare=False)
    return sorted(times)[len(times) // 2]
