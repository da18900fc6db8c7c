"""What a listener is told while a runbook runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safemig.records.gate import Gate
    from safemig.records.outcome import RecordedResult

Listen = Callable[["Progress"], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """A cell began (`description`), answered (`result`), how far it is (`moment`), or is about to ask (`gate`).

    `drawn` is the latest result as a terminal shows it, where the run's kernel was asked to draw for one.
    """

    description: str = ""
    result: RecordedResult | None = None
    moment: RecordedResult | None = None
    drawn: str = ""
    gate: Gate | None = None
