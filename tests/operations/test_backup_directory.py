"""Backups in pg_dump's directory format: the same guarantees as those in SQL, file by file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from safemig.backups.manifest import find_backup, remove_old
from safemig.errors import BackupError, RefusedError, ToolError
from safemig.fault_points import FaultPoint
from safemig.operations import backup_prod as operation
from safemig.operations.backup_prod import take_backup
from safemig.operations.deploy_help import deploy_help
from safemig.operations.migrate_prod import ProductionDeployment
from safemig.postgres.dump.directory import _has_zstd
from safemig.postgres.dump.plain import read_back, tools
from safemig.postgres.dump.reader import LARGE_OBJECTS
from safemig.postgres.server.programs import PROGRAMS_VARIABLE, find_programs, server_programs
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.results import Live
from safemig.views.of_backup import by_hand
from tests.operations.conftest import Shop
from tests.operations.striking import kill_at, wait_until_alone
from tests.operations.test_live import moments as moments
from tests.tables import part_of

SECOND_FILE = "20260102000000_second.sql"
SECOND = "ALTER TABLE users ADD COLUMN IF NOT EXISTS active boolean NOT NULL DEFAULT true;"


@pytest.fixture(autouse=True)
def directory(shop: Shop) -> None:
    """The shop's backups are in that format; production has large objects, too."""
    configure(shop)
    shop.on(shop.production, "SELECT lo_from_bytea(0, decode(repeat('00ff', 5000), 'hex')), lo_from_bytea(0, '')")


def configure(shop: Shop, form: str = "directory", more: str = "") -> None:
    """Set the format of backups."""
    (shop.folder / "safemig.toml").write_text(f'backup_format = "{form}"\nbackup_jobs = 2\n{more}\n')


