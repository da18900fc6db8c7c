"""Keep secrets out of records: whatever a kernel says is passed through here before it is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from safemig.errors import SettingsError
from safemig.secrets import hide, remember, remember_conninfo
from safemig.settings import Settings

_LONGEST_STREAM = 200_000
_KEPT = 60_000


def redactor(settings: Settings) -> Callable[[str], str]:
    """Return a function that blots out the passwords of all environments, and whatever looks like a URL with one."""
    for name in settings.environments:
        with suppress(SettingsError):  # not set: nothing can have been connected with it
            remember_conninfo(settings.conninfo(name))
    remember([os.environ.get("PGPASSWORD")])
    return hide


def redact_notebook(notebook: Any, clean: Callable[[str], str]) -> None:
    """Clean every text that a run put into the notebook, in place; shorten streams that would swell the record."""
    notebook.metadata.pop("widgets", None)  # no record: a reopened notebook cannot show them
    for key, value in notebook.metadata.get("papermill", {}).items():
        notebook.metadata.papermill[key] = _cleaned(value, clean)
    for cell in notebook.cells:
        cell.source = clean(cell.source)
        for output in cell.get("outputs", []):
            for key in ("text", "evalue", "traceback", "data"):
                if key in output:
                    output[key] = _cleaned(output[key], clean)
            if isinstance(output.get("text"), str):
                output.text = shortened(output.text)


def shortened(text: str) -> str:
    """Return `text`, its middle left out where it is very long, with how many lines that were."""
    if len(text) <= _LONGEST_STREAM:
        return text
    head, tail = text[:_KEPT], text[-_KEPT:]
    left_out = text.count("\n") - head.count("\n") - tail.count("\n")
    return f"{head}\n… {left_out:,} lines left out of the record …\n{tail}"


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        for key, each in value.items():
            value[key] = _cleaned(each, clean)
        return value
    if isinstance(value, list | tuple):
        return [_cleaned(each, clean) for each in value]
    return value
