"""The migration rehearsed under load: on a copy of the copy, by the deployment's own protocol, while the application's calls run."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from safemig import live
from safemig.approval.plan import Situation
from safemig.commands import command_on
from safemig.copies.database_copy import CopyServer
from safemig.copies.roles import deploying_role, own_database_alike, url_as
from safemig.errors import DeploymentFailedError, DeploymentStoppedError, RehearsalError
from safemig.execution import journal
from safemig.execution.environment import schema_of
from safemig.execution.layout import layout_for, make_history
from safemig.execution.protocol import Protocol
from safemig.execution.run import Run
from safemig.execution.steps import Segment
from safemig.load_facts import LoadedStep, LoadRun
from safemig.postgres.connection import Connection
from safemig.postgres.connection.connect import connect
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.results import Step
from safemig.schema import Schema
from safemig.settings import Settings
from safemig.workload.load import CONNECTIONS, Chosen, Load, choose
from safemig.workload.load_result import by_statement, errors_of, points_of
from safemig.workload.own_statistics import ALLOW, Catalog, read_columns, write_columns
from safemig.workload.planner_facts import read_planner_facts
from safemig.workload.statement import SeenWorkload

DATABASE = "under_load"
_ENVIRONMENT = "the copy under load"
_RUN = "load"
# How long the load runs before the migration, to know what is usual, and after it.
QUIET_S = 4.0
VACUUM = "VACUUM"


@dataclass(frozen=True, slots=True)
class WantedLoad:
    """Which share of which statements' calls is to run, in percent."""

    share: int
    seen: SeenWorkload


def wanted_load(settings: Settings, environment: str, share: int, seen: SeenWorkload | None) -> WantedLoad | None:
    """Return the load that is asked for, None where `share` is 0.

    Raises:
        RehearsalError: there are no statements, the copy will have no rows to draw values from, or the share is none.
    """
    if not share:
        return None
    if not 1 <= share <= 1000:
        raise RehearsalError(
            f"a load of {share} % cannot be driven", where="--load", next="give a percentage from 1 to 1000"
        )
    if settings.rehearsal != "data":
        raise RehearsalError(
            "a load needs rows to draw values from, and the copy has none",
            where='rehearsal = "schema"',
            next='rehearse with rehearsal = "data", or without --load',
        )
    if seen is None or not seen.statements:
        raise RehearsalError(
            "no statements of the application were collected, so there is no load to drive",
            where=str(settings.folder),
            next=command_on(environment, "workload"),
        )
    return WantedLoad(share, seen)


def make_loaded_copy(source: Connection, server: CopyServer) -> str:
    """Copy the database `copy` of the server, to which no one may be connected, and return the new one's URL.

    It has the planner's statistics of `source`.

    Raises:
        RehearsalError: the server is not ours, where copying a database is an expense of others.
    """
    if not isinstance(server, ThrowawayServer):
        raise RehearsalError(
            "a load needs a server that safemig starts itself", where="scratch",
            next="leave out [scratch], or rehearse without --load",
        )  # fmt: skip
    with live.stage("copy the copy"):
        url = server.create_database(DATABASE, template="copy")
        with psycopg.connect(url, autocommit=True) as connection:
            own_database_alike(source, connection)
        with connect(url, _ENVIRONMENT) as connection:
            _plan_as_production(source, connection)
    return url


def _plan_as_production(source: Connection, copy: Connection) -> None:
    """Give a restored copy, which has no statistics, those of production; and mark what all may see, as VACUUM does."""
    copy.execute(ALLOW)
    catalog, columns = Catalog(copy), read_columns(copy)
    facts = read_planner_facts(source).columns
    places = ((columns.get((each.schema, each.relation, each.name)), each) for each in facts)
    write_columns(copy, catalog, [(column, each) for column, each in places if column is not None])
    copy.execute(VACUUM)


