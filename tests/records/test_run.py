"""A run leaves its record whatever happens, and its word and exit code never lie."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from papermill.engines import NotebookExecutionManager
from runbook_files import DEPLOYMENT, RunMode, outputs_of, write_runbook

from safemig.errors import SettingsError
from safemig.records import Progress, read_archive, run_runbook
from safemig.records.engine import RecordingClient
from safemig.records.kernel import end_question
from safemig.records.outcome import read_outcome
from safemig.records.parameters import check_parameters, parameters_of
from safemig.settings import load_settings
from tests.operations.striking import wait_for

NAME = re.compile(r"\d{8}T\d{6}Z-production-migrate_prod-[A-Z-]+\Z")


@pytest.fixture
def broken_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel of a user's own that is named python3 and does not work, found before any other."""
    folder = tmp_path / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({"argv": ["/bin/false"], "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")


@pytest.mark.usefixtures("broken_kernel")
def test_a_good_run_leaves_a_sealed_notebook_and_its_page_whatever_kernels_there_are(
    run: RunMode, project: Path
) -> None:
    heard: list[Progress] = []
    done = run(
        "# papermill_description=look\nimport os, sys\nprint(os.getcwd(), sys.executable)",
        f"# papermill_description=deploy\n{DEPLOYMENT}",
        listen=heard.append,
    )
    assert (done.verdict, done.exit_code, done.error) == ("DEPLOYED", 0, None)
    assert done.path.parent == project / "records" / "production"
    assert NAME.match(done.path.stem)
    assert done.path.stem.endswith("-DEPLOYED")
    assert done.answer is not None
    assert done.answer.data["plan_id"] == "3f2a9c1"
    assert [each.description for each in heard if each.description] == ["look", "deploy"]
    assert [each.result.kind for each in heard if each.result] == ["deployment"]
    assert f"{project} {sys.executable}" in outputs_of(done.path)
    facts = nbformat.read(done.path, as_version=4).metadata["safemig"]
    assert (facts["word"], facts["exit_code"], facts["verb"]) == ("DEPLOYED", 0, "migrate_prod")
    page = done.html.read_text()
    assert "DEPLOYED" in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", page), "the page must not need the network"
    archive = read_archive(project / "records", verify=True)
    assert archive.problems == ()
    (entry,) = archive.records
    assert (entry.verdict, entry.by, entry.plan_id, entry.integrity) == ("DEPLOYED", "dana", "3f2a9c1", "intact")
    assert entry.migrations == ("20261101000000_a.sql",)


def test_no_secret_reaches_the_record(run: RunMode, project: Path) -> None:
    done = run(
        "import os, warnings\nprint(os.environ['PRODUCTION_DATABASE_URL'])",
        "from IPython.display import display\ndisplay({'application/json': {'deep': ['canary-5up3r']}}, raw=True)",
        "print('postgresql://someone:else-s3cret@h/d', 'password=third-s3cret host=h')",
        "raise RuntimeError('could not connect with canary-5up3r')",
    )
    assert done.verdict == "ERROR"
    files = [path for path in (project / "records").rglob("*") if path.is_file()]
    assert len(files) == 4
    for path in files:
        assert not re.search(r"canary-5up3r|else-s3cret|third-s3cret", path.read_text()), path.name
    assert done.error is not None
    assert "canary" not in " ".join(done.error.lines)


@pytest.mark.parametrize(
    ("error", "word", "exit_code"),
    [
        ("RefusedError", "REFUSED", 1),
        ("ReviewRefusedError", "REFUSED", 1),
        ("SettingsError", "REFUSED", 2),
        ("DeploymentFailedError", "FAILED", 3),
        ("DeploymentStoppedError", "STOPPED", 4),
        ("OutcomeUnknownError", "UNKNOWN", 5),
    ],
)
def test_an_error_of_ours_gives_its_exit_code_and_lines(error: str, word: str, exit_code: int) -> None:
    evalue = f"{error.removesuffix('Error')}: it broke\nwhere: orders\nnext: try again"
    outcome = read_outcome(
        "migrate_prod", notebook_with({"output_type": "error", "ename": error, "evalue": evalue, "traceback": []})
    )
    assert (outcome.word, outcome.exit_code) == (word, exit_code)
    assert outcome.error is not None
    assert outcome.error.lines[1:] == ("where: orders", "next: try again")


def test_a_failed_run_leaves_its_record_too(run: RunMode, project: Path) -> None:
    done = run(
        "from safemig.errors import DeploymentFailedError",
        "raise DeploymentFailedError('waited for a lock', where='orders', next='try again')",
        "print('never')",
        changing=1,
    )
    assert (done.verdict, done.exit_code) == ("FAILED", 3)
    assert done.error is not None
    assert done.error.lines == ("DeploymentFailed: waited for a lock", "where: orders", "next: try again")
    assert "never" not in outputs_of(done.path)
    assert "waited for a lock" in done.html.read_text()
    assert read_archive(project / "records", verify=True).problems == ()


@pytest.mark.parametrize(("failing", "word", "exit_code"), [(0, "ERROR", 1), (1, "UNKNOWN", 5)])
def test_an_unforeseen_error_changed_nothing_only_before_the_changing_cell(
    failing: int, word: str, exit_code: int
) -> None:
    looks, changes = code_cell(), code_cell(changing=True)
    error = {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "division by zero", "traceback": []}
    cells = [looks, changes][: failing + 1]
    cells[failing].outputs = [nbformat.from_dict(error)]
    outcome = read_outcome("migrate_prod", nbformat.v4.new_notebook(cells=cells))
    assert (outcome.word, outcome.exit_code) == (word, exit_code)
    assert outcome.error is not None
    assert ("nothing was changed" in outcome.error.lines[-1]) is (failing == 0)


def test_a_killed_kernel_is_incomplete_even_after_a_good_result(run: RunMode) -> None:
    done = run(DEPLOYMENT, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "print('validates')", changing=0)
    assert (done.verdict, done.exit_code) == ("INCOMPLETE", 5)
    assert done.path.stem.endswith("-INCOMPLETE")


def test_a_notebook_that_was_left_early_is_incomplete_even_after_a_good_result() -> None:
    good = code_cell(changing=True)
    data = {"application/vnd.safemig.deployment+json": {"verdict": "DEPLOYED"}}
    good.outputs = [nbformat.v4.new_output("execute_result", data=data)]
    whole = read_outcome("migrate_prod", nbformat.v4.new_notebook(cells=[good, code_cell()]))
    assert (whole.word, whole.exit_code) == ("DEPLOYED", 0)
    never_ran = nbformat.v4.new_code_cell("print('validates')")
    left = read_outcome("migrate_prod", nbformat.v4.new_notebook(cells=[good, never_ran]))
    assert (left.word, left.exit_code) == ("INCOMPLETE", 5)


def test_a_reply_that_does_not_come_is_not_waited_for(run: RunMode, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt at the wrong moment makes ipykernel swallow its reply; here the cell makes it so."""
    monkeypatch.setattr("safemig.records.engine._PATIENCE_S", 1)
    swallow = "get_ipython().kernel.session.send = lambda *a, _send=get_ipython().kernel.session.send, **k: (\n"
    swallow += "    None if 'execute_reply' in a else _send(*a, **k))"
    done = run(DEPLOYMENT, swallow, "print('validates')", changing=0)
    assert (done.verdict, done.exit_code) == ("INCOMPLETE", 5)


def test_a_run_without_an_answer_is_incomplete() -> None:
    outcome = read_outcome(
        "migrate_prod", notebook_with({"output_type": "stream", "name": "stdout", "text": "DEPLOYED"})
    )
    assert (outcome.word, outcome.exit_code) == ("INCOMPLETE", 1)


def test_a_person_is_asked_at_the_gate_and_nobody_else_is(run: RunMode) -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return "3f2a9c1"

    done = run("print('typed', input('which plan? '))", DEPLOYMENT, ask=ask)
    assert asked == ["which plan? "]
    assert "typed 3f2a9c1" in outputs_of(done.path)
    alone = run("input('which plan? ')", DEPLOYMENT)
    assert alone.exit_code == 1
    assert alone.error is not None
    assert alone.error.name == "StdinNotImplementedError"


def test_a_question_that_nobody_will_answer_ends() -> None:
    def wait_as_a_notebook_does() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(0.01)

    thread = threading.Thread(target=wait_as_a_notebook_does, daemon=True)
    thread.start()
    end_question(thread)
    thread.join(timeout=5)
    assert not thread.is_alive()
    end_question(thread)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tarbet": "x"}, 'no parameter "tarbet"'),
        ({"mode": "postgresql://app:pw-s3cret@h/d"}, '"mode" holds a password'),
        ({"mode": "postgresql://app:pw-s3cret/x@h/d"}, '"mode" holds a password'),
        ({"mode": "host=h password=pw-s3cret"}, '"mode" holds a password'),
        ({"mode": "postgres://h/d?password=pw-s3cret"}, '"mode" holds a password'),
        ({"mode": 3}, '"mode" must be str, not int'),
        ({"count": True}, '"count" must be int, not bool'),
        ({"target": "moon"}, 'no environment "moon"'),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs_or_is_written(
    project: Path, parameters: dict[str, object], message: str
) -> None:
    write_runbook(project / "runbooks", "migrate_prod", DEPLOYMENT)
    with pytest.raises(SettingsError, match=re.escape(message)) as refused:
        run_runbook("migrate_prod", load_settings(project), parameters, folder=project / "runbooks")
    assert "pw-s3cret" not in str(refused.value)
    assert not (project / "records").exists()


def test_a_parameter_may_speak_of_passwords(project: Path) -> None:
    write_runbook(project / "runbooks", "generate", DEPLOYMENT)
    known = parameters_of(nbformat.read(project / "runbooks" / "generate.ipynb", as_version=4))
    check_parameters("generate", {"mode": "add password reset = done, see https://example.org"}, known)


def test_a_verb_without_a_runbook_is_refused(project: Path) -> None:
    with pytest.raises(SettingsError, match="no runbook 'migrate_moon'"):
        run_runbook("migrate_moon", load_settings(project))


def test_a_folder_that_cannot_be_written_is_refused(project: Path) -> None:
    (project / "records").write_text("a file is in the way")
    write_runbook(project / "runbooks", "migrate_prod", DEPLOYMENT)
    with pytest.raises(SettingsError, match="records cannot be written"):
        run_runbook("migrate_prod", load_settings(project), folder=project / "runbooks")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_reaches_the_cell_and_the_record(project: Path, sign: signal.Signals) -> None:
    cells = (
        "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('cancelled on the server')\n    raise",
    )
    write_runbook(project / "runbooks", "migrate_prod", *cells, changing=0)
    code = f"""
        from safemig.records import run_runbook
        from safemig.settings import load_settings
        from pathlib import Path
        done = run_runbook("migrate_prod", load_settings({str(project)!r}), folder=Path({str(project / "runbooks")!r}))
        raise SystemExit(done.exit_code)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stderr=subprocess.DEVNULL)
    home = project / "records" / "production"
    wait_for(lambda: any('"execution_count": 2' in each.read_text() or ("RUNNING" in each.name and kernel_sleeps(each))
                         for each in home.glob("*.ipynb")), "the cell to run")  # fmt: skip
    time.sleep(0.5)
    process.send_signal(sign)
    assert process.wait(timeout=30) == 5
    (record,) = home.glob("*.ipynb")
    assert record.stem.endswith("-UNKNOWN")
    assert "cancelled on the server" in outputs_of(record)


def test_a_killed_run_is_left_as_running_and_shown_as_incomplete(project: Path) -> None:
    write_runbook(project / "runbooks", "migrate_prod", "import time; time.sleep(60)", changing=0)
    code = f"""
        from safemig.records import run_runbook
        from safemig.settings import load_settings
        from pathlib import Path
        run_runbook("migrate_prod", load_settings({str(project)!r}), folder=Path({str(project / "runbooks")!r}))
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stderr=subprocess.DEVNULL)
    home = project / "records" / "production"
    wait_for(lambda: any(kernel_sleeps(each) for each in home.glob("*RUNNING.ipynb")), "the cell to run")
    assert [each.verdict for each in read_archive(project / "records").records] == ["RUNNING"]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (entry,) = read_archive(project / "records", verify=True).records
    assert (entry.verdict, entry.integrity) == ("INCOMPLETE", "unsealed")
    write_runbook(project / "runbooks", "backup_prod", "print('another run')")
    run_runbook("backup_prod", load_settings(project), folder=project / "runbooks")
    archive = read_archive(project / "records", verify=True)
    assert {(each.act, each.verdict) for each in archive.records} == {
        ("migrate_prod", "CUT-OFF"),
        ("backup_prod", "INCOMPLETE"),
    }, "the next run settles what the crash left"
    assert archive.problems == ()


def kernel_sleeps(record: Path) -> bool:
    """Tell whether the last cell of a running record has begun."""
    text = record.read_text()
    if not text:
        return False
    cells = json.loads(text)["cells"]
    return bool(cells[-1]["metadata"].get("papermill", {}).get("status") == "running")


def code_cell(*, changing: bool = False) -> Any:
    """Return a code cell that ran and said nothing."""
    tags = {"tags": ["changes-database"]} if changing else {}
    return nbformat.v4.new_code_cell("x", execution_count=1, metadata=tags)


def notebook_with(output: dict[str, object]) -> Any:
    """Return a notebook of one code cell that ran and said `output`."""
    cell = nbformat.v4.new_code_cell("x", execution_count=1, outputs=[nbformat.from_dict(output)])
    return nbformat.v4.new_notebook(cells=[cell])


def test_a_cell_that_was_given_up_leaves_no_task_that_fails_unheard() -> None:
    """nbclient leaves the task that looks whether the kernel lives; by then its client is gone."""

    async def look() -> bool:
        client = RecordingClient(NotebookExecutionManager(nbformat.v4.new_notebook()))
        assert client.kc is None
        client.task_poll_for_reply = asyncio.get_running_loop().create_future()
        await client._async_poll_kernel_alive()
        return bool(client.task_poll_for_reply.cancelled())

    assert asyncio.run(look())
