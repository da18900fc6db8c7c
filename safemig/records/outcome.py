"""Read from an executed runbook what came of it: safemig's own results and errors in its outputs, nothing else.

papermill's metadata is not believed: after an interrupt it calls cells completed that never ran, and a dead kernel's
cell too. What has no result of ours is INCOMPLETE.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from safemig import errors
from safemig.records.names import RUNNING

INCOMPLETE = "INCOMPLETE"
CHANGES = "changes-database"  # the tag of a cell that changes a database

_MIME = re.compile(r"application/vnd\.safemig\.(?P<kind>[a-z_]+)\+json\Z")
_EXIT_WORDS = {1: "REFUSED", 2: "REFUSED", 3: "FAILED", 4: "STOPPED", 5: "UNKNOWN"}

# What a verb must have answered for its record to be whole.
_ANSWERS = {
    "generate": "generate",
    "review": "review",
    "rehearse": "rehearsal",
    "backup_prod": "backup",
    "migrate_staging": "deployment",
    "migrate_prod": "deployment",
    "rollback_prod": "deployment",
    "restore_prod": "restore",
    "sync_prod": "deployment",
    "baseline_prod": "deployment",
    "db_status": "status",
    "fleet_migrate": "fleet_deployment",
    "fleet_rollback": "fleet_deployment",
    "fleet_backup": "fleet_deployment",
    "doctor": "doctor",
    "workload": "workload",
    "schema_diff": "schema_diff",
    "deployments": "archive",
}
RECORDED_VERBS = tuple(_ANSWERS)
# Every word that a record's name can say.
WORDS = (
    "BACKED-UP", "BACKED-UP-NOT-VERIFIED", "BASELINED", "COLLECTED", "COMPARED", "CUT-OFF", "CUT-OFF-APPLIED", "DEPLOYED",
    "DEPLOYED-EXCEPT-SET-ASIDE", "DIFFERENT", "DO-NOT-DEPLOY", "DRIFTED", "DROPPED", "EQUAL", "ERROR", "FAILED", "GAPS", "GENERATED",
    INCOMPLETE, "NEEDS-ATTENTION", "NOT-VALID", "NOTHING-TO-DEPLOY", "NOTHING-TO-DO", "NOTHING-TO-PUT-BACK", "NOTHING-TO-RECORD",
    "NOTHING-TO-REVIEW", "NOTHING-TO-SYNC", "PENDING", "PROBLEMS", "PUT-BACK", "READY", "REFUSED", "REHEARSED", "REPORTED", "RESTORED",
    "ROLLED-BACK", RUNNING, "SAFE-TO-DEPLOY", "STOPPED", "SWAPPED-IN", "SYNCED", "UNKNOWN", "UNREACHABLE", "UP-TO-DATE",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RecordedResult:
    """One result as the notebook holds it, in its three forms."""

    kind: str
    text: str
    html: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedError:
    """The error that ended the run: its lines as they were shown, and the exit code that it stands for.

    `result` is what the failing cell showed before: the checks, the review that the error stands on.
    """

    name: str
    exit_code: int
    lines: tuple[str, ...]
    result: RecordedResult | None = None

    @property
    def parts(self) -> tuple[str, str | None, str | None]:
        """What happened, where, and what to do next, as the error had them."""
        parts: dict[str, list[str]] = {"what": [], "where": [], "next": []}
        current = "what"
        for line in self.lines:
            for key in ("where", "next"):
                if line.startswith(f"{key}: "):
                    current, line = key, line.removeprefix(f"{key}: ")
            parts[current].append(line)
        what = "\n".join(parts["what"]).removeprefix(f"{self.name.removesuffix('Error')}: ")
        return what, "\n".join(parts["where"]) or None, "\n".join(parts["next"]) or None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run: one word, the exit code, and what it rests on."""

    word: str
    exit_code: int
    results: tuple[RecordedResult, ...]
    error: RecordedError | None
    may_have_changed: bool = False  # a cell that changes a database began

    def last(self, kind: str) -> RecordedResult | None:
        """Return the last result of a kind."""
        return next((each for each in reversed(self.results) if each.kind == kind), None)


def answer_of(verb: str) -> str:
    """Return the kind of result that answers `verb`, "" for a verb that has none."""
    return _ANSWERS.get(verb, "")


