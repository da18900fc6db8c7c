"""Compare two `pg_dump --schema-only` texts entry by entry: pg_dump is the judge of what the engine says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

_HEADER = re.compile(
    r"^--\n-- (?:Data for )?Name: (?P<name>.*?); Type: (?P<type>[A-Z ]+?); Schema: (?P<schema>.*?); Owner: (?P<owner>.*?)"
    r"(?:; Tablespace: (?P<tablespace>.*?))?\n--\n",
    re.MULTILINE | re.DOTALL,
)
_STATE = re.compile(r"^SET (default_tablespace|default_table_access_method|default_with_oids) = (.*);$", re.MULTILINE)
_NOISE = re.compile(
    r"^(?:\\(?:un)?restrict .*|-- PostgreSQL database dump(?: complete)?|-- Dumped (?:from|by) .*|--)$", re.MULTILINE
)
_USUAL = {"default_tablespace": ("''",), "default_table_access_method": ("heap",), "default_with_oids": ("false",)}


# Tells of an entry of a dump (type, schema, name, text) whether it is left out of a comparison.
LeftOut = Callable[[str, str, str, str], bool]


def normalise(dump: str, left_out: LeftOut | None = None) -> tuple[str, ...]:
    """Return the entries of a plain schema-only dump, sorted; order, versions, settings and blank lines removed.

    An entry is headed by what it is, such as `TABLE app.users`. Privileges are entries like any other. A setting
    that a table is created under (tablespace, access method) stays with it.
    """
    dump = dump.replace("\r\n", "\n")
    headers = list(_HEADER.finditer(dump))
    state: dict[str, str] = {}
    entries = []
    for position, header in enumerate(headers):
        end = headers[position + 1].start() if position + 1 < len(headers) else len(dump)
        body = dump[header.end() : end]
        for name, value in _STATE.findall(body):
            state[name] = value
        body = _NOISE.sub("", _STATE.sub("", body)) if header["type"] not in ("FUNCTION", "PROCEDURE") else _trim(body)
        lines = [line.rstrip() for line in body.strip().split("\n")]
        if header["type"] not in ("FUNCTION", "PROCEDURE"):
            lines = [line for line in lines if line]
        under = [
            f"{name} = {value}"
            for name, value in sorted(state.items())
            if header["type"] in ("TABLE", "INDEX", "CONSTRAINT", "MATERIALIZED VIEW")
            and value not in _USUAL[name]
            and (name == "default_tablespace" or header["type"] in ("TABLE", "MATERIALIZED VIEW"))
        ]
        place = "" if header["schema"] == "-" else f"{header['schema']}."
        title = f"-- {header['type']} {place}{header['name']}"
        if lines == ["-- *not* creating schema, since initdb creates it"]:
            continue
        if header["type"] in ("ACL", "DEFAULT ACL"):
            lines.sort()  # in the order in which they were granted, which means nothing
        if left_out and left_out(header["type"], header["schema"], header["name"], "\n".join(lines)):
            continue
        entries.append("\n".join([title, *under, *lines]))
    return tuple(sorted(entries))


def _trim(body: str) -> str:
    """Take the noise off the ends of a routine, never out of its body."""
    body = _STATE.sub("", body) if body.lstrip("\n").startswith("SET ") else body
    return re.sub(r"\n--\n-- PostgreSQL database dump complete\n--\n.*\Z", "", body, flags=re.DOTALL)


def differences(ours: str, theirs: str, left_out: LeftOut | None = None) -> tuple[str, ...]:
    """Return how two dumps differ, an entry a line in words; empty when they are equal but for the order of entries."""
    one, other = Counter(normalise(ours, left_out)), Counter(normalise(theirs, left_out))
    only_ours, only_theirs = _by_title(one - other), _by_title(other - one)
    found = []
    for title in sorted(set(only_ours) | set(only_theirs)):
        mine, yours = only_ours.get(title), only_theirs.get(title)
        if mine is None:
            found.append(f"missing: {title}\n{yours}")
        elif yours is None:
            found.append(f"too much: {title}\n{mine}")
        else:
            found.append(f"{_how(mine, yours)}: {title}\n{_line_changes(mine, yours)}")
    return tuple(found)


def _by_title(entries: Counter[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in sorted(entries.elements()):
        title, _, body = entry.partition("\n")
        key = title.removeprefix("-- ")
        found[key] = f"{found[key]}\n{body}" if key in found else body
    return found


def _how(mine: str, yours: str) -> str:
    def parts(text: str) -> list[str]:
        return sorted(line.strip().rstrip(",") for line in text.split("\n"))

    return "in another order" if parts(mine) == parts(yours) else "different"


def _line_changes(mine: str, yours: str) -> str:
    one, other = mine.split("\n"), yours.split("\n")
    gone = [f"  - {line}" for line in one if line not in other]
    fresh = [f"  + {line}" for line in other if line not in one]
    return "\n".join(gone + fresh) or "  (the same lines in another order)"
