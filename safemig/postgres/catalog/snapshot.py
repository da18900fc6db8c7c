"""The growing picture while a database is read: facts by name, and the OIDs that lead to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from safemig.schema import grants
from safemig.schema.model import Grant, Id

# The catalogs' own OIDs, fixed in PostgreSQL's headers.
PG_CLASS, PG_TYPE, PG_PROC, PG_ATTRDEF, PG_CONSTRAINT = 1259, 1247, 1255, 2604, 2606
PG_REWRITE, PG_TRIGGER, PG_NAMESPACE, PG_EXTENSION, PG_POLICY = 2618, 2620, 2615, 3079, 3256
PG_OPERATOR, PG_OPCLASS, PG_OPFAMILY, PG_CAST, PG_COLLATION = 2617, 2616, 2753, 2605, 3456
PG_CONVERSION, PG_LANGUAGE, PG_AM, PG_TRANSFORM, PG_EVENT_TRIGGER = 2607, 2612, 2601, 3576, 3466
PG_TS_PARSER, PG_TS_DICT, PG_TS_TEMPLATE, PG_TS_CONFIG = 3601, 3600, 3764, 3602
PG_FOREIGN_DATA_WRAPPER, PG_FOREIGN_SERVER, PG_USER_MAPPING = 2328, 1417, 1418
PG_STATISTIC_EXT, PG_PUBLICATION, PG_PUBLICATION_REL, PG_PUBLICATION_NAMESPACE, PG_SUBSCRIPTION = (
    3381,
    6104,
    6106,
    6237,
    6100,
)
PG_AMOP, PG_AMPROC = 2602, 2603

# An object created by an extension comes and goes with it. {catalog} and {oid} are filled in by `not_of_extension`.
_NOT_OF_EXTENSION = (
    "NOT EXISTS (SELECT FROM pg_depend member WHERE member.classid = {catalog} AND member.objid = {oid}"
    " AND member.deptype = 'e')"
)


def not_of_extension(catalog: int, oid: str) -> str:
    """Return the condition that the object `oid` of `catalog` belongs to no extension."""
    return _NOT_OF_EXTENSION.format(catalog=catalog, oid=oid)


class SchemaChangedError(Exception):
    """An object was dropped by someone else while it was read."""


def present(text: str | None, item: Id) -> str:
    """Return what the server wrote of `item`. Raises SchemaChangedError where it wrote nothing: there is no more to write of."""
    if not text:
        raise SchemaChangedError(f"{item.kind} {item.dotted} is gone")
    return text


@dataclass
class Snapshot:
    """What was read so far."""

    connection: psycopg.Connection[Any]
    version: int
    namespaces: str = "{}"  # OIDs of the managed schemas, as an array's text
    facts: dict[Id, Any] = field(default_factory=dict)
    comments: dict[Id, str] = field(default_factory=dict)
    grants: dict[Id, frozenset[Grant]] = field(default_factory=dict)
    labels: dict[tuple[Id, str], str] = field(default_factory=dict)
    owners: dict[Id, str] = field(default_factory=dict)
    column_order: dict[Id, tuple[str, ...]] = field(default_factory=dict)
    unmodelled: list[str] = field(default_factory=list)
    unseen: dict[Id, str] = field(default_factory=dict)
    objects: dict[tuple[int, int], Id] = field(default_factory=dict)
    columns: dict[tuple[int, int], Id] = field(default_factory=dict)
    extra_dependencies: list[tuple[Id, Id, str]] = field(default_factory=list)
    sent: dict[str, psycopg.Cursor[tuple[Any, ...]]] = field(default_factory=dict)

    @classmethod
    def on(cls, connection: psycopg.Connection[Any]) -> Snapshot:
        return cls(connection, connection.info.server_version)

    def send(self, queries: Iterable[str], **parameters: Any) -> None:
        """Send queries without waiting for their answers, which `rows` gives; `%(namespaces)s::oid[]` stands for the
        managed schemas. The connection is in pipeline mode, so all together cost one round trip.
        """
        for query in queries:
            cursor = self.connection.cursor(row_factory=tuple_row)
            self.sent[query] = cursor.execute(query, {"namespaces": self.namespaces, **parameters}, prepare=False)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the answer of a query that was sent; each can be had once, for the memory goes with it."""
        return self.sent.pop(query).fetchall()

    def add(self, catalog: int, oid: int, item: Id, fact: Any) -> None:
        """Note a fact. Raises SchemaChangedError when it was dropped while it was read, and so has no definition."""
        if getattr(fact, "definition", "") is None:
            raise SchemaChangedError(f"{item.kind} {item.dotted} is gone")
        self.facts[item] = fact
        self.objects[catalog, oid] = item

    def privileges(self, item: Id, acl: Sequence[str] | None, owner: str | None, object_type: str) -> None:
        """Note owner and grants of `item`; what PostgreSQL grants by itself is not noted."""
        if owner is not None:
            self.owners[item] = owner
        if acl is not None:
            found = grants.read_acl(tuple(acl), owner or "", object_type, self.version)
            if found != grants.builtin(object_type):
                self.grants[item] = found


def options(items: Iterable[str] | None) -> tuple[tuple[str, str], ...]:
    """Return `name=value` texts (reloptions and their like) as pairs, in the server's order, for pg_dump keeps it."""
    if not items:
        return ()
    pairs = (item.partition("=") for item in items)
    return tuple((name, value) for name, _, value in pairs)


def generic_options(items: Iterable[str] | None) -> tuple[tuple[str, str], ...]:
    """Return the options of a foreign object as pairs by name: their order means nothing, and pg_dump sorts them."""
    return tuple(sorted(options(items)))
