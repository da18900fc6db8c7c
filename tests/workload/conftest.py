"""A server that counts statements, and a shop on it with an application of two roles."""

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
from tests.conftest import QUIET
from tests.operations.conftest import FIRST, FIRST_FILE, ROWS, Shop
from tests.operations.conftest import small_disk as small_disk

COUNTS = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "all"}
_numbers = itertools.count(1)
ROLES = """
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app_rw') THEN
    CREATE ROLE app_rw; CREATE ROLE reporting;
  END IF;
END $$
"""
GRANTS = """
GRANT ALL ON ALL TABLES IN SCHEMA public TO app_rw; GRANT SELECT ON users, orders TO reporting;
"""


@pytest.fixture(scope="session")
def counting_server() -> Iterator[ThrowawayServer]:
    """A PostgreSQL with pg_stat_statements loaded."""
    with ThrowawayServer.start(settings=QUIET | COUNTS) as started:
        with psycopg.connect(started.url(), autocommit=True) as connection:
            connection.execute(ROLES)
        yield started


@pytest.fixture
def counted(counting_server: ThrowawayServer) -> Iterator[str]:
    """The URL of an empty database in which statements are counted."""
    name = f"counted_{next(_numbers)}"
    url = counting_server.create_database(name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute("SELECT pg_stat_statements_reset()")
    yield url
    counting_server.drop_database(name)


@pytest.fixture
def seen_shop(tmp_path: Path, counting_server: ThrowawayServer, counted: str, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop with rows and two roles, in production and (without rows) in staging; statements are counted."""
    staging = counting_server.create_database(f"staging_{next(_numbers)}")
    for url, rows in ((staging, ""), (counted, ROWS)):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(FIRST.encode())
            connection.execute(GRANTS)
            connection.execute(rows.encode()) if rows else None
            make_history(connection)
            record_applied(
                connection, FIRST_FILE[:14], "first", [FIRST], hashlib.sha256(FIRST.encode()).hexdigest(), "test"
            )
            if rows:
                connection.execute("SELECT pg_stat_statements_reset()")
    made = Shop(tmp_path / "shop", staging, counted)
    monkeypatch.setenv("STAGING_DATABASE_URL", made.staging)
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", made.production)
    Project.init(made.folder)
    made.write(FIRST_FILE, FIRST)
    return made


@pytest.fixture
def send() -> Callable[..., None]:
    """Send statements to a database as a role, each some times, as an application would."""

    def send_as(url: str, role: str, *statements: str, times: int = 1) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'SET ROLE "{role}"'.encode()) if role else None
            for statement in statements:
                for _ in range(times):
                    connection.execute(statement.encode())

    return send_as
