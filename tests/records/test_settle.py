"""A record that a crash left says, once settled, what the journal and the database know of its run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import psycopg
import pytest

from safemig.errors import RefusedError
from safemig.execution import journal
from safemig.execution.transaction import only_deployment
from safemig.postgres.history import make_history, record_deployment
from safemig.project import Project
from safemig.records import ledger, read_archive
from safemig.records.settle import settle
from safemig.records.verification import verify
from safemig.settings import Settings, load_settings

FILE = "20261122200000_add_note.sql"


@pytest.fixture
def settings(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A project whose production is a real database with safemig's tables."""
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", database)
    with psycopg.connect(database, autocommit=True) as connection:
        make_history(connection)
    return load_settings(tmp_path)


def leave_running(settings: Settings, act: str = "migrate_prod", second: int = 0, *, of: str = "production") -> Path:
    """Leave a record as a killed process leaves it: named RUNNING, its process gone."""
    home = settings.path("records") / of
    home.mkdir(parents=True, exist_ok=True)
    path = home / f"20200101T0000{second:02}Z-{of}-{act}-RUNNING.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("deployment.deploy()")])
    notebook.metadata["safemig"] = {
        "verb": act,
        "by": "dana",
        "started": "2020-01-01T00:00:00Z",
        "pid": 0,
        "machine": "?",
    }
    nbformat.write(notebook, path)
    return path


@pytest.fixture(autouse=True)
def _all_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safemig.records.settle.still_runs", lambda _: False)


def begin(settings: Settings, run_id: str, act: str = "migrate_prod") -> None:
    """Write into the journal that a run began to change production."""
    journal.write(journal.path_of(settings, "production"), run_id, "begun", act=act, plan="3f2a9c1", by="dana")


def commit(settings: Settings, run_id: str) -> None:
    """Commit a run's row, as its deployment's transaction does."""
    with psycopg.connect(settings.conninfo("production")) as connection:
        record_deployment(
            connection, run_id=run_id, act="migrate_prod", plan_id="3f2a9c1", started_at=datetime.now(UTC), by="dana",
            migrations=[FILE], schema_before="a", schema_after="b", facts={},
        )  # fmt: skip


def applied(settings: Settings) -> None:
    begin(settings, "aaaa")
    commit(settings, "aaaa")


def not_committed(settings: Settings) -> None:
    begin(settings, "aaaa")


def committed_by_another_run(settings: Settings) -> None:
    begin(settings, "aaaa")
    commit(settings, "bbbb")


def begun_by_another_act(settings: Settings) -> None:
    begin(settings, "aaaa", act="rollback_prod")
    commit(settings, "aaaa")


def not_begun(settings: Settings) -> None:
    pass


@pytest.mark.parametrize(
    ("state", "word", "words"),
    [
        (applied, "CUT-OFF-APPLIED", f"The run was cut off after it had applied {FILE}."),
        (not_committed, "CUT-OFF", "The run was cut off while it deployed; nothing of it is applied."),
        (committed_by_another_run, "CUT-OFF", "The run was cut off while it deployed; nothing of it is applied."),
        (begun_by_another_act, "CUT-OFF", "The run was cut off before it changed anything."),
        (not_begun, "CUT-OFF", "The run was cut off before it changed anything."),
    ],
)
def test_a_record_left_running_is_settled(
    settings: Settings, state: Callable[[Settings], None], word: str, words: str
) -> None:
    left = leave_running(settings)
    state(settings)
    (settled,) = settle(settings, "production")
    assert settled.words == words
    assert not left.exists()
    assert settled.path.name == left.name.replace("RUNNING", word)
    notebook = nbformat.read(settled.path, as_version=4)
    assert notebook.metadata["safemig"]["exit_code"] == (4 if word == "CUT-OFF-APPLIED" else 1)
    first, *others = notebook.cells
    assert [cell.source for cell in others] == ["deployment.deploy()"]
    assert first.source.startswith(f"**{word}**: {words}")
    assert words in settled.path.with_suffix(".html").read_text()
    assert verify(settled.path.parent).problems == ()
    (entry,) = read_archive(settings.path("records")).records
    assert (entry.verdict, entry.by, entry.integrity) == (word, "dana", "sealed")
    assert entry.migrations == ((FILE,) if word == "CUT-OFF-APPLIED" else ())
    assert settle(settings, "production") == ()


