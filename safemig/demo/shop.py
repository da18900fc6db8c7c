"""The demo's shop: a server of its own, staging and production in it, and a project whose migrations both have."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import TracebackType

from pglast import split

from safemig.demo.places import server_folder, write_note
from safemig.errors import RefusedError
from safemig.postgres.connection import Connection
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

    def __init__(self, folder: Path, server: ThrowawayServer) -> None:
        self.folder = folder
        self.server = server
        self.staging = server.url(STAGING)
        self.production = server.url(PRODUCTION)

    def __repr__(self) -> str:
        return f"<Shop in {self.folder}, {self.server!r}>"

    @classmethod
    def start(cls, folder: str | Path, *, keep: bool = False, production: Sizes = PRODUCTION_SIZES) -> Shop:
        """Make the project in `folder` (new or empty), start a server, and fill both databases: about four seconds.

        Raises:
            RefusedError: `folder` holds something already.
            ToolError: there is no PostgreSQL server on this machine to start.
        """
        folder = Path(folder).resolve()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RefusedError(
                "the demo wants a new or an empty folder",
                where=str(folder),
                next=f"safemig demo --serve {folder} starts a demo that is there already; or name another folder",
            )
        folder.mkdir(parents=True, exist_ok=True)
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

    def __enter__(self) -> Shop:
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
                    _apply(connection, *migration)
                with connection.transaction():
                    connection.execute(MAKE_SIZES, (sizes.users, sizes.products, sizes.orders))
                    connection.execute(_text(rows))
        with connect(self.server.url(database), database) as connection:
            connection.execute("VACUUM (ANALYZE)")


@contextmanager
def exported(variables: Mapping[str, str]) -> Iterator[None]:
    """Put `variables` into this process's environment, which kernels inherit, for as long as the block lasts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def applied_migrations() -> tuple[tuple[str, str], ...]:
    """Return (file name, text) of the migrations that both databases have, oldest first."""
    folder = files("safemig.demo") / "migrations"
    return tuple(sorted((each.name, each.read_text(encoding="utf-8")) for each in folder.iterdir()))


def _apply(connection: Connection, file_name: str, text: str) -> None:
    version, _, name = file_name.removesuffix(".sql").partition("_")
    connection.execute(text)
    connection.execute(MAKE_HISTORY)
    connection.execute(ADD_APPLIED, (version, list(split(text)), name))


def _text(name: str) -> str:
    return (files("safemig.demo") / name).read_text(encoding="utf-8")
