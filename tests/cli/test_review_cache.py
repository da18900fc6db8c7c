"""A second review of the same files gives the first one's answer, and of any others a new one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from safemig.operations import review_cache
from tests.cli.conftest import Answer, run_command


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for number in range(3):
        filler = f"-- {'x' * 70_000}\n"
        (tmp_path / f"{number}.sql").write_text(f"{filler}ALTER TABLE users ADD COLUMN IF NOT EXISTS c{number} int;\n")
    return [f"{number}.sql" for number in range(3)]


def reviewed(folder: Path, files: list[str], *arguments: str, **variables: str) -> Answer:
    return run_command(folder, "review", *arguments, *files, **{"XDG_CACHE_HOME": str(folder / "cache"), **variables})


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "cache/safemig/reviews").glob("*"))


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_second_answer_is_the_first_without_a_review(tmp_path: Path, files: list[str], form: str) -> None:
    first = reviewed(tmp_path, files, "--format", form)
    [answer] = kept(tmp_path)
    assert answer.parent.stat().st_mode & 0o077 == 0
    assert reviewed(tmp_path, files, "--format", form) == first
    content = answer.read_bytes()
    mark = b"of the cache"
    code, _, report = content.partition(b"\n")
    import hashlib

    number = code.split(b" ")[0]
    answer.write_bytes(number + b" " + hashlib.sha256(number + mark).hexdigest().encode() + b"\n" + mark)
    assert reviewed(tmp_path, files, "--format", form).out == "of the cache\n", "no review was made"
    answer.write_bytes(content.replace(report[:10], b"##########"))
    assert reviewed(tmp_path, files, "--format", form) == first, "a damaged answer is none"


def test_any_other_review_is_made_anew(tmp_path: Path, files: list[str]) -> None:
    first = reviewed(tmp_path, files)
    assert "DO NOT DEPLOY" not in first.out
    with (tmp_path / "2.sql").open("a") as file:
        file.write("DROP TABLE users;\n")
    changed = reviewed(tmp_path, files)
    assert "DO NOT DEPLOY" in changed.out
    assert changed.exit_code == 1
    accepted = reviewed(tmp_path, files, "--accept", "drop-table:users: moved")
    assert accepted.out != changed.out
    assert reviewed(tmp_path, list(reversed(files))).out != changed.out
    assert len(kept(tmp_path)) == 4


def test_it_can_be_switched_off(tmp_path: Path, files: list[str]) -> None:
    reviewed(tmp_path, files, "--no-cache")
    reviewed(tmp_path, files, SAFEMIG_NO_CACHE="1")
    assert kept(tmp_path) == []


def test_a_key_names_the_code_and_the_platform(
    tmp_path: Path, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = review_cache.key_of(files, [])
    (tmp_path / "supabase").mkdir()
    (tmp_path / "supabase/config.toml").write_text("")
    second = review_cache.key_of(files, [])
    monkeypatch.setattr(review_cache, "_own_code", lambda: ["another release"])
    assert len({first, second, review_cache.key_of(files, [])}) == 3
    assert review_cache.key_of([*files, "nosuch.sql"], []) is None
    os.truncate(files[0], 10)
    assert review_cache.key_of(files[:1], []) is None, "a short text is reviewed as quickly"


def test_the_newest_answers_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(review_cache, "_KEPT", 3)
    for number in range(5):
        review_cache.keep_answer(f"key{number}", 1, f"answer {number}")
        os.utime(tmp_path / f"safemig/reviews/key{number}", (number, number))
    assert [review_cache.kept_answer(f"key{number}") for number in (0, 1, 4)] == [None, None, (1, "answer 4")]
