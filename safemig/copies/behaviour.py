"""What a database does, tried out: rows written and read, functions called, as the roles that do so.

The same trials are repeated after each step of a change. What worked before a step and not after it, and works again
later, is a gap: between the two commits an application would have failed. Every trial is rolled back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from safemig.copies.drawn_rows import Rows
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import words_of
from safemig.results import Behaviour, Failure, Gap, Tried
from safemig.schema import Schema
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_literal, quote_name

ROLES = 6  # of those that a relation is tried as
ROWS = 20  # read of each
_PATIENCE = (("statement_timeout", "5s"), ("lock_timeout", "1s"), ("row_security", "on"))
WHICH_COLUMNS_WE_READ = """
SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
  AND has_column_privilege(attrelid, attnum, 'SELECT') ORDER BY attnum
"""
WHICH_CAN_BE_CALLED = """
SELECT p.oid::regprocedure::text, p.prokind = 'p', p.prosrc, l.lanname,
       ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY a (t, at)
             WHERE a.at <= p.pronargs - p.pronargdefaults ORDER BY a.at)
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.oid = to_regprocedure(%s) AND p.prokind IN ('f', 'p')
  AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
"""
MAY_NOT = "(42501)"  # what a role may not do is no trial
_OVER_TABLES = frozenset({"publication", "publication table", "publication schema", "statistics"})
# unique, foreign key, check, exclusion; a value of another form. NOT NULL is none of them: the statement gives no value.
_VALUES_REFUSED = frozenset({"23505", "23503", "23514", "23P01", "22P02", "22001", "22003", "22007", "22008"})
# A call is rolled back on the copy; what it does elsewhere is not.
_REACHES_OUT = re.compile(r"dblink|\bhttp|\bnet\.|\bcopy\b|lo_|pg_(read|write)|file_fdw|execute", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Trial:
    """One statement to try, as `role` (empty: the role that deploys)."""

    what: str
    object: str
    role: str
    sql: str
    is_new: bool = False  # what it is about is not there before the change


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial; `rows` is how many it read, None where it reads none."""

    works: bool
    words: str
    rows: int | None = None
    refuses_values: bool = False  # the statement is right; a constraint does not take these values


def concerned(base: Schema, target: Schema, names: Iterable[str]) -> list[Id]:
    """Return the tables, views and functions that a change of `names` (as SQL) is about, or that stand on these."""
    said = set(names)
    found: dict[Id, None] = {}
    for schema in (base, target):
        queue = [item for item in schema.facts if item.dotted in said or _whole(item) in said]
        # What stands outside, such as a publication, may decide what can be written to the tables that it names.
        queue += [needed for item in queue if item.kind in _OVER_TABLES for needed in schema.graph.needs.get(item, ())]
        seen = set(queue)
        while queue:
            item = queue.pop()
            whole = item if item.kind in ("routine", "sequence") else schema.relation(item.schema, item.name)
            if whole is not None and whole.kind in ("table", "view", "materialized view", "routine", "sequence"):
                found[whole] = None
            domain = (Id("domain", item.schema, item.name),) if item.kind == "domain constraint" else ()
            for dependent in (*domain, *schema.graph.needed_by.get(item, ())):
                if dependent not in seen and dependent.kind not in ("schema", "sequence"):
                    seen.add(dependent)
                    queue.append(dependent)
    return sorted(found)


def _whole(item: Id) -> str:
    return quote_name(item.schema, item.name) if item.kind != "routine" else item.dotted


def trials(rows: Rows, objects: Sequence[Id], schema: Schema, *, is_new: bool = False) -> list[Trial]:
    """Return what can be tried of `objects` as they are now: with values drawn from the rows of the copy."""
    found: list[Trial] = []
    for item in objects:
        if not reaches_out(item, schema):
            found += _trials_of(rows, item, schema, is_new)
    return found


def reaches_out(item: Id, schema: Schema) -> bool:
    """Tell whether an object is a foreign table: what is read or written there is on another server."""
    return item.kind == "table" and item in schema.facts and schema.facts[item].relkind == "f"


def _trials_of(rows: Rows, item: Id, schema: Schema, is_new: bool) -> Iterator[Trial]:
    name = item.dotted
    if item.kind == "routine":
        yield from _calls(rows, item, is_new)
        return
    if item.kind == "sequence":
        yield Trial(f"next number of {name}", name, "", f"SELECT nextval({quote_literal(name).strip()})", is_new)
        return
    writes = [("insert into", rows.insert(name)), ("update", rows.update(name))] if item.kind == "table" else []
    for role in ("", *_roles_of(item, schema)):
        if read := _read(rows.copy, name, role):
            yield Trial(f"read {item.kind} {name}", name, role, read, is_new)
        for verb, text in writes:
            if text:
                yield Trial(f"{verb} {name}", name, role, text, is_new)


