"""backup_prod: whole, of one snapshot, restorable by psql alone, and never half there."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from safemig.backups.manifest import find_backup, remove_old
from safemig.errors import BackupError, ToolError
from safemig.operations.backup_prod import take_backup
from safemig.postgres.dump.plain import read_back
from safemig.postgres.dump.tools import run_psql
from safemig.postgres.server.programs import PROGRAMS_VARIABLE, find_programs, server_programs
from safemig.postgres.server.throwaway import ThrowawayServer
from tests.operations.conftest import Shop
from tests.operations.striking import wait_for


def test_files_manifest_and_modes(shop: Shop) -> None:
    backup = shop.project.backup_prod()
    stamp = backup.timestamp
    assert sorted(path.name for path in shop.backups.iterdir()) == [
        f"backup_cluster_{stamp}.sql", f"backup_full_{stamp}.sql", f"backup_schema_{stamp}.sql", f"manifest_{stamp}.json",
    ]  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in shop.backups.iterdir()} == {0o600}
    manifest = json.loads(backup.manifest.read_text())
    content = backup.full.path.read_bytes()
    assert manifest["files"]["full"] == {
        "name": backup.full.path.name, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    assert {table["name"]: table["rows"] for table in manifest["tables"]}["public.orders"] == 1000
    assert manifest["target"]["system_identifier"].isdigit()
    assert manifest["snapshot_lsn"].count("/") == 1
    assert manifest["server_version"]
    assert manifest["client_version"]
    assert find_backup(shop.project.settings, "production") == backup


def test_the_hash_of_a_table_is_that_of_its_copy_data(shop: Shop) -> None:
    backup = shop.project.backup_prod()
    digest = hashlib.sha256()
    with psycopg.connect(shop.production) as connection, connection.cursor().copy("COPY users TO STDOUT") as copy:
        for data in copy:
            digest.update(data)
    (users,) = [table for table in backup.tables if table.name == "public.users"]
    assert (users.rows, users.sha256) == (200, digest.hexdigest())


def test_psql_alone_brings_a_damaged_database_back(shop: Shop) -> None:
    """The emergency command as people know it, also where things made since hang on what the backup replaces."""
    before = shop.state()
    backup = shop.project.backup_prod()
    shop.on(
        shop.production,
        """
        CREATE TABLE since (id bigint PRIMARY KEY REFERENCES users, of_order bigint REFERENCES orders);
        CREATE VIEW hanging AS SELECT email FROM users;
        ALTER TABLE users ADD COLUMN extra int;
        DELETE FROM orders WHERE id > 10;
        DROP VIEW big_orders;
        """,
    )
    run_psql(server_programs(), shop.production, backup.full.path)
    shop.on(shop.production, "DROP TABLE since")
    assert shop.state() == before


def test_the_schema_backup_never_clears(shop: Shop) -> None:
    backup = shop.project.backup_prod()
    assert "DROP " not in backup.schema.path.read_text()


def test_two_backups_of_one_second_are_both_kept(shop: Shop) -> None:
    first, second = shop.project.backup_prod(), shop.project.backup_prod()
    assert first.timestamp < second.timestamp
    assert len(list(shop.backups.iterdir())) == 8


def test_it_changes_nothing_and_leaves_no_transaction_open(shop: Shop) -> None:
    before = shop.state()
    shop.project.backup_prod()
    assert shop.state() == before
    others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    # A server's process ends a moment after its client.
    wait_for(lambda: shop.on(shop.production, others) == [], "the sessions of the backup to end", 5)


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_backup_is_found(shop: Shop, damage: str) -> None:
    backup = shop.project.backup_prod()
    content = backup.full.path.read_bytes()
    if damage == "cut":
        backup.full.path.write_bytes(content[: content.index(b"user100@")])
    elif damage == "changed":
        backup.full.path.write_bytes(content.replace(b"user100@", b"user999@"))
    else:
        backup.full.path.unlink()
    with pytest.raises(BackupError, match=r"not the file that its manifest describes|cannot be read"):
        read_back(backup.full)


def test_without_pg_dump_the_message_says_how_to_get_it(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROGRAMS_VARIABLE, str(tmp_path))
    with pytest.raises(ToolError, match="no pg_dump and psql") as caught:
        shop.project.backup_prod()
    assert "found: none" in str(caught.value)
    assert not shop.backups.exists()


@pytest.mark.skipif(len({each.major for each in find_programs()}) < 2, reason="needs two major versions of PostgreSQL")
def test_an_older_pg_dump_is_refused_by_name(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    oldest = find_programs()[0]
    monkeypatch.setenv(PROGRAMS_VARIABLE, str(oldest.folder))
    with pytest.raises(ToolError, match=r"no pg_dump and psql of PostgreSQL \d+ or later") as caught:
        shop.project.backup_prod()
    assert f"found: {oldest.version}" in str(caught.value)


@pytest.mark.skipif(len({each.major for each in find_programs()}) < 2, reason="needs two major versions of PostgreSQL")
def test_a_newer_pg_dump_makes_a_backup_that_the_older_server_takes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pg_dump 17 writes SET transaction_timeout, which a server of 15 does not know."""
    old, new = find_programs()[0], find_programs()[-1]
    with ThrowawayServer.start(major=old.major) as server:
        url = server.create_database("old")
        shop.on(url, "CREATE TABLE t AS SELECT generate_series(1, 10) AS n")
        monkeypatch.setenv("PRODUCTION_DATABASE_URL", url)
        monkeypatch.setenv(PROGRAMS_VARIABLE, str(new.folder))
        backup = shop.project.backup_prod()
        assert backup.client_version == new.version
        copy = server.create_database("copy")
        run_psql(new, copy, backup.full.path)
        assert shop.on(copy, "SELECT count(*) FROM t") == [(10,)]


