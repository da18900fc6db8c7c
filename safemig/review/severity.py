"""How much a finding weighs."""

from __future__ import annotations

from enum import Enum


class Severity(Enum):
    """How much a finding weighs. A recommendation never changes the verdict."""

    CAUTION = "caution"
    DANGEROUS = "dangerous"
    RECOMMENDATION = "recommendation"

    def __str__(self) -> str:
        return self.value
