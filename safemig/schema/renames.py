"""Renames: those that were named are made, those that are likely become questions; none is guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from safemig.errors import SettingsError
from safemig.schema.facts import not_null_name
from safemig.schema.kinds.base import Step
from safemig.schema.model import INSIDE_RELATION, Id, Schema
from safemig.schema.plan import Plan
from safemig.sql.identifiers import quote_identifier, quote_literal, quote_name
from safemig.sql.locks import LockMode

_PART = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')
_RENAMEABLE = {
    "table": "TABLE",
    "view": "VIEW",
    "materialized view": "MATERIALIZED VIEW",
    "sequence": "SEQUENCE",
    "index": "INDEX",
    "enum": "TYPE",
    "domain": "DOMAIN",
    "composite type": "TYPE",
    "range": "TYPE",
}


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
        if new not in target.facts and not _is_label(target, new):
            raise _no_such(new_name, "the schema that it is to become")
        steps += [(new, step) for step in _steps(old, new)]
        if old.kind == "column":
            base = _rename_column(base, old, new)
        elif old.kind == "enum value":
            base = _rename_label(base, old, new)
        else:
            base = _rename_object(base, old, new)
    return base, steps


def _is_label(schema: Schema, item: Id) -> bool:
    enum = schema.facts.get(Id("enum", item.schema, item.name))
    return item.kind == "enum value" and enum is not None and item.sub in enum.labels


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
    if len(parts) == 3:
        item = Id("column", *parts)
        if item in schema.facts:
            return item
        label = Id("enum value", *parts)
        return label if _is_label(schema, label) else None
    if len(parts) == 2:
        for kind in _RENAMEABLE:
            item = Id(kind, *parts)
            if item in schema.facts:
                return item
    return None


def _renamed_id(old: Id, dotted: str) -> Id:
    parts = parts_of(dotted)
    if old.kind in ("column", "enum value"):
        return Id(old.kind, *([old.schema, old.name, parts[0]] if len(parts) == 1 else parts))
    return Id(old.kind, *([old.schema, parts[0]] if len(parts) == 1 else parts))


def _steps(old: Id, new: Id) -> list[Step]:
    if old.kind == "column":
        table = quote_name(old.schema, old.name)
        before, after = quote_identifier(old.sub), quote_identifier(new.sub)
        return [
            Step(
                f"ALTER TABLE {table} RENAME COLUMN {before} TO {after}",
                "statements that use the old name fail from now on",
                rule="rename-column",
                lock=LockMode.ACCESS_EXCLUSIVE,
                reverse=f"ALTER TABLE {table} RENAME COLUMN {after} TO {before}",
            )
        ]
    if old.kind == "enum value":
        enum, before, after = quote_name(old.schema, old.name), _literal(old.sub), _literal(new.sub)
        return [
            Step(
                f"ALTER TYPE {enum} RENAME VALUE {before} TO {after}",
                "statements that write or compare with the old value fail from now on",
                rule="enum-value-renamed",
                reverse=f"ALTER TYPE {enum} RENAME VALUE {after} TO {before}",
            )
        ]
    word, steps = _RENAMEABLE[old.kind], []
    if old.name != new.name:
        steps.append(
            Step(
                f"ALTER {word} {quote_name(old.schema, old.name)} RENAME TO {quote_identifier(new.name)}",
                "statements that use the old name fail from now on",
                rule="rename-table",
                lock=LockMode.ACCESS_EXCLUSIVE,
                reverse=f"ALTER {word} {quote_name(old.schema, new.name)} RENAME TO {quote_identifier(old.name)}",
            )
        )
    if old.schema != new.schema:
        steps.append(
            Step(
                f"ALTER {word} {quote_name(old.schema, new.name)} SET SCHEMA {quote_identifier(new.schema)}",
                "statements that use the old name fail from now on",
                rule="set-schema",
                lock=LockMode.ACCESS_EXCLUSIVE,
                reverse=f"ALTER {word} {quote_name(new.schema, new.name)} SET SCHEMA {quote_identifier(old.schema)}",
            )
        )
    return steps


def _rename_column(base: Schema, old: Id, new: Id) -> Schema:
    def moved(item: Id) -> Id:
        inside = item.kind in ("column", "default") and item[1:] == old[1:]
        return Id(item.kind, *new[1:]) if inside else item

    word = re.compile(rf"(?<![\w\"]){re.escape(quote_identifier(old.sub))}(?![\w\"])")
    related = set(base.graph.needed_by.get(old, ()))

    def rewritten(item: Id, fact: Any) -> Any:
        if item.kind == "sequence owner" and (fact.table_schema, fact.table, fact.column) == old[1:]:
            return fact._replace(column=new.sub)
        if item.kind == "identity sequence" and (fact.table_schema, fact.table, fact.column) == old[1:]:
            return fact._replace(column=new.sub)
        if item not in related:
            return fact
        if item.kind == "constraint":
            fact = fact._replace(columns=tuple(new.sub if c == old.sub else c for c in fact.columns))
        return _substitute(fact, word, quote_identifier(new.sub))

    return _mapped(base, moved, rewritten)


def _literal(label: str) -> str:
    return quote_literal(label).strip()


def _rename_label(base: Schema, old: Id, new: Id) -> Schema:
    enum, cast = Id("enum", old.schema, old.name), f"::{quote_name(old.schema, old.name)}"
    word = re.compile(rf"{re.escape(_literal(old.sub) + cast)}(?![\w\"])")

    def rewritten(item: Id, fact: Any) -> Any:
        if item == enum:
            return fact._replace(labels=tuple(new.sub if label == old.sub else label for label in fact.labels))
        return _substitute(fact, word, _literal(new.sub) + cast)

    return _mapped(base, lambda item: item, rewritten)


def _rename_object(base: Schema, old: Id, new: Id) -> Schema:
    is_relation = old.kind in ("table", "view", "materialized view", "composite type")
    # SET SCHEMA takes along the sequences that the table's columns own.
    sequences = {
        (item.schema, item.name)
        for item, fact in base.facts.items()
        if item.kind in ("sequence owner", "identity sequence")
        and old.kind == "table"
        and old.schema != new.schema
        and (fact.table_schema, fact.table) == (old.schema, old.name)
    }

    def moved(item: Id) -> Id:
        if item == old:
            return new
        if item[1:3] in sequences and item.kind in ("sequence", "sequence owner", "identity sequence"):
            return Id(item.kind, new.schema, item.name)
        inside = item.kind in INSIDE_RELATION or item.kind in ("attribute", "constraint index")
        if is_relation and inside and item[1:3] == old[1:3]:
            return Id(item.kind, new.schema, new.name, item.sub)
        if item.kind in ("domain constraint", "sequence owner") and item[1:3] == old[1:3]:
            return Id(item.kind, new.schema, new.name, item.sub)
        if is_relation and item.kind == "index" and old.schema != new.schema and base.facts[item].table == old.name:
            return Id("index", new.schema, item.name) if base.facts[item].table_schema == old.schema else item
        return item

    word = re.compile(rf"(?<![\w\".]){re.escape(quote_name(old.schema, old.name))}(?![\w\"])")
    words = [
        (re.compile(rf"(?<![\w\".]){re.escape(quote_name(*sequence))}(?![\w\"])"), quote_name(new.schema, sequence[1]))
        for sequence in sequences
    ]

    def rewritten(item: Id, fact: Any) -> Any:
        if item.kind == "column" and fact.identity_sequence and fact.identity_sequence[:2] in sequences:
            fact = fact._replace(identity_sequence=(new.schema, *fact.identity_sequence[1:]))
        for found, by in words if item.kind == "default" else ():
            fact = _substitute(fact, found, by)
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
        return _substitute(fact, word, quote_name(new.schema, new.name))

    return _mapped(base, moved, rewritten)


def _substitute(fact: Any, word: re.Pattern[str], by: str) -> Any:
    def anew(value: Any) -> Any:
        if isinstance(value, str):
            return word.sub(lambda _: by, value)
        return value

    return type(fact)(*(anew(value) for value in fact)) if hasattr(fact, "_fields") else fact


def _mapped(base: Schema, moved: Callable[[Id], Id], rewritten: Callable[[Id, Any], Any]) -> Schema:
    graph = base.graph

    def resolve() -> Iterator[tuple[Id, Id, str]]:
        for item, needed, letter in graph.dependencies:
            yield moved(item), moved(needed), letter

    facts = {moved(item): rewritten(item, fact) for item, fact in base.facts.items()}
    if base.server_version_num >= 180000:
        for item, fact in base.facts.items():
            after = moved(item)
            if item.kind == "column" and after != item and fact.not_null:  # the constraint keeps its name
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
    return [(old, new) for word, old, new in _alike(plan) if word == "table"]


def _alike(plan: Plan) -> Iterator[tuple[str, Id, Id]]:
    columns_gone = [item for item in plan.removed if item.kind == "column"]
    for gone in sorted(columns_gone):
        if Id("table", gone.schema, gone.name) in plan.dropped:
            continue
        alike = sorted(
            item
            for item in plan.added
            if item.kind == "column"
            and item[1:3] == gone[1:3]
            and plan.target.facts[item].type == plan.base.facts[gone].type
        )
        for item in alike:
            yield "column", gone, item
    for enum in sorted(item for item in plan.changed if item.kind == "enum"):
        before, after = plan.base.facts[enum].labels, plan.target.facts[enum].labels
        differ = [(old, new) for old, new in zip(before, after, strict=False) if old != new]
        if len(before) == len(after) and len(differ) == 1 and differ[0][1] not in before:
            old, new = (Id("enum value", enum.schema, enum.name, label) for label in differ[0])
            yield "enum value", old, new
    for gone in sorted(item for item in plan.removed if item.kind == "table"):
        before = set(plan.base.column_order.get(gone, ()))
        for item in sorted(item for item in plan.added if item.kind == "table"):
            after = set(plan.target.column_order.get(item, ()))
            if before and 3 * len(before & after) >= 2 * len(before | after):
                yield "table", gone, item
