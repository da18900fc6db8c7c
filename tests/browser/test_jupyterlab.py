"""safemig as a person meets it: JupyterLab in Chromium, by keyboard and mouse.

SAFEMIG_SCREENSHOTS=DIR keeps a picture of each stop.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import psycopg
import pytest
from playwright.sync_api import Browser, expect

from safemig.postgres.connection.connect import connect
from safemig.records import run_runbook
from safemig.records.names import parse_name
from safemig.records.papermill_io import runbooks_folder
from safemig.views import numbers
from tests.browser.conftest import Lab
from tests.tables import part_of

LOAD = "%load_ext safemig"
REVIEW = "%%migration_review\nALTER TABLE users DROP COLUMN fax_number;\nCREATE INDEX ON sales.orders (placed_at);"
WAITS = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'safemig%'"

TOO_WIDE = """() => [...document.querySelectorAll('.jp-OutputArea-output')]
    .filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.innerText.slice(0, 200))"""


def add_migration(lab: Lab, version: str, name: str, sql: str) -> Path:
    """Write a pending migration."""
    path = lab.project.settings.path("migrations") / f"{version}_{name}.sql"
    path.write_text(sql)
    return path


@contextmanager
def blocked(lab: Lab, table: str) -> Iterator[psycopg.Connection]:
    """Hold a lock on a table, as an application that forgot to commit does."""
    with psycopg.connect(lab.shop.production, application_name="checkout") as connection:
        connection.execute(f"SELECT count(*) FROM {table}".encode())
        yield connection
        connection.rollback()


@contextmanager
def patience(lab: Lab) -> Iterator[None]:
    """Let deployments try for a lock until they are interrupted."""
    toml = lab.folder / "safemig.toml"
    before = toml.read_text()
    toml.write_text(before.replace("lock_attempts = 30", "lock_attempts = 10000"))
    assert toml.read_text() != before
    yield
    toml.write_text(before)


def columns_of(lab: Lab, table: str) -> set[str]:
    """Return the columns that a table of production has."""
    with connect(lab.shop.production, "production") as connection:
        found = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", (table,)
        )
        return {name for (name,) in found}


def newest_record(lab: Lab, act: str) -> Path:
    """Return the newest record of an act."""
    return max((lab.folder / "records" / "production").glob(f"*-{act}-*.ipynb"))


def deployed_record(lab: Lab) -> Path:
    """Return the record of a deployment: one that a test before has made, else one of our own."""
    records = sorted((lab.folder / "records" / "production").glob("*-migrate_prod-DEPLOYED.ipynb"))
    if records:
        return records[-1]
    add_migration(lab, "20270601000000", "add_color", "ALTER TABLE public.users ADD COLUMN IF NOT EXISTS color text;")
    run = run_runbook("migrate_prod", lab.project.settings, {"approve": lab.project.plan().id})
    assert run.verdict == "DEPLOYED", run.error
    return run.path


def test_a_cell_of_sql_is_reviewed(lab: Lab) -> None:
    lab.write("review.ipynb", LOAD, REVIEW, "%migrat", "%db_status")
    notebook = lab.open("review.ipynb")
    notebook.run(0)
    notebook.wait_for_end(0)
    assert notebook.output(0).strip() == ""
    notebook.run(1)
    notebook.see(1, "DO NOT DEPLOY")
    for words in ("drop-column", "CREATE INDEX CONCURRENTLY", "accept it by name"):
        assert words in notebook.output(1)
    notebook.shoot("1-review-a-cell")
    notebook.run(3)
    notebook.see(3, "shop_production")
    notebook.shoot("2-status")
    notebook.close()


def test_tab_completes_magics_and_their_options(lab: Lab) -> None:
    lab.write("complete.ipynb", LOAD, "%migrate_prod --a")
    notebook = lab.open("complete.ipynb")
    notebook.run(0)
    notebook.wait_for_end(0)
    notebook.page.locator(".jp-CodeCell .cm-content").nth(1).click()
    notebook.page.keyboard.press("End")
    notebook.page.keyboard.press("Tab")
    offered = notebook.page.locator(".jp-Completer-item")
    expect(offered.filter(has_text="--approve").first).to_be_visible()
    expect(offered.filter(has_text="--accept").first).to_be_visible()
    notebook.shoot("3-completion")
    notebook.close()


def test_a_finding_is_explored_and_accepted(lab: Lab) -> None:
    file = add_migration(
        lab,
        "20270101000000",
        "drop_fax",
        "ALTER TABLE public.users DROP COLUMN IF EXISTS fax_number;\n"
        "ALTER TABLE sales.orders ADD COLUMN IF NOT EXISTS gift boolean;\n"
        "CREATE INDEX IF NOT EXISTS orders_placed ON sales.orders (placed_at);\n",
    )
    try:
        lab.write("explore.ipynb", LOAD, "%migration_review --explore --out review", "print(review.verdict)")
        notebook = lab.open("explore.ipynb")
        notebook.run(0)
        notebook.run(1)
        notebook.see(1, "Accept this finding")
        button = notebook.page.get_by_role("button", name="Accept this finding")
        expect(button).to_be_disabled()
        table = notebook.page.get_by_label("table", exact=True)
        shown = notebook.page.locator(".widget-html").first
        table.select_option("sales.orders")
        expect(shown).to_contain_text("index-not-concurrent")
        expect(shown).not_to_contain_text("drop-column")
        notebook.shoot("4-explore-table")
        table.select_option("users")
        expect(shown).to_contain_text("drop-column")
        expect(shown).not_to_contain_text("index-not-concurrent")
        reason = notebook.page.get_by_placeholder("why is this right here?")
        reason.click()
        notebook.page.keyboard.type("moved to profiles, nobody reads it")
        notebook.page.keyboard.press("Tab")
        expect(button).to_be_enabled()
        notebook.shoot("4-explore")
        button.click()
        notebook.see(1, "written into the settings")
        notebook.shoot("5-accepted")
        text = (lab.folder / "safemig.toml").read_text()
        assert "moved to profiles, nobody reads it" in text
        notebook.run(2)
        notebook.see(2, "SAFE TO DEPLOY")
        notebook.close()
    finally:
        file.unlink()


def test_a_deployment_waits_for_approval_and_for_a_lock_and_is_done(lab: Lab) -> None:
    add_migration(
        lab,
        "20270201000000",
        "add_nickname",
        "CREATE TABLE IF NOT EXISTS public.nicknames (id bigint PRIMARY KEY, name text);\n"
        "ALTER TABLE public.nicknames ENABLE ROW LEVEL SECURITY;\n"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON public.nicknames TO shop_app;\n"
        "ALTER TABLE public.users ADD COLUMN IF NOT EXISTS nickname text;\n",
    )
    (lab.folder / "safemig.toml").open("a").close()
    plan = lab.project.plan().id
    lab.write(
        "deploy.ipynb", LOAD, "%migrate_prod --out deployment", "print('the cell after it ran')", "deployment.verdict"
    )
    notebook = lab.open("deploy.ipynb")
    notebook.page.locator(".jp-CodeCell .cm-content").first.click()
    notebook.page.get_by_role("menuitem", name="Run", exact=True).click()
    notebook.page.get_by_text("Run All Cells", exact=True).click()
    question = notebook.page.locator("input.jp-Stdin-input")
    question.wait_for()
    notebook.see(1, "WAITING FOR APPROVAL")
    gate = notebook.output(1)
    for words in (
        "new column public.users.nickname",
        "Rehearsed on a copy",
        "ACCESS EXCLUSIVE",
        "A rollback would lose",
    ):
        assert words in gate
    statement = notebook.page.locator(".jp-OutputArea pre", has_text="ADD COLUMN IF NOT EXISTS nickname").first
    expect(statement).to_be_hidden()
    notebook.page.get_by_text("The SQL of ").first.click()  # while the kernel waits, what is folded opens
    expect(statement).to_be_visible()
    notebook.shoot("6-asked")
    assert "the cell after it ran" not in notebook.output(2), "Run All stops at the gate"
    assert plan in notebook.output(1)
    with blocked(lab, "users") as blocker:
        question.click()
        notebook.page.keyboard.type(f"production {plan}")
        notebook.page.keyboard.press("Enter")
        notebook.see(1, "WAITING FOR A LOCK")
        seen = notebook.output(1)
        assert str(blocker.info.backend_pid) in seen
        assert "idle in transaction" in seen
        assert "checkout" in seen
        notebook.shoot("7-waits-for-a-lock")
    notebook.see(3, "DEPLOYED")
    assert "the cell after it ran" in notebook.output(2)
    assert "nickname" in columns_of(lab, "users")
    after = notebook.output(1)
    assert "WAITING FOR" not in after, "the result takes the place of the live view"
    assert "DEPLOYED" in after
    notebook.shoot("8-deployed")
    notebook.close()


def test_a_wrong_answer_refuses_and_nothing_changes(lab: Lab) -> None:
    file = add_migration(
        lab, "20270301000000", "add_title", "ALTER TABLE public.users ADD COLUMN IF NOT EXISTS title text;"
    )
    try:
        plan = lab.project.plan().id
        lab.write("refuse.ipynb", LOAD, "%migrate_prod", "print('never')")
        notebook = lab.open("refuse.ipynb")
        notebook.run(0)
        notebook.run(1)
        notebook.run(2)
        question = notebook.page.locator("input.jp-Stdin-input")
        question.wait_for()
        question.click()
        notebook.page.keyboard.type(plan)  # the plan alone: which database it is has not been read
        notebook.page.keyboard.press("Enter")
        notebook.see(1, "is not approved")
        assert "never" not in notebook.output(2)
        assert "title" not in columns_of(lab, "users")
        assert newest_record(lab, "migrate_prod").stem.endswith("-REFUSED")
        notebook.shoot("9-refused")
        notebook.close()
    finally:
        file.unlink()


def test_the_other_runbooks_that_ask_are_run_cell_by_cell(lab: Lab) -> None:
    """One after the other on one production: take back, restore and swap, forget and take over."""
    project = lab.project
    file = add_migration(lab, "20270401000000", "add_motto", "ALTER TABLE public.users ADD IF NOT EXISTS motto text;")
    project.migrate_prod(approve=project.plan().id)
    answer_in_runbook(lab, "rollback_prod", "ROLLED BACK")
    assert "motto" not in columns_of(lab, "users")
    file.unlink()
    project.backup_prod()
    answer_in_runbook(lab, "restore_prod", "RESTORED AND SWAPPED IN", swap=True)
    with psycopg.connect(lab.shop.production, autocommit=True) as connection:
        connection.execute("DROP SCHEMA safemig, supabase_migrations CASCADE")
    answer_in_runbook(lab, "baseline_prod", "BASELINED")


def answer_in_runbook(lab: Lab, verb: str, verdict: str, **given: object) -> None:
    """Open a runbook in JupyterLab, set its parameters, run each cell, and type what its gate asks for."""
    sources = [
        cell.source for cell in nbformat.read(runbooks_folder() / f"{verb}.ipynb", as_version=4).cells
        if cell.cell_type == "code"
    ]  # fmt: skip
    sources[0] += "".join(f"\n{name} = {value!r}" for name, value in given.items())
    lab.write(f"{verb}.ipynb", *sources)
    notebook = lab.open(f"{verb}.ipynb")
    for number in range(len(sources)):
        notebook.run(number)
    question = notebook.page.locator("input.jp-Stdin-input")
    question.wait_for()
    wanted = re.search(r"Type\s+(\S+ \S+)\s+to approve", notebook.output(len(sources) - 1))
    assert wanted
    question.click()
    notebook.page.keyboard.type(wanted[1])
    notebook.page.keyboard.press("Enter")
    notebook.see(len(sources) - 1, verdict)
    notebook.shoot(f"16-{verb}")
    notebook.close()


def test_an_interrupt_stops_the_runbook_s_own_cell_and_says_the_state(lab: Lab) -> None:
    """The runbook itself, cell by cell, as a document that a person goes through."""
    file = add_migration(
        lab, "20270401000000", "add_motto", "ALTER TABLE public.users ADD COLUMN IF NOT EXISTS motto text;"
    )
    with patience(lab):
        (lab.folder / "by_hand.ipynb").write_bytes((runbooks_folder() / "migrate_prod.ipynb").read_bytes())
        plan = lab.project.plan().id
        notebook = lab.open("by_hand.ipynb")
        for number in range(7):  # parameters, open, preflight, review, plan, backup, rehearse
            notebook.run(number)
        notebook.run(7)
        question = notebook.page.locator("input.jp-Stdin-input")
        question.wait_for()
        question.click()
        notebook.page.keyboard.type(f"production {plan}")
        notebook.page.keyboard.press("Enter")
        notebook.see(7, "APPROVED")
        with blocked(lab, "users"):
            notebook.run(8)
            notebook.see(8, "WAITING FOR A LOCK")
            notebook.shoot("10-by-hand-waiting")
            notebook.interrupt()
            notebook.see(8, "interrupted")
        said = notebook.output(8)
        assert re.search(r"rolled back,\s+nothing was changed", said)
        assert "WAITING FOR A LOCK" not in said
        assert "motto" not in columns_of(lab, "users")
        notebook.shoot("11-interrupted")
        notebook.close()
    file.unlink()


def test_an_interrupt_of_the_magic_reaches_the_record(lab: Lab) -> None:
    file = add_migration(
        lab, "20270501000000", "add_pet", "ALTER TABLE public.users ADD COLUMN IF NOT EXISTS pet text;"
    )
    with patience(lab):
        lab.write("interrupt.ipynb", LOAD, f"%migrate_prod --approve {lab.project.plan().id}")
        notebook = lab.open("interrupt.ipynb")
        notebook.run(0)
        with blocked(lab, "users"):
            notebook.run(1)
            notebook.see(1, "WAITING FOR A LOCK")
            notebook.interrupt()
            notebook.see(1, "nothing was changed")
        assert "interrupted" in notebook.output(1)
        assert "pet" not in columns_of(lab, "users")
        assert newest_record(lab, "migrate_prod").stem.endswith("-FAILED")
        notebook.shoot("12-magic-interrupted")
        notebook.close()
    file.unlink()


@pytest.mark.parametrize("theme", part_of(["JupyterLab Dark", "JupyterLab Light"], ["JupyterLab Dark"], str))
def test_a_record_reopened_untrusted_says_all_that_it_said(lab: Lab, theme: str) -> None:
    record = deployed_record(lab)
    lab.use_theme(theme)
    try:
        notebook = lab.open(str(record.relative_to(lab.folder)), with_kernel=False)
        page = notebook.page
        page.locator(".jp-OutputArea").get_by_text("BACKED UP").first.wait_for()
        shown = page.locator(".jp-Notebook").inner_text()
        for words in (
            "SAFE TO DEPLOY",
            "PLAN ",
            "BACKED UP",
            "REHEARSED",
            "APPROVED",
            "DEPLOYED",
            "VALID",
            "rollback_",
        ):
            assert words in shown, words
        badge = page.get_by_text("DEPLOYED", exact=False).locator("xpath=self::strong").first
        colour = badge.evaluate("each => getComputedStyle(each).backgroundColor")
        assert colour == "rgb(46, 107, 52)", "the literal inline style is kept"
        assert page.locator(".jp-OutputArea script, .jp-OutputArea style").count() == 0
        assert page.locator(".jp-OutputArea img").count() == page.locator(".jp-OutputArea img[alt]").count()
        # Text on the page's own ground takes the theme's colour, so that it is legible in both.
        cell = page.locator(".jp-OutputArea td").first
        light = cell.evaluate("each => getComputedStyle(each).color.match(/\\d+/g).slice(0, 3).map(Number)")
        assert (sum(light) > 380) is (theme == "JupyterLab Dark"), light
        page.locator(".jp-Notebook .jp-Cell").nth(9).scroll_into_view_if_needed()
        notebook.shoot(f"13-record-{theme.split()[1].lower()}")
        page.locator(".jp-Notebook .jp-Cell").last.scroll_into_view_if_needed()
        notebook.shoot(f"14-record-end-{theme.split()[1].lower()}")
        notebook.close()
    finally:
        lab.use_theme("JupyterLab Light")


def test_what_a_crash_left_is_settled_from_a_cell_and_the_archive_is_seen(lab: Lab) -> None:
    deployed = deployed_record(lab)
    home = deployed.parent
    left = home / "20200101T000000Z-production-migrate_prod-RUNNING.ipynb"
    left.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    lab.write("archive.ipynb", LOAD, "%deployments", "%deployments --settle --verify")
    notebook = lab.open("archive.ipynb")
    notebook.run(0)
    notebook.run(1)
    notebook.see(1, "INCOMPLETE")
    notebook.run(2)
    notebook.see(2, "The run was cut off before it changed anything.")
    notebook.see(2, "VERIFIED")
    assert not left.exists()
    strip = notebook.page.locator(".jp-OutputArea img").last
    assert strip.get_attribute("alt").startswith("Archive: ")
    notebook.page.locator(".jp-CodeCell").nth(2).scroll_into_view_if_needed()
    notebook.shoot("16-archive-settled")
    notebook.close()


def test_a_record_opens_from_the_archive_wherever_the_notebook_lies(lab: Lab) -> None:
    record = deployed_record(lab)
    (lab.folder / "notes" / "a b").mkdir(parents=True, exist_ok=True)
    # A cell may change the folder; the link is as seen from the notebook.
    elsewhere = "import os; os.chdir('/'); get_ipython().run_line_magic('config', f'SafeMig.project = {project!r}')"
    lab.write(
        "notes/a b/c.ipynb", LOAD, f"project = {str(lab.folder)!r}; {elsewhere}", "%deployments --act migrate_prod"
    )
    notebook = lab.open("notes/a%20b/c.ipynb")
    for number in range(3):
        notebook.run(number)
    notebook.see(2, "DEPLOYED")
    name = parse_name(record.stem)
    assert name is not None
    notebook.page.locator(".jp-OutputArea a").get_by_text(numbers.time(name.at)).click()
    notebook.page.locator(".jp-OutputArea").get_by_text("BACKED UP").first.wait_for()
    tab = notebook.page.locator(f'.lm-DockPanel-tabBar .lm-TabBar-tab.jp-mod-current[title*="{record.name}"]')
    tab.first.wait_for()  # the record becomes the current tab once its title is known
    notebook.close()


@pytest.mark.parametrize("editor", ["JupyterLab", "Notebook"])
def test_a_record_survives_being_left_open(lab: Lab, editor: str) -> None:
    """Untouched through three autosaves, which write it again: its content stays what was sealed, and so says the archive."""
    record = deployed_record(lab)
    sealed = record.read_bytes()
    record.chmod(0o644)  # as in a checkout, where nobody's records are read-only
    name = str(record.relative_to(lab.folder))
    try:
        with lab.saving_every(2):
            notebook = lab.open(name) if editor == "JupyterLab" else lab.open_in_notebook(name)
            deadline = time.monotonic() + 60
            while record.read_bytes() == sealed and time.monotonic() < deadline:  # no one touches it
                notebook.page.wait_for_timeout(500)
            notebook.page.wait_for_timeout(5_000)  # two more times it may save
            notebook.close()
        assert record.read_bytes() != sealed, "the editor writes it in its own way"
        archive = lab.project.deployments(verify=True)
        assert archive.problems == ()
        (opened,) = (each for each in archive.records if each.path == record)
        assert opened.integrity == "resaved"
    finally:
        record.write_bytes(sealed)


def test_nothing_is_cut_off_in_a_narrow_pane(lab: Lab) -> None:
    """At 900 px, no output needs scrolling sideways: what a person would not see there, no one approves."""
    record = deployed_record(lab)
    for name in (str(record.relative_to(lab.folder)), "narrow.ipynb"):
        lab.write("narrow.ipynb", LOAD, REVIEW, "%deployments --verify", "%db_status", "%deploy_help emergency")
        notebook = lab.open(name)
        notebook.narrow()
        if name == "narrow.ipynb":
            for number in range(5):
                notebook.run(number)
            notebook.see(4, "Emergency procedures")
        notebook.page.wait_for_timeout(500)
        assert notebook.page.evaluate(TOO_WIDE) == []
        notebook.close()


def test_the_page_beside_a_record_reads_as_a_document(lab: Lab, browser: Browser) -> None:
    file = deployed_record(lab).with_suffix(".html")
    page = browser.new_page(viewport={"width": 1100, "height": 1400})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    time.sleep(0.2)
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == [], "no network"
    assert page.locator("header .word").inner_text() == "DEPLOYED"
    folded = page.locator("details.section:not([open])", has=page.locator("#Plan")).locator(".output_subarea table")
    statements = page.locator("details.paper pre")
    assert not any(each.is_visible() for each in (folded.first, statements.first))
    assert statements.count() == 1, "each statement stands once"
    page.emulate_media(media="print")
    assert folded.first.is_visible(), "paper cannot be unfolded"
    assert statements.first.is_visible()
    kept = page.locator("header .word").evaluate("each => getComputedStyle(each).printColorAdjust")
    assert kept == "exact", "the verdict is white on its colour"
    page.close()


@pytest.mark.parametrize(("file", "pages"), [("docs/sample_record.html", 4), ("runbooks/emergency.html", 1)])
def test_a_page_prints_on_few_sheets(browser: Browser, file: str, pages: int) -> None:
    page = browser.new_page()
    page.goto((Path(__file__).resolve().parent.parent.parent / file).as_uri())
    for paper in ("A4", "Letter"):
        printed = page.pdf(format=paper, prefer_css_page_size=True)
        assert len(re.findall(rb"/Type\s*/Page\b(?!s)", printed)) <= pages, paper
    page.set_viewport_size({"width": 1000, "height": 1100})
    if folder := os.environ.get("SAFEMIG_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"15-{Path(file).stem}.png")
    page.close()
