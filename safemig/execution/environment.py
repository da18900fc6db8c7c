"""What every verb does first: open an environment's database, read its schema, its history, and the files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from safemig.execution.layout import files_of, layout_for, read_history, require_sql
from safemig.migrations import Standing, stand
from safemig.postgres import activity
from safemig.postgres.catalog import SchemaFilter, read_schema
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connected, explained
from safemig.schema import Schema
from safemig.settings import Settings
from safemig.sql.identifiers import quote_name


@contextmanager
def open_environment(settings: Settings, environment: str, *, read_only: bool = True) -> Iterator[Connection]:
    """Open the database of an environment, by default for reading only.

    Raises:
        SettingsError: there is no such environment, or its variable is not set.
        UnreachableError: it cannot be reached, goes away, or does not let us read what we must.
    """
    conninfo = settings.conninfo(environment)
    with explained(conninfo, environment), connected(conninfo, environment, read_only=read_only) as connection:
        yield connection


def schema_of(settings: Settings, connection: Connection) -> Schema:
    """Read the schemas that the project manages, in whatever state the connection's transaction sees."""
    return read_schema(connection, filter_of(settings))


def schema_with_rows(settings: Settings, connection: Connection) -> Schema:
    """Read them with the rows that the project counts as configuration: what files make, and staging has.

    What a plan binds and a deployment proves is without them: an application may write such rows at any time.
    """
    return read_schema(connection, replace(filter_of(settings), rows=settings.configuration_rows))


def filter_of(settings: Settings) -> SchemaFilter:
    """Return what of a database is the project's: not the history table of its migration tool."""
    of = layout_for(settings)
    return SchemaFilter(
        only=settings.schemas,
        exclude=of.hidden_schemas,
        without=frozenset(of.hidden_tables),
    )


def standing_of(settings: Settings, connection: Connection) -> Standing:
    """Hold the project's migration files against a database's history.

    Raises:
        MigrationError: the folder or a file in it is not as it must be.
    """
    require_sql(settings)
    files = files_of(settings)
    return stand(files, read_history(settings, connection, files))


def is_unrecorded(settings: Settings, connection: Connection, standing: Standing) -> bool:
    """Tell whether a database has tables, and no migration is recorded as applied to it: perhaps they were, by hand."""
    if standing.applied or not standing.pending:
        return False
    of = layout_for(settings)
    return any(not of.hides(quote_name(*names)) for names in activity.ask(connection, activity.WHICH_TABLES_HOLD_DATA))
