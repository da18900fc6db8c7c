"""What a statement that refuses a transaction leaves when it fails or is cut off: invalid indexes, found and removed."""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast
from pglast.enums import ReindexObjectType
from psycopg import errors as pg

from safemig.errors import DeploymentFailedError, DeploymentStoppedError
from safemig.execution.acting import acting_as
from safemig.execution.expected_locks import blocks_while_it_waits
from safemig.execution.resume import mark_of
from safemig.postgres import activity, resumable
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import set_session
from safemig.results import Step
from safemig.sql import parse
from safemig.sql.identifiers import quote_name

# REINDEX CONCURRENTLY leaves the new one as _ccnew, or, when it came further, the old one as _ccold, and counts where
# that name is taken; either is to be dropped, TOAST's too (manual, REINDEX). Of no relation: of a schema, or of all.
LEFT_BY_REINDEX = r"""
WITH named AS (SELECT coalesce((SELECT indrelid FROM pg_index WHERE indexrelid = to_regclass(%(relation)s::text)),
                               to_regclass(%(relation)s::text)) AS oid),
meant AS (SELECT t.oid, t.reltoastrelid FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace, named
          WHERE t.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^pg_' AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s::text)
            AND (%(relation)s::text IS NULL OR t.oid = named.oid OR t.oid IN (SELECT relid FROM pg_partition_tree(named.oid))))
SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN meant ON i.indrelid IN (meant.oid, meant.reltoastrelid)
WHERE NOT (i.indisvalid AND i.indisready) AND c.relname ~ '_cc(new|old)\d*$' ORDER BY 1
"""
_REMOVAL_LOCK_TIMEOUT = "5s"
_BUILDS = ("CREATE INDEX", "CREATE UNIQUE INDEX", "REINDEX")


def was_cut_off(connection: Connection, step: Step) -> bool:
    """Tell whether a run of ours was cut off in this statement, which builds an index. Reads only."""
    return step.kind.startswith(_BUILDS) and resumable.was_cut_off_in(connection, mark_of(step))


def clear_the_name(connection: Connection, step: Step, done: Sequence[Step], *, is_ours: bool) -> None:
    """Remove the invalid index that a run of ours, cut off in this very statement, left; refuse one that is not ours.

    CREATE INDEX CONCURRENTLY IF NOT EXISTS would say yes to it, and an invalid index enforces nothing. REINDEX takes
    another name.

    Raises:
        DeploymentFailedError, DeploymentStoppedError: one of that name is there that no run of ours left.
    """
    if not step.kind.startswith(_BUILDS) or not (invalid := _invalid_indexes_of(connection, step)):
        return
    if is_ours:
        invalid = remove_invalid_indexes(connection, step)[1]
    if invalid and step.kind != "REINDEX":
        raise (DeploymentStoppedError if done else DeploymentFailedError)(
            f"an invalid index of that name already exists: {', '.join(invalid)}",
            where=f"step {step.number}, {step.file}, line {step.line}: {step.kind}"
            + (f"; applied: step {', '.join(str(each.number) for each in done)}" if done else ""),
            next=f"DROP INDEX CONCURRENTLY {invalid[0]}; then deploy again",
        )


def remove_left_invalid(connection: Connection, steps: Sequence[Step], role: str = "") -> bool:
    """Remove the indexes that a run of ours, cut off in one of these statements, left invalid; tell whether there were any."""
    ours = [step for step in steps if was_cut_off(connection, step)]
    with acting_as(connection, role if ours else ""):
        removed = [name for step in ours for name in remove_invalid_indexes(connection, step)[0]]
    return bool(removed)


def remove_invalid_indexes(connection: Connection, step: Step) -> tuple[list[str], list[str]]:
    """Remove what a build that failed left invalid; return the names of those removed, and of those that others hold."""
    removed: list[str] = []
    left: list[str] = []
    # Who stopped the build may hold the table for longer than anyone wants to wait.
    set_session(connection, lock_timeout=_REMOVAL_LOCK_TIMEOUT)
    for name in _invalid_indexes_of(connection, step):  # as the server quoted it
        try:
            connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}".encode())
            removed.append(name)
        except (pg.LockNotAvailable, pg.QueryCanceled):
            left.append(name)
    return removed, left


def _invalid_indexes_of(connection: Connection, step: Step) -> list[str]:
    node = parse(step.sql)[0].node
    if isinstance(node, ast.ReindexStmt):
        if blocks_while_it_waits(step):  # without CONCURRENTLY it leaves nothing
            return []
        of_schema = node.kind == ReindexObjectType.REINDEX_OBJECT_SCHEMA
        relation = quote_name(node.relation.schemaname, node.relation.relname) if node.relation else None
        meant = {"relation": relation, "schema": node.name if of_schema else None}
        return [name for (name,) in connection.execute(LEFT_BY_REINDEX, meant)]
    names = [name for (name,) in activity.ask(connection, activity.INVALID_INDEXES)]
    return [name for name in names if name.rpartition(".")[2].strip('"') in step.sql]
