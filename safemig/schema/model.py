"""What a database's schema is made of: facts with names, and what each needs.

A fact is as fine as a row of `pg_depend` can point at: a table, a column, a default, a constraint are four
facts. Its identity is a name (`Id`), never an OID, and the names are not part of what is compared (`facts.py`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from safemig.sql.identifiers import quote_name


class Id(NamedTuple):
    """The identity of a fact. `sub` is the part inside `name`: a column, a constraint, a routine's argument types."""

    kind: str
    schema: str
    name: str
    sub: str = ""

    @property
    def dotted(self) -> str:
        """The name as a person writes it in SQL, such as `app."Order".id` or `app.total(integer)`."""
        said = _SAID_OTHERWISE.get(self.kind)
        return quote_name(self.schema, self.name, self.sub) if said is None else said(self)


def _signature(item: Id) -> str:
    return _call(item, quote_name(item.name))


def _operator(item: Id) -> str:
    return _call(item, item.name)


def _call(item: Id, name: str) -> str:
    return f"{quote_name(item.schema)}.{name}({item.sub})" if item.schema else f"{name}({item.sub})"


def _verbatim(item: Id) -> str:
    return f"{quote_name(item.schema, item.name)}{': ' if item.name else ''}{item.sub}".strip()


# Kinds whose `sub` is no name: argument types, or words of SQL.
_SAID_OTHERWISE: Mapping[str, Callable[[Id], str]] = {
    "routine": _signature,
    "operator": _operator,
    "cast": _verbatim,
    "publication table": _verbatim,
    "publication schema": _verbatim,
    "configuration row": _verbatim,
    "default privileges": _verbatim,
    "member privileges": _verbatim,
    "transform": _verbatim,
    "operator class": _verbatim,
    "operator family": _verbatim,
}


def by_kind(items: Iterable[Id]) -> Mapping[str, list[Id]]:
    """Return `items` by what they are: most questions are about few kinds, and most facts are columns."""
    found: dict[str, list[Id]] = {}
    for item in items:
        found.setdefault(item[0], []).append(item)
    return found


# One privilege: who (an empty text is PUBLIC, OWNER_LACKS is what the owner was stripped of), the letter of
# aclitem's own notation, and whether it may be passed on.
Grant = tuple[str, str, bool]
OWNER_LACKS = "\x00owner"

Facts = Mapping[Id, Any]


_NO_EDGES: Mapping[Id, str] = MappingProxyType({})


class Edges:
    """The edges of a graph in one direction: from an item to those at their other ends, with pg_depend's letter."""

    __slots__ = ("_far_end", "_known", "_rows")

    def __init__(self, rows: Mapping[Id, list[tuple[Id, Id, str]]], far_end: Literal[0, 1]) -> None:
        self._rows, self._far_end = rows, far_end
        self._known: dict[Id, dict[Id, str]] = {}

    def among(self, items: Set[Id]) -> Set[Id]:
        """Return those of `items` that have edges."""
        return items & self._rows.keys()

    def get(self, item: Id, default: Mapping[Id, str] | tuple[()] = ()) -> Mapping[Id, str]:
        """Return {other: letter} of `item`; where two rows join the same two, the stronger letter (n) stays."""
        del default  # as a dict's get() has it: nothing is what an item without edges has
        found = self._known.get(item)
        if found is None:
            rows = self._rows.get(item)
            if rows is None:
                return _NO_EDGES
            found = self._known[item] = {}
            for row in rows:
                other = row[self._far_end]
                if found.get(other) != "n":
                    found[other] = row[2]
        return found


