"""Run a runbook and leave its executed notebook as the record, whatever happens."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safemig.errors import RefusedError, SettingsError
from safemig.fault_points import FaultPoint, pass_point
from safemig.identity import who
from safemig.live import LEDGER, MOMENT, RECORD
from safemig.records import ledger
from safemig.records.files import cannot_be_written, locked, make_folder
from safemig.records.finish import RecordRun, broken, finish, now, traceback_of
from safemig.records.gate import SHOW, gate_of
from safemig.records.names import RUNNING, RecordName
from safemig.records.notebooks import notebook_bytes, read_notebook
from safemig.records.outcome import CHANGES, RecordedResult, read_outcome
from safemig.records.papermill_io import runbooks_folder
from safemig.records.parameters import check_parameters, parameters_of
from safemig.records.progress import Progress
from safemig.records.redaction import redactor
from safemig.records.source import source_of
from safemig.records.telling import Telling
from safemig.records.writing import SCHEME, RecordWriter
from safemig.settings import PRODUCTION, STAGING, Settings

# Where a runbook has no parameter `target`, this is the environment that its record belongs to.
_HOMES = {"generate": STAGING, "migrate_staging": STAGING}

_ARRIVES_WITHIN_S = 2.0  # what a question is about, which the kernel sends before it


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
    if is_of_fleet := "fleet" in known_parameters:
        environment = settings.fleet(str(given.get("fleet", "")))[0]
    else:
        settings.environment(environment)
    home = settings.path("records") / environment
    make_folder(home)
    if not is_of_fleet:  # whose members tell by themselves what happened to them
        _settle_left_over(settings, environment)
    facts: dict[str, Any] = {"verb": verb, "environment": environment, "by": who(), "started": now(), **_process()}
    if comes_from := source_of(settings.folder):
        facts["source"] = comes_from
    notebook.metadata["safemig"] = {**facts, "word": RUNNING}
    clean = redactor(settings)
    try:
        pass_point(FaultPoint.RECORD_BEGINS)
        name, writer = _claim(home, RecordName(_this_second(), environment, verb, RUNNING), notebook, clean)
        pass_point(FaultPoint.RECORD_CLAIMED)
        last_hash = ledger.last_hash(home)
    except OSError as error:
        raise cannot_be_written(home, error) from None
    about = {RECORD: name.prefix.rstrip("-"), LEDGER: last_hash}
    ended, fault = False, None
    telling = Telling(settings, verb, facts, about[RECORD])
    try:
        pass_point(FaultPoint.CELLS_BEGIN)
        hear = telling.listener(_deaf_to_faults(listen) if listen else None)
        told = _Told()
        asked = _shown_first(verb, writer, facts, hear, telling.asker(ask), told)
        ended = _execute(notebook, writer, given, settings, {**(variables or {}), **about}, hear, asked, told)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  papermill's, the disk's: told as the run's outcome
        fault = error
    executed = writer.latest
    outcome = read_outcome(verb, executed, ended=ended)
    if fault is not None:
        outcome = broken(outcome, fault, clean)
        facts["fault"] = traceback_of(fault, clean)
    pass_point(FaultPoint.RECORD_FINISH_BEGINS)
    return telling.ended(finish(name, writer.path, executed, outcome, facts, clean))


def _settle_left_over(settings: Settings, environment: str) -> None:
    """Settle what a crash left, where that can be done now; else it stays RUNNING for `safemig records --settle`."""
    from safemig.records.settle import settle

    try:
        settle(settings, environment)
    except RefusedError:  # the database cannot be asked, or a deployment is under way: no reason to refuse this run
        return
    except (SettingsError, OSError):  # nor that its variable is not set, or that the disk is full; the run will say so
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
    told: _Told,
) -> bool:  # fmt: skip
    """Run the notebook; tell whether it came to an end of its own."""
    from nbclient.exceptions import DeadKernelError
    from papermill.engines import papermill_engines
    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import execute_notebook
    from papermill.iorw import papermill_io

    from safemig.records.engine import NAME, RecordingEngine
    from safemig.records.kernel import own_kernel

    hooks = _hooks(writer, listen or (lambda _: None)) | {"on_gate": told.take}
    papermill_engines.register(NAME, RecordingEngine)
    papermill_io.register(SCHEME, writer)
    ended = False
    try:
        with own_kernel(ask, variables) as kernel:
            pass_point(FaultPoint.KERNEL_BEGINS)
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


class _Told:
    """What the verb's own question is about, which the kernel tells just before it asks, by another channel."""

    def __init__(self) -> None:
        self._facts: dict[str, Any] = {}
        self._is_there = threading.Event()

    def take(self, facts: dict[str, Any]) -> None:
        """Keep it until the question comes."""
        self._facts = facts
        self._is_there.set()

    def about(self, prompt: str) -> dict[str, Any] | None:
        """Return what a question is about; None where nothing of its plan was told within `_ARRIVES_WITHIN_S`."""
        self._is_there.wait(_ARRIVES_WITHIN_S)
        return self._facts if self._facts and self._facts["plan"]["id"] in prompt else None


def _shown_first(
    verb: str,
    writer: RecordWriter,
    facts: Mapping[str, Any],
    listen: Callable[[Progress], None] | None,
    ask: Callable[[str], str] | None,
    told: _Told | None = None,
) -> Callable[[str], str] | None:
    """Return the gate's question, before which the listener is told what is about to happen; the statements on demand."""
    if ask is None or listen is None:
        return ask

    def asked(prompt: str) -> str:
        unfolded = False
        while True:
            gate = gate_of(verb, writer.latest, facts, unfolded=unfolded)
            if gate is None and told is not None and (about := told.about(prompt)):
                gate = gate_of(verb, writer.latest, facts, told=about, unfolded=unfolded)
            if gate is not None:
                listen(Progress(gate=gate))
            answer = ask(prompt)
            if answer.strip().lower() != SHOW or gate is None or unfolded:
                return answer
            unfolded = True

    return asked


def _deaf_to_faults(listen: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Return a listener that is told no more once it failed: a closed pipe or a full disk ends no deployment."""
    failed: list[OSError] = []

    def told(progress: Progress) -> None:
        if not failed:
            try:
                listen(progress)
            except OSError as error:
                failed.append(error)

    return told


def _hooks(writer: RecordWriter, listen: Callable[[Progress], None]) -> dict[str, Any]:
    def began(cell: Any, cell_index: int) -> None:  # noqa: ARG001  nbclient's signature
        writer.changes_began = writer.changes_began or CHANGES in cell.metadata.get("tags", [])
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

    def drawn(text: str) -> None:
        listen(Progress(drawn=text))

    return {"on_cell_start": began, "on_cell_executed": answered, "on_moment": moment, "on_drawn": drawn}


def _process() -> dict[str, Any]:
    return {"pid": os.getpid(), "machine": socket.gethostname()}
