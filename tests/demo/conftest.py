"""A small shop for the tests of this folder: the demo's, with fewer rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from safemig.demo.shop import Shop, Sizes

SMALL = Sizes(users=200, products=60, orders=400)


@pytest.fixture(scope="session")
def small() -> Sizes:
    """The sizes of the shops of these tests."""
    return SMALL


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop that tests only look at."""
    with Shop.start(tmp_path_factory.mktemp("shop"), production=SMALL) as shop:
        yield shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop of the test's own."""
    with Shop.start(tmp_path / "shop", production=SMALL) as started:
        yield started
