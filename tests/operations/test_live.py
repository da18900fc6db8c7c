"""What an act tells of itself while it goes: its stages, its steps, who keeps it waiting; and what an interrupt leaves."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from safemig import live, result
from safemig.errors import DeploymentFailedError, DeploymentStoppedError, RefusedError
from safemig.results import Live
from safemig.views.of_live import lines_between
from tests.operations.conftest import Shop

pytestmark = pytest.mark.measures_drift

FILE = "20260102000000_note.sql"
SQL = "ALTER TABLE users ADD COLUMN IF NOT EXISTS note text;"
INDEX_FILE = "20260103000000_index.sql"
INDEX = "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_legacy ON users (legacy);"


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Live | None]]:
    """Everything that an onlooker is told."""
    told: list[Live | None] = []
    monkeypatch.setattr(result, "_find_listener", lambda: told.append)
    yield told
    assert not live.is_watched()


def lines(moments: list[Live | None]) -> list[str]:
    """Return what a log would say of it."""
    before, said = None, []
    for each in moments:
        if each is not None:
            said += lines_between(before, each)
        before = each
    return said


def test_backup_rehearsal_and_deployment_tell_their_stages_and_steps(shop: Shop, moments: list[Live | None]) -> None:
    shop.write(FILE, SQL)
    shop.deploy()
    acts = [each.act for each in moments if each]
    assert [each for each, _ in itertools.groupby(acts)] == [
        "plan",
        "preflight",
        "review",
        "plan",
        "backup",
        "rehearse",
        "deploy",
        "validate",
    ]
    assert moments.count(None) == 8, "each act ends"
    said = lines(moments)
    for begin, end in (
        ("backup · full backup: done in ", ", 1,200 rows"),
        ("backup · schema backup: done in ", "s"),
        ("rehearse · restore the copy: done in ", ", 1,200 rows"),
        ("rehearse · compare the copy with the backup: done in ", ", 1,200 rows"),
        ("rehearse · step 1 of 1 ran in ", "ADD COLUMN IF NOT EXISTS note text"),
        ("rehearse · roll the copy back, and compare: done in ", "rows"),
        ("deploy · step 1 of 1 ran in ", "ADD COLUMN IF NOT EXISTS note text"),
        ("validate · count the rows: done in ", "rows"),
    ):
        assert len([line for line in said if line.startswith(begin) and line.endswith(end)]) == 1, (begin, said)
    assert len([line for line in said if " · step " in line]) == 2, "what the shadow replays is a stage, no steps"


def _generate(shop: Shop) -> None:
    shop.on(shop.staging, SQL)
    shop.project.generate("note")


def _restore(shop: Shop) -> None:
    backup = shop.project.backup_prod()
    restored = shop.project.restore_prod(backup.timestamp, ask=lambda _: "")  # the id is only asked for by a swap
    plan = re.search("[0-9a-f]{12}", _refused(lambda: shop.project.restore_prod(swap=True)))
    assert plan
    swapped = shop.project.restore_prod(swap=True, approve=plan[0])
    assert (restored.swapped, swapped.swapped) == (False, True)
    assert shop.project.restore_prod(swap=True, approve=plan[0]).kept_as == swapped.kept_as
    shop.on(shop.staging, f"DROP DATABASE {swapped.kept_as} WITH (FORCE)")


def _refused(act: Callable[[], object]) -> str:
    with pytest.raises(RefusedError) as caught:
        act()
    return "\n".join(caught.value.lines)


THROWAWAY = ("start a throwaway PostgreSQL", "look for a server that has what the database uses")
PLANNING = "look at its locks, its rights and what a copy cannot show"
REPLAY = "replay 20260101000000_first.sql on it"


@pytest.mark.parametrize(
    ("act", "run", "stages"),
    [
        ("review", lambda shop: shop.project.review(), ("read production", "review what is pending")),
        (
            "plan",
            lambda shop: shop.project.plan(),
            ("read production", PLANNING),
        ),
        ("preflight", lambda shop: shop.project.preflight(), ("ask production and this machine", *THROWAWAY, REPLAY)),
        (
            "generate",
            _generate,
            (
                *THROWAWAY,
                REPLAY,
                "read staging",
                "prove the files on copies of it",
                "try the files on a copy with rows",
            ),
        ),
        (
            "migrate_staging",
            lambda shop: shop.project.migrate_staging(),
            ("read staging", PLANNING, *THROWAWAY, REPLAY, f"replay {FILE} on it"),
        ),
        ("db_status", lambda shop: shop.project.db_status(), ("read staging", *THROWAWAY, REPLAY, "read production")),
        (
            "restore_prod",
            _restore,
            (
                "read the backup",
                "restore beside",
                "compare with the backup",
                "end the sessions, and exchange the names",
                "read what production holds",
            ),
        ),
    ],
)
def test_every_long_step_tells_its_stage_and_time(
    shop: Shop, moments: list[Live | None], act: str, run: Callable[[Shop], object], stages: tuple[str, ...]
) -> None:
    if act != "generate":
        shop.write(FILE, SQL)
    run(shop)
    seen = {stage.name: stage for each in moments if each and each.act == act for stage in each.stages}
    assert list(seen) == list(stages)
    assert {stage.state for stage in seen.values()} == {"done"}
    assert sum(stage.seconds for stage in seen.values()) > 0.01


def test_where_nobody_looks_on_nothing_is_started(shop: Shop) -> None:
    shop.write(FILE, SQL)
    threads: set[str] = set()
    run = shop.project.deployment(approve=shop.project.plan().id, ask=None)
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        threads.add(thread.name)
        real(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve, run.deploy):
            step()
    assert not threads & {"safemig-live", "safemig watch"}


@pytest.mark.parametrize(("file", "sql"), [(FILE, SQL), (INDEX_FILE, INDEX)], ids=["in a transaction", "apart"])
def test_who_blocks_is_shown_while_it_waits(shop: Shop, moments: list[Live | None], file: str, sql: str) -> None:
    shop.write(file, sql)
    (shop.folder / "safemig.toml").write_text("lock_attempts = 1000\n")
    project = shop.project
    run = project.deployment(approve=project.plan().id)
    for step in (run.preflight, run.review, run.plan, run.backup, run.rehearse, run.approve):
        step()
    blocker = psycopg.connect(shop.production, application_name="checkout")
    blocker.execute("UPDATE users SET legacy = legacy WHERE id = 1")

    def release_once_seen() -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end and not any(each and each.blockers for each in moments):
            time.sleep(0.05)
        blocker.rollback()
        blocker.close()

    releaser = threading.Thread(target=release_once_seen)
    releaser.start()
    assert run.deploy().verdict == "DEPLOYED"
    releaser.join()
    (seen,) = next(each.blockers for each in moments if each and each.blockers)
    assert (seen.user, seen.application, seen.state) == ("postgres", "checkout", "idle in transaction")
    assert seen.query == "UPDATE users SET legacy = legacy WHERE id = 1"
    assert seen.transaction_s is not None
    waiting = next(each for each in moments if each and each.blockers)
    assert waiting.render("text").startswith("WAITING FOR A LOCK · deploy · step 1 of 1")
    assert any("waits for a lock: blocked by pid" in line and "checkout" in line for line in lines(moments))


def test_a_listener_that_fails_does_not_harm_the_act(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda failed: failures.append(str(failed.exc_value)))

    def fail(_: Live | None) -> None:
        raise RuntimeError("the notebook is gone")

    monkeypatch.setattr(result, "_find_listener", lambda: fail)
    shop.write(FILE, SQL)
    assert shop.deploy().verdict == "DEPLOYED"
    assert set(failures) == {"the notebook is gone"}


def test_many_quick_steps_are_a_few_moments(shop: Shop, moments: list[Live | None]) -> None:
    shop.write(FILE, "\n".join(f"CREATE TABLE IF NOT EXISTS t{i} (id bigint PRIMARY KEY);" for i in range(60)))
    began = time.monotonic()
    shop.project.migrate_staging()
    told = [each for each in moments if each]
    assert len(told) < 8 * (time.monotonic() - began)
    assert told[-1].steps[-1].state == "ran"
    assert len(told[-1].render("html")) < 20_000


INTERRUPTED = """
import sys, safemig
from safemig.errors import SafemigError
project = safemig.Project.open(sys.argv[1])
try:
    project.migrate_prod(approve=project.plan().id)
