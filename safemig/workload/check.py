"""The application's statements on a copy: before the migration, after it, and after its rollback.

What fails on the unchanged copy already is no finding. Nothing is run: see `trial`.
"""

from __future__ import annotations

# ruff: noqa: S608  (queries are put together from constants of this module and quoted names)
import re
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from pglast.parser import ParseError

from safemig.postgres.connection import Connection
from safemig.results import Step
from safemig.review.model import Acceptance
from safemig.sql.identifiers import quote_identifier
from safemig.sql.names import Name, of_dotted, of_range
from safemig.sql.reads import Reads, reads_of
from safemig.sql.tree import node, read_trees
from safemig.workload.bodies import broken_by_bodies
from safemig.workload.body_statements import BodyTrials, broken_since, not_analysed, try_bodies
from safemig.workload.causes import cause_of
from safemig.workload.statement import SeenWorkload, Statement
from safemig.workload.trial import WORKS, Hint, Session, Trial
from safemig.workload_facts import (
    RULE_OF,
    FindingKind,
    Moment,
    SeenWindow,
    StatementOutcome,
    WorkloadCheck,
    WorkloadFinding,
)

_OF_THE_PROJECT = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_TABLE = "CASE n.nspname WHEN 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END || quote_ident(c.relname)"
# What a statement's values must meet: its table, its name, its columns, in words what it demands.
WHICH_DEMANDS = f"""
SELECT {_TABLE}, k.conname::text,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)),
       CASE k.contype WHEN 'c' THEN 'CHECK' WHEN 'f' THEN 'FOREIGN KEY' WHEN 'u' THEN 'UNIQUE' WHEN 'p' THEN 'PRIMARY KEY'
                      ELSE 'EXCLUDE' END
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype IN ('c', 'f', 'u', 'p', 'x') AND {_OF_THE_PROJECT}
UNION ALL
SELECT {_TABLE}, a.attname::text, ARRAY[a.attname::text], 'NOT NULL'
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND a.attnotnull AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND {_OF_THE_PROJECT}
"""
WHICH_TABLE_COLUMNS = f"""
SELECT {_TABLE}, a.attname::text
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND {_OF_THE_PROJECT}
"""
# The labels of enums that columns have, with such a column.
WHICH_LABELS = f"""
SELECT {_TABLE}, a.attname::text, y.typname::text, e.enumlabel::text
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type y ON y.oid = a.atttypid JOIN pg_enum e ON e.enumtypid = y.oid
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND {_OF_THE_PROJECT}
"""
_SETS_NOT_NULL = re.compile(r'ALTER\s+(?:COLUMN\s+)?("(?:[^"]|"")+"|[\w$]+)\s+SET\s+NOT\s+NULL', re.IGNORECASE)
_MOST_OUTCOMES = 5000

Told = Callable[[int], None]


