"""The shipped runbooks: documents that run, by safemig and by plain papermill."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from safemig.errors import SettingsError
from safemig.operations.deploy_help import VERBS
from safemig.records.outcome import answer_of
from safemig.records.papermill_io import RunbookHandler, runbooks_folder
from safemig.records.parameters import parameters_of

RUNBOOKS = sorted(runbooks_folder().glob("*.ipynb"))


def test_there_is_one_for_each_verb_that_acts_or_reports() -> None:
    assert {path.stem for path in RUNBOOKS} == {verb.runbook for verb in VERBS if verb.runbook}


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_reads_as_a_document(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    first, parameters, *rest = notebook.cells
    assert first.cell_type == "markdown"
    assert first.source.startswith(f"# {path.stem}\n")
    assert parameters.metadata.tags == ["parameters"]
    assert len(notebook.cells) <= 12
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        assert cell.id.isalpha(), "ids are names"
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    for cell in rest:
        if cell.cell_type == "code":
            lines = [line for line in cell.source.splitlines() if line.strip()]
            assert lines[0].startswith("# papermill_description=")
            assert len(lines) <= 4, "one to three lines under the description"
            for forbidden in ("!", "%", "sys.exit", "raises-exception"):
                assert not any(line.startswith(forbidden) for line in lines)
            ast.parse(cell.source)


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_parameters_are_typed_and_commented(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    lines = notebook.cells[1].source.splitlines()
    for line in lines:
        assert ": " in line.split("=")[0], f"{line} has no type"
        assert "  # " in line, f"{line} has no comment"
    parameters = parameters_of(notebook)
    assert len(parameters) == len(lines)
    for each in parameters.values():
        assert type(each.default).__name__ == each.type


def test_what_changes_a_database_is_tagged() -> None:
    tagged = {
        path.stem: [
            cell.id
            for cell in nbformat.read(path, as_version=4).cells
            if "changes-database" in cell.metadata.get("tags", [])
        ]
        for path in RUNBOOKS
    }
    assert {name: ids for name, ids in tagged.items() if ids} == {
        "baseline_prod": ["baseline"],
        "fleet_migrate": ["deploy"],
        "fleet_rollback": ["deploy"],
        "migrate_prod": ["deploy", "validate"],
        "migrate_staging": ["migrate"],
        "restore_prod": ["restore"],
        "rollback_prod": ["rollback"],
        "sync_prod": ["sync"],
    }


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_each_verb_has_an_answer_to_wait_for(path: Path) -> None:
    assert answer_of(path.stem)


def test_papermill_finds_them_by_our_scheme() -> None:
    assert "safemig://migrate_prod.ipynb" in RunbookHandler.listdir("safemig://")
    assert '"deployment.deploy()"' in RunbookHandler.read("safemig://migrate_prod.ipynb")
    with pytest.raises(FileNotFoundError, match=re.escape("no runbook '../x.ipynb'; safemig has backup_prod")):
        RunbookHandler.read("safemig://../x.ipynb")
    with pytest.raises(PermissionError):
        RunbookHandler.write("{}", "safemig://migrate_prod.ipynb")


def test_the_handler_imports_nothing_of_papermill() -> None:
    code = (
        "import sys\nimport safemig.records.papermill_io\n"
        "raise SystemExit([name for name in sys.modules if name.split('.')[0] in ('papermill', 'psycopg', 'IPython')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-p", "target", "postgresql://app:canary-5up3r@h/d"], 'the parameter "target" holds a password'),
        (["-p", "approve", "123456789012"], "-r approve"),
    ],
)
def test_plain_papermill_is_refused_before_it_writes_anything(tmp_path: Path, options: list[str], message: str) -> None:
    command = [sys.executable, "-m", "papermill", "safemig://migrate_prod.ipynb", "out.ipynb", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
    assert message in done.stderr
    assert "canary" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"target": "host=h password=canary-5up3r"}, 'the parameter "target" holds a password'),
        ({"accept": ["a:b: postgresql://app:canary-5up3r@h/d"]}, 'the parameter "accept" holds a password'),
        ({"tarbet": "production"}, 'has no parameter "tarbet"'),
        ({"accept": "a:b: why"}, '"accept" must be list, not str'),
    ],
)
def test_papermill_called_from_python_is_refused_too(
    tmp_path: Path, parameters: dict[str, object], message: str
) -> None:
    from papermill import execute_notebook

    with pytest.raises(SettingsError, match=re.escape(message)) as refused:
        execute_notebook(
            "safemig://migrate_prod.ipynb", str(tmp_path / "out.ipynb"), parameters=parameters, progress_bar=False
        )
    assert "canary" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_plain_papermill_runs_one_and_fails_with_our_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "safemig://migrate_prod.ipynb"
    monkeypatch.delenv("PRODUCTION_DATABASE_URL", raising=False)
    (tmp_path / "supabase" / "migrations").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "papermill", source, "out.ipynb", "-p", "target", "production", "--no-progress-bar"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert "PRODUCTION_DATABASE_URL" in done.stderr
    errors = [
        output
        for cell in nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    assert len(errors) == 1
    assert len(errors[0].traceback) <= 3, "only the message: what, where, next"