@pytest.mark.parametrize("word", ["INCOMPLETE", "UNKNOWN"])
@pytest.mark.parametrize(("state", "settled_word"), [(applied, "CUT-OFF-APPLIED"), (not_committed, "CUT-OFF")])
def test_a_sealed_record_that_does_not_know_its_end_is_replaced_by_one_that_does(
    settings: Settings, word: str, state: Callable[[Settings], None], settled_word: str
) -> None:
    running = leave_running(settings)
    left = running.rename(running.with_name(running.name.replace("RUNNING", word)))
    page = left.with_suffix(".html")
    page.write_text("<p>?</p>")
    ledger.seal(left.parent, left, page, {"verdict": word})
    state(settings)
    (entry,) = read_archive(settings.path("records"), verify=True).records
    assert (entry.verdict, entry.integrity) == (word, "intact")
    (settled,) = settle(settings, "production")
    assert settled.path.stem.endswith(f"-{settled_word}")
    assert not left.exists()
    assert not page.exists()
    archive = read_archive(settings.path("records"), verify=True)
    assert [(each.verdict, each.integrity) for each in archive.records] == [(settled_word, "intact")]
    assert archive.problems == ()
    assert [each.facts.get("replaces") for each in ledger.read(left.parent)[0]] == [None, left.stem]


def test_the_archive_settles_when_told_to_and_says_what_it_said(settings: Settings) -> None:
    left = leave_running(settings)
    applied(settings)
    project = Project(settings)
    assert left.exists()
    archive = project.deployments(settle=True, verify=True)
    assert not left.exists()
    assert archive.settled == (
        f"{left.stem.removesuffix('RUNNING')}CUT-OFF-APPLIED: The run was cut off after it had applied {FILE}.",
    )
    assert archive.settled[0] in " ".join(archive.render("text").split())
    assert project.deployments(settle=True).settled == ()


def test_each_record_gets_its_own_run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_running(settings, second=1)
    leave_running(settings, second=2)
    events = [
        {"at": "2020-01-01T00:00:01.500+00:00", "run": "aaaa", "event": "begun", "act": "migrate_prod"},
        {"at": "2020-01-01T00:00:02.500+00:00", "run": "bbbb", "event": "begun", "act": "migrate_prod"},
    ]
    monkeypatch.setattr(journal, "read", lambda _: events)
    commit(settings, "bbbb")
    assert [each.applied for each in settle(settings, "production")] == [(), (FILE,)]


def test_while_a_deployment_is_under_way_nothing_is_settled(settings: Settings) -> None:
    left = leave_running(settings)
    applied(settings)
    with (
        only_deployment(settings.conninfo("production"), "production", "cccc"),
        pytest.raises(RefusedError, match="another deployment is under way"),
    ):
        settle(settings, "production")
    assert left.exists()


def test_what_cannot_be_asked_stays_running(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    left = leave_running(settings)
    applied(settings)
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", "postgresql://127.0.0.1:1/app")
    with pytest.raises(RefusedError, match="production cannot be reached"):
        settle(settings, "production")
    assert left.exists()


def test_what_only_reads_needs_no_database(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_running(settings, act="backup_prod")
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", "postgresql://127.0.0.1:1/app")
    (settled,) = settle(settings, "production")
    assert settled.path.stem.endswith("-backup_prod-CUT-OFF")


NUMBER_OF = "SELECT oid::bigint FROM pg_database WHERE datname = %s"
APPLIED = "The run was cut off; the backup has taken the database's place; the former one is {}."


def swapping(settings: Settings, former: str, restored: str) -> None:
    """Note in the journal that a run is about to swap; `restored` is a database's name, or "" for one that is gone."""
    with psycopg.connect(settings.conninfo("production")) as connection:
        number = connection.execute(NUMBER_OF, (restored or "template0",)).fetchone()
    begin(settings, "aaaa", act="restore_prod")
    facts = {"former": former, "restored": number[0] if number and restored else 3}  # 3: no database has it
    journal.write(journal.path_of(settings, "production"), "aaaa", "swapping", **facts)


@pytest.mark.parametrize(
    ("former", "restored", "word", "words"),
    [
        ("template1", "template0", "CUT-OFF-APPLIED", APPLIED),  # it has its new name
        ("dropped_since", "production", "CUT-OFF-APPLIED", APPLIED),  # the restored one has production's
        ("never_renamed", "template0", "CUT-OFF", "The run was cut off before it changed anything."),
    ],
)
def test_whether_a_swap_happened_is_asked_of_the_server(
    settings: Settings, former: str, restored: str, word: str, words: str
) -> None:
    left = leave_running(settings, "restore_prod")
    name = settings.conninfo("production").split("/")[3].split("?")[0]
    swapping(settings, former, name if restored == "production" else restored)
    with psycopg.connect(settings.conninfo("production")) as connection:
        (run,) = journal.unended(journal.path_of(settings, "production"), connection)
    assert (f"the former one is {former}" in run.words) is (word == "CUT-OFF-APPLIED")
    (settled,) = settle(settings, "production")
    assert settled.words == words.format(former)
    assert settled.path.name == left.name.replace("RUNNING", word)


def test_a_swap_of_which_no_database_is_left_is_not_settled(settings: Settings) -> None:
    left = leave_running(settings, "restore_prod")
    swapping(settings, "dropped_since", "")
    with pytest.raises(RefusedError, match="whether the swap happened cannot be learned: neither dropped_since nor"):
        settle(settings, "production")
    assert left.exists()
