"""Executed runbooks as the record: run one, seal it in the ledger, read the archive."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from safemig.records.archive import read_archive
    from safemig.records.finish import RecordRun
    from safemig.records.progress import Progress
    from safemig.records.run import run_runbook

# Loaded at first use: papermill imports this package for `papermill_io`, while it is itself being imported.
_HOMES = {"Progress": "progress", "RecordRun": "finish", "read_archive": "archive", "run_runbook": "run"}

__all__ = ["Progress", "RecordRun", "read_archive", "run_runbook"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"safemig.records.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'safemig.records' has no attribute {name!r}")
