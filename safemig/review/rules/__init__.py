"""All rules, a module a family; importing this registers them."""

from __future__ import annotations

from safemig.review.rules import (
    access,
    columns,
    constraints,
    design,
    destruction,
    drops,
    hidden,
    indexes,
    order,
    partitions,
    retyping,
    rows,
    settings,
    unknown,
)

__all__ = [
    "access", "columns", "constraints", "design", "destruction", "drops", "hidden", "indexes", "order", "partitions", "retyping",
    "rows", "settings", "unknown",
]  # fmt: skip
