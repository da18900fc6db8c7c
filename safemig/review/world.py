"""What is known to exist at each point of the sequence: from the target, from applied migrations, from this one.

A table is `new` when these migrations certainly create it, `maybe` when they may find it there already
(`IF NOT EXISTS`, inside a DO block), `existing` otherwise. On a new table nothing can be blocked or lost; on a
`maybe` table nothing is blocked, yet what destroys data is still said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from safemig.sql import names
from safemig.sql.names import TEMPORARY, Name
from safemig.sql.tree import Tree, read_trees

if TYPE_CHECKING:
    from safemig.review.exposure import Exposure
    from safemig.review.facts import FunctionFacts, TableFacts, TargetFacts
    from safemig.review.users import Said

ANY_OVERLOAD = "any_overload"  # in a call of which the arguments are not known
Age = Literal["new", "maybe", "existing"]
RULE_EVENTS = {"CMD_INSERT": "insert", "CMD_UPDATE": "update", "CMD_DELETE": "delete", "CMD_SELECT": "select"}


@dataclass(slots=True)
class Column:
    """A column: its type as `format_type()` would spell it (empty where it is not known), and its age."""

    type: str = ""
    age: Age = "existing"
    not_null: bool = False
    calls: tuple[Tree, ...] = ()  # function calls in its default, run by each INSERT


@dataclass(slots=True)
class Constraint:
    """A constraint: kind as pg_constraint.contype, and the column that a validated NOT NULL check is about."""

    kind: str
    is_validated: bool = True
    not_null_column: str | None = None
    columns: tuple[str, ...] = ()
    file: str = ""  # of the migrations under review; empty where an applied one or nobody knows which made it
    on_delete: str = "a"  # of a foreign key, as pg_constraint.confdeltype
    on_update: str = "a"


@dataclass(slots=True)
class Trigger:
    """What a trigger fires on, and the function that it calls; a rule carries its actions instead."""

    events: frozenset[str]
    function: Name | None
    actions: tuple[Tree, ...] = ()
    columns: frozenset[str] = frozenset()  # UPDATE OF these only; empty: any
    calls: tuple[Tree, ...] = ()  # function calls in its WHEN


@dataclass(slots=True)
class EventTrigger:
    """The function that an event trigger runs, at which event, and for which command tags (none: for all)."""

    function: Name
    event: str
    tags: frozenset[str] = frozenset()


@dataclass(slots=True)
class Table:
    """A table as it is known at this point."""

    name: Name
    age: Age
    columns: dict[str, Column] = field(default_factory=dict)
    constraints: dict[str, Constraint] = field(default_factory=dict)
    indexes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    indexes_without_nulls: dict[str, tuple[str, ...]] = field(default_factory=dict)  # ... WHERE a column IS NOT NULL
    triggers: dict[str, Trigger] = field(default_factory=dict)
    facts: TableFacts | None = None
    is_known: bool = False  # all of its columns are known
    is_entangled: bool = False  # something old hangs on it: a partition, a child, a foreign key
    is_partitioned: bool = False
    parent: Name | None = None
    calls: list[Tree] = field(default_factory=list)  # function calls in its checks, generated columns and indexes
    policies: dict[str, tuple[Tree, ...]] = field(default_factory=dict)  # policy -> the function calls in it
    conditions: dict[str, list[Tree]] = field(default_factory=dict)  # policy of the files -> its conditions

    @property
    def is_surely_new(self) -> bool:
        """True where it cannot hold older rows."""
        return self.age == "new" and not self.is_entangled


@dataclass(slots=True)
class Function:
    """A function's body: its text and language, or the statements of a BEGIN ATOMIC body."""

    language: str
    source: str
    definition: str = ""  # the whole CREATE FUNCTION
    statements: tuple[Tree, ...] = ()
    volatility: str = "volatile"
    arguments: tuple[str, ...] = ()  # the types of its input arguments
    optional: int = 0  # how many of the last have defaults
    is_variadic: bool = False
    extras: tuple[str, ...] = ()  # what the target says that CREATE does not bring back, as statements


