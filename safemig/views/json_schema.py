"""The JSON Schema of everything that safemig prints as JSON, made from the types of the results themselves."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import json
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import PurePath
from typing import Any, Literal

from safemig import fleet_facts, load_facts, results, workload_facts
from safemig.result import JSON_FORMAT, Result
from safemig.review import model as review_model
from safemig.schema import difference, model
from safemig.schema import facts as schema_facts
from safemig.sql.locks import LockMode
from safemig.views.in_data import derived_names

SCHEMA_ID = "https://safemig.dev/schemas/safemig-1.schema.json"
_TEXT, _COUNT, _NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
_TEXTS = {"type": "array", "items": _TEXT}
_TIME = {"type": "string", "format": "date-time"}
_LOCK = {"enum": [*(mode.value for mode in LockMode), None]}
_PLAIN: dict[Any, dict[str, Any]] = {
    str: _TEXT, int: _COUNT, float: _NUMBER, bool: {"type": "boolean"}, datetime: _TIME,
    date: {"type": "string", "format": "date"}, type(None): {"type": "null"},
}  # fmt: skip
_ERROR = {
    "description": "What ended a command: a check that said no, a failure, or wrong usage.",
    "properties": {
        "name": _TEXT
        | {"description": "The error's class without Error, such as ReviewRefused; Usage for wrong words."},
        "exit_code": {"enum": [1, 2, 3, 4, 5]},
        "what": _TEXT,
        "where": {"type": ["string", "null"]},
        "next": {"type": ["string", "null"]},
        "result": {
            "description": "What was found before the no: a review, the pre-flight's checks, a restore.",
            "anyOf": [{"type": "null"}, {"$ref": "#/$defs/any_result"}],
        },
    },
}
_RECORD = {
    "description": "The run of a verb that leaves a record; beside the result's or the error's own fields.",
    "properties": {
        "verb": _TEXT,
        "environment": _TEXT,
        "verdict": _TEXT | {"description": "The word in the record's name, such as DEPLOYED or REFUSED."},
        "exit_code": {"enum": [0, 1, 2, 3, 4, 5]},
        "path": _TEXT,
        "page": _TEXT,
        "is_written": {"type": "boolean"},
        "undelivered": _TEXTS | {"description": "Notifications that failed."},
    },
}
_FINDING = {
    "properties": {
        "rule": _TEXT, "severity": {"enum": ["dangerous", "caution", "recommendation"]}, "file": _TEXT, "line": _COUNT,
        "column": _COUNT, "statement": _TEXT, "message": _TEXT, "safer": _TEXT, "lock": _LOCK,
        "data_loss": {"type": "boolean"}, "title": _TEXT, "object": _TEXT, "accepted": {"type": ["string", "null"]},
    },
}  # fmt: skip
_STATEMENT = {"properties": {"line": _COUNT, "kind": _TEXT, "lock": _LOCK, "tables": _TEXTS, "rules": _TEXTS}}
_REVIEWED_FILE = {
    "properties": {
        "name": _TEXT,
        "recommendations": _TEXTS,
        "statements": {"type": "array", "items": {"$ref": "#/$defs/review_statement"}},
    },
}
_UNUSED = {"properties": {"rule": _TEXT, "object": _TEXT, "reason": _TEXT, "file": _TEXT}}
_REVIEW = {
    "description": "What `safemig review` prints; in a record, `findings` also has the recommendations, by their severity.",
    "properties": {
        "verdict": {"enum": ["SAFE TO DEPLOY", "NEEDS ATTENTION", "DO NOT DEPLOY", "NOTHING TO REVIEW"]},
        "findings": {"type": "array", "items": {"$ref": "#/$defs/review_finding"}},
        "recommendations": {"type": "array", "items": {"$ref": "#/$defs/review_finding"}},
        "files": {"type": "array", "items": {"$ref": "#/$defs/review_file"}},
        "target": {"type": ["string", "null"]},
        "no_target": _TEXT,
        "applied": _TEXTS,
        "not_recognised": _TEXTS,
        "exit_code": {"enum": [0, 1, 2]},
        "unused_acceptances": {"type": "array", "items": {"$ref": "#/$defs/review_unused"}},
        "assumptions": _TEXTS,
    },
}
_DEMO = {
    "description": "What `safemig demo` did.",
    "properties": {"exit_code": {"enum": [0, 1, 2, 3, 4, 5]}, "lines": _TEXTS},
}
_BY_HAND: dict[str, dict[str, Any]] = {
    "record": _RECORD,
    "review_finding": _FINDING,
    "review_statement": _STATEMENT,
    "review_file": _REVIEWED_FILE,
    "review_unused": _UNUSED,
}


def output_schema(*, closed: bool = False) -> dict[str, Any]:
    """Return the schema (draft 2020-12). A reader must take fields that it does not know, unless `closed`."""
    made = _Maker()
    kinds = [made.result(kind) for kind in result_types()]
    definitions = {**made.definitions, **{name: _whole(each) for name, each in _BY_HAND.items()}}
    definitions["review_printed"] = _top("review", _REVIEW)
    definitions["demo"] = _top("demo", _DEMO)
    definitions["error"] = _top("error", _ERROR)
    kinds += [{"$ref": "#/$defs/review_printed"}, {"$ref": "#/$defs/demo"}]
    definitions["any_result"] = {"anyOf": kinds}
    definitions = _without_unused(definitions) | {"error": definitions["error"]}
    if closed:
        for each in definitions.values():
            if "properties" in each:
                each["additionalProperties"] = False
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": f"safemig --format json ({JSON_FORMAT})",
        "description": "One object: the result of a verb, or the error that ended it. `kind` says which.",
        "anyOf": [{"$ref": "#/$defs/error"}, {"$ref": "#/$defs/any_result"}],
        "$defs": dict(sorted(definitions.items())),
    }


def result_types() -> list[type[Result]]:
    """Return every kind of result, once each: a dataclass with slots is a second class of the same name."""
    named = {(kind.__module__, kind.__name__): kind for kind in _below(Result)}
    return sorted(named.values(), key=lambda kind: (kind.kind, kind.__name__))


def _below(kind: type[Result]) -> Iterator[type[Result]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith("safemig."):
            yield from _below(each)
            if dataclasses.is_dataclass(each):
                yield each


def _whole(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {**definition, "type": "object", "required": list(definition["properties"])}


def _without_unused(definitions: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    text = json.dumps(definitions)
    return {name: each for name, each in definitions.items() if f'"#/$defs/{name}"' in text or name == "any_result"}


def _top(kind: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    own = _whole(definition)
    properties = {"format": {"const": JSON_FORMAT}, "kind": {"const": kind}, **own["properties"]}
    required = ["format", "kind", *own["required"]]
    return {**own, "properties": {**properties, "record": {"$ref": "#/$defs/record"}}, "required": required}


@functools.cache
def _names() -> dict[str, Any]:
    """Return what the annotations of results may name, also what only a type checker imports."""
    modules = (load_facts, workload_facts, fleet_facts, review_model, schema_facts, model, difference, results)
    return {name: value for module in modules for name, value in vars(module).items() if not name.startswith("__")}


class _Maker:
    """The definitions of the types that were met so far."""

    def __init__(self) -> None:
        self.definitions: dict[str, dict[str, Any]] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """Return the schema of values of a type, as `in_data` turns them into JSON."""
        if kind in _PLAIN:
            return _PLAIN[kind]
        origin, given = typing.get_origin(kind), typing.get_args(kind)
        if origin is Literal:
            return {"enum": list(given)}
        if origin in (typing.Union, types.UnionType):
            return {"anyOf": [self.of(each) for each in given]}
        if origin is not None and isinstance(origin, type):
            return self._container(origin, given)
        if isinstance(kind, type) and issubclass(kind, PurePath):
            return _TEXT
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return {"enum": [each.value for each in kind]}
        if isinstance(kind, type) and (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields")):
            return self._class(kind)
        return {}  # anything

    def result(self, kind: type[Result]) -> dict[str, Any]:
        """Return the schema of a result as a document of its own; within another one it has no format and kind."""
        self._class(kind)
        name = f"{kind.__name__}Document"
        self.definitions[name] = _top(kind.kind, self.definitions[kind.__name__])
        return {"$ref": f"#/$defs/{name}"}

    def _container(self, origin: type, given: tuple[Any, ...]) -> dict[str, Any]:
        if issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(given[1])}
        if origin is tuple and Ellipsis not in given:
            count = len(given)
            return {
                "type": "array",
                "prefixItems": [self.of(each) for each in given],
                "minItems": count,
                "maxItems": count,
            }
        return {"type": "array", "items": self.of(given[0])}

    def _class(self, kind: type) -> dict[str, Any]:
        name = kind.__name__
        if name not in self.definitions:
            self.definitions[name] = {}  # a type may hold values of itself
            hints = typing.get_type_hints(kind, localns=_names())
            if dataclasses.is_dataclass(kind):
                names = [each.name for each in dataclasses.fields(kind) if not each.name.startswith("_")]
            else:
                names = list(kind._fields)  # type: ignore[attr-defined]
            properties = {each.rstrip("_"): self.of(hints[each]) for each in names}
            if dataclasses.is_dataclass(kind):
                for each in derived_names(kind, names):
                    getter = inspect.getattr_static(kind, each).fget
                    properties[each] = self.of(typing.get_type_hints(getter, localns=_names())["return"])
            description = (kind.__doc__ or "").strip().splitlines()[0]
            self.definitions[name] = _whole({"description": description, "properties": properties})
        return {"$ref": f"#/$defs/{name}"}
