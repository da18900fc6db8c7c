"""Ask every member of a fleet where it stands: its own history and its own schema, now. Reads only."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

import psycopg
from psycopg import sql

from safemig import live
from safemig.errors import MigrationError, SafemigError
from safemig.execution.environment import filter_of, is_unrecorded, open_environment, schema_of
from safemig.execution.layout import files_of, read_history, require_sql
from safemig.fleet.members import Member, environment_of, settings_of
from safemig.fleet.schema_names import cohort_fingerprint, only
from safemig.fleet_facts import MemberState
from safemig.migrations import Migration, Standing, stand
from safemig.migrations.layouts.member_schema import TABLE
from safemig.postgres import resumable
from safemig.postgres.catalog import SchemaFilter, read_schema
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import read_target, words_of
from safemig.results import AppliedMigration, Target
from safemig.schema import Schema
from safemig.settings import FleetSettings, Settings
from safemig.sql.identifiers import quote_name

EXTENSIONS_SIZE_STANDBY = """
SELECT coalesce((SELECT array_agg(extname || ' ' || extversion ORDER BY extname) FROM pg_extension WHERE extname <> 'plpgsql'), '{}'),
       pg_database_size(current_database()), pg_is_in_recovery()
"""
# The size as the planner knows it: pg_table_size() would wait for who locks a table.
WHICH_SCHEMAS_HAVE_A_HISTORY = """
SELECT n.nspname, c.oid IS NOT NULL, coalesce(
         (SELECT sum(t.relpages) FROM pg_class t WHERE t.relnamespace = n.oid), 0)::int8 * current_setting('block_size')::int8,
       EXISTS (SELECT FROM pg_class t WHERE t.relnamespace = n.oid AND t.relkind = 'r' AND t.relname <> %(table)s)
FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = %(table)s WHERE n.nspname = ANY (%(names)s)
"""
SCHEMAS_AT_A_TIME = 100
_THREADS = 32
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one member said of itself; without a target it could not be asked, and `error` says why."""

    member: Member
    state: MemberState
    error: str = ""
    target: Target | None = None
    standing: Standing | None = None
    fingerprint: str = ""  # its own; of a member that is a schema, without its name
    extensions: tuple[str, ...] = ()
    size_bytes: int = 0
    stopped: tuple[str, ...] = ()  # deployments that stopped part-way
    ran: tuple[str, ...] = ()  # and what the latest of them has run

    @property
    def version(self) -> str:
        """The newest migration that is applied, "" where none is."""
        if self.standing is None:
            return ""
        known = [each.version for each in self.standing.applied] + [each.version for each in self.standing.unknown]
        return known[-1] if known else ""

    @property
    def pending(self) -> tuple[Migration, ...]:
        """The migration files that are not applied."""
        return self.standing.pending if self.standing else ()

    @property
    def alike(self) -> tuple[object, ...]:
        """What is equal in members that a migration treats alike."""
        major = self.target.server_version_num // 10000 if self.target else 0
        pending = tuple((each.version, each.sha256) for each in self.pending)
        applied = tuple((each.version, each.sha256) for each in self.standing.applied) if self.standing else ()
        return (self.fingerprint, major, self.extensions, applied, pending, self.ran)


def survey(settings: Settings, fleet: FleetSettings, name: str, members: Sequence[Member]) -> tuple[Reading, ...]:
    """Return what each member says of itself, in the order given. Reads only; one that cannot be asked is described as such.

    Raises:
        MigrationError: the migrations folder is not as it must be, or its files are programs.
    """
    require_sql(settings)
    files = files_of(settings)
    found: dict[str, Reading] = {}
    if fleet.schemas:
        groups = [members[at : at + SCHEMAS_AT_A_TIME] for at in range(0, len(members), SCHEMAS_AT_A_TIME)]

        def ask_group(group: Sequence[Member]) -> list[Reading]:
            return list(_ask_schemas(settings, name, group, files))

        answers = in_parallel(groups, ask_group, fleet, server=lambda group: group[0].server, weight=len)
        found = {each.member.name: each for answer in answers for each in answer}
    else:

        def ask_one(member: Member) -> Reading:
            return ask(settings, name, member, files)

        found = {
            each.member.name: each for each in in_parallel(members, ask_one, fleet, server=lambda each: each.server)
        }
    return tuple(found[each.name] for each in members)


def in_parallel(
    items: Sequence[T],
    act: Callable[[T], U],
    fleet: FleetSettings,
    *,
    server: Callable[[T], str],
    weight: Callable[[T], int] = lambda _: 1,
) -> Iterator[U]:
    """Yield what `act` returns of each item, as it comes; of one server at most so many at a time as the fleet's bounds say.

    Reading takes one connection where deploying takes several, so twice as many members are read at a time.
    """
    bounds: defaultdict[str, threading.Semaphore] = defaultdict(
        lambda: threading.Semaphore(2 * fleet.max_parallel_per_server)
    )
    by_server: defaultdict[str, list[T]] = defaultdict(list)
    for each in items:
        by_server[server(each)].append(each)
        bounds[server(each)]  # made here: the threads only look it up

    def bounded(item: T) -> U:
        with bounds[server(item)]:
            return act(item)

    in_turn = [each for row in zip_longest(*by_server.values()) for each in row if each is not None]
    workers = max(1, min(_THREADS, 2 * fleet.max_parallel, 2 * fleet.max_parallel_per_server * len(by_server)))
    with ThreadPoolExecutor(workers, thread_name_prefix="safemig fleet") as pool:
        pending = [(pool.submit(bounded, each), each) for each in in_turn]
        try:
            for future, each in pending:
                yield future.result()
                live.advance(weight(each))
        except BaseException:
            for future, _ in pending:
                future.cancel()
            raise