class WorkloadTrial:
    """The trials of one rehearsal, in this order: `before`, `after`, `after_rollback`, `result`. A context manager."""

    def __init__(self, url: str, seen: SeenWorkload, newer: SeenWorkload | None = None) -> None:
        self._url = url
        self._seen = seen
        self._statements = tuple(each for each in seen.statements if each.is_checked)
        texts = {each.text for each in seen.statements}
        # Of the new version, what the running one does not send already; its roles may be others than production's.
        new = (each for each in newer.statements if each.is_checked and each.text not in texts) if newer else ()
        self._newer = {each.id: each for each in new}
        self._has_newer = newer is not None
        self._stack = ExitStack()
        self._held: Session | None = None
        self._hints: Mapping[str, Hint] = {}
        self._before: dict[str, Trial] = {}
        self._newer_before: dict[str, Trial] = {}
        self._newer_after: dict[str, Trial] = {}
        self._missing_before: dict[str, tuple[str, ...]] = {}
        self._demands: set[tuple[str, str, str]] = set()
        self._columns_before: set[tuple[str, str]] = set()
        self._held_nulls: set[tuple[str, str]] = set()
        self._labels: set[tuple[str, str, str, str]] = set()
        self._found: list[tuple[Statement, FindingKind, Trial, Moment, tuple[str, ...]]] = []
        self._after: dict[str, Trial] = {}
        self._after_rollback: dict[str, Trial] = {}
        self._not_checked: list[str] = []
        self._bodies_before = BodyTrials({})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __len__(self) -> int:
        return len(self._statements) + len(self._newer)

    def __bool__(self) -> bool:
        return True

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections to the copy that stay open while it is migrated."""
        return (self._held.connection,) if self._held else ()

    @property
    def working(self) -> tuple[Statement, ...]:
        """The statements that work on the unchanged copy."""
        return tuple(each for each in self._statements if self._before.get(each.id, Trial("?")).works)

    def before(self, steps: Sequence[Step], told: Told = lambda _: None) -> None:
        """Try every statement on the unchanged copy, in a session that goes on holding them prepared."""
        held = self._held = self._stack.enter_context(Session(self._url))
        self._before = held.prepare(self._statements, told=told)
        self._hints = dict(held.hints)
        self._missing_before = held.without_value(self.working)
        self._demands = {(table, name, kind) for table, name, _, kind in held.ask(WHICH_DEMANDS)}
        self._columns_before = {(table, name) for table, name in held.ask(WHICH_TABLE_COLUMNS)}
        self._held_nulls = _columns_with_nulls(held, steps)
        self._labels = {(table, column, kind, label) for table, column, kind, label in held.ask(WHICH_LABELS)}
        with Session(self._url) as fresh:
            self._bodies_before = try_bodies(fresh, self.working)
        if words := not_analysed(self._bodies_before):
            self._not_checked.append(words)
        if self._newer:
            with Session(self._url) as fresh:
                self._newer_before = _try_new(fresh, self._newer.values(), told)

    def after(self, told: Told = lambda _: None) -> None:
        """Try on the migrated copy what worked before: again, and in the session that holds it prepared."""
        assert self._held is not None  # noqa: S101 - `before` comes first
        working = self.working
        with Session(self._url) as fresh:
            self._after = fresh.prepare(working, hints=self._hints, told=told)
            missing = fresh.without_value(working)
            demands = fresh.ask(WHICH_DEMANDS)
            labels = {tuple(row) for row in fresh.ask(WHICH_LABELS)}
            bodies = self._bodies(fresh, working)
            if self._newer:
                self._newer_after = _try_new(fresh, self._newer.values(), told)
        self._after |= {name: trial for name, trial in bodies.items() if self._after[name].works}
        self._note(working, self._after, missing, "migration")
        fine = [each for each in working if self._after[each.id].works]
        held = self._held.still_holds(fine)
        broken = {each.id for each, *_ in self._found}
        for each in fine:
            if not held[each.id].works and each.id not in broken:
                # Also 42804: a parameter has the type that it was prepared with, for as long as the session lives.
                self._found.append((each, "result-type", held[each.id], "migration", ()))
        self._look_at_values(fine, [row for row in demands if (row[0], row[1], row[3]) not in self._demands])
        self._look_at_labels(fine, labels)

    def after_rollback(self, told: Told = lambda _: None) -> None:
        """Try on the copy that was rolled back what worked before the migration: whether there is a way back."""
        with Session(self._url) as fresh:
            self._after_rollback = fresh.prepare(self.working, hints=self._hints, told=told)
            missing = fresh.without_value(self.working)
            bodies = self._bodies(fresh, self.working)
        self._after_rollback |= {name: trial for name, trial in bodies.items() if self._after_rollback[name].works}
        self._note(self.working, self._after_rollback, missing, "rollback")

    def _bodies(self, fresh: Session, statements: Sequence[Statement]) -> dict[str, Trial]:
        now = {(table, name) for table, name in fresh.ask(WHICH_TABLE_COLUMNS)}
        failing = broken_since(self._bodies_before, try_bodies(fresh, statements))
        return broken_by_bodies(fresh, statements, self._columns_before, now, failing)

    def result(self, steps: Sequence[Step], accept: Sequence[Acceptance] = ()) -> WorkloadCheck:
        """Return what was found, each finding with its cause among the `steps` that were run."""
        seen = self._seen
        hours, load = seen.hours, seen.total_ms
        findings = []
        for each, kind, trial, moment, missing in self._found:
            cause = cause_of(trial, reads_of(each.text), steps, missing)
            finding = WorkloadFinding(
                kind, trial.sqlstate, each.text, each.role, each.calls, cause.step, moment, each.id, RULE_OF[kind],
                cause.object or each.id, trial.message, round(each.calls / hours, 2) if hours else None,
                round(each.total_ms / load, 4) if load else None,
            )  # fmt: skip
            findings.append(replace(finding, accepted=reason_for(finding, accept)))
        findings.sort(key=lambda each: (each.after != "migration", not each.is_dangerous, -each.calls, each.id))
        working = self.working
        order, reasons = self._order()
        return WorkloadCheck(
            window=SeenWindow(seen.begin, seen.end, seen.calls, round(hours, 2)),
            statements=len(seen.statements),
            checked=len(working),
            skipped=self._skipped(),
            findings=tuple(findings),
            outcomes=tuple(self._outcomes(working)),
            checked_calls=sum(each.calls for each in working),
            order=order,
            order_reasons=reasons,
            not_checked=tuple(self._not_checked),
        )

    def _note(
        self, statements: Iterable[Statement], trials: Mapping[str, Trial], missing: Mapping[str, tuple[str, ...]],
        moment: Moment,
    ) -> None:  # fmt: skip
        for each in statements:
            trial = trials[each.id]
            lacking = missing.get(each.id, ())
            new = [name for name in lacking[1:] if name not in self._missing_before.get(each.id, ())]
            if not trial.works:
                self._found.append((each, "refused" if trial.sqlstate == "42501" else "breaks", trial, moment, ()))
            elif new:
                table = lacking[0]
                words = f"no value for {table}.{', '.join(new)}, which {_is(new)} NOT NULL without a default"
                self._found.append((each, "breaks", Trial("23502", words), moment, (table, *new)))

    def _look_at_values(
        self, statements: Sequence[Statement], demands: Sequence[tuple[str, str, list[str], str]]
    ) -> None:
        """Say what only values tell: whether they meet new constraints, and are still labels of an enum."""
        for table, name, columns, kind in demands:
            if not all((table, column) in self._columns_before for column in columns):
                continue
            writers = [each for each in statements if _writes(each, of_dotted(table), columns)]
            if not writers:
                continue
            said = f"{_counted(len(writers), 'statement')} ({sum(each.calls for each in writers):,} calls)"
            if kind == "NOT NULL" and (table, columns[0]) in self._held_nulls:
                self._not_checked.append(
                    f"whether {said} still write NULL to {table}.{columns[0]}, which is NOT NULL now: rows held NULL before"
                )
            else:
                self._not_checked.append(f"whether the values that {said} write meet {kind} {name} of {table}")

    def _look_at_labels(self, statements: Sequence[Statement], now: set[tuple[str, ...]]) -> None:
        still = {(table, column) for table, column, *_ in now}
        for table, column, kind, label in sorted(self._labels - now):
            name = of_dotted(table)
            users = [each for each in statements if reads_of(each.text).names_column(name, column)]
            if users and (table, column) in still:
                calls = sum(each.calls for each in users)
                self._not_checked.append(
                    f"whether {_counted(len(users), 'statement')} ({calls:,} calls) that use {table}.{column} send {label!r}, which "
                    f"{kind} no longer has"
                )

    def _skipped(self) -> dict[str, int]:
        reasons: Tally[str] = Tally(dict(self._seen.skipped))
        for each in self._statements:
            trial = self._before.get(each.id, WORKS)
            if trial.sqlstate == "no role":
                reasons[f"cannot act as {each.role} on the copy"] += 1
            elif not trial.works:
                reasons[f"fails before the migration too ({trial.sqlstate})"] += 1
        return dict(sorted(reasons.items()))

    def _outcomes(self, working: Sequence[Statement]) -> Iterable[StatementOutcome]:
        worst = {
            each.id: (kind, trial) for each, kind, trial, moment, _ in reversed(self._found) if moment == "migration"
        }
        back = {
            each.id: (kind, trial) for each, kind, trial, moment, _ in reversed(self._found) if moment == "rollback"
        }
        for each in sorted(working, key=lambda each: (-each.total_ms, each.id))[:_MOST_OUTCOMES]:
            yield StatementOutcome(
                each.id, each.text, each.role, each.calls, _words(worst.get(each.id)),
                _words(back.get(each.id)) if self._after_rollback else "not tried",
            )  # fmt: skip

    def _order(self) -> tuple[str, tuple[str, ...]]:
        """Return in which order schema and application can be deployed, and why."""
        if not self._has_newer:
            return "", ()
        old = sum(kind != "result-type" for _, kind, _, moment, _ in self._found if moment == "migration")
        before = [each for name, each in self._newer.items() if not self._newer_before[name].works]
        after = [each for name, each in self._newer.items() if not self._newer_after[name].works]
        reasons = (
            f"running application, after the migration: {_of(old, len(self.working))} fail",
            f"new application, before the migration: {_of(len(before), len(self._newer))} that only it sends fail",
            f"new application, after the migration: {_of(len(after), len(self._newer))} that only it sends fail",
        )
        if old:
            return ("neither" if before else "application first"), reasons
        return ("schema first" if before else "either"), reasons


def reason_for(finding: WorkloadFinding, acceptances: Sequence[Acceptance]) -> str | None:
    """Return the reason with which a finding was accepted, by its object or its statement's id; None where it was not."""
    return next(
        (
            each.reason
            for each in acceptances
            if each.rule == finding.rule and (each.is_about(finding.object) or each.is_about(finding.id))
        ),
        None,
    )


