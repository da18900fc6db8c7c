"""The team's own way down as the rollback: joined from the files, and tried on the copy before it is believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import psycopg

from safemig.errors import MigrationError
from safemig.execution.acting import act_as
from safemig.execution.steps import PlannedFile, plan_files, run_steps
from safemig.migrations import Migration
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import words_of
from safemig.postgres.pretences import adapter
from safemig.results import Step
from safemig.schema import Schema, compare

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class GivenWayBack:
    """What the team wrote to take migrations back; `why_not` says in words why it is not used, "" where it is."""

    files: tuple[str, ...]
    sql: str
    steps: tuple[Step, ...]
    why_not: str = ""

    @property
    def source(self) -> str:
        """Where it comes from, in words."""
        return f"The team's own way down of {', '.join(self.files)}"


def given_way_back(files: Sequence[PlannedFile]) -> GivenWayBack | None:
    """Return the ways down of migrations, the last first; None where the team wrote none."""
    given = [file.migration for file in reversed(files) if file.migration.down.strip()]
    if not given:
        return None
    names = tuple(each.file for each in given)
    steps: list[Step] = []
    pieces: list[str] = []
    try:
        for each in given:
            (planned,) = plan_files([replace(each, sql=each.down)])
            if not planned.transactional:
                return GivenWayBack(names, "", (), f"that of {each.file} cannot run in a transaction")
            steps += planned.steps
            pieces += [f"-- Down of {each.file}", *(_ended(step.sql) for step in planned.steps)]
    except MigrationError as error:
        return GivenWayBack(names, "", (), f"{error.what} ({error.where})")
    if missing := _without_one(files, given):
        return GivenWayBack(names, "", (), f"{', '.join(missing)} has none")
    return GivenWayBack(names, "\n".join(pieces), tuple(steps))


def _without_one(files: Sequence[PlannedFile], given: Sequence[Migration]) -> list[str]:
    have = {each.version for each in given}
    return [file.migration.file for file in files if file.migration.version not in have and file.steps]


def _ended(sql: str) -> str:
    return sql if sql.endswith("\\.") else f"{sql};"


def tried(
    way: GivenWayBack, copy: Connection, deployer: str, role: str, read: Callable[[], Schema], start: Schema
) -> GivenWayBack:
    """Return the way as it proved in a transaction that is rolled back: run as the deploying role, it must lead to `start`."""
    if way.why_not:
        return way
    adapt = adapter(copy)
    try:
        with copy.transaction(force_rollback=True):
            copy.execute(psycopg.sql.SQL("SET LOCAL SESSION AUTHORIZATION {}").format(psycopg.sql.Identifier(deployer)))
            act_as(copy, role)
            for _ in run_steps(copy, way.steps, adapt=adapt):
                pass
            copy.execute("RESET ROLE")
            copy.execute("RESET SESSION AUTHORIZATION")
            after = read()
    except psycopg.Error as error:
        return replace(way, why_not=f"it fails on the copy: {words_of(error)}")
    apart = compare(replace(after, with_ownership=True), replace(start, with_ownership=True)).changes
    if apart:
        named = ", ".join(f"{each.action} {each.kind} {each.name}" for each in apart[:_MOST_NAMED])
        more = f", and {len(apart) - _MOST_NAMED} more" if len(apart) > _MOST_NAMED else ""
        return replace(way, why_not=f"it does not bring the schema back, which then still lacks: {named}{more}")
    return way
