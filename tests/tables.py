"""Long tables of cases: a part that stands for the whole runs by default, the rest with the mark `thorough`.

Random examples have hypothesis's own way: `--hypothesis-profile=thorough` tries others, and twenty times as many.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest
from hypothesis import settings

_USUAL = 100
settings.register_profile("usual", max_examples=_USUAL, derandomize=True, deadline=None, database=None)
settings.register_profile("thorough", max_examples=20 * _USUAL, deadline=None, database=None)
settings.load_profile("usual")


def part_of(
    cases: Iterable[Any], default: Callable[[Any], bool] | Collection[Any], name: Callable[[Any], str]
) -> list[Any]:
    """Return the cases as parameters named by `name`; those that are not of the default part have the mark `thorough`.

    A case that is a tuple is several parameters.
    """
    is_default = default if callable(default) else default.__contains__
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            id=name(case),
            marks=() if is_default(case) else (pytest.mark.thorough,),
        )
        for case in cases
    ]


def examples(count: int, **more: Any) -> settings:
    """Return the settings of a test of `count` random examples, the same each time; other and more ones thoroughly."""
    return settings(max_examples=count * settings.default.max_examples // _USUAL, **more)  # type: ignore[union-attr]
