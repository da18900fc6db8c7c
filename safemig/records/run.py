"""Run a runbook and leave its executed notebook as the record, whatever happens."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safemig.errors import RefusedError, SettingsError
from safemig.identity import who
from safemig.live import LEDGER, MOMENT, RECORD
from safemig.records import ledger
from safemig.records.files import locked, make_folder, write_atomically
from safemig.records.names import RUNNING, RecordName
from safemig.records.notebooks import notebook_bytes, read_notebook
from safemig.records.outcome import Outcome, RecordedError, RecordedResult, answer_of, read_outcome
from safemig.records.papermill_io import runbooks_folder
from safemig.records.parameters import check_parameters, parameters_of
from safemig.records.redaction import redact_notebook, redactor
from safemig.records.writing import SCHEME, RecordWriter
from safemig.settings import PRODUCTION, STAGING, Settings

# Where a runbook has no parameter `target`, this is the environment that its record belongs to.
_HOMES = {"generate": STAGING, "migrate_staging": STAGING}


@dataclass(frozen=True, slots=True)
class RecordRun:
    """What a run left: its files, its word and exit code, and the results as the notebook shows them."""

    verb: str
    environment: str
    path: Path
    html: Path
    verdict: str
    exit_code: int
    error: RecordedError | None
    results: tuple[RecordedResult, ...]

    @property
    def answer(self) -> RecordedResult | None:
        """The result that answers the verb; where an error ended the run, what that one stands on, if anything."""
        if self.error is not None:
            return self.error.result
        kind = answer_of(self.verb)
        return next((each for each in reversed(self.results) if each.kind == kind), None)


@dataclass(frozen=True, slots=True)
class Progress:
    """What a listener is told: a cell began (`description`), answered (`result`), or how far it is (`moment`)."""

    description: str = ""
    result: RecordedResult | None = None
    moment: RecordedResult | None = None


def run_runbook(
    verb: str,
    settings: Settings,
    parameters: Mapping[str, Any] | None = None,
    *,
    listen: Callable[[Progress], None] | None = None,
    ask: Callable[[str], str] | None = None,
    folder: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> RecordRun:
    """Run the runbook `verb` in the project's folder with this interpreter; leave the notebook and its HTML.

    The record is there from the first moment, named RUNNING, and is renamed to its verdict at the end, also when the
    run fails or is interrupted. `ask` puts the gate's question to a person and returns the answer; without it, what
    was not approved by a parameter is refused. `folder` is where the runbooks are, by default those that safemig ships;
    `variables` are further environment variables for the run's kernel.

    Raises:
        SettingsError: no such runbook, an unknown or secret parameter, a folder that cannot be written. Nothing ran.
    """
    given = dict(parameters or {})
    source = (folder or runbooks_folder()) / f"{verb}.ipynb"
    if not source.is_file():
        known = ", ".join(sorted(each.stem for each in source.parent.glob("*.ipynb")))
        raise SettingsError(f"there is no runbook {verb!r}", where=str(source.parent), next=f"known: {known}")
    notebook = read_notebook(source)
    known_parameters = parameters_of(notebook)
    check_parameters(verb, given, known_parameters)
    target = known_parameters.get("target")
    environment = str(given.get("target") or (target.default if target else _HOMES.get(verb, PRODUCTION)))
    settings.environment(environment)
    home = settings.path("records") / environment
    make_folder(home)
    _settle_left_over(settings, environment)
    facts: dict[str, Any] = {"verb": verb, "environment": environment, "by": who(), "started": _now(), **_process()}
    notebook.metadata["safemig"] = {**facts, "word": RUNNING}
    clean = redactor(settings)
    name, writer = _claim(home, RecordName(_this_second(), environment, verb, RUNNING), notebook, clean)
    path = writer.path
    ended = False
    try:
        about = {RECORD: name.prefix.rstrip("-"), LEDGER: ledger.last_hash(home)}
        ended = _execute(notebook, writer, given, settings, {**(variables or {}), **about}, listen, ask)
    finally:  # also when something of papermill's own went wrong: what was written is the record
        executed = read_notebook(path)
        outcome = read_outcome(verb, executed, ended=ended)
        run = _finish(home, name, path, executed, outcome, facts, clean)
    return run


def _settle_left_over(settings: Settings, environment: str) -> None:
    """Settle what a crash left, where that can be done now; else it stays RUNNING for `safemig records --settle`."""
    from safemig.records.settle import settle

    try:
        settle(settings, environment)
    except RefusedError:  # the database cannot be asked, or a deployment is under way: no reason to refuse this run
        return
    except SettingsError:  # nor that its variable is not set; the run will say so where it needs it
        return


def _claim(home: Path, name: RecordName, notebook: Any, clean: Callable[[str], str]) -> tuple[RecordName, RecordWriter]:
    """Write the record under a name that no other has; two runs of one second get two seconds."""
    while True:
        with locked(home):
            if not any(home.glob(f"{name.prefix}*.ipynb")):
                writer = RecordWriter(home / f"{name.stem}.ipynb", clean)
                writer.write(notebook_bytes(notebook).decode(), str(writer.path))
                return name, writer
        time.sleep(0.2)
        name = replace(name, at=_this_second())


def _this_second() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _execute(
    notebook: Any, writer: RecordWriter, given: Mapping[str, Any], settings: Settings,
    variables: Mapping[str, str], listen: Callable[[Progress], None] | None, ask: Callable[[str], str] | None,
) -> bool:  # fmt: skip
    """Run the notebook; tell whether it came to an end of its own."""
    from nbclient.exceptions import DeadKernelError
    from papermill.engines import papermill_engines
    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import execute_notebook
    from papermill.iorw import papermill_io

    from safemig.records.engine import NAME, RecordingEngine
    from safemig.records.kernel import own_kernel

    hooks = _hooks(listen) if listen else {}
    papermill_engines.register(NAME, RecordingEngine)
    papermill_io.register(SCHEME, writer)
    ended = False
    try:
        with own_kernel(ask, variables) as kernel:
            execute_notebook(
                notebook,
                f"{SCHEME}record.ipynb",
                parameters=dict(given) or None,
                kernel_name="python3",
                language="python",
                engine_name=NAME,
                iopub_timeout=120,  # a busy machine may need longer than nbclient's 4 s for a cell's last words
                progress_bar=False,
                kernel_manager_class=kernel.manager_class,
                resources={"metadata": {"path": str(settings.folder)}},
                **hooks,
            )
        ended = True
    except PapermillExecutionError:
        ended = True  # by an error that is in the outputs; `read_outcome` reads it there
    except (DeadKernelError, KeyboardInterrupt):
        pass  # the outputs end early; `read_outcome` says what that means
    finally:
        papermill_io._handlers.remove((SCHEME, writer))
    return ended


def _hooks(listen: Callable[[Progress], None]) -> dict[str, Any]:
    def began(cell: Any, cell_index: int) -> None:  # noqa: ARG001  nbclient's signature
        marker = "# papermill_description="
        first = cell.source.splitlines()[0] if cell.source else ""
        if first.startswith(marker):
            listen(Progress(description=first.removeprefix(marker).strip()))

    def answered(cell: Any, cell_index: int, execute_reply: Any) -> None:  # noqa: ARG001  nbclient's signature
        from types import SimpleNamespace

        for result in read_outcome("", SimpleNamespace(cells=[cell])).results:
            listen(Progress(result=result))

    def moment(data: dict[str, Any]) -> None:
        listen(Progress(moment=RecordedResult("live", "", data["text/html"], data[MOMENT])))

    return {"on_cell_start": began, "on_cell_executed": answered, "on_moment": moment}


def _finish(
    home: Path, name: RecordName, path: Path, executed: Any, outcome: Outcome, facts: dict[str, Any],
    clean: Callable[[str], str],
) -> RecordRun:  # fmt: skip
    from safemig import __version__
    from safemig.records.page import draw_page

    facts |= {
        "word": outcome.word,
        "exit_code": outcome.exit_code,
        "finished": _now(),
        "version": __version__,
        "error": list(outcome.error.lines) if outcome.error else [],
    }
    executed.metadata["safemig"] = facts
    papermill = executed.metadata.get("papermill", {})
    papermill.pop("input_path", None)
    papermill["output_path"] = f"{name.prefix}{outcome.word}.ipynb"
    redact_notebook(executed, clean)
    write_atomically(path, notebook_bytes(executed))
    final = home / f"{name.prefix}{outcome.word}.ipynb"
    page = final.with_suffix(".html")
    write_atomically(page, draw_page(executed, facts).encode())
    # Sealed under its name before it bears it: whatever cuts this off, `settle` sees by the hash that all was done.
    ledger.seal(home, path, page, _entry(facts, outcome), name=final.stem)
    path.replace(final)
    return RecordRun(
        facts["verb"], name.environment, final, page, outcome.word, outcome.exit_code, outcome.error, outcome.results
    )


def _entry(facts: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """Return what the ledger keeps of a record, so that the archive opens without opening a thousand notebooks."""
    act = outcome.last("deployment")
    plan = outcome.last("plan")
    data = act.data if act else {}
    migrations = [*data.get("migrations", ()), *data.get("recorded_only", ())] or [
        each.get("file", "") for each in (plan.data.get("migrations", []) if plan else [])
    ]
    return {
        "act": facts["verb"],
        "environment": facts["environment"],
        "verdict": outcome.word,
        "exit_code": outcome.exit_code,
        "started": facts["started"],
        "finished": facts["finished"],
        "by": data.get("by") or facts["by"],
        "plan_id": data.get("plan_id") or (plan.data.get("id", "") if plan else ""),
        "run_id": data.get("run_id", ""),
        "migrations": json.loads(json.dumps(migrations)),
        "lock_wait_s": max((each.get("lock_wait_s") or 0.0 for each in data.get("steps", ())), default=None),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _process() -> dict[str, Any]:
    return {"pid": os.getpid(), "machine": socket.gethostname()}
