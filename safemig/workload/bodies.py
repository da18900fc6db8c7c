"""Functions and triggers that a statement runs, and that still name what a migration took away.

Preparing a statement does not look into the body of a PL/pgSQL function: it fails when it runs. So bodies are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from safemig.sql.names import Name, of_dotted
from safemig.sql.plpgsql import UnreadableBody, read_body
from safemig.sql.reads import Reads, reads_of
from safemig.workload.statement import Statement
from safemig.workload.trial import Session, Trial

# The project's functions whose bodies are text: what depends on nothing that PostgreSQL would know of.
WHICH_BODIES = """
SELECT p.oid::int8, p.proname::text, l.lanname::text, p.prosrc, pg_get_functiondef(p.oid)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE l.lanname IN ('plpgsql', 'sql') AND p.prokind IN ('f', 'p') AND coalesce(p.prosrc, '') <> ''
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
"""
# The bits of tgtype: 4 INSERT, 8 DELETE, 16 UPDATE.
WHICH_TRIGGERS = """
SELECT CASE n.nspname WHEN 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END || quote_ident(c.relname), t.tgfoid::int8,
       t.tgtype::int, t.tgname::text,
       ARRAY(SELECT a.attname::text FROM unnest(t.tgattr::int2[]) AS k (attnum)
             JOIN pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum = k.attnum)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
"""
_EVENTS = {"INSERT": 4, "DELETE": 8, "UPDATE": 16}
_IS_STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|MERGE|TABLE|VALUES)\b", re.IGNORECASE)
Columns = set[tuple[str, str]]  # (table as `check` names it, column)


@dataclass(frozen=True, slots=True)
class _Body:
    name: str
    reads: tuple[Reads, ...]


def broken_by_bodies(
    session: Session,
    statements: Iterable[Statement],
    before: Columns,
    after: Columns,
    failing: Mapping[int, Trial],
) -> dict[str, Trial]:
    """Return the statements that run a function or fire a trigger whose body fails now.

    It names a column or table that is gone, or it is among `failing`, by oid: PostgreSQL could not analyse it.
    """
    gone = _gone(before, after)
    if not gone and not failing:
        return {}
    bodies = {
        oid: _Body(name, _reads(language, source, definition))
        for oid, name, language, source, definition in session.ask(WHICH_BODIES)
    }
    why = _why(bodies, gone, {oid: trial.message for oid, trial in failing.items() if oid in bodies})
    if not why:
        return {}
    states = {failing[oid].message: failing[oid].sqlstate for oid in failing}
    by_name = {bodies[oid].name: words for oid, words in why.items()}
    triggers = [
        (of_dotted(table), kind, set(columns), f"trigger {name}: {why[oid]}")
        for table, oid, kind, name, columns in session.ask(WHICH_TRIGGERS)
        if oid in why
    ]
    found: dict[str, Trial] = {}
    for each in statements:
        reads = reads_of(each.text)
        words = next((by_name[name] for name in sorted(reads.functions) if name in by_name), "")
        words = words or next((said for *acts, said in triggers if fires(each, reads, *acts)), "")
        if words:
            known = next((state for message, state in states.items() if message in words), "")
            found[each.id] = Trial(known or ("42703" if "column" in words else "42P01"), words)
    return found


def _gone(before: Columns, after: Columns) -> Mapping[tuple[Name, str], str]:
    """Return what was there and is no more, in words; a table of that name in another schema may still have it."""
    tables = {of_dotted(table).name for table, _ in after}
    columns = {(of_dotted(table).name, column) for table, column in after}
    return {
        (name, column): f'column "{table}.{column}"' if name.name in tables else f'relation "{table}"'
        for table, column in sorted(before - after)
        if (name := of_dotted(table)) and (name.name, column) not in columns
    }


def _reads(language: str, source: str, definition: str) -> tuple[Reads, ...]:
    if language == "sql":
        return (reads_of(source),)
    try:
        texts = [each.text for each in read_body(definition) if each.form in ("statement", "expression")]
    except UnreadableBody:
        return ()
    return tuple(reads_of(text) if _IS_STATEMENT.match(text) else reads_of(f"SELECT {text}") for text in texts)


def _why(
    bodies: Mapping[int, _Body], gone: Mapping[tuple[Name, str], str], failing: Mapping[int, str]
) -> dict[int, str]:
    """Return the functions whose bodies name what is gone, or call one that does, with what in words."""
    why: dict[int, str] = dict(failing)
    for oid, body in bodies.items():
        for (table, column), words in gone.items():
            is_table = words.startswith("relation")
            if any(each.names_table(table) if is_table else each.names_column(table, column) for each in body.reads):
                why[oid] = f"function {body.name} names {words}, which is gone"  # says more than an analysis does
                break
    while True:
        names = {bodies[oid].name for oid in why}
        more = {
            oid: f"function {body.name} calls {called}: {next(why[each] for each in why if bodies[each].name == called)}"
            for oid, body in bodies.items()
            if oid not in why and (called := next((name for each in body.reads for name in each.functions & names), ""))
        }
        if not more:
            return why
        why |= more


def fires(each: Statement, reads: Reads, table: Name, kind: int, columns: set[str]) -> bool:
    """Tell whether a statement fires a trigger of the table that acts on the events of `kind` (tgtype), on these columns only."""
    if reads.target is None or not Reads((reads.target,)).names_table(table):
        return False
    bit = _EVENTS.get(each.kind, 0)
    if each.kind == "UPDATE" and columns and reads.written is not None and not columns & reads.written:
        return False
    return bool(kind & bit)