def test_rows_hidden_by_row_security_are_an_error_not_a_smaller_backup(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.on(
        shop.production,
        """
        DROP ROLE IF EXISTS blind; CREATE ROLE blind LOGIN;
        GRANT pg_read_all_data TO blind;
        ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
        """,
    )
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production.replace("postgres@", "blind@"))
    with pytest.raises(BackupError, match="row security hides rows of public"):
        shop.project.backup_prod()
    assert not shop.backups.exists()


def test_a_folder_that_cannot_be_made_is_said(shop: Shop) -> None:
    (shop.folder / "backups" / "production").write_text("in the way")
    with pytest.raises(BackupError, match="cannot be made"):
        shop.project.backup_prod()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who may not write there")
def test_a_folder_that_cannot_be_written_is_said() -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path; import safemig.operations.backup_prod as b;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        f"b._prepared(Path({str(folder)!r}))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    folder.rmdir()
    assert "the folder for backups cannot be written" in answer.stderr


FILL = """
import resource, signal
import safemig
from safemig.errors import BackupError
project = safemig.Project.open({folder!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
try:
    project.backup_prod()
except BackupError as error:
    print(error)
"""


def test_a_full_disk_leaves_nothing_half_made(shop: Shop) -> None:
    """A limit on the size of files stands in for the full disk: the write fails in the same place, for real."""
    assert resource.RLIMIT_FSIZE is not None
    answer = subprocess.run(
        [sys.executable, "-c", FILL.format(folder=str(shop.folder))], capture_output=True, text=True, check=False
    )
    assert "the backup cannot be written: File too large" in answer.stdout, answer.stderr
    assert list(shop.backups.iterdir()) == []


WITHOUT_LOCKS = """
import ctypes, os, struct, sys
# A filter of system calls: flock is answered by ENOLCK, as a file system without locks answers it.
number = {"x86_64": 73, "aarch64": 32}[os.uname().machine]
code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 37), (0x06, 0, 0, 0x7FFF0000)]
filter = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in code))
kernel = ctypes.CDLL(None, use_errno=True)
assert kernel.prctl(38, 1, 0, 0, 0) == 0
assert kernel.prctl(22, 2, struct.pack("HxxxxxxQ", len(code), ctypes.addressof(filter))) == 0, ctypes.get_errno()
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_a_file_system_without_locks_is_told_before_anything(shop: Shop) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_LOCKS, *arguments],
            capture_output=True, text=True, check=False, cwd=shop.folder,
        )  # fmt: skip

    recorded = run("-m", "safemig", "backup-prod")
    assert (recorded.returncode, "Traceback" in recorded.stderr) == (2, False), recorded.stderr
    assert "records cannot be written: No locks available" in recorded.stderr
    alone = run("-c", "import safemig; safemig.Project.open('.').backup_prod()")
    assert "the folder of the backups cannot be locked: No locks available" in alone.stderr
    assert list(shop.backups.iterdir()) == []


def test_a_read_only_folder_is_told_before_anything(shop: Shop, small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(20)
    (disk / "production").mkdir()
    (shop.folder / "safemig.toml").write_text(f'backups = "{disk}"')
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*root, "mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(BackupError, match="its file system is read-only") as caught:
        shop.project.backup_prod()
    assert caught.value.where == str(disk / "production")
    assert list((disk / "production").iterdir()) == []


def test_the_password_stands_in_no_process_list(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for pg_dump writes down how it was called; the real one is run after it."""
    real = server_programs().path("pg_dump")
    seen = tmp_path / "seen"
    spy = tmp_path / "bin"
    spy.mkdir()
    for name in real.parent.iterdir():
        (spy / name.name).symlink_to(name)
    (spy / "pg_dump").unlink()
    (spy / "pg_dump").write_text(
        f'#!/bin/sh\ntr "\\0" "\\n" < /proc/$$/cmdline >> {seen}\nenv >> {seen}\nexec {real} "$@"\n'
    )
    (spy / "pg_dump").chmod(0o755)
    monkeypatch.setenv(PROGRAMS_VARIABLE, str(spy))
    monkeypatch.delenv("PRODUCTION_DATABASE_URL")
    monkeypatch.setenv("STAGING_DATABASE_URL", "")
    monkeypatch.setenv("SAFEMIG_ENVIRONMENTS__PRODUCTION__SERVICE", "canary")
    service = tmp_path / "service.conf"
    folder = shop.production.split("host=")[1].split("&")[0].replace("%2F", "/")
    name = shop.production.split("/")[3].split("?")[0]
    service.write_text(f"[canary]\nhost={folder}\nport=5432\nuser=postgres\ndbname={name}\npassword=hunter2:\\x\n")
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    shop.project.backup_prod()
    assert "service=canary" in seen.read_text()
    assert "hunter2" not in seen.read_text()
    monkeypatch.delenv("SAFEMIG_ENVIRONMENTS__PRODUCTION__SERVICE")
    monkeypatch.setenv("PRODUCTION_DATABASE_URL", shop.production.replace("postgres@", "postgres:hunter2@"))
    # The variable is the user's own way to hand it over; what safemig adds to it must not show it again.
    shop.project.backup_prod()
    lines = [line for line in seen.read_text().splitlines() if "hunter2" in line]
    assert {line.split("=")[0] for line in lines} <= {"PRODUCTION_DATABASE_URL"}


