"""A user's project on two databases, and the command as a subprocess."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

BASE = """\
CREATE TABLE IF NOT EXISTS users (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE IF NOT EXISTS orders (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
CREATE INDEX IF NOT EXISTS orders_user_id_idx ON orders (user_id);
"""


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    exit_code: int
    out: str
    err: str


Command = Callable[..., Answer]


def run_command(folder: Path, *arguments: str, **variables: str) -> Answer:
    """Run `safemig` in `folder`, with `variables` in its environment and no terminal."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not (
            name.endswith("_DATABASE_URL") or name.startswith("SAFEMIG_")
        )  # such as SAFEMIG_REAL_SCHEMAS, of the tests
    }
    done = subprocess.run(
        [sys.executable, "-m", "safemig", *arguments], cwd=folder, env=environment | variables, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def safemig(tmp_path: Path) -> Command:
    """The command in an empty folder, where no database is set."""
    return lambda *arguments, **variables: run_command(tmp_path, *arguments, **variables)


@pytest.fixture
def shop(tmp_path: Path, new_database: Callable[[], str]) -> dict[str, str]:
    """Two databases that both hold the base migration's result; production holds rows. The variables that name them."""
    migrations = tmp_path / "supabase" / "migrations"
    migrations.mkdir(parents=True)
    (migrations / "20230101000000_base.sql").write_text(BASE)
    urls = {"STAGING_DATABASE_URL": new_database(), "PRODUCTION_DATABASE_URL": new_database()}
    for url in urls.values():
        with psycopg.connect(url) as connection:
            connection.execute(BASE)  # type: ignore[arg-type]
            connection.execute("INSERT INTO users SELECT i, 'name ' || i FROM generate_series(1, 1000) i")
            connection.execute(
                "CREATE SCHEMA supabase_migrations; CREATE TABLE supabase_migrations.schema_migrations"
                " (version text PRIMARY KEY, statements text[], name text);"
                " INSERT INTO supabase_migrations.schema_migrations VALUES ('20230101000000', NULL, 'base')"
            )
    return urls
