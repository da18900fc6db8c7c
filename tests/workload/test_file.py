"""The workload file: what is written is what is read, and a file that is damaged says where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from safemig.errors import FileError
from safemig.workload.file import read_workload, write_workload
from safemig.workload.statement import Counter, SeenWorkload, Statement, Window, identity, joined

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def statement(text: str = "SELECT 1", role: str = "app", **facts: object) -> Statement:
    given: dict[str, object] = {"kind": "SELECT", "source": "pg_stat_statements"} | facts
    return Statement(identity(text, role, "shop"), text, role, "shop", **given)  # type: ignore[arg-type]


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    seen = SeenWorkload(
        "production",
        tuple(
            sorted(
                (
                    statement('SELECT "Ünï" FROM "odd schema"."t\n\u20282" WHERE a = $1', queryid=-5, calls=3, mean_ms=0.25),
                    statement("INSERT INTO t VALUES ($1)", kind="INSERT", search_path='"$user", app', first_seen=NOON,
                              last_seen=NOON + HOUR, read=Counter(4, 5, 1.5, NOON)),
                ),
                key=lambda each: each.id,
            )
        ),
        (Window(NOON, NOON + HOUR),),
        evicted=7,
        skipped=(("utility", 2),),
    )  # fmt: skip
    path = tmp_path / "workload" / "production.jsonl"
    write_workload(path, seen)
    assert read_workload(path) == seen
    assert path.read_text(encoding="utf-8").count("\n") == 3
    assert [each.name for each in path.parent.iterdir()] == ["production.jsonl"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "line 1"),
        ("{}\n", "line 1"),
        ('{"workload": 99, "environment": "production", "windows": []}\n', "line 1"),
        ('{"workload": 1, "environment": "production", "windows": []}\n{"id": 1}\n', "line 2"),
        ('{"workload": 1, "environment": "production", "windows": []}\nno JSON\n', "line 2"),
        ('{"workload": 1, "environment": "production", "windows": []}\n[]\n', "line 2"),
    ],
)
def test_a_damaged_file_says_where(tmp_path: Path, content: str, line: str) -> None:
    path = tmp_path / "production.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(FileError, match=line):
        read_workload(path)


def test_a_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="safemig workload"):
        read_workload(tmp_path / "production.jsonl")


def test_hours_are_those_of_the_windows_without_their_gaps() -> None:
    windows = joined(
        (Window(NOON + 3 * HOUR, NOON + 4 * HOUR), Window(NOON, NOON + HOUR), Window(NOON, NOON + 2 * HOUR))
    )
    assert windows == (Window(NOON, NOON + 2 * HOUR), Window(NOON + 3 * HOUR, NOON + 4 * HOUR))
    assert SeenWorkload("production", (), windows).hours == 3
