"""Find what differs, and what must be dropped and created again around it.

The rules are the kinds' own (`kinds/`); here is only what needs both schemas, and the graph, to be answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import compress
from operator import ne
from typing import Any

from safemig.schema.casts import conversion
from safemig.schema.facts import not_null_name
from safemig.schema.kinds import KINDS
from safemig.schema.kinds.base import Step
from safemig.schema.model import Facts, Graph, Id, Schema
from safemig.sql.identifiers import quote_literal, quote_name

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
SWAPPABLE = frozenset({"enum", "domain", "range", "composite type"})


class Plan:
    """Two schemas, what differs between them, and which of it happens in place or by drop and create."""

    def __init__(self, base: Schema, target: Schema, *, online: bool = False, like: Plan | None = None) -> None:
        """Decide. `like` is a plan of the same two schemas, whose findings are taken over."""
        self.base, self.target, self.online = base, target, online
        self.version = base.server_version_num
        self.kinds = KINDS
        self._parents: dict[int, dict[Id, list[Id]]] = {} if like is None else like._parents
        self._children: dict[int, dict[Id, list[Id]]] = {} if like is None else like._children
        self.added: set[Id] = set()
        self.removed: set[Id] = set()
        self.changed: set[Id] = set()
        self.no_longer_local: set[Id] = set()  # differ only in what a child table has of its own, which has no ALTER
        if like is None:
            self._find()
        else:
            self.added, self.removed, self.changed = like.added, like.removed, like.changed
            self.no_longer_local = like.no_longer_local
        self.replaced: set[Id] = set()
        self.swapped: set[Id] = set()
        self.retyped: set[Id] = set()
        self.alterations: dict[Id, list[Step]] = {}
        self.created: set[Id] = set(self.added)
        self.dropped: set[Id] = set(self.removed)
        self._creators: dict[Id, Id] = {}
        self._with_children: set[Id] | None = None
        # Whether the plan of a script that commits on its way (`online`) is another one.
        self.differs_online = False
        self._taken: set[tuple[str, str]] | None = None
        self._referenced: dict[Id, bool] = {}
        if self.added or self.removed or self.changed:
            self._decide()

    def _find(self) -> None:
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
        for item in [item for item in self.added | self.changed if is_leftover(item, target)]:
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

    # -- deciding ----------------------------------------------------------------------------------------------

    def _decide(self) -> None:
        """Repeat until nothing more is found: what cannot be altered is replaced, and so is what stands on it."""
        for item in sorted(self.removed):
            for inner in self._inner(item):
                if inner in self.target.facts:  # of something else by the same name
                    self._replace(inner)
        for item in sorted(self.changed):
            if item not in self.replaced and not self._alters(item):
                self._replace(item)
        for item in sorted(self.added | self.replaced):
            if item.kind == "domain constraint":
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
        tables = self.descendants(Id("table", item.schema, item.name), self.base)
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
            if dependent not in facts or not self.kinds[dependent.kind].rebuildable:
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

    # -- questions that the kinds ask -----------------------------------------------------------------------------

    def created_by(self, item: Id) -> Id:
        """Return the object whose CREATE makes `item`: itself, or what it comes with."""
        if item not in self._creators:
            self._creators[item] = item
            fact = self.target.facts.get(item)
            outer = None if fact is None else self.kinds[item.kind].created_with(item, fact, self)
            if outer is not None:
                self._creators[item] = self.created_by(outer)
        return self._creators[item]

    def dropped_by(self, item: Id) -> Id:
        outer = self.kinds[item.kind].dropped_with(item, self.base.facts[item], self)
        return item if outer is None else self.dropped_by(outer)

    def stored_in_columns(self, item: Id) -> list[Id]:
        """The surviving columns that are made of a type."""
        return [
            dependent
            for dependent in sorted(self.base.graph.needed_by.get(item, ()))
            if dependent.kind == "column"
            and dependent in self.target.facts
            and Id("table", dependent.schema, dependent.name) in self.target.facts
            and item in self.target.graph.needs.get(dependent, ())
        ]

    def is_partition_key(self, column: Id) -> bool:
        """Tell whether a table is partitioned by a column: it can be neither dropped nor given another type then."""
        table = Id("table", column.schema, column.name)
        if not self.is_partitioned(column) or table not in self.base.facts:
            return False
        needs = self.base.graph.needs
        return needs.get(column, {}).get(table) == "i" or column in needs.get(table, ())

    def is_stored(self, item: Id) -> bool:
        """Tell whether columns are made of a type, or of a type that is made of it."""
        if self.stored_in_columns(item):
            return True
        return any(
            dependent.kind in SWAPPABLE and dependent in self.target.facts and self.is_stored(dependent)
            for dependent in self.base.graph.needed_by.get(item, ())
            if dependent != item
        )

    def is_stored_deeper(self, item: Id) -> bool:
        """Tell whether columns hold a type inside arrays or other types, where ALTER DOMAIN cannot check it."""
        if any(self.base.facts[column].type.endswith("]") for column in self.stored_in_columns(item)):
            return True
        return self.is_stored(item) and not self.stored_in_columns(item)

    def can_step_aside(self, default: Id) -> bool:
        """Tell whether a generated column's expression can be taken away for a while (SET EXPRESSION, 17)."""
        column = Id("column", *default[1:])
        if self.version < 170000 or column not in self.target.facts:
            return False
        old, new = self.base.facts[column], self.target.facts[column]
        return bool(old.generated) and old.generated == new.generated and not old.not_null and old.type == new.type

    def steps_aside(self, default: Id) -> bool:
        return (
            default in self.replaced
            and Id("column", *default[1:]) not in self.created
            and self.is_generated(Id("column", *default[1:]), self.base)
            and self.can_step_aside(default)
        )

    def row_type(self, column: Id, schema: Schema) -> Id | None:
        """The composite type that the column's table is made of, where it is one before and after."""
        table = Id("table", column.schema, column.name)
        before, after = self.base.facts.get(table), self.target.facts.get(table)
        if before is None or after is None or not after.of_type or before.of_type != after.of_type:
            return None
        return next((needed for needed in schema.graph.needs.get(table, ()) if needed.kind == "composite type"), None)

    def has_typed_tables(self, item: Id) -> bool:
        return any(dependent.kind == "table" for dependent in self.base.graph.needed_by.get(item, ()))

    def table_of(self, item: Id) -> Any:
        return self.target.facts.get(Id("table", item.schema, item.name)) or self.base.facts.get(
            Id("table", item.schema, item.name)
        )

    def table_keyword(self, item: Id) -> str:
        table = self.table_of(item)
        if table is None:
            return "MATERIALIZED VIEW" if self.is_materialized_view(item) else "VIEW"
        return "FOREIGN TABLE" if table.relkind == "f" else "TABLE"

    def is_materialized_view(self, item: Id) -> bool:
        found = Id("materialized view", item.schema, item.name)
        return found in self.target.facts or (
            found in self.base.facts and Id("table", item.schema, item.name) not in self.target.facts
        )

    def is_partitioned(self, item: Id) -> bool:
        table = self.table_of(item)
        return table is not None and table.relkind == "p"

    def is_partitioned_index(self, fact: Any, schema: Schema | None = None) -> bool:
        table = (schema or self.target).facts.get(Id("table", fact.table_schema, fact.table))
        return table is not None and table.relkind == "p"

    def is_generated(self, column: Id, schema: Schema) -> bool:
        fact = schema.facts.get(column)
        return fact is not None and bool(fact.generated)

    def expression_differs(self, column: Id) -> bool:
        default = Id("default", *column[1:])
        return self.base.facts.get(default) != self.target.facts.get(default)

    def usual_storage(self, column: Id) -> str:
        """What SET STORAGE DEFAULT would say, for servers before 16."""
        type_name = self.target.facts[column].type
        return "MAIN" if type_name.startswith(("numeric", "inet", "cidr")) else "EXTENDED"

    def is_volatile(self, default: Id) -> bool:
        text = self.target.facts[default].expression
        return any(word in text for word in ("nextval(", "random(", "uuid", "clock_timestamp(", "timeofday("))

    def uses_labels(self, enum: Id, labels: Sequence[str]) -> bool:
        """Tell whether anything that this script writes says one of the new `labels` of `enum`."""
        plain = [quote_literal(label).strip() for label in labels]
        said = [f"{label}::{quote_name(enum.schema, enum.name)}" for label in plain]
        found = any(
            word in repr(self.target.facts[item]).replace("\\'", "'")
            for item in self.added | self.changed | self.replaced
            for word in (plain if item.kind == "partition" else said)  # bounds are said without a cast
            if item != enum
        )
        self.differs_online |= found
        return found

    def stands_apart(self, item: Id, container: Id | None = None) -> bool:
        """Tell whether `item` needs something that needs its own table: then it cannot be part of its CREATE."""
        container = container or Id("table", item.schema, item.name)
        return _comes_back(self.target.graph, item, container)

    def must_go_first(self, item: Id, container: Id) -> bool:
        """Tell whether `item` needs something that needs its own container: then it must be dropped before both."""
        if container.kind == "column":
            container = Id("table", container.schema, container.name)
        return _comes_back(self.base.graph, item, container)

    def references_dropped(self, item: Id, container: Id) -> bool:
        """Tell whether `item` needs another table or view that is dropped, or a column of one."""
        return any(
            needed[1:3] != container[1:3]
            and needed.kind in ("table", "view", "materialized view", "column")
            and self.base.relation(needed.schema, needed.name) in self.dropped
            for needed in self.base.graph.needs.get(item, ())
        )

    # -- parents and partitions -------------------------------------------------------------------------------------

    def _parent_tables(self, schema: Schema) -> dict[Id, list[Id]]:
        found = self._parents.get(id(schema))
        if found is None:
            found = {}
            for item, fact in schema.facts.items():
                if item.kind in ("partition", "inheritance"):
                    found.setdefault(Id("table", item.schema, item.name), []).append(
                        Id("table", fact.parent_schema, fact.parent)
                    )
            self._parents[id(schema)] = found
        return found

    def parent_columns(self, column: Id, schema: Schema) -> list[Id]:
        """The columns of the same name in the parents of `column`'s table."""
        if column.kind != "column":
            return []
        parents = self._parent_tables(schema).get(Id("table", column.schema, column.name), ())
        found = (Id("column", parent.schema, parent.name, column.sub) for parent in parents)
        return [item for item in found if item in schema.facts]

    def has_children(self, item: Id) -> bool:
        """Tell whether the table of `item` has partitions or children, before or after."""
        if self._with_children is None:
            self._with_children = {
                parent
                for schema in (self.base, self.target)
                for parents in self._parent_tables(schema).values()
                for parent in parents
            }
        return Id("table", item.schema, item.name) in self._with_children

    def inherits_throughout(self, item: Id, parent: Id) -> bool:
        """Tell whether the table of `item` is a child of `parent`'s before, during and after."""
        for link in (
            Id("partition", item.schema, item.name),
            Id("inheritance", item.schema, item.name, f"{parent.schema}.{parent.name}"),
        ):
            if link in self.base.facts and link in self.target.facts and link not in self.replaced:
                fact = self.base.facts[link]
                if (fact.parent_schema, fact.parent) == (parent.schema, parent.name):
                    return True
        return False

    def parent_does(self, item: Id, *attributes: str) -> bool:
        """Tell whether a parent's column changes in the same way, which PostgreSQL passes on to `item`."""
        old, new = self.base.facts[item], self.target.facts[item]
        for parent in self.parent_columns(item, self.target):
            if parent not in self.base.facts or not self.inherits_throughout(item, parent):
                continue
            before, after = self.base.facts[parent], self.target.facts[parent]
            if all(
                getattr(before, name) == getattr(old, name) and getattr(after, name) == getattr(new, name)
                for name in attributes
            ):
                return True
        return False

    def parent_renames_not_null(self, item: Id) -> bool:
        """Tell whether a parent's not-null constraint gets the same new name, which PostgreSQL passes on to `item`."""

        def names(column: Id) -> tuple[str, str]:
            return not_null_name(column, self.base.facts[column]), not_null_name(column, self.target.facts[column])

        return any(
            parent in self.base.facts and self.inherits_throughout(item, parent) and names(parent) == names(item)
            for parent in self.parent_columns(item, self.target)
        )

    def not_null_name_is_taken(self, item: Id) -> bool:
        """Tell whether another table holds the name that the server would choose: it would choose another one then."""
        if self.version < 180000:
            return False
        if self._taken is None:
            self._taken = {
                (column.schema, fact.not_null_name)
                for schema in (self.base, self.target)
                for column, fact in schema.facts.items()
                if column.kind == "column" and fact.not_null_name
            }
        return (item.schema, not_null_name(item, self.target.facts[item])) in self._taken

    def differs_from_parent(self, default: Id) -> bool:
        """Tell whether a column that is added with its parent's has a default of its own."""
        column = Id("column", *default[1:])
        maker = self.created_by(column)
        if maker.kind != "column" or maker == column:
            return False
        of_parent = self.target.facts.get(Id("default", *maker[1:]))
        return bool(of_parent != self.target.facts[default]) and not self.is_generated(column, self.target)

    def children_columns(self, column: Id) -> list[Id]:
        """The columns that come with `column` in children of its table."""
        return [
            item
            for item in sorted(self.created)
            if item.kind == "column" and item != column and item.sub == column.sub and self.created_by(item) == column
        ]

    def parent_constraint(self, item: Id, schema: Schema | None = None) -> Id | None:
        schema = schema or self.target
        name = schema.facts[item].parent or item.sub
        for parent in self._parent_tables(schema).get(Id("table", item.schema, item.name), ()):
            found = Id("constraint", parent.schema, parent.name, name)
            if found in schema.facts:
                return found
        return None

    def attached_indexes(self, index: Id, schema: Schema | None = None) -> list[Id]:
        """The indexes of partitions that belong to a partitioned index (of the target, where `schema` is not said)."""
        return sorted((schema or self.target).attached_indexes.get((index.schema, index.name), ()))

    def indexes_of(self, table: Id, schema: Schema) -> Sequence[Id]:
        return schema.indexes.get((table.schema, table.name), ())

    def columns_that_come_and_go(self, view: Id) -> set[Id]:
        """Return the columns that are added to or removed from what a view reads, before or after."""
        read = {
            self.base.relation(*needed[1:3]) or self.target.relation(*needed[1:3])
            for schema in (self.base, self.target)
            for needed in schema.graph.needs.get(view, ())
        }
        return {
            inner
            for relation in read
            if relation is not None and relation != view
            for schema in (self.base, self.target)
            for inner in schema.children.get(relation)
            if inner.kind == "column" and (inner in self.added or inner in self.removed)
        }

    def leaves_parent(self, item: Id) -> bool:
        """Tell whether the table of `item` stays while it is detached, or inherits no more: it keeps what it has."""
        table = Id("table", item.schema, item.name)
        return table not in self.dropped and any(
            inner.kind in ("partition", "inheritance") and inner in self.dropped
            for inner in self.base.children.get(table)
        )

    def ancestors(self, table: Id, schema: Schema) -> list[Id]:
        """The parents of `table`, theirs, and so on."""
        parents = self._parent_tables(schema)
        found = list(parents.get(table, ()))
        for parent in found:
            found += parents.get(parent, ())
        return found

    def descendants(self, table: Id, schema: Schema) -> list[Id]:
        """The children of `table`, theirs, and so on."""
        children = self._children.get(id(schema))
        if children is None:
            children = self._children[id(schema)] = {}
            for child, parents in self._parent_tables(schema).items():
                for parent in parents:
                    children.setdefault(parent, []).append(child)
        found = list(children.get(table, ()))
        for child in found:
            found += children.get(child, ())
        return found

    def is_referenced(self, table: Id) -> bool:
        """Tell whether a foreign key references `table`, before or after."""
        found = self._referenced.get(table)
        if found is None:
            found = self._referenced[table] = self._has_reference(table)
        return found

    def _has_reference(self, table: Id) -> bool:
        words = f" REFERENCES {quote_name(table.schema, table.name)}("
        return any(
            dependent.kind == "constraint" and words in schema.facts[dependent].definition
            for schema in (self.base, self.target)
            for column in schema.children.get(table)
            if column.kind == "column"
            for dependent in schema.graph.needed_by.get(column, ())
        )

    def attached_anew(self, item: Id) -> bool:
        return Id("partition", item.schema, item.name) in self.created

    def detached(self, item: Id) -> bool:
        return Id("partition", item.schema, item.name) in self.dropped


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


def _comes_back(graph: Graph, item: Id, container: Id) -> bool:
    own = {
        needed
        for needed in graph.needs.get(item, ())
        if needed[1:3] == container[1:3] and needed.kind in ("table", "column", "domain")
    }
    start = [
        needed
        for needed in graph.needs.get(item, ())
        if needed not in own and needed.kind not in ("sequence", "extension")
    ]
    return bool(start) and graph.reaches(start, container)
