"""Views that read each other in a circle: made and dropped by way of stand-ins, as pg_dump does."""

from __future__ import annotations

from collections.abc import Iterable

from safemig.schema.kinds.base import Step
from safemig.schema.model import Id, Schema
from safemig.sql.identifiers import quote_identifier, quote_name
from safemig.sql.locks import LockMode


def view_loops(schema: Schema, views: Iterable[Id]) -> dict[Id, frozenset[Id]]:
    """Return, for each of `views` that reads itself by way of others of them, all members of its circle."""
    among = set(views)
    reads: dict[Id, set[Id]] = {}
    for view in among:
        found = {Id("view", *needed[1:3]) for needed in schema.graph.needs.get(view, ()) if needed[1:3] != view[1:3]}
        reads[view] = found & among
    rest = _without_ends(reads)
    reached = {view: _reached(view, rest) for view in rest}
    return {
        view: frozenset(other for other in found if view in reached[other])
        for view, found in reached.items()
        if view in found
    }


def _without_ends(reads: dict[Id, set[Id]]) -> dict[Id, set[Id]]:
    """Peel off what reads nothing that is left, until only circles and what leads into them remain. Linear."""
    readers: dict[Id, list[Id]] = {}
    left = {view: len(found) for view, found in reads.items()}
    for view, found in reads.items():
        for other in found:
            readers.setdefault(other, []).append(view)
    ends = [view for view, number in left.items() if not number]
    for end in ends:
        del left[end]
        for reader in readers.get(end, ()):
            left[reader] -= 1
            if not left[reader]:
                ends.append(reader)
    return {view: reads[view] & left.keys() for view in left}


def _reached(start: Id, reads: dict[Id, set[Id]]) -> set[Id]:
    found: set[Id] = set()
    queue = list(reads[start])
    while queue:
        view = queue.pop()
        if view not in found:
            found.add(view)
            queue += reads[view]
    return found


def stand_in(item: Id, schema: Schema) -> Step:
    """Return the view with its columns and nothing behind them."""
    columns = ",\n    ".join(
        f"NULL::{type_name}{f' COLLATE {collation}' if collation else ''} AS {quote_identifier(name)}"
        for name, type_name, collation in schema.facts[item].columns
    )
    return Step(
        f"CREATE OR REPLACE VIEW {quote_name(item.schema, item.name)} AS\nSELECT {columns}",
        "a stand-in, for the views of this circle can only be made one after the other",
        lock=LockMode.ACCESS_EXCLUSIVE,
    )
