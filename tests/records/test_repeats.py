"""A table or listing that a step repeats is a link to the first; what differs, or is short, stays."""

from __future__ import annotations

from safemig.records.repeats import link_repeats

ROWS = "".join(f"<tr><td>{n}</td><td>a row of a table</td></tr>" for n in range(20))
TABLE = f"<p><strong>Steps</strong></p>\n<table>{ROWS}</table>"
LISTING = f"<details><summary>The SQL of 3 steps</summary>\n<pre>{'SELECT 1;' * 50}</pre></details>"


def test_an_equal_block_is_a_link_to_the_first_section_that_has_it() -> None:
    plan, rehearsal, deployment = link_repeats(
        [
            ("Plan", f"<p>a</p>{TABLE}{LISTING}"),
            ("Rehearsal", TABLE.replace("\n", " \n ")),
            ("Deployment", f"{LISTING}<p>b</p>"),
        ]
    )
    assert plan == "<p>a</p>" + TABLE + LISTING.replace("<details", '<details class="paper"')
    assert rehearsal == '<p style="margin:.3em 0">Steps: as in <a href="#Plan">Plan</a></p>'
    assert deployment == '<p style="margin:.3em 0">The SQL of 3 steps: as in <a href="#Plan">Plan</a></p><p>b</p>'


def test_what_differs_is_short_or_is_in_the_same_section_stays() -> None:
    other = TABLE.replace("a row", "another row")
    short = "<p><strong>Rows</strong></p><table><tr><td>1</td></tr></table>"
    bodies = [f"{TABLE}{TABLE}{short}", f"{other}{short}"]
    assert link_repeats([("Plan", bodies[0]), ("Rehearsal", bodies[1])]) == bodies
