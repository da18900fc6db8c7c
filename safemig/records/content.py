"""The content of a record in canonical form: what stays when an editor opens a notebook and saves it unchanged.

JupyterLab, Notebook and git rewrite the file: spaces, line ends, `0.0` as `0`, the kernel's display name, a newer minor
version of the format, new ids of cells. None of that is content. Sources, outputs, their order, execution counts, tags
and safemig's and papermill's own facts are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)")  # what a terminal, and an editor, shows no more
_DIGITS = 12  # of the hash of a part, which only says where an edit is; the seal is the whole hash
_EXACT = 2**53  # up to here, JavaScript's only number holds every integer


@dataclass(frozen=True, slots=True)
class Cell:
    """What tells one cell from another: its name, and a hash a part."""

    name: str
    source: str
    outputs: str
    count: str

    def __str__(self) -> str:
        return f"{self.name}={self.source}.{self.outputs}.{self.count}"


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a record as two hashes: of all of it, and, to say where an edit is, of each cell's parts."""

    sha256: str
    cells: tuple[Cell, ...]

    @property
    def as_facts(self) -> dict[str, str]:
        """What the ledger keeps of it."""
        return {"content_sha256": self.sha256, "cells": " ".join(map(str, self.cells))}


def content_of(file: bytes) -> Content | None:
    """Return the content of a notebook's file; None where it is no notebook."""
    try:
        notebook = json.loads(file)
        cells = [_canonical_cell(each) for each in notebook["cells"]]
        metadata = notebook["metadata"]
        kept = {name: _canonical(metadata.get(name)) for name in ("safemig", "papermill")}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    named = tuple(
        Cell(str(raw.get("id") or number), _digest(cell["source"]), _digest(cell["outputs"]), _count(cell["count"]))
        for number, (raw, cell) in enumerate(zip(notebook["cells"], cells, strict=True), 1)
    )
    return Content(_hash({"cells": cells, "metadata": kept}), named)


def differences(sealed: str, found: Content) -> tuple[str, ...]:
    """Return what was edited since, a phrase a cell. `sealed` is what the ledger kept of the cells."""
    before, after = _parsed(sealed), list(found.cells)
    names, left = [each.name for each in before], {each.name: each for each in after}
    if len(before) == len(after) and not left.keys() & set(names):  # an editor has given all of them new ids
        pairs = list(zip(before, after, strict=True))
        return _edited(pairs) or ("its metadata",)
    gone = [f"cell {number} ({each.name}): removed" for number, each in enumerate(before, 1) if each.name not in left]
    added = [
        f"cell {number} ({each.name}): added" for number, each in enumerate(after, 1) if each.name not in set(names)
    ]
    edited = _edited([(each, left[each.name]) for each in before if each.name in left])
    moved: list[str] = []
    common = [name for name in names if name in left]
    if common != [each.name for each in after if each.name in set(names)]:
        moved = ["cells: in another order"]
    return (*edited, *gone, *added, *moved) or ("its metadata",)


def _edited(pairs: Sequence[tuple[Cell, Cell]]) -> tuple[str, ...]:
    found = []
    for number, (was, now) in enumerate(pairs, 1):
        parts = [
            words
            for words, differs in (
                ("source", was.source != now.source),
                ("outputs removed", was.outputs != now.outputs and now.outputs == _NO_OUTPUTS),
                ("outputs", was.outputs != now.outputs and now.outputs != _NO_OUTPUTS),
                ("execution count", was.count != now.count),
            )
            if differs
        ]
        if parts:
            found.append(f"cell {number} ({was.name}): {', '.join(parts)}")
    return tuple(found)


def _parsed(sealed: str) -> list[Cell]:
    cells = []
    for each in sealed.split():
        name, _, parts = each.rpartition("=")
        source, outputs, count = parts.split(".")
        cells.append(Cell(name, source, outputs, count))
    return cells


def _canonical_cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    metadata = cell.get("metadata", {})
    return {
        "source": [cell["cell_type"], _lines_of(_text(cell["source"])), _canonical(cell.get("attachments") or {})],
        "outputs": _outputs(cell.get("outputs") or []),
        "count": cell.get("execution_count"),
        "tags": list(metadata.get("tags", [])),
        "papermill": _canonical(metadata.get("papermill")),
    }


def _outputs(outputs: Sequence[Mapping[str, Any]]) -> list[Any]:
    found: list[Any] = []
    for each in outputs:
        kind = each["output_type"]
        if kind == "stream":
            text = _text(each["text"])
            if found and found[-1][:2] == ["stream", each["name"]]:  # editors join what follows one another
                text = found.pop()[2] + text
            found.append(["stream", each["name"], text])
        elif kind == "error":
            found.append(["error", each["ename"], each["evalue"], [_text(line) for line in each["traceback"]]])
        else:
            data = {mime: _canonical(value) if _is_json(mime) else _text(value) for mime, value in each["data"].items()}
            found.append([kind, data, _canonical(each.get("metadata") or {}), _canonical(each.get("execution_count"))])
    for each in found:
        if each[0] == "stream":
            each[2] = _OVERWRITTEN.sub("", _lines_of(each[2]))
    return found


def _is_json(mime: str) -> bool:
    return mime == "application/json" or mime.endswith("+json")


def _text(value: Any) -> Any:
    """Return text that a file may hold as a list of lines."""
    return "".join(value) if isinstance(value, list) and all(isinstance(each, str) for each in value) else value


def _lines_of(text: Any) -> Any:
    return text.replace("\r\n", "\n") if isinstance(text, str) else text


def _canonical(value: Any) -> Any:
    """Return JSON with its numbers as JavaScript knows them: 0.0 is 0, and an integer beyond 2^53 is the nearest one."""
    if isinstance(value, dict):
        return {key: _canonical(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_canonical(each) for each in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _count(count: Any) -> str:
    return str(count) if isinstance(count, int) else "-"


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _digest(value: Any) -> str:
    return _hash(value)[:_DIGITS]


_NO_OUTPUTS = _digest([])
