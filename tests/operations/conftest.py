"""A small project with two real databases: staging and production, one migration applied to both."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from safemig.copies import drift
from safemig.errors import RefusedError
from safemig.execution.environment import schema_with_rows
from safemig.migrations import Standing
from safemig.postgres.catalog import read_schema
from safemig.postgres.connection import Connection
from safemig.postgres.dump.plain import content_of
from safemig.postgres.history import make_history, record_applied
from safemig.postgres.server.programs import server_programs
from safemig.postgres.server.throwaway import ThrowawayServer, _server_user
from safemig.project import Project
from safemig.results import Deployment
from tests.operations.outages import standby_of
from tests.places import short_folder

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
_numbers = itertools.count(1)

FIRST = """
CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, legacy text);
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, total numeric(10,2));
CREATE VIEW big_orders AS SELECT * FROM orders WHERE total > 100;
"""
FIRST_FILE = "20260101000000_first.sql"
ROWS = """
INSERT INTO users SELECT n, 'user' || n || '@example.com', 'old' FROM generate_series(1, 200) n;
INSERT INTO orders (user_id, total) SELECT 1 + n % 200, n FROM generate_series(1, 1000) n;
"""
# Slow wherever it is copied to, for as long as someone holds that lock.
SLOW = """
CREATE FUNCTION slow(x bigint) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
  IF EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711) THEN PERFORM pg_sleep(0.1); END IF;
  RETURN true; END $$;
"""


class Shop:
    """A project folder and its two databases."""

    def __init__(self, folder: Path, staging: str, production: str) -> None:
        self.folder = folder
        self.staging = staging
        self.production = production

    @property
    def project(self) -> Project:
        """The project, opened again."""
        return Project.open(self.folder)

    @property
    def migrations(self) -> Path:
        """The migrations folder."""
        return self.folder / "supabase" / "migrations"

    def write(self, name: str, sql: str) -> Path:
        """Write a migration file."""
        path = self.migrations / name
        path.write_text(sql)
        return path

    def on(self, url: str, sql: str) -> list[tuple[object, ...]]:
        """Run SQL on one of the databases and return the rows, if any."""
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def deploy(self) -> Deployment:
        """Deploy to production with the plan approved."""
        return self.project.migrate_prod(approve=self.project.plan().id)

    @property
    def backups(self) -> Path:
        """The folder of production's backups."""
        return self.folder / "backups" / "production"

    def state(self) -> tuple[object, ...]:
        """What must stay as it is when something refuses: production's schema, rows and history."""
        url = self.production
        with psycopg.connect(url) as connection:
            history = connection.execute(
                "SELECT version FROM supabase_migrations.schema_migrations ORDER BY 1"
            ).fetchall()
            return read_schema(connection).fingerprint, content_of(url, server_programs()), history


def approval_of(run: Callable[[], object]) -> str:
    """Return the id that the refusal of an unapproved run asks for."""
    with pytest.raises(RefusedError, match="is not approved") as caught:
        run()
    return str(caught.value.next).split("--approve ")[1].split()[0]


@pytest.fixture(scope="session")
def shop_templates(server: ThrowawayServer) -> tuple[str, str]:
    """Two databases to copy from: staging without rows, production with."""
    for name, rows in (("template_staging", ""), ("template_production", ROWS)):
        furnish(server.create_database(name), rows)
    return "template_staging", "template_production"


def furnish(url: str, rows: str = ROWS) -> None:
    """Give an empty database what the first migration makes, rows and a history that says so."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"{FIRST}; {rows}".encode())
        make_history(connection)
        record_applied(
            connection, FIRST_FILE[:14], "first", [FIRST], hashlib.sha256(FIRST.encode()).hexdigest(), "test"
        )


def roles_of(server: ThrowawayServer) -> set[str]:
    """The roles of the server that every test of this process shares."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        return {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}


