"""The demo's Supabase: two imitations of a Supabase project, and an application whose first migration both have."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg

from safemig.demo.places import server_folder, write_note
from safemig.demo.scene import new_folder
from safemig.demo.shop import apply_migration
from safemig.errors import ToolError
from safemig.postgres.server.private_installation import ExtraFiles
from safemig.postgres.server.programs import Programs, server_programs
from safemig.postgres.server.throwaway import PORT, ThrowawayServer
from safemig.project import Project

SUPERUSER, DEPLOYER, DATABASE = "supabase_admin", "postgres", "postgres"
FIRST_FILE = "20250310090000_create_app.sql"
MAJOR = 17  # of new projects
# What a review of staging_by_hand.sql asks a person about, and what the team answers.
ACCEPT = (
    "trigger-on-existing-table:auth.users.on_auth_user_email: an email changes a few times a day",
    "policy-on-existing-table:storage.objects.Members upload their avatar: it opens what the new version needs",
)
STAGING_USERS, PRODUCTION_USERS = 40, 20_000
MAKE_SIZES = "CREATE TEMPORARY TABLE demo_sizes AS SELECT %s::integer AS users"


class SupabaseProject:
    """A running demo on the imitation: each environment is a server of its own, as every Supabase project's database is.

    Guarantee: the servers end with this process; their data goes too unless the demo is kept.
    """

    title = "a Supabase project: staging and production on an imitation of the platform, each a server of its own"
    by_hand: tuple[str, ...] = (
        "staging was changed by hand: a table with row security, an index, a column, a member of supabase_realtime,",
        "and on the platform's tables a policy of storage.objects and a trigger on auth.users;",
        "the column profiles.avatar_key was dropped there",
        "safemig.toml accepts the trigger and the policy by name, each with a reason",
    )
    kept = "profiles.avatar_key"
    kept_lines: tuple[str, ...] = ("-    avatar_key uuid DEFAULT extensions.uuid_generate_v4() NOT NULL,",)
    try_this = "CREATE TABLE public.notes (id bigint PRIMARY KEY, owner uuid REFERENCES auth.users);"

    def __init__(self, folder: Path, staging: ThrowawayServer, production: ThrowawayServer) -> None:
        self.folder = folder
        self.server = production
        self._servers = (staging, production)
        self.staging, self.production = url_of(staging, DEPLOYER), url_of(production, DEPLOYER)
        self.seen = (url_of(staging, SUPERUSER), url_of(production, SUPERUSER))

    def __repr__(self) -> str:
        return f"<SupabaseProject in {self.folder}, {self.server!r}>"

    @classmethod
    def start(
        cls, folder: str | Path, *, keep: bool = False, users: tuple[int, int] = (STAGING_USERS, PRODUCTION_USERS)
    ) -> SupabaseProject:
        """Make the project in `folder` (new or empty), start both servers, and fill them.

        Raises:
            RefusedError: `folder` holds something already.
            ToolError: there is no PostgreSQL server on this machine to start.
        """
        folder = new_folder(folder)
        kept = [server_folder(folder, name) for name in ("staging-server", "server")] if keep else []
        try:
            project = cls.serve(folder, *kept)
            try:
                if keep:
                    write_note(folder, kept[1], project.server.major, staging_server=kept[0])
                project._make_project()
                with ThreadPoolExecutor(2) as threads:
                    list(threads.map(_fill, project._servers, users))
            except BaseException:
                project.stop()
                raise
        except BaseException:
            for each in kept:
                shutil.rmtree(each, ignore_errors=True)
            raise
        return project

    @classmethod
    def serve(
        cls, folder: Path, staging: Path | None = None, production: Path | None = None, *, major: int | None = None
    ) -> SupabaseProject:
        """Start both servers, over what these folders hold, where any are given.

        Raises:
            ToolError: a server does not start.
        """
        programs = _programs(major)
        extra = stand_in_extensions()

        def start(data: Path | None) -> ThrowawayServer:
            return ThrowawayServer.start(
                programs=programs, folder=data, settings={"wal_level": "logical"}, superuser=SUPERUSER, extra=extra
            )

        first = start(staging)
        try:
            return cls(folder, first, start(production))
        except BaseException:
            first.stop()
            raise

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables under which safemig finds both databases."""
        return {"STAGING_DATABASE_URL": self.staging, "PRODUCTION_DATABASE_URL": self.production}

    def change_staging_by_hand(self) -> None:
        """Do to staging what a developer would in the dashboard."""
        with psycopg.connect(self.staging, autocommit=True) as connection:
            connection.execute(_text("staging_by_hand.sql"))

    def stop(self) -> None:
        """End the servers. Safe to call again."""
        for server in self._servers:
            server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _make_project(self) -> None:
        # As `supabase init` leaves it: what says that this is a Supabase project.
        (self.folder / "supabase" / "migrations").mkdir(parents=True)
        (self.folder / "supabase" / "config.toml").write_text('project_id = "demo"\n', encoding="utf-8")
        (self.folder / "supabase" / "migrations" / FIRST_FILE).write_bytes(_text("supabase_team.sql"))
        settings = Project.init(self.folder).folder / "safemig.toml"
        # A key stands before the first table of TOML.
        settings.write_text(
            f"accept = {json.dumps(ACCEPT, indent=2)}\n\n{settings.read_text(encoding='utf-8')}", encoding="utf-8"
        )


def url_of(server: ThrowawayServer, role: str) -> str:
    """Return the URL of a project's database for a role; it holds no password."""
    return f"postgresql://{role}@/{DATABASE}?host={quote(str(server.folder), safe='')}&port={PORT}"


def stand_in_extensions() -> ExtraFiles:
    """Return the platform's extensions, as stand-ins: what the imitation's installation has beyond PostgreSQL's own."""
    folder = files("safemig.demo.supabase") / "extensions"
    return ExtraFiles(extension={each.name: each.read_text(encoding="utf-8") for each in folder.iterdir()})


def _programs(major: int | None) -> Programs:
    if major is not None:
        return server_programs(major=major)
    with suppress(ToolError):
        return server_programs(major=MAJOR)
    return server_programs()


def _fill(server: ThrowawayServer, users: int) -> None:
    """Make what the platform brings, then the application: its migration, the history, its rows."""
    template = server.url("template1")
    with psycopg.connect(template, autocommit=True) as connection:
        connection.execute(_text("supabase_roles.sql"))
        connection.execute(_text("supabase_database.sql"))
    with psycopg.connect(url_of(server, SUPERUSER), autocommit=True) as connection:
        connection.execute(_text("supabase.sql"))
    with psycopg.connect(url_of(server, DEPLOYER), autocommit=True) as connection:
        apply_migration(connection, FIRST_FILE, _text("supabase_team.sql").decode())
    with psycopg.connect(url_of(server, SUPERUSER), autocommit=True) as connection:
        connection.execute(MAKE_SIZES, (users,))
        connection.execute(_text("demo_rows.sql"))
        connection.execute("VACUUM (ANALYZE)")


def _text(name: str) -> bytes:
    return (files("safemig.demo.supabase") / "sql" / name).read_bytes()
