"""The three pictures: what they draw, and that the sentence beside them says it too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

from safemig.results import HeldLock, RecordEntry, Step
from safemig.review.model import ReviewedFile, ReviewedStatement, TableLock
from safemig.sql.locks import LockMode
from safemig.views.pictures import (
    Blocking,
    archive_strip,
    blocking_bars,
    blocking_of_review,
    blocking_of_steps,
    timeline,
)

SVG = "{http://www.w3.org/2000/svg}"


def step(number: int, ran_s: float, *locks: tuple[str, LockMode], alone: bool = False, wait_s: float = 0.0) -> Step:
    held = tuple(HeldLock(table, mode) for table, mode in locks)
    return Step(
        number, "a.sql", number, "ALTER TABLE", f"ALTER TABLE t{number}", not alone, "ran", ran_s, wait_s, 1, None, held
    )


def test_a_lock_blocks_to_the_end_of_its_transaction() -> None:
    steps = [
        step(1, 0.5, ("orders", LockMode.ACCESS_EXCLUSIVE)),
        step(2, 2.0, ("users", LockMode.SHARE)),
        step(3, 9.0, ("items", LockMode.SHARE_UPDATE_EXCLUSIVE), alone=True),
        step(4, 1.0, ("items", LockMode.SHARE_ROW_EXCLUSIVE), alone=True),
    ]
    assert blocking_of_steps(steps) == (
        Blocking("orders", LockMode.ACCESS_EXCLUSIVE, 2.5),
        Blocking("users", LockMode.SHARE, 2.0),
        Blocking("items", LockMode.SHARE_ROW_EXCLUSIVE, 1.0),
    )


def test_a_lock_that_blocks_readers_counts_more_than_one_that_is_longer() -> None:
    steps = [step(1, 9.0, ("orders", LockMode.SHARE)), step(2, 0.5, ("orders", LockMode.ACCESS_EXCLUSIVE))]
    assert blocking_of_steps(steps) == (Blocking("orders", LockMode.ACCESS_EXCLUSIVE, 0.5),)


def test_a_review_s_bars_are_of_work_under_a_lock_at_the_rate_that_its_words_name() -> None:
    def reviewed(
        rule: str, table: str, mode: LockMode, mib: int | None, *, transactional: bool = True
    ) -> ReviewedStatement:
        size = mib * 2**20 if mib is not None else None
        locks = (TableLock(table, mode),)
        return ReviewedStatement("", 1, 1, "", mode, (table,), (rule,), locks, transactional, None, size)

    files = (
        ReviewedFile("a.sql", (
            reviewed("drop-column", "users", LockMode.ACCESS_EXCLUSIVE, 5000),  # of the catalog only, but held
            reviewed("index-not-concurrent", "orders", LockMode.SHARE, 500),
        )),
        ReviewedFile("b.sql", (
            reviewed("alter-column-type", "items", LockMode.ACCESS_EXCLUSIVE, None),  # no one knows its size
            reviewed("reindex", "logs", LockMode.SHARE_UPDATE_EXCLUSIVE, 900, transactional=False),
        )),
    )  # fmt: skip
    assert blocking_of_review(files) == (
        Blocking("users", LockMode.ACCESS_EXCLUSIVE, 10.0),
        Blocking("orders", LockMode.SHARE, 10.0),
    )


def test_bars_are_as_long_as_what_waits() -> None:
    picture = blocking_bars(
        [Blocking("orders", LockMode.SHARE, 40.0), Blocking("users", LockMode.ACCESS_EXCLUSIVE, 10.0)], estimated=True
    )
    assert picture is not None
    assert picture.finding == "Blocking per table: orders longest, writes wait ≈ 40 s (SHARE)."
    bars = [float(each.attrib["width"]) for each in ElementTree.fromstring(picture.svg).findall(f"{SVG}rect")][1:]
    assert bars[0] == 4 * bars[1]
    assert blocking_bars([], estimated=True) is None


def test_the_timeline_puts_the_steps_one_after_another_and_dashes_the_waits() -> None:
    picture = timeline([step(1, 1.0, wait_s=1.0), step(2, 2.0)])
    assert picture is not None
    assert picture.finding == "Timeline: 2 steps in 4.00 s, of which 1.00 s waiting for locks; step 2 took longest."
    _, waits, first, second = ElementTree.fromstring(picture.svg).findall(f"{SVG}rect")
    assert waits.attrib["stroke-dasharray"]
    ends = float(first.attrib["x"]) + float(first.attrib["width"])
    assert abs(float(second.attrib["x"]) - ends) < 0.2
    assert float(second.attrib["width"]) == 2 * float(first.attrib["width"])


def test_nothing_ran_nothing_is_drawn() -> None:
    assert timeline([Step(1, "a.sql", 1, "SELECT", "SELECT 1")]) is None
    assert timeline([step(1, 0.001), step(2, 0.002)]) is None, "over in a moment"


def test_a_moment_does_not_fill_the_bar() -> None:
    picture = blocking_bars([Blocking("orders", LockMode.ACCESS_EXCLUSIVE, 0.01)], estimated=False)
    assert picture is not None
    assert float(ElementTree.fromstring(picture.svg).findall(f"{SVG}rect")[1].attrib["width"]) < 10


def test_the_strip_is_in_the_order_of_time_and_crosses_what_failed() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    records = [
        RecordEntry(
            Path("x"), "production", "migrate_prod", verdict, at + timedelta(days=i), "dana", "", (), 1.0, "sealed"
        )
        for i, verdict in enumerate(["DEPLOYED", "FAILED", "NOTHING-TO-DEPLOY"])
    ]
    picture = archive_strip(records[::-1])
    assert picture is not None
    assert picture.finding == "Archive: 3 records from 2026-11-01 to 2026-11-03, 1 of them failed."
    marks = ElementTree.fromstring(picture.svg).findall(f"{SVG}g")
    assert [mark.find(f"{SVG}path") is not None for mark in marks] == [False, True, False]
    assert archive_strip(records[:1]) is None


def test_a_picture_stays_small_however_long_the_list() -> None:
    picture = timeline([step(i, 0.5) for i in range(1, 200)])
    assert picture is not None
    assert len(picture.svg) < 12_000
