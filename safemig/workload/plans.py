"""The plans of the application's statements before and after a migration: their shape, and what the planner takes for their cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from safemig.postgres.connection import Connection
from safemig.workload.statement import Statement

WHICH_NAMES = """
SELECT n.nspname, c.relname, c.oid::int8 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'i', 'I', 'f') AND n.nspname !~ '^pg_'
"""
WHICH_ROLES = "SELECT rolname FROM pg_roles"
HOW_MANY_PARAMETERS = "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'safemig_plan'"
# What a plan must grow by to count as dearer: half as much again, and by more than noise in a plan of a few rows.
DEARER_TIMES = 1.5
DEARER_COST = 10.0

Shape = tuple[Any, ...]
Names = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan of the planner: its shape (by oids, so that a rename changes nothing), in words, and its cost."""

    shape: Shape
    words: str
    cost: float
    tables: frozenset[int]


@dataclass(frozen=True, slots=True)
class PlanChange:
    """A statement whose plan is another one, or costs more, after the migration."""

    statement: Statement
    before: Plan
    after: Plan
    before_ms: float | None = None
    after_ms: float | None = None

    @property
    def has_other_shape(self) -> bool:
        """True where the plan goes another way, not only costs something else."""
        return not same_shape(self.before.shape, self.after.shape)

    @property
    def is_dearer(self) -> bool:
        """True where the planner takes it for clearly more expensive."""
        return is_dearer(self.before.cost, self.after.cost)

    @property
    def table(self) -> str:
        """The table on which the plan goes another way, else the first that it reads; "" where there is none."""
        before, after = _tables(self.before.shape), _tables(self.after.shape)
        different = [name for name in after if after[name] != before.get(name)]
        return next(iter((*different, *after)), "")

    @property
    def difference(self) -> str:
        """Say which parts of the plan are gone, and what is there instead."""
        if not self.has_other_shape:
            return f"the same plan: {self.after.words}"
        before, after = _parts(self.before.shape), _parts(self.after.shape)
        gone = [each for each in before if each not in after]
        new = [each for each in after if each not in before]
        return f"{', '.join(gone) or self.before.words} becomes {', '.join(new) or self.after.words}"


def is_dearer(before: float, after: float) -> bool:
    """Tell whether a cost grew by so much that it counts."""
    return after >= before * DEARER_TIMES and after - before >= DEARER_COST


@dataclass(frozen=True, slots=True)
class Plans:
    """The plans of statements, by their id; and those that have none, with the SQLSTATE."""

    found: Mapping[str, Plan]
    failed: Mapping[str, str]


def read_plans(planner: Connection, statements: Sequence[Statement]) -> Plans:
    """Ask for the generic plan of each statement, under its own role and search path. Runs none of them."""
    names = {(schema, name): oid for schema, name, oid in planner.execute(WHICH_NAMES)}
    roles = {name for (name,) in planner.execute(WHICH_ROLES)}
    found: dict[str, Plan] = {}
    failed: dict[str, str] = {}
    planner.execute("SET plan_cache_mode = force_generic_plan")
    # A setting per sender, not per statement: they come in hundreds.
    for sender, of in _by_sender(statements):
        with _as(planner, sender, roles):
            for statement in of:
                try:
                    found[statement.id] = _read(explain(planner, statement.text), names)
                except psycopg.Error as error:
                    failed[statement.id] = error.sqlstate or "unknown"
    return Plans(found, failed)


@dataclass(frozen=True, slots=True)
class PlansCompared:
    """How the plans of statements changed, the dearest growth first; how many were compared, and why others were not."""

    changes: tuple[PlanChange, ...]
    compared: int
    skipped: tuple[tuple[str, int], ...] = ()


def compare_plans(
    statements: Sequence[Statement],
    before: Plans,
    after: Plans,
    unknown: Collection[int] = (),
    grown: Collection[int] = (),
) -> PlansCompared:
    """Compare the plans of statements. `unknown` are tables, by oid, whose size no one knows: the migration makes them.

    `grown` are tables with dead rows of the migration: that the same plan costs more there is no change that stays.
    """
    changes: list[PlanChange] = []
    skipped: Counter[str] = Counter()
    compared = 0
    for each in statements:
        if not each.is_checked:
            skipped["a utility statement"] += 1
        elif each.id not in before.found:
            skipped[f"no plan before the migration ({before.failed.get(each.id, 'not asked')})"] += 1
        elif each.id not in after.found:
            skipped[f"no plan after the migration ({after.failed.get(each.id, 'not asked')})"] += 1
        elif after.found[each.id].tables & set(unknown):
            skipped["reads a table that the migration makes, whose size is not known"] += 1
        else:
            compared += 1
            change = PlanChange(each, before.found[each.id], after.found[each.id])
            if change.has_other_shape or not change.after.tables & set(grown):
                changes.append(change)
    changed = [each for each in changes if each.has_other_shape or each.is_dearer]
    return PlansCompared(
        tuple(sorted(changed, key=lambda each: each.before.cost - each.after.cost)),
        compared,
        tuple(sorted(skipped.items())),
    )


