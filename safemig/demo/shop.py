"""The demo's shop: a server of its own, staging and production in it, and a project whose migrations both have."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from pglast import split

from safemig.demo.places import server_folder, write_note
from safemig.demo.scene import new_folder
from safemig.postgres.connection.connect import connect
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.project import Project

STAGING, PRODUCTION = "shop_staging", "shop_production"

# The history as Supabase's CLI makes and fills it: the demo's past was not safemig's.
MAKE_HISTORY = """
CREATE SCHEMA IF NOT EXISTS supabase_migrations;
CREATE TABLE IF NOT EXISTS supabase_migrations.schema_migrations (
    version text NOT NULL PRIMARY KEY, statements text[], name text);
"""
ADD_APPLIED = "INSERT INTO supabase_migrations.schema_migrations (version, statements, name) VALUES (%s, %s, %s)"
MAKE_SIZES = """
CREATE TEMPORARY TABLE demo_sizes ON COMMIT DROP AS
SELECT %s::integer AS users, %s::integer AS products, %s::integer AS orders
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many rows to make; every other table's follow from these."""

    users: int
    products: int
    orders: int


STAGING_SIZES = Sizes(users=40, products=30, orders=60)
PRODUCTION_SIZES = Sizes(users=20_000, products=2_000, orders=45_000)  # 321,805 rows in all


class Shop:
    """A running demo: `folder` is the project, `staging` and `production` are URLs that hold no password.

    Guarantee: the server ends with this process; its data goes too unless the shop is kept. Use it as a context
    manager, or call `stop`.
    """

    title = "a shop: a PostgreSQL server of its own, a staging and a production database, a project"
    by_hand: tuple[str, ...] = (
        "staging was changed by hand: a table, a column, an index, an enum value, a function and a view;",
        "and the column users.fax_number was dropped there",
    )
    # The column that staging dropped: no row may be lost, so production keeps it until a person decides.
    kept = "users.fax_number"
    kept_lines: tuple[str, ...] = (
        "-    fax_number text,",
        "-COMMENT ON COLUMN public.users.fax_number IS 'From the old shop; nothing writes to it any more.';",
    )
    try_this = (
        "ALTER TABLE sales.orders ALTER COLUMN is_gift SET DEFAULT true;\n"
        "CREATE INDEX payments_paid_at_idx ON sales.payments (paid_at);"
    )

    def __init__(self, folder: Path, server: ThrowawayServer) -> None:
        self.folder = folder
        self.server = server
        self.staging = server.url(STAGING)
        self.production = server.url(PRODUCTION)
        self.seen = (self.staging, self.production)

    def __repr__(self) -> str:
        return f"<Shop in {self.folder}, {self.server!r}>"

    @classmethod
    def start(cls, folder: str | Path, *, keep: bool = False, production: Sizes = PRODUCTION_SIZES) -> Shop:
        """Make the project in `folder` (new or empty), start a server, and fill both databases: about four seconds.

        Raises:
            RefusedError: `folder` holds something already.
            ToolError: there is no PostgreSQL server on this machine to start.
        """
        folder = new_folder(folder)
        data = server_folder(folder) if keep else None
        server = ThrowawayServer.start(folder=data)
        shop = cls(folder, server)
        try:
            if data is not None:
                write_note(folder, data, server.major)
            shop._make_project()
            with connect(server.url(), "the demo's server", own_search_path=True) as connection:
                connection.execute(_text("sql/roles.sql"))
            shop._fill(STAGING, STAGING_SIZES)
            shop._fill(PRODUCTION, production)
        except BaseException:
            shop.stop()
            if data is not None:
                shutil.rmtree(data, ignore_errors=True)
            raise
        return shop

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables under which safemig finds both databases."""
        return {"STAGING_DATABASE_URL": self.staging, "PRODUCTION_DATABASE_URL": self.production}

    def change_staging_by_hand(self) -> None:
        """Do to staging what a developer would: a table, a column, an index, an enum value, ..., a dropped column."""
        with connect(self.staging, "staging", own_search_path=True) as connection:
            connection.execute(_text("sql/staging_by_hand.sql"))

    def stop(self) -> None:
        """End the server. Safe to call again."""
        self.server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _make_project(self) -> None:
        Project.init(self.folder)
        folder = Project.open(self.folder).settings.path("migrations")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in applied_migrations():
            (folder / name).write_text(text, encoding="utf-8")

    def _fill(self, database: str, sizes: Sizes) -> None:
        self.server.create_database(database)
        (first, second) = applied_migrations()
        with connect(self.server.url(database), database, autocommit=False, own_search_path=True) as connection:
            # In the order of the shop's life: the second migration met a database with rows in it.
            for migration, rows in ((first, "sql/rows.sql"), (second, "sql/later_rows.sql")):
                with connection.transaction():
                    apply_migration(connection, *migration)
                with connection.transaction():
                    connection.execute(MAKE_SIZES, (sizes.users, sizes.products, sizes.orders))
                    connection.execute(_text(rows))
        with connect(self.server.url(database), database) as connection:
            connection.execute("VACUUM (ANALYZE)")


def applied_migrations() -> tuple[tuple[str, str], ...]:
    """Return (file name, text) of the migrations that both databases have, oldest first."""
    folder = files("safemig.demo") / "migrations"
    return tuple(sorted((each.name, each.read_text(encoding="utf-8")) for each in folder.iterdir()))


def apply_migration(connection: psycopg.Connection[Any], file_name: str, text: str) -> None:
    """Apply a migration and record it, as Supabase's CLI does."""
    version, _, name = file_name.removesuffix(".sql").partition("_")
    connection.execute(text)
    connection.execute(MAKE_HISTORY)
    connection.execute(ADD_APPLIED, (version, list(split(text)), name))


def _text(name: str) -> str:
    return (files("safemig.demo") / name).read_text(encoding="utf-8")
