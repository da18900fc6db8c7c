"""All rules, a module a family; importing this registers them."""

from __future__ import annotations

from safemig.review.rules import (
    access,
    columns,
    constraints,
    destruction,
    drops,
    hidden,
    indexes,
    rows,
    unknown,
)

__all__ = ["access", "columns", "constraints", "destruction", "drops", "hidden", "indexes", "rows", "unknown"]
