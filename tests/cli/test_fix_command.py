"""`safemig review --fix` writes the safer form of what is pending, whole or not at all, and reviews what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Command

TWO_PARTS = "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);\nCREATE INDEX users_name_idx ON users (name);\n"
PART = "20231201120001_change_part_2.sql"


def test_fix_writes_each_part_and_reviews_them(safemig: Command, tmp_path: Path) -> None:
    file = tmp_path / "20231201120000_change.sql"
    file.write_text(TWO_PARTS)
    answer = safemig("review", file.name, "--fix")
    assert answer.exit_code == 0, answer.err
    assert answer.out.startswith("SAFE TO DEPLOY · 2 files")
    assert answer.err.splitlines()[:2] == [f"written: {file.name}", f"written: {PART}"]
    assert file.read_text() == "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);\n"
    assert "CREATE INDEX CONCURRENTLY IF NOT EXISTS users_name_idx ON users" in (tmp_path / PART).read_text()
    again = safemig("review", file.name, PART, "--fix")
    assert (again.exit_code, again.err) == (0, "")


def test_fix_leaves_alone_what_has_no_safer_form(safemig: Command, tmp_path: Path) -> None:
    file = tmp_path / "20231201120000_change.sql"
    file.write_text("DROP TABLE users;\n")
    answer = safemig("review", file.name, "--fix")
    assert (answer.exit_code, answer.err) == (1, "")
    assert file.read_text() == "DROP TABLE users;\n"


def test_fix_overwrites_no_other_file(safemig: Command, tmp_path: Path) -> None:
    file, other = tmp_path / "20231201120000_change.sql", tmp_path / PART
    file.write_text(TWO_PARTS)
    other.write_text("SELECT 1;\n")
    answer = safemig("review", file.name, "--fix")
    assert answer.exit_code == 1
    assert f"the safer form needs a file of that name, which already exists: {PART}" in answer.err
    assert (file.read_text(), other.read_text()) == (TWO_PARTS, "SELECT 1;\n")


def test_fix_of_pending_files_never_touches_applied_ones(
    safemig: Command, shop: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "supabase/migrations"
    applied, pending = folder / "20230101000000_base.sql", folder / "20231201120000_change.sql"
    before = applied.read_text()
    pending.write_text(
        "CREATE INDEX orders_id_idx ON orders (id, user_id);\nALTER TABLE orders\n  -- first\n  ADD COLUMN a int,\n  ADD COLUMN b int;\n"
    )
    answer = safemig("review", "--fix", **shop)
    assert answer.exit_code == 0, answer.err
    assert "proven equal: 20231201120000_change.sql: both ran on PostgreSQL" in answer.err
    assert "on the schema of production; their pg_dump is the same" in answer.err
    added = (folder / PART).read_text()
    assert (
        added
        == "ALTER TABLE orders\n  -- first\n  ADD COLUMN IF NOT EXISTS a int,\n  ADD COLUMN IF NOT EXISTS b int;\n"
    )
    assert "written: supabase/migrations/20231201120000_change.sql" in answer.err
    assert "IF NOT EXISTS" in pending.read_text()
    refused = safemig("review", str(applied), "--fix", **shop)
    assert refused.exit_code == 1
    assert "20230101000000_base.sql is applied to production already" in refused.err
    assert applied.read_text() == before


# The default holds the time of the run, which differs between the two.
BOTH_FORMS_RUN = "CREATE TABLE users (id int, email text, at timestamptz DEFAULT 'now'::timestamptz);\nALTER TABLE users\n  -- first\n  ADD COLUMN a int,\n  ADD COLUMN b int;\n"


def test_a_fix_is_proven_by_running_both_forms(safemig: Command, tmp_path: Path) -> None:
    first, second = tmp_path / "20231201120000_first.sql", tmp_path / "20231201130000_second.sql"
    first.write_text(BOTH_FORMS_RUN)
    second.write_text(
        "ALTER TABLE users ADD CONSTRAINT u UNIQUE (email) DEFERRABLE INITIALLY DEFERRED;\nALTER TABLE gone ADD a int;\n"
    )
    answer = safemig("review", first.name, second.name, "--fix", "--prove")
    said = [line for line in answer.err.splitlines() if not line.startswith("written: ")]
    assert said[0].startswith("proven equal: 20231201120000_first.sql: both ran on PostgreSQL ")
    assert said[1].startswith(
        "not proven: 20231201130000_second.sql: the original does not run on an empty database: relation"
    )
    assert "CREATE TABLE IF NOT EXISTS users" in first.read_text()


def test_prove_belongs_to_fix(safemig: Command) -> None:
    assert safemig("review", "--prove").exit_code == 2


def test_fix_and_record_do_not_go_together(safemig: Command) -> None:
    assert safemig("review", "--fix", "--record").exit_code == 2


def test_a_file_that_is_not_utf_8_is_a_finding_of_that_file_and_stays_as_it_is(
    safemig: Command, tmp_path: Path
) -> None:
    bad, good = tmp_path / "20231201120000_bad.sql", tmp_path / "20231201130000_good.sql"
    content = b"SELECT 1;\nSELECT '\xff\xfe';\nDROP TABLE users;\n"
    bad.write_bytes(content)
    good.write_text("CREATE TABLE notes (id bigint PRIMARY KEY);\n")
    answer = safemig("review", bad.name, good.name, "--fix", "--no-prove", "--format", "json")
    found = [(each["rule"], each["line"]) for each in json.loads(answer.out)["findings"]]
    assert found == [("cannot-be-read", 2), ("drop-table", 3)]
    assert bad.read_bytes() == content
    assert "IF NOT EXISTS" in good.read_text()
