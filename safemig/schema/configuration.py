"""The rows that are configuration, within a schema."""

from __future__ import annotations

from dataclasses import replace

from safemig.schema.model import Schema


def rows_taken_over(copy: Schema, original: Schema) -> Schema:
    """Return what was read from a copy of a schema alone, with the configuration rows of its original."""
    gone, rows = (dict(schema.of_kind("configuration row")) for schema in (copy, original))
    if not (gone or rows):
        return copy
    return replace(copy, facts={**{item: fact for item, fact in copy.facts.items() if item not in gone}, **rows})