def remove_what_a_test_left(server: ThrowawayServer, databases: Sequence[str], roles: set[str]) -> None:
    """Drop a test's databases, those that a restore made beside them, and the roles that were not there before."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        there = [name for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall()]
    for name in there:
        if any(name == of or name.startswith(f"{of}_") for of in databases):
            server.drop_database(name)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for role in sorted(roles_of(server) - roles):
            connection.execute(SQL("DROP ROLE {}").format(Identifier(role)))


_schemas_measured: dict[str, str] = {}


@pytest.fixture
def measured_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process measure once what files make, not in each test: as production remembers it after a deployment."""
    if request.node.get_closest_marker("measures_drift"):
        return
    measure, remembered = drift.Drift.of, drift.schema_that_files_make

    def of(self: drift.Drift, connection: Connection, standing: Standing) -> str:
        if drift.is_as_files_make_it(self._settings, connection, standing):
            return "none"
        found = measure(self, connection, standing)
        if found == "none":
            files = drift.identity_of(self._settings, connection, standing.applied)
            _schemas_measured[files] = schema_with_rows(self._settings, connection).fingerprint
        return found

    def known(connection: Connection, files: str) -> str:
        return remembered(connection, files) or _schemas_measured.get(files, "")

    monkeypatch.setattr(drift.Drift, "of", of)
    monkeypatch.setattr(drift, "schema_that_files_make", known)


@pytest.fixture
def shop(
    tmp_path: Path,
    server: ThrowawayServer,
    shop_templates: tuple[str, str],
    measured_once: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shop]:
    """A shop with one migration applied to staging and production, and rows in production."""
    names = [f"{kind}_{next(_numbers)}" for kind in ("staging", "production")]
    roles = roles_of(server)
    urls = [server.create_database(name, template=of) for name, of in zip(names, shop_templates, strict=True)]
    made = Shop(tmp_path / "shop", *urls)
    monkeypatch.setenv("STAGING_DATABASE_URL", made.staging)
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", made.production)
    Project.init(made.folder)
    made.write(FIRST_FILE, FIRST)
    yield made
    remove_what_a_test_left(server, names, roles)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder of a killed process's own for what it leaves behind; the server's user may enter it."""
    folder = short_folder("sm-")
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def standby(shop: Shop, server: ThrowawayServer) -> Iterator[str]:
    """A real hot standby of the test server; its URL for production's database."""
    with standby_of(server) as folder:
        yield shop.production.replace(quote(str(server.folder), safe=""), folder)


@pytest.fixture
def pooler(shop: Shop, server: ThrowawayServer) -> Iterator[str]:
    """pgbouncer in transaction mode before the test server; its URL for production's database."""
    with pgbouncer(server, "transaction") as url:
        yield url(shop.production)


@pytest.fixture
def session_pooler(shop: Shop, server: ThrowawayServer) -> Iterator[str]:
    """pgbouncer in session mode before the test server; its URL for production's database."""
    with pgbouncer(server, "session") as url:
        yield url(shop.production)


@contextmanager
def pgbouncer(server: ThrowawayServer, mode: str, settings: str = "") -> Iterator[Callable[[str], str]]:
    """Start a pgbouncer before the server; gives what turns a URL of the server's into one through it."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not on this machine")
    user = _server_user()
    folder = short_folder("safemig-pooler-")
    (folder / "users.txt").write_text('"postgres" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={server.folder} port=5432\n[pgbouncer]\nlisten_port = 6432\nunix_socket_dir = {folder}\n"
        f"auth_type = trust\nauth_file = {folder}/users.txt\npool_mode = {mode}\n"
        f"ignore_startup_parameters = extra_float_digits\n{settings}\n"
    )
    if user:
        shutil.chown(folder, user.pw_uid, user.pw_gid)
    process = subprocess.Popen(
        [PGBOUNCER, "-q", str(folder / "pgbouncer.ini")],
        cwd="/",
        stderr=subprocess.DEVNULL,
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
    )
    try:
        deadline = time.monotonic() + 10
        while not (folder / ".s.PGSQL.6432").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)

        def through(url: str) -> str:
            return (
                f"postgresql://postgres@/{url.split('/')[3].split('?')[0]}?host={quote(str(folder), safe='')}&port=6432"
            )

        yield through
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], Path]]:
    """A maker of file systems of so many MiB, in memory."""
    made: list[Path] = []
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]

    def make(size_mb: int) -> Path:
        folder = short_folder("sm-")
        options = f"size={size_mb}m,mode=0755,uid={os.geteuid()},gid={os.getegid()}"
        answer = subprocess.run(
            [*root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if answer.returncode != 0:
            folder.rmdir()
            pytest.skip(f"cannot mount a tmpfs here: {answer.stderr.decode().strip()}")
        made.append(folder)
        return folder

    yield make
    for folder in made:
        subprocess.run([*root, "umount", "-l", folder], check=True)
        folder.rmdir()
