"""Files against a database's history."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from safemig.errors import MigrationError
from safemig.migrations import Migration, read_migration, stand
from safemig.results import AppliedMigration


def file(version: str, sql: str = "SELECT 1;") -> Migration:
    return Migration(version, "x", Path(f"m/{version}_x.sql"), sql, hashlib.sha256(sql.encode()).hexdigest())


def test_what_the_history_lacks_is_pending() -> None:
    one, two = file("20260101000000"), file("20260102000000")
    standing = stand([one, two], [AppliedMigration(one.version, "x", (), one.sha256)])
    assert (standing.applied, standing.pending) == ((one,), (two,))
    standing.require_consistent("production")


def test_an_applied_file_that_was_edited_since_is_named() -> None:
    edited = file("20260101000000", "SELECT 2;")
    standing = stand([edited], [AppliedMigration(edited.version, "x", (), file(edited.version).sha256)])
    with pytest.raises(MigrationError, match=r"edited since: 20260101000000_x.sql"):
        standing.require_consistent("production")


def test_a_database_ahead_of_the_files_is_refused() -> None:
    standing = stand([], [AppliedMigration("20260101000000", "theirs")])
    with pytest.raises(MigrationError, match="ahead of the local files: 20260101000000_theirs"):
        standing.require_consistent("production")


def test_a_pending_file_older_than_an_applied_one_is_out_of_order() -> None:
    old, new = file("20260101000000"), file("20260102000000")
    standing = stand([old, new], [AppliedMigration(new.version, "x", (), new.sha256)])
    assert standing.out_of_order == (old,)


@pytest.mark.parametrize(
    ("sql", "statements", "is_edited"),
    [
        ("CREATE TABLE a (id int);\n-- why\n", ("CREATE TABLE a (id int)",), False),
        ("CREATE  TABLE a\n(id int);SELECT 1", ("CREATE TABLE a (id int)", "SELECT 1;"), False),
        ("CREATE TABLE a (id bigint);", ("CREATE TABLE a (id int)",), True),
        ("INSERT INTO a VALUES ('é --x');", ("INSERT INTO a VALUES ('é --x')",), False),
        ("INSERT INTO a VALUES ('é --y');", ("INSERT INTO a VALUES ('é --x')",), True),
    ],
)
def test_a_row_of_another_tool_is_compared_by_what_the_server_reads(
    sql: str, statements: tuple[str, ...], is_edited: bool
) -> None:
    migration = file("20260101000000", sql)
    standing = stand([migration], [AppliedMigration(migration.version, "x", statements)])
    assert bool(standing.edited) is is_edited


TEXT = "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$\n  SELECT 'x'\n$$;\n\nSELECT 1;\n"
CHECKOUTS = {
    "LF": TEXT.encode(),
    "CRLF": TEXT.replace("\n", "\r\n").encode(),
    "CR": TEXT.replace("\n", "\r").encode(),
    "byte order mark": b"\xef\xbb\xbf" + TEXT.encode(),
    "byte order mark and CRLF": b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode(),
    "no final newline": TEXT.rstrip("\n").encode(),
    "no final newline, CRLF": TEXT.rstrip("\n").replace("\n", "\r\n").encode(),
    "two final newlines": f"{TEXT}\n".encode(),
}


def written(folder: Path, content: bytes) -> Migration:
    path = folder / "20260101000000_f.sql"
    path.write_bytes(content)
    return read_migration(path)


@pytest.mark.parametrize("here", CHECKOUTS)
@pytest.mark.parametrize("there", CHECKOUTS)
def test_a_checkout_s_line_ends_edit_nothing(tmp_path: Path, there: str, here: str) -> None:
    """By today's hash, and by the older one, which was over the bytes of the checkout that deployed."""
    deployed, local = written(tmp_path, CHECKOUTS[there]), written(tmp_path, CHECKOUTS[here])
    assert (deployed.sha256, deployed.sql.rstrip("\n")) == (local.sha256, local.sql.rstrip("\n"))
    older = hashlib.sha256(CHECKOUTS[there]).hexdigest()
    for sha256 in {deployed.sha256, older} if there not in ("CR", "two final newlines") else {deployed.sha256}:
        assert stand([local], [AppliedMigration(local.version, "f", (), sha256)]).edited == ()
    by_another_tool = AppliedMigration(local.version, "f", (CHECKOUTS[there].decode("utf-8-sig"),))
    assert stand([local], [by_another_tool]).edited == ()


@pytest.mark.parametrize("edit", [lambda sql: sql.replace("'x'", "'y'"), lambda sql: f"{sql}-- more", str.upper])
def test_an_edit_is_an_edit_in_every_checkout(tmp_path: Path, edit: Callable[[str], str]) -> None:
    for content in CHECKOUTS.values():
        older = hashlib.sha256(content).hexdigest()
        local = written(tmp_path, edit(TEXT).encode())
        for sha256 in (written(tmp_path, content).sha256, older):
            assert stand([local], [AppliedMigration(local.version, "f", (), sha256)]).edited == (local,)
