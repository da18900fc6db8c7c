"""A record survives being opened and saved; an edit of it, or of the journal, is found, and said which."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from safemig import chain
from safemig.execution import journal
from safemig.records import ledger
from safemig.records.archive import read_archive
from safemig.records.verification import verify

STEM = "20261122T200904Z-production-migrate_prod-DEPLOYED"
RUNS = ("aaaa", "bbbb", "cccc")


def record(home: Path) -> Path:
    """Write and seal a record with every kind of output."""
    home.mkdir(parents=True, exist_ok=True)
    new = nbformat.v4
    result = {
        "text/plain": "DEPLOYED",
        "application/vnd.safemig.deployment+json": {"wait_s": 0.0, "big": 2**60, "a": 1e-7},
    }
    notebook = new.new_notebook(
        cells=[
            new.new_markdown_cell("# migrate_prod", id="purpose"),
            new.new_code_cell(
                "deployment.preflight()\nprint(1)",
                id="preflight",
                execution_count=1,
                metadata={"tags": ["x"], "papermill": {"duration": 1.0}},
                outputs=[
                    new.new_output("stream", name="stdout", text="50 %\r100 %\n"),
                    new.new_output("stream", name="stdout", text="ready\n"),
                    new.new_output("display_data", data={"text/html": "<p>é</p>"}),
                ],
            ),
            new.new_code_cell(
                "deployment.deploy()",
                id="deploy",
                execution_count=2,
                metadata={"tags": ["changes-database"]},
                outputs=[
                    new.new_output("execute_result", data=result, execution_count=2),
                    new.new_output("error", ename="E", evalue="e", traceback=["one", "two"]),
                ],
            ),
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "safemig": {"word": "DEPLOYED", "exit_code": 0},
            "papermill": {"duration": 2.0},
        },
    )
    path = home / f"{STEM}.ipynb"
    nbformat.write(notebook, path)
    page = path.with_suffix(".html")
    page.write_text("<p>\nDEPLOYED\n</p>\n")
    ledger.seal(home, path, page, {"act": "migrate_prod", "by": "dana"})
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a sealed record, and a journal of three runs."""
    folder = tmp_path / "records" / "production"
    for run in RUNS:
        for event in ("begun", "committed", "ended"):
            journal.write(folder / journal.FILE_NAME, run, event, act="migrate_prod")  # type: ignore[arg-type]
    record(folder)
    return folder


def changed(change: Callable[[dict[str, Any]], None], **options: Any) -> Callable[[Path], None]:
    """Return a deed that changes the notebook's JSON and writes it back in another layout."""

    def deed(path: Path) -> None:
        notebook = json.loads(path.read_bytes())
        change(notebook)
        path.chmod(0o644)
        path.write_text(json.dumps(notebook, **({"indent": 4} | options)))

    return deed


def as_javascript(notebook: dict[str, Any]) -> None:
    data = notebook["cells"][2]["outputs"][0]["data"]["application/vnd.safemig.deployment+json"]
    assert data == {"wait_s": 0.0, "big": 2**60, "a": 1e-7}
    data |= {"wait_s": 0, "big": 1152921504606847000, "a": 1e-7}
    notebook["cells"][1]["metadata"]["papermill"]["duration"] = 1


def joined_streams(notebook: dict[str, Any]) -> None:
    first, second, *rest = notebook["cells"][1]["outputs"]
    assert first["output_type"] == second["output_type"] == "stream"
    notebook["cells"][1]["outputs"] = [{**first, "text": "100 %\nready\n"}, *rest]


def one_text_a_cell(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])


