"""Columns and their defaults."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from safemig.schema.casts import Conversion, conversion
from safemig.schema.facts import (
    ColumnFact,
    ConstraintFact,
    PublicationTableFact,
    SequenceOptions,
    SequenceOwnerFact,
    TableFact,
    not_null_name,
)
from safemig.schema.kinds.base import InsideRelation, Step, comes_with_relation, option_steps, substitute
from safemig.schema.kinds.not_null import not_null_changes, not_null_constraint, not_null_of_attribute
from safemig.schema.model import Facts, Id
from safemig.sql.identifiers import quote_identifier, quote_literal, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.links import Links
    from safemig.schema.model import Schema
    from safemig.schema.plan import Plan

_EXCLUSIVE = LockMode.ACCESS_EXCLUSIVE
_STORAGE = {"p": "PLAIN", "e": "EXTERNAL", "x": "EXTENDED", "m": "MAIN", "": "DEFAULT"}
_COMPRESSION = {"p": "pglz", "l": "lz4", "": "default"}
_SETTINGS = slice(ColumnFact._fields.index("storage"), ColumnFact._fields.index("options") + 1)
_USUAL_SETTINGS: tuple[object, ...] = ("", "", -1, ())  # storage, compression, statistics, options
_WORDS = {
    "identity": {"a": "always", "d": "by default", "": ""},
    "generated": {"s": "stored", "v": "virtual", "": ""},
    "storage": _STORAGE,
    "compression": _COMPRESSION,
}


def column_definition(item: Id, fact: ColumnFact, plan: Plan, *, partition: bool = False) -> str:
    """Return the column as it stands in CREATE TABLE and ADD COLUMN."""
    parts = [quote_identifier(item.sub), fact.type]
    if fact.foreign_options:
        from safemig.schema.kinds.tables import generic_options

        parts.append(f"OPTIONS ({generic_options(fact.foreign_options)})")
    if fact.collation:
        parts.append(f"COLLATE {fact.collation}")
    default = Id("default", *item[1:])
    if fact.generated and plan.version < 160000 and not partition and _computed_by_parent(item, plan):
        pass  # it may not be said again
    elif fact.generated:
        expression = plan.target.facts[default].expression
        parts.append(f"GENERATED ALWAYS AS ({expression}) {'VIRTUAL' if fact.generated == 'v' else 'STORED'}")
    elif fact.identity and not (partition and fact.identity_sequence is None):
        parts.append(identity_clause(item, fact))
    elif default in plan.target.facts and plan.created_by(default) == plan.created_by(item):
        parts.append(f"DEFAULT {plan.target.facts[default].expression}")
    if fact.not_null and not fact.not_null_not_valid:
        if fact.not_null_name or plan.not_null_name_is_taken(item):
            parts.append(f"CONSTRAINT {quote_identifier(not_null_name(item, fact))}")
        parts.append("NOT NULL")
        if fact.not_null_no_inherit:
            parts.append("NO INHERIT")
    return " ".join(parts)


def _computed_by_parent(item: Id, plan: Plan) -> bool:
    return any(plan.is_generated(parent, plan.target) for parent in plan.parent_columns(item, plan.target))


def identity_clause(item: Id, fact: ColumnFact) -> str:
    """Return GENERATED ... AS IDENTITY, with the sequence's options where they are not the usual ones."""
    words = f"GENERATED {'ALWAYS' if fact.identity == 'a' else 'BY DEFAULT'} AS IDENTITY"
    if fact.identity_sequence is None:
        return words
    schema, name, options, _ = fact.identity_sequence
    said = sequence_options(options, with_type=False)
    if name != f"{item.name}_{item.sub}_seq" or schema != item.schema:
        said.insert(0, f"SEQUENCE NAME {quote_name(schema, name)}")
    return f"{words} ({' '.join(said)})" if said else words


_LIMITS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}