def explain(planner: Connection, text: str) -> dict[str, Any]:
    """Return the generic plan of a statement with parameters, as EXPLAIN's JSON has it; for a session in autocommit."""
    if planner.info.server_version >= 160000:
        (found,) = planner.execute(f"EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) {text}".encode()).fetchone() or ([],)
    else:
        planner.execute(f"PREPARE safemig_plan AS {text}".encode())
        try:
            # psycopg's own prepared statements are none of ours to count with.
            (count,) = planner.execute(HOW_MANY_PARAMETERS, prepare=False).fetchone() or (0,)
            values = f"({', '.join(['NULL'] * count)})" if count else ""
            question = f"EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE safemig_plan{values}"
            (found,) = planner.execute(question.encode(), prepare=False).fetchone() or ([],)
        finally:
            planner.execute("DEALLOCATE safemig_plan", prepare=False)
    plan: dict[str, Any] = found[0]["Plan"]
    return plan


def _by_sender(statements: Sequence[Statement]) -> list[tuple[tuple[str, str], list[Statement]]]:
    senders: dict[tuple[str, str], list[Statement]] = {}
    for each in statements:
        if each.is_checked:
            senders.setdefault((each.role, each.search_path), []).append(each)
    return list(senders.items())


@contextmanager
def _as(planner: Connection, sender: tuple[str, str], roles: set[str]) -> Iterator[None]:
    role, search_path = sender
    if search_path:
        planner.execute("SELECT set_config('search_path', %s, false)", (search_path,))
    if role in roles:
        planner.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    try:
        yield
    finally:
        planner.execute("RESET ROLE")
        planner.execute("RESET search_path")


def _read(plan: dict[str, Any], names: Names) -> Plan:
    tables: set[int] = set()
    shape = _shape(plan, names, tables, "")
    return Plan(shape, words(plan), float(plan["Total Cost"]), frozenset(tables))


def _shape(plan: Mapping[str, Any], names: Names, tables: set[int], schema: str) -> Shape:
    schema = plan.get("Schema", schema)
    relation: Any = plan.get("Relation Name")
    if relation is not None:
        relation = names.get((schema, relation), relation)
        if isinstance(relation, int):
            tables.add(relation)
    index: Any = plan.get("Index Name")
    if index is not None:
        index = names.get((schema, index), index)
    kind = " ".join(str(plan[key]) for key in ("Node Type", "Join Type", "Strategy", "Partial Mode") if key in plan)
    below = tuple(_shape(each, names, tables, schema) for each in plan.get("Plans", ()))
    return (kind, relation, index, _words_of_node(plan), below)


def words(plan: Mapping[str, Any]) -> str:
    """Return a plan in a line, such as `Nested Loop (Seq Scan on orders, Index Scan on users using users_pkey)`."""
    below = ", ".join(words(each) for each in plan.get("Plans", ()))
    return _words_of_node(plan) + (f" ({below})" if below else "")


def _words_of_node(plan: Mapping[str, Any]) -> str:
    on = f" on {plan['Relation Name']}" if "Relation Name" in plan else ""
    using = f" using {plan['Index Name']}" if "Index Name" in plan else ""
    return f"{plan['Node Type']}{using}{on}"


def same_shape(one: Shape, other: Shape) -> bool:
    """Tell whether two plans go the same way, whatever their relations are called."""
    return one[:3] == other[:3] and len(one[4]) == len(other[4]) and all(map(same_shape, one[4], other[4]))


def by_names(shape: Shape) -> Shape:
    """Return a shape by its relations' names, to hold plans of two databases against each other."""
    return (shape[0], shape[3], tuple(map(by_names, shape[4])))


def _tables(shape: Shape) -> dict[str, list[str]]:
    """Return how each table is read, by its name, in the order of the plan."""
    found: dict[str, list[str]] = {}
    name = shape[3].partition(" on ")[2]
    if name:
        found.setdefault(name, []).append(shape[3])
    for below in shape[4]:
        for table, ways in _tables(below).items():
            found.setdefault(table, []).extend(ways)
    return found


def _parts(shape: Shape) -> list[str]:
    found = [shape[3]] if shape[1] is not None or shape[2] is not None else []
    for below in shape[4]:
        found += _parts(below)
    return found
