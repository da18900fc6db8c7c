"""Pairs of schemas, a file a family of kinds."""

from __future__ import annotations

from ..proof import Pair
from .application import APPLICATION
from .code import CODE
from .in_range import IN_RANGE
from .inherited import INHERITED
from .more import MORE
from .newer import NEWER
from .rarer import RARER
from .rebuilt import REBUILT
from .tables import TABLES
from .tangled import TANGLED

PAIRS: tuple[Pair, ...] = (
    *APPLICATION,
    *TABLES,
    *CODE,
    *TANGLED,
    *RARER,
    *NEWER,
    *INHERITED,
    *IN_RANGE,
    *REBUILT,
    *MORE,
)
