"""Compare what can be compared: two schemas without an extension that one of the servers lacks, and what stands on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from safemig.schema.kinds import KINDS
from safemig.schema.model import Id, Schema

V = TypeVar("V")


def without_extensions(base: Schema, target: Schema, names: Iterable[str]) -> tuple[Schema, Schema, tuple[Id, ...]]:
    """Return both schemas without those extensions and all that needs them, and what was left out of either.

    A table with a column of an extension's type is left out whole, on both sides: of half a table nothing true can
    be said. What is named of it is the table.
    """
    extensions = [Id("extension", "", name) for name in names]
    left_out = {item for schema in (base, target) for item in _standing_on(extensions, schema)}
    if not left_out:
        return base, target, ()
    found = {item for schema in (base, target) for item in schema.facts if item in left_out}
    named = [item for item in found if not KINDS[item.kind].is_inside or not _is_inside(item, found)]
    return _without(base, left_out), _without(target, left_out), tuple(sorted(named))


def _standing_on(extensions: Iterable[Id], schema: Schema) -> set[Id]:
    found: set[Id] = set()
    queue = [item for item in extensions if item in schema.facts]
    while queue:
        item = queue.pop()
        if item in found:
            continue
        found.add(item)
        queue += schema.graph.needed_by.get(item)
        queue += schema.children.get(item)
        if KINDS[item.kind].holds_values and (relation := schema.relation(item.schema, item.name)):
            queue.append(relation)
    return found


def _is_inside(item: Id, found: set[Id]) -> bool:
    return any(Id(kind, item.schema, item.name) in found for kind in ("table", "view", "materialized view"))


def _without(schema: Schema, left_out: set[Id]) -> Schema:
    def kept(mapping: Mapping[Id, V]) -> dict[Id, V]:
        return {item: value for item, value in mapping.items() if item not in left_out}

    return replace(
        schema,
        facts=kept(schema.facts),
        comments=kept(schema.comments),
        grants=kept(schema.grants),
        owners=kept(schema.owners),
        column_order=kept(schema.column_order),
        labels={key: label for key, label in schema.labels.items() if key[0] not in left_out},
    )