def test_files_manifest_and_modes(shop: Shop) -> None:
    backup = shop.project.backup_prod()
    stamp = backup.timestamp
    assert sorted(path.name for path in shop.backups.iterdir()) == [
        f"backup_cluster_{stamp}.sql", f"backup_full_{stamp}", f"backup_schema_{stamp}.sql", f"manifest_{stamp}.json",
    ]  # fmt: skip
    full = backup.full.path
    assert full.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in full.iterdir()} == {0o600}
    described = json.loads(backup.manifest.read_text())["files"]["full"]
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(full.iterdir())]
    assert described["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert [f"{part['sha256']}  {part['name']}\n" for part in described["parts"]] == lines
    assert described["size_bytes"] == sum(path.stat().st_size for path in full.iterdir())
    assert "public.orders" in {part["table"] for part in described["parts"]}
    assert find_backup(shop.project.settings, "production") == backup


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_it_holds_what_a_plain_one_holds_and_comes_back(shop: Shop, server: ThrowawayServer, compression: str) -> None:
    configure(shop, "plain", f'compression = "{compression}"')
    plain = shop.project.backup_prod()
    assert plain.tables == read_back(plain.full)
    configure(shop, more=f'compression = "{compression}"')
    backup = shop.project.backup_prod()
    assert backup.tables == plain.tables == read_back(backup.full)
    assert {table.name: table.rows for table in backup.tables}[LARGE_OBJECTS] == 2
    told = compression == "zstd" and not _has_zstd(server_programs())
    suffix = {"none": ".dat", "gzip": ".gz", "zstd": ".gz" if told else ".zst"}[compression]
    assert {Path(part.name).suffix for part in backup.full.parts if part.table} == {suffix}
    assert [note for note in backup.notes if "has no zstd" in note] == list(backup.notes)
    assert bool(backup.notes) is told
    shop.on(shop.production, "DELETE FROM orders")
    restored = shop.project.restore_prod()
    assert restored.tables == backup.tables
    assert shop.on(server.url(restored.database), "SELECT count(*) FROM orders") == [(1000,)]
    server.drop_database(restored.database)


def test_the_command_that_it_names_brings_a_damaged_database_back(shop: Shop) -> None:
    """The emergency command as it is printed, and nothing else."""
    before = shop.state()
    backup = shop.project.backup_prod()
    shop.on(shop.production, "DROP VIEW big_orders; DELETE FROM orders; ALTER TABLE users ADD COLUMN extra int")
    command = by_hand(backup)
    assert command in find_backup(shop.project.settings, "production").render("text").splitlines()
    path = f"{server_programs().folder}:{os.environ['PATH']}"
    subprocess.run(["/bin/sh", "-ec", command], check=True, env=os.environ | {"PATH": path}, cwd=shop.folder)
    assert shop.state() == before


def test_where_something_hangs_on_it_the_emergency_page_s_commands_bring_it_back_beside(
    shop: Shop, server: ThrowawayServer
) -> None:
    """pg_restore's --clean has no CASCADE: it refuses, and changes nothing; then the page's next commands."""
    before = shop.state()
    backup = shop.project.backup_prod()
    shop.on(shop.production, "DELETE FROM orders; CREATE VIEW later AS SELECT * FROM users")
    damaged = shop.state()
    run = {"check": False, "capture_output": True, "text": True, "cwd": shop.folder}
    run["env"] = os.environ | {"PATH": f"{server_programs().folder}:{os.environ['PATH']}"}
    refused = subprocess.run(["/bin/sh", "-ec", by_hand(backup)], **run)  # type: ignore[call-overload]
    assert refused.returncode != 0
    assert "other objects depend on it" in refused.stderr
    assert shop.state() == damaged
    name = shop.production.split("/")[3].split("?")[0]
    page = deploy_help("emergency").render("text")
    commands = page.partition("[database]_former;")[2].partition("\n")[2].partition("```")[0]
    commands = commands.partition("WARNING")[0]
    for placeholder, value in {
        "[the same URL, to [database]_restored]": server.url(f"{name}_restored"),
        "[the same URL, to postgres]": server.url("postgres"),
        "[database]": name,
        "[timestamp]": backup.timestamp,
    }.items():
        assert placeholder in commands
        commands = commands.replace(placeholder, value)
    done = subprocess.run(["/bin/sh", "-ec", commands], **run)  # type: ignore[call-overload]
    assert done.returncode == 0, commands + done.stderr
    assert shop.state() == before
    assert shop.on(server.url(f"{name}_former"), "SELECT count(*) FROM later") == [(200,)]
    server.drop_database(f"{name}_former")


def test_the_rehearsal_restores_it_by_jobs_and_the_deployment_goes_on(shop: Shop) -> None:
    shop.write(SECOND_FILE, SECOND)
    assert shop.deploy().verdict == "DEPLOYED"
    assert find_backup(shop.project.settings, "production").verified == "restored"


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    # (the folder, the file of a table's data)
    "cut": lambda folder, file: file.write_bytes(file.read_bytes()[:-100]),
    "flipped": lambda folder, file: file.write_bytes(file.read_bytes().replace(b"user7@", b"user8@", 1)),
    "a file is missing": lambda folder, file: file.unlink(),
    "replaced by another's": lambda folder, file: file.write_bytes(max(folder.glob("*.dat")).read_bytes()),
    "one too many": lambda folder, file: (folder / "more.dat").write_bytes(b""),
    "no list of contents": lambda folder, file: (folder / "toc.dat").unlink(),
    "a large object": lambda folder, file: next(folder.glob("blob_*.dat")).unlink(),
    "the folder is missing": lambda folder, file: shutil.rmtree(folder),
}


@pytest.mark.parametrize("damage", part_of(DAMAGES, ["flipped", "a file is missing", "no list of contents"], str))
def test_damage_is_found_before_it_is_restored(shop: Shop, damage: str) -> None:
    shop.write(SECOND_FILE, SECOND)
    before = shop.state()
    run = ProductionDeployment(shop.project.settings, approve=shop.project.plan().id)
    for step in (run.preflight, run.review, run.plan):
        step()
    backup = run.backup()
    assert backup
    (name,) = [part.name for part in backup.full.parts if part.table == "public.users"]
    DAMAGES[damage](backup.full.path, backup.full.path / name)
    words = r"not the file that its manifest describes|cannot be read"
    with pytest.raises(BackupError, match=words):
        read_back(backup.full)
    with pytest.raises(BackupError, match=words):
        run.rehearse()
    with pytest.raises(BackupError, match=words):
        shop.project.restore_prod()
    assert shop.state() == before
    databases = [str(name) for (name,) in shop.on(shop.production, "SELECT datname FROM pg_database")]
    assert not [name for name in databases if "_restored_" in name]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_damage_of_compressed_data_is_found(shop: Shop, compression: str) -> None:
    configure(shop, more=f'compression = "{compression}"')
    backup = shop.project.backup_prod()
    (part,) = [part for part in backup.full.parts if part.table == "public.users"]
    file = backup.full.path / part.name
    whole = file.read_bytes()
    for damaged in (whole[:-10], whole[:50] + bytes([whole[50] ^ 1]) + whole[51:], whole + b"more", b""):
        file.write_bytes(damaged)
        with pytest.raises(BackupError, match="not the file that its manifest describes") as caught:
            read_back(backup.full)
        assert part.name in str(caught.value.where)


