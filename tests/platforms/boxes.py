"""Platforms in a box: servers that look like Supabase, RDS, Neon, Heroku and others, built by our own SQL.

How a test uses one (the fixture `platform` is in tests/conftest.py, so every test can ask for it):

    def test_something(platform, tmp_path):
        box = platform("supabase")               # or platform("supabase", 15); see NAMES
        project = box.project(tmp_path)          # a project with one migration, applied to staging and production
        box.run(box.staging, "CREATE TABLE ...") # as the deploying role; box.staging_admin is the superuser's URL

`platform(name)` hands out both databases as they were built, with rows in production: the second call for the same
name drops them and makes them again (about 0.3 s), so a test may do as it likes. The first call of a worker starts the
servers (about 3 s). With `team=False` the databases hold the platform alone: no table of ours, no history.

| name     | deploying role, database                        | what is special                                             |
|----------|-------------------------------------------------|-------------------------------------------------------------|
| supabase | postgres (no superuser), postgres, two servers  | schemas, event triggers and roles of the platform; 15, 17    |
| rds      | dba, shop / shop_staging                        | no superuser; two owning roles, a reader; rdsadmin's tables  |
| neon     | neondb_owner, neondb / neondb_staging           | member of neon_superuser; extension neon                     |
| heroku   | u7f3c2e1b9a0d4, d1prod / d1staging              | one role, no CREATEDB; extensions in heroku_ext              |
| boss     | boss (superuser), shop / shop_staging           | no role postgres at all                                      |
| upgraded | postgres (superuser), shop / shop_staging       | came from 14: owner and grants of schema public              |

The SQL and the extensions of Supabase are the product's, for `safemig demo --platform supabase` (safemig/demo/supabase/).
Stand-in extensions (folder extensions/) are installed only in a private copy of PostgreSQL that these servers run
from; the throwaway server of safemig, which runs from the wheel itself, lacks them, as a DBA's machine does.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from safemig.postgres.history import make_history, record_applied
from safemig.postgres.server.programs import Programs, server_programs
from safemig.postgres.server.throwaway import PORT, ThrowawayServer
from safemig.project import Project
from tests.tables import part_of

HERE = Path(__file__).parent
SUPABASE = HERE.parents[1] / "safemig" / "demo" / "supabase"
FIRST_FILE = "20260101000000_first.sql"
SETTINGS = {"autovacuum": "off", "shared_buffers": "32MB", "wal_level": "logical"}


@dataclass(frozen=True)
class Kind:
    """What one platform looks like; its SQL is in sql/NAME_roles.sql, NAME_database.sql, NAME.sql, NAME_team.sql, NAME_rows.sql."""

    superuser: str
    deployer: str
    production: str
    staging: str
    servers: int = 1
    majors: tuple[int, ...] = (17,)


# The programs of a real PostgreSQL 14 (postgres, initdb), which no machine of ours has: where this names their folder,
# the platform `upgraded` is tried on it, too. SAFEMIG_POSTGRES_14=.../bin pytest tests/platforms -k upgraded-14
REAL_14 = os.environ.get("SAFEMIG_POSTGRES_14", "")
KINDS = {
    "supabase": Kind("supabase_admin", "postgres", "postgres", "postgres", servers=2, majors=(17, 15)),
    "rds": Kind("rdsadmin", "dba", "shop", "shop_staging"),
    "neon": Kind("cloud_admin", "neondb_owner", "neondb", "neondb_staging"),
    "heroku": Kind("postgres", "u7f3c2e1b9a0d4", "d1prod", "d1staging"),
    "boss": Kind("boss", "boss", "shop", "shop_staging"),
    "upgraded": Kind("postgres", "postgres", "shop", "shop_staging", majors=(17, 14) if REAL_14 else (17,)),
}
NAMES = tuple(KINDS)
# Every platform and version.
BOXES = tuple((name, major) for name, kind in KINDS.items() for major in kind.majors)


def on_boxes(*usual: str, boxes: Sequence[tuple[str, int]] = BOXES) -> pytest.MarkDecorator:
    """Run a test on every platform and version; by default on those that are named, such as "supabase-15"."""
    cases = part_of(boxes, lambda case: "{}-{}".format(*case) in usual, lambda case: "{}-{}".format(*case))
    return pytest.mark.parametrize(("name", "major"), cases)


@dataclass(frozen=True)
class Platform:
    """Two databases of one platform. `staging` and `production` are URLs of the deploying role, `*_admin` of the superuser."""

    name: str
    major: int
    deployer: str
    superuser: str
    staging: str
    production: str
    staging_admin: str
    production_admin: str
    first: str  # the SQL of the one migration, "" where the databases hold the platform alone

    def run(self, url: str, statements: str) -> list[tuple[object, ...]]:
        """Run SQL and return the rows of its last statement, if any."""
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statements.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def project(self, folder: Path) -> Project:
        """Make a project in `folder` whose settings name both databases; its migrations folder holds what is applied."""
        Project.init(folder)
        text = (folder / "safemig.toml").read_text()
        for name, url in (("STAGING", self.staging), ("PRODUCTION", self.production)):
            text = text.replace(f"env:{name}_DATABASE_URL", url)
        (folder / "safemig.toml").write_text(text)
        if self.first:
            (folder / "supabase" / "migrations" / FIRST_FILE).write_text(self.first)
        return Project.open(folder)


def first_migration(name: str) -> str:
    """The team's one migration on the platform `name`."""
    return file_of(f"{name}_team.sql").read_text()