@dataclass(slots=True)
class World:
    """The state of things; rules read it, `history.apply` writes it."""

    target: TargetFacts | None = None
    server_version: int | None = None
    tables: dict[Name, Table] = field(default_factory=dict)
    indexes: dict[Name, Name] = field(default_factory=dict)  # index -> its table
    functions: dict[Name, list[Function]] = field(default_factory=dict)
    views: dict[Name, Tree] = field(default_factory=dict)
    view_extras: dict[Name, tuple[str, ...]] = field(default_factory=dict)  # as the target tells them
    enums: dict[Name, list[str]] = field(default_factory=dict)
    domains: dict[Name, bool] = field(default_factory=dict)  # domain -> whether it has a constraint
    new_objects: set[tuple[str, Name]] = field(default_factory=set)  # (kind in words, name)
    made_later: dict[tuple[str, Name], str] = field(
        default_factory=dict
    )  # what the file makes, anywhere in it, and how
    granted_later: dict[Name, frozenset[str]] = field(default_factory=dict)  # to whom the file grants something on it
    granted: set[Name] = field(default_factory=set)  # on what the files grant or revoke; (schema, "*") for all in it
    definitions: dict[tuple[str, Name], Tree] = field(
        default_factory=dict
    )  # triggers and policies of the files -> the statements that made them
    taken: dict[tuple[str, Name], Tree] = field(default_factory=dict)  # the same of those that this file dropped
    constraints_later: dict[tuple[str, Name], Tree] = field(default_factory=dict)  # those that the file adds
    secured_later: frozenset[Name] = frozenset()  # tables whose row security the file switches on, anywhere in it
    wrapper: tuple[int, ...] = ()  # which statements of the file are a BEGIN and a COMMIT around all others
    labels_of_this_file: set[tuple[Name, str]] = field(default_factory=set)
    renamed_types: dict[Name, Name] = field(default_factory=dict)  # old name -> new name
    dropped_types: dict[Name, list[str] | None] = field(default_factory=dict)  # older ones -> the labels, where known
    operators: dict[str, list[Name]] = field(default_factory=dict)  # operator -> the functions behind it
    casts: dict[str, list[Name]] = field(default_factory=dict)  # type -> the functions that cast to it
    domain_calls: dict[str, list[Tree]] = field(default_factory=dict)  # domain -> function calls in its checks
    event_triggers: dict[str, EventTrigger] = field(default_factory=dict)
    prepared: dict[str, Tree] = field(default_factory=dict)
    paths_fixed: frozenset[Name] = frozenset()  # functions that the file gives a search_path, anywhere in it
    settings: dict[str, str] = field(default_factory=dict)
    attributes: set[str] = field(default_factory=set)  # functions of one row, which `t.name` calls too
    referring: dict[Name, list[tuple[Name, str]]] = field(
        default_factory=dict
    )  # table -> the foreign keys that lead to it
    path: str = "public"  # the schema in which a name without one is made
    searched: tuple[str, ...] = ()  # where such a name is looked for when it is not there, in order
    own_path: tuple[str, ...] = ("public",)  # what a session begins with
    statistics: dict[Name, Name] = field(default_factory=dict)  # extended statistics -> their table
    children: dict[Name, list[Name]] = field(default_factory=dict)  # table -> its partitions and children
    foreign_keys: list[tuple[Name, Constraint, int]] = field(default_factory=list)  # of this file, by which statement
    statement: int = 0  # the number of the file's statement that is read
    exclusive: set[Name] = field(default_factory=set)  # tables that this file holds ACCESS EXCLUSIVE
    file: str = ""
    pending: bool = False  # False while applied migrations are read
    version: int = 0  # counts the changes of schema
    harmless: set[object] = field(
        default_factory=set
    )  # functions, views, ... in which nothing was found since the last
    by_themselves: bool = False  # each file is read as if all before it were applied
    reported_missing: set[Name] = field(default_factory=set)  # tables that the target lacks, each said once
    young: list[Table] = field(default_factory=list)  # made or given a column since `take_as_applied`
    reshaped: dict[str, set[str]] = field(default_factory=dict)  # what returns other columns or types after this file
    said: dict[int, tuple[Tree, Said]] = field(default_factory=dict)  # a tree's id -> it, and what it names
    unindexed_views: list[tuple[Name, Tree]] = field(default_factory=list)  # views that are not in `views_by` yet
    views_by: dict[str, dict[Name, tuple[Tree, Said]]] = field(
        default_factory=dict
    )  # a name -> the views that read or call what has it
    unindexed: list[tuple[Name, Function]] = field(
        default_factory=list
    )  # functions whose words are not in `named_by` yet
    named_by: dict[str, list[tuple[Name, Function]]] = field(
        default_factory=dict
    )  # a word -> the functions that say it
    has_conditions: bool = False  # whether a policy of the files is known
    exposure: Exposure | None = None  # what the API reaches; None where the platform has none

    def __post_init__(self) -> None:
        if self.target is None:
            return
        self.server_version = self.server_version or self.target.server_version_num
        if self.target.search_path:
            self.own_path = self.target.search_path
            self.use_path(self.own_path)
        for dotted, facts in self.target.tables.items():
            name = self.named(dotted)
            self.tables[name] = _from_facts(name, facts)
            for index in facts.indexes:
                self.indexes[Name(name.schema, index)] = name
            for key, one in facts.constraints.items():
                if one.references:
                    self.referring.setdefault(self.named(one.references), []).append((name, key))
            if facts.parent:
                self.children.setdefault(self.named(facts.parent), []).append(name)
        for dotted, overloads in self.target.functions.items():
            made = self.functions[self.named(dotted)] = [_function(one) for one in overloads]
            self.unindexed += [(self.named(dotted), one) for one in made]
            if any(takes_a_row(one.arguments) for one in overloads):
                self.attributes.add(self.named(dotted).name)
        for key, trigger in self.target.event_triggers.items():
            self.event_triggers[key] = EventTrigger(names.of_dotted(trigger.function), trigger.event, trigger.tags)
        for dotted, labels in self.target.enums.items():
            self.enums[self.named(dotted)] = list(labels)
        for dotted in self.target.constrained_domains:
            self.domains[self.named(dotted)] = True
        for dotted, called in self.target.views.items():
            self.add_view(self.named(dotted), {"SelectStmt": {"targetList": list(_calls(called))}})
        for dotted, extras in self.target.view_extras.items():
            self.view_extras[self.named(dotted)] = extras
        for dotted, table in self.target.statistics.items():
            self.statistics[self.named(dotted)] = self.named(table)

    def take_as_applied(self) -> None:
        """Take what the files so far have made as applied: it may hold rows, and someone may be using it."""
        for table in self.young:
            if table.name.schema != TEMPORARY:
                table.age = "existing"
                for column in table.columns.values():
                    column.age = "existing"
        self.young.clear()
        self.new_objects.clear()

    def named(self, dotted: str) -> Name:
        """Return the name that a dotted spelling means, as `TargetFacts` has them."""
        schema, name = names.of_dotted(dotted)
        return Name(schema or "public", name)

    def resolve(self, name: Name) -> Name:
        """Return the name with its schema: the temporary one of that name first, then the search path's."""
        if name.schema:
            return name
        temporary = Name(TEMPORARY, name.name)
        if temporary in self.tables:
            return temporary
        full = Name(self.path, name.name)
        return self._found(full) if self.searched else full

    def _found(self, full: Name) -> Name:
        """Return the first thing of that name in the search path; where there is none, the name as it would be made."""
        known = (
            self.tables,
            self.views,
            self.functions,
            self.indexes,
            self.enums,
            self.domains,
            self.statistics,
            self.view_extras,
        )
        for schema in (full.schema, *self.searched):
            name = Name(schema, full.name)
            if any(name in one for one in known):
                return name
        return full

    def as_made(self, name: Name) -> Name:
        """Return the name with the schema in which a CREATE puts it."""
        return name if name.schema else Name(self.path, name.name)

    def use_path(self, schemas: Sequence[str]) -> None:
        """Let names without a schema be made in the first of these that counts, and looked for in all."""
        path = [one for one in schemas if one not in ("", "$user", "pg_catalog", TEMPORARY)] or ["public"]
        self.path, self.searched = path[0], tuple(path[1:])

    def table(self, name: Name) -> Table:
        """Return the table, made as `existing` at its first mention."""
        full = self.resolve(name)
        found = self.tables.get(full)
        if found is None:
            found = self.tables[full] = Table(full, "existing")
        return found

    def knows(self, name: Name) -> bool:
        """Tell whether the table was read, or made by a migration."""
        found = self.tables.get(self.resolve(name))
        return found is not None and (found.age != "existing" or found.facts is not None or found.is_known)

    def is_new(self, name: Name) -> bool:
        """Tell whether nothing can be using the table yet."""
        found = self.tables.get(self.resolve(name))
        return found is not None and found.age != "existing"

    def is_surely_new(self, name: Name) -> bool:
        """Tell whether the table cannot hold a row that was there before."""
        if name.schema == TEMPORARY:
            return True  # it lives in this session only
        found = self.tables.get(self.resolve(name))
        return found is not None and found.is_surely_new

    def is_new_object(self, kind: str, name: Name) -> bool:
        """Tell whether these migrations created this function, type, view, schema, index, ..."""
        return (kind, self.resolve(name)) in self.new_objects

    def add_object(self, kind: str, name: Name) -> None:
        """Note that the migrations create it."""
        if self.pending:
            self.new_objects.add((kind, self.resolve(name)))

    def add_view(self, name: Name, query: Tree) -> None:
        """Note a view, or that it has another query now."""
        self.views[name] = query
        self.unindexed_views.append((name, query))

    def comes_again(self, kind: str, name: Name) -> bool:
        """Tell whether the file makes the object (again) further down: the drop only clears the way."""
        return (kind, self.resolve(name)) in self.made_later

    def functions_named(self, name: Name) -> list[Function] | None:
        """Return the known functions of that name; None where none is known."""
        return self.functions.get(self.resolve(name))

    def triggers_on(self, name: Name, event: str, columns: frozenset[str]) -> Iterator[tuple[str, Trigger]]:
        """Yield the triggers and rules that `event` (`insert`, `update` of `columns`, ...) on the table fires."""
        found = self.tables.get(self.resolve(name))
        for trigger_name, trigger in found.triggers.items() if found else ():
            of_others = event == "update" and trigger.columns and columns and not trigger.columns & columns
            if event in trigger.events and not of_others:
                yield trigger_name, trigger

    def has_not_null_check(self, table: Name, column: str) -> bool:
        """Tell whether a validated constraint already says that the column is not null."""
        found = self.tables.get(self.resolve(table))
        if found is None:
            return False
        if found.facts and column in found.facts.not_null_checks:
            return True
        return any(one.not_null_column == column and one.is_validated for one in found.constraints.values())


