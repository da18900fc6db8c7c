"""Give a type in use a new definition that ALTER TYPE cannot: a new type, every column converted, the old one dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safemig.schema.kinds.base import Step
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.plan import Plan


def swap_steps(item: Id, plan: Plan) -> list[Step]:
    """Return the statements, in order; dependents that hinder them are dropped before and created after."""
    old, new = plan.base.facts[item], plan.target.facts[item]
    kind = plan.kinds[item.kind]
    word = kind.keyword
    aside = f"{item.name[:54]}__old"
    destructive, why = kind.why_swapped(item, old, new)
    if old == new:
        destructive, why = False, f"{item.dotted} is made of a type that is re-created, and so is every column of it"
    rule = kind.swap_rule
    if not kind.may_stand_twice:
        return _by_way_of_text(item, plan, why, destructive)
    steps = [
        Step(
            f"ALTER {word} {quote_name(item.schema, item.name)} RENAME TO {quote_identifier(aside)}",
            why,
            destructive=destructive,
            rule=rule,
        )
    ]
    steps += [Step(step.sql, why, destructive=destructive, rule=rule) for step in kind.create(item, new, plan)]
    for column in plan.stored_in_columns(item):
        if column in plan.replaced or _goes_with_parent(column, plan):
            continue
        fact = plan.target.facts[column]
        if plan.base.facts[column].type != fact.type:
            continue
        name = quote_identifier(column.sub)
        using = "" if fact.generated else f" USING {name}::text{'[]' if fact.type.endswith('[]') else ''}::{fact.type}"
        steps.append(
            Step(
                f"ALTER {plan.table_keyword(column)} {quote_name(column.schema, column.name)} ALTER COLUMN {name} TYPE {fact.type}{using}",
                why,
                destructive=destructive,
                rule=rule,
                lock=LockMode.ACCESS_EXCLUSIVE,
                rewrites=True,
            )
        )
    steps.append(Step(f"DROP {word} {quote_name(item.schema, aside)}", why, destructive=destructive, rule=rule))
    return steps


def _goes_with_parent(column: Id, plan: Plan) -> bool:
    """Tell whether a child's column is converted with its parent's."""
    parents = plan.parent_columns(column, plan.base)
    return any(parent in plan.base.facts and parent not in plan.replaced for parent in parents)


def _by_way_of_text(item: Id, plan: Plan, why: str, destructive: bool) -> list[Step]:
    """The same for a type that cannot have a second one beside it."""
    there: list[Step] = []
    back: list[Step] = []
    rule = "alter-type-lossy"
    for column in plan.stored_in_columns(item):
        if column in plan.replaced or _goes_with_parent(column, plan):
            continue
        fact, name = plan.target.facts[column], quote_identifier(column.sub)
        if plan.base.facts[column].type != fact.type:
            continue
        text = "text[]" if fact.type.endswith("[]") else "text"
        alter = f"ALTER {plan.table_keyword(column)} {quote_name(column.schema, column.name)} ALTER COLUMN {name} TYPE"
        for steps, sql in (
            (there, f"{alter} {text} USING {name}::{text}"),
            (back, f"{alter} {fact.type} USING {name}::{fact.type}"),
        ):
            steps.append(
                Step(sql, why, destructive=destructive, rule=rule, lock=LockMode.ACCESS_EXCLUSIVE, rewrites=True)
            )
    kind = plan.kinds[item.kind]
    made = [*kind.drop(item, plan.base.facts[item], plan), *kind.create(item, plan.target.facts[item], plan)]
    return [*there, *(Step(step.sql, why, destructive=destructive, rule=rule) for step in made), *back]
