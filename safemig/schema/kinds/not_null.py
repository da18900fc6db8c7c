"""Not-null constraints of columns: by name, for heirs or not, valid or not, and beside a parent's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from safemig.schema.facts import ColumnFact, not_null_name
from safemig.schema.kinds.base import Step
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.plan import Plan

_EXCLUSIVE = LockMode.ACCESS_EXCLUSIVE


def not_null_constraint(item: Id, fact: ColumnFact) -> Step:
    """A not-null constraint that has a name, no heirs or no validity of its own (PostgreSQL 18)."""
    tail = " NOT VALID" if fact.not_null_not_valid else ""
    return Step(
        f"ALTER TABLE {quote_name(item.schema, item.name)} ADD {not_null_clause(item, fact)}{tail}", lock=_EXCLUSIVE
    )


def not_null_clause(item: Id, fact: ColumnFact) -> str:
    """Return a not-null constraint as a table's constraint is written (PostgreSQL 18)."""
    tail = " NO INHERIT" if fact.not_null_no_inherit else ""
    return f"CONSTRAINT {quote_identifier(not_null_name(item, fact))} NOT NULL {quote_identifier(item.sub)}{tail}"


def not_null_changes(
    item: Id, table: str, prefix: str, old: ColumnFact, new: ColumnFact, plan: Plan, *, is_new: bool = False
) -> list[Step]:
    """Return what makes a column's not-null constraint the wanted one, beside what comes from a parent.

    is_new: the column was added just before, so that no parent has passed anything on to it.
    """
    if is_new:
        return _added_or_dropped(item, table, prefix, new, plan)
    if plan.leaves_not_null_to_parent(item):
        words = f"DROP CONSTRAINT {quote_identifier(not_null_name(item, old))}"
        return [Step(f"ALTER TABLE {table} {words}", "its parent's takes its place", lock=_EXCLUSIVE)]
    before, after = (quote_identifier(not_null_name(item, fact)) for fact in (old, new))
    validate = Step(
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {after}",
        rule="validate-constraint",
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        why="reads the whole table without blocking reads or writes",
    )
    if plan.has_not_null_apart(item):
        return _added_or_dropped(item, table, prefix, new, plan)
    if old.not_null != new.not_null and plan.parent_does(item, "not_null"):
        is_more = new.not_null and not plan.parent_does(item, "not_null", "not_null_not_valid")
        return [validate] if is_more and not new.not_null_not_valid else []
    if old.not_null != new.not_null or plan.loses_not_null_with_parent(item):
        return _added_or_dropped(item, table, prefix, new, plan)
    if not new.not_null:
        return []
    steps = []
    if old.not_null_not_valid != new.not_null_not_valid:
        if old.not_null_not_valid and before == after:
            steps.append(validate)
        elif new.not_null_local and not plan.parent_does(item, "not_null", "not_null_not_valid"):
            steps.append(Step(f"ALTER TABLE {table} DROP CONSTRAINT {before}", lock=_EXCLUSIVE))
            steps.append(not_null_constraint(item, new))
    elif plan.version >= 180000:
        mine = new.not_null_local or not plan.inherits_all_along(item)
        if before != after and mine and not plan.parent_renames_not_null(item):
            steps.append(Step(f"ALTER TABLE {table} RENAME CONSTRAINT {before} TO {after}", lock=_EXCLUSIVE))
        if new.not_null_local and not old.not_null_local:
            steps.append(Step(f"{prefix} SET NOT NULL", "it has it from its parent already", lock=_EXCLUSIVE))
    if old.not_null_no_inherit != new.not_null_no_inherit:
        word = "NO INHERIT" if new.not_null_no_inherit else "INHERIT"
        steps.append(Step(f"ALTER TABLE {table} ALTER CONSTRAINT {after} {word}", lock=_EXCLUSIVE))
    return steps


def not_null_of_attribute(item: Id, fact: ColumnFact, plan: Plan) -> list[Step]:
    """Return what makes a typed table's column NOT NULL that its type has just got: ADD ATTRIBUTE leaves it empty."""
    table = quote_name(item.schema, item.name)
    prefix = f"ALTER TABLE {table} ALTER COLUMN {quote_identifier(item.sub)}"
    until = f"give every row of {table} a value in {quote_identifier(item.sub)} first"
    return [
        replace(step, online=tuple(replace(one, until=until) for one in step.online or (step,)))
        for step in _added_or_dropped(item, table, prefix, fact, plan)
    ]


def _added_or_dropped(item: Id, table: str, prefix: str, new: ColumnFact, plan: Plan) -> list[Step]:
    if not new.not_null:
        return [Step(f"{prefix} DROP NOT NULL", lock=_EXCLUSIVE, reverse=f"{prefix} SET NOT NULL")]
    if new.not_null_not_valid:
        return [not_null_constraint(item, new)]
    if new.not_null_name or new.not_null_no_inherit or plan.not_null_name_is_taken(item):
        name = quote_identifier(not_null_name(item, new))
        add = f"ALTER TABLE {table} ADD {not_null_clause(item, new)}"
        online: tuple[Step, ...] = (
            Step(f"{add} NOT VALID", lock=_EXCLUSIVE),
            Step(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}", lock=LockMode.SHARE_UPDATE_EXCLUSIVE),
        )
        return [
            Step(
                add,
                "fails where a row has none; reads the whole table",
                rule="set-not-null",
                lock=_EXCLUSIVE,
                online=online,
            )
        ]
    check = quote_identifier(f"{item.name[:20]}_{item.sub[:24]}_is_not_null")
    online = (
        Step(
            f"ALTER TABLE {table} ADD CONSTRAINT {check} CHECK ({quote_identifier(item.sub)} IS NOT NULL) NOT VALID",
            "so that SET NOT NULL need not read the table under its lock",
            lock=_EXCLUSIVE,
        ),
        Step(f"ALTER TABLE {table} VALIDATE CONSTRAINT {check}", lock=LockMode.SHARE_UPDATE_EXCLUSIVE),
        Step(f"{prefix} SET NOT NULL", lock=_EXCLUSIVE, reverse=f"{prefix} DROP NOT NULL"),
        Step(f"ALTER TABLE {table} DROP CONSTRAINT {check}", lock=_EXCLUSIVE),
    )
    return [
        Step(
            f"{prefix} SET NOT NULL",
            "fails where a row has none; reads the whole table",
            rule="set-not-null",
            lock=_EXCLUSIVE,
            reverse=f"{prefix} DROP NOT NULL",
            online=online,
        )
    ]
