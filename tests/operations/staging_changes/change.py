"""One change that is made to staging."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class StagingChange:
    """One change. `disabled` are words of each change set that must come disabled, in any order.

    `first` is what a person does with the rows before the disabled changes can run.
    """

    name: str
    sql: str
    disabled: tuple[str, ...] = ()
    renames: dict[str, str] = field(default_factory=dict)
    first: str = ""