def file_of(name: str) -> Path:
    """Return where a file of SQL is: here, or in the product."""
    return next(
        (path for path in (HERE / "sql" / name, SUPABASE / "sql" / name) if path.is_file()), HERE / "sql" / name
    )


@dataclass
class Boxes:
    """The servers of one test worker, started when they are first asked for."""

    _open: ExitStack = field(default_factory=ExitStack)
    _installations: dict[int, Programs] = field(default_factory=dict)
    _servers: dict[tuple[str, int], tuple[Database, Database]] = field(default_factory=dict)
    _touched: set[tuple[str, int]] = field(default_factory=set)

    def get(self, name: str, major: int = 17, *, team: bool = True) -> Platform:
        """Return the platform's two databases as they were built."""
        kind, key = KINDS[name], (name, major)
        if key not in self._servers:
            self._servers[key] = self._build(name, major)
        elif key in self._touched:
            for database in self._servers[key]:
                database.make_anew()
        self._touched.add(key)
        staging, production = self._servers[key]
        first = first_migration(name) if team else ""
        if team:
            for database in (staging, production):
                with psycopg.connect(database.url(kind.deployer), autocommit=True) as connection:
                    connection.execute(first.encode())
                    make_history(connection)
                    record_applied(connection, FIRST_FILE[:14], "first", [first], sha256_of(first), "test")
            with psycopg.connect(production.url(kind.superuser), autocommit=True) as connection:
                connection.execute(file_of(f"{name}_rows.sql").read_bytes())
        return Platform(
            name, major, kind.deployer, kind.superuser, staging.url(kind.deployer), production.url(kind.deployer),
            staging.url(kind.superuser), production.url(kind.superuser), first,
        )  # fmt: skip

    def close(self) -> None:
        """End the servers."""
        self._open.close()

    def _build(self, name: str, major: int) -> tuple[Database, Database]:
        kind = KINDS[name]
        programs = self.installation(major)
        with ThreadPoolExecutor(2) as threads:
            servers = list(threads.map(lambda _: start(kind, programs), range(kind.servers)))
        for server in servers:
            self._open.enter_context(server)
        roles = file_of(f"{name}_roles.sql").read_bytes()
        for server in servers:
            with psycopg.connect(url_of(server, kind.superuser, "template1"), autocommit=True) as connection:
                connection.execute(roles)
        databases = (
            Database(servers[0], kind, name, major, kind.staging),
            Database(servers[-1], kind, name, major, kind.production),
        )
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(Database.build, databases))
        return databases

    def installation(self, major: int) -> Programs:
        """Return the installation that the servers of a major version run from, with the stand-in extensions."""
        if major == 14:
            return Programs(Path(REAL_14), 140000, has_server=True, has_clients=False)
        if major not in self._installations:
            self._installations[major] = self._open.enter_context(private_installation(server_programs(major=major)))
        return self._installations[major]


def sha256_of(text: str) -> str:
    """The checksum that the history keeps of a file."""
    return hashlib.sha256(text.encode()).hexdigest()


def url_of(server: ThrowawayServer, role: str, database: str) -> str:
    """A URL without a password."""
    return f"postgresql://{role}@/{database}?host={quote(str(server.folder), safe='')}&port={PORT}"


