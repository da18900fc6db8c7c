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
    table = TABLE.replace("Steps", "Rows")
    short = "<p><strong>Rows</strong></p><table><tr><td>1</td></tr></table>"
    bodies = [f"{table}{table}{short}", f"{table.replace('a row', 'another row')}{short}"]
    assert link_repeats([("Plan", bodies[0]), ("Rehearsal", bodies[1])]) == bodies


def test_an_equal_table_under_another_title_is_a_link() -> None:
    changes = TABLE.replace("Steps", "Schema changes")
    _, deployment = link_repeats([("Rehearsal", changes), ("Deployment", changes.replace("Schema changes", "Schema"))])
    assert deployment == '<p style="margin:.3em 0">Schema: as in <a href="#Rehearsal">Rehearsal</a></p>'


def test_only_the_last_list_of_steps_and_of_locks_stands_open() -> None:
    ran = TABLE.replace("a row", "what ran").replace("Steps", "Steps on the copy")
    last = TABLE.replace("a row", "what was deployed")
    locks = TABLE.replace("Steps", "Locks expected")
    plan, rehearsal, deployment = link_repeats([("Plan", TABLE + locks), ("Rehearsal", ran), ("Deployment", last)])
    table = TABLE.partition("\n")[2]
    assert plan == f"<details><summary>Steps</summary>\n{table}\n</details>{locks}"
    assert rehearsal.startswith("<details><summary>Steps on the copy</summary>")
    assert deployment == last
