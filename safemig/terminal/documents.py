"""The JSON documents of the command line: a result as it is, or the error that took its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from safemig.errors import SafemigError
from safemig.result import JSON_FORMAT, Result
from safemig.secrets import hide


def error_document(
    name: str, exit_code: int, what: str, where: str | None = None, next_: str | None = None, result: Any = None
) -> dict[str, Any]:
    """Return an error as data; `result` is what was found before it, as JSON-ready values."""
    return {
        "format": JSON_FORMAT,
        "kind": "error",
        "name": name,
        "exit_code": exit_code,
        "what": hide(what),
        "where": where and hide(where),
        "next": next_ and hide(next_),
        "result": result,
    }


def document_of_error(error: SafemigError) -> dict[str, Any]:
    """Return one of our errors as data, with the result that it stands on."""
    found = error.result.to_dict() if isinstance(error.result, Result) else None
    name = type(error).__name__.removesuffix("Error")
    return error_document(name, error.exit_code, error.what, error.where, error.next, found)


def as_json(document: Mapping[str, Any]) -> str:
    """Return a document as the command prints it."""
    return json.dumps(document, indent=2, ensure_ascii=False)
