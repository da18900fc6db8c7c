"""Pairs of schemas, a file a family of kinds."""

from __future__ import annotations

from ..proof import Pair
from .application import APPLICATION

PAIRS: tuple[Pair, ...] = (*APPLICATION,)
