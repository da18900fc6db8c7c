"""The view of a restored backup."""

from __future__ import annotations

import shlex

from safemig.commands import command_on
from safemig.results import Restored
from safemig.views import numbers
from safemig.views.document import Badge, Bullets, Document, Mono, Strong
from safemig.views.shared_parts import check_table, content_table, failed_checks, on


def build(result: Restored) -> Document:
    """Say where the backup stands now, what was checked, and how to swap it in or go back."""
    failed = any(check.state == "failed" for check in result.checks)
    if failed:
        verdict = Badge("RESTORED, BUT NOT AS IT WAS", "error")
    elif result.dropped:
        verdict = Badge("DROPPED", "ok")
    else:
        verdict = Badge("RESTORED AND SWAPPED IN" if result.swapped else "RESTORED BESIDE PRODUCTION", "ok")
    environment = result.target.environment
    items = [] if result.dropped else [f"from {result.backup}", f"stands as database {result.database}"]
    if result.kept_as:
        items.append(f"the former database is kept as {result.kept_as}; to drop it when you are sure:")
        items.append(_drop(environment, result.kept_as))
    elif not result.swapped and not result.dropped:
        swap = command_on(environment, "restore-prod", f"{result.backup.stem.removeprefix('manifest_')} --swap")
        items.append(f"{environment} is untouched; look at the copy, then: {swap}")
        items.append(f"or, to remove it: {_drop(environment, result.database)}")
    tables = numbers.counted(len(result.tables), "table")
    return Document(
        verdict,
        (Strong(on(result.target)), Mono(result.database), numbers.seconds(result.seconds)),
        (
            *check_table("Checks", result.checks),
            *failed_checks(result.checks),
            *([Bullets("", tuple(items))] if items else []),
            *([content_table(result.tables, f"Rows and hashes of {tables}")] if result.tables else []),
        ),
    )


def _drop(environment: str, database: str) -> str:
    return command_on(environment, "restore-prod", f"--drop {shlex.quote(database)}")
