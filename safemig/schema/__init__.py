"""Schemas as facts, what differs between two of them, and the SQL that makes one the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safemig.lazy_import import loaded_from

if TYPE_CHECKING:
    from safemig.schema.comparison import compare
    from safemig.schema.difference import Change, ChangeSet, SchemaDiff, Statement, script
    from safemig.schema.model import Schema

__all__ = ["Change", "ChangeSet", "Schema", "SchemaDiff", "Statement", "compare", "script"]

# Reading a schema needs no rules of how to change one.
__getattr__ = loaded_from(
    __name__,
    {
        "Change": "safemig.schema.difference",
        "ChangeSet": "safemig.schema.difference",
        "Schema": "safemig.schema.model",
        "SchemaDiff": "safemig.schema.difference",
        "Statement": "safemig.schema.difference",
        "compare": "safemig.schema.comparison",
        "script": "safemig.schema.difference",
    },
)
