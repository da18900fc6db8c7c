"""Draw results: as text for logs, as HTML for notebooks, as JSON for machines, as a table for pandas. Pure; nothing here prints.

Four functions are the whole surface: `text(result)`, `html(result)`, `data(result)`, `frame(result)`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from safemig.result import JSON_FORMAT, Result
from safemig.views.document import Document

if TYPE_CHECKING:
    import pandas as pd

# Which module draws which result. Loaded at the first use of each: a review needs nothing of the archive's strip.
_BUILDERS = {
    "Approval": "approval",
    "CollectedWorkload": "workload",
    "WorkloadCheck": "workload_check",
    "Archive": "archive",
    "Backup": "backup",
    "BaseFile": "base",
    "Configuration": "config",
    "Deployment": "deployment",
    "Diagnosis": "doctor",
    "FixedReview": "fixed_review",
    "FleetDeployment": "fleet_deployment",
    "FleetPlan": "fleet_plan",
    "FleetRehearsal": "fleet_rehearsal",
    "FleetStatus": "fleet_status",
    "Enabled": "enable",
    "Generated": "generate",
    "Help": "help",
    "Initialised": "init",
    "Live": "live",
    "Plan": "plan",
    "Preflight": "preflight",
    "Rehearsal": "rehearsal",
    "Restored": "restore",
    "RestoredTables": "restored_tables",
    "Review": "review",
    "SchemaDiff": "schema_diff",
    "Status": "status",
    "Validation": "validation",
}


def text(result: Result, *, cap: bool = False) -> str:
    """Return the report as plain text, the verdict first; `cap` leaves out what a notebook's cell has no room for."""
    from safemig.views.capped import capped
    from safemig.views.in_text import draw_text

    return draw_text(capped(document(result)) if cap else document(result))


def html(result: Result) -> str:
    """Return the report as HTML that stays legible in any theme, untrusted, and stripped of its styles."""
    from safemig.views.in_html import draw_html

    return draw_html(document(result))


def data(result: Result) -> dict[str, Any]:
    """Return the facts as JSON-ready values, with the result's kind."""
    from safemig.views.in_data import as_data

    return {"format": JSON_FORMAT, "kind": result.kind, **as_data(result)}


def frame(result: Result) -> pd.DataFrame:
    """Return the result's main table as a pandas DataFrame."""
    from safemig.views.in_frame import as_frame

    return as_frame(result)


def document(result: Result) -> Document:
    """Return the view of `result` as a document.

    Raises:
        TypeError: a result that no view was written for.
    """
    for each in type(result).__mro__:
        if name := _BUILDERS.get(each.__name__):
            module = importlib.import_module(f"safemig.views.of_{name}")
            built: Document = module.build(result)
            return built
    raise TypeError(f"no view draws a {type(result).__name__}")