@dataclass(frozen=True, eq=False)
class Graph:
    """Who needs whom; both directions. Rows are only sorted by their ends until someone asks: few ever do."""

    dependencies: Sequence[tuple[Id, Id, str]]  # (dependent, referenced, pg_depend's letter)

    @cached_property
    def needs(self) -> Edges:
        """What each needs."""
        return self._from(0, to=1)

    @cached_property
    def needed_by(self) -> Edges:
        """What needs each."""
        return self._from(1, to=0)

    def _from(self, near_end: Literal[0, 1], *, to: Literal[0, 1]) -> Edges:
        rows: defaultdict[Id, list[tuple[Id, Id, str]]] = defaultdict(list)
        for row in self.dependencies:
            rows[row[near_end]].append(row)
        return Edges(rows, to)

    def reaches(self, start: Iterable[Id], goal: Id, *, avoid: Iterable[Id] = ()) -> bool:
        """Tell whether one of `start`, or anything that it needs at whatever depth, is `goal`."""
        seen = set(avoid)
        queue = [item for item in start if item not in seen]
        while queue:
            item = queue.pop()
            if item == goal:
                return True
            if item in seen:
                continue
            seen.add(item)
            queue.extend(self.needs.get(item, ()))
        return False


def _column_itself(fact: Any) -> Any:
    if fact.is_local and fact.not_null_local:
        return fact
    return fact._replace(is_local=True, not_null_local=True)


def _constraint_itself(fact: Any) -> Any:
    if fact.parent and fact.type == "f":
        return None  # part of its parent's
    return fact if fact.is_local else fact._replace(is_local=True)


def _view_itself(fact: Any) -> Any:
    return fact._replace(populated=True)


# How these came to a child table, by itself or from its parent, says nothing of what the schema is; nor does whether a
# materialized view holds rows.
_ITSELF: Mapping[str, Callable[[Any], Any]] = {
    "column": _column_itself,
    "constraint": _constraint_itself,
    "materialized view": _view_itself,
}


