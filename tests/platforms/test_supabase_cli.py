"""The real Supabase CLI beside safemig, on the same databases: each sees what the other has applied.

It runs where the CLI is found: on the PATH, or by SAFEMIG_SUPABASE_CLI (`npm install supabase`). No Docker is needed.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.operations.conftest import approval_of
from tests.platforms.boxes import Platform

CLI = os.environ.get("SAFEMIG_SUPABASE_CLI") or shutil.which("supabase")
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(CLI is None, reason="the Supabase CLI is not installed (npm install supabase)"),
]
FIRST, BIO, TAGS, NOTES = "20260101000000", "20260201000000", "20260202000000", "20260203000000"


@contextmanager
def by_tcp(url: str) -> Iterator[str]:
    """Give a database on a Unix socket an address, for the CLI knows no other."""
    at = conninfo_to_dict(url)
    listener = socket.create_server(("127.0.0.1", 0))

    opened: list[socket.socket] = [listener]

    def pass_on(source: socket.socket, to: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                to.sendall(piece)
        with suppress(OSError):
            to.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                opened.extend((client, server))
                server.connect(f"{at['host']}/.s.PGSQL.{at['port']}")
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=pass_on, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"postgresql://{at['user']}@127.0.0.1:{listener.getsockname()[1]}/{at['dbname']}?sslmode=disable"
    finally:
        for each in opened:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def cli(folder: Path, url: str, *arguments: str) -> str:
    """Run the CLI on a database, and return what it says."""
    done = subprocess.run(
        [str(CLI), *arguments, "--db-url", url], cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL, env=os.environ | {"HOME": str(folder), "DO_NOT_TRACK": "1", "SUPABASE_TELEMETRY_DISABLED": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def applied(listing: str) -> dict[str, bool]:
    """Read the table of `migration list`: each local version, and whether the database has it."""
    rows = re.findall(r"`(\d{14})` *\| *`(\d{14}| )`", listing)
    return {local: local == remote for local, remote in rows}


@pytest.mark.parametrize("major", [17, 15])
def test_each_applies_beside_the_other_and_lists_what_both_applied(
    platform: Callable[..., Platform], tmp_path: Path, major: int
) -> None:
    box = platform("supabase", major)
    project, migrations = box.project(tmp_path), tmp_path / "supabase" / "migrations"

    def write(version: str, sql: str) -> None:
        (migrations / f"{version}_more.sql").write_text(sql)

    with by_tcp(box.staging) as staging, by_tcp(box.production) as production:
        write(BIO, "ALTER TABLE public.profiles ADD COLUMN bio text;\n")
        assert applied(cli(tmp_path, staging, "migration", "list")) == {FIRST: True, BIO: False}
        cli(tmp_path, staging, "db", "push", "--yes")
        status = project.db_status()
        assert status.migrations[1].states == {"staging": "applied", "production": "pending"}
        assert [each.drift for each in status.environments] == ["none", "none"]
        assert project.generate("nothing").path is None

        assert project.migrate_prod(approve=project.plan().id).verdict == "DEPLOYED"
        assert applied(cli(tmp_path, production, "migration", "list")) == {FIRST: True, BIO: True}
        assert "up to date" in cli(tmp_path, production, "db", "push", "--yes")

        # Someone pushes to production by the CLI, and the next one is ours again.
        write(TAGS, "ALTER TABLE public.profiles ADD COLUMN tags text[];\n")
        cli(tmp_path, production, "db", "push", "--yes")
        write(NOTES, "ALTER TABLE public.profiles ADD COLUMN notes text;\n")
        deployed = project.migrate_prod(approve=project.plan().id)
        assert deployed.migrations == (f"{NOTES}_more.sql",)
        assert all(applied(cli(tmp_path, production, "migration", "list")).values())
        assert project.rollback_prod(approve=approval_of(project.rollback_prod)).verdict == "ROLLED BACK"
        assert applied(cli(tmp_path, production, "migration", "list")) == {
            FIRST: True,
            BIO: True,
            TAGS: True,
            NOTES: False,
        }