except SafemigError as error:
    print(type(error).__name__, error, sep="\\n")
"""


@pytest.mark.parametrize(
    ("files", "raised", "words"),
    [
        ({FILE: SQL}, DeploymentFailedError, "rolled back, nothing was changed"),
        (
            {FILE: "CREATE TABLE IF NOT EXISTS t (id bigint PRIMARY KEY);", INDEX_FILE: INDEX},
            DeploymentStoppedError,
            FILE,
        ),
    ],
    ids=["nothing is applied", "a part is applied"],
)
def test_an_interrupt_says_in_what_state_things_are(
    shop: Shop, files: dict[str, str], raised: type[Exception], words: str
) -> None:
    for name, sql in files.items():
        shop.write(name, sql)
    (shop.folder / "safemig.toml").write_text("lock_attempts = 10000\n")
    with psycopg.connect(shop.production) as blocker:
        blocker.execute("UPDATE users SET legacy = legacy WHERE id = 1")
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, str(shop.folder)], stdout=subprocess.PIPE, text=True
        )
        waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'safemig%'"
        end = time.monotonic() + 60
        while not shop.on(shop.production, waits):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(2)
        said = process.communicate(timeout=30)[0]
    assert said.splitlines()[0] == raised.__name__
    assert "interrupted" in said
    assert words in said, said
    if "DROP INDEX CONCURRENTLY public.users_legacy" in said:  # who blocked the build blocks its removal
        shop.on(shop.production, "DROP INDEX CONCURRENTLY public.users_legacy")
    assert shop.on(shop.production, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
    assert shop.deploy().verdict == "DEPLOYED"