PROGRAMS = {
    # What stands for pg_dump: (script, error, what it says); DIR is the folder that it is told to write
    "fails": ("echo 'pg_dump: error: out of luck' >&2; exit 1", ToolError, "out of luck"),
    "nothing": ("exit 0", BackupError, "before the dump was complete"),
    "no list": ('"$REAL" "$@"; rm "$DIR"/toc.dat', BackupError, "before the dump was complete"),
    "half a list": ('"$REAL" "$@"; head -c 1000 "$DIR"/toc.dat > x; cat x > "$DIR"/toc.dat', BackupError, "before the dump was complete"),
    "a file less": ('"$REAL" "$@"; set -- "$DIR"/[0-9]*.dat; rm "$1"', BackupError, "before the dump was complete"),
    "cut": ('"$REAL" "$@"; for f in "$DIR"/[0-9]*.dat; do truncate -s -1 "$f"; done', BackupError, "before the dump was complete"),
    "no large object": ('"$REAL" "$@"; rm "$DIR"/blob_*.dat', BackupError, "before the dump was complete"),
    "hangs": ('"$REAL" "$@"; sleep 60', BackupError, "sent nothing for"),
    "killed": ("kill -9 $$", ToolError, "pg_dump"),
}  # fmt: skip


@pytest.mark.parametrize("what", part_of(PROGRAMS, ["half a list", "cut", "no large object", "hangs"], str))
def test_a_pg_dump_that_does_not_do_its_work(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    script, error, words = PROGRAMS[what]
    if "sleep" in script:
        monkeypatch.setattr(tools, "SILENT_SECONDS", 1.0)
    real = server_programs().folder
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("psql", "pg_restore"):
        (programs / name).symlink_to(real / name)
    (programs / "pg_dump").write_text(
        f'#!/bin/bash\nREAL={real}/pg_dump\ncase "$*" in *--format=directory*) ;; *) exec "$REAL" "$@" ;; esac\n'
        f'for each; do case "$each" in --file=*) DIR="${{each#--file=}}" ;; esac; done\ncd {tmp_path}\n{script}\n'
    )
    (programs / "pg_dump").chmod(0o755)
    monkeypatch.setenv(PROGRAMS_VARIABLE, f"{programs}:{real}")
    before = shop.state()
    with pytest.raises(error, match=words):
        shop.project.backup_prod()
    assert list(shop.backups.iterdir()) == []
    assert shop.state() == before


def test_programs_of_another_version_are_refused_by_name(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A newer pg_restore sets what an older server does not know; an older pg_dump refuses the server."""
    old, new = find_programs()[0], find_programs()[-1]
    if old.major == new.major:
        pytest.skip("needs two major versions of PostgreSQL")
    with ThrowawayServer.start(major=old.major) as server:
        monkeypatch.setenv("PRODUCTION_DATABASE_URL", server.create_database("old"))
        monkeypatch.setenv(PROGRAMS_VARIABLE, str(new.folder))
        with pytest.raises(ToolError, match=f"pg_dump and pg_restore of PostgreSQL {old.major}") as caught:
            shop.project.backup_prod()
    assert f"found: {new.version}" in str(caught.value)
    assert "backup_format" in str(caught.value.next)
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production)
    monkeypatch.setenv(PROGRAMS_VARIABLE, str(old.folder))
    with pytest.raises(ToolError, match=f"no pg_dump and psql of PostgreSQL {new.major}"):
        shop.project.backup_prod()
    for name in ("psql", "pg_dump"):
        (tmp_path / name).symlink_to(new.folder / name)
    monkeypatch.setenv(PROGRAMS_VARIABLE, str(tmp_path))
    with pytest.raises(ToolError, match="needs pg_restore"):
        shop.project.backup_prod()
    assert not shop.backups.exists()


def test_a_full_disk_leaves_nothing(shop: Shop, small_disk: Callable[[int], Path]) -> None:
    shop.on(
        shop.production, "CREATE TABLE large AS SELECT n, repeat(md5(n::text), 50) t FROM generate_series(1, 20000) n"
    )
    disk = small_disk(20)
    configure(shop, more=f'backups = "{disk}"')
    with pytest.MonkeyPatch.context() as patch:  # the look at the room beforehand would say it first
        patch.setattr(operation, "require_room", lambda *_: None)
        with pytest.raises(BackupError, match="cannot be written: No space left on device"):
            shop.project.backup_prod()
    assert list((disk / "production").iterdir()) == []


BACKUP = "project.backup_prod()"
POINTS = [
    FaultPoint.BACKUP_CLAIMED,
    FaultPoint.SCHEMA_DUMP_BEGINS,
    FaultPoint.DIRECTORY_DUMP_RUNS,
    FaultPoint.DIRECTORY_DUMPED,
    FaultPoint.DIRECTORY_FILE_BEGINS,
    FaultPoint.DIRECTORY_COMPLETE,
    FaultPoint.FULL_DUMP_WRITTEN,
    FaultPoint.BACKUP_READ_BACK,
    FaultPoint.MANIFEST_BEGINS,
]
PLAIN_POINTS = [FaultPoint.TABLE_DATA_READ, FaultPoint.FULL_DUMP_WRITTEN, FaultPoint.MANIFEST_BEGINS]


KILLED = [*(("directory", point) for point in POINTS), *(("plain", point) for point in PLAIN_POINTS)]


@pytest.mark.parametrize(("form", "point"), part_of(KILLED, KILLED[1::3], lambda case: f"{case[0]} {case[1].name}"))
def test_killed_at_any_point_nothing_is_left_after_the_next(
    shop: Shop, temporary: Path, form: str, point: FaultPoint
) -> None:
    configure(shop, form)
    before = shop.state()
    assert kill_at(shop, temporary, BACKUP, point) == -signal.SIGKILL
    wait_until_alone(shop)
    assert not list(shop.backups.glob("manifest_*.json"))  # it is no backup yet
    second = shop.project.backup_prod()
    assert read_back(second.full) == second.tables
    assert {second.timestamp} == {path.name.partition(".")[0].rpartition("_")[2] for path in shop.backups.iterdir()}
    assert not list(shop.backups.glob("*.partial"))
    assert shop.state() == before


@pytest.mark.parametrize(
    "number", part_of([signal.SIGKILL, signal.SIGTERM, signal.SIGINT], [signal.SIGKILL], lambda each: each.name)
)
def test_ended_in_the_middle_of_a_dump_no_pg_dump_goes_on(shop: Shop, number: signal.Signals) -> None:
    """By itself it would be at it for long: gzip's level 9, two tables at a time."""
    shop.on(
        shop.production,
        "CREATE TABLE a AS SELECT n, repeat(md5(n::text), 10) t FROM generate_series(1, 300000) n;"
        "CREATE TABLE b AS TABLE a",
    )
    code = (
        "import sys, safemig; from safemig.operations import backup_prod as operation\n"
        "operation.compression_option = lambda *_: ('--compress=9', '')\n"
        "safemig.Project.open(sys.argv[1]).backup_prod()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(shop.folder)], stderr=subprocess.DEVNULL)
    at_work = "SELECT count(*) FROM pg_stat_progress_copy"
    deadline = time.monotonic() + 60
    while shop.on(shop.production, at_work) != [(2,)]:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    process.wait()
    ended = time.monotonic()
    wait_until_alone(shop)
    assert time.monotonic() - ended < 5
    backup = shop.project.backup_prod()
    assert {backup.timestamp} == {path.name.partition(".")[0].rpartition("_")[2] for path in shop.backups.iterdir()}


def test_a_backup_under_way_is_let_alone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process begins one while ours is in its middle, and ends before."""
    real = operation.write_directory

    def interleaved(*arguments: object, **named: object) -> object:
        code = "import sys, safemig; safemig.Project.open(sys.argv[1]).backup_prod()"
        subprocess.run([sys.executable, "-c", code, str(shop.folder)], check=True)
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(operation, "write_directory", interleaved)
    backup = shop.project.backup_prod()
    manifests = sorted(shop.backups.glob("manifest_*.json"))
    assert len(manifests) == 2
    for each in manifests:
        one = find_backup(shop.project.settings, "production", str(each))
        assert read_back(one.full) == one.tables == backup.tables
    assert len(list(shop.backups.iterdir())) == 8


def test_only_so_many_are_kept_and_a_damaged_one_does_not_count(shop: Shop) -> None:
    configure(shop, more="keep_backups = 2")
    first, second, third = (shop.project.backup_prod() for _ in range(3))
    assert not list(shop.backups.glob(f"*{first.timestamp}*"))
    configure(shop, more="keep_backups = 1")
    (third.full.path / third.full.parts[0].name).write_bytes(b"cut")
    assert remove_old(shop.project.settings, shop.backups) == ()
    assert second.full.path.is_dir()
    unverified = take_backup(shop.project.settings, read=False)
    assert remove_old(shop.project.settings, shop.backups) == ()
    shop.project.backup_prod()
    assert len(list(shop.backups.glob("manifest_*.json"))) == 1
    assert not unverified.full.path.exists()


RESTORE = "project.restore_prod(swap=True, approve={!r})"


@pytest.mark.parametrize("point", [FaultPoint.FILL_BEGINS, FaultPoint.FILLED], ids=["before", "after"])
def test_a_restore_that_is_killed_goes_on(
    shop: Shop, server: ThrowawayServer, temporary: Path, point: FaultPoint
) -> None:
    good = shop.state()
    shop.project.backup_prod()
    with pytest.raises(RefusedError, match="is not approved") as caught:
        shop.project.restore_prod(swap=True)
    approval = str(caught.value.next).split("--approve ")[1].split()[0]
    (beside,) = [
        str(n) for (n,) in shop.on(shop.production, "SELECT datname FROM pg_database") if "_restored_" in str(n)
    ]
    server.drop_database(beside)
    shop.on(shop.production, "DELETE FROM orders")
    damaged = shop.state()
    assert kill_at(shop, temporary, RESTORE.format(approval), point) == -signal.SIGKILL
    wait_until_alone(shop)
    assert shop.state() == damaged
    second = shop.project.restore_prod(swap=True, approve=approval)
    assert second.swapped
    assert shop.state() == good
    server.drop_database(second.kept_as)


# COPY tells of its rows as it writes them, 1,000 at a time (seen in 17 and 18).
SLOW = """
INSERT INTO orders (user_id, total) SELECT 1 + n % 200, n FROM generate_series(1, 9000) n;
CREATE FUNCTION slow(x bigint) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
  IF x % 20 = 0 THEN PERFORM pg_sleep(0.004); END IF; RETURN true; END $$;
ALTER TABLE orders ADD CONSTRAINT slowly CHECK (slow(id));
"""


@pytest.mark.parametrize("form", ["plain", "directory"])
def test_a_restore_shows_its_rows_while_it_goes(
    shop: Shop, server: ThrowawayServer, moments: list[Live | None], form: str
) -> None:
    configure(shop, form)
    shop.on(shop.production, SLOW)
    backup = shop.project.backup_prod()
    moments.clear()
    restored = shop.project.restore_prod()
    seen = [stage for each in moments if each for stage in each.stages if stage.name == "restore beside"]
    assert {stage.total for stage in seen} == {backup.rows}
    between = {stage.done for stage in seen if stage.done} - {backup.rows}
    assert len(between) > 2, "it counts up"
    assert max(stage.done or 0 for stage in seen) == backup.rows
    server.drop_database(restored.database)


def test_a_dump_by_jobs_shows_its_rows_while_it_goes(
    shop: Shop, moments: list[Live | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.on(
        shop.production,
        "CREATE TABLE large AS SELECT n, repeat(md5(n::text), 5) t FROM generate_series(1, 300000) n; ANALYZE large",
    )
    monkeypatch.setattr(operation, "compression_option", lambda *_: ("--compress=9", ""))
    backup = shop.project.backup_prod()
    seen = [stage for each in moments if each for stage in each.stages if stage.name == "full backup"]
    assert {stage.done for stage in seen if stage.done} - {backup.rows, 300000}
    assert seen[-1].done == backup.rows
    assert seen[-1].total
    assert seen[-1].total >= 300000
