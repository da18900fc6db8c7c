"""A recorded run killed at any moment: its record says INCOMPLETE until it is settled, and then what the database says.

A table of verbs × moments × victims. By default a part of it runs.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from safemig.fault_points import FaultPoint
from safemig.records import read_archive
from safemig.records.outcome import INCOMPLETE
from safemig.results import RecordEntry
from tests.operations.conftest import Shop, approval_of
from tests.operations.striking import kill_command, wait_until_alone
from tests.tables import part_of

FILE = "20260102000000_note.sql"
SQL = "ALTER TABLE users ADD COLUMN IF NOT EXISTS note text;"
HAS_NOTE = "SELECT 1 FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'note' AND NOT attisdropped"


def generate(shop: Shop) -> list[str]:
    shop.on(shop.staging, SQL)
    return ["generate", "add a note"]


def backup_prod(shop: Shop) -> list[str]:
    return ["backup-prod"]


def migrate_staging(shop: Shop) -> list[str]:
    shop.write(FILE, SQL)
    return ["migrate-staging"]


def migrate_prod(shop: Shop) -> list[str]:
    shop.write(FILE, SQL)
    return ["migrate-prod", "--approve", shop.project.plan().id]


def rollback_prod(shop: Shop) -> list[str]:
    shop.write(FILE, SQL)
    shop.deploy()
    return ["rollback-prod", "--approve", approval_of(shop.project.rollback_prod)]


def restore_prod(shop: Shop) -> list[str]:
    shop.project.backup_prod()
    shop.on(shop.production, "DELETE FROM orders")
    return ["restore-prod", "--swap", "--approve", approval_of(lambda: shop.project.restore_prod(swap=True))]


def sync_prod(shop: Shop) -> list[str]:
    shop.on(shop.production, "TRUNCATE users, orders")
    shop.on(shop.staging, SQL)
    return ["sync-prod", "--approve", approval_of(shop.project.sync_prod)]


def is_changed(shop: Shop, act: str) -> bool:
    """Tell what the database says of it."""
    match act:
        case "generate" | "backup_prod":
            return False
        case "restore_prod":
            return shop.on(shop.production, "SELECT count(*) FROM orders") != [(0,)]
        case "rollback_prod":
            return not shop.on(shop.production, HAS_NOTE)
        case _:
            return bool(shop.on(shop.staging if act == "migrate_staging" else shop.production, HAS_NOTE))


# Moments within the kernel: when it first comes there.
TRANSACTION = [
    FaultPoint.STATEMENT_BEGINS,
    FaultPoint.RUN_ROW_WRITTEN,
    FaultPoint.COMMIT_BEGINS,
    FaultPoint.COMMITTED,
    FaultPoint.COMMIT_NOTED,
]
MOMENTS = {
    generate: [FaultPoint.SHADOW_BEGINS, FaultPoint.FILES_PROVEN, FaultPoint.FILE_BEGINS, FaultPoint.FILE_WRITTEN],
    backup_prod: [FaultPoint.FULL_DUMP_BEGINS, FaultPoint.FULL_DUMP_WRITTEN, FaultPoint.BACKUP_READ_BACK],
    migrate_staging: [FaultPoint.ASSESSED, FaultPoint.SHADOW_BEGINS, *TRANSACTION],
    migrate_prod: [
        FaultPoint.PREFLIGHT_BEGINS,
        FaultPoint.PREFLIGHT_DONE,
        FaultPoint.FULL_DUMP_WRITTEN,
        FaultPoint.COPY_STATEMENTS_BEGIN,
        FaultPoint.ROLLBACK_SCRIPT_WRITTEN,
        *TRANSACTION,
        FaultPoint.VALIDATION_BEGINS,
    ],
    rollback_prod: [
        FaultPoint.SCRIPT_READ,
        FaultPoint.ROLLBACK_REHEARSAL_BEGINS,
        FaultPoint.APPROVED,
        *TRANSACTION,
        FaultPoint.VALIDATION_BEGINS,
    ],
    restore_prod: [
        FaultPoint.BACKUP_CHECKED,
        FaultPoint.COMPARE_BEGINS,
        FaultPoint.APPROVED,
        FaultPoint.SWAP_COMMIT_BEGINS,
        FaultPoint.SWAP_COMMITTED,
        FaultPoint.SWAPPED,
    ],
    sync_prod: [FaultPoint.APPROVED, FaultPoint.BACKUP_TAKEN, *TRANSACTION],
}
# Moments of the process that records, with the count of the time.
RECORDING = [
    (FaultPoint.RECORD_CLAIMED, 1),
    (FaultPoint.KERNEL_BEGINS, 1),
    (FaultPoint.RECORD_CELL_WRITTEN, 3),
    (FaultPoint.RECORD_CELL_BEGINS, 5),
    (FaultPoint.RECORD_FINISH_BEGINS, 1),
    (FaultPoint.RECORD_WRITTEN, 1),
    (FaultPoint.PAGE_WRITTEN, 1),
    (FaultPoint.SEALED, 1),
]
UNCHANGING = ("generate", "backup_prod")  # of a database
VICTIMS = ("kernel", "recorder", "both")
Case = tuple[Callable[[Shop], list[str]], FaultPoint, int, str]
CASES: list[Case] = [
    (prepare, point, 1, victim) for prepare, points in MOMENTS.items() for point in points for victim in VICTIMS
] + [(prepare, *moment, "process") for prepare in MOMENTS for moment in RECORDING]
PART = {
    ("migrate_prod", FaultPoint.COMMITTED, "kernel"),
    ("migrate_prod", FaultPoint.COMMIT_BEGINS, "recorder"),
    ("migrate_prod", FaultPoint.VALIDATION_BEGINS, "both"),
    ("restore_prod", FaultPoint.SWAP_COMMITTED, "both"),
    ("restore_prod", FaultPoint.COMPARE_BEGINS, "kernel"),
    ("rollback_prod", FaultPoint.COMMIT_NOTED, "kernel"),
    ("sync_prod", FaultPoint.COMMITTED, "both"),
    ("migrate_staging", FaultPoint.PAGE_WRITTEN, "process"),
    ("backup_prod", FaultPoint.SEALED, "process"),
    ("generate", FaultPoint.FILE_WRITTEN, "recorder"),
    ("backup_prod", FaultPoint.RECORD_CLAIMED, "process"),
}


def in_the_part(case: Case) -> bool:
    """Tell whether the default run has this case."""
    prepare, point, _, victim = case
    return (prepare.__name__, point, victim) in PART


def named(case: Case) -> str:
    """Return what a case is, for people."""
    prepare, point, _, victim = case
    return f"{prepare.__name__}: {victim} {point.value}"


def test_the_part_that_is_run_is_of_the_table() -> None:
    assert sum(map(in_the_part, CASES)) == len(PART)


def newest(shop: Shop, act: str) -> RecordEntry:
    """Return the newest record of an act."""
    return next(each for each in read_archive(shop.folder / "records").records if each.act == act)


@pytest.mark.parametrize(("prepare", "point", "count", "victim"), part_of(CASES, in_the_part, named))
def test_a_killed_run_s_record_says_what_the_database_says(
    shop: Shop, temporary: Path, prepare: Callable[[Shop], list[str]], point: FaultPoint, count: int, victim: str
) -> None:
    act = prepare.__name__
    command = prepare(shop)
    kill_command(shop, temporary, command, point, count, victim)
    wait_until_alone(shop)
    changed = is_changed(shop, act)
    left = newest(shop, act)
    if left.verdict != INCOMPLETE:  # who was left alone had come to the end
        assert left.integrity == "sealed"
        assert changed is (act not in UNCHANGING)
    done = subprocess.run(
        [sys.executable, "-m", "safemig", "records", "--settle", "--verify"],
        cwd=shop.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    settled = newest(shop, act)
    assert settled.integrity == "sealed"
    if settled.verdict in ("CUT-OFF", "CUT-OFF-APPLIED"):
        assert (settled.verdict == "CUT-OFF-APPLIED") is changed
    else:
        assert changed is (act not in UNCHANGING)
    if left.verdict != INCOMPLETE:
        assert settled == left
    stamp = settled.path.stem.partition("-")[0]
    files = {path.name for path in settled.path.parent.iterdir() if stamp in path.name}
    assert files == {settled.path.name, f"{settled.path.stem}.html"}, "nothing else is left of it"
    if act == "generate":  # killed at whatever moment: the next one goes on, and what it wrote then is all of it
        shop.project.generate("add a note again")
        assert shop.project.generate("nothing").path is None
