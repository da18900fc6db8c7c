"""Every pair of schemas converges: there by our script and back again.

By default each pair is proven in a transaction, by reading again, and a few by pg_dump. Thoroughly (`-m thorough`) pg_dump
judges every pair, on every PostgreSQL of this machine, by the complete script, by the online one, and by the safe one.
"""

from __future__ import annotations

from typing import get_args

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


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.since <= MAJORS[-1]], ids=_name)
def test_pair_converges_there_and_back_in_a_transaction(server: ThrowawayServer, pair: Pair) -> None:
    try:
        problems = prove_in_transaction(server.url(), pair)
    except UnavailableHere:
        problems = _on_another_build(pair)
    assert problems == []


def _on_another_build(pair: Pair) -> list[str]:
    """Prove what the newest server was built without (ICU) on one that has it."""
    reasons = []
    for major in MAJORS[:-1]:
        with ThrowawayServer.start(major=major) as other:
            try:
                return prove_in_transaction(other.url(), pair)
            except UnavailableHere as reason:
                reasons.append(str(reason))
    pytest.skip("; ".join(reasons) or "the only PostgreSQL here was built without it")


@pytest.mark.parametrize("pair", part_of(PAIRS, JUDGED, _name))
def test_pg_dump_judges_the_pair_equal(every_server: ThrowawayServer, pair: Pair) -> None:
    if every_server.major < pair.since:
        pytest.skip(f"needs PostgreSQL {pair.since}")
    try:
        problems = {way: prove(every_server, pair, way=way) for way in get_args(Way)}
    except UnavailableHere as reason:
        pytest.skip(str(reason))
    assert problems == {way: [] for way in get_args(Way)}
