"""Finish a record: its word, its page, its seal and its name; and what is told where that cannot be done.

What a run did to a database stays done, whatever becomes of its record. So nothing that goes wrong here may end with a
code that says that nothing was changed.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safemig import __version__
from safemig.errors import DeploymentStoppedError, FileError, words_of_fault
from safemig.fault_points import FaultPoint, pass_point
from safemig.records import ledger
from safemig.records.certificate import CELL, certificate_of
from safemig.records.certificate_markdown import as_markdown
from safemig.records.files import make_read_only
from safemig.records.names import RecordName
from safemig.records.notebooks import notebook_bytes
from safemig.records.outcome import Outcome, RecordedError, RecordedResult, answer_of
from safemig.records.redaction import redact_notebook
from safemig.records.sections import add_headings
from safemig.whole_files import write_atomically

SETTLE = "safemig records --settle"


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
    is_written: bool = True  # False where the record could not be finished; `path` is then what there is of it
    undelivered: tuple[str, ...] = ()  # notifications that failed, a line for each channel; they change nothing else

    @property
    def answer(self) -> RecordedResult | None:
        """The result that answers the verb; where an error ended the run, what that one stands on, if anything."""
        if self.error is not None:
            return self.error.result
        kind = answer_of(self.verb)
        return next((each for each in reversed(self.results) if each.kind == kind), None)


def finish(
    name: RecordName, path: Path, executed: Any, outcome: Outcome, facts: dict[str, Any], clean: Callable[[str], str]
) -> RecordRun:
    """Write the record and its page, seal both, and give it its name. Raises nothing.

    Where that fails, the run keeps its outcome, and the exit code is 4 where it has changed a database: what `path` has
    then is settled by `safemig records --settle`.
    """
    facts |= {
        "word": outcome.word,
        "exit_code": outcome.exit_code,
        "finished": now(),
        "version": __version__,
        "error": list(outcome.error.lines) if outcome.error else [],
    }
    executed.metadata["safemig"] = facts
    papermill = executed.metadata.get("papermill", {})
    papermill.pop("input_path", None)
    papermill["output_path"] = f"{name.prefix}{outcome.word}.ipynb"
    run = RecordRun(
        facts["verb"], name.environment, path, path.with_suffix(".html"), outcome.word, outcome.exit_code,
        outcome.error, outcome.results,
    )  # fmt: skip
    try:
        put_certificate(executed, outcome, facts)
        redact_notebook(executed, clean)
        write_atomically(path, notebook_bytes(executed))
        pass_point(FaultPoint.RECORD_WRITTEN)
        final = seal(name, path, executed, outcome, facts)
    except (Exception, KeyboardInterrupt) as fault:  # noqa: BLE001  whatever it is, the outcome is told
        make_read_only(path)  # no one writes it any more, so it may be settled while this process lives
        return _unwritten(run, outcome, fault, path.parent)
    return replace(run, path=final, html=final.with_suffix(".html"))


def seal(name: RecordName, path: Path, executed: Any, outcome: Outcome, facts: Mapping[str, Any]) -> Path:
    """Draw the page of a record that is written, seal both, and return the record under its name."""
    from safemig.records.page import draw_page

    final = path.with_name(f"{name.prefix}{outcome.word}.ipynb")
    page = final.with_suffix(".html")
    write_atomically(page, draw_page(executed, facts, certificate_of(outcome, facts)).encode())
    pass_point(FaultPoint.PAGE_WRITTEN)
    # Sealed under its name before it bears it: whatever cuts this off, `settle` sees by the hash that all was done.
    ledger.seal(path.parent, path, page, _entry(facts, outcome), name=final.stem)
    pass_point(FaultPoint.SEALED)
    path.replace(final)
    return final


def put_certificate(notebook: Any, outcome: Outcome, facts: Mapping[str, Any]) -> None:
    """Put the certificate at the head of a record, in place, and a heading before each step that it links to."""
    import nbformat

    certificate = certificate_of(outcome, facts)
    if certificate is None:
        return
    add_headings(notebook)
    text = as_markdown(certificate)
    notebook.cells = [
        nbformat.v4.new_markdown_cell(text, id=CELL),  # type: ignore[no-untyped-call]
        *(cell for cell in notebook.cells if cell.get("id") != CELL),
    ]


def broken(outcome: Outcome, fault: BaseException, clean: Callable[[str], str]) -> Outcome:
    """Return the outcome of a run that ended by a fault of the recorder's, not of a cell's."""
    if outcome.error is not None:
        return outcome
    is_known = not outcome.may_have_changed
    lines = (
        f"{'File' if isinstance(fault, OSError) else type(fault).__name__}: {clean(words_of_fault(fault))}",
        "next: nothing was changed; correct it, then run again"
        if is_known
        else "next: safemig status tells what is applied",
    )
    return replace(
        outcome, exit_code=1 if is_known else 5, error=RecordedError("FileError", 1 if is_known else 5, lines)
    )


def traceback_of(fault: BaseException, clean: Callable[[str], str]) -> str:
    """Return a fault's traceback, for the record: a person is told its words alone."""
    return clean("".join(traceback.format_exception(fault)))