def _try_new(session: Session, statements: Iterable[Statement], told: Told) -> dict[str, Trial]:
    """Try the new version's statements; under our own role where production does not have theirs."""
    given = list(statements)
    found = session.prepare(given, told=told)
    unknown = [replace(each, role="") for each in given if found[each.id].sqlstate == "no role"]
    trials = found | session.prepare(unknown)
    roles = {each.id: each for each in unknown}
    missing = session.without_value([roles.get(each.id, each) for each in given if trials[each.id].works])
    return trials | {name: Trial("23502", f"no value for {words[0]}.{words[1]}") for name, words in missing.items()}


def _columns_with_nulls(session: Session, steps: Sequence[Step]) -> set[tuple[str, str]]:
    """Return the columns that a step sets NOT NULL and in which rows hold NULL now."""
    found = set()
    columns = session.ask(WHICH_TABLE_COLUMNS)
    for step in steps:
        wanted = {match[1].strip('"').replace('""', '"') for match in _SETS_NOT_NULL.finditer(step.sql)}
        altered = _altered(step.sql) if wanted else ()
        for relation in altered:
            for table, column in columns:
                if column in wanted and Reads((relation,)).names_table(of_dotted(table)):
                    name = table if of_dotted(table).schema else f"public.{table}"
                    query = f"SELECT EXISTS (SELECT FROM {name} WHERE {quote_identifier(column)} IS NULL)"
                    if session.ask(query)[0][0]:
                        found.add((table, column))
    return found


def _altered(text: str) -> Iterable[Name]:
    """Yield the tables that a text's ALTER TABLE statements are about."""
    with suppress(ParseError, RecursionError):
        for tree in read_trees(text):
            kind, body = node(tree["stmt"])
            if kind == "AlterTableStmt":
                yield of_range(body.get("relation"))


def _writes(each: Statement, table: Name, columns: Sequence[str]) -> bool:
    reads = reads_of(each.text)
    if reads.target is None or not Reads((reads.target,)).names_table(table):
        return False
    return reads.written is None or any(column in reads.written for column in columns)


def _words(found: tuple[FindingKind, Trial] | None) -> str:
    if found is None:
        return "works"
    kind, trial = found
    return f"{'result type changes' if kind == 'result-type' else kind} ({trial.sqlstate}): {trial.message}"


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _of(count: int, all_: int) -> str:
    return f"{count or 'none'} of {_counted(all_, 'statement')}"


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