@dataclass(frozen=True, eq=False, repr=False)
class Schema:
    """One database's schema as facts, read at one moment.

    `dependencies` is kept unresolved until someone asks, for two equal schemas never need it. `unseen` are objects
    that are there, and that the role which read may not see whole, each in words; no fact tells of them.
    """

    server_version_num: int
    current_user: str
    facts: Facts
    comments: Mapping[Id, str]
    grants: Mapping[Id, frozenset[Grant]]
    labels: Mapping[tuple[Id, str], str]
    owners: Mapping[Id, str]
    column_order: Mapping[Id, tuple[str, ...]]
    unmodelled: tuple[str, ...] = ()
    unseen: Mapping[Id, str] = field(default_factory=dict)
    with_ownership: bool = False
    resolve: Any = field(default=None)

    def __repr__(self) -> str:
        return f"<Schema of {len(self.facts)} facts, {len(self.tables)} tables, PostgreSQL {self.server_version_num}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @property
    def major(self) -> int:
        """The major version of the server that it was read from."""
        return self.server_version_num // 10000

    @cached_property
    def graph(self) -> Graph:
        """Who needs whom in this database, from pg_depend."""
        return Graph(tuple(self.resolve()) if self.resolve is not None else ())

    @cached_property
    def tables(self) -> tuple[tuple[str, str], ...]:
        """(schema, table) of every ordinary and partitioned table, sorted."""
        return tuple(sorted((item.schema, item.name) for item, fact in self.of_kind("table") if fact.relkind in "rp"))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every fact, comment, grant and label; the order of columns is not part of it."""
        return hashlib.sha256("\n".join(self._lines()).encode()).hexdigest()

    def _lines(self) -> list[str]:
        plain = tuple.__repr__  # of the values alone, and quick
        facts = self.facts
        lines = []
        for item in sorted(facts):
            itself = _ITSELF.get(item[0])
            fact = facts[item] if itself is None else itself(facts[item])
            if fact is not None:
                lines.append(f"{plain(item)}={plain(fact)}")
        lines += [f"comment {plain(item)}={self.comments[item]!r}" for item in sorted(self.comments)]
        lines += [f"grants {plain(item)}={sorted(self.grants[item])!r}" for item in sorted(self.grants)]
        lines += [
            f"label {plain(item)} {provider!r}={label!r}" for (item, provider), label in sorted(self.labels.items())
        ]
        if self.with_ownership:
            lines += [f"owner {plain(item)}={self.owners[item]!r}" for item in sorted(self.owners)]
        return lines

    @cached_property
    def children(self) -> Children:
        """The facts that live inside a table, view or type (columns, constraints, triggers, ...), by their container."""
        found: dict[tuple[str, str], list[Id]] = {}
        for item in self.facts:
            if item[0] in CONTAINERS:
                found.setdefault(item[1:3], []).append(item)
        return Children(self.facts, found)

    @cached_property
    def indexes(self) -> Mapping[tuple[str, str], list[Id]]:
        """The indexes of each table or materialized view, by (schema, name)."""
        return self._by("index", "table_schema", "table")

    @cached_property
    def attached_indexes(self) -> Mapping[tuple[str, str], list[Id]]:
        """The indexes of partitions that belong to each partitioned index, by its (schema, name)."""
        return self._by("index", "parent_schema", "parent")

    @cached_property
    def partitions(self) -> Mapping[tuple[str, str], list[Id]]:
        """The "partition" facts of each partitioned table, by its (schema, name)."""
        return self._by("partition", "parent_schema", "parent")

    @cached_property
    def parent_tables(self) -> Mapping[Id, list[Id]]:
        """The tables that each table is a partition of, or inherits from."""
        found: dict[Id, list[Id]] = {}
        for item, fact in (*self.of_kind("partition"), *self.of_kind("inheritance")):
            table = Id("table", item.schema, item.name)
            found.setdefault(table, []).append(Id("table", fact.parent_schema, fact.parent))
        return found

    @cached_property
    def child_tables(self) -> Mapping[Id, list[Id]]:
        """The partitions and children of each table that has some."""
        found: dict[Id, list[Id]] = {}
        for child, parents in self.parent_tables.items():
            for parent in parents:
                found.setdefault(parent, []).append(child)
        return found

    def ancestors(self, table: Id) -> list[Id]:
        """Return the parents of `table`, theirs, and so on."""
        return _all_along(self.parent_tables, table)

    def descendants(self, table: Id) -> list[Id]:
        """Return the children of `table`, theirs, and so on."""
        return _all_along(self.child_tables, table)

    def _by(self, kind: str, schema: str, name: str) -> Mapping[tuple[str, str], list[Id]]:
        key = attrgetter(schema, name)
        found: dict[tuple[str, str], list[Id]] = {}
        for item, fact in self.of_kind(kind):
            found.setdefault(key(fact), []).append(item)
        return found

    def of_kind(self, kind: str) -> Iterator[tuple[Id, Any]]:
        """Return every fact of one kind, with its identity."""
        return ((item, fact) for item, fact in self.facts.items() if item[0] == kind)

    def relation(self, schema: str, name: str) -> Id | None:
        """Return the table, view or materialized view of that name."""
        for kind in RELATION_KINDS:
            item = Id(kind, schema, name)
            if item in self.facts:
                return item
        return None


def _all_along(links: Mapping[Id, list[Id]], start: Id) -> list[Id]:
    found = list(links.get(start, ()))
    for item in found:
        found += links.get(item, ())
    return found


@dataclass(frozen=True, eq=False, slots=True)
class Children:
    """What lives inside which relation or domain; made once, asked for a few."""

    facts: Facts
    by_name: Mapping[tuple[str, str], list[Id]]

    def get(self, container: Id, default: tuple[Id, ...] = ()) -> tuple[Id, ...]:
        """Return what lives inside `container`."""
        inside = self.by_name.get(container[1:3])
        if not inside or container[0] not in _CONTAINING or container not in self.facts:
            return default
        return tuple(item for item in inside if container[0] in CONTAINERS[item[0]]) or default


RELATION_KINDS = ("table", "view", "materialized view", "composite type")
# What each kind that lives inside another may live in.
CONTAINERS: Mapping[str, tuple[str, ...]] = {
    "column": RELATION_KINDS,
    "default": RELATION_KINDS,
    "constraint": RELATION_KINDS,
    "trigger": RELATION_KINDS,
    "trigger state": RELATION_KINDS,
    "rule": RELATION_KINDS,
    "policy": RELATION_KINDS,
    "partition": RELATION_KINDS,
    "inheritance": RELATION_KINDS,
    "replica identity": RELATION_KINDS,
    "cluster": RELATION_KINDS,
    "domain constraint": ("domain",),
}
_CONTAINING = frozenset(kind for kinds in CONTAINERS.values() for kind in kinds)
