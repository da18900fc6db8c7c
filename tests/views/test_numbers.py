"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from safemig.views import numbers


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [(None, "–"), (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_524, "1,023.9 KiB"), (1_048_575, "1.0 MiB"),
     (3_328_599_654, "3.1 GiB"), (2**60, "1,024.0 PiB")],
)  # fmt: skip
def test_sizes(size_bytes: int | None, shown: str) -> None:
    assert numbers.size(size_bytes) == shown


@pytest.mark.parametrize(
    ("duration_s", "shown"),
    [(None, "–"), (0, "0.00 s"), (0.001, "< 0.01 s"), (0.05, "0.05 s"), (9.994, "9.99 s"), (9.996, "10 s"), (41.2, "41 s"),
     (119.6, "2 min 00 s"), (125, "2 min 05 s"), (7199.7, "2 h 00 min"), (170_000, "47 h 13 min"), (4_000_000, "46 days")],
)  # fmt: skip
def test_seconds(duration_s: float | None, shown: str) -> None:
    assert numbers.seconds(duration_s) == shown


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [(1, 1, "0"), (1, 3, "+2"), (12_400_000, 0, "-12,400,000"), (None, 3, "–"), (3, None, "–")],
)
def test_changes(before: int | None, after: int | None, shown: str) -> None:
    assert numbers.change(before, after) == shown


def test_counts_and_estimates() -> None:
    assert numbers.count(12_400_000) == "12,400,000"
    assert numbers.counted(1, "table") == "1 table"
    assert numbers.counted(2_000, "entry", "entries") == "2,000 entries"
    assert numbers.estimate("41 s") == "≈ 41 s"
    assert numbers.estimate(numbers.count(None)) == "–"


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 22, 20, 10, 4, 999, tzinfo=UTC),
        datetime(2026, 11, 22, 20, 10, 4),
        datetime(2026, 11, 22, 22, 10, 4, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_times_are_utc(moment: datetime) -> None:
    assert numbers.time(moment) == "2026-11-22T20:10:04Z"


def test_long_texts_are_cut_on_one_line() -> None:
    assert numbers.shortened("ALTER  TABLE\n orders", 30) == "ALTER TABLE orders"
    assert numbers.shortened("ALTER TABLE orders", 12) == "ALTER TABLE…"
