"""Renames: those that were named are made, those that are likely become questions; none is guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from safemig.errors import SettingsError
from safemig.schema.facts import not_null_name
from safemig.schema.kinds import KINDS
from safemig.schema.kinds.base import Step, substitute
from safemig.schema.model import Id, Schema
from safemig.schema.plan import Plan
from safemig.sql.identifiers import quote_name

_PART = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')


def apply_renames(base: Schema, target: Schema, renames: Mapping[str, str]) -> tuple[Schema, list[tuple[Id, Step]]]:
    """Return the base as it is after `renames`, and the statements that make them.

    The server's own words for expressions are rewritten name by name; where that comes out otherwise than the
    server would say it, an object is written once more than needed, never once less.

    Raises SettingsError for a name that the base does not have, or a new name that the target does not have.
    """
    steps: list[tuple[Id, Step]] = []
    for old_name, new_name in renames.items():
        old = _find(base, old_name)
        if old is None:
            raise _no_such(old_name, "the schema that is to change")
        new = _renamed_id(old, new_name)
        kind = KINDS[old.kind]
        if not kind.is_in(new, target):
            raise _no_such(new_name, "the schema that it is to become")
        steps += [(new, step) for step in kind.rename_steps(old, new)]
        renamed = kind.renamed_along(old, new, base)
        rewritten = kind.rewritten(renamed, base)
        base = _rename_object(base, old, new) if rewritten is None else _rename_inner(base, renamed, rewritten)
    return base, steps


def _no_such(name: str, where: str) -> SettingsError:
    return SettingsError(
        f"nothing is called {name}",
        where=where,
        next="name a rename as old=new, both as schema.table, schema.table.column or schema.enum.value",
    )


def parts_of(dotted: str) -> list[str]:
    """Return the parts of a dotted, perhaps quoted, name."""
    return [quoted.replace('""', '"') if quoted else plain for quoted, plain in _PART.findall(dotted)]


def _find(schema: Schema, dotted: str) -> Id | None:
    parts = parts_of(dotted)
    kinds = [kind for kind in KINDS.values() if kind.name_parts == len(parts)]
    for kind in sorted(kinds, key=lambda kind: -kind.phase):  # relations before types, whose names may be the same
        item = Id(kind.name, *parts)
        if kind.is_in(item, schema):
            return item
    return None


def _renamed_id(old: Id, dotted: str) -> Id:
    parts = parts_of(dotted)
    return Id(old.kind, *([*old[1 : KINDS[old.kind].name_parts], parts[0]] if len(parts) == 1 else parts))


def _rename_inner(base: Schema, renamed: Mapping[Id, Id], rewritten: Callable[[Id, Any], Any]) -> Schema:
    def moved(item: Id) -> Id:
        return KINDS[item[0]].moved(item, renamed)

    return _mapped(base, moved, rewritten)


def _rename_object(base: Schema, old: Id, new: Id) -> Schema:
    has_columns = KINDS[old.kind].has_columns
    # SET SCHEMA takes along the sequences that the table's columns own.
    sequences = {
        (item.schema, item.name)
        for item, fact in base.facts.items()
        if old.schema != new.schema and KINDS[item[0]].table_of_sequence(fact) == old
    }

    def moved(item: Id) -> Id:
        if item == old:
            return new
        kind = KINDS[item[0]]
        if item[1:3] in sequences and kind.is_sequence:
            return Id(item.kind, new.schema, item.name)
        if (kind.is_named_after or (has_columns and kind.is_inside)) and item[1:3] == old[1:3]:
            return Id(item.kind, new.schema, new.name, item.sub)
        if has_columns and kind.is_in_schema_of_table and old[1:3] in kind.relations(base.facts[item]):
            return Id(item.kind, new.schema, item.name)
        return item

    word = re.compile(rf"(?<![\w\".]){re.escape(quote_name(old.schema, old.name))}(?![\w\"])")
    words = [
        (re.compile(rf"(?<![\w\".]){re.escape(quote_name(*sequence))}(?![\w\"])"), quote_name(new.schema, sequence[1]))
        for sequence in sequences
    ]

    def rewritten(item: Id, fact: Any) -> Any:
        kind = KINDS[item[0]]
        fact = kind.with_sequences_in(fact, sequences, new.schema)
        for found, by in words if kind.is_same_thing else ():
            fact = substitute(fact, found, by)
        changes: dict[str, str] = {}
        for schema_field, name_field in (("table_schema", "table"), ("parent_schema", "parent")):
            fields = getattr(fact, "_fields", ())
            if schema_field in fields and (getattr(fact, schema_field), getattr(fact, name_field)) == (
                old.schema,
                old.name,
            ):
                changes |= {schema_field: new.schema, name_field: new.name}
        if changes:
            fact = fact._replace(**changes)
        return substitute(fact, word, quote_name(new.schema, new.name))

    return _mapped(base, moved, rewritten)


def _mapped(base: Schema, moved: Callable[[Id], Id], rewritten: Callable[[Id, Any], Any]) -> Schema:
    graph = base.graph

    def resolve() -> Iterator[tuple[Id, Id, str]]:
        for item, needed, letter in graph.dependencies:
            yield moved(item), moved(needed), letter

    facts = {moved(item): rewritten(item, fact) for item, fact in base.facts.items()}
    if base.server_version_num >= 180000:
        for item, fact in base.facts.items():
            after = moved(item)
            if after != item and KINDS[item[0]].holds_values and fact.not_null:  # the constraint keeps its name
                kept, plain = not_null_name(item, fact), facts[after]._replace(not_null_name="")
                facts[after] = plain._replace(not_null_name="" if kept == not_null_name(after, plain) else kept)
    order: dict[Id, tuple[str, ...]] = {}
    for item, columns in base.column_order.items():
        order[moved(item)] = tuple(moved(Id("column", item.schema, item.name, column)).sub for column in columns)
    return replace(
        base,
        facts=facts,
        comments={moved(item): text for item, text in base.comments.items()},
        grants={moved(item): found for item, found in base.grants.items()},
        labels={(moved(item), provider): text for (item, provider), text in base.labels.items()},
        owners={moved(item): owner for item, owner in base.owners.items()},
        column_order=order,
        resolve=resolve,
    )


def questions(plan: Plan) -> Iterator[str]:
    """Yield a question for every removal and addition that look like one rename."""
    for word, old, new in _alike(plan):
        yield (
            f"was the {word} {old.dotted} renamed to {new.dotted}? As it stands one is dropped and the other added;"
            f" to rename it, say --rename {old.dotted}={new.dotted}"
        )


def likely_renames(plan: Plan) -> list[tuple[Id, Id]]:
    """Return (old, new) of each table that may have been renamed: a forgotten answer would put an empty one in use."""
    return [(old, new) for _, old, new in _alike(plan) if plan.kinds[old.kind].is_relation]


def _alike(plan: Plan) -> Iterator[tuple[str, Id, Id]]:
    for name in sorted(plan.kinds):
        for old, new in plan.kinds[name].likely_renames(plan):
            yield old.kind, old, new