def start(kind: Kind, programs: Programs) -> ThrowawayServer:
    """Start a server whose bootstrap superuser has the platform's name for it."""
    server = ThrowawayServer.start(programs=programs, settings=SETTINGS)
    if kind.superuser != "postgres":
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE ROLE builder SUPERUSER LOGIN")
        with psycopg.connect(url_of(server, "builder", "postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER ROLE postgres RENAME TO {}").format(sql.Identifier(kind.superuser)))
        with psycopg.connect(url_of(server, kind.superuser, "postgres"), autocommit=True) as connection:
            connection.execute("DROP ROLE builder")
    return server


@dataclass(frozen=True)
class Database:
    """One database of a platform, and a copy of how it was built."""

    server: ThrowawayServer
    kind: Kind
    platform: str
    major: int
    name: str
    roles: set[str] = field(default_factory=set)

    def url(self, role: str) -> str:
        """The URL for a role."""
        return url_of(self.server, role, self.name)

    def build(self) -> None:
        """Make the database with the platform's SQL, and keep a copy of it."""
        with self._administrator() as connection:
            if self.name != "postgres":
                connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(self.name)))
            self._set_up(connection)
        with psycopg.connect(self.url(self.kind.superuser), autocommit=True) as connection:
            for name in (self.platform, f"{self.platform}_{self.major}"):
                file = file_of(f"{name}.sql")
                if file.is_file():
                    connection.execute(file.read_bytes())
        with self._administrator() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} ALLOW_CONNECTIONS false").format(
                    sql.Identifier(f"{self.name}_as_built"), sql.Identifier(self.name)
                )
            )
            self.roles.update(role for (role,) in connection.execute("SELECT rolname FROM pg_roles"))

    def make_anew(self) -> None:
        """Bring the database back to what it was when it was built; roles made since are dropped where nothing needs them."""
        with self._administrator() as connection:
            name = sql.Identifier(self.name)
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(f"{self.name}_as_built"))
            )
            self._set_up(connection)
            for (role,) in connection.execute("SELECT rolname FROM pg_roles").fetchall():
                if role not in self.roles:
                    with suppress(psycopg.Error):
                        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    def _set_up(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        statements = file_of(f"{self.platform}_database.sql").read_text()
        connection.execute(statements.replace("{database}", self.name).encode())

    @contextmanager
    def _administrator(self) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        with psycopg.connect(url_of(self.server, self.kind.superuser, "template1"), autocommit=True) as connection:
            yield connection


@contextmanager
def private_installation(programs: Programs) -> Iterator[Programs]:
    """Copy a PostgreSQL installation (by hard links where the disk allows), and put the stand-in extensions into the copy.

    The server finds its files by the way from its own program, so a copy with the same layout reads only itself.
    """
    home = Path(tempfile.mkdtemp(prefix="sm-box-", dir="/tmp"))
    home.chmod(0o755)
    try:
        debian = Path("/usr/share/postgresql") / str(programs.major)
        if programs.folder.is_relative_to("/usr/lib/postgresql"):
            copy_tree(programs.folder.parent, home / "lib" / "postgresql" / str(programs.major))
            copy_tree(debian, home / "share" / "postgresql" / str(programs.major))
            folder = home / "lib" / "postgresql" / str(programs.major) / "bin"
            extensions = home / "share" / "postgresql" / str(programs.major) / "extension"
        else:
            root = programs.folder.parent
            package = root.parent
            copy_tree(root, home / package.name / root.name)
            for libraries in package.parent.glob(f"{package.name}*.libs"):
                copy_tree(libraries, home / libraries.name)
            folder = home / package.name / root.name / "bin"
            extensions = home / package.name / root.name / "share" / "extension"
        # What the installation has is real, and stays.
        for control in sorted(
            each for folder in (HERE, SUPABASE) for each in (folder / "extensions").glob("*.control")
        ):
            if not (extensions / control.name).exists():
                for file in control.parent.glob(f"{control.stem}[.-]*"):
                    shutil.copy(file, extensions / file.name)
        yield Programs(folder, programs.version_num, has_server=True, has_clients=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def copy_tree(source: Path, to: Path) -> None:
    """Copy a folder by hard links; by bytes where links are not allowed."""

    def link(one: str, other: str) -> str:
        try:
            os.link(one, other)
        except OSError:
            shutil.copy2(one, other)
        return other

    shutil.copytree(source, to, symlinks=True, copy_function=link)
