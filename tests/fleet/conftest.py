"""A small fleet: databases of one server, made from one template, with a project that has them as its members."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from safemig.postgres.history import make_history, record_applied
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.project import Project

_numbers = itertools.count(1)
FIRST_FILE = "20260101000000_first.sql"
FIRST = """
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text, name text NOT NULL DEFAULT '');
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id bigint, total numeric, note text);
"""
ROWS = """
INSERT INTO customers (email, name) SELECT 'c' || n || '@example.com', 'n' || n FROM generate_series(1, 20) n;
INSERT INTO orders (customer_id, total, note) SELECT 1 + n % 20, n, n::text FROM generate_series(1, 40) n;
"""


class Fleet:
    """A project folder, and its members' URLs by name."""

    def __init__(self, folder: Path, members: dict[str, str]) -> None:
        self.folder = folder
        self.members = members

    @property
    def project(self) -> Project:
        """The project, opened again."""
        return Project.open(self.folder)

    def write(self, name: str, sql: str) -> Path:
        """Write a migration file."""
        path = self.folder / "supabase" / "migrations" / name
        path.write_text(sql)
        return path

    def settings(self, text: str) -> None:
        """Write the settings."""
        (self.folder / "safemig.toml").write_text(text)

    def list_members(self, lines: str = "", **more: str) -> None:
        """Write the members' file, with further lines of settings for the fleet."""
        rows = [f"{name},{url},{more.get(name, 'false')}" for name, url in self.members.items()]
        (self.folder / "tenants.csv").write_text("\n".join(["name,url,canary", *rows]) + "\n")
        self.settings(f'[fleets.tenants]\nmembers = "file: tenants.csv"\n{lines}\n')

    def on(self, name: str, sql: str) -> list[tuple[object, ...]]:
        """Run SQL on one member and return the rows, if any."""
        with psycopg.connect(self.members[name], autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def versions(self) -> dict[str, list[str]]:
        """Return what each member's own history says, asked without safemig."""
        question = "SELECT version FROM supabase_migrations.schema_migrations ORDER BY 1"
        return {name: [str(row[0]) for row in self.on(name, question)] for name in self.members}


@pytest.fixture(scope="session")
def fleet_template(server: ThrowawayServer) -> str:
    """A database to make members from: one migration applied, with rows."""
    with psycopg.connect(server.create_database("template_member"), autocommit=True) as connection:
        connection.execute(FIRST.encode())
        connection.execute(ROWS.encode())
        make_history(connection)
        record_applied(
            connection, FIRST_FILE[:14], "first", [FIRST], hashlib.sha256(FIRST.encode()).hexdigest(), "test"
        )
    return "template_member"


@pytest.fixture
def make_fleet(
    tmp_path: Path, server: ThrowawayServer, fleet_template: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Fleet]]:
    """A maker of fleets of so many members, named a, b, c ..."""
    made: list[str] = []

    def make(count: int = 3) -> Fleet:
        number = next(_numbers)
        urls = {}
        for name in "abcdefghijklmnopqrstuvwxyz"[:count]:
            made.append(f"fleet_{number}_{name}")
            urls[name] = server.create_database(made[-1], template=fleet_template)
        folder = tmp_path / f"fleet{number}"
        (folder / "supabase" / "migrations").mkdir(parents=True)
        fleet = Fleet(folder, urls)
        fleet.write(FIRST_FILE, FIRST)
        fleet.list_members()
        return fleet

    monkeypatch.delenv("PRODUCTION_DATABASE_URL", raising=False)
    monkeypatch.delenv("STAGING_DATABASE_URL", raising=False)
    yield make
    for name in made:
        server.drop_database(name)
