"""Find what differs, and what must be dropped and created again around it.

The rules are the kinds' own (`kinds/`); here is only what needs both schemas, and the graph, to be answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import compress
from operator import ne
from typing import TYPE_CHECKING, Any

from safemig.schema.casts import conversion
from safemig.schema.model import Facts, Id, Schema
from safemig.schema.plan import SWAPPABLE, Plan

if TYPE_CHECKING:
    from safemig.schema.kinds.base import Kind

# What PostgreSQL does not rebuild by itself around a column whose type changes.
HINDERS_TYPE_CHANGE = frozenset(
    {
        "view",
        "materialized view",
        "rule",
        "policy",
        "trigger",
        "default",
        "routine",
        "publication table",
    }
)


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
        self.added = {item for item in differ if item not in before}
        self.changed = differ - self.added
        self.removed = before.keys() - after.keys() if len(before) + len(self.added) != len(after) else set()
        for item in (*base.unseen, *target.unseen):
            for found in (self.added, self.removed, self.changed):
                found.discard(item)
        for item in [item for item in self.added | self.changed if item[0] == "index" and is_leftover(item, target)]:
            self.added.discard(item)  # pg_dump does not write it either
            self.changed.discard(item)
        self.changed -= {
            item
            for item in self.changed
            if item.kind == "materialized view" and before[item]._replace(populated=False) == after[item]
        }
        self._pass_over_names_of_inherited_keys()
        self.no_longer_local = {
            item
            for item in self.changed
            if item.kind in ("column", "constraint") and without_origin(before[item], after[item]) == after[item]
        }
        self.changed -= self.no_longer_local

    def _pass_over_names_of_inherited_keys(self) -> None:
        """Take a partition's foreign keys that are its parent's for equal whatever they are called: pg_dump does not say."""

        def inherited(items: set[Id], facts: Facts) -> dict[tuple[Id, str], Id]:
            found = {}
            for item in items:
                if item.kind == "constraint" and facts[item].type == "f" and facts[item].parent:
                    found[Id("table", item.schema, item.name), facts[item].definition] = item
            return found

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
            for inner in self._inner(item):
                if inner in self.target.facts:  # of something else by the same name
                    self._replace(inner)
        for item in sorted(self.changed):
            if item not in self.replaced and not self._alters(item):
                self._replace(item)
        for item in sorted(item for item in self.added | self.replaced if item[0] == "domain constraint"):
            domain = Id("domain", item.schema, item.name)
            if domain in self.base.facts and domain in self.target.facts and self.is_stored_deeper(domain):
                self._replace(domain)
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
        if item.kind == "column" and old.type != new.type:
            self.retyped.add(item)
        return True

    def _replace(self, item: Id) -> None:
        if item.kind in SWAPPABLE and self.is_stored(item):
            self.swapped.add(item)
            self.alterations.pop(item, None)
            for column in self.stored_in_columns(item):
                # A computed value has no way from the old type to the new, and a partition key has none at all.
                if self.is_generated(column, self.base) or self.is_partition_key(column):
                    self._replace(column)
            return
        table = Id("table", item.schema, item.name)
        if item.kind == "column" and table not in self.dropped and self.is_partition_key(item):
            item = table
        if (
            item.kind == "default"
            and self.is_generated(Id("column", *item[1:]), self.base)
            and not self.can_step_aside(item)
        ):
            column = Id("column", *item[1:])
            if column not in self.replaced and column in self.target.facts:
                item = column
        self.replaced.add(item)
        self.created.add(item)
        self.dropped.add(item)
        self.alterations.pop(item, None)
        for inner in self._inner(item):
            if inner in self.base.facts and inner in self.target.facts and inner not in self.replaced:
                self._replace(inner)
        parent = self._attached_to(item)
        if parent is not None and parent in self.target.facts and parent not in self.replaced:
            self._replace(parent)

    def _attached_to(self, item: Id) -> Id | None:
        """The parent's index or constraint, from which this one cannot be taken while both stay."""
        fact = self.base.facts[item]
        if item.kind not in ("index", "constraint") or not fact.parent:
            return None
        table = item if item.kind == "constraint" else Id("index", fact.table_schema, fact.table)
        if self.leaves_parent(table):
            return None
        if item.kind == "index":
            return Id("index", fact.parent_schema, fact.parent)
        return self.parent_constraint(item, self.base)

    def _attached(self, item: Id) -> list[Id]:
        """What of the partitions goes with an index or constraint of a partitioned table."""
        if item.kind == "index":
            return self.attached_indexes(item, self.base)
        if item.kind != "constraint" or self.base.facts[item].type not in "pux":
            return []
        tables = self.base.descendants(Id("table", item.schema, item.name))
        children = (inner for table in tables for inner in self.base.children.get(table) if inner.kind == "constraint")
        return [
            inner
            for inner in children
            if self.base.facts[inner].parent == item.sub and self.parent_constraint(inner, self.base) == item
        ]

    def _inner(self, item: Id) -> Sequence[Id]:
        """What is lost with a drop, and so must be created again."""
        if item.kind == "column":
            default = Id("default", *item[1:])
            return (default,) if default in self.base.facts else ()
        return self.base.children.get(item, ())

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
                hinders = dependent.kind in HINDERS_TYPE_CHANGE or self._cannot_follow(dependent, item)
                if dependent.kind == "default" and not self.is_generated(Id("column", *dependent[1:]), self.base):
                    hinders = False
                if dependent.kind == "routine" and self.base.facts[dependent].language != "sql":
                    hinders = False
                if hinders:
                    found.append(dependent)
            elif item in self.swapped or item in self.replaced or self._makes_way(item):
                found.append(dependent)
            elif dependent in self.alterations and item not in self.target.graph.needs.get(dependent, ()):
                continue  # altered in place, and needs it no more
            else:
                found.append(dependent)
        if item in self.dropped:
            found += [inner for inner in self._attached(item) if inner in facts]
        if item in self.retyped:
            found += self._stored_rows(Id("table", item.schema, item.name))
        if item in self.swapped:
            for column in self.stored_in_columns(item):
                found += [
                    dependent
                    for dependent in self.base.graph.needed_by.get(column, ())
                    if dependent in facts
                    and dependent.kind in HINDERS_TYPE_CHANGE
                    and (dependent.kind != "default" or self._is_computed_from(dependent, column))
                ]
        return found

    def _stored_rows(self, table: Id) -> list[Id]:
        """The materialized views that hold whole rows of `table`, for which PostgreSQL refuses to change them."""
        columns = (item for item in self.base.graph.needed_by.get(table, ()) if item.kind == "column")
        views = (Id("materialized view", column.schema, column.name) for column in columns)
        return [view for view in views if view in self.base.facts and view in self.target.facts]

    def _is_computed_from(self, default: Id, column: Id) -> bool:
        """Tell whether `default` is the expression of another, generated column."""
        return default[1:] != column[1:] and self.is_generated(Id("column", *default[1:]), self.base)

    def _cannot_follow(self, dependent: Id, column: Id) -> bool:
        """Tell whether PostgreSQL cannot rebuild a constraint or index by itself while its columns change one by one."""
        fact = self.base.facts[dependent]
        if dependent.kind == "index":
            if " WHERE " not in fact.definition and "((" not in fact.definition:
                return False
        elif dependent.kind != "constraint" or fact.type not in "fcx":
            return False
        old, new = self.base.facts[column], self.target.facts[column]
        several = sum(needed in self.retyped for needed in self.base.graph.needs.get(dependent, ())) > 1
        return several or conversion(old.type, new.type).using is not None

    def _makes_way(self, item: Id) -> bool:
        """Tell whether `item` is a column of a relation that is dropped for another of its name."""
        if item.kind != "column":
            return False
        was, will_be = self.base.relation(item.schema, item.name), self.target.relation(item.schema, item.name)
        return was in self.dropped and will_be is not None


def is_leftover(item: Id, schema: Schema) -> bool:
    """Tell whether `item` is an index that a failed CREATE INDEX CONCURRENTLY left behind."""
    if item.kind != "index":
        return False
    fact = schema.facts[item]
    table = schema.facts.get(Id("table", fact.table_schema, fact.table))
    return not fact.is_valid and (table is None or table.relkind != "p")


def without_origin(old: Any, new: Any) -> Any:
    """Return a column or constraint as `old`, but from where `new` has it, as far as no ALTER makes it so.

    A child table's own column can become no inherited one, and no merged one its own again.
    """
    if hasattr(new, "not_null_local"):
        kept = old.not_null_local and not new.not_null_local
        return old._replace(is_local=new.is_local, not_null_local=new.not_null_local if kept else old.not_null_local)
    return old._replace(is_local=new.is_local) if old.is_local and new.inherited else old