def windows_lines_in_sources(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"]).replace("\n", "\r\n")


def kernel_renamed(notebook: dict[str, Any]) -> None:
    notebook["metadata"]["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    notebook["metadata"]["language_info"] = {"name": "python", "version": "3.13.1"}


def newer_minor(notebook: dict[str, Any]) -> None:
    notebook["nbformat_minor"] = 9


def older_without_ids(notebook: dict[str, Any]) -> None:
    notebook["nbformat_minor"] = 4
    for cell in notebook["cells"]:
        del cell["id"]


def folded(notebook: dict[str, Any]) -> None:
    notebook["cells"][1]["metadata"]["jupyter"] = {"source_hidden": True}


def upgraded(path: Path) -> None:
    """Save it as nbformat's own upgrade from an older minor version does: with new ids."""
    changed(older_without_ids)(path)
    notebook = nbformat.v4.upgrade(nbformat.reads(path.read_text(), as_version=nbformat.NO_CONVERT))
    assert "id" in notebook.cells[0]
    path.write_text(nbformat.writes(notebook))


def checked_out_with_windows_lines(path: Path) -> None:
    """Commit the whole folder, and check it out as git for Windows does."""

    def git(*words: str) -> None:
        command = ["git", "-c", "user.name=x", "-c", "user.email=x", "-c", "core.safecrlf=false", *words]
        subprocess.run(command, cwd=path.parent, check=True, capture_output=True)

    before = path.read_bytes()
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "records")
    for each in path.parent.iterdir():
        if each.is_file():
            each.unlink()
    git("-c", "core.autocrlf=true", "checkout", "-q", "--", ".")
    assert b"\r\n" in path.read_bytes()
    assert path.read_bytes() != before
    assert b"\r\n" in (path.parent / ledger.FILE).read_bytes()


@pytest.mark.parametrize(
    "deed",
    [
        changed(lambda _: None),
        changed(lambda _: None, sort_keys=True, ensure_ascii=False),
        changed(as_javascript),
        changed(joined_streams),
        changed(one_text_a_cell),
        changed(windows_lines_in_sources),
        changed(kernel_renamed),
        changed(newer_minor),
        changed(older_without_ids),
        changed(folded),
        upgraded,
        checked_out_with_windows_lines,
    ],
)
def test_a_record_that_was_saved_again_with_equal_content_is_no_problem(
    home: Path, deed: Callable[[Path], None]
) -> None:
    assert verify(home).states == {STEM: "intact"}
    deed(home / f"{STEM}.ipynb")
    found = verify(home)
    assert found.problems == ()
    assert found.states == {STEM: "resaved"}
    assert all("its content is unchanged since it was sealed" in each for each in found.notes)
    archive = read_archive(home.parent, verify=True)
    assert archive.records[0].integrity == "resaved"
    assert "saved again" in archive.render("text") or "different line endings" in archive.render("text")


def set_source(notebook: dict[str, Any]) -> None:
    notebook["cells"][2]["source"] = ["deployment.deploy() "]


def set_output(notebook: dict[str, Any]) -> None:
    notebook["cells"][2]["outputs"][0]["data"]["application/vnd.safemig.deployment+json"]["wait_s"] = 0.1


def strip_outputs(notebook: dict[str, Any]) -> None:
    """As nbstripout does on each commit: outputs and counts go, and papermill's times with the metadata."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
            cell["metadata"].pop("papermill", None)


def remove_a_cell(notebook: dict[str, Any]) -> None:
    del notebook["cells"][1]


def add_a_cell(notebook: dict[str, Any]) -> None:
    notebook["cells"].append({"cell_type": "markdown", "id": "n", "metadata": {}, "source": ["all well"]})


def move_a_cell(notebook: dict[str, Any]) -> None:
    notebook["cells"].reverse()


def set_the_verdict(notebook: dict[str, Any]) -> None:
    notebook["metadata"]["safemig"]["word"] = "FAILED"


def set_a_tag(notebook: dict[str, Any]) -> None:
    notebook["cells"][2]["metadata"]["tags"] = []


def set_the_kind(notebook: dict[str, Any]) -> None:
    notebook["cells"][0] |= {"cell_type": "raw"}


def edit_without_ids(notebook: dict[str, Any]) -> None:
    older_without_ids(notebook)
    set_source(notebook)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (set_source, "cell 3 (deploy): source"),
        (set_output, "cell 3 (deploy): outputs"),
        (strip_outputs, "cell 2 (preflight): outputs removed, execution count; cell 3 (deploy): outputs removed"),
        (remove_a_cell, "cell 2 (preflight): removed"),
        (add_a_cell, "cell 4 (n): added"),
        (move_a_cell, "cells: in another order"),
        (set_the_verdict, "its metadata"),
        (set_a_tag, "its metadata"),
        (set_the_kind, "cell 1 (purpose): source"),
        (edit_without_ids, "cell 3 (deploy): source"),
    ],
)
def test_an_edit_is_found_and_said_which_cell(home: Path, change: Callable[[dict[str, Any]], None], what: str) -> None:
    changed(change)(home / f"{STEM}.ipynb")
    found = verify(home)
    assert found.states == {STEM: "edited"}
    (problem,) = found.problems
    assert problem.startswith(f"{STEM}.ipynb was edited since it was sealed: {what}")


def test_nbstripout_takes_the_outputs_away_which_is_an_edit(home: Path) -> None:
    path = home / f"{STEM}.ipynb"
    path.chmod(0o644)
    subprocess.run([sys.executable, "-m", "nbstripout", path], check=True)
    (problem,) = verify(home).problems
    assert "cell 2 (preflight): outputs removed, execution count; cell 3 (deploy): outputs removed" in problem


def test_a_record_that_is_no_notebook_any_more_is_edited_and_one_that_is_gone_is_missing(home: Path) -> None:
    path = home / f"{STEM}.ipynb"
    path.chmod(0o644)
    path.write_text("<<<<<<< HEAD\n")
    assert verify(home).problems == (f"{path.name} was edited since it was sealed: it is no longer a notebook",)
    path.unlink()
    assert verify(home).states == {STEM: "missing"}
    assert read_archive(home.parent, verify=True).records[0].integrity == "missing"


def test_what_is_sealed_is_read_only(home: Path) -> None:
    assert [oct(path.stat().st_mode & 0o777) for path in sorted(home.glob(f"{STEM}.*"))] == ["0o444", "0o444"]


def test_a_ledger_of_before_seals_of_content_still_verifies(home: Path) -> None:
    file = home / ledger.FILE
    facts = json.loads(file.read_text())
    for key in ("content_sha256", "cells", "journal"):
        del facts[key]
    facts["hash"] = chain.hash_of(facts)
    file.write_text(json.dumps(facts) + "\n")
    assert verify(home).states == {STEM: "intact"}
    changed(set_source)(home / f"{STEM}.ipynb")
    assert verify(home).problems == (f"{STEM}.ipynb was edited since it was sealed",)


# The journal ---------------------------------------------------------------------------------------------------------


def rewritten(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def deed(file: Path) -> None:
        file.write_text("".join(f"{line}\n" for line in change(file.read_text().splitlines())))

    return deed


def edited(line: str, *, with_hash: bool = False) -> str:
    facts = json.loads(line) | {"run": "dddd"}
    if with_hash:
        facts["hash"] = chain.hash_of(facts)
    return json.dumps(facts)


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        (rewritten(lambda lines: lines[1:]), "removed, added or moved before line 1 of the journal"),
        (rewritten(lambda lines: [*lines[:4], *lines[5:]]), "removed, added or moved before line 5 of the journal"),
        (rewritten(lambda lines: lines[:-1]), f"has 8 lines and lacks some of those: it had 9 when {STEM} was sealed"),
        (rewritten(lambda lines: lines[:3]), f"has 3 lines and lacks some of those: it had 9 when {STEM} was sealed"),
        (rewritten(lambda lines: [lines[1], lines[0], *lines[2:]]), "removed, added or moved before line 1"),
        (rewritten(lambda lines: [*lines[:-2], lines[-1], lines[-2]]), "removed, added or moved before line 8"),
        (rewritten(lambda lines: [*lines[:4], edited(lines[4]), *lines[5:]]), "line 5 of the journal was edited"),
        (rewritten(lambda lines: [*lines[:4], edited(lines[4], with_hash=True), *lines[5:]]), "before line 6"),
        (rewritten(lambda lines: [*lines[:-1], edited(lines[-1], with_hash=True)]), "lacks some of those"),
        (rewritten(lambda lines: [*lines[:4], lines[4][:-9], *lines[5:]]), "removed, added or moved before line 6"),
        (rewritten(lambda lines: [*lines, '{"run": "x", "event": "begun"}']), "line 10 of the journal was edited"),
        (lambda file: file.write_text(""), f"has 0 lines and lacks some of those: it had 9 when {STEM} was sealed"),
        (Path.unlink, f"the journal is missing: it had 9 when {STEM} was sealed"),
    ],
)
def test_what_is_done_to_the_journal_is_found(home: Path, deed: Callable[[Path], None], words: str) -> None:
    assert verify(home).problems == ()
    deed(home / journal.FILE_NAME)
    problems = verify(home).problems
    assert any(words in each for each in problems), problems


def test_a_journal_that_began_before_there_was_a_chain_is_taken_on(tmp_path: Path) -> None:
    file = tmp_path / "records" / "production" / journal.FILE_NAME
    file.parent.mkdir(parents=True)
    file.write_text('{"run": "1", "event": "begun"}\n{"run": "1", "event": "ended"}\n')
    record(file.parent)
    assert verify(file.parent).problems == ()
    journal.write(file, "2", "begun", act="migrate_prod")
    assert verify(file.parent).problems == ()
    rewritten(lambda lines: lines[1:])(file)
    assert any("journal" in each for each in verify(file.parent).problems)


def test_a_line_of_the_journal_that_a_crash_cut_off_is_left_out_and_accused_of_nothing(home: Path) -> None:
    file = home / journal.FILE_NAME
    with file.open("a") as torn:
        torn.write('{"at": "2026-11-22T20:0')
    assert verify(home).problems == ()
    journal.write(file, "dddd", "begun", act="migrate_prod")
    assert verify(home).problems == ()
    assert [each["run"] for each in journal.read(file)][-2:] == ["cccc", "dddd"]


def test_a_line_longer_than_a_block_is_found_again(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    for size in (10, 200_000, 10, 70_000, 10):
        chain.append(file, {"text": "x" * size})
    assert journal.contradictions(file, []) == []
