"""A recorded run as one JSON document: its answer or its error, and where the record is."""

from __future__ import annotations

from typing import Any

from safemig.records.finish import RecordRun
from safemig.terminal.documents import error_document


def document_of_run(run: RecordRun) -> dict[str, Any]:
    """Return the answer as the record holds it, or the error that ended the run; `record` is beside it."""
    record = {
        "verb": run.verb,
        "environment": run.environment,
        "verdict": run.verdict,
        "exit_code": run.exit_code,
        "path": str(run.path),
        "page": str(run.html),
        "is_written": run.is_written,
        "undelivered": list(run.undelivered),
    }
    found = run.answer.data if run.answer else None
    if run.error is not None:
        name = run.error.name.removesuffix("Error")
        document = error_document(name, run.exit_code, *run.error.parts, result=found)
    elif found is None:
        what, next_ = f"the run ended {run.verdict}, without an answer", "safemig status tells what is applied"
        document = error_document("Incomplete", run.exit_code, what, str(run.path), next_)
    else:
        document = dict(found)
    return {**document, "record": record}
