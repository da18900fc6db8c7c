"""The throwaway server: its own, ended with its process, runnable as root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from safemig.errors import ToolError
from safemig.postgres.server import throwaway as server_module
from safemig.postgres.server.programs import PROGRAMS_VARIABLE, client_programs, find_programs, server_programs
from safemig.postgres.server.throwaway import ThrowawayServer

START_AND_WAIT = """
import sys, time
from safemig.postgres.server.throwaway import ThrowawayServer
server = ThrowawayServer.start()
print(server.folder, flush=True)
time.sleep(60)
"""


def _wait(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def _postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def _is_alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_each_version_answers_on_a_socket_only(every_server: ThrowawayServer) -> None:
    with psycopg.connect(every_server.url()) as connection:
        row = connection.execute("SELECT inet_server_addr(), current_setting('listen_addresses')").fetchone()
        assert row == (None, "")
        assert connection.info.server_version // 10000 == every_server.major


def test_stop_ends_it_and_removes_its_folder() -> None:
    with ThrowawayServer.start() as server:
        pid, folder = _postmaster(server.folder), server.folder
    assert not _is_alive(pid)
    assert not folder.exists()
    server.stop()  # again is no error


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_the_process_that_started_it(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    folder = Path(process.stdout.readline().strip())
    pid = _postmaster(folder)
    process.send_signal(number)
    process.wait()
    process.stdout.close()
    assert _wait(lambda: not _is_alive(pid))
    assert _wait(lambda: not folder.exists())


def test_it_ends_when_its_warden_is_killed() -> None:
    server = ThrowawayServer.start()
    pid = _postmaster(server.folder)
    server._supervisor.kill()
    assert _wait(lambda: not _is_alive(pid))
    server.stop()
    shutil.rmtree(server.folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can see the server run as somebody else")
def test_as_root_the_server_runs_as_somebody_else(server: ThrowawayServer) -> None:
    assert (server.folder / "data").stat().st_uid != 0
    assert Path(f"/proc/{_postmaster(server.folder)}").stat().st_uid != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a server as another user, from a folder closed to them")
def test_programs_in_a_closed_home_are_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "home"
    root = server_programs().folder.parent
    shutil.copytree(root, closed / root.parent.name / root.name, symlinks=True)
    for libraries in root.parent.parent.glob(f"{root.parent.name}*.libs"):
        shutil.copytree(libraries, closed / libraries.name)
    closed.chmod(0o700)
    monkeypatch.setenv(PROGRAMS_VARIABLE, str(closed / root.parent.name / root.name / "bin"))
    with ThrowawayServer.start() as server:
        assert str(server.programs.folder).startswith("/var/cache/safemig/")
        copied = server.programs.folder
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert closed.stat().st_mode & 0o777 == 0o700
    made = copied.stat().st_ctime
    with ThrowawayServer.start() as again:
        assert again.programs.folder == copied
        assert copied.stat().st_ctime == made


def test_kept_data_is_there_at_the_next_start(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"safemig-test-{os.getpid()}"
    try:
        with ThrowawayServer.start(folder=folder) as server:
            server.create_database("kept")
        with ThrowawayServer.start(folder=folder) as server, psycopg.connect(server.url("kept")) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("kept",)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_names_of_databases_may_hold_anything(server: ThrowawayServer) -> None:
    name = "a b/c?d'\"é"
    url = server.create_database(name)
    try:
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == (name,)
    finally:
        server.drop_database(name)


def test_without_any_server_the_message_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROGRAMS_VARIABLE, str(tmp_path))
    with pytest.raises(ToolError, match="no PostgreSQL server") as caught:
        ThrowawayServer.start()
    assert "safemig[embedded]" in str(caught.value.next)


def test_a_version_that_is_not_here_names_those_that_are() -> None:
    with pytest.raises(ToolError, match="no PostgreSQL server") as caught:
        ThrowawayServer.start(major=9)
    for programs in find_programs():
        assert programs.version in str(caught.value.where)


def test_clients_are_never_older_than_the_server() -> None:
    newest = find_programs()[-1]
    for programs in find_programs():
        assert client_programs(programs.version_num).major == programs.major
    with pytest.raises(ToolError, match="no pg_dump"):
        client_programs((newest.major + 1) * 10000)


def test_a_socket_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="Unix socket allows"):
        server_module._folder_for(None, tmp_path / ("x" * 110))
