"""Keep secrets out of records: whatever a kernel says is passed through here before it is written."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

from markupsafe import escape
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from safemig.errors import SettingsError
from safemig.postgres.connection.connect import redacted
from safemig.settings import Settings

# ALTER ROLE app PASSWORD 'x': the SQL of a migration is shown in its record, and as HTML too.
_SQL_PASSWORD = re.compile(r"(\bpassword\s+)E?('|&#39;)(?:\2\2|(?!\2).)*\2", re.IGNORECASE | re.DOTALL)

_LONGEST_STREAM = 200_000
_KEPT = 60_000


def redactor(settings: Settings) -> Callable[[str], str]:
    """Return a function that blots out the passwords of all environments, and whatever looks like a URL with one."""
    # In the HTML of a result, a password stands as HTML writes it.
    secrets = tuple(
        sorted({form for each in _secrets(settings) for form in (each, str(escape(each)))}, key=len, reverse=True)
    )

    def clean(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "***")
        if "assword" in text.lower():
            text = _SQL_PASSWORD.sub(r"\1\2***\2", text)
            return redacted(text)
        return redacted(text) if "://" in text else text

    return clean


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


def _secrets(settings: Settings) -> set[str]:
    found: set[str] = set()
    for name in settings.environments:
        try:
            parts = conninfo_to_dict(settings.conninfo(name))
        except (SettingsError, ProgrammingError):
            continue  # not set, or not a connection string: nothing can have been connected with it
        names = {str(parts.get("user")), str(parts.get("dbname")), str(parts.get("host"))}
        # A password that is also a name stands in every message as that name; blotting it out hides no secret.
        found |= {
            str(parts[key]) for key in ("password", "sslpassword") if parts.get(key) and str(parts[key]) not in names
        }
    found.add(os.environ.get("PGPASSWORD", ""))
    return {secret for secret in found if len(secret) >= 4}