def sequence_options(options: SequenceOptions, *, with_type: bool = True) -> list[str]:
    """Return the options of CREATE SEQUENCE that are not the usual ones."""
    limit = _LIMITS[options.type]
    usual_minimum, usual_maximum = (1, limit - 1) if options.increment > 0 else (-limit, -1)
    said = []
    if with_type and options.type != "bigint":
        said.append(f"AS {options.type}")
    if options.increment != 1:
        said.append(f"INCREMENT BY {options.increment}")
    if options.minimum != usual_minimum:
        said.append(f"MINVALUE {options.minimum}")
    if options.maximum != usual_maximum:
        said.append(f"MAXVALUE {options.maximum}")
    if options.start != (options.minimum if options.increment > 0 else options.maximum):
        said.append(f"START WITH {options.start}")
    if options.cache != 1:
        said.append(f"CACHE {options.cache}")
    if options.cycle:
        said.append("CYCLE")
    return said


def sequence_changes(old: SequenceOptions, new: SequenceOptions, *, identity: bool = False) -> list[str]:
    """Return the options of ALTER SEQUENCE (or, with SET, of ALTER COLUMN) that turn `old` into `new`."""
    said = []
    if old.type != new.type and not identity:
        said.append(f"AS {new.type}")
    if old.increment != new.increment:
        said.append(f"INCREMENT BY {new.increment}")
    if old.minimum != new.minimum or old.type != new.type:
        said.append(f"MINVALUE {new.minimum}")
    if old.maximum != new.maximum or old.type != new.type:
        said.append(f"MAXVALUE {new.maximum}")
    if old.start != new.start:
        said.append(f"START WITH {new.start}")
    if old.cache != new.cache:
        said.append(f"CACHE {new.cache}")
    if old.cycle != new.cycle:
        said.append("CYCLE" if new.cycle else "NO CYCLE")
    return [f"SET {part}" for part in said] if identity else said


def keep_in_range(schema: str, name: str, old: SequenceOptions, new: SequenceOptions) -> tuple[list[Step], str]:
    """Return what moves a sequence's value into its new range beforehand, and the option that must stand behind it.

    The value itself is data that no schema tells, so the statement asks for it. Where the ranges have nothing in
    common, no value can stand before the change: RESTART goes with it.
    """
    if new.maximum < old.minimum or new.minimum > old.maximum:
        return [], f"RESTART WITH {new.start}"
    sequence = quote_name(schema, name)
    moves = [
        (new.minimum > old.minimum, f"{new.minimum}, {str(new.increment < 0).lower()}", f"< {new.minimum}"),
        (new.maximum < old.maximum, f"{new.maximum}, {str(new.increment > 0).lower()}", f"> {new.maximum}"),
    ]
    return [
        Step(
            f"SELECT setval({quote_literal(sequence).strip()}, {value}) FROM {sequence} WHERE last_value {outside}",  # noqa: S608
            "a value outside of the new range would refuse the change",
            lock=LockMode.ROW_EXCLUSIVE,
        )
        for narrower, value, outside in moves
        if narrower
    ], ""


def start_after_rows(item: Id, schema: str, name: str, options: SequenceOptions) -> Step:
    """Return what makes a new sequence go on after the numbers that a column holds already: it would start again, and collide."""
    column, last = quote_identifier(item.sub), "max" if options.increment > 0 else "min"
    value = f"{last}({column})"
    return Step(
        f"SELECT setval({quote_literal(quote_name(schema, name)).strip()}, {value}) FROM {quote_name(item.schema, item.name)}"  # noqa: S608
        f" HAVING {value} BETWEEN {options.minimum} AND {options.maximum}",
        f"the next number comes after those that {item.dotted} holds; nothing may write to it in the meantime",
        lock=LockMode.ROW_EXCLUSIVE,
    )


