"""The workers of a fleet: Dask, on this machine or a cluster. No state is theirs: what they did, the members know.

A runner sends a member's job when there is room for it: so many in all, so many on one server. A worker that is killed
has its job run again by another one; jobs ask their member first, so that nothing is done twice.
"""

# distributed has no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import os
import queue
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from safemig import __version__
from safemig.errors import SafemigError, SettingsError, UnreachableError
from safemig.execution.layout import files_of
from safemig.fleet.deploy_member import MemberJob
from safemig.fleet.members import members_of
from safemig.fleet_facts import MemberOutcome
from safemig.settings import FleetSettings, Settings

_LOST_S = 1.0  # how often it is looked whether the scheduler is still there
_ASKED_EVERY_S, _ANSWER_S = 5.0, 5.0
_WORKERS_S = 30.0  # how long a scheduler may be silent, or without workers
_ALIVE = ("running", "connecting")
_TRIALS = 5
_BUSY = "another deployment is under way"
Act = Callable[[MemberJob], MemberOutcome]


class SchedulerLostError(Exception):
    """The scheduler or all of its workers went away; the members' own history has the outcome of their jobs."""

    def __init__(self, what: str, in_flight: Iterable[str] = ()) -> None:
        super().__init__(what)
        self.in_flight = frozenset(in_flight)


@contextmanager
def workers(settings: Settings, name: str) -> Iterator[Any]:
    """Give a client of the fleet's scheduler: the one that the settings name, or one with workers on this machine.

    Raises:
        SettingsError: Dask is not installed.
        UnreachableError: the scheduler that is named cannot be reached, or has no worker that can do the jobs.
    """
    fleet = settings.fleets[name]
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
        # It samples all threads' stacks, which can lock up a whole Python, with the members' jobs in it (CPython issue 106883).
        "distributed.worker.profile.enabled": False,
        # No page tells of the fleet to whoever can reach a port.
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with dask.config.set(limits):
        if fleet.scheduler:
            try:
                client = Client(fleet.scheduler, timeout=10, set_as_default=False, security=_security(settings, fleet))
            except OSError as error:
                raise UnreachableError(
                    f"the scheduler of the fleet cannot be reached: {str(error).splitlines()[0]}",
                    where=fleet.scheduler,
                    next="start it (dask scheduler), or leave `scheduler` out for workers on this machine",
                ) from None
            with client:
                _require_workers(client, settings, name)
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


def _security(settings: Settings, fleet: FleetSettings) -> Any:
    """Return the certificates for a scheduler, by these settings, else by Dask's own.

    Raises:
        SettingsError: a file cannot be read, is no certificate or key, or none is named for a `tls://` scheduler.
    """
    from distributed.security import Security

    if not fleet.scheduler.startswith("tls://"):
        return Security()
    paths = {
        name: str(settings.folder / path)
        for name, path in {
            "tls_ca_file": fleet.scheduler_ca,
            "tls_client_cert": fleet.scheduler_certificate,
            "tls_client_key": fleet.scheduler_key,
        }.items()
        if path
    }
    try:
        made = Security(require_encryption=True, **paths)
        if made.get_connection_args("client").get("ssl_context") is not None:
            return made
        words, where = "no certificates are named for the fleet's tls:// scheduler", fleet.scheduler
    except OSError as error:  # ssl.SSLError is one
        words = f"the certificates for the fleet's scheduler cannot be used: {error.strerror or error}"
        where = ", ".join(paths.values())
    raise SettingsError(
        words,
        where=where,
        next="scheduler_ca, scheduler_certificate and scheduler_key in [fleets.NAME] name files in PEM form",
    )


def _require_workers(client: Any, settings: Settings, name: str) -> None:
    """Look whether workers elsewhere can do the jobs, before any member is deployed to."""
    where, next_ = (
        settings.fleets[name].scheduler,
        "start workers (dask worker) with the same safemig, folder and variables",
    )
    try:
        client.wait_for_workers(1, timeout=_WORKERS_S)
        found: dict[str, str] = client.run(_what_lacks, settings, name)
    except TimeoutError:
        raise UnreachableError("the fleet's scheduler has no worker", where=where, next=next_) from None
    except Exception as error:  # its workers raise anything, above all where safemig is missing
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UnreachableError(f"the fleet's workers cannot run safemig: {what}", where=where, next=next_) from error
    if lacking := {worker: what for worker, what in found.items() if what}:
        worker, what = next(iter(lacking.items()))
        raise UnreachableError(
            f"{len(lacking)} of {len(found)} workers cannot do the fleet's jobs: {what}", where=worker, next=next_
        )


