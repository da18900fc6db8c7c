"""One schema's facts under another schema's name, so that members that are schemas can be compared. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeVar

from safemig.schema import Schema
from safemig.schema.model import Id

T = TypeVar("T")
PLACEHOLDER = "\x00member"


def cohort_fingerprint(schema: Schema, name: str = "") -> str:
    """Return the fingerprint of what is equal in equal members: of a member that is the schema `name`, without that name."""
    if not name:
        return schema.fingerprint
    return hashlib.sha256(renamed(schema, name, PLACEHOLDER).fingerprint.encode()).hexdigest()


def renamed(value: T, old: str, new: str) -> T:
    """Return facts, steps or a whole `Schema` in which the schema `old` is called `new`."""
    if old == new:
        return value
    plain, quoted = re.escape(old), re.escape('"' + old.replace('"', '""') + '"')
    pattern = re.compile(rf"(?<![\w$\"]){plain}(?![\w$\"])|{quoted}")
    as_new = new if re.fullmatch(r"[a-z_][a-z0-9_$]*", new) else '"' + new.replace('"', '""') + '"'

    def text(found: str) -> str:
        if old not in found:
            return found
        return new if found == old else pattern.sub(lambda _: as_new, found)

    made: T = _mapped(value, text)
    return made


def _mapped(value: Any, text: Callable[[str], str]) -> Any:
    if isinstance(value, Enum | PurePath):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Schema):
        return _schema(value, text)
    if isinstance(value, tuple):
        parts = [_mapped(each, text) for each in value]
        return type(value)._make(parts) if hasattr(value, "_make") else tuple(parts)
    if isinstance(value, list):
        return [_mapped(each, text) for each in value]
    if isinstance(value, frozenset):
        return frozenset(_mapped(each, text) for each in value)
    if isinstance(value, Mapping):
        return {_mapped(key, text): _mapped(each, text) for key, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changes = {each.name: _mapped(getattr(value, each.name), text) for each in dataclasses.fields(value)}
        return dataclasses.replace(value, **changes)
    return value


def _schema(schema: Schema, text: Callable[[str], str]) -> Schema:
    rows = tuple(schema.resolve()) if schema.resolve is not None else ()
    fields = {
        each.name: _mapped(getattr(schema, each.name), text)
        for each in dataclasses.fields(schema)
        if each.name not in ("server_version_num", "current_user", "with_ownership", "resolve")
    }
    return dataclasses.replace(schema, **fields, resolve=Rows(_mapped(rows, text)))


@dataclasses.dataclass(frozen=True, slots=True)
class Rows:
    """Who needs whom, at hand: what `Schema.resolve` is where the schema travels to another process."""

    rows: tuple[tuple[Id, Id, str], ...]

    def __call__(self) -> Iterator[tuple[Id, Id, str]]:
        return iter(self.rows)


def portable(schema: Schema) -> Schema:
    """Return the schema so that it can be sent to another process."""
    if isinstance(schema.resolve, Rows):
        return schema
    return dataclasses.replace(schema, resolve=Rows(tuple(schema.resolve()) if schema.resolve is not None else ()))


def only(schema: Schema, name: str) -> Schema:
    """Return of several schemas that were read together the one called `name`, as if it had been read by itself."""

    def mine(item: Id) -> bool:
        return item.schema == name or (item.name == name if item.kind == "schema" else not item.schema)

    return dataclasses.replace(
        schema,
        facts={item: fact for item, fact in schema.facts.items() if mine(item)},
        comments={item: each for item, each in schema.comments.items() if mine(item)},
        grants={item: each for item, each in schema.grants.items() if mine(item)},
        labels={key: each for key, each in schema.labels.items() if mine(key[0])},
        owners={item: each for item, each in schema.owners.items() if mine(item)},
        column_order={item: each for item, each in schema.column_order.items() if mine(item)},
        unseen={item: each for item, each in schema.unseen.items() if mine(item)},
        resolve=None,
    )
