"""A scheduler and workers elsewhere: other processes, reached by a proxy that is cut off in the middle of a wave."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from safemig.errors import DeploymentStoppedError, OutcomeUnknownError, SafemigError, SettingsError, UnreachableError
from safemig.fleet.engine import workers
from safemig.fleet_facts import FleetDeployment
from tests.fleet.conftest import Fleet
from tests.fleet.test_migrate import SECOND, SECOND_FILE, SECOND_VERSION

pytest.importorskip("distributed")


class Proxy:
    """A way to a port that can be cut: what was sent before has arrived, nothing does any more."""

    def __init__(self, port: int) -> None:
        self._target, self._is_stalled = port, False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._opened: list[socket.socket] = [self._listener]
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        """Close it, and every connection through it."""
        for each in self._opened:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def stall(self) -> None:
        """Pass nothing on any more, and close nothing: as a network that is cut off."""
        self._is_stalled = True

    def _serve(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._opened += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, to: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                if not self._is_stalled:
                    to.sendall(piece)
        with suppress(OSError):
            to.shutdown(socket.SHUT_RDWR)


@contextmanager
def started(*command: str, folder: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run one of Dask's programs until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | variables,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def line_with(process: subprocess.Popen[str], pattern: str) -> str:
    """Return what a program says of itself; reads on for ever, so that it can."""
    assert process.stderr
    for line in process.stderr:
        if found := re.search(pattern, line):
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return found[1]
    raise AssertionError("the program ended")


SCHEDULER = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-jupyter")
WORKER = ("distributed.cli.dask_worker", "--nthreads", "2", "--no-nanny", "--no-dashboard")
ADDRESS = r"Scheduler at:\s+\w+://127\.0\.0\.1:(\d+)"


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[int]:
    """A scheduler of its own process; its port."""
    with started(*SCHEDULER, folder=tmp_path) as process:
        yield int(line_with(process, ADDRESS))


@pytest.fixture
def worker(scheduler: int, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker of two threads, in a process of its own."""
    with started(*WORKER, f"tcp://127.0.0.1:{scheduler}", folder=tmp_path) as process:
        line_with(process, r"(Registered to)")
        yield process


def test_members_are_deployed_to_by_workers_elsewhere(
    make_fleet: Callable[..., Fleet], scheduler: int, worker: object
) -> None:
    fleet = make_fleet(3)
    fleet.list_members(f'backup = "none"\nscheduler = "tcp://127.0.0.1:{scheduler}"')
    fleet.write(SECOND_FILE, SECOND)
    plan = fleet.project.fleet_plan()
    done = fleet.project.fleet_migrate(approve=plan.id)
    assert done.verdict == "DEPLOYED"
    assert all(SECOND_VERSION in versions for versions in fleet.versions().values())


def test_workers_on_this_machine_do_not_sample_stacks_which_can_lock_python_up(
    make_fleet: Callable[..., Fleet],
) -> None:
    def samples(dask_worker: Any) -> bool:
        return "profile" in dask_worker.periodic_callbacks

    with workers(make_fleet(1).project.settings, "tenants") as client:
        client.wait_for_workers(1)
        assert set(client.run(samples).values()) == {False}


def waiting_for_a_lock(fleet: Fleet, name: str) -> bool:
    """Tell whether a session of ours has the member's job, and waits for the lock that the test holds."""
    return fleet.on(name, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                          "AND application_name ~ '^safemig [0-9a-f]{12}$'") != [(0,)]  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["cut", "stall"])
