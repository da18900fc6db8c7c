"""The outcome is told even where telling it fails: a full disk, a read-only folder, a lock, a page that cannot be drawn."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from safemig.errors import DeploymentStoppedError, SafemigError, SettingsError
from safemig.execution import journal
from safemig.fault_points import FaultPoint
from safemig.records import read_archive
from tests.operations.conftest import Shop, approval_of
from tests.operations.striking import run_code_at
from tests.operations.test_killed_records import (
    FILE,
    SQL,
    is_changed,
    migrate_prod,
    migrate_staging,
    restore_prod,
    rollback_prod,
    sync_prod,
)
from tests.tables import part_of

Prepare = Callable[[Shop], list[str]]
NO_SPACE = "No space left on device"


def baseline_prod(shop: Shop) -> list[str]:
    shop.write(FILE, SQL)
    shop.on(shop.production, SQL)
    return ["baseline-prod", "--approve", approval_of(shop.project.baseline_prod)]


def filling(disk: Path) -> str:
    """Return code that leaves not a byte on a disk; what is there already has no room in its last block either."""
    return f"""
import glob, os
for each in glob.glob({str(disk)!r} + "/*/journal.jsonl"):
    with open(each, "a") as file:
        file.write(" " * (4096 - os.path.getsize(each) % 4096 - 1) + "\\n")
with open({str(disk / "filler")!r}, "wb", buffering=0) as file:
    try:
        while True:
            file.write(bytes(1 << 20))
    except OSError:
        pass
    try:
        while True:
            file.write(bytes(1))
    except OSError:
        pass
"""


@pytest.fixture
def disk(shop: Shop, small_disk: Callable[[int], Path]) -> Path:
    """A small disk that holds the shop's records."""
    folder = small_disk(80)  # the pre-flight wants 64
    (shop.folder / "safemig.toml").write_text(f"records = '{folder}'\n")
    return folder


def settle(shop: Shop) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "safemig", "records", "--settle", "--verify"],
        cwd=shop.folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


COMMITS = [
    (migrate_prod, FaultPoint.COMMITTED),
    (migrate_staging, FaultPoint.COMMITTED),
    (rollback_prod, FaultPoint.COMMITTED),
    (sync_prod, FaultPoint.COMMITTED),
    (baseline_prod, FaultPoint.COMMITTED),
    (restore_prod, FaultPoint.SWAPPED),
]


@pytest.mark.parametrize(
    ("prepare", "commit"), part_of(COMMITS, [COMMITS[0], COMMITS[-1]], lambda case: case[0].__name__)
)
def test_a_disk_that_fills_up_after_the_commit(
    shop: Shop, temporary: Path, disk: Path, prepare: Prepare, commit: FaultPoint
) -> None:
    done = run_code_at(shop, temporary, prepare(shop), commit, filling(disk))
    assert "Traceback" not in done.stdout + done.stderr
    assert (done.returncode, NO_SPACE in done.stderr) == (4, True), done.stderr
    assert "DeploymentStopped: applied; the record could not be written: No space left on device" in done.stderr
    assert "next: free space, then safemig records --settle" in done.stderr
    assert prepare is baseline_prod or is_changed(shop, prepare.__name__)
    (disk / "filler").unlink()
    settled = settle(shop)
    assert settled.returncode == 0, settled.stdout + settled.stderr
    newest = read_archive(disk, verify=True).records[0]
    assert (newest.act, newest.integrity) == (prepare.__name__, "intact")
    assert newest.verdict == "CUT-OFF-APPLIED"


@pytest.fixture
def unlocked(disk: Path) -> Iterator[Path]:
    """The disk, writable again at the end."""
    yield disk
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=False, capture_output=True)


HOLD = """
import fcntl
import safemig.chain
safemig.chain.PATIENCE_S = 0.5
safemig.chain.held = open({disk!r} + "/production/.lock", "a")
fcntl.flock(safemig.chain.held, fcntl.LOCK_EX)
"""
NO_LOCKS = """
import fcntl
def refuse(*_):
    import errno
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = refuse
"""
NO_PAGE = """
import safemig.records.page
def refuse(*_):
    raise RuntimeError("no such template")
safemig.records.page.draw_page = refuse
"""
READ_ONLY = "import subprocess; subprocess.run(['mount', '-o', 'remount,ro', {disk!r}], check=True)"
INTERRUPT = "raise KeyboardInterrupt"


UNFINISHED = [
    (READ_ONLY, "Read-only file system", "make its folder writable"),
    (HOLD, "another process has held its lock for", "correct it"),
    (NO_LOCKS, "No locks available", "correct it"),
    (NO_PAGE, "RuntimeError: no such template", "correct it"),
    (INTERRUPT, "interrupted", "let it come to its end"),
]