def _from_facts(name: Name, facts: TableFacts) -> Table:
    columns = {
        key: Column(type=one.type, not_null=one.not_null, calls=_bodies(one.calls))
        for key, one in facts.columns.items()
    }
    constraints = {
        key: Constraint(
            kind=one.kind,
            is_validated=one.is_validated,
            on_delete=_action(one.definition, "DELETE"),
            on_update=_action(one.definition, "UPDATE"),
        )
        for key, one in facts.constraints.items()
    }
    triggers = {
        key: Trigger(one.events, names.of_dotted(one.function), columns=one.columns, calls=_bodies(one.calls))
        for key, one in facts.triggers.items()
        if one.is_enabled
    }
    for key, definition in facts.rules.items():
        [statement] = read_trees(definition)
        rule = statement["stmt"]["RuleStmt"]
        triggers[key] = Trigger(
            frozenset({RULE_EVENTS.get(rule.get("event", ""), "")}), None, tuple(rule.get("actions") or ())
        )
    return Table(
        name,
        "existing",
        columns=columns,
        constraints=constraints,
        indexes={key: one.columns for key, one in facts.indexes.items() if one.is_valid and not one.is_partial},
        triggers=triggers,
        facts=facts,
        is_known=bool(columns),
        is_partitioned=facts.is_partitioned,
        parent=names.of_dotted(facts.parent) if facts.parent else None,
        calls=list(_bodies(facts.calls)),
        policies={key: _bodies(called) for key, called in facts.policies.items()},
    )