def _roles_of(item: Id, schema: Schema) -> list[str]:
    """Return the roles that a relation's policies name, then those that may use it."""
    named = [
        role
        for each in schema.children.get(item)
        if each.kind == "policy"
        for role in schema.facts[each].roles
        if role and role.lower() != "public"
    ]
    granted = sorted({role for role, _, _ in schema.grants.get(item, ()) if role and not role.startswith("\x00")})
    return [role for role in dict.fromkeys([*named, *granted]) if role != schema.current_user][:ROLES]


def _read(copy: Connection, name: str, role: str) -> str | None:
    try:
        with copy.transaction(force_rollback=True):
            if role:
                copy.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            columns = [column for (column,) in copy.execute(WHICH_COLUMNS_WE_READ, (name,)).fetchall()]
    except psycopg.Error:
        return None
    listed = ", ".join(map(quote_identifier, columns))
    return f"SELECT {listed} FROM {name} LIMIT {ROWS}" if columns else None  # noqa: S608


def _calls(rows: Rows, item: Id, is_new: bool) -> Iterator[Trial]:
    row = rows.copy.execute(WHICH_CAN_BE_CALLED, (item.dotted,)).fetchone()
    if row is None or row[3] not in ("sql", "plpgsql") or _REACHES_OUT.search(row[2] or ""):
        return
    arguments = [rows.value_of_type(type_name) for type_name in row[4]]
    if None in arguments:
        return
    name = quote_name(item.schema, item.name)
    given = ", ".join(filter(None, arguments))
    text = f"CALL {name}({given})" if row[1] else f"SELECT * FROM {name}({given}) LIMIT {ROWS}"  # noqa: S608
    yield Trial(f"call {item.dotted}", item.dotted, "", text, is_new)


def attempt(copy: Connection, trial: Trial) -> Outcome:
    """Try one statement and roll it back."""
    try:
        with copy.transaction(force_rollback=True):
            for setting, value in _PATIENCE:
                copy.execute(sql.SQL("SET LOCAL {} = {}").format(sql.SQL(setting), sql.Literal(value)))
            if trial.role:
                copy.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(trial.role)))
            cursor = copy.execute(trial.sql.encode())
            rows = len(cursor.fetchall()) if cursor.description else None
    except psycopg.Error as error:
        return Outcome(False, _words(error), refuses_values=error.sqlstate in _VALUES_REFUSED)
    return Outcome(True, "works" if rows is None else f"works, {rows} row{'' if rows == 1 else 's'}", rows)


def attempt_again(rows: Rows, trial: Trial) -> Outcome:
    """Try a statement; where a constraint refuses its values, which it may not have known, with others."""
    outcome = attempt(rows.copy, trial)
    if not outcome.refuses_values or not trial.sql.startswith("INSERT"):
        return outcome
    other = rows.insert(trial.object)
    found = outcome if other is None else attempt(rows.copy, replace(trial, sql=other))
    return replace(found, words="works, with other values") if found.works else outcome


def _words(error: psycopg.Error) -> str:
    """Return what the server said, without the values that it may have named."""
    if (error.sqlstate or "").startswith("22"):
        return f"a value does not fit ({error.sqlstate})"
    return f"{error.diag.message_primary} ({error.sqlstate})" if error.diag.message_primary else words_of(error)


def is_worse(now: Outcome, before: Outcome) -> bool:
    """Tell whether what worked fails, or what was read is not seen any more."""
    return before.works and (not now.works or (bool(before.rows) and now.rows == 0))


def judge(tried: Mapping[Trial, Sequence[Outcome]], files: Sequence[str]) -> Behaviour:
    """Return the table of what was tried before the first of `files` and after each, and what it shows."""
    gaps: list[Gap] = []
    broken: list[Failure] = []
    table: list[Tried] = []
    for trial, outcomes in tried.items():
        before, *after = outcomes
        words = tuple(in_words(each, before) for each in outcomes)
        table.append(Tried(trial.what, trial.role, words if not trial.is_new else ("", *words[1:])))
        worse = [is_worse(each, before) for each in after]
        if trial.is_new:
            may_not = bool(trial.role) and after[-1].words.endswith(MAY_NOT)
            if not (after[-1].works or after[-1].refuses_values or may_not):
                broken.append(Failure(trial.what, trial.role, trial.object, len(files), after[-1].words, is_new=True))
            continue
        for at, end in runs(worse):
            if end < len(worse):
                gaps.append(Gap(trial.what, trial.role, at + 1, end + 1, words[at + 1]))
                continue
            final = next((place for place in range(at, end) if not after[place].refuses_values), None)
            if final is not None:
                broken.append(Failure(trial.what, trial.role, trial.object, final + 1, words[final + 1]))
    return Behaviour(tuple(files), tuple(table), tuple(gaps), tuple(broken))


def in_words(outcome: Outcome, before: Outcome) -> str:
    """Return an outcome in words, beside what it was before the change."""
    return "no row is seen" if outcome.works and is_worse(outcome, before) else outcome.words


def runs(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each run of True."""
    start = None
    for at, flag in enumerate([*flags, False]):
        if flag and start is None:
            start = at
        if not flag and start is not None:
            yield start, at
            start = None
