"""A program of the project's own that starts the server for copies: what it must do, and what is said where it does not."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from safemig.copies.provider import Provider
from safemig.errors import RefusedError, SettingsError, ToolError
from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.project import Project
from tests.conftest import MAJORS, QUIET
from tests.operations.conftest import Shop

pytestmark = pytest.mark.measures_drift

SECOND_FILE = "20260102000000_second.sql"
# Tells by a file that it runs, and takes that away when it is ended.
KEEPS = """
import pathlib, signal, sys, time
mark = pathlib.Path({mark!r}); mark.touch()
def end(*_): mark.unlink(); sys.exit(0)
signal.signal(signal.SIGTERM, end)
"""
PRINTS = 'print("pulling the image ..."); print({url!r}, flush=True)\n'
GOES_ON = "while True: time.sleep(0.1)\n"
Write = Callable[..., str]


@pytest.fixture
def program(tmp_path: Path) -> Write:
    """A maker of such a program; it returns the command."""

    def write(text: str, url: str = "") -> str:
        path = tmp_path / "provider.py"
        path.write_text(text.replace("{url!r}", repr(url)).replace("{mark!r}", repr(str(tmp_path / "mark"))))
        return f"{sys.executable} {path}"

    return write


@pytest.fixture
def other(temporary: Path) -> Iterator[ThrowawayServer]:
    """A server that the programs hand out; with a folder of its own it is another one by its identity, too."""
    with ThrowawayServer.start(settings=QUIET, folder=temporary / "s") as server:
        yield server


def _databases(server: ThrowawayServer) -> list[tuple[object, ...]]:
    with psycopg.connect(server.url()) as connection:
        return connection.execute("SELECT datname FROM pg_database ORDER BY 1").fetchall()


def _set(shop: Shop, command: str, more: str = "") -> Project:
    (shop.folder / "safemig.toml").write_text(f"[scratch]\ncommand = '{command}'\n{more}")
    return shop.project


@pytest.mark.parametrize("delay", ["", "time.sleep(2)\n"], ids=["quick", "slow"])
def test_copies_are_made_on_the_server_that_it_starts_and_it_is_ended(
    shop: Shop, program: Write, other: ThrowawayServer, tmp_path: Path, delay: str
) -> None:
    shop.write(SECOND_FILE, "ALTER TABLE users ADD COLUMN more text;")
    before = _databases(other)
    project = _set(shop, program(KEEPS + delay + PRINTS + GOES_ON, other.url()))
    rehearsal = project.rehearse()
    assert rehearsal.backup_verified == "restored"
    assert not (tmp_path / "mark").exists()  # it had its SIGTERM, and removed what it made
    assert _databases(other) == before


FAULTS = [
    ("it fails", "import sys; sys.exit('no such image')", "ended with exit code 1 and printed no URL", "no such image"),
    ("it says nothing", "import time\n" + GOES_ON, "printed no URL within 1 s", ""),
    (
        "what it prints is no server",
        "import time\nprint('postgresql://nobody@127.0.0.1:1/x', flush=True)\n" + GOES_ON,
        "Unreachable|cannot|refused",
        "",
    ),
]


@pytest.mark.parametrize(("text", "what", "where"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_a_program_that_does_not_keep_the_contract_is_named(
    shop: Shop, program: Write, text: str, what: str, where: str
) -> None:
    shop.write(SECOND_FILE, "ALTER TABLE users ADD COLUMN more text;")
    before = shop.state()

    with pytest.raises(RefusedError, match=what) as caught:
        _set(shop, program(text), "wait_s = 1\n").rehearse()
    assert where in str(caught.value)
    assert shop.state() == before


def test_one_that_lies_about_its_version_is_refused_by_what_the_server_says(shop: Shop, program: Write) -> None:
    if len(MAJORS) < 2:
        pytest.skip("needs two versions of PostgreSQL")
    shop.write(SECOND_FILE, "ALTER TABLE users ADD COLUMN more text;")
    with ThrowawayServer.start(major=MAJORS[0], settings=QUIET) as older:
        url = older.url() + "&application_name=PostgreSQL-99"
        project = _set(shop, program("import time\n" + PRINTS + GOES_ON, url))
        with pytest.raises(ToolError, match=f"is PostgreSQL {MAJORS[0]}.*older than the database"):
            project.rehearse()


def test_a_program_that_ignores_sigterm_is_killed_with_its_children(
    program: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safemig.copies.provider._END_SECONDS", 0.5)
    stubborn = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PRINTS + GOES_ON
    provider = Provider(program(stubborn, "postgresql://x@y/z"), 20)
    assert provider.url() == "postgresql://x@y/z"
    started = time.monotonic()
    provider.stop()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("text", ["[scratch]\ncommand = 'a'\nurl = 'env:B'", "[scratch]\nwait_s = 3"])
def test_one_of_url_service_and_command_is_set(shop: Shop, text: str) -> None:
    (shop.folder / "safemig.toml").write_text(text)
    with pytest.raises(SettingsError, match="needs one of"):
        _ = shop.project


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ToolError, match="was not found"):
        Provider("no-such-program --now", 1)