def column_settings(item: Id, old: ColumnFact | None, new: ColumnFact, plan: Plan) -> list[Step]:
    """Return the statements for what only ALTER COLUMN can say: storage, compression, statistics, options."""
    if (
        old is None
        and new[_SETTINGS] == _USUAL_SETTINGS
        and new.identity_sequence is None
        and not new.not_null_not_valid
    ):
        return []
    table, name = quote_name(item.schema, item.name), quote_identifier(item.sub)
    prefix = f"ALTER {plan.table_keyword(item)} {'ONLY ' if plan.has_children(item) else ''}{table} ALTER COLUMN {name}"
    steps = []
    if new.storage != (old.storage if old else ""):
        word = _STORAGE[new.storage] if new.storage or plan.version >= 160000 else plan.usual_storage(item)
        steps.append(Step(f"{prefix} SET STORAGE {word}", lock=_EXCLUSIVE))
    if new.compression != (old.compression if old else ""):
        steps.append(Step(f"{prefix} SET COMPRESSION {_COMPRESSION[new.compression]}", lock=_EXCLUSIVE))
    if new.statistics != (old.statistics if old else -1):
        steps.append(Step(f"{prefix} SET STATISTICS {new.statistics}", lock=LockMode.SHARE_UPDATE_EXCLUSIVE))
    steps += option_steps(prefix, old.options if old else (), new.options, LockMode.SHARE_UPDATE_EXCLUSIVE)
    if old is None and new.not_null_not_valid:
        steps.append(not_null_constraint(item, new))
    steps += _identity_persistence(item, old, new, plan)
    return steps


def _identity_persistence(item: Id, old: ColumnFact | None, new: ColumnFact, plan: Plan) -> list[Step]:
    """A sequence that is unlogged where its table is not, or the other way round (PostgreSQL 15 and later)."""
    if new.identity_sequence is None:
        return []
    schema, name, _, after = new.identity_sequence
    if old is not None and old.identity_sequence is not None:
        before = old.identity_sequence[3]
        if plan.base.facts[Id("table", *item[1:3])].persistence != plan.table_of(item).persistence:
            before = plan.table_of(item).persistence  # SET LOGGED takes the sequence along
    else:
        before = plan.table_of(item).persistence
    if before == after:
        return []
    return [Step(f"ALTER SEQUENCE {quote_name(schema, name)} SET {'UNLOGGED' if after == 'u' else 'LOGGED'}")]