def _unwritten(run: RecordRun, outcome: Outcome, fault: BaseException, home: Path) -> RecordRun:
    """Tell the outcome, and that the record could not be written."""
    trouble = f"the record could not be written: {words_of_fault(fault)}"
    then = f"{_cure(fault)}, then {SETTLE}"
    if outcome.exit_code:
        before = outcome.error or RecordedError("OutcomeUnknownError", outcome.exit_code, (f"it ended {outcome.word}",))
        return replace(run, error=replace(before, lines=(*before.lines, f"next: {trouble}; {then}")), is_written=False)
    has_changed = outcome.may_have_changed and not outcome.word.startswith("NOTHING")
    kind = DeploymentStoppedError if has_changed else FileError
    applied = _migrations(outcome)
    error = kind(
        f"{'applied' if has_changed else outcome.word.replace('-', ' ')}; {trouble}",
        where=f"{home}" + (f"; applied: {', '.join(applied)}" if applied and has_changed else ""),
        next=then,
    )
    told = RecordedError(kind.__name__, kind.exit_code, tuple(error.lines), run.answer)
    return replace(run, exit_code=kind.exit_code, error=told, is_written=False)


def _cure(fault: BaseException) -> str:
    import errno

    if isinstance(fault, KeyboardInterrupt):
        return "let it come to its end"
    if not isinstance(fault, OSError):
        return "correct it"
    if fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free space"
    if fault.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "make its folder writable"
    return "correct it"


def _migrations(outcome: Outcome) -> list[str]:
    act = outcome.last("deployment") or outcome.last("fleet_deployment")
    plan = outcome.last("plan")
    data = act.data if act else {}
    return [*data.get("migrations", ()), *data.get("recorded_only", ())] or [
        each.get("file", "") for each in (plan.data.get("migrations", []) if plan else [])
    ]


def _entry(facts: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """Return what the ledger keeps of a record, so that the archive opens without opening a thousand notebooks."""
    act = outcome.last("deployment") or outcome.last("fleet_deployment")
    plan = outcome.last("plan") or outcome.last("fleet_plan")
    data = act.data if act else {}
    # Of a fleet: what came of each member; the journal, whose head is sealed with this, has a line for each.
    members = {each["member"]: each["outcome"] for each in data.get("members", ())}
    return {
        **({"members": members} if members else {}),
        "act": facts["verb"],
        "environment": facts["environment"],
        "verdict": outcome.word,
        "exit_code": outcome.exit_code,
        "started": facts["started"],
        "finished": facts["finished"],
        "by": data.get("by") or facts["by"],
        "plan_id": data.get("plan_id") or (plan.data.get("id", "") if plan else ""),
        "run_id": data.get("run_id", ""),
        "migrations": json.loads(json.dumps(_migrations(outcome))),
        "lock_wait_s": max((each.get("lock_wait_s") or 0.0 for each in data.get("steps", ())), default=None),
    }


def now() -> str:
    """Return the time as a record has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
