"""Schemas of real applications: made from nothing, taken down to nothing, and turned into each other."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from safemig.postgres.server.throwaway import ThrowawayServer
from safemig.schema import compare
from safemig.schema.dumps import differences
from tests.conftest import QUIET

from .proof import dump, load, read
from .real import APPLICATIONS, VARIABLE, Application, folder

FOLDER = folder()
pytestmark = pytest.mark.skipif(FOLDER is None, reason=f"{VARIABLE} names no folder of unpacked packages (see .ci/run)")

Loaded = tuple[str, str]  # a database's URL, and what pg_dump says of it


@pytest.fixture(scope="module")
def large_server() -> Iterator[ThrowawayServer]:
    """A server whose transactions may lock as many objects as the largest of these schemas has."""
    with ThrowawayServer.start(settings={**QUIET, "max_locks_per_transaction": "1024"}) as server:
        yield server


@pytest.fixture(scope="module")
def make(large_server: ThrowawayServer) -> Callable[[Application | None, str], Loaded]:
    def loaded(application: Application | None, database: str) -> Loaded:
        url = large_server.create_database(database)
        psql = str(large_server.programs.path("psql"))
        for script in application.scripts(FOLDER or Path()) if application else ():
            # What needs roles or data of an installation fails, as it would for psql; the rest is the schema.
            subprocess.run([psql, "-X", "-q", url], input=script, capture_output=True, text=True, check=True)
        return url, dump(large_server, url)

    return loaded


def _becomes(server: ThrowawayServer, one: Loaded, other: Loaded) -> None:
    """Turn the first into the second, and back."""
    (url, before), (target, after) = one, other
    base = read(url)
    for wanted, text in ((read(target), after), (base, before)):
        script = compare(read(url), wanted)
        load(url, script.sql)
        left = [line for line in differences(dump(server, url), text) if not line.startswith("in another order")]
        assert left == []
        assert compare(read(url), wanted).is_empty


@pytest.mark.parametrize("application", APPLICATIONS, ids=lambda application: application.name)
def test_a_real_schema_comes_from_nothing_and_goes_to_nothing(
    large_server: ThrowawayServer, make: Callable[[Application | None, str], Loaded], application: Application
) -> None:
    names = ("real_nothing", "real_one")
    try:
        nothing, one = make(None, names[0]), make(application, names[1])
        assert len(read(one[0]).tables) > 3
        _becomes(large_server, nothing, one)
    finally:
        for name in names:
            large_server.drop_database(name)


@pytest.mark.parametrize("number", range(0, len(APPLICATIONS), 3), ids=lambda number: APPLICATIONS[number].name)
def test_a_real_schema_becomes_another(
    large_server: ThrowawayServer, make: Callable[[Application | None, str], Loaded], number: int
) -> None:
    names = ("real_here", "real_there")
    try:
        here = make(APPLICATIONS[number], names[0])
        there = make(APPLICATIONS[(number + 1) % len(APPLICATIONS)], names[1])
        _becomes(large_server, here, there)
    finally:
        for name in names:
            large_server.drop_database(name)
