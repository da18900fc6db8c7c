"""The actions of a plan by what they make and drop: what a kind sees when it says which of its own wait for which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from safemig.schema.action import Action
from safemig.schema.model import Id
from safemig.schema.plan import Plan


@dataclass(frozen=True, slots=True)
class Links:
    """Actions by the facts that they make or alter (`producers`), and by those that they drop."""

    plan: Plan
    producers: dict[Id, list[Action]]
    droppers: dict[Id, Action]
    _dropped: dict[str, list[Id]] = field(default_factory=dict)

    def makers(self, item: Id) -> Sequence[Action]:
        """Return what makes or alters `item`."""
        return self.producers.get(item, ())

    def dropper(self, item: Id) -> Sequence[Action]:
        """Return what drops `item`: one action, or none."""
        found = self.droppers.get(item)
        return () if found is None else (found,)

    def touching(self, item: Id) -> list[Action]:
        """Return what drops, makes or alters `item`."""
        return [*self.dropper(item), *self.makers(item)]

    def dropped(self, kind: str) -> Sequence[Id]:
        """Return all that is dropped of one kind."""
        if not self._dropped:
            for item in self.droppers:
                self._dropped.setdefault(item[0], []).append(item)
        return self._dropped.get(kind, ())

    @staticmethod
    def chain(later: Iterable[Action], earlier: Sequence[Action], *, hard: bool) -> None:
        """Let each of `later` wait for each of `earlier`; hard where it cannot do without."""
        for action in later:
            for other in earlier:
                action.wait_for(other, hard=hard)
