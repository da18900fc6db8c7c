"""Names of objects as the review compares them: schema and name, `public` being the schema that is not written."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from safemig.sql.identifiers import quote_name
from safemig.sql.tree import Tree, node, strings

TEMPORARY = "pg_temp"


class Name(NamedTuple):
    """An object's name; `schema` is empty where the text does not write one."""

    schema: str
    name: str

    def __str__(self) -> str:
        """The dotted name without quotes, as findings and acceptances spell it: `users`, `app.users`."""
        return f"{self.schema}.{self.name}" if self.schema and self.schema != "public" else self.name

    @property
    def sql(self) -> str:
        """The name as SQL, quoted where needed, with its schema only where the text wrote it."""
        return quote_name(self.schema, self.name)


NO_NAME = Name("", "")


def of_parts(parts: list[str]) -> Name:
    """Return a name from its dotted parts (a database's name in front is dropped)."""
    if len(parts) > 1:
        return Name(parts[-2], parts[-1])
    return Name("", parts[0] if parts else "")


_PART = re.compile(r'"(?:[^"]|"")*"|[^.]+')


def of_dotted(text: str) -> Name:
    """Return the name that `users`, `app.users` or `app."strange.name"` spells: quotes only where a part needs them."""
    if '"' not in text:
        return of_parts(text.split("."))
    return of_parts([part.strip('"').replace('""', '"') for part in _PART.findall(text)])


_LAST = re.compile(r'(?:"(?:[^"]|"")*"|[^\s".]+|\.)+\Z')


def of_last(words: str) -> Name:
    """Return the name at the end of a sentence: `foreign key k of app."Order lines"`."""
    found = _LAST.search(words)
    return of_dotted(found[0] if found else words)


def of_range(relation: Tree | None) -> Name:
    """Return a RangeVar's name."""
    if not relation:
        return NO_NAME
    return _name(relation.get("schemaname", ""), relation.get("relname", ""))


@lru_cache(maxsize=4096)
def _name(schema: str, name: str) -> Name:
    return Name(schema, name)


def of_strings(items: list[Tree] | None) -> Name:
    """Return the name spelled by a list of String nodes."""
    return of_parts(strings(items))


def of_object(wrapped: Tree) -> Name:
    """Return the name of an object as DROP, COMMENT and their like carry it."""
    kind, body = node(wrapped)
    if kind == "List":
        return of_strings(body.get("items"))
    if kind == "ObjectWithArgs":
        return of_strings(body.get("objname"))
    if kind == "TypeName":
        return of_strings(body.get("names"))
    if kind == "RangeVar":
        return of_range(body)
    if kind == "String":
        return Name("", body.get("sval", ""))
    return Name("", "")
