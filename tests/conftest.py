"""What all tests share: a real PostgreSQL of their own, and databases in it."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from safemig.postgres.server.programs import find_programs
from safemig.postgres.server.throwaway import ThrowawayServer
from tests.places import use_memory
from tests.platforms.boxes import Boxes, Platform

use_memory()
# To load and to collect makes a million objects and no garbage.
gc.set_threshold(50_000)
# Each process that a test starts would compile all of safemig again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

MAJORS = sorted({programs.major for programs in find_programs() if programs.has_server and programs.has_clients})
# Nothing of the server's own may take a lock or a session that a test looks for.
QUIET = {"autovacuum": "off", "max_prepared_transactions": "2"}
_numbers = itertools.count(1)
# Where tests need no process of their own, unless a fixture starts a server.
FAST = (
    "sql", "views", "review", "migrations", "schema", "execution", "test_connection_urls.py", "test_contributing.py", "test_fault_points.py", "test_house.py",
    "test_reference.py", "test_secret_shapes.py", "test_settings.py",
)  # fmt: skip
LONG = ("test_tutorials.py", "test_packaging.py", "browser", "demo")
SERVERS = {"server", "every_server", "boxes"}
# These measure time, or need what CI alone unpacks.
NOT_FAST = {"test_speed.py", "test_linear_time.py", "test_real_schemas.py"}
# A shell that starts us in the background lets us, and every process that a test starts, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Look for fast tests only where there are some: to collect the others takes longer than to run these."""
    folder = Path(__file__).parent
    if not config.option.markexpr.startswith("fast") or folder not in collection_path.parents:
        return None
    place = collection_path.relative_to(folder).parts[0]
    return True if place not in FAST and place != "conftest.py" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `scripts/check` runs, and what is thorough; begin with what takes minutes, so that no worker ends with it."""
    _take_turns(items)
    folder = Path(__file__).parent
    order = {}
    for item in items:
        place = item.path.relative_to(folder).parts[0]
        needs = {*getattr(item, "fixturenames", ()), item.path.name}
        is_fast = place in FAST and not needs & (SERVERS | NOT_FAST)
        if is_fast:
            item.add_marker(pytest.mark.fast)
        order[item] = 0 if place in LONG else 2 if is_fast else 1
    items.sort(key=order.__getitem__)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what the collection made, for as long as the tests run."""
    gc.freeze()


def _take_turns(items: list[pytest.Item]) -> None:
    """Of a long table that every version of PostgreSQL runs, leave each row to one of them; the others are thorough."""
    rows: dict[str, int] = {}
    for item in items:
        if item.get_closest_marker("in_turn"):
            major = item.callspec.params["every_server"]  # type: ignore[attr-defined]
            row = rows.setdefault(item.nodeid.replace(f"[pg{major}-", "["), len(rows))
            if major != MAJORS[row % len(MAJORS)]:
                item.add_marker(pytest.mark.thorough)


@pytest.fixture(scope="session")
def server() -> Iterator[ThrowawayServer]:
    """The newest PostgreSQL on this machine, for all tests of this process."""
    with ThrowawayServer.start(settings=QUIET) as started:
        yield started


@pytest.fixture(scope="session", params=MAJORS, ids=lambda major: f"pg{major}")
def every_server(request: pytest.FixtureRequest) -> Iterator[ThrowawayServer]:
    """Each major version on this machine in turn."""
    with ThrowawayServer.start(major=request.param, settings=QUIET) as started:
        yield started


@pytest.fixture
def new_database(server: ThrowawayServer) -> Iterator[Callable[[], str]]:
    """A maker of empty databases on `server`, dropped at the end of the test."""
    names: list[str] = []

    def make() -> str:
        names.append(f"test_{next(_numbers)}")
        return server.create_database(names[-1])

    yield make
    for name in names:
        server.drop_database(name)


@pytest.fixture
def database(new_database: Callable[[], str]) -> str:
    """The URL of an empty database."""
    return new_database()


@pytest.fixture(scope="session")
def boxes() -> Iterator[Boxes]:
    """The platforms' servers of this process, started when they are first asked for."""
    made = Boxes()
    yield made
    made.close()


@pytest.fixture
def platform(boxes: Boxes) -> Callable[..., Platform]:
    """A maker of platforms in a box, such as `platform("supabase")`; see tests/platforms/boxes.py."""
    return boxes.get
