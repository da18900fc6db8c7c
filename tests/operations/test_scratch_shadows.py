"""[scratch] is used by every verb that replays migrations, by the same contract as for copies."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import psycopg.conninfo
import pytest

from safemig.errors import RefusedError, ReviewRefusedError, ToolError
from safemig.fault_points import FaultPoint
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.project import Project
from safemig.results import Status
from safemig.settings import Environment
from tests.conftest import QUIET
from tests.operations.conftest import Shop
from tests.operations.striking import kill_at

pytestmark = pytest.mark.measures_drift

SECOND_FILE = "20260102000000_second.sql"
GOES_ON = "import time\nwhile True: time.sleep(0.1)\n"


@pytest.fixture
def other(temporary: Path) -> Iterator[ThrowawayServer]:
    """A server that is handed out; with a folder of its own it is another one by its identity, too."""
    with ThrowawayServer.start(settings=QUIET, folder=temporary / "s") as server:
        yield server


@pytest.fixture
def by_url(shop: Shop, other: ThrowawayServer, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The shop's project, with the other server as its scratch server."""
    monkeypatch.setenv("SCRATCH_DATABASE_URL", other.url())
    (shop.folder / "safemig.toml").write_text('[scratch]\nurl = "env:SCRATCH_DATABASE_URL"\n')
    return shop.project


def by_command(shop: Shop, tmp_path: Path, text: str, more: str = "") -> Project:
    """The shop's project, with a program that starts its scratch server."""
    path = tmp_path / "provider.py"
    path.write_text(text)
    (shop.folder / "safemig.toml").write_text(f"[scratch]\ncommand = '{sys.executable} {path}'\n{more}")
    return shop.project


def databases(server: ThrowawayServer) -> list[str]:
    with psycopg.connect(server.url()) as connection:
        return [name for (name,) in connection.execute("SELECT datname FROM pg_database ORDER BY 1").fetchall()]


def roles(server: ThrowawayServer) -> set[tuple[object, ...]]:
    with psycopg.connect(server.url()) as connection:
        return set(connection.execute("SELECT rolname, rolsuper, rolcanlogin FROM pg_roles").fetchall())


def generate(shop: Shop, project: Project) -> str:
    shop.on(shop.staging, "ALTER TABLE users ADD COLUMN more text; CREATE SCHEMA extra; CREATE TABLE extra.t (id int)")
    return project.generate("more").proof


def status(_: Shop, project: Project) -> str:
    return ", ".join(each.drift for each in project.db_status().environments)


def migrate_staging(shop: Shop, project: Project) -> str:
    shop.write(SECOND_FILE, "ALTER TABLE users ADD COLUMN more text;")
    shop.on(shop.staging, "ALTER TABLE users ADD COLUMN more text")
    return ", ".join(project.migrate_staging().recorded_only)


def baseline_prod(shop: Shop, project: Project) -> str:
    shop.on(shop.production, "DELETE FROM supabase_migrations.schema_migrations")
    return project.baseline_prod(approve=project.plan("baseline_prod").id).verdict


VERBS: list[tuple[Callable[[Shop, Project], str], str]] = [
    (generate, "proven equal"),
    (status, "none, none"),
    (migrate_staging, SECOND_FILE),
    (baseline_prod, "BASELINED"),
]


@pytest.mark.parametrize(("verb", "expected"), VERBS, ids=[each.__name__ for each, _ in VERBS])
def test_a_shadow_is_made_on_the_scratch_server_and_nothing_is_left_there(
    shop: Shop,
    by_url: Project,
    other: ThrowawayServer,
    monkeypatch: pytest.MonkeyPatch,
    verb: Callable[..., str],
    expected: str,
) -> None:
    before, known = databases(other), roles(other)

    def no_throwaway(*_: object, **__: object) -> None:
        raise AssertionError("a throwaway server was started")

    monkeypatch.setattr(ThrowawayServer, "start", no_throwaway)
    assert verb(shop, by_url).startswith(expected)
    assert databases(other) == before
    made = roles(other) - known
    assert not any(may_log_in for _, _, may_log_in in made)
    assert roles(other) >= known, "no role that was there has other rights now"


def test_a_kill_leaves_a_shadow_that_the_next_act_drops(
    shop: Shop, by_url: Project, other: ThrowawayServer, temporary: Path
) -> None:
    before = databases(other)
    shop.on(shop.staging, "ALTER TABLE users ADD COLUMN more text")
    assert kill_at(shop, temporary, "project.generate('more')", FaultPoint.FILES_PROVEN) == -signal.SIGKILL
    assert len(databases(other)) > len(before)
    assert by_url.generate("more").proof == "proven equal"
    assert databases(other) == before