@pytest.mark.parametrize("goes_on", [True, False], ids=["the worker ends its job", "the worker's job waits on"])
def test_a_scheduler_that_is_cut_off_in_mid_wave_is_told_truthfully(
    how: str, goes_on: bool, make_fleet: Callable[..., Fleet], scheduler: int, worker: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    proxy = Proxy(scheduler)
    fleet = make_fleet(4)
    fleet.list_members(
        f'backup = "none"\nmax_parallel = 1\nwaves = ["rest"]\nscheduler = "tcp://127.0.0.1:{proxy.port}"'
    )
    text = (fleet.folder / "safemig.toml").read_text()
    (fleet.folder / "safemig.toml").write_text(f"lock_attempts = 1000\n{text}")
    fleet.write(SECOND_FILE, SECOND)
    plan = fleet.project.fleet_plan()
    monkeypatch.setattr("safemig.fleet.migrate._PATIENCE_S", 20.0 if goes_on else 2.0)
    monkeypatch.setattr("safemig.fleet.engine._WORKERS_S", 8.0)
    with ExitStack() as stack:
        holder = stack.enter_context(psycopg.connect(fleet.members["b"]))
        holder.execute("SELECT FROM customers")  # an idle transaction: rows can be counted, the table cannot be altered

        def strike() -> None:
            until = time.monotonic() + 60
            while not waiting_for_a_lock(fleet, "b") and time.monotonic() < until:
                time.sleep(0.1)
            getattr(proxy, how)()
            if goes_on:
                time.sleep(1)
                holder.rollback()

        striker = threading.Thread(target=strike)
        striker.start()
        expected: type[SafemigError] = DeploymentStoppedError if goes_on else OutcomeUnknownError
        with pytest.raises(expected) as caught:
            fleet.project.fleet_migrate(approve=plan.id)
        striker.join()
    result = caught.value.result
    assert isinstance(result, FleetDeployment)
    assert {each.member: each.outcome for each in result.members} == {
        "a": "deployed", "b": "deployed" if goes_on else "unknown", "c": "not reached", "d": "not reached",
    }  # fmt: skip
    assert f"--resume {plan.id}" in str(caught.value.next)
    until = time.monotonic() + 60  # the worker that was cut off has its job still
    while SECOND_VERSION not in fleet.versions()["b"] and time.monotonic() < until:
        time.sleep(0.2)
    path = fleet.folder / "safemig.toml"
    path.write_text(path.read_text().replace(f":{proxy.port}", f":{scheduler}"))
    assert fleet.project.fleet_migrate(resume=plan.id).verdict == "DEPLOYED"
    assert all(SECOND_VERSION in versions for versions in fleet.versions().values())


def test_a_scheduler_that_cannot_do_the_jobs_is_refused_before_the_first_wave(
    make_fleet: Callable[..., Fleet], scheduler: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = make_fleet(1)
    fleet.write(SECOND_FILE, SECOND)
    fleet.list_members(f'backup = "none"\nscheduler = "tcp://127.0.0.1:{scheduler}"')
    plan = fleet.project.fleet_plan()
    monkeypatch.setattr("safemig.fleet.engine._WORKERS_S", 0.5)
    with pytest.raises(UnreachableError, match="has no worker"):
        fleet.project.fleet_migrate(approve=plan.id)
    fleet.list_members('backup = "none"\nscheduler = "tcp://127.0.0.1:1"')
    with pytest.raises(UnreachableError, match="cannot be reached"):
        fleet.project.fleet_migrate(approve=plan.id)
    assert SECOND_VERSION not in fleet.versions()["a"]


def certificates(folder: Path) -> dict[str, Path]:
    """Make an authority, and a certificate by it, with openssl; return their files."""
    made = {name: folder / f"{name}.pem" for name in ("ca", "ca_key", "certificate", "key", "request")}
    new = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for command in (
        (*new, "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", made["ca_key"], "-out", made["ca"]),
        (*new, "-subj", "/CN=fleet", "-keyout", made["key"], "-out", made["request"]),
        ("openssl", "x509", "-req", "-days", "2", "-in", made["request"], "-CA", made["ca"], "-CAkey", made["ca_key"],
         "-CAcreateserial", "-out", made["certificate"]),
    ):  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.mark.thorough
def test_a_scheduler_over_tls_is_used_with_the_certificates_of_the_settings_and_refused_without(
    make_fleet: Callable[..., Fleet], tmp_path: Path
) -> None:
    fleet = make_fleet(2)
    fleet.write(SECOND_FILE, SECOND)
    own, other = fleet.folder / "tls", fleet.folder / "other"
    own.mkdir()
    other.mkdir()
    files = certificates(own)
    certificates(other)
    tls = ("--tls-ca-file", str(files["ca"]), "--tls-cert", str(files["certificate"]), "--tls-key", str(files["key"]))
    with started(*SCHEDULER, "--protocol", "tls", *tls, folder=tmp_path) as process:
        address = f"tls://127.0.0.1:{line_with(process, ADDRESS)}"
        with started(*WORKER, *tls, address, folder=tmp_path) as worker:
            line_with(worker, r"(Registered to)")

            def settings(folder: str) -> None:
                names = {"scheduler_ca": "ca", "scheduler_certificate": "certificate", "scheduler_key": "key"}
                lines = [f'{setting} = "{folder}/{name}.pem"' for setting, name in names.items() if folder]
                fleet.list_members("\n".join(['backup = "none"', f'scheduler = "{address}"', *lines]))

            settings("tls")
            plan = fleet.project.fleet_plan()
            for folder, error, words in (
                ("", SettingsError, "no certificates are named"),
                ("missing", SettingsError, "cannot be used: No such file"),
                ("other", UnreachableError, "cannot be reached"),
            ):
                settings(folder)
                with pytest.raises(error, match=words):
                    fleet.project.fleet_migrate(approve=plan.id)
            assert not any(SECOND_VERSION in versions for versions in fleet.versions().values())
            settings("tls")
            assert fleet.project.fleet_migrate(approve=plan.id).verdict == "DEPLOYED"
    assert all(SECOND_VERSION in versions for versions in fleet.versions().values())
