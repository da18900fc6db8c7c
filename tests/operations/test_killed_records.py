"""A recorded run killed at any moment: its record says INCOMPLETE until it is settled, and then what the database says.

A table of verbs × moments × victims. By default a part of it runs; SAFEMIG_THOROUGH=1 runs the whole.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from safemig.records import read_archive
from safemig.records.outcome import INCOMPLETE
from safemig.results import RecordEntry
from tests.operations.conftest import Shop, approval_of
from tests.operations.killing import kill_command, wait_until_alone

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


# Moments within the kernel: before or after the first call of it.
TRANSACTION = [
    ("safemig.execution.transaction:run_steps", "before"),
    ("safemig.execution.run:Run.record", "after"),
    ("safemig.execution.transaction:commit", "before"),
    ("safemig.execution.transaction:commit", "after"),
    ("safemig.execution.run:Run.note_what_is_done", "after"),
]
MOMENTS = {
    generate: [
        ("safemig.operations.generate:open_shadow", "before"),
        ("safemig.operations.generate:_prove", "after"),
        ("safemig.operations.generate:write_new", "before"),
        ("safemig.operations.generate:write_new", "after"),
    ],
    backup_prod: [
        ("safemig.operations.backup_prod:write_full_dump", "before"),
        ("safemig.operations.backup_prod:write_full_dump", "after"),
        ("safemig.operations.backup_prod:read_back", "after"),
    ],
    migrate_staging: [
        ("safemig.operations.migrate_staging:assess", "after"),
        ("safemig.operations.migrate_staging:open_shadow", "before"),
        *TRANSACTION,
    ],
    migrate_prod: [
        ("safemig.operations.migrate_prod:preflight", "before"),
        ("safemig.operations.migrate_prod:preflight", "after"),
        ("safemig.operations.backup_prod:write_full_dump", "after"),
        ("safemig.operations.rehearse:observe_steps", "before"),
        ("safemig.operations.rehearse:write_new", "after"),
        *TRANSACTION,
        ("safemig.operations.migrate_prod:count_rows", "before"),
    ],
    rollback_prod: [
        ("safemig.operations.rollback_prod:read_script", "after"),
        ("safemig.operations.rollback_prod:_rehearse", "before"),
        ("safemig.operations.rollback_prod:_approve", "after"),
        *TRANSACTION,
        ("safemig.operations.rollback_prod:count_rows", "before"),
    ],
    restore_prod: [
        ("safemig.operations.restore_prod:read_back", "after"),
        ("safemig.operations.restore_prod:content_of", "before"),
        ("safemig.operations.restore_prod:_approve", "after"),
        ("safemig.backups.swap:_commit", "before"),
        ("safemig.backups.swap:_commit", "after"),
        ("safemig.operations.restore_prod:exchange_names", "after"),
    ],
    sync_prod: [
        ("safemig.operations.sync_prod:_approve", "after"),
        ("safemig.operations.sync_prod:backup_prod", "after"),
        *TRANSACTION,
    ],
}
# Moments of the process that records: (where, before or after, which call).
RECORDING = [
    ("safemig.records.run:_claim", "after", 1),
    ("safemig.records.kernel:own_kernel", "after", 1),
    ("safemig.records.writing:RecordWriter.write", "after", 3),
    ("safemig.records.writing:write_atomically", "before", 5),
    ("safemig.records.run:_finish", "before", 1),
    ("safemig.records.run:write_atomically", "after", 2),
    ("safemig.records.ledger:seal", "before", 1),
    ("safemig.records.ledger:seal", "after", 1),
]
UNCHANGING = ("generate", "backup_prod")  # of a database
VICTIMS = ("kernel", "recorder", "both")
CASES = [
    (prepare, where, when, 1, victim)
    for prepare, moments in MOMENTS.items()
    for where, when in moments
    for victim in VICTIMS
] + [(prepare, *moment, "cli") for prepare in MOMENTS for moment in RECORDING]
PART = {
    ("migrate_prod", "commit", "after", "kernel"),
    ("migrate_prod", "commit", "before", "recorder"),
    ("migrate_prod", "count_rows", "before", "both"),
    ("restore_prod", "_commit", "after", "both"),
    ("restore_prod", "content_of", "before", "kernel"),
    ("rollback_prod", "Run.note_what_is_done", "after", "kernel"),
    ("sync_prod", "commit", "after", "both"),
    ("migrate_staging", "seal", "before", "cli"),
    ("backup_prod", "seal", "after", "cli"),
    ("generate", "write_new", "after", "recorder"),
    ("backup_prod", "_claim", "after", "cli"),
}


def named(case: tuple[Callable[[Shop], list[str]], str, str, int, str]) -> tuple[str, str, str, str]:
    """Return what a case is, for people and for `PART`."""
    prepare, where, when, _, victim = case
    return prepare.__name__, where.partition(":")[2], when, victim


RUN = CASES if os.environ.get("SAFEMIG_THOROUGH") else [case for case in CASES if named(case) in PART]


def test_the_part_that_is_run_is_of_the_table() -> None:
    assert {named(case) for case in CASES} >= PART


def newest(shop: Shop, act: str) -> RecordEntry:
    """Return the newest record of an act."""
    return next(each for each in read_archive(shop.folder / "records").records if each.act == act)


@pytest.mark.parametrize("case", RUN, ids=lambda case: "-".join(named(case)))
def test_a_killed_run_s_record_says_what_the_database_says(
    shop: Shop, temporary: Path, case: tuple[Callable[[Shop], list[str]], str, str, int, str]
) -> None:
    prepare, where, when, count, victim = case
    act = prepare.__name__
    command = prepare(shop)
    kill_command(shop, temporary, command, where, when, count, victim)
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