def test_roles_and_settings_of_the_cluster_stand_beside_it_without_passwords(shop: Shop) -> None:
    name = shop.production.split("/")[3].split("?")[0]
    shop.on(
        shop.production,
        "DROP ROLE IF EXISTS keeper; CREATE ROLE keeper LOGIN PASSWORD 'hunter2' CONNECTION LIMIT 3;"
        f'ALTER DATABASE "{name}" SET work_mem = \'8MB\'; GRANT CREATE ON DATABASE "{name}" TO keeper',
    )
    cluster = shop.project.backup_prod().cluster
    assert cluster is not None
    text = cluster.path.read_text()
    for words in (
        "CREATE ROLE keeper;", "CONNECTION LIMIT 3", f"ALTER DATABASE {name} SET work_mem TO '8MB';",
        f"GRANT CREATE ON DATABASE {name} TO keeper;", "-- autovacuum = 'off'  (command line)",
    ):  # fmt: skip
        assert words in text
    for words in ("hunter2", "SCRAM-SHA-256$", "PASSWORD"):
        assert words not in text
    shop.on(shop.production, f'REVOKE ALL ON DATABASE "{name}" FROM keeper; DROP ROLE keeper')


def test_only_so_many_good_backups_are_kept_and_never_is_the_last_removed(shop: Shop) -> None:
    (shop.folder / "safemig.toml").write_text("keep_backups = 2\n")
    first, second, third = (shop.project.backup_prod() for _ in range(3))
    assert not list(shop.backups.glob(f"*{first.timestamp}*"))
    kept = {path.name for path in shop.backups.glob("manifest_*")}
    assert kept == {second.manifest.name, third.manifest.name}
    (shop.folder / "safemig.toml").write_text("keep_backups = 1\n")
    third.full.path.write_bytes(b"cut")  # no good one any more
    assert remove_old(shop.project.settings, shop.backups) == ()
    assert second.full.path.is_file()
    unverified = take_backup(shop.project.settings, read=False)  # nor is one that no one has read yet
    assert remove_old(shop.project.settings, shop.backups) == ()
    (shop.backups / f"rollback_{second.timestamp}.sql").write_text("-- stays")
    good = shop.project.backup_prod()
    assert {path.name for path in shop.backups.glob("manifest_*")} == {good.manifest.name}
    assert not unverified.full.path.exists()
    assert (shop.backups / f"rollback_{second.timestamp}.sql").is_file()


def test_a_compressed_backup_is_smaller_and_as_good(shop: Shop, server: ThrowawayServer) -> None:
    plain = shop.project.backup_prod()
    (shop.folder / "safemig.toml").write_text("compression = 'zstd'\n")
    backup = shop.project.backup_prod()
    assert backup.full.path.name == f"backup_full_{backup.timestamp}.sql.zst"
    assert backup.full.size_bytes < plain.full.size_bytes / 3
    assert backup.tables == plain.tables == read_back(backup.full)
    before = shop.state()
    shop.on(shop.production, "DELETE FROM orders; DROP VIEW big_orders")
    run_psql(server_programs(), shop.production, backup.full.path)
    assert shop.state() == before
    restored = shop.project.restore_prod()
    assert restored.tables == backup.tables
    server.drop_database(restored.database)
    content = backup.full.path.read_bytes()
    for damaged in (content[:-100], content[:2000] + b"x" + content[2001:], b"no zstd"):
        backup.full.path.write_bytes(damaged)
        with pytest.raises(BackupError, match="not the file that its manifest describes"):
            read_back(backup.full)
        # Nor does psql get the end of a cut one, which it would commit.
        shop.on(shop.production, "DELETE FROM orders")
        with pytest.raises((BackupError, ToolError)):
            run_psql(server_programs(), shop.production, backup.full.path)
        assert shop.on(shop.production, "SELECT count(*) FROM orders") == [(0,)]
