"""Find what differs, and what must be dropped and created again around it.

The rules are the kinds' own (`kinds/`); here is only what needs both schemas, and the graph, to be answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import compress
from operator import ne
from typing import TYPE_CHECKING

from safemig.schema.model import Facts, Id, Schema, by_kind
from safemig.schema.plan import Plan

if TYPE_CHECKING:
    from safemig.schema.kinds.base import Kind


def decide(
    base: Schema, target: Schema, kinds: Mapping[str, Kind], *, online: bool = False, like: Plan | None = None
) -> Plan:
    """Return the plan from `base` to `target`. `like` is one of the same two schemas, whose findings are taken over."""
    plan = _Decisions(base, target, kinds, online=online)
    if like is None:
        plan.find()
    else:
        plan.added, plan.removed, plan.changed = like.added, like.removed, like.changed
        plan.no_longer_local = like.no_longer_local
    if plan.added or plan.removed or plan.changed:
        plan.decide()
    return plan


class _Decisions(Plan):
    """A plan while it is made."""

    def find(self) -> None:
        """Find what was added, removed and changed."""
        base, target = self.base, self.target
        before, after = base.facts, target.facts
        # The loop runs in C: nearly all facts are equal, and there may be a million.
        differ = set(compress(after, map(ne, map(before.get, after), after.values())))
        self.added = differ.difference(before)
        self.changed = differ - self.added
        self.removed = before.keys() - after.keys() if len(before) + len(self.added) != len(after) else set()
        for item in (*base.unseen, *target.unseen):
            for found in (self.added, self.removed, self.changed):
                found.discard(item)
        kinds = self.kinds
        leftovers = {
            item
            for name, items in by_kind((*self.added, *self.changed)).items()
            for item in (items if kinds[name].may_be_left_over else ())
            if kinds[name].is_leftover(after[item], target)
        }
        self.added -= leftovers  # pg_dump does not write them either
        self.changed -= leftovers
        self.changed -= {item for item in self.changed if kinds[item[0]].means_the_same(before[item], after[item])}
        self._pass_over_names_of_inherited_keys()
        self.no_longer_local = {
            item for item in self.changed if kinds[item[0]].is_no_longer_local(before[item], after[item])
        }
        self.changed -= self.no_longer_local

    def _pass_over_names_of_inherited_keys(self) -> None:
        """Take a partition's foreign keys that are its parent's for equal whatever they are called: pg_dump does not say."""
        keys = self.ways("key_of_parent")

        def inherited(items: set[Id], facts: Facts) -> dict[tuple[Id, str], Id]:
            found = {}
            for item in items:
                key = keys[item[0]](facts[item]) if item[0] in keys else None
                if key is not None:
                    found[Id("table", item.schema, item.name), key] = item
            return found

        if self.added and self.removed:
            added, removed = inherited(self.added, self.target.facts), inherited(self.removed, self.base.facts)
            for key in added.keys() & removed.keys():
                self.added.discard(added[key])
                self.removed.discard(removed[key])
        kept = inherited(self.changed, self.base.facts).keys() & inherited(self.changed, self.target.facts).keys()
        self.changed -= {item for key, item in inherited(self.changed, self.target.facts).items() if key in kept}

    def decide(self) -> None:
        """Repeat until nothing more is found: what cannot be altered is replaced, and so is what stands on it."""
        self.created, self.dropped = set(self.added), set(self.removed)
        for item in sorted(self.removed):
            for inner in self.kinds[item.kind].inner(item, self):
                if inner in self.target.facts:  # of something else by the same name
                    self._replace(inner)
        for item in sorted(self.changed):
            if item not in self.replaced and not self._alters(item):
                self._replace(item)
        ways = self.ways("cannot_join")
        instead = {ways[item[0]](item, self) for item in self.added | self.replaced if item[0] in ways}
        for item in sorted(item for item in instead if item is not None):
            self._replace(item)
        queue = deque(sorted(self.dropped | self.swapped | self.retyped))
        seen: set[Id] = set()
        while queue:
            item = queue.popleft()
            if item in seen:
                continue
            seen.add(item)
            for dependent in sorted(self._to_rebuild(item)):
                if dependent in self.replaced or dependent in self.removed or dependent in self.swapped:
                    continue
                before = len(self.replaced)
                self._replace(dependent)
                queue.append(dependent)
                if len(self.replaced) > before + 1:
                    queue.extend(sorted(self.replaced - seen))
        # What was decided first may read differently now that more is replaced.
        self.alterations = {}
        for item in sorted(self.changed - self.replaced - self.swapped):
            steps = self.kinds[item.kind].alter(item, self.base.facts[item], self.target.facts[item], self)
            self.alterations[item] = steps or []

    def _alters(self, item: Id) -> bool:
        old, new = self.base.facts[item], self.target.facts[item]
        steps = self.kinds[item.kind].alter(item, old, new, self)
        if steps is None:
            return False
        self.alterations[item] = steps
        if self.kinds[item.kind].is_retyped(old, new):
            self.retyped.add(item)
        return True

    def _replace(self, item: Id) -> None:
        kind = self.kinds[item.kind]
        if kind.is_swappable and self.is_stored(item):
            self.swapped.add(item)
            self.alterations.pop(item, None)
            for column in self.stored_in_columns(item):
                # A computed value has no way from the old type to the new, and a partition key has none at all.
                if self.is_generated(column, self.base) or self.is_partition_key(column):
                    self._replace(column)
            return
        item = kind.replaced_as(item, self)
        kind = self.kinds[item.kind]
        self.replaced.add(item)
        self.created.add(item)
        self.dropped.add(item)
        self.alterations.pop(item, None)
        for inner in kind.inner(item, self):
            if inner in self.base.facts and inner in self.target.facts and inner not in self.replaced:
                self._replace(inner)
        parent = kind.attached_to(item, self.base.facts[item], self)
        if parent is not None and parent in self.target.facts and parent not in self.replaced:
            self._replace(parent)

    def _to_rebuild(self, item: Id) -> list[Id]:
        """Surviving facts that stand on `item`, which goes or changes its type, and hinder it."""
        found = []
        facts = self.target.facts
        for dependent in self.base.graph.needed_by.get(item, ()):
            if dependent not in facts:
                continue
            if not (self.kinds[dependent.kind].rebuildable or self.kinds[item.kind].takes_tables_along):
                continue
            if item in self.retyped:
                if self.kinds[dependent.kind].hinders_type_change(dependent, item, self):
                    found.append(dependent)
            elif item in self.swapped or item in self.replaced or self._makes_way(item):
                found.append(dependent)
            elif dependent in self.alterations and not self._calls_by_name(dependent, item):
                continue  # altered in place, and needs it no more
            else:
                found.append(dependent)
        if item in self.dropped:
            found += [inner for inner in self.kinds[item.kind].attached(item, self) if inner in facts]
        if item in self.retyped:
            found += self._stored_rows(Id("table", item.schema, item.name))
        if item in self.swapped:
            for column in self.stored_in_columns(item):
                found += [
                    dependent
                    for dependent in self.base.graph.needed_by.get(column, ())
                    if dependent in facts and self.kinds[dependent.kind].hinders_conversion(dependent, column, self)
                ]
        return found

    def _calls_by_name(self, dependent: Id, item: Id) -> bool:
        """Tell whether `dependent` needs `item` in the target, or what is made under its name: another overload of a routine.

        A call may be ambiguous while both are there.
        """
        needs = self.target.graph.needs.get(dependent, ())
        return item in needs or any(one in self.created and one[:3] == item[:3] and one != item for one in needs)

    def _stored_rows(self, table: Id) -> list[Id]:
        """The materialized views that hold whole rows of `table`, for which PostgreSQL refuses to change them."""
        columns = (item for item in self.base.graph.needed_by.get(table, ()) if self.kinds[item.kind].holds_values)
        views = (Id("materialized view", column.schema, column.name) for column in columns)
        return [view for view in views if view in self.base.facts and view in self.target.facts]

    def _makes_way(self, item: Id) -> bool:
        """Tell whether `item` is a column of a relation that is dropped for another of its name."""
        if not self.kinds[item.kind].holds_values:
            return False
        was, will_be = self.base.relation(item.schema, item.name), self.target.relation(item.schema, item.name)
        return was in self.dropped and will_be is not None
