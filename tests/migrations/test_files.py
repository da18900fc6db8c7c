"""Migration files: what a folder may hold, what is refused by name, and how a new file gets its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from safemig.errors import MigrationError
from safemig.migrations import new_version, read_migrations, slug, write_new

NOW = datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)


def _write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text("SELECT 1;\n")


def test_files_come_in_the_order_of_their_timestamps(tmp_path: Path) -> None:
    _write(tmp_path, "20260102000000_b.sql", "20260101000000_z.sql", "README.md", "notes.txt")
    assert [each.file for each in read_migrations(tmp_path)] == ["20260101000000_z.sql", "20260102000000_b.sql"]


def test_an_empty_folder_holds_no_migrations(tmp_path: Path) -> None:
    assert read_migrations(tmp_path) == ()


def test_a_missing_folder_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="does not exist") as caught:
        read_migrations(tmp_path / "supabase" / "migrations")
    assert "safemig init" in str(caught.value.next)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "name", ["add_users.sql", "2026_add.sql", "20260101_add.sql", "20260101000000.sql", "20260101000000_.sql"]
)
def test_a_file_without_timestamp_or_name_is_named(tmp_path: Path, name: str) -> None:
    _write(tmp_path, name)
    with pytest.raises(MigrationError) as caught:
        read_migrations(tmp_path)
    assert name in str(caught.value.where)


def test_two_files_of_one_timestamp_are_both_named(tmp_path: Path) -> None:
    _write(tmp_path, "20260101000000_a.sql", "20260101000000_b.sql")
    with pytest.raises(MigrationError, match="20260101000000") as caught:
        read_migrations(tmp_path)
    assert "_a.sql" in str(caught.value.where)
    assert "_b.sql" in str(caught.value.where)


def test_a_file_that_is_not_utf8_is_named_with_the_byte(tmp_path: Path) -> None:
    (tmp_path / "20260101000000_a.sql").write_bytes(b"-- caf\xe9\n")
    with pytest.raises(MigrationError, match="not UTF-8 at byte 6"):
        read_migrations(tmp_path)


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("add user preferences table", "add_user_preferences_table"),
        ("  Add the user's  preferences! ", "add_the_users_preferences"),
        ("Größe als Zahl", "groe_als_zahl"),
        ("x" * 100, "x" * 60),
    ],
)
def test_a_description_becomes_a_name(description: str, expected: str) -> None:
    assert slug(description) == expected


def test_a_description_without_letters_is_refused() -> None:
    with pytest.raises(MigrationError, match="no letter or digit"):
        slug("日本 !!")


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ([], "20261123060000"),
        (["20261123055959"], "20261123060000"),
        (["20261123060000"], "20261123060001"),
        (["20261231235959"], "20270101000000"),
        (["99999999999998"], "99999999999999"),
    ],
)
def test_a_new_version_is_later_than_all(existing: list[str], expected: str) -> None:
    assert new_version(NOW, existing) == expected


def test_a_file_is_never_written_over_another(tmp_path: Path) -> None:
    path = tmp_path / "20260101000000_a.sql"
    write_new(path, "first")
    with pytest.raises(MigrationError, match="exists already"):
        write_new(path, "second")
    assert path.read_text() == "first"


def test_a_full_or_closed_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="cannot be written"):
        write_new(tmp_path / "missing" / "a.sql", "x")
