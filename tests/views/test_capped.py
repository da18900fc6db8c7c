"""A view of thousands of statements: small enough for a notebook, what needs a look first, and the rest counted."""

from __future__ import annotations

import re
import time

import pytest

import safemig  # noqa: F401 - hangs the renderer in
from safemig.review import review
from safemig.sql import SourceFile
from safemig.views.capped import FINDINGS, ITEMS, LINES, ROWS, capped
from safemig.views.document import Badge, Beside, Bullets, Callout, Details, Document, Line, Listing, Paragraph, Table

MANY = 5_000
TEXTS = {
    "findings in every statement": "".join(
        f"ALTER TABLE public.t{n} ADD COLUMN c int NOT NULL;\nCREATE INDEX i{n} ON t{n} (c);\n"
        for n in range(MANY // 2)
    ),
    "two wordy findings in each": "".join(
        f"ALTER TABLE t{n} DROP COLUMN c{n};\nCREATE INDEX i{n} ON t{n} (a);\n" for n in range(MANY // 2)
    ),
    "one statement after the other": "".join(f"INSERT INTO t VALUES ({n});\n" for n in range(MANY)),
    "one statement of many rows": "INSERT INTO t VALUES " + ", ".join(f"({n}, 'some words')" for n in range(100_000)),
    "one statement of many lines": "INSERT INTO t VALUES\n"
    + ",\n".join(f"({n}, 'some words')" for n in range(100_000)),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_cell_holds_at_most_300_kb_and_is_drawn_in_a_second(text: str) -> None:
    made = review([SourceFile("m.sql", text)])
    begun = time.process_time()
    drawn = made.render("html")
    assert time.process_time() - begun < 1
    assert len(drawn.encode()) < 300_000
    assert len(made._repr_mimebundle_()["text/plain"]) < 150_000
    assert re.search(r"[\d,]+ (more rows|more findings|lines|characters) not shown", drawn)


def test_what_is_not_shown_is_in_the_frame_and_in_the_facts() -> None:
    some = "\n".join(TEXTS["findings in every statement"].splitlines()[: MANY // 10])
    made = review([SourceFile("m.sql", some)])
    assert len(made.to_frame()) == len(made.findings) > MANY // 10
    assert len(made.to_dict()["findings"]) == len(made.findings)


def test_facts_that_would_bloat_a_persons_notebook_stay_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    many = review([SourceFile("m.sql", TEXTS["findings in every statement"][:20_000])])
    few = review([SourceFile("m.sql", "SELECT 1")])
    mime = "application/vnd.safemig.review+json"
    assert mime in many._repr_mimebundle_(), "a record has all facts"
    monkeypatch.setattr("safemig.result._find_place", lambda: object())
    assert mime not in many._repr_mimebundle_()
    assert mime in few._repr_mimebundle_()


def document(*blocks: object) -> Document:
    return Document(Badge("SAFE", "ok"), (), blocks)  # type: ignore[arg-type]


def test_rows_with_a_warning_are_shown_first_and_in_their_order() -> None:
    rows = tuple((str(n), Badge("drop", "error") if n in (700, 900) else "-") for n in range(1_000))
    table, note = capped(document(Table("t", ("#", "finding"), rows))).blocks
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == [*(str(n) for n in range(ROWS - 2)), "700", "900"]
    pending = tuple((str(n), Badge("pending", "waiting") if n == 700 else Badge("applied", "ok")) for n in range(1_000))
    table_of_states, _ = capped(document(Table("t", ("#", "state"), pending))).blocks
    assert isinstance(table_of_states, Table)
    assert table_of_states.rows[-1][0] == "700"
    assert note == Paragraph((f"{1_000 - ROWS:,} more rows not shown: .to_frame() and .to_dict() have all of them",))


def test_marked_lines_are_shown_with_those_around_them_and_each_gap_is_counted() -> None:
    lines = tuple(
        Line(f"line {n}", n, "✖" if n == 2_000 else " ", "error" if n == 2_000 else None) for n in range(5_000)
    )
    (listing,) = capped(document(Listing("l", lines))).blocks
    assert isinstance(listing, Listing)
    numbers = [each.number for each in listing.lines if each.number is not None]
    assert numbers == [*range(LINES - 5), *range(1_998, 2_003)]
    gaps = [each.text for each in listing.lines if each.number is None]
    assert gaps == [
        f"… {1_998 - LINES + 5:,} lines not shown: .to_dict() has all of them",
        "… 2,997 lines not shown: .to_dict() has all of them",
    ]


def test_a_document_has_room_for_so_much_in_all() -> None:
    callouts = tuple(Callout(Badge("CAUTION", "warning"), f"finding {n}") for n in range(FINDINGS - 1))
    half = Bullets("b", ("an item",) * (ITEMS - 1))
    pairs = Beside("x", "left", "right", (("a", " ", "a"),) * (LINES + 1))
    blocks = capped(document(*callouts, half, Details("more", (*callouts, half)), pairs)).blocks
    assert blocks[: FINDINGS - 1] == callouts
    details = blocks[FINDINGS]
    assert isinstance(details, Details)
    first, findings, bullets, items = details.blocks
    assert first == callouts[0]
    assert findings == Paragraph(
        (f"{FINDINGS - 2} more findings not shown: .to_frame() and .to_dict() have all of them",)
    )
    assert isinstance(bullets, Bullets)
    assert len(bullets.items) == 1
    assert items == Paragraph((f"{ITEMS - 2} more items not shown: .to_frame() and .to_dict() have all of them",))
    assert blocks[-1] == Paragraph(("1 more line not shown: .to_frame() and .to_dict() have all of them",))


def test_a_small_document_is_left_as_it_is() -> None:
    made = document(Table("t", ("a",), (("1",),)), Listing("l", (Line("SELECT 1", 1),)), Bullets("b", ("x",)))
    assert capped(made) == made
