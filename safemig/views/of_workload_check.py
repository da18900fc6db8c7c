"""The view of the application's statements, tried on the copy."""

from __future__ import annotations

from safemig.views import numbers
from safemig.views.document import Badge, Document
from safemig.views.workload_parts import window_words, workload_blocks
from safemig.workload_facts import WorkloadCheck


def build(result: WorkloadCheck) -> Document:
    """Say how many statements fail, and show each with its cause."""
    standing = len(result.standing)
    if any(each.is_dangerous for each in result.standing):
        verdict = Badge(f"{numbers.counted(standing, 'FINDING').upper()}", "error")
    elif standing:
        verdict = Badge(f"{numbers.counted(standing, 'FINDING').upper()}", "warning")
    else:
        verdict = Badge("NO FINDING STANDS", "ok")
    return Document(verdict, (window_words(result.window),), workload_blocks(result))
