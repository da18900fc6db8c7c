"""The plans of the application's statements on a rehearsal's copy, before the migration and after it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg

from safemig.errors import RehearsalError
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import words_of
from safemig.results import Step
from safemig.workload.causes import cause_of_plan
from safemig.workload.plan_times import draw_values, time_statements
from safemig.workload.planner_facts import read_planner_facts
from safemig.workload.plans import PlanChange, Plans, compare_plans, is_dearer, read_plans
from safemig.workload.pretended_sizes import Pretence, as_large_as_production, pretend
from safemig.workload.statement import SeenWorkload, Statement
from safemig.workload_facts import RULE_OF, ChangedPlan, PlansCheck, WorkloadFinding

_INDEX = re.compile(r" using ([^ ,)]+)")
# What a statement must take longer to be told as slower: twice as long, and by more than noise.
SLOWER_TIMES = 2.0
SLOWER_MS = 5.0


@dataclass(slots=True)
class PlanTrial:
    """Plans at the two moments of one rehearsal: `before`, `after`, `result`.

    `refused` says why there are none: a server that is not ours, a version that is not tested. The rehearsal goes on.
    """

    server: object
    url: str
    has_rows: bool
    seen: SeenWorkload
    withheld: Sequence[str] = ()
    with_times: bool = False
    refused: str = ""
    _pretence: Pretence | None = None
    _statements: tuple[Statement, ...] = ()
    _before: Plans = field(default_factory=lambda: Plans({}, {}))
    _after: Plans = field(default_factory=lambda: Plans({}, {}))
    _drawn: dict[str, list[list[str | None]]] = field(default_factory=dict)
    _before_ms: dict[str, float] = field(default_factory=dict)
    _after_ms: dict[str, float] = field(default_factory=dict)

    def before(self, source: Connection, statements: Sequence[Statement]) -> None:
        """Ask for the plans on the unchanged copy, with what the planner of `source` knows."""
        self._statements = tuple(statements)
        try:
            facts = read_planner_facts(source, self.withheld)
            self._pretence = pretend(self.server, self.url, facts, has_rows=self.has_rows)
            with as_large_as_production(self.url, self._pretence) as planner:
                self._before = read_plans(planner, self._statements)
                if self.with_times and self.has_rows:
                    self._drawn = draw_values(planner, self._statements)
                    self._before_ms = time_statements(planner, self._statements, self._drawn)
        except RehearsalError as error:
            self._refuse(error.what)
        except psycopg.Error as error:
            self._refuse(words_of(error))

    def after(self) -> None:
        """Ask for the plans on the migrated copy."""
        if self._pretence is None:
            return
        try:
            with as_large_as_production(self.url, self._pretence) as planner:
                self._after = read_plans(planner, self._statements)
                if self._drawn:
                    self._after_ms = time_statements(planner, self._statements, self._drawn)
        except RehearsalError as error:
            self._refuse(error.what)
        except psycopg.Error as error:
            self._refuse(words_of(error))

    def result(self) -> PlansCheck:
        """Return which plans changed."""
        if self._pretence is None:
            return PlansCheck(0, (), {}, (f"plans were not compared: {self.refused}",) if self.refused else ())
        pretence = self._pretence
        compared = compare_plans(self._statements, self._before, self._after, pretence.unknown, pretence.grown)
        changed = {each.statement.id for each in compared.changes}
        slower = [
            PlanChange(each, self._before.found[each.id], self._after.found[each.id])
            for each in self._statements
            if each.id not in changed and each.id in self._after.found and self._is_slower(each.id)
        ]
        notes = list(dict.fromkeys(pretence.notes))
        if self.has_rows:
            notes.append("plans on the copy's rows, with production's statistics")
        else:
            notes.append("plans on production's sizes and statistics, without a row")
        if self.with_times and not self.has_rows:
            notes.append("no times: the copy has no rows")
        if self._drawn:
            timed = len(self._before_ms.keys() & self._after_ms.keys())
            notes.append(f"timed {timed:,} of {len(self._statements):,} statements: SELECTs, with values of the copy")
        return PlansCheck(
            compared.compared,
            tuple(self._changed(each) for each in (*compared.changes, *slower)),
            dict(compared.skipped),
            tuple(notes),
        )

    def findings(self, steps: Sequence[Step]) -> tuple[WorkloadFinding, ...]:
        """Return the statements that become dearer, or were measured to be slower, each with its cause among `steps`."""
        hours, load = self.seen.hours, self.seen.total_ms
        found = []
        by_id = {each.id: each for each in self._statements}
        for each in self.result().changed:
            if not (each.is_dearer or each.is_slower):
                continue
            statement = by_id[each.id]
            gone = [name for name in _INDEX.findall(each.before) if name not in _INDEX.findall(each.after)]
            cause = cause_of_plan(gone, each.table, steps).step
            found.append(
                WorkloadFinding(
                    "plan", "", statement.text, statement.role, statement.calls, cause, "migration", statement.id,
                    RULE_OF["plan"], each.table or statement.id, each.words,
                    round(statement.calls / hours, 2) if hours else None,
                    round(statement.total_ms / load, 4) if load else None,
                )
            )  # fmt: skip
        return tuple(found)

    def _changed(self, each: PlanChange) -> ChangedPlan:
        of = each.statement
        return ChangedPlan(
            of.id, of.text, of.role, of.calls,
            round(each.before.cost, 2), round(each.after.cost, 2), each.before.words, each.after.words, each.difference,
            each.table,
            is_dearer(each.before.cost, each.after.cost), self._is_slower(of.id),
            self._before_ms.get(of.id), self._after_ms.get(of.id),
        )  # fmt: skip

    def _is_slower(self, name: str) -> bool:
        before, after = self._before_ms.get(name), self._after_ms.get(name)
        return (
            before is not None and after is not None and after >= before * SLOWER_TIMES and after - before >= SLOWER_MS
        )

    def _refuse(self, why: str) -> None:
        self.refused, self._pretence = why, None