@pytest.mark.thorough
def test_a_role_without_superuser_is_enough_where_it_may_act_as_who_deployed(
    shop: Shop, by_url: Project, other: ThrowawayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(other.url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE plain LOGIN CREATEDB CREATEROLE")
    monkeypatch.setenv("SCRATCH_DATABASE_URL", other.url().replace("//postgres@", "//plain@"))
    # Who deployed is a superuser there, as whom no other role may act.
    with pytest.raises(ToolError, match="plain may not act as postgres"):
        by_url.generate("nothing")
    with psycopg.connect(shop.staging, autocommit=True) as connection:
        connection.execute("CREATE ROLE team_of_shadows LOGIN")
        connection.execute("CREATE DATABASE team_of_shadows OWNER team_of_shadows")
    try:
        url = psycopg.conninfo.make_conninfo(shop.staging, user="team_of_shadows", dbname="team_of_shadows")
        project = Project(by_url.settings.model_copy(update={"environments": {"staging": Environment(url=url)}}))
        assert len(project.migrate_staging().migrations) == 1
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA extra; CREATE TABLE extra.t (id int)")
        assert project.generate("more").proof == "proven equal"
        assert "OWNER TO" not in project.generate("more").text
    finally:
        with psycopg.connect(shop.staging, autocommit=True) as connection:
            connection.execute("DROP DATABASE team_of_shadows WITH (FORCE)")
            connection.execute("DROP ROLE team_of_shadows")


FAULTS = [
    ("fails", "import sys; sys.exit('no such image')", "ended with exit code 1 and printed no URL"),
    ("is silent", GOES_ON, "printed no URL within 1 s"),
    ("prints no server", "print('postgresql://nobody@127.0.0.1:1/x', flush=True)\n" + GOES_ON, "the scratch server"),
    ("hands out production", "print({production!r}, flush=True)\n" + GOES_ON, "is the server of the database itself"),
]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(*each[1:], id=each[0], marks=() if each[0] == "hands out production" else pytest.mark.thorough)
        for each in FAULTS
    ],
)
def test_a_provider_that_breaks_the_contract_is_named_by_each_verb(
    shop: Shop, tmp_path: Path, text: str, words: str
) -> None:
    project = by_command(shop, tmp_path, text.replace("{production!r}", repr(shop.production)), "wait_s = 1\n")
    with pytest.raises((RefusedError, ToolError), match=words):
        project.generate("nothing")
    found: Status = project.db_status()
    assert all(each.drift.startswith("not compared: ") and words in each.drift for each in found.environments)


@pytest.mark.thorough
def test_a_slow_provider_is_waited_for_and_ended(shop: Shop, other: ThrowawayServer, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = (
        f"import pathlib, signal, sys, time\nmark = pathlib.Path({str(mark)!r}); mark.touch()\n"
        "signal.signal(signal.SIGTERM, lambda *_: (mark.unlink(), sys.exit(0)))\n"
        f"time.sleep(2); print({other.url()!r}, flush=True)\n"
    )
    project = by_command(shop, tmp_path, text + GOES_ON)
    assert project.generate("nothing").path is None
    assert not mark.exists()


def test_what_a_command_sends_to_a_scratch_server_is_reviewed_as_on_a_local_copy(shop: Shop, by_url: Project) -> None:
    (shop.folder / "alter.py").write_text(
        "import os, psycopg\n"
        "with psycopg.connect(os.environ['DATABASE_URL'], autocommit=True) as connection:\n"
        "    connection.execute('ALTER TABLE users ADD COLUMN IF NOT EXISTS more text')\n"
    )
    (shop.folder / "rename.py").write_text(
        (shop.folder / "alter.py")
        .read_text()
        .replace("ADD COLUMN IF NOT EXISTS more text", "RENAME COLUMN email TO mail")
    )
    run = f"{sys.executable} alter.py"
    rehearsal = by_url.rehearse(run=run)
    assert [step.sql for step in rehearsal.steps] == ["ALTER TABLE users ADD COLUMN IF NOT EXISTS more text"]
    assert not rehearsal.exceptions
    assert "1 writing statement in one transaction" in rehearsal.notes[0]
    rename = f"{sys.executable} rename.py"
    with pytest.raises(ReviewRefusedError, match="about the command's statements") as refused:
        by_url.migrate_prod(run=rename, approve=by_url.plan(run=rename).id)
    assert "rename" in str(refused.value.where)
    assert by_url.migrate_prod(run=run, approve=by_url.plan(run=run).id).verdict == "DEPLOYED"
