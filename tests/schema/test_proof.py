"""Every pair of schemas converges: there by our script, judged by pg_dump, and back again."""

from __future__ import annotations

import pytest

from safemig.postgres.server import ThrowawayServer

from .pairs import PAIRS
from .proof import Pair, UnavailableHere, prove


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name.replace(" ", "-"))
def test_pair_converges_there_and_back(server: ThrowawayServer, pair: Pair) -> None:
    if server.major < pair.since:
        pytest.skip(f"needs PostgreSQL {pair.since}")
    try:
        problems = prove(server, pair)
    except UnavailableHere as reason:
        pytest.skip(str(reason))
    assert problems == []
