"""A team's level of strictness, and the baseline that accepts an old history once."""

from __future__ import annotations

from pathlib import Path

import pytest

from safemig.operations.review import accept_history, review
from safemig.review import Severity, Verdict
from safemig.review import review as review_sources
from safemig.review.levels import ABOUT_WAITING, Level, at_level
from safemig.review.registry import all_rules, is_known
from safemig.settings import load_settings
from safemig.sql import SourceFile
from tests.cli.conftest import run_command

INDEX = "CREATE INDEX IF NOT EXISTS i ON users (email);\n"
DROP = "ALTER TABLE users DROP COLUMN legacy;\n"
NOTHING = "ALTER TABLE users ADD COLUMN IF NOT EXISTS a int;\n"
ADVICE = "CREATE TABLE notes (id bigint PRIMARY KEY);\n"


@pytest.mark.parametrize(
    ("sql", "strict", "default", "relaxed"),
    [
        (INDEX, Verdict.ATTENTION, Verdict.ATTENTION, Verdict.SAFE),
        (DROP, Verdict.STOP, Verdict.STOP, Verdict.STOP),
        (ADVICE, Verdict.ATTENTION, Verdict.SAFE, Verdict.SAFE),
        (NOTHING, Verdict.SAFE, Verdict.SAFE, Verdict.SAFE),
        ("REVOKE SELECT ON users FROM app;", Verdict.ATTENTION, Verdict.ATTENTION, Verdict.ATTENTION),
        ("DO $$ BEGIN EXECUTE x; END $$;", Verdict.STOP, Verdict.STOP, Verdict.STOP),
    ],
)  # fmt: skip
def test_a_level_changes_what_weighs(sql: str, strict: Verdict, default: Verdict, relaxed: Verdict) -> None:
    levels: tuple[Level, ...] = ("strict", "default", "relaxed")
    assert [review_sources([SourceFile("m.sql", sql)], level=level).verdict for level in levels] == [
        strict,
        default,
        relaxed,
    ]


def test_no_level_makes_a_danger_or_a_loss_lighter() -> None:
    assert {name for name in ABOUT_WAITING if not is_known(name)} == set()
    for rule in all_rules():
        assert at_level(rule.name, Severity.DANGEROUS, "relaxed") is Severity.DANGEROUS
        assert not (rule.name in ABOUT_WAITING and rule.data_loss)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "supabase/migrations"
    folder.mkdir(parents=True)
    (folder / "20200101000000_old.sql").write_text(DROP + INDEX)
    (folder / "20200102000000_old.sql").write_text(NOTHING)
    (tmp_path / "safemig.toml").write_text('review_level = "default"\n')
    return tmp_path


def test_a_baseline_accepts_what_is_there_and_nothing_else(project: Path) -> None:
    settings = load_settings(project)
    before = review(settings, no_target=True)
    assert before.verdict is Verdict.STOP
    after, path, number = accept_history(settings, no_target=True)
    assert number == len(before.standing) == 2
    assert after.verdict is Verdict.SAFE
    assert {one.accepted for one in after.accepted} == {f"baseline of {path.read_text().split('stood on ')[1][:10]}"}
    new = project / "supabase/migrations/20261201000000_new.sql"
    new.write_text(DROP)
    assert [one.file for one in review(settings, no_target=True).standing] == [new.name], (
        "the same finding elsewhere stands"
    )
    new.unlink()
    old = project / "supabase/migrations/20200101000000_old.sql"
    old.write_text(DROP + INDEX + "-- edited\n")
    assert review(settings, no_target=True).verdict is Verdict.STOP, "an edited file is reviewed anew"


def test_a_baseline_is_written_once(project: Path) -> None:
    first = run_command(project, "review", "--no-target", "--baseline")
    assert (first.exit_code, "2 findings accepted" in first.err) == (0, True)
    again = run_command(project, "review", "--no-target", "--baseline")
    assert again.exit_code == 2
    assert "there is a baseline already" in again.err
    named = run_command(project, "review", "--no-target", "supabase/migrations/20200101000000_old.sql")
    assert named.exit_code == 0, "by whatever path the file is named"
    (project / "review_baseline.txt").write_text("nonsense\n")
    broken = run_command(project, "review", "--no-target")
    assert (broken.exit_code, "review_baseline.txt:1" in broken.err) == (2, True)


def test_what_cannot_be_read_is_in_no_baseline(project: Path) -> None:
    (project / "supabase/migrations/20200103000000_odd.sql").write_text("CREATE TABEL x;")
    after, path, _ = accept_history(load_settings(project), no_target=True)
    assert after.verdict is Verdict.STOP
    assert "cannot-be-read" not in path.read_text()
