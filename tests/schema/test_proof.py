"""Every pair of schemas converges: there by our script and back again.

By default each pair is proven in a transaction, by reading again, and a few by pg_dump. Thoroughly (`-m thorough`) pg_dump
judges every pair, on every PostgreSQL of this machine, by the complete script, by the online one, and by the safe one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any, get_args

import psycopg
import pytest

from safemig.postgres.server.throwaway import ThrowawayServer
from tests.conftest import MAJORS
from tests.tables import part_of

from .pairs import PAIRS
from .pairs.application import APPLICATION
from .proof import Pair, UnavailableHere, Way, prove, prove_in_transaction

JUDGED = [pair for pair in APPLICATION if pair.name in ("the demo", "an enum loses a value")]


def _name(pair: Pair) -> str:
    return pair.name.replace(" ", "-")


Connect = Callable[[int], psycopg.Connection[Any]]


@pytest.fixture(scope="session")
def connected(server: ThrowawayServer) -> Iterator[Connect]:
    """Gives one connection for all proofs to a server of a major version, which is started when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def to(major: int) -> psycopg.Connection[Any]:
            of_it = server if major == server.major else stack.enter_context(ThrowawayServer.start(major=major))
            return stack.enter_context(psycopg.connect(of_it.url()))

        yield to


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.since <= MAJORS[-1]], ids=_name)
def test_pair_converges_there_and_back_in_a_transaction(connected: Connect, pair: Pair) -> None:
    reasons = []
    for major in reversed(MAJORS):  # the newest may be built without what the pair is about, such as ICU
        try:
            problems = prove_in_transaction(connected(major), pair)
        except UnavailableHere as reason:
            reasons.append(str(reason))
        else:
            assert problems == []
            return
    pytest.skip("; ".join(reasons))


@pytest.mark.parametrize("pair", part_of(PAIRS, JUDGED, _name))
def test_pg_dump_judges_the_pair_equal(every_server: ThrowawayServer, pair: Pair) -> None:
    if every_server.major < pair.since:
        pytest.skip(f"needs PostgreSQL {pair.since}")
    try:
        problems = {way: prove(every_server, pair, way=way) for way in get_args(Way)}
    except UnavailableHere as reason:
        pytest.skip(str(reason))
    assert problems == {way: [] for way in get_args(Way)}
