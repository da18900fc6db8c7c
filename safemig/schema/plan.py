"""A plan: two schemas, what is decided to happen between them, and the questions that the kinds ask about that."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from safemig.schema.facts import not_null_name
from safemig.schema.model import Graph, Id, Schema, by_kind
from safemig.sql.identifiers import quote_literal, quote_name

if TYPE_CHECKING:
    from safemig.schema.kinds.base import Kind, Step


class Plan:
    """Two schemas, and which of their facts are altered in place, made, dropped or replaced; `decisions` fills it."""

    def __init__(self, base: Schema, target: Schema, kinds: Mapping[str, Kind], *, online: bool = False) -> None:
        """Start with nothing decided. `kinds` are all there are, by name; a script is `online` where it commits on its way."""
        self.base, self.target, self.online = base, target, online
        self.version = base.server_version_num
        self.kinds = kinds
        self.added: set[Id] = set()
        self.removed: set[Id] = set()
        self.changed: set[Id] = set()
        self.no_longer_local: set[Id] = set()  # differ only in what a child table has of its own, which has no ALTER
        self.replaced: set[Id] = set()
        self.created: set[Id] = set()
        self.dropped: set[Id] = set()
        self.swapped: set[Id] = set()
        self.retyped: set[Id] = set()
        self.alterations: dict[Id, list[Step]] = {}
        # Whether the plan of an online script is another one.
        self.differs_online = False
        self._creators: dict[Id, Id] = {}
        self._referenced: dict[Id, bool] = {}
        self._passing: dict[Id, tuple[int, bool]] = {}  # with how much was replaced when that was found
        self._ways: dict[str, dict[str, Any]] = {}

    def ways(self, method: str) -> dict[str, Any]:
        """Return that method of each kind that has an answer of its own, by the kind's name: most facts need not be asked."""
        found = self._ways.get(method)
        if found is None:
            found = {kind.name: getattr(kind, method) for kind in self.kinds.values() if kind.has_its_own(method)}
            self._ways[method] = found
        return found

    def created_by(self, item: Id) -> Id:
        """Return the object whose CREATE makes `item`: itself, or what it comes with."""
        found = self._creators.get(item)
        if found is None:
            self._creators[item] = found = item  # also where two come with each other
            ways, fact = self.ways("created_with"), self.target.facts.get(item)
            outer = ways[item[0]](item, fact, self) if fact is not None and item[0] in ways else None
            if outer is not None:
                self._creators[item] = found = self.created_by(outer)
        return found

    @cached_property
    def created_by_kind(self) -> Mapping[str, Sequence[Id]]:
        """What is created, by kind; asked when all is decided."""
        return by_kind(self.created)

    def created_of_kinds(self, attribute: str) -> list[Id]:
        """Return what is created of all kinds that have something, such as `is_relation`."""
        return [
            item
            for name, items in self.created_by_kind.items()
            if getattr(self.kinds[name], attribute)
            for item in items
        ]

    @cached_property
    def made_along(self) -> Mapping[Id, Sequence[Id]]:
        """What is created by the CREATE of something else, or by its change, under that; asked when all is decided."""
        found: dict[Id, list[Id]] = {}
        for relation in self.created_of_kinds("is_relation"):
            inside = self.target.children.get(relation)
            columns = [item for item in inside if self.kinds[item[0]].holds_values]
            self._creators.update(dict.fromkeys(columns, relation))  # many, and nothing is to be asked of them
            found[relation] = columns
        for item in self.created.difference(*found.values()):
            maker = self.created_by(item)
            if maker != item:
                found.setdefault(maker, []).append(item)
        return found

    def dropped_by(self, item: Id) -> Id:
        """Return the object with whose DROP `item` goes: itself, or what it came with."""
        outer = self.kinds[item.kind].dropped_with(item, self.base.facts[item], self)
        if outer is not None and outer not in self.base.facts:
            return outer  # what is made of it
        return item if outer is None else self.dropped_by(outer)

    def stored_in_columns(self, item: Id) -> list[Id]:
        """The surviving columns that are made of a type."""
        return [
            dependent
            for dependent in sorted(self.base.graph.needed_by.get(item, ()))
            if self.kinds[dependent.kind].holds_values
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
            self.kinds[dependent.kind].is_swappable and dependent in self.target.facts and self.is_stored(dependent)
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
        """Tell whether that is done to the generated column's expression in this script."""
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
        return next((one for one in schema.graph.needs.get(table, ()) if self.kinds[one.kind].has_attributes), None)

    def has_typed_tables(self, item: Id) -> bool:
        """Tell whether a composite type has tables that are made of it."""
        return any(self.kinds[one.kind].may_have_type for one in self.base.graph.needed_by.get(item, ()))

    def table_of(self, item: Id) -> Any:
        """Return the fact of the table that `item` lives in, as it will be or, where it goes, as it was."""
        return self.target.facts.get(Id("table", item.schema, item.name)) or self.base.facts.get(
            Id("table", item.schema, item.name)
        )

    def table_keyword(self, item: Id) -> str:
        """Return what ALTER calls the relation that `item` lives in."""
        table = self.table_of(item)
        if table is None:
            return "MATERIALIZED VIEW" if self.is_materialized_view(item) else "VIEW"
        return "FOREIGN TABLE" if table.relkind == "f" else "TABLE"

    def is_materialized_view(self, item: Id) -> bool:
        """Tell whether `item` lives in a materialized view."""
        found = Id("materialized view", item.schema, item.name)
        return found in self.target.facts or (
            found in self.base.facts and Id("table", item.schema, item.name) not in self.target.facts
        )

    def is_partitioned(self, item: Id) -> bool:
        """Tell whether the table of `item` is partitioned."""
        table = self.table_of(item)
        return table is not None and table.relkind == "p"

    def is_partitioned_index(self, fact: Any, schema: Schema | None = None) -> bool:
        """Tell whether an index is one of a partitioned table."""
        table = (schema or self.target).facts.get(Id("table", fact.table_schema, fact.table))
        return table is not None and table.relkind == "p"

    def is_generated(self, column: Id, schema: Schema) -> bool:
        """Tell whether a column is generated."""
        fact = schema.facts.get(column)
        return fact is not None and bool(fact.generated)

    def expression_differs(self, column: Id) -> bool:
        """Tell whether a column's default or generation expression changes."""
        default = Id("default", *column[1:])
        return self.base.facts.get(default) != self.target.facts.get(default)

    def usual_storage(self, column: Id) -> str:
        """What SET STORAGE DEFAULT would say, for servers before 16."""
        type_name = self.target.facts[column].type
        return "MAIN" if type_name.startswith(("numeric", "inet", "cidr")) else "EXTENDED"

    def is_volatile(self, default: Id) -> bool:
        """Tell whether a default gives each row a value of its own, as far as its words say."""
        text = self.target.facts[default].expression
        return any(word in text for word in ("nextval(", "random(", "uuid", "clock_timestamp(", "timeofday("))

    def checks_domain(self, column: Id) -> bool:
        """Tell whether a column is of a domain with a constraint, so that ADD COLUMN looks at every row (before 19)."""
        graph, facts = self.target.graph, self.target.facts
        return self.version < 190000 and any(
            self.kinds[needed.kind].may_be_constrained
            and (
                facts[needed].not_null
                or any(self.kinds[one.kind].is_named_after for one in graph.needed_by.get(needed, ()))
            )
            for needed in graph.needs.get(column, ())
            if needed in facts
        )

    def uses_labels(self, enum: Id, labels: Sequence[str]) -> bool:
        """Tell whether anything that this script writes says one of the new `labels` of `enum`."""
        plain = [quote_literal(label).strip() for label in labels]
        said = [f"{label}::{quote_name(enum.schema, enum.name)}" for label in plain]
        # In an array's text they stand without quotes, as in '{new,held}'::mood[].
        array = re.compile(
            rf"'{{[^']*\b(?:{'|'.join(map(re.escape, labels))})\b[^']*}}'::{re.escape(quote_name(enum.schema, enum.name))}\[\]"
        )
        found = any(
            any(word in text for word in (plain if self.kinds[item.kind].says_values_plainly else said))
            or array.search(text) is not None
            for item in self.added | self.changed | self.replaced
            if item != enum
            for text in [repr(self.target.facts[item]).replace("\\'", "'")]
        )
        self.differs_online |= found
        return found

    def stands_apart(self, item: Id, container: Id | None = None) -> bool:
        """Tell whether `item` needs something that needs its own table: then it cannot be part of its CREATE."""
        container = container or Id("table", item.schema, item.name)
        return self._comes_back(self.target.graph, item, container)

    def must_go_first(self, item: Id, container: Id) -> bool:
        """Tell whether `item` needs something that needs its own container: then it must be dropped before both."""
        return self._comes_back(self.base.graph, item, self.kinds[container.kind].whole(container))

    def references_dropped(self, item: Id, container: Id) -> bool:
        """Tell whether `item` needs another table or view that is dropped, or a column of one."""
        return any(
            needed[1:3] != container[1:3]
            and (self.kinds[needed.kind].is_relation or self.kinds[needed.kind].holds_values)
            and self.base.relation(needed.schema, needed.name) in self.dropped
            for needed in self.base.graph.needs.get(item, ())
        )

    def parent_columns(self, column: Id, schema: Schema) -> list[Id]:
        """The columns of the same name in the parents of `column`'s table."""
        if not self.kinds[column.kind].holds_values:
            return []
        parents = schema.parent_tables.get(Id("table", column.schema, column.name), ())
        found = (Id("column", parent.schema, parent.name, column.sub) for parent in parents)
        return [item for item in found if item in schema.facts]

    def has_children(self, item: Id) -> bool:
        """Tell whether the table of `item` has partitions or children, before or after."""
        table = Id("table", item.schema, item.name)
        return table in self.base.child_tables or table in self.target.child_tables

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

    def inherits_all_along(self, column: Id) -> bool:
        """Tell whether a column comes from a parent before, during and after."""
        return any(self.inherits_throughout(column, parent) for parent in self.parent_columns(column, self.target))

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

    def passes_on(self, default: Id) -> bool:
        """Tell whether all partitions and children get the same new default as their parent: one ALTER TABLE does it."""
        state = len(self.replaced)
        known = self._passing.get(default)
        if known is None or known[0] != state:
            self._passing[default] = known = (state, self._all_get(default))
        return known[1]

    def _all_get(self, default: Id) -> bool:
        table = Id("table", default.schema, default.name)
        if table not in self.base.child_tables:
            return False
        tables = [table, *self.base.descendants(table)]
        items = [Id(default.kind, one.schema, one.name, default.sub) for one in tables]
        return {*tables} == {table, *self.target.descendants(table)} and all(
            item in self.changed
            and item not in self.replaced
            and self.target.facts[item] == self.target.facts[default]
            and (item == default or self.inherits_all_along(Id("column", *item[1:])))
            for item in items
        )

    def is_passed_on(self, default: Id) -> bool:
        """Tell whether a default comes with its parent's."""
        tables = self.base.ancestors(Id("table", default.schema, default.name))
        return any(self.passes_on(Id(default.kind, one.schema, one.name, default.sub)) for one in tables)

    def leaves_not_null_to_parent(self, column: Id) -> bool:
        """Tell whether a child's not-null constraint makes way for one that its parent gets, and passes on to it."""
        old, new = self.base.facts[column], self.target.facts[column]
        if not (old.not_null and new.not_null and old.not_null_no_inherit) or new.not_null_local:
            return False
        return any(
            parent in self.base.facts and not self.base.facts[parent].not_null and self.target.facts[parent].not_null
            for parent in self.parent_columns(column, self.target)
        )

    def has_not_null_apart(self, column: Id) -> bool:
        """Tell whether a child's column gets or loses a not-null constraint by another name than its parent's."""
        old, new = self.base.facts[column], self.target.facts[column]
        if self.version < 180000 or old.not_null == new.not_null:
            return False
        facts = (self.target if new.not_null else self.base).facts
        parents = [parent for parent in self.parent_columns(column, self.target) if parent in facts]
        names = {not_null_name(parent, facts[parent]) for parent in parents if facts[parent].not_null}
        return bool(names) and not_null_name(column, facts[column]) not in names

    def loses_not_null_with_parent(self, column: Id) -> bool:
        """Tell whether a child's not-null constraint goes with its parent's, and it needs one of its own."""
        old, new = self.base.facts[column], self.target.facts[column]
        if not (old.not_null and new.not_null and new.not_null_local) or old.not_null_local:
            return False
        found = [parent for parent in self.parent_columns(column, self.base) if parent in self.target.facts]
        return bool(found) and not any(self.target.facts[parent].not_null for parent in found)

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
        return (item.schema, not_null_name(item, self.target.facts[item])) in self._not_null_names

    @cached_property
    def _not_null_names(self) -> set[tuple[str, str]]:
        return {
            (column.schema, fact.not_null_name)
            for schema in (self.base, self.target)
            for column, fact in schema.of_kind("column")
            if fact.not_null_name
        }

    def differs_from_parent(self, default: Id) -> bool:
        """Tell whether a column that is added with its parent's has a default of its own."""
        column = Id("column", *default[1:])
        maker = self.created_by(column)
        if self.kinds[maker.kind].has_attributes:  # which have none
            return True
        if maker == column or not self.kinds[maker.kind].holds_values:
            return False
        of_parent = self.target.facts.get(Id("default", *maker[1:]))
        return bool(of_parent != self.target.facts[default]) and not self.is_generated(column, self.target)

    def children_columns(self, column: Id) -> list[Id]:
        """The columns that come with `column` in children of its table."""
        return [
            item
            for item in sorted(self.created)
            if item.sub == column.sub
            and item != column
            and self.kinds[item.kind].holds_values
            and self.created_by(item) == column
        ]

    def children_keep(self, item: Id) -> bool:
        """Tell whether a descendant's column or check stays where this one goes: then the DROP must leave the children out."""
        table = Id("table", item.schema, item.name)
        if table not in self.base.child_tables or self.base.facts[table].partition_key:
            return False
        children = (Id(item.kind, child.schema, child.name, item.sub) for child in self.base.descendants(table))
        return any(
            child in self.base.facts
            and child in self.target.facts
            and child not in self.dropped  # made again with its parent's
            and not self._has_from_another(child, table)
            for child in children
        )

    def _has_from_another(self, column: Id, parent: Id) -> bool:
        """Tell whether a child's column stays without being its own: another parent has it, before and after."""
        if self.target.facts[column].is_local or not self.kinds[column.kind].holds_values:
            return False
        return any(
            theirs[1:3] != parent[1:3] and theirs in self.base.facts and self.inherits_throughout(column, theirs)
            for theirs in self.parent_columns(column, self.target)
        )

    def parent_constraint(self, item: Id, schema: Schema | None = None) -> Id | None:
        """Return the constraint of a parent's that a partition's or child's is part of."""
        schema = schema or self.target
        name = schema.facts[item].parent or item.sub
        for parent in schema.parent_tables.get(Id("table", item.schema, item.name), ()):
            found = Id("constraint", parent.schema, parent.name, name)
            if found in schema.facts:
                return found
        return None

    def attached_indexes(self, index: Id, schema: Schema | None = None) -> list[Id]:
        """The indexes of partitions that belong to a partitioned index (of the target, where `schema` is not said)."""
        return sorted((schema or self.target).attached_indexes.get((index.schema, index.name), ()))

    def indexes_of(self, table: Id, schema: Schema) -> Sequence[Id]:
        """Return the indexes of a table or materialized view."""
        return schema.indexes.get((table.schema, table.name), ())

    def primary_key(self, item: Id) -> tuple[str, ...]:
        """Return the columns of the primary key that the table of `item` has before and after; none without one."""
        for inner in self.base.children.get(Id("table", item.schema, item.name), ()):
            found = self.kinds[inner.kind].primary_key(self.base.facts[inner])
            if found and inner in self.target.facts:
                return found
        return ()

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
            if (inner in self.added or inner in self.removed) and self.kinds[inner.kind].holds_values
        }

    def leaves_parent(self, item: Id) -> bool:
        """Tell whether the table of `item` stays while it is detached, or inherits no more: it keeps what it has."""
        table = Id("table", item.schema, item.name)
        return table not in self.dropped and any(
            inner in self.dropped and self.kinds[inner.kind].links_tables for inner in self.base.children.get(table)
        )

    def is_referenced(self, table: Id) -> bool:
        """Tell whether a foreign key references `table`, before or after."""
        if table not in self._referenced:
            self._referenced[table] = self._has_reference(table)
        return self._referenced[table]

    def _has_reference(self, table: Id) -> bool:
        words = f" REFERENCES {quote_name(table.schema, table.name)}("
        return any(
            words in schema.facts[dependent].definition
            for schema in (self.base, self.target)
            for column in schema.children.get(table)
            if self.kinds[column.kind].holds_values
            for dependent in schema.graph.needed_by.get(column, ())
            if self.kinds[dependent.kind].may_reference
        )

    def attached_anew(self, item: Id) -> bool:
        """Tell whether the table of `item` becomes a partition."""
        return Id("partition", item.schema, item.name) in self.created

    def detached(self, item: Id) -> bool:
        """Tell whether the table of `item` is a partition no longer, or for a while."""
        return Id("partition", item.schema, item.name) in self.dropped

    def _comes_back(self, graph: Graph, item: Id, container: Id) -> bool:
        place = container[1:3]
        start = [
            one
            for one in graph.needs.get(item)
            if not ((kind := self.kinds[one[0]]).needs_nothing_here or (kind.is_its_own_place and one[1:3] == place))
        ]
        return bool(start) and graph.reaches(start, container)