def _action(definition: str, event: str) -> str:
    """Return what a foreign key does to the referring rows, as pg_constraint has it."""
    for words, letter in (("CASCADE", "c"), ("SET NULL", "n"), ("SET DEFAULT", "d")):
        if f" ON {event} {words}" in definition:
            return letter
    return "a"


# Types of which a value is no row; of others no one knows without a server.
_NO_ROWS = frozenset(
    """
    smallint integer bigint numeric real "double precision" oid money text "character varying" character name citext date uuid bytea
    boolean json jsonb xml inet cidr macaddr interval point tsvector tsquery regclass anyelement anyarray any record void internal
    trigger event_trigger cstring bit "bit varying" hstore
    """.replace('"', "").split()
)


def takes_a_row(arguments: Sequence[str]) -> bool:
    """Tell whether a function of these arguments may take a row of a table, so that `t.name` calls it."""
    return len(arguments) == 1 and not arguments[0].endswith("[]") and arguments[0].split(" ")[0] not in _NO_ROWS


def _calls(functions: Sequence[str]) -> Iterator[Tree]:
    """Yield calls of functions as the parser would have read them, but for the arguments."""
    for dotted in functions:
        parts = [{"String": {"sval": part}} for part in names.of_dotted(dotted) if part]
        yield {"FuncCall": {"funcname": parts, ANY_OVERLOAD: True}}


def _bodies(functions: Sequence[str]) -> tuple[Tree, ...]:
    return tuple(call["FuncCall"] for call in _calls(functions))


def _function(facts: FunctionFacts) -> Function:
    return Function(
        facts.language.lower(), facts.source, facts.definition, (), facts.volatility,
        facts.arguments, facts.optional, facts.is_variadic, facts.extras,
    )  # fmt: skip
