"""Event triggers: which of them a migration's statements fire, and which tables these write to, such as a log of DDL."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from safemig.postgres.connection import Connection
from safemig.results import Step

# Those that fire in an ordinary session. A login is no statement of a migration's.
FIRING = """
SELECT e.evtname, e.evtevent, coalesce(e.evttags, '{}'), p.prosrc, p.oid::int8
FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid
WHERE e.evtenabled IN ('O', 'A') AND e.evtevent <> 'login' ORDER BY e.evtname
"""
FUNCTION_SOURCES = """
SELECT p.proname, p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
WHERE l.lanname NOT IN ('c', 'internal') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
"""
# Statements on what all databases share, and on event triggers themselves, fire none (manual, chapter on event triggers).
_FIRE_NONE = ("DATABASE", "ROLE", "USER", "GROUP", "TABLESPACE", "EVENT TRIGGER", "SYSTEM", "SUBSCRIPTION")
_DDL = (
    "CREATE",
    "ALTER",
    "DROP",
    "COMMENT",
    "GRANT",
    "REVOKE",
    "SECURITY LABEL",
    "REINDEX",
    "REFRESH",
    "IMPORT",
    "SELECT INTO",
)
_WORD = re.compile(r"[a-z_][a-z0-9_$]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """An event trigger that fires, with all that its function says, and the functions that it names."""

    name: str
    event: str  # ddl_command_start, ddl_command_end, sql_drop, table_rewrite
    tags: tuple[str, ...]  # none: every statement that fires any
    words: frozenset[str]

    def fires_for(self, kind: str) -> bool:
        """Tell whether a statement of that kind, as psql's command tag names it, may fire it. Pure."""
        kind = kind.upper()
        if not kind.startswith(_DDL) or any(re.match(rf"\w+ {word}\b", kind) for word in _FIRE_NONE):
            return False
        # ALTER TABLE may drop and rewrite; and DROP OWNED, or any DROP with what hangs on it.
        if self.event in ("sql_drop", "table_rewrite") and not kind.startswith(("DROP", "ALTER", "CREATE OR REPLACE")):
            return False
        return not self.tags or any(kind == tag or kind.startswith(f"{tag} ") for tag in self.tags)


def read_event_triggers(connection: Connection) -> tuple[EventTrigger, ...]:
    """Return the event triggers of a database that fire in an ordinary session. Reads only."""
    found = connection.execute(FIRING).fetchall()
    if not found:
        return ()
    sources: dict[str, set[str]] = {}
    for name, source in connection.execute(FUNCTION_SOURCES).fetchall():
        sources.setdefault(name, set()).update(_words(source))
    return tuple(
        EventTrigger(name, event, tuple(tags), _reached(_words(source), sources))
        for name, event, tags, source, _ in found
    )


def written_by(triggers: Sequence[EventTrigger], steps: Sequence[Step], tables: Collection[str]) -> Mapping[str, str]:
    """Return the tables, of those given as `schema.name`, that event triggers write to for these steps, and which do. Pure.

    A table is one of theirs where a function that one runs, or one that this names, says its name.
    """
    firing = [each for each in triggers if any(each.fires_for(step.kind) for step in steps)]
    found = {}
    for table in tables:
        name = table.rpartition(".")[2].strip('"').lower()
        if by := [each for each in firing if name in each.words]:
            found[table] = ", ".join(f"event trigger {each.name} ({each.event})" for each in by)
    return found


def _words(source: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(source)}


def _reached(words: set[str], sources: Mapping[str, set[str]]) -> frozenset[str]:
    seen: set[str] = set()
    left = set(words)
    while left:
        word = left.pop()
        if word in seen:
            continue
        seen.add(word)
        left |= sources.get(word, set()) - seen
    return frozenset(seen)
