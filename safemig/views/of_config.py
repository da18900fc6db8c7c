"""The view of the settings in force."""

from __future__ import annotations

from safemig.results import Configuration
from safemig.views import numbers
from safemig.views.document import Badge, Document, Mono, Table


def build(result: Configuration) -> Document:
    """Show each setting with its value and where that comes from; those that were set come first."""
    given = [each for each in result.settings if each.source != "default"]
    rows = (*given, *(each for each in result.settings if each.source == "default"))
    table = Table(
        "Settings",
        ("Setting", "From", "Value"),
        tuple((Mono(each.name), each.source, Mono(each.value) if each.value else numbers.NOTHING) for each in rows),
    )
    where = Mono(str(result.file)) if result.file else "no settings file: defaults and variables"
    return Document(
        Badge("SETTINGS", "info"), (where, f"{len(given)} set, {len(rows) - len(given)} at default"), (table,)
    )
