"""How a change is cut into files: as the dependencies allow, and elsewhere where what is tried fails between two files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from safemig.copies.roles import refuse_as, refuse_nothing
from safemig.copies.shadow import Shadow
from safemig.copies.tried_files import File, find_causes, try_files
from safemig.postgres.connection import Connection
from safemig.results import Behaviour, Gap, Moved
from safemig.schema import ChangeSet, Schema, SchemaDiff, Statement, compare
from safemig.schema.difference import is_atomic

T = TypeVar("T")
Parts = Mapping[int, Sequence[tuple[ChangeSet, tuple[Statement, ...]]]]
_MOVES = 4  # that may be needed to close one gap


def parts_of(diff: SchemaDiff) -> Parts:
    """Return what each file holds, in the order of the files: the statements of every change set that belong to its part."""
    found: dict[int, list[tuple[ChangeSet, tuple[Statement, ...]]]] = {}
    for each in diff.change_sets:
        for part, statements in each.parts:
            found.setdefault(part, []).append((each, statements))
    return dict(sorted(found.items()))


def files_of_parts(parts: Parts, names: Sequence[str], *, enabled: Collection[int] = ()) -> list[File]:
    """Return the live statements of each part, and those of the disabled changes whose numbers are in `enabled`."""
    found = []
    for name, (part, held) in zip(names, parts.items(), strict=True):
        live_ones = [
            (one, each.number)
            for each, statements in held
            if each.disabled is None or each.number in enabled
            for one in statements
        ]
        statements, numbers = tuple(one for one, _ in live_ones), tuple(number for _, number in live_ones)
        found.append(File(name, is_atomic(part), statements, numbers))
    return found


@dataclass(frozen=True)
class Trials:
    """Tries files on a copy of the base with rows that are drawn from staging, which is only read.

    named: the paths of so many new files, as the project names them.
    """

    shadow: Shadow
    staging: Connection
    base_name: str
    base: Schema
    target: Schema
    renames: Mapping[str, str]
    named: Callable[[int], Sequence[str]]

    def compare(self, not_before: Mapping[int, int]) -> SchemaDiff:
        """Return the difference with these changes not before these parts."""
        return compare(self.base, self.target, renames=self.renames, with_change_sets=True, not_before=not_before)

    def behaviour(self, diff: SchemaDiff) -> Behaviour:
        """Try before and after each file what it touches."""
        return self._on_a_copy(
            lambda copy: try_files(copy, self.staging, self._files(diff), self.base, self.target, self.renames)
        )

    def cause(self, diff: SchemaDiff, gap: Gap) -> int | None:
        """Return the number of the change that opens a gap; None where that did not show."""
        files = self._files(diff)
        if gap.statements is not None:
            return files[gap.start - 1].numbers[gap.statements[0] - 1]
        found = self._on_a_copy(
            lambda copy: find_causes(copy, self.staging, files, self.base, self.target, self.renames, [gap])
        )
        return found.get(gap)

    def alone(self, diff: SchemaDiff, number: int, about: Collection[str]) -> tuple[Behaviour, Schema]:
        """Try the files with one disabled change enabled, for the objects of these names; and return what they make."""
        files, copy = self._files(diff, enabled=(number,)), self.shadow.make(template=self.base_name)
        found = self._on_a_copy(
            lambda own: try_files(own, self.staging, files, self.base, self.target, only=about), copy
        )
        return found, self.shadow.schema(copy)

    def _files(self, diff: SchemaDiff, enabled: Collection[int] = ()) -> list[File]:
        parts = parts_of(diff)
        return files_of_parts(parts, self.named(len(parts)), enabled=enabled)

    def _on_a_copy(self, act: Callable[[Connection], T], copy: str = "") -> T:
        copy = copy or self.shadow.make(template=self.base_name)
        refuse_as(self.staging, self.shadow.server, self.shadow.deployer)
        try:
            return self.shadow.within(copy, act)
        finally:
            refuse_nothing(self.shadow.server)


def cut_elsewhere(trials: Trials, diff: SchemaDiff, behaviour: Behaviour) -> tuple[SchemaDiff, Behaviour]:
    """Return the difference with changes moved to later files, so that less fails between two of them, and how it behaves.

    What opens a gap waits for the file that closes it. A move counts only when the repeated trial shows the gap
    closed and no other one opened; a gap that no move closes stays, and is named.
    """
    placed: dict[int, int] = {}
    hopeless: set[tuple[str, str]] = set()
    why: dict[int, str] = {}
    while gap := next((gap for gap in behaviour.gaps if (gap.what, gap.role) not in hopeless), None):
        found = _closed(trials, diff, behaviour, gap, placed)
        if found is None:
            hopeless.add((gap.what, gap.role))
            continue
        closed, diff, behaviour = found
        whose = f" as {gap.role}" if gap.role else ""
        why |= {at: f"{gap.what}{whose}" for at in closed if closed[at] != placed.get(at)}
        placed = closed
    return diff, replace(behaviour, moved=tuple(_moved(diff, why)))


def _moved(diff: SchemaDiff, why: Mapping[int, str]) -> Iterator[Moved]:
    files = {part: at for at, part in enumerate(parts_of(diff), 1)}
    for each in diff.change_sets:
        if each.number in why:
            yield Moved(each.number, files[each.parts[0][0]], why[each.number])


def _closed(
    trials: Trials, diff: SchemaDiff, behaviour: Behaviour, gap: Gap, placed: Mapping[int, int]
) -> tuple[dict[int, int], SchemaDiff, Behaviour] | None:
    """Return where the changes stand when the gap is closed, with the difference and its behaviour; None if it stays.

    One move may show the next: the function that waits for its new index keeps the old index from going.
    """
    places, now, shown = dict(placed), diff, behaviour
    still: Gap | None = gap
    for _ in range(_MOVES):
        if still is None:
            break
        number, end = trials.cause(now, still), list(parts_of(now))[still.end - 1]
        part = end if is_atomic(end) else end + 1
        if number is None or places.get(number, 0) >= part:
            return None
        if number in places and number not in placed:
            return None  # what closes the gap waits for what opens it
        places[number] = part
        now = trials.compare(places)
        shown = trials.behaviour(now)
        still = next((each for each in shown.gaps if (each.what, each.role) == (gap.what, gap.role)), None)
    is_better = still is None and len(shown.gaps) < len(behaviour.gaps)
    fails_no_more = len(shown.broken) <= len(behaviour.broken) and len(shown.unfit) <= len(behaviour.unfit)
    return (places, now, shown) if is_better and fails_no_more else None
