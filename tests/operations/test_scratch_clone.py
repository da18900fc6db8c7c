"""[scratch] holds_data: a provider hands over a clone of production, and nothing is restored."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from safemig.errors import RehearsalError, SettingsError
from safemig.operations import verify_backup
from safemig.postgres.server.programs import client_programs
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.project import Project
from tests.conftest import QUIET
from tests.operations.conftest import Shop

pytestmark = pytest.mark.measures_drift

SECOND_FILE = "20260102000000_second.sql"
Provided = Callable[[str], Project]


@pytest.fixture
def other(shop: Shop) -> Iterator[ThrowawayServer]:
    """Another server; made from the same files, as a clone is, it may have the same identifier."""
    with psycopg.connect(shop.production) as connection:
        major = connection.info.server_version // 10000
    with ThrowawayServer.start(major=major, settings=QUIET) as server:
        yield server


@pytest.fixture
def provided(shop: Shop, tmp_path: Path) -> Provided:
    """A maker of the shop's project whose provider hands out a URL, and ends when it is told to."""

    def make(url: str) -> Project:
        path = tmp_path / "provider.py"
        path.write_text(f"import time\nprint({url!r}, flush=True)\nwhile True: time.sleep(0.1)\n")
        (shop.folder / "safemig.toml").write_text(
            f"[scratch]\ncommand = '{sys.executable} {path}'\nholds_data = true\n"
        )
        return shop.project

    return make


def clone(shop: Shop, server: ThrowawayServer) -> str:
    """Make a database on the server that holds what production does."""
    with psycopg.connect(shop.production) as connection:
        programs = client_programs(connection.info.server_version)
        roles = connection.execute("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'").fetchall()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        have = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        for (role,) in roles:
            if role not in have:
                connection.execute(psycopg.sql.SQL("CREATE ROLE {}").format(psycopg.sql.Identifier(role)))
    url = server.create_database("clone")
    dump = subprocess.run([programs.path("pg_dump"), shop.production], check=True, capture_output=True).stdout
    subprocess.run(
        [programs.path("psql"), "-q", "-X", "-v", "ON_ERROR_STOP=1", url],
        input=dump,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return url


def test_the_rehearsal_and_the_deployment_use_the_clone_and_restore_nothing(
    shop: Shop, provided: Provided, other: ThrowawayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write(
        SECOND_FILE, "ALTER TABLE users ADD COLUMN IF NOT EXISTS more text; UPDATE users SET more = 'x' WHERE id = 1;"
    )
    project = provided(clone(shop, other))

    def no_restore(*_: object, **__: object) -> None:
        raise AssertionError("a backup was restored")

    monkeypatch.setattr(verify_backup, "restore_copy", no_restore)
    rehearsal = project.rehearse()
    assert rehearsal.rows_from == (
        "the clone of production that [scratch] command handed over; nothing was restored, and its rows were not compared"
    )
    assert rehearsal.backup_verified != "restored"
    assert next(row.before for row in rehearsal.rows if row.table == "public.users") > 0
    assert rehearsal.steps[-1].rows == 1
    assert rehearsal.rollback
    assert rehearsal.rollback.is_proven
    text = rehearsal.render("text")
    assert " · on a clone · " in text
    assert f"rows: {rehearsal.rows_from}" in " ".join(text.split())
    assert "backup:" not in text, "none was taken with its rows"
    with psycopg.connect(other.url(), autocommit=True) as connection:  # the provider's part
        connection.execute("DROP DATABASE clone")
    clone(shop, other)
    result = project.migrate_prod(approve=project.plan().id)
    assert result.verdict == "DEPLOYED"


CHANGES = [
    ("ALTER TABLE users ADD COLUMN odd text", "its schema is not production's: add column public.users.odd"),
    ("DELETE FROM supabase_migrations.schema_migrations", "its history is not production's: 2026"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES, ids=["another schema", "another history"])
def test_a_clone_that_is_not_what_production_is_is_refused(
    shop: Shop, provided: Provided, other: ThrowawayServer, change: str, words: str
) -> None:
    shop.write(SECOND_FILE, "ALTER TABLE users ADD COLUMN IF NOT EXISTS more text;")
    url = clone(shop, other)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(change)  # type: ignore[arg-type]
    with pytest.raises(RehearsalError, match=words) as refused:
        provided(url).rehearse()
    assert "new clone of production" in str(refused.value.next)


def test_production_s_own_server_is_refused_whatever_database_is_named(shop: Shop, provided: Provided) -> None:
    shop.write(SECOND_FILE, "ALTER TABLE users ADD COLUMN IF NOT EXISTS more text;")
    before = shop.state()
    for url in (shop.production, shop.staging):
        with pytest.raises(RehearsalError, match="it is on production's own server"):
            provided(url).rehearse()
    assert shop.state() == before


def test_a_clone_comes_from_a_command(shop: Shop) -> None:
    (shop.folder / "safemig.toml").write_text("[scratch]\nurl = 'env:A'\nholds_data = true")
    with pytest.raises(SettingsError, match="holds_data needs command"):
        _ = shop.project


def test_a_commands_statements_are_seen_on_the_clone(shop: Shop, provided: Provided, other: ThrowawayServer) -> None:
    (shop.folder / "alter.py").write_text(
        "import os, psycopg\n"
        "with psycopg.connect(os.environ['DATABASE_URL']) as connection:\n"
        "    connection.execute('ALTER TABLE users ADD COLUMN more text')\n"
    )
    rehearsal = provided(clone(shop, other)).rehearse(run=f"{sys.executable} alter.py")
    assert [step.sql for step in rehearsal.steps] == ["ALTER TABLE users ADD COLUMN more text"]
    assert "clone of production" in rehearsal.rows_from
    assert rehearsal.rollback is not None
    assert rehearsal.rollback.is_proven
    assert not rehearsal.exceptions