class Column(InsideRelation):
    name = "column"

    def detail(self, old: ColumnFact, new: ColumnFact) -> str:
        said = (
            fact._replace(
                **{name: words.get(getattr(fact, name), getattr(fact, name)) for name, words in _WORDS.items()}
            )
            for fact in (old, new)
        )
        return super().detail(*said)

    keyword = "COLUMN"
    name_parts = 3
    phase = 46
    drop_phase = 80
    grant_letter = "c"
    rebuildable = False
    is_told_with_table = True
    holds_values = True
    is_its_own_place = True
    has_initial_grants = False
    is_granted_in_relation = True

    def grant_target(self, item: Id, fact: ColumnFact) -> str:
        return f"TABLE {quote_name(item.schema, item.name)}"

    def completion(self, item: Id, fact: ColumnFact, plan: Plan) -> list[Step]:
        return not_null_of_attribute(item, fact, plan) if fact.not_null else []

    def is_told_with(self, item: Id, listed: Container[Id], facts: Facts, *, is_gone: bool) -> bool:
        return comes_with_relation(item, listed, facts)

    def whole(self, item: Id) -> Id:
        return Id("table", item.schema, item.name)

    def rename_steps(self, old: Id, new: Id) -> list[Step]:
        table = quote_name(old.schema, old.name)
        before, after = quote_identifier(old.sub), quote_identifier(new.sub)
        return [
            Step(
                f"ALTER TABLE {table} RENAME COLUMN {before} TO {after}",
                "statements that use the old name fail from now on",
                rule="rename-column",
                lock=_EXCLUSIVE,
                reverse=f"ALTER TABLE {table} RENAME COLUMN {after} TO {before}",
            )
        ]

    def renamed_along(self, old: Id, new: Id, base: Schema) -> Mapping[Id, Id]:
        tables = (Id("table", old.schema, old.name), *base.descendants(Id("table", old.schema, old.name)))
        return {Id(self.name, *table[1:3], old.sub): Id(self.name, *table[1:3], new.sub) for table in tables} | {
            old: new
        }

    def moved(self, item: Id, renamed: Mapping[Id, Id]) -> Id:
        return renamed.get(item, item)

    def rewritten(self, renamed: Mapping[Id, Id], base: Schema) -> Callable[[Id, Any], Any] | None:
        old, new = next(iter(renamed.items()))
        word = re.compile(rf"(?<![\w\"]){re.escape(quote_identifier(old.sub))}(?![\w\"])")
        related = {dependent for column in renamed for dependent in base.graph.needed_by.get(column, ())}

        def says(text: str) -> str:
            return word.sub(lambda _: quote_identifier(new.sub), text)

        def named(columns: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(new.sub if column == old.sub else column for column in columns)

        def constraint_after(item: Id, fact: ConstraintFact) -> ConstraintFact:
            own, references, theirs = fact.definition.partition(" REFERENCES ")
            if Id(self.name, *item[1:3], old.sub) in renamed:
                own, fact = says(own), fact._replace(columns=named(fact.columns))
            table, bracket, columns = theirs.partition("(")
            if any(table == quote_name(*column[1:3]) for column in renamed):
                columns = says(columns)
            return fact._replace(definition=own + references + table + bracket + columns)

        def fact_after(item: Id, fact: Any) -> Any:
            if isinstance(fact, SequenceOwnerFact) and Id(self.name, *fact) in renamed:
                return fact._replace(column=new.sub)
            if isinstance(fact, TableFact) and fact.partition_key and Id(self.name, *item[1:3], old.sub) in renamed:
                return fact._replace(partition_key=says(fact.partition_key))
            if item not in related:
                return fact
            if isinstance(fact, ConstraintFact):
                return constraint_after(item, fact)
            if isinstance(fact, PublicationTableFact):
                fact = fact._replace(columns=named(fact.columns))
            return substitute(fact, word, quote_identifier(new.sub))

        return fact_after

    def with_sequences_in(self, fact: ColumnFact, sequences: Container[tuple[str, str]], schema: str) -> ColumnFact:
        if fact.identity_sequence and fact.identity_sequence[:2] in sequences:
            return fact._replace(identity_sequence=(schema, *fact.identity_sequence[1:]))
        return fact

    def likely_renames(self, plan: Plan) -> Iterator[tuple[Id, Id]]:
        added: dict[tuple[str, ...], list[Id]] = {}
        removed = sorted(item for item in plan.removed if item.kind == self.name) if plan.added else []
        for item in sorted(item for item in plan.added if item.kind == self.name) if removed else ():
            added.setdefault(item[1:3], []).append(item)
        for gone in removed:
            of_parent = any(parent in plan.removed for parent in plan.parent_columns(gone, plan.base))
            if of_parent or Id("table", gone.schema, gone.name) in plan.removed:
                continue  # the question about the parent's column is about this one too
            for item in added.get(gone[1:3], ()):
                if plan.target.facts[item].type == plan.base.facts[gone].type:
                    yield gone, item

    def is_no_longer_local(self, old: ColumnFact, new: ColumnFact) -> bool:
        if not (old.not_null_local and not new.not_null_local):
            return old._replace(is_local=new.is_local) == new
        # Its not-null constraint keeps its name, too: one that is inherited as well cannot be renamed.
        name = new.not_null_name if old.not_null and new.not_null else old.not_null_name
        return old._replace(is_local=new.is_local, not_null_local=False, not_null_name=name) == new

    def is_retyped(self, old: ColumnFact, new: ColumnFact) -> bool:
        return old.type != new.type

    def staged_with(self, item: Id) -> Id:
        return Id("view", *item[1:3])

    def join_removed(self, item: Id, links: Links) -> None:
        for parent in links.plan.parent_columns(item, links.plan.base):
            for dropper in links.dropper(item):
                for first in links.dropper(parent) if dropper.item == item else ():
                    dropper.wait_for(first, hard=True)  # a child's own column goes after its parent's
        self.join_retyped(item, links)

    def join_retyped(self, item: Id, links: Links) -> None:
        # A child that goes may hold on to it by its partition key.
        for child in links.plan.base.descendants(Id("table", item.schema, item.name)):
            for own in links.touching(item):
                for dropper in links.dropper(child) if own.item == item else ():
                    own.wait_for(dropper, hard=False)

    def join_created(self, item: Id, links: Links) -> None:
        plan = links.plan
        if plan.created_by(item) != item:
            return
        for theirs in plan.parent_columns(item, plan.target):
            if theirs in plan.created and plan.inherits_throughout(item, theirs):  # which then merges with it
                links.chain(links.makers(theirs), links.makers(item), hard=True)

    def inner(self, item: Id, plan: Plan) -> tuple[Id, ...]:
        default = Id("default", *item[1:])
        return (default,) if default in plan.base.facts else ()

    def replaced_as(self, item: Id, plan: Plan) -> Id:
        table = Id("table", item.schema, item.name)
        return table if table not in plan.dropped and plan.is_partition_key(item) else item

    def target(self, item: Id, fact: ColumnFact) -> str:
        return f"COLUMN {quote_name(item.schema, item.name, item.sub)}"

    def created_with(self, item: Id, fact: ColumnFact, plan: Plan) -> Id | None:
        container = self.container(item, plan.target.facts)
        if container in plan.created:
            return container
        if container is not None and container.kind != "table":
            return container  # a view's new column: CREATE OR REPLACE VIEW adds it
        for parent in plan.parent_columns(item, plan.target):
            if parent in plan.created and plan.inherits_throughout(item, parent) and not fact.is_local:
                return parent
        return plan.row_type(item, plan.target)

    def dropped_with(self, item: Id, fact: ColumnFact, plan: Plan) -> Id | None:
        container = self.container(item, plan.base.facts)
        if container in plan.dropped:
            return container
        if container is not None and container.kind != "table":
            return container
        for parent in plan.parent_columns(item, plan.base):
            if parent in plan.dropped and plan.inherits_throughout(item, parent) and not fact.is_local:
                return None if plan.children_keep(parent) else parent
        return plan.row_type(item, plan.base)

    def create(self, item: Id, fact: ColumnFact, plan: Plan) -> list[Step]:
        table = quote_name(item.schema, item.name)
        definition = column_definition(item, fact, plan)
        why, rule, rewrites = "", None, False
        default = Id("default", *item[1:])
        if item in plan.replaced:
            why = "its values are computed again" if fact.generated else "it starts empty"
        if fact.generated == "s":
            rule, rewrites, why = (
                "add-col-generated-stored",
                True,
                why or "the table is rewritten to compute the column",
            )
        elif fact.identity:
            rule, rewrites, why = "add-col-identity", True, "the table is rewritten to number its rows"
        elif default in plan.target.facts and plan.is_volatile(default):
            rule, rewrites, why = (
                "add-col-volatile-default",
                True,
                "the table is rewritten, because the default differs row by row",
            )
        elif plan.checks_domain(item):
            rule, rewrites, why = "domain-constraint", True, "the table is rewritten to check the domain's constraint"
        elif fact.not_null and default not in plan.target.facts:
            rule, why = "add-col-not-null-no-default", "fails where the table has rows, for they would have no value"
        word = plan.table_keyword(item)
        add = Step(
            f"ALTER {word} {table} ADD COLUMN IF NOT EXISTS {definition}",
            why,
            rule=rule,
            rewrites=rewrites,
            lock=_EXCLUSIVE,
            reverse=f"ALTER {word} {table} DROP COLUMN {quote_identifier(item.sub)}",
        )
        if rule == "add-col-not-null-no-default" and word == "TABLE":
            add = replace(add, online=self._filled_first(item, fact, plan, add.reverse))
        steps = [add]
        steps += column_settings(item, None, fact, plan)
        if default in plan.target.facts and not fact.generated:
            for child in plan.children_columns(item):
                if Id("default", *child[1:]) not in plan.target.facts:
                    steps.append(
                        Step(
                            f"ALTER TABLE {quote_name(child.schema, child.name)} ALTER COLUMN {quote_identifier(child.sub)}"
                            " DROP DEFAULT",
                            lock=_EXCLUSIVE,
                        )
                    )
        return steps

    def _filled_first(self, item: Id, fact: ColumnFact, plan: Plan, reverse: str | None) -> tuple[Step, ...]:
        """A column that must have a value, on a table that may have rows: first nullable, then filled, then NOT NULL."""
        table, name = quote_name(item.schema, item.name), quote_identifier(item.sub)
        nullable = column_definition(item, fact._replace(not_null=False), plan)
        add = Step(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {nullable}", lock=_EXCLUSIVE, reverse=reverse)
        keys = plan.primary_key(item)
        batches = (
            f"-- safemig: batches of 10000 by {table}.{quote_identifier(keys[0])}, pause 100 ms\n"
            if len(keys) == 1
            else ""
        )
        between = f" AND {quote_identifier(keys[0])} BETWEEN $1 AND $2" if batches else ""
        template = f"{batches}UPDATE {table} SET {name} = ... WHERE {name} IS NULL{between};"  # noqa: S608
        whose = f"{item.schema}.{item.name}"
        until = f"give every row of {whose} a value in {item.sub} first, in a migration file of its own:\n{template}"
        old, prefix = fact._replace(not_null=False), f"ALTER TABLE {table} ALTER COLUMN {name}"
        series = not_null_changes(item, table, prefix, old, fact, plan, is_new=True)
        return (add, *(replace(one, until=until) for step in series for one in step.online or (step,)))

    def drop(self, item: Id, fact: ColumnFact, plan: Plan) -> list[Step]:
        table, name = quote_name(item.schema, item.name), quote_identifier(item.sub)
        why = f"the values of {item.dotted} are lost"
        if item in plan.replaced:
            why += "; it is created again with its new definition" + (
                ", and recomputed" if fact.generated else ", empty"
            )
        only = "ONLY " if plan.children_keep(item) else ""
        return [
            Step(
                f"ALTER {plan.table_keyword(item)} {only}{table} DROP COLUMN IF EXISTS {name}",
                why,
                destructive=True,
                rule="drop-column",
                lock=_EXCLUSIVE,
            )
        ]

    def alter(self, item: Id, old: ColumnFact, new: ColumnFact, plan: Plan) -> list[Step] | None:
        if plan.table_of(item) is None:
            # A view's columns are its own; only a materialized view's have settings.
            return column_settings(item, old, new, plan) if plan.is_materialized_view(item) else []
        if old.type != new.type and plan.is_partition_key(item):
            return None
        if old.generated != new.generated and new.generated:
            return None
        if old.generated and new.generated and plan.version < 170000 and plan.expression_differs(item):
            return None
        if old.generated == "v" and not new.generated:
            return None
        table, name = quote_name(item.schema, item.name), quote_identifier(item.sub)
        prefix = f"ALTER {plan.table_keyword(item)} {table} ALTER COLUMN {name}"
        steps: list[Step] = []
        if old.generated and not new.generated:
            steps.append(
                Step(
                    f"{prefix} DROP EXPRESSION",
                    rule="drop-expression",
                    lock=_EXCLUSIVE,
                    why="the column keeps its values and is no longer computed",
                )
            )
        if old.identity and not new.identity and not plan.parent_does(item, "identity"):
            steps.append(
                Step(
                    f"{prefix} DROP IDENTITY",
                    rule="drop-expression",
                    lock=_EXCLUSIVE,
                    why="new rows no longer get a number automatically",
                )
            )
        retyped = (old.type, old.collation) != (new.type, new.collation) and not (
            plan.parent_does(item, "type", "collation") or plan.row_type(item, plan.target)
        )
        # A narrower type refuses a sequence whose range is wider: the range goes first then.
        narrows = retyped and _LIMITS.get(new.type, 0) < _LIMITS.get(old.type, 0)
        identity = [] if plan.parent_does(item, "identity") else self._identity(item, prefix, old, new)
        if narrows:
            steps += identity
        if retyped:
            steps.append(self._type_step(item, prefix, old, new, plan))
        steps += not_null_changes(item, table, prefix, old, new, plan)
        if not narrows:
            steps += identity
        # A new type brings its own storage and the usual compression with it.
        now = old if old.type == new.type else old._replace(storage="", compression="")
        steps += column_settings(item, now, new, plan)
        if old.foreign_options != new.foreign_options:
            from safemig.schema.kinds.tables import generic_changes

            steps.append(
                Step(f"{prefix} OPTIONS ({generic_changes(old.foreign_options, new.foreign_options)})", lock=_EXCLUSIVE)
            )
        return steps

    def _type_step(self, item: Id, prefix: str, old: ColumnFact, new: ColumnFact, plan: Plan) -> Step:
        found: Conversion = conversion(old.type, new.type)
        sql = f"{prefix} TYPE {new.type}"
        if new.collation:
            sql += f" COLLATE {new.collation}"
        elif old.collation and old.type == new.type:
            sql += ' COLLATE pg_catalog."default"'
        if found.using and not new.generated and plan.table_keyword(item) != "FOREIGN TABLE":
            sql += f" USING {found.using.format(column=quote_identifier(item.sub), type=new.type)}"
        if old.type == new.type:
            return Step(sql, f"the indexes on {item.dotted} are rebuilt", rule="alter-type-reindex", lock=_EXCLUSIVE)
        why = f"{item.dotted} goes from {old.type} to {new.type}: {found.why}"
        back = f"{prefix} TYPE {old.type}"
        if found.lossy:
            return Step(
                sql,
                why,
                destructive=True,
                rule="alter-type-lossy",
                lock=_EXCLUSIVE,
                rewrites=found.rewrites,
                reverse=back,
            )
        rule = "alter-type-rewrite" if found.rewrites else "alter-type-free"
        return Step(sql, why, rule=rule, lock=_EXCLUSIVE, rewrites=found.rewrites, reverse=back)

    def _identity(self, item: Id, prefix: str, old: ColumnFact, new: ColumnFact) -> list[Step]:
        if not new.identity:
            return []
        if not old.identity:
            added = Step(
                f"{prefix} ADD {identity_clause(item, new)}", lock=_EXCLUSIVE, reverse=f"{prefix} DROP IDENTITY"
            )
            if new.identity_sequence is None:
                return [added]
            schema, name, options, _ = new.identity_sequence
            return [added, start_after_rows(item, schema, name, options)]
        said = []
        if old.identity != new.identity:
            said.append(f"SET GENERATED {'ALWAYS' if new.identity == 'a' else 'BY DEFAULT'}")
        steps = []
        if old.identity_sequence and new.identity_sequence:
            before, after = old.identity_sequence, new.identity_sequence
            said += sequence_changes(before[2], after[2], identity=True)
            moves, restart = keep_in_range(*before[:3], after[2])
            steps += moves
            said += [restart] if restart else []
            if before[:2] != after[:2]:
                steps.append(Step(f"ALTER SEQUENCE {quote_name(*before[:2])} RENAME TO {quote_identifier(after[1])}"))
        if said:
            steps.append(Step(f"{prefix} {' '.join(said)}", lock=_EXCLUSIVE))
        return steps