@pytest.mark.skipif(os.geteuid() != 0, reason="remounting a disk needs root")
@pytest.mark.parametrize(
    ("code", "words", "cure"), part_of(UNFINISHED, [UNFINISHED[0], UNFINISHED[-1]], lambda case: case[1])
)
def test_a_record_that_cannot_be_finished_after_the_commit(
    shop: Shop, temporary: Path, unlocked: Path, code: str, words: str, cure: str
) -> None:
    command, code = migrate_prod(shop), code.format(disk=str(unlocked))
    done = run_code_at(shop, temporary, command, FaultPoint.RECORD_WRITTEN, code)
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 4, done.stderr
    assert "DEPLOYED · production" in done.stdout, "what was done is shown as ever"
    assert f"applied; the record could not be written: {words}" in done.stderr
    assert f"applied: {FILE}" in done.stderr
    assert f"next: {cure}, then safemig records --settle" in done.stderr
    subprocess.run(["mount", "-o", "remount,rw", str(unlocked)], check=True)
    settled = settle(shop)
    assert settled.returncode == 0, settled.stdout + settled.stderr
    newest = read_archive(unlocked, verify=True).records[0]
    assert (newest.verdict, newest.integrity) == ("DEPLOYED", "intact"), "the notebook was written, and tells its end"


FULL_AT = [
    FaultPoint.RECORD_BEGINS,
    FaultPoint.CELLS_BEGIN,
    FaultPoint.PREFLIGHT_DONE,
    FaultPoint.BACKUP_TAKEN,
    FaultPoint.APPROVAL_GIVEN,
]


@pytest.mark.parametrize("point", part_of(FULL_AT, [FaultPoint.BACKUP_TAKEN], lambda point: point.name))
def test_a_disk_that_is_full_before_anything_is_changed(
    shop: Shop, temporary: Path, disk: Path, point: FaultPoint
) -> None:
    command, before = migrate_prod(shop), shop.state()
    done = run_code_at(shop, temporary, command, point, filling(disk))
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode in (1, 2), done.stderr
    assert NO_SPACE in done.stderr
    assert "nothing was changed" in done.stderr
    assert shop.state() == before
    (disk / "filler").unlink()
    assert settle(shop).returncode == 0
    again = subprocess.run(
        [sys.executable, "-m", "safemig", *command], cwd=shop.folder, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("fails", part_of(["stdout", "stderr", "both"], ["both"], str))
def test_an_output_that_cannot_be_written_changes_no_exit_code(shop: Shop, fails: str) -> None:
    with Path("/dev/full").open("wb") as full:
        streams = {name: full if fails in (name, "both") else subprocess.PIPE for name in ("stdout", "stderr")}
        command = [sys.executable, "-m", "safemig", *migrate_prod(shop)]
        done = subprocess.run(command, cwd=shop.folder, check=False, timeout=120, **streams)
    assert done.returncode == 0, done.stderr
    assert is_changed(shop, "migrate_prod")
    assert read_archive(shop.folder / "records", verify=True).records[0].verdict == "DEPLOYED"


def test_a_listener_that_hangs_up_ends_no_deployment(shop: Shop) -> None:
    command = " ".join([sys.executable, "-m", "safemig", *migrate_prod(shop)])
    shell = f"set -o pipefail; {command} 2>&1 | head -n 1"
    done = subprocess.run(["bash", "-c", shell], cwd=shop.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, is_changed(shop, "migrate_prod")) == (0, True), done.stderr


def test_any_other_command_tells_a_fault_of_a_disk_without_traceback(shop: Shop) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "safemig", "status"], cwd=shop.folder, stdout=full, stderr=subprocess.PIPE,
            text=True, check=False,
        )  # fmt: skip
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert f"File: a file or folder cannot be used: {NO_SPACE}" in done.stderr


@pytest.mark.parametrize(
    ("full_at", "error"),
    [(1, SettingsError), (2, DeploymentStoppedError), (3, DeploymentStoppedError)],
)
def test_a_journal_that_fills_up_between_statements_that_stay_says_what_is_applied(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, full_at: int, error: type[SafemigError]
) -> None:
    """Of statements that refuse a transaction, the first one stays: exit 2, "nothing was tried", would be false then."""
    shop.write(FILE, "CREATE INDEX CONCURRENTLY a ON users (email);\nCREATE INDEX CONCURRENTLY b ON users (legacy);")
    real, begun = journal.write, []

    def write(path: Path, run_id: str, event: journal.Event, **facts: object) -> None:
        if event == "step" and facts["state"] == "running":
            begun.append(event)
        if len(begun) >= full_at or (full_at == 3 and event == "committing"):
            raise SettingsError(f"the journal cannot be written: {NO_SPACE}")
        real(path, run_id, event, **facts)

    monkeypatch.setattr(journal, "write", write)
    with pytest.raises(error) as raised:
        shop.deploy()
    indexes = "SELECT relname FROM pg_class WHERE relname IN ('a', 'b') ORDER BY 1"
    made = [name for (name,) in shop.on(shop.production, indexes)]
    assert made == ["a", "b"][: full_at - 1]
    assert NO_SPACE in raised.value.what
    if made:
        assert "migrate-prod --resume" in str(raised.value.next)