def _what_lacks(settings: Settings, name: str, version: str = __version__) -> str:
    """Return what a worker, on which this runs, lacks for the jobs; "" where nothing."""
    if version != __version__:
        return f"it has safemig {__version__}, the runner {version}"
    try:
        members_of(settings, name)
        files_of(settings)
    except SafemigError as error:
        return f"{error.what} ({error.where})"
    return ""


def run_jobs(
    client: Any,
    fleet: FleetSettings,
    jobs: Sequence[MemberJob],
    act: Act,
    may_go_on: Callable[[], bool],
    look: Callable[[Mapping[str, float], int], None],
) -> Iterator[MemberOutcome]:
    """Yield the outcome of each job as it comes; none is sent any more once `may_go_on` says no.

    `look` is told each second which members' jobs are with a worker, since when, and how many wait.

    Raises:
        SchedulerLostError: the scheduler or all workers went away; jobs without an outcome may or may not have been done.
    """
    waiting = deque(jobs)
    under_way: dict[Any, tuple[MemberJob, float]] = {}
    on_server: Counter[str] = Counter()
    trials: Counter[str] = Counter()
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    seen = time.monotonic()  # a worker
    while waiting or under_way:
        for _ in range(len(waiting)) if may_go_on() else ():
            if len(under_way) >= fleet.max_parallel:
                break
            job = waiting.popleft()
            if on_server[job.server] >= fleet.max_parallel_per_server:
                waiting.append(job)
                continue
            future = client.submit(act, job, pure=False, retries=0, key=f"{job.member}-{os.urandom(4).hex()}")
            under_way[future] = job, time.monotonic()
            on_server[job.server] += 1
            future.add_done_callback(done.put)
        if not under_way:
            return
        look({job.member: since for job, since in under_way.values()}, len(waiting))
        try:
            future = done.get(timeout=_LOST_S)
        except queue.Empty:
            if time.monotonic() - seen > _ASKED_EVERY_S and _has_workers(client):
                seen = time.monotonic()
            if client.status not in _ALIVE or time.monotonic() - seen > _WORKERS_S:
                names = [job.member for job, _ in under_way.values()]
                raise SchedulerLostError("the scheduler, or all of its workers, were lost", names) from None
            continue
        seen = time.monotonic()
        job, _ = under_way.pop(future)
        on_server[job.server] -= 1
        if future.status != "finished" and client.status != "running":  # also where it tries to connect again
            raise SchedulerLostError(
                "the scheduler was lost", [job.member, *(it.member for it, _ in under_way.values())]
            )
        outcome = _outcome_of(future, job)
        trials[job.member] += 1
        # A worker that was killed: its session may hold the member for a moment yet.
        again = outcome is None or (outcome.outcome == "failed" and _BUSY in outcome.error)
        if again and trials[job.member] < _TRIALS:
            waiting.append(job)
            continue
        yield outcome or MemberOutcome(job.member, "unknown", job.wave, job.cohort, error="its workers were lost")


def _has_workers(client: Any) -> bool:
    """Tell whether the scheduler answers in time, and has a worker; a network that is cut may show as silence alone."""
    try:
        return bool(client.sync(client.scheduler.ncores, callback_timeout=_ANSWER_S))
    except (OSError, TimeoutError):
        return False


def _outcome_of(future: Any, job: MemberJob) -> MemberOutcome | None:
    """Return a job's outcome; None where its worker was lost."""
    if future.status == "finished":
        try:
            made: MemberOutcome = future.result(timeout=30)
        except Exception:  # noqa: BLE001 - the worker died with the answer: the member has it
            return None
        return replace(made, wave=job.wave)
    error = future.exception(timeout=30) if future.status == "error" else None
    if error is not None and type(error).__name__ not in ("KilledWorker", "CommClosedError", "FutureCancelledError"):
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        return MemberOutcome(job.member, "unknown", job.wave, job.cohort, error=f"a fault of safemig: {what}")
    return None
