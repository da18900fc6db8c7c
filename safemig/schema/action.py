"""One action of a plan: statements that run together, and what must run before them."""

from __future__ import annotations

from dataclasses import dataclass, field

from safemig.schema.kinds.base import Step
from safemig.schema.model import Id

Key = tuple[int, str, str, str, int, str]


@dataclass(eq=False, slots=True)
class Action:
    """Statements that run together. `before` are the actions that must run first; True where it cannot do without."""

    key: Key
    item: Id
    steps: list[Step]
    creates: set[Id] = field(default_factory=set)
    drops: set[Id] = field(default_factory=set)
    alters: set[Id] = field(default_factory=set)
    needs: set[Id] = field(default_factory=set)
    before: dict[Action, bool] = field(default_factory=dict)
    only_with: Action | None = None  # what it makes way for, and is pointless without

    def wait_for(self, other: Action, *, hard: bool) -> None:
        if other is not self:
            self.before[other] = self.before.get(other, False) or hard

    @property
    def is_destructive(self) -> bool:
        return any(step.destructive for step in self.steps)