def read_outcome(verb: str, notebook: Any, *, ended: bool = True) -> Outcome:
    """Return what came of `verb`'s run; `ended` is False where the kernel or a person cut it short.

    Never raises over a strange notebook: that one is INCOMPLETE.
    """
    results: list[RecordedResult] = []
    error: RecordedError | None = None
    may_have_changed = False
    all_ran = ended
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        began = cell.get("execution_count") is not None or bool(cell.get("outputs"))
        all_ran = all_ran and began
        may_have_changed = may_have_changed or (began and CHANGES in cell.metadata.get("tags", []))
        shown: list[RecordedResult] = []
        for output in cell.get("outputs", []):
            if output.output_type == "error" and error is None:
                error = replace(_error(output, may_have_changed), result=next(reversed(shown), None))
            shown += _results(output)
        results += shown
    answer = next((each for each in reversed(results) if each.kind == _ANSWERS.get(verb)), None)
    if error is not None:
        return Outcome(_error_word(error, answer), error.exit_code, tuple(results), error, may_have_changed)
    if answer is None or not all_ran:
        # The kernel died, a person interrupted, or a cell ended the notebook. Where a database may have been
        # changed, no one knows.
        return Outcome(INCOMPLETE, 5 if may_have_changed else 1, tuple(results), None, may_have_changed)
    validation = next((each for each in reversed(results) if each.kind == "validation"), None)
    if validation is not None and not validation.data.get("is_valid", False):
        return Outcome("NOT-VALID", 4, tuple(results), None, may_have_changed)
    return Outcome(_word(answer.kind, answer.data), _exit_code(answer), tuple(results), None, may_have_changed)


def _error(output: Any, may_have_changed: bool) -> RecordedError:
    known = getattr(errors, str(output.ename), None)
    if isinstance(known, type) and issubclass(known, errors.SafemigError):
        lines = tuple(str(output.evalue).splitlines()) or (str(output.ename),)
        return RecordedError(str(output.ename), known.exit_code, lines)
    # Not an error of ours: an interrupt, or a fault of safemig's. After the changing cell began, no one may say
    # "nothing was changed".
    words = f"{output.ename}: {output.evalue}".splitlines()[0] if output.evalue else str(output.ename)
    if may_have_changed:
        return RecordedError(
            str(output.ename), 5, (words, "next: safemig status tells what is applied; the record holds the traceback")
        )
    return RecordedError(str(output.ename), 1, (words, "next: nothing was changed; the record holds the traceback"))


def _results(output: Any) -> list[RecordedResult]:
    data = output.get("data", {})
    return [
        RecordedResult(match["kind"], _joined(data.get("text/plain", "")), _joined(data.get("text/html", "")), value)
        for mime, value in data.items()
        if (match := _MIME.match(mime)) and isinstance(value, dict)
    ]


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _error_word(error: RecordedError, answer: RecordedResult | None) -> str:
    if error.name in ("ReviewRefusedError", "SettingsError") and answer is not None and answer.kind == "review":
        return _word(answer.kind, answer.data)  # the review's own verdict says more
    is_ours = hasattr(errors, error.name)
    return _EXIT_WORDS[error.exit_code] if is_ours or error.exit_code != 1 else "ERROR"


def _word(kind: str, data: dict[str, Any]) -> str:
    match kind:
        case "deployment" | "review" | "fleet_deployment":
            return str(data.get("verdict", INCOMPLETE)).replace(" ", "-")
        case "generate":
            return "GENERATED" if data.get("path") else "NOTHING-TO-DO"
        case "rehearsal":
            return "REHEARSED"
        case "backup":
            return "BACKED-UP" if data.get("verified") == "restored" else "BACKED-UP-NOT-VERIFIED"
        case "restore":
            if data.get("dropped"):
                return "DROPPED"
            if words := data.get("verdict"):  # of single tables
                return "RESTORED" if words.startswith("RESTORED") else str(words).replace(" ", "-")
            return "SWAPPED-IN" if data.get("swapped") else "RESTORED"
        case "schema_diff":
            return "EQUAL" if data.get("is_empty") else "DIFFERENT"
        case "status":
            return _status_word(data)
        case "workload":
            return "COLLECTED" if data.get("read_from") else "REPORTED"
        case "doctor":
            return {0: "READY", 1: "GAPS"}.get(int(data.get("exit_code", 0)), "UNREACHABLE")
        case _:
            return "REPORTED"


def _status_word(data: dict[str, Any]) -> str:
    states = [each.get("states", {}).get("production") for each in data.get("migrations", [])]
    unreachable = any(each.get("problem") for each in data.get("environments", []))
    if data.get("problems") or unreachable or {"edited", "missing"} & set(states):
        return "PROBLEMS"
    if "pending" in states:
        return "PENDING"
    drifted = any(each.get("drift") not in ("", "none", None) for each in data.get("environments", []))
    return "DRIFTED" if drifted else "UP-TO-DATE"


def _exit_code(answer: RecordedResult) -> int:
    if answer.kind == "review":
        # A record of before 2026-12 has the verdict alone.
        return int(answer.data.get("exit_code", 0 if answer.data.get("verdict") == "SAFE TO DEPLOY" else 1))
    if answer.kind in ("status", "doctor"):
        return int(answer.data.get("exit_code", 0))
    if answer.kind == "deployment" and answer.data.get("verdict") == "FAILED":
        return 3
    return 0
