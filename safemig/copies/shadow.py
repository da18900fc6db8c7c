"""The shadow: what the local migrations make, on a throwaway server; the base that staging is held against."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg
from psycopg import sql

from safemig import live
from safemig.copies.base import Base, base_for
from safemig.copies.database_copy import CopyServer, open_server_like, start_server_like
from safemig.copies.replay import replay
from safemig.copies.roles import (
    DatabaseFacts,
    database_facts,
    deploying_role,
    is_superuser,
    let_act_as,
    let_log_in,
    make_alike,
    refuse_nothing,
    url_acting_as,
    url_as,
)
from safemig.execution.acting import act_as
from safemig.execution.environment import schema_with_rows
from safemig.fault_points import FaultPoint, pass_point
from safemig.migrations import Migration
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect
from safemig.postgres.pretences import adapter
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.schema import Schema, SchemaDiff, compare
from safemig.schema.model import Id
from safemig.schema.without_extensions import without_extensions
from safemig.settings import Settings
from safemig.sql import parse
from safemig.sql.identifiers import quote_identifier

T = TypeVar("T")


@dataclass
class Shadow:
    """A server for databases made from migration files: a throwaway one, or the scratch server."""

    settings: Settings
    server: CopyServer
    deployer: str  # who runs the migrations, so that what they make has the owner that it has in the database
    base: Base  # what every one of these databases begins with
    facts: DatabaseFacts | None = None  # of the source, for databases of a scratch server
    lacks: tuple[str, ...] = ()  # the base's extensions that neither this server nor the source has
    _bases: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def make(self, migrations: Sequence[Migration] = (), *, template: str | None = None) -> str:
        """Make a database from migrations, over an empty one or a copy of `template`, and return its name.

        Raises:
            MigrationError: a migration does not run; the message says where and why.
        """
        name = f"shadow_{next(self._numbers)}"
        self._create(name, template or self._base())
        if schema := self.settings.member_schema:  # which is there before its first migration
            self.run(name, f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(schema)}")
        self.run_on(name, migrations)
        return name

    def _create(self, name: str, template: str | None = None) -> str:
        url = self.server.create_database(name, template=template)
        if self.facts is not None:
            # Neither owner nor grants come with the template.
            with psycopg.connect(url, autocommit=True) as connection:
                if is_superuser(connection):
                    make_alike(self.facts, connection)
                elif connection.info.user != self.deployer:
                    own = sql.SQL("ALTER DATABASE {} OWNER TO {}")
                    names = map(sql.Identifier, (connection.info.dbname, self.deployer))
                    connection.execute(own.format(*names))
        return url

    def run_on(self, name: str, migrations: Sequence[Migration]) -> None:
        """Run migrations on one of these databases.

        Raises:
            MigrationError: a migration does not run; the message says where and why.
        """
        if migrations:
            with live.stage(f"replay {_named(migrations)} on it"):
                self.within(name, lambda connection: replay(connection, migrations))

    def _base(self) -> str | None:
        """Return the database that holds the base, made when it is first asked for; None where there is nothing in it."""
        if not self.base.statements:
            return None
        if not self._bases:
            name = f"base_{next(self._numbers)}"
            with psycopg.connect(self._create(name), autocommit=True) as connection:
                lacking = self.base.make(connection)
            self.lacks = (*self.lacks, *(each for each in lacking if each not in self.lacks))
            self._bases.append(name)
        return self._bases[0]

    def schema(self, name: str) -> Schema:
        """Read the schema of one of these databases."""
        return self.within(name, lambda connection: schema_with_rows(self.settings, connection))

    def against(self, made: Schema, found: Schema) -> tuple[SchemaDiff, tuple[Id, ...]]:
        """Compare what files made with what a database has; return, too, what was left out for want of an extension."""
        made, found, left_out = without_extensions(made, found, self.lacks)
        return compare(made, found), tuple(item for item in left_out if item.kind != "extension")

    def run(self, name: str, text: str) -> None:
        """Run SQL as it stands, in one transaction.

        Raises:
            psycopg.Error: it fails.
        """

        def run(connection: Connection) -> None:
            if not text.strip():
                return
            if (adapt := adapter(connection)) is None:
                connection.execute(text.encode())
                return
            statements = parse(text)
            # One by itself may refuse a transaction.
            with connection.transaction() if len(statements) > 1 else nullcontext():
                for each in (part for statement in statements for part in adapt(statement.sql)):
                    connection.execute(each.encode())

        self.within(name, run)

    def within(self, name: str, act: Callable[[Connection], T]) -> T:
        """Call `act` with a connection to one of these databases, and return what it returns."""
        url = self.server.url(name)
        url = url_as(url, self.server, self.deployer) if self.facts is None else url_acting_as(url, self.deployer)
        connection = connect(url, "the shadow database", own_search_path=True)
        try:
            act_as(connection, self.settings.deploy_as)
            if self.server.exceptions:  # of the shadow nothing but its structure counts
                connection.execute("SET safemig.stand_ins = 'silent'")
            return act(connection)
        finally:
            connection.close()


# Who connects may be a role that only reads.
WHO_OWNS_THE_HISTORY = """
SELECT r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
WHERE c.oid = to_regclass('supabase_migrations.schema_migrations')
"""


@contextmanager
def open_shadow(
    settings: Settings, source: Connection, base: Base | None = None, *, deploys: bool = False
) -> Iterator[Shadow]:
    """Start a server for shadows of `source`: of its version, with its roles, search_path and base.

    deploys: act there as the role that has deployed to the source, which owns its history, anyone who connects now.

    Nothing is refused there to the deploying role: what is applied already was once allowed to anyone who did it.
    An extension that this machine does not have is no reason to stop: it has a stand-in there. Where the settings name a
    scratch server it is that one, with the roles as they are and the extensions that it has.

    Raises:
        SettingsError: the project's base does not run.
        ToolError: the scratch server cannot be started, or not be used.
        RehearsalError: it lacks an extension that the source uses.
    """
    pass_point(FaultPoint.SHADOW_BEGINS)
    with ExitStack() as servers:
        server: CopyServer
        if settings.scratch is None:
            with live.stage("start a throwaway PostgreSQL"):
                server = start_server_like(source)
        else:
            server = open_server_like(source, settings.scratch)
        servers.callback(server.stop)
        refuse_nothing(server)
        deployer = deploying_role(source)
        if deploys and not settings.deploy_as:
            row = source.execute(WHO_OWNS_THE_HISTORY).fetchone()
            deployer = row[0] if row else deployer
            if isinstance(server, ThrowawayServer):
                let_log_in(server, deployer)
        facts = None
        if not isinstance(server, ThrowawayServer):
            let_act_as(server.url(), deployer)
            facts = database_facts(source)
        yield Shadow(settings, server, deployer, base or base_for(settings, source), facts)


def _named(migrations: Sequence[Migration]) -> str:
    return migrations[0].file if len(migrations) == 1 else f"{len(migrations)} migrations"