def rehearse_under_load(
    settings: Settings,
    source: Connection,
    server: CopyServer,
    situation: Situation,
    url: str,
    load: WantedLoad,
    rehearsed: Sequence[Step],
) -> LoadRun:
    """Run the migration as a deployment runs it, with its lock time-outs, while the load goes on; and tell both.

    A migration that does not get its locks is no error here, but what was to be found out.
    """
    chosen = _chosen(url, load)
    as_deployer = url_as(url, server, deploying_role(source))
    with connect(as_deployer, _ENVIRONMENT) as connection:
        make_history(settings, connection)
    with tempfile.TemporaryDirectory() as folder, Load(url, chosen) as driver:
        of = layout_for(settings)
        files = {"migrations": of.folder, "layout": of.layout.name}
        own = settings.model_copy(update={"folder": Path(folder), "records": Path("records"), **files})
        run = Run(own, "migrate_prod", _RUN, _RUN, situation.plan.id, datetime.now(UTC), "")
        with live.stage("the load alone"):
            time.sleep(QUIET_S)
        begin = time.monotonic()
        outcome = ""
        done: tuple[Step, ...] = ()
        seen_steps: list[tuple[Step, float]] = []
        with live.stage("migrate under load"):
            try:
                done = _migrate(run, as_deployer, situation.segments, rehearsed, seen_steps)
            except (DeploymentFailedError, DeploymentStoppedError) as error:
                outcome = error.what.partition("; pid ")[0]  # the sessions of the load itself tell no one anything
        end = time.monotonic()
        with live.stage("the load after it"):
            time.sleep(QUIET_S / 2)
        ended = time.monotonic()
        attempts = _attempts(run)
    calls, begun = driver.calls, driver.begun
    quiet = [call for call in calls if call.end < begin]
    return LoadRun(
        share=load.share,
        wanted_per_s=round(chosen.per_s, 2),
        reached_per_s=round(len(quiet) / max(begin - begun, 0.001), 2),
        connections=CONNECTIONS,
        begin_s=round(begin - begun, 3),
        end_s=round(end - begun, 3),
        outcome=outcome,
        statements=by_statement(chosen.driven, calls, begin, end),
        errors=errors_of(calls, driver.messages),
        steps=_loaded_steps(situation.segments, done, seen_steps, attempts, begun),
        lock_attempts=1 + sum(attempts.values()),
        points=points_of(calls, begun, ended),
        driven=len(chosen.driven),
        skipped=chosen.skipped,
        notes=chosen.notes,
    )


def _chosen(url: str, load: WantedLoad) -> Chosen:
    with live.stage("try the application's statements with drawn values"):
        chosen = choose(url, load.seen, load.share, random.Random(0))  # noqa: S311 - a load, no secret
    if not chosen.driven:
        raise RehearsalError(
            "none of the application's statements runs on the copy with drawn values",
            where="; ".join(f"{reason}: {number}" for reason, number in chosen.skipped),
            next="rehearse without --load",
        )
    return chosen


def _migrate(
    run: Run, url: str, segments: Sequence[Segment], rehearsed: Sequence[Step], seen: list[tuple[Step, float]]
) -> tuple[Step, ...]:
    done: list[Step] = []
    protocol = Protocol(run, "migrated", "the copy", url=url)

    def validate(connection: Connection) -> Schema:
        return schema_of(run.settings, connection)

    def listen(step: Step) -> None:
        seen.append((step, time.monotonic()))

    for number, segment in enumerate(segments):
        part = str(number + 1) if number else ""
        with protocol.connection() as connection:
            committed = protocol.commit_segment(
                connection, segment, validate, part=part, rehearsed=rehearsed, listen=listen
            )
        done += committed.steps
    return tuple(done)


def _attempts(run: Run) -> Counter[int]:
    """Return how often a lock was not had, by the step that wanted it, as the journal tells."""
    return Counter(int(event["step"]) for event in journal.read(run.journal_path) if event["event"] == "waiting")


def _loaded_steps(
    segments: Sequence[Segment],
    done: Sequence[Step],
    seen: Sequence[tuple[Step, float]],
    attempts: Counter[int],
    begun: float,
) -> tuple[LoadedStep, ...]:
    """Return the steps as they ran for good: of those that were tried again, the last time."""
    ended = {step.number: (step, at) for step, at in seen}
    finished = {step.number: step for step in done}
    found = []
    for planned in (step for segment in segments for step in segment.steps):
        if planned.number not in ended:
            continue
        step, at = ended[planned.number]
        final = finished.get(planned.number, step)
        found.append(
            LoadedStep(
                planned.number, planned.sql, round(at - (step.ran_s or 0.0) - begun, 3), round(at - begun, 3),
                max(final.attempts, 1 + attempts[planned.number]), round(final.lock_wait_s or 0.0, 3),
            )
        )  # fmt: skip
    return tuple(found)
