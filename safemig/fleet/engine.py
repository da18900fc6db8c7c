"""The workers of a fleet: Dask, on this machine or a cluster. No state is theirs: what they did, the members know.

A runner sends a member's job when there is room for it: so many in all, so many on one server. A worker that is killed
has its job run again by another one; jobs ask their member first, so that nothing is done twice.
"""

# distributed has no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import os
import queue
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from safemig.errors import SettingsError, UnreachableError
from safemig.fleet.deploy_member import MemberJob
from safemig.fleet_facts import MemberOutcome
from safemig.settings import FleetSettings

_LOST_S = 1.0  # how often it is looked whether the scheduler is still there
_TRIALS = 5
_BUSY = "another deployment is under way"
Act = Callable[[MemberJob], MemberOutcome]


class SchedulerLostError(Exception):
    """The scheduler went away; what its workers did, the members know."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A job and the server that it goes to."""

    job: MemberJob
    server: str


@contextmanager
def workers(fleet: FleetSettings) -> Iterator[Any]:
    """Give a client of the fleet's scheduler: the one that the settings name, or one with workers on this machine.

    Raises:
        SettingsError: Dask is not installed.
        UnreachableError: the scheduler that is named cannot be reached.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise SettingsError(
            "fleets need Dask, which is not installed", where="import distributed", next='pip install "safemig[fleet]"'
        ) from None
    limits = {
        "distributed.scheduler.allowed-failures": 100,
        "distributed.worker.memory.terminate": False,
        # No page tells of the fleet to whoever can reach a port.
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with dask.config.set(limits):
        if fleet.scheduler:
            try:
                client = Client(fleet.scheduler, timeout=10, set_as_default=False)
            except OSError as error:
                raise UnreachableError(
                    f"the scheduler of the fleet cannot be reached: {str(error).splitlines()[0]}",
                    where=fleet.scheduler,
                    next="start it (dask scheduler), or leave `scheduler` out for workers on this machine",
                ) from None
            with client:
                yield client
            return
        count = max(1, min(os.cpu_count() or 1, fleet.max_parallel, 4))
        # TLS with keys of this run's own: without them, anyone on this machine could hand the workers code to run.
        with (
            LocalCluster(
                n_workers=count,
                threads_per_worker=-(-fleet.max_parallel // count),
                processes=True,
                memory_limit=None,
                dashboard_address="127.0.0.1:0",
                worker_dashboard_address=None,
                scheduler_kwargs={"dashboard": False},
                host="127.0.0.1",
                protocol="tls://",
                security=True,
                silence_logs=50,
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client


def run_jobs(
    client: Any, fleet: FleetSettings, jobs: Sequence[Placed], act: Act, may_go_on: Callable[[], bool]
) -> Iterator[MemberOutcome]:
    """Yield the outcome of each job as it comes; none is sent any more once `may_go_on` says no.

    Raises:
        SchedulerLostError: the scheduler went away; jobs without an outcome may or may not have been done.
    """
    waiting = deque(jobs)
    under_way: dict[Any, Placed] = {}
    on_server: Counter[str] = Counter()
    trials: Counter[str] = Counter()
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    while waiting or under_way:
        for _ in range(len(waiting)) if may_go_on() else ():
            if len(under_way) >= fleet.max_parallel:
                break
            placed = waiting.popleft()
            if on_server[placed.server] >= fleet.max_parallel_per_server:
                waiting.append(placed)
                continue
            future = client.submit(
                act, placed.job, pure=False, retries=0, key=f"{placed.job.member}-{os.urandom(4).hex()}"
            )
            under_way[future] = placed
            on_server[placed.server] += 1
            future.add_done_callback(done.put)
        if not under_way:
            return
        try:
            future = done.get(timeout=_LOST_S)
        except queue.Empty:
            if client.status not in ("running", "connecting"):
                raise SchedulerLostError from None
            continue
        placed = under_way.pop(future)
        on_server[placed.server] -= 1
        outcome = _outcome_of(client, future, placed.job)
        member = placed.job.member
        trials[member] += 1
        # A worker that was killed: its session may hold the member for a moment yet.
        if (outcome is None or (outcome.outcome == "failed" and _BUSY in outcome.error)) and trials[member] < _TRIALS:
            waiting.append(placed)
            continue
        yield outcome or MemberOutcome(
            member, "unknown", placed.job.wave, placed.job.cohort, error="its workers were lost"
        )


def _outcome_of(client: Any, future: Any, job: MemberJob) -> MemberOutcome | None:
    """Return a job's outcome; None where its worker was lost.

    Raises:
        SchedulerLostError: the scheduler went away.
    """
    if future.status == "finished":
        try:
            made: MemberOutcome = future.result(timeout=30)
        except Exception:  # noqa: BLE001 - the worker died with the answer: the member has it
            return None
        return replace(made, wave=job.wave)
    if client.status not in ("running", "connecting"):
        raise SchedulerLostError
    error = future.exception(timeout=30) if future.status == "error" else None
    if error is not None and type(error).__name__ not in ("KilledWorker", "CommClosedError", "FutureCancelledError"):
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        return MemberOutcome(job.member, "unknown", job.wave, job.cohort, error=f"a fault of safemig: {what}")
    return None
