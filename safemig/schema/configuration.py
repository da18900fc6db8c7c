"""The rows that are configuration, within a schema."""

from __future__ import annotations

from dataclasses import replace

from safemig.schema.model import Schema


def rows_taken_over(copy: Schema, original: Schema) -> Schema:
    """Return what was read from a copy of a schema alone, with the configuration rows of its original."""
    facts = {item: fact for item, fact in copy.facts.items() if item.kind != "configuration row"}
    rows = {item: fact for item, fact in original.facts.items() if item.kind == "configuration row"}
    return replace(copy, facts={**facts, **rows}) if rows or len(facts) != len(copy.facts) else copy
