"""The head of a record tells what was done, why, by whom and on what evidence, and nothing that is not so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import nbformat
import pytest
from runbook_files import DEPLOYMENT, RunMode

from safemig.records import read_archive
from safemig.records.certificate import certificate_of
from safemig.records.certificate_markdown import as_markdown
from safemig.records.outcome import Outcome, RecordedError, RecordedResult
from safemig.records.page import draw_page
from safemig.records.sections import SECTIONS
from safemig.records.source import source_of
from safemig.results import WRITTEN_SINCE

TARGET = {"database": "shop", "host": "db1", "server_version": "17.10", "environment": "production"}
FILE = "20261101000000_add_theme.sql"
LOCK = {"mode": "ACCESS EXCLUSIVE", "object": "public.users", "held_s": 0.012}
TABLES = [
    {"name": "public.users", "rows": 1000},
    {"name": "public.orders", "rows": 234},
    {"name": "safemig.migrations", "rows": 5},  # the history is counted nowhere
]
STEP = {
    "file": FILE,
    "kind": "ALTER TABLE",
    "sql": "ALTER TABLE users\n  ADD COLUMN theme text",
    "locks": [LOCK],
    "rewrites": [],
    "lock_wait_s": 0.5,
}
FACTS = {
    "verb": "migrate_prod", "environment": "production", "by": "ci", "word": "DEPLOYED", "exit_code": 0, "version": "1",
    "started": "2026-11-22T20:09:04.000Z", "finished": "2026-11-22T20:09:09.000Z", "error": [],
}  # fmt: skip
PLANNED = {"id": "3f2a9c1", "migrations": [{"file": FILE}], "steps": [STEP], "target": TARGET}


def review(**changes: Any) -> RecordedResult:
    data = {"verdict": "SAFE TO DEPLOY", "files": [{"statements": [1, 2]}], "findings": []} | changes
    return RecordedResult("review", "", "", data)


def backup(verified: str = "no") -> RecordedResult:
    return RecordedResult("backup", "", "", {"tables": TABLES, "verified": verified, "target": TARGET})


def rehearsal(
    mode: str = "data", verified: str = "restored", proven: bool = True, gone: tuple[str, ...] = ()
) -> RecordedResult:
    rollback = {"is_proven": proven, "remaining": ["column a"], "cannot_bring_back": list(gone)}
    data = {"mode": mode, "server_version": "17.10", "steps": [STEP], "backup_verified": verified, "rollback": rollback}
    return RecordedResult("rehearsal", "", "", data)


def approval() -> RecordedResult:
    return RecordedResult("approval", "", "", {"by": "kim", "others": ["lee"], "how": "typed", "at": "2026-11-22T20:09:05Z", "plan_id": "3f2a9c1"})  # fmt: skip


def deployment() -> RecordedResult:
    return RecordedResult(
        "deployment", "", "", {"migrations": [FILE], "steps": [STEP], "target": TARGET, "verdict": "DEPLOYED"}
    )


def validation(state: str = "ok") -> RecordedResult:
    return RecordedResult(
        "validation", "", "", {"checks": [{"name": "schema", "state": "ok"}, {"name": "rows", "state": state}]}
    )


PLAN = RecordedResult("plan", "", "", PLANNED)
ACCEPTED = {"rule": "drop-column", "object": "users.fax", "accepted": "nobody reads it"}


def certificate(*results: RecordedResult, word: str = "DEPLOYED", exit_code: int = 0, **facts: Any) -> Any:
    error = RecordedError("RefusedError", exit_code, ("Refused: no", "next: yes")) if exit_code else None
    found = certificate_of(Outcome(word, exit_code, results, error), FACTS | facts)
    assert found is not None
    return found


ALL = (review(), PLAN, backup(), rehearsal(), approval(), deployment(), validation())


def test_a_whole_deployment_is_told_on_one_screen() -> None:
    source = {"commit": "9f2c1e7aa88123", "state": "clean", "author": "dana", "subject": "SHOP-412 theme", "ci": "run 7", "ci_url": "https://ci/7"}  # fmt: skip
    text = as_markdown(certificate(*ALL, source=source))
    told = as_markdown(certificate(*ALL, source={**source, "reason": "SHOP-412"}))
    assert "- **Reason**: SHOP-412\n" in told, "what a person says goes before the commit's subject"
    for words in (
        "# DEPLOYED · Deployment to production: add theme",
        "shop on db1 · PostgreSQL 17.10 · 2026-11-22 20:09:04 to 20:09:09 UTC · longest wait for a lock 0.50 s",
        "- **Reason**: SHOP-412 theme (commit message)",
        "- **Committed by**: dana",
        "- **Run by**: ci",
        "- **Approved by**: kim, lee, 2026-11-22 20:09:05 UTC, plan 3f2a9c1, typed at the prompt",
        "- **Source**: commit 9f2c1e7aa881, clean",
        "- **CI**: [run 7](https://ci/7)",
        "ALTER TABLE users ADD COLUMN theme text  \n  strongest lock: ACCESS EXCLUSIVE on public.users, 0.01 s",
        "| ✓ | **Reviewed** | 2 statements, SAFE TO DEPLOY, nothing had to be accepted | [details](#Review) |",
        "| ✓ | **Backed up and restored** | 1,234 rows in 2 tables, restored and compared by hash |",
        "| ✓ | **Rehearsed on a copy** | on PostgreSQL 17.10, with its data; longest lock 0.01 s; no table rewritten |",
        "| ✓ | **Rollback proven** | run on the copy; schema equal to before |",
        "| ✓ | **Validated** | schema as rehearsed before COMMIT; 2 checks after it |",
    ):
        assert words in text, text


@pytest.mark.parametrize(
    ("results", "proof", "mark", "words"),
    [
        ((review(findings=[ACCEPTED]),), 0, "mind", "1 finding accepted by name"),
        ((review(verdict="DO NOT DEPLOY"),), 0, "no", "DO NOT DEPLOY"),
        ((), 0, "not reached", "not reached"),
        ((backup(),), 1, "mind", "1,234 rows in 2 tables, not restored"),
        ((backup("read"),), 1, "mind", "read back, not restored"),
        ((backup(), rehearsal(verified="read")), 1, "mind", "read back, not restored"),
        ((rehearsal(mode="schema"),), 2, "mind", "its schema alone, without data"),
        ((rehearsal(proven=False),), 3, "no", "column a"),
        ((rehearsal(gone=("values",)),), 3, "mind", "see below what it would lose"),
        ((deployment(),), 4, "mind", "not validated after it"),
        ((deployment(), validation("failed")), 4, "no", "these checks failed: rows"),
        ((deployment(), validation("warning")), 4, "mind", "to be looked at: rows"),
        ((rehearsal(),), 4, "not reached", "not reached"),
    ],
)
def test_a_proof_says_what_was_proven_and_no_more(
    results: tuple[RecordedResult, ...], proof: int, mark: str, words: str
) -> None:
    found = certificate(*results, word="X").proofs[proof]
    assert found.mark == mark
    assert words in found.words


def test_a_file_is_told_by_its_first_changes_and_not_by_a_setting() -> None:
    setting = STEP | {"kind": "SET", "sql": "SET check_function_bodies = off"}
    steps = [setting, STEP, STEP | {"sql": "CREATE TABLE a (b int)"}, STEP | {"sql": "CREATE TABLE c (d int)"}]
    text = as_markdown(certificate(RecordedResult("plan", "", "", {"steps": steps, "migrations": []})))
    assert "check" not in text
    assert "ALTER TABLE users ADD COLUMN theme text; CREATE TABLE a (b int); and 1 statement more" in text


CHANGES = [
    {"action": "add", "kind": "index", "name": "public.users_theme_idx", "detail": "created"},
    {"action": "add", "kind": "column", "name": "public.users.theme", "detail": "created"},
    {"action": "remove", "kind": "function", "name": "public.old(text)", "detail": "dropped"},
    {"action": "change", "kind": "view", "name": "public.v", "detail": "columns changed"},
]
ON_ROWS = STEP | {"kind": "UPDATE", "sql": "UPDATE users SET theme = 'dark'"}
PART_2 = FILE.replace(".sql", "_part_2.sql")
INDEX = STEP | {"file": PART_2, "kind": "CREATE INDEX CONCURRENTLY", "sql": 'CREATE INDEX ON users ("users_theme_idx")'}
REST = STEP | {"sql": "SELECT public.old('theme'), public.v"}


@pytest.mark.parametrize(
    ("steps", "does"),
    [
        pytest.param(
            [STEP, ON_ROWS],
            ["drops function public.old(text); new column public.users.theme; new index public.users_theme_idx; "
             "changes view public.v: columns changed; UPDATE users SET theme = 'dark'"],
            id="of one file all is its",
        ),
        pytest.param(
            [STEP | {"sql": "-- theme, v, old"}, INDEX],
            ["drops function public.old(text); new column public.users.theme; changes view public.v: columns changed",
             "new index public.users_theme_idx"],
            id="each to the file that names it",
        ),
        pytest.param(
            [STEP, REST, INDEX | {"sql": "CREATE INDEX users_theme_idx ON users (theme)"}],
            ["ALTER TABLE users ADD COLUMN theme text; SELECT public.old('theme'), public.v",
             "CREATE INDEX users_theme_idx ON users (theme)"],
            id="a name in two files: told by statements",
        ),
    ],
)  # fmt: skip
def test_what_a_file_does_is_told_in_words_where_that_is_sure(steps: list[dict[str, Any]], does: list[str]) -> None:
    act = {"migrations": [], "steps": steps, "target": TARGET, "diff": {"changes": CHANGES}}
    found = certificate(RecordedResult("deployment", "", "", act))
    assert [each.does for each in found.changes] == does


def test_the_parts_of_one_migration_have_one_name() -> None:
    act = {"migrations": [FILE, PART_2, "3_other.sql"], "steps": [], "target": TARGET}
    assert certificate(RecordedResult("deployment", "", "", act)).title.endswith("production: add theme, other")


def test_the_head_of_a_fleet_counts_its_members_by_outcome() -> None:
    members = [
        {"database": name, "outcome": outcome} for name, outcome in zip("abc", ("done", "done", "failed"), strict=True)
    ]
    told = certificate(
        RecordedResult("fleet_deployment", "", "", {"members": members, "migrations": []}), verb="fleet_rollback"
    )
    none = certificate(
        RecordedResult("fleet_deployment", "", "", {"members": [], "migrations": []}), verb="fleet_rollback"
    )
    assert told.subtitle.startswith("2 done, 1 failed · ")
    assert none.subtitle.startswith("no member was changed · ")


def test_what_is_written_after_the_deployment_is_said_once() -> None:
    gone = [
        f"{WRITTEN_SINCE}the values of a.b are lost",
        "the content of t as it was",
        f"{WRITTEN_SINCE}all rows of c are lost",
    ]
    text = as_markdown(certificate(rehearsal(gone=tuple(gone))))
    lost = "data written after the deployment: the values of a.b are lost, all rows of c are lost; the content of t as it was"
    assert f"> **A rollback would lose**: {lost}" in text


def test_what_was_refused_is_not_told_as_done() -> None:
    found = certificate(review(), PLAN, word="NOT-APPROVED", exit_code=1)
    text = as_markdown(found)
    assert "# NOT APPROVED · " in text
    assert "> Refused: no" in text
    assert "- **Approved by**: no one: the run did not reach the approval" in text
    assert "**Planned changes**" in text
    assert [each.mark for each in found.proofs] == ["yes", *["not reached"] * 4]
    assert "- **Source**: no git repository" in text


def test_what_was_accepted_and_what_a_rollback_would_lose_is_said() -> None:
    text = as_markdown(certificate(review(findings=[ACCEPTED]), rehearsal(gone=("the values of users.theme",))))
    assert "> **Accepted by name**: drop-column users.fax: nobody reads it" in text
    assert "> **A rollback would lose**: the values of users.theme" in text


def test_nothing_that_a_migration_or_a_commit_says_becomes_markup() -> None:
    evil = "<script>x</script> | **b** [a](javascript:x)"
    step = STEP | {"sql": f"SELECT '{evil}'"}
    act = RecordedResult("deployment", "", "", {"migrations": [FILE], "steps": [step], "target": TARGET})
    source = {"subject": evil, "ci": evil, "ci_url": "javascript:x"}
    found = certificate(act, source=source)
    text = as_markdown(found)
    assert "<script>" not in text.replace("\\<script", "")
    assert not re.search(r"(?<!\\)\[a", text)
    page = draw_page(nbformat.v4.new_notebook(), FACTS, found)
    assert "<script" not in page
    assert 'href="javascript' not in page


@pytest.mark.parametrize("verb", ["review", "backup_prod", "db_status", "generate"])
def test_a_run_that_only_looks_has_none(verb: str) -> None:
    assert certificate_of(Outcome("X", 0, (), None), FACTS | {"verb": verb}) is None


@pytest.mark.parametrize("verb", ["rollback_prod", "sync_prod", "baseline_prod", "restore_prod", "migrate_staging"])
def test_every_verb_that_changes_a_database_has_one_without_proofs_that_it_does_not_give(verb: str) -> None:
    assert certificate(deployment(), verb=verb).proofs == ()


def test_a_record_begins_with_its_certificate_and_is_sealed_with_it(run: RunMode, project: Path) -> None:
    done = run("# papermill_description=deploy\n" + DEPLOYMENT)
    cells = nbformat.read(done.path, as_version=4).cells
    assert cells[0].source.startswith("# DEPLOYED · Deployment to production: a")
    assert [cell.source for cell in cells if cell.cell_type == "markdown"][1:] == ["## Deployment"]
    page = done.html.read_text()
    assert "<h1>" in page
    assert '<span id="Deployment"></span>' in page
    assert page.count("Deployment to production: a") == 1, "the cell is the page's head, and not drawn again"
    assert read_archive(project / "records", verify=True).problems == ()


def test_each_step_of_the_deployment_has_its_section() -> None:
    from safemig.records.notebooks import read_notebook
    from safemig.records.papermill_io import runbooks_folder
    from safemig.records.sections import step_of

    steps = [step for cell in read_notebook(runbooks_folder() / "migrate_prod.ipynb").cells if (step := step_of(cell))]
    assert steps == list(SECTIONS)


def test_the_commit_and_the_ci_run_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_RUN_ID", "GITLAB_CI", "BUILD_URL", "SAFEMIG_REASON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert source_of(tmp_path) == {}

    def git(*words: str) -> None:
        identity = ("-c", "user.name=Dana", "-c", "user.email=d@example.org")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "a.sql").write_text("SELECT 1;")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "SHOP-412 theme per user")
    found = source_of(tmp_path)
    assert (found["author"], found["subject"], found["state"]) == ("Dana", "SHOP-412 theme per user", "clean")
    assert re.fullmatch(r"[0-9a-f]{40}", found["commit"])
    (tmp_path / "records").mkdir()
    assert source_of(tmp_path)["state"] == "clean"
    monkeypatch.setenv("SAFEMIG_REASON", " SHOP-412:  why ")
    assert source_of(tmp_path)["reason"] == "SHOP-412: why"
    (tmp_path / "a.sql").write_text("SELECT 2;")
    assert source_of(tmp_path)["state"] == "changed since"
    for name, value in {"GITHUB_RUN_ID": "77", "GITHUB_REPOSITORY": "acme/shop", "GITHUB_RUN_NUMBER": "3"}.items():
        monkeypatch.setenv(name, value)
    assert source_of(tmp_path)["ci_url"] == "https://github.com/acme/shop/actions/runs/77"
