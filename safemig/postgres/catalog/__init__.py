"""Read one database's schema from its catalogs, in one snapshot and a fixed number of queries.

The server deparses every expression itself (`pg_get_*def`), with an empty search path so that each name comes out
qualified: two servers that hold the same schema say the same words.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import pq

from safemig.errors import UnreachableError, UnsupportedError
from safemig.postgres.catalog.configuration import read_configuration_rows
from safemig.postgres.catalog.dependencies import (
    DEPENDENCY_QUERIES,
    MEMBER_PRIVILEGES,
    read_comments,
    read_default_privileges,
    read_dependencies,
    read_member_privileges,
)
from safemig.postgres.catalog.others import other_queries, read_others
from safemig.postgres.catalog.relations import read_relations, relation_queries
from safemig.postgres.catalog.routines import ROUTINE_QUERIES, read_routines
from safemig.postgres.catalog.snapshot import PG_NAMESPACE, SchemaChangedError, Snapshot
from safemig.postgres.catalog.types import (
    EXTENSION_NAMESPACES,
    NAMESPACES,
    read_extensions,
    read_types,
    type_queries,
)
from safemig.postgres.platforms import WHICH_PLATFORM, Platform, recognise
from safemig.result import BOOKKEEPING_SCHEMAS
from safemig.schema import facts
from safemig.schema.collection import without_collection
from safemig.schema.kinds import KINDS
from safemig.schema.model import RELATION_KINDS, Id, Schema
from safemig.sql.identifiers import quote_name

# Where `restore_prod --tables` puts the tables of a backup.
RESTORED_SCHEMA = re.compile(r"restored_[0-9]{14}\Z")
# Names come out qualified and plain. No query over the catalogs is worth compiling, or more than one process.
PLAIN_SETTINGS = """
SELECT set_config('search_path', '', true), set_config('quote_all_identifiers', 'off', true), set_config('jit', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true), set_config('work_mem', '64MB', true)
"""

# The server locks a view's tables (ACCESS SHARE) to write out its definition; who rewrites one keeps us waiting.
LONGEST_WAIT = "SELECT set_config('lock_timeout', %(longest_wait)s, true)"
LONGEST_WAIT_MS = 10_000

WHO_READS = """
SELECT current_user::text, has_column_privilege('pg_subscription', 'subconninfo', 'SELECT')
"""

Resolve = Callable[[], Iterator[tuple[Id, Id, str]]]

OLDEST_SUPPORTED_VERSION = 130000
ARE_YOU_THERE = "SELECT 1"
_HEARD_EVERY_SECONDS = 1.0

# The catalogs are read in one snapshot, but the server's deparsing functions look at the present: an object that
# someone drops meanwhile makes them fail ("cache lookup failed", "could not open relation").
ATTEMPTS = 3
_CHANGED_UNDERWAY = (
    psycopg.errors.InternalError_,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedObject,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedColumn,
    SchemaChangedError,
)


@dataclass(frozen=True, slots=True)
class SchemaFilter:
    """Which schemas are managed. Default: all but PostgreSQL's own, the bookkeeping ones and a platform's own.

    `only` names the managed ones outright; `exclude` names more that are left alone. `ownership` compares owners too.
    `part` says whose objects are read (see `postgres.platforms`): the team's, the platform's instead, or both.
    """

    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    bookkeeping: tuple[str, ...] = BOOKKEEPING_SCHEMAS
    ownership: bool = False
    without: frozenset[str] = frozenset()  # tables, such as public.schema_migrations, that are nobody's schema change
    part: Literal["team", "platform", "all"] = "team"
    rows: tuple[str, ...] = ()  # tables whose rows are configuration, and read (see `catalog.configuration`)

    def manages(self, schema: str) -> bool:
        """Tell whether `schema` is read."""
        if self.only and self.part == "team":
            return schema in self.only
        return not (schema in self.exclude or schema in self.bookkeeping or RESTORED_SCHEMA.match(schema))


EVERYTHING = SchemaFilter()


def read_schema(connection: psycopg.Connection[Any], schemas: SchemaFilter = EVERYTHING) -> Schema:
    """Read the schema that `connection` sees. Reads only.

    On an idle connection the reading is one repeatable-read, read-only transaction of its own; inside an open
    transaction it sees that transaction's uncommitted changes, and leaves its settings as they were.

    Raises UnreachableError when others keep changing the schema meanwhile, or lock it for long, UnsupportedError for a server older than
    13, and psycopg's errors where the server fails.
    """
    if connection.info.server_version < OLDEST_SUPPORTED_VERSION:
        raise UnsupportedError(
            f"PostgreSQL {connection.info.server_version // 10000} is too old to be read",
            where=f"server version {connection.info.server_version}",
            next="use PostgreSQL 13 or later",
        )
    own = connection.info.transaction_status == pq.TransactionStatus.IDLE
    for attempt in range(ATTEMPTS):
        try:
            return _read(connection, schemas, (LONGEST_WAIT,) if own else ())
        except psycopg.errors.LockNotAvailable as error:
            if not own:
                raise
            raise UnreachableError(
                "another session's lock blocks the reading of the schema",
                where=f"waited {LONGEST_WAIT_MS / 1000:g} s",
                next="look for a long ALTER TABLE, VACUUM FULL or LOCK in pg_stat_activity, then try again",
            ) from error
        except _CHANGED_UNDERWAY as error:
            if not own and isinstance(error, psycopg.Error):
                raise  # the transaction's owner decides
            if not own or attempt == ATTEMPTS - 1:
                raise UnreachableError(
                    "the schema kept changing while it was read" if own else "the schema changed while it was read",
                    where=str(error).strip().split("\n")[0],
                    next="wait until the other schema changes are done, then try again",
                ) from error
    raise AssertionError  # the loop returns or raises


def _read(connection: psycopg.Connection[Any], schemas: SchemaFilter, settings: tuple[str, ...]) -> Schema:
    since = [time.monotonic()]
    with without_collection(), _one_moment(connection), _pipelined(connection):
        snapshot = Snapshot.on(connection)
        snapshot.send((PLAIN_SETTINGS, *settings), longest_wait=str(LONGEST_WAIT_MS))
        snapshot.send((WHO_READS, WHICH_PLATFORM, EXTENSION_NAMESPACES, NAMESPACES))
        ((current_user, may_read_subscriptions),) = snapshot.rows(WHO_READS)
        platform = recognise(snapshot.rows(WHICH_PLATFORM)[0])
        _read_namespaces(snapshot, schemas)
        version = snapshot.version
        snapshot.send(type_queries(version))
        snapshot.send(relation_queries(version))
        snapshot.send(ROUTINE_QUERIES)
        snapshot.send(other_queries(version, subscriptions=may_read_subscriptions))
        snapshot.send(DEPENDENCY_QUERIES)
        own = [kind for kind in KINDS.values() if kind.query and kind.since <= version]
        snapshot.send((MEMBER_PRIVILEGES, *(kind.query for kind in own)), whole=not schemas.only)
        for read in (
            read_extensions,
            read_types,
            read_relations,
            read_routines,
            read_others,
            read_comments,
            read_default_privileges,
            read_member_privileges,
        ):
            read(snapshot)
            _stay_known(connection, since)
        for kind in own:
            snapshot.facts.update(kind.read(snapshot.rows(kind.query)))
        resolve = read_dependencies(snapshot)
        if schemas.part == "platform" or (schemas.part == "team" and platform and not schemas.only):
            resolve = _keep(snapshot, platform, schemas.part, resolve)
        if schemas.without:
            resolve = _leave_out(snapshot, schemas.without, resolve)
        if schemas.rows:
            resolve = _with_rows(snapshot, schemas.rows, resolve)
    return Schema(
        server_version_num=snapshot.version,
        current_user=current_user,
        facts=snapshot.facts,
        comments=snapshot.comments,
        grants=snapshot.grants,
        labels=snapshot.labels,
        owners=snapshot.owners,
        column_order=snapshot.column_order,
        unmodelled=tuple(sorted(snapshot.unmodelled)),
        unseen=snapshot.unseen,
        with_ownership=schemas.ownership,
        resolve=resolve,
    )


def _stay_known(connection: psycopg.Connection[Any], since: list[float]) -> None:
    """Let the server hear of us where reading a large schema takes long: it ends a transaction that no one goes on with."""
    if time.monotonic() - since[0] > _HEARD_EVERY_SECONDS:
        connection.execute(ARE_YOU_THERE).fetchone()
        since[0] = time.monotonic()


@contextmanager
def _pipelined(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Send queries without waiting for each one's answer; where one fails, drop the answers of those after it."""
    with connection.pipeline() as pipeline:
        try:
            yield
        except psycopg.Error:
            with suppress(psycopg.Error):
                pipeline.sync()
            raise