def ask(settings: Settings, fleet: str, member: Member, files: Sequence[Migration] | None = None) -> Reading:
    """Return what one member says of itself. Reads only; raises nothing for a member that cannot be asked."""
    try:
        with open_member(settings, fleet, member) as (own, connection):
            read = read_history(own, connection, files)
            return _reading(own, member, connection, stand(files if files is not None else files_of(own), read))
    except MigrationError as error:  # its tool left the history half done
        return Reading(member, "contradicts", error.what)
    except SafemigError as error:
        return Reading(member, "unreachable", f"{error.what}{f' ({error.where})' if error.where else ''}")
    except psycopg.Error as error:
        return Reading(member, "unreachable", words_of(error))


@contextmanager
def open_member(
    settings: Settings, fleet: str, member: Member, *, read_only: bool = True
) -> Iterator[tuple[Settings, Connection]]:
    """Open a member; gives the settings in which it is an environment, and the connection.

    Raises:
        UnreachableError: it cannot be reached, or does not let us read what we must.
    """
    own = settings_of(settings, fleet, member)
    with open_environment(own, environment_of(fleet, member.name), read_only=read_only) as connection:
        yield own, connection


def _reading(own: Settings, member: Member, connection: Connection, standing: Standing) -> Reading:
    schema = schema_of(own, connection)
    ((extensions, size, _),) = connection.execute(EXTENSIONS_SIZE_STANDBY).fetchall()
    stopped = () if member.schema else resumable.stopped(connection)
    latest = resumable.find(connection, stopped[0]) if stopped else None
    state, error = _state(standing, stopped, is_unrecorded(own, connection, standing))
    return Reading(
        member=member,
        state=state,
        error=error,
        target=read_target(connection, member.name),
        standing=standing,
        fingerprint=cohort_fingerprint(schema, member.schema),
        extensions=tuple(extensions),
        size_bytes=size,
        stopped=stopped,
        ran=latest.ran if latest else (),
    )


def _state(standing: Standing, stopped: Sequence[str], unrecorded: bool) -> tuple[MemberState, str]:
    if standing.edited or standing.unknown:
        try:
            standing.require_consistent("it")
        except MigrationError as error:
            return "contradicts", error.what
    if stopped:
        return "part-way", f"deployment {stopped[0]} stopped part-way"
    if unrecorded:
        return "unrecorded", "it has tables, and no migration is recorded as applied"
    return ("pending", "") if standing.pending else ("current", "")


def _ask_schemas(
    settings: Settings, fleet: str, group: Sequence[Member], files: Sequence[Migration]
) -> Iterable[Reading]:
    """Ask members that are schemas of one database together: their catalogs are read once."""
    names = [each.schema for each in group]
    try:
        with open_member(settings, fleet, group[0]) as (own, connection):
            rows = connection.execute(WHICH_SCHEMAS_HAVE_A_HISTORY, {"names": names, "table": TABLE}).fetchall()
            there = {name: (has_history, size, has_tables) for name, has_history, size, has_tables in rows}
            schema = read_schema(connection, _filter(own, names))
            histories = _histories(connection, [name for name, facts in there.items() if facts[0]])
            target = read_target(connection, environment_of(fleet, group[0].name))
            ((extensions, _, _),) = connection.execute(EXTENSIONS_SIZE_STANDBY).fetchall()
    except (SafemigError, psycopg.Error) as error:
        if len(group) > 1:  # one of them may be the reason
            yield from (each for member in group for each in _ask_schemas(settings, fleet, [member], files))
            return
        what = words_of(error) if isinstance(error, psycopg.Error) else str(getattr(error, "what", error))
        yield Reading(group[0], "unreachable", what)
        return
    parts = _parts(schema, names)
    for member in group:
        if member.schema not in there:
            yield Reading(member, "unreachable", f"there is no schema {member.schema}")
            continue
        has_history, size, has_tables = there[member.schema]
        standing = stand(files, histories.get(member.schema, ()))
        unrecorded = has_tables and not has_history and bool(standing.pending)
        state, error_text = _state(standing, (), unrecorded)
        yield Reading(
            member=member,
            state=state,
            error=error_text,
            target=target,
            standing=standing,
            fingerprint=cohort_fingerprint(parts[member.schema], member.schema),
            extensions=tuple(extensions),
            size_bytes=size,
        )


def _filter(own: Settings, names: Sequence[str]) -> SchemaFilter:
    without = frozenset(quote_name(name, TABLE) for name in names)
    return SchemaFilter(only=tuple(names), exclude=filter_of(own).exclude, without=without)


def _parts(schema: Schema, names: Sequence[str]) -> dict[str, Schema]:
    return {name: only(schema, name) for name in names}


def _histories(connection: Connection, names: Sequence[str]) -> dict[str, tuple[AppliedMigration, ...]]:
    if not names:
        return {}
    questions = [
        sql.SQL("SELECT {}, version, name, sha256 FROM {}").format(sql.Literal(name), sql.Identifier(name, TABLE))
        for name in names
    ]
    found: defaultdict[str, list[AppliedMigration]] = defaultdict(list)
    for schema, version, name, sha256 in connection.execute(
        sql.SQL(" UNION ALL ").join(questions) + sql.SQL(" ORDER BY 1, 2")
    ):
        found[schema].append(AppliedMigration(version, name, (), sha256))
    return {name: tuple(rows) for name, rows in found.items()}
