"""Files against a database's history."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from safemig.errors import MigrationError
from safemig.migrations import Migration, stand
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