@contextmanager
def _one_moment(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Hold one snapshot, and undo every setting made inside, without ending the caller's transaction."""
    status = connection.info.transaction_status
    if status == pq.TransactionStatus.INTRANS:
        connection.execute("SAVEPOINT safemig_read_schema")
        try:
            yield
        finally:
            connection.execute("ROLLBACK TO SAVEPOINT safemig_read_schema")
            connection.execute("RELEASE SAVEPOINT safemig_read_schema")
        return
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    if not connection.autocommit:
        begin = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"  # psycopg sends BEGIN itself
    connection.execute(begin)
    try:
        yield
    finally:
        if connection.autocommit:
            connection.execute("ROLLBACK")
        else:
            connection.rollback()


def _leave_out(snapshot: Snapshot, tables: frozenset[str], resolve: Resolve) -> Resolve:
    """Take tables out of what was read, with all that is theirs; return the dependencies without them."""
    names = {(item.schema, item.name) for item in snapshot.facts if quote_name(item.schema, item.name) in tables}
    owned = {
        (row[0].schema, row[0].name)  # an index, or a sequence of a column
        for row in resolve()
        if (row[1].schema, row[1].name) in names and row[0].kind in ("index", "sequence")
    }
    left_out = {item for item in snapshot.facts if (item.schema, item.name) in names | owned}
    left_out |= {item for item in snapshot.comments if (item.schema, item.name) in names | owned}
    _forget(snapshot, left_out)
    return lambda: (row for row in resolve() if row[0] not in left_out and row[1] not in left_out)


def _with_rows(snapshot: Snapshot, tables: tuple[str, ...], resolve: Resolve) -> Resolve:
    """Add the rows that are configuration; return the dependencies with theirs."""
    rows, needs, left_out = read_configuration_rows(snapshot.connection, tables)
    snapshot.facts.update(rows)
    snapshot.unmodelled.extend(left_out)
    return lambda: itertools.chain(resolve(), needs)


def _forget(snapshot: Snapshot, left_out: set[Id]) -> None:
    for mapping in (snapshot.facts, snapshot.comments, snapshot.grants, snapshot.owners, snapshot.column_order):
        for item in left_out & mapping.keys():
            del mapping[item]
    for label in [label for label in snapshot.labels if label[0] in left_out]:
        del snapshot.labels[label]


def _keep(snapshot: Snapshot, platform: Platform, part: str, resolve: Resolve) -> Resolve:
    """Keep of what was read one part, the team's or the platform's; return the dependencies within it."""
    left_out = {
        item
        for item, fact in snapshot.facts.items()
        if platform.brings(item, fact, snapshot.owners.get(item, "")) != (part == "platform")
        or (item.kind in ("policy", "trigger") and _is_of_extension(snapshot, item))
    }
    # A comment may belong to what is no fact of its own, such as the index of a constraint.
    others = {item for item in snapshot.comments if item not in snapshot.facts}
    left_out |= {item for item in others if (item.schema in platform.schemas) != (part == "platform")}
    _forget(snapshot, left_out)
    return lambda: (row for row in resolve() if row[0] not in left_out and row[1] not in left_out)


def _is_of_extension(snapshot: Snapshot, item: Id) -> bool:
    # An extension's table is no fact, and what stands on it belongs to the extension's script as far as one can tell.
    return not any(Id(kind, item.schema, item.name) in snapshot.facts for kind in RELATION_KINDS)


def _read_namespaces(snapshot: Snapshot, schemas: SchemaFilter) -> None:
    made_by_extensions = {row[0] for row in snapshot.rows(EXTENSION_NAMESPACES)}
    managed = []
    for oid, name, owner, acl in snapshot.rows(NAMESPACES):
        if not schemas.manages(name):
            continue
        managed.append(oid)
        if oid in made_by_extensions:
            continue
        item = Id("schema", "", name)
        snapshot.add(PG_NAMESPACE, oid, item, facts.SchemaFact())
        snapshot.privileges(item, acl, owner, "n")
    snapshot.namespaces = "{" + ",".join(map(str, managed)) + "}"
