"""Schemas as facts, what differs between two of them, and the SQL that makes one the other."""

from __future__ import annotations

from safemig.schema.compare import compare
from safemig.schema.difference import Change, SchemaDiff, Statement, script
from safemig.schema.model import Schema

__all__ = ["Change", "Schema", "SchemaDiff", "Statement", "compare", "script"]
