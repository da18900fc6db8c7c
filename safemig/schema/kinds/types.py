"""Enums, domains, composites, ranges and base types."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from safemig.schema.difference import Change
from safemig.schema.facts import (
    BaseTypeFact,
    CompositeFact,
    DomainConstraintFact,
    DomainFact,
    EnumFact,
    RangeFact,
    not_null_name,
)
from safemig.schema.kinds.base import Kind, Step, substitute
from safemig.schema.model import Facts, Id
from safemig.sql.identifiers import quote_identifier, quote_literal, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.links import Links
    from safemig.schema.model import Schema
    from safemig.schema.plan import Plan


class Type(Kind):
    """What all types share: they hold a type's name, and columns may be made of them."""

    keyword = "TYPE"
    phase = 35
    drop_phase = 88
    grant_letter = "T"
    has_owner = True

    def slots(self, item: Id, fact: Any) -> tuple[tuple[str, ...], ...]:
        return (("type", item.schema, item.name),)

    def drop(self, item: Id, fact: Any, plan: Plan) -> list[Step]:
        word = self.keyword
        return [
            Step(
                f"DROP {word} IF EXISTS {quote_name(item.schema, item.name)}",
                reverse="; ".join(step.sql for step in self.create(item, fact, plan)),
            )
        ]

    def grant_target(self, item: Id, fact: Any) -> str:
        return f"TYPE {quote_name(item.schema, item.name)}"


class EnumValue(Kind):
    """A value of an enum: no fact of its own, but with a name that can change."""

    name = "enum value"
    name_parts = 3

    def is_in(self, item: Id, schema: Schema) -> bool:
        enum = schema.facts.get(Id("enum", item.schema, item.name))
        return enum is not None and item.sub in enum.labels

    def rename_steps(self, old: Id, new: Id) -> list[Step]:
        enum, before, after = quote_name(old.schema, old.name), _literal(old.sub), _literal(new.sub)
        return [
            Step(
                f"ALTER TYPE {enum} RENAME VALUE {before} TO {after}",
                "statements that write or compare with the old value fail from now on",
                rule="enum-value-renamed",
                reverse=f"ALTER TYPE {enum} RENAME VALUE {after} TO {before}",
            )
        ]

    def rewritten(self, renamed: Mapping[Id, Id], base: Schema) -> Callable[[Id, Any], Any]:
        ((old, new),) = renamed.items()
        enum, cast = Id("enum", old.schema, old.name), f"::{quote_name(old.schema, old.name)}"
        word = re.compile(rf"{re.escape(_literal(old.sub) + cast)}(?![\w\"])")

        def fact_after(item: Id, fact: Any) -> Any:
            if item == enum:
                return fact._replace(labels=tuple(new.sub if label == old.sub else label for label in fact.labels))
            return substitute(fact, word, _literal(new.sub) + cast)

        return fact_after


def _join_columns(item: Id, links: Links) -> None:
    """A domain is checked again when no column that leaves it, and might hold it where it cannot be checked, is left."""
    plan = links.plan
    domain = Id("domain", item.schema, item.name)
    if domain not in plan.base.facts:
        return
    for column in plan.base.graph.needed_by.get(domain, ()):
        if column.kind == "column" and domain not in plan.target.graph.needs.get(column, ()):
            links.chain(links.makers(item), links.touching(column), hard=False)
    for column in plan.target.graph.needed_by.get(domain, ()):
        if column.kind == "column" and domain not in plan.base.graph.needs.get(column, ()):
            links.chain(links.makers(column), links.makers(item), hard=False)


class Enum(Type):
    name = "enum"
    name_parts = 2
    rename_word = "TYPE"
    alter_waits = False  # it only gets more values
    alter_is_needed = True
    is_swappable = True
    is_named_in_bodies = True
    swap_rule = "enum-rebuild"

    def create(self, item: Id, fact: EnumFact, plan: Plan) -> list[Step]:
        labels = ", ".join(_literal(label) for label in fact.labels)
        name = quote_name(item.schema, item.name)
        return [Step(f"CREATE TYPE {name} AS ENUM ({labels})", reverse=f"DROP TYPE {name}")]

    def alter(self, item: Id, old: EnumFact, new: EnumFact, plan: Plan) -> list[Step] | None:
        kept = tuple(label for label in new.labels if label in old.labels)
        if kept != old.labels:
            return None
        fresh = [label for label in new.labels if label not in old.labels]
        if not plan.online and plan.uses_labels(item, fresh):
            return None  # a label cannot be used in the transaction that adds it
        steps = []
        for position, label in enumerate(new.labels):
            if label in old.labels:
                continue
            where = ""
            if position == 0:
                where = f" BEFORE {_literal(old.labels[0])}" if old.labels else ""
            elif any(later in old.labels for later in new.labels[position + 1 :]):
                where = f" AFTER {_literal(new.labels[position - 1])}"
            steps.append(
                Step(
                    f"ALTER TYPE {quote_name(item.schema, item.name)} ADD VALUE IF NOT EXISTS {_literal(label)}{where}",
                    "clients that do not know the value may read it",
                    rule="enum-add-value",
                    transactional=not plan.online or not plan.uses_labels(item, fresh),
                )
            )
        return steps

    def detail(self, old: EnumFact, new: EnumFact) -> str:
        gone = [label for label in old.labels if label not in new.labels]
        fresh = [label for label in new.labels if label not in old.labels]
        parts = [f"value {_literal(label)} added" for label in fresh] + [
            f"value {_literal(label)} removed" for label in gone
        ]
        return "; ".join(parts) or "values in another order"

    def changes(self, item: Id, old: EnumFact, new: EnumFact) -> Iterator[Change]:
        fresh = [label for label in new.labels if label not in old.labels]
        gone = [label for label in old.labels if label not in new.labels]
        for label in fresh:
            yield Change("enum value", item.dotted, "add", f"'{label}'")
        for label in gone:
            yield Change("enum value", item.dotted, "remove", f"'{label}'")
        if not fresh and not gone:
            yield Change("enum", item.dotted, "change", "values in another order")

    def likely_renames(self, plan: Plan) -> Iterator[tuple[Id, Id]]:
        for enum in sorted(item for item in plan.changed if item.kind == self.name):
            before, after = plan.base.facts[enum].labels, plan.target.facts[enum].labels
            differ = [(old, new) for old, new in zip(before, after, strict=False) if old != new]
            if len(before) == len(after) and len(differ) == 1 and differ[0][1] not in before:
                old, new = (Id("enum value", enum.schema, enum.name, label) for label in differ[0])
                yield old, new

    def why_swapped(self, item: Id, old: EnumFact, new: EnumFact) -> tuple[bool, str]:
        gone = [label for label in old.labels if label not in new.labels]
        if gone:
            words = ", ".join(repr(label) for label in gone)
            return True, f"the enum {item.dotted} loses {words}: fails where a row still holds it"
        kept = tuple(label for label in new.labels if label in old.labels)
        because = (
            "a new value cannot be used in the transaction that adds it"
            if kept == old.labels
            else "the order of its values cannot be changed in place"
        )
        return False, f"the enum {item.dotted} is re-created, for {because}"


class Domain(Type):
    name = "domain"
    may_be_constrained = True
    is_its_own_place = True
    name_parts = 2
    rename_word = "DOMAIN"
    keyword = "DOMAIN"
    is_swappable = True
    is_named_in_bodies = True

    def join_created(self, item: Id, links: Links) -> None:
        _join_columns(item, links)

    def join_altered(self, item: Id, links: Links) -> None:
        _join_columns(item, links)

    def grant_target(self, item: Id, fact: Any) -> str:
        return f"DOMAIN {quote_name(item.schema, item.name)}"

    def create(self, item: Id, fact: DomainFact, plan: Plan) -> list[Step]:
        name = quote_name(item.schema, item.name)
        sql = f"CREATE DOMAIN {name} AS {fact.base}"
        if fact.collation:
            sql += f" COLLATE {fact.collation}"
        if fact.default is not None:
            sql += f"\n    DEFAULT {fact.default}"
        if fact.not_null:
            sql += f"\n    {_not_null(fact)}"
        for inner in sorted(plan.target.children.get(item, ())):
            if plan.created_by(inner) == item or inner not in plan.created:
                sql += f"\n    CONSTRAINT {quote_identifier(inner.sub)} {plan.target.facts[inner].definition}"
        return [Step(sql, reverse=f"DROP DOMAIN {name}")]

    def alter(self, item: Id, old: DomainFact, new: DomainFact, plan: Plan) -> list[Step] | None:
        if (old.base, old.collation) != (new.base, new.collation):
            return None
        prefix = f"ALTER DOMAIN {quote_name(item.schema, item.name)}"
        steps = []
        if old.default != new.default:
            words = "DROP DEFAULT" if new.default is None else f"SET DEFAULT {new.default}"
            steps.append(Step(f"{prefix} {words}"))
        if old.not_null != new.not_null:
            if new.not_null and plan.is_stored_deeper(item):
                return None
            if new.not_null:
                steps.append(
                    Step(
                        f"{prefix} ADD {_not_null(new)}" if new.not_null_name else f"{prefix} SET NOT NULL",
                        "reads every table that uses the domain; fails where one has no value",
                        rule="domain-constraint",
                        lock=LockMode.SHARE,
                        reverse=f"{prefix} DROP NOT NULL",
                    )
                )
            else:
                steps.append(Step(f"{prefix} DROP NOT NULL", reverse=f"{prefix} SET NOT NULL"))
        elif old.not_null_name != new.not_null_name:
            before, after = (quote_identifier(not_null_name(item, fact)) for fact in (old, new))
            steps.append(Step(f"{prefix} RENAME CONSTRAINT {before} TO {after}"))
        return steps


def _not_null(fact: DomainFact) -> str:
    return f"CONSTRAINT {quote_identifier(fact.not_null_name)} NOT NULL" if fact.not_null_name else "NOT NULL"


class DomainConstraint(Kind):
    name = "domain constraint"
    is_named_after = True
    keyword = "CONSTRAINT"
    phase = 44
    drop_phase = 19

    def join_created(self, item: Id, links: Links) -> None:
        _join_columns(item, links)

    def join_altered(self, item: Id, links: Links) -> None:
        _join_columns(item, links)

    def target(self, item: Id, fact: Any) -> str:
        return f"CONSTRAINT {quote_identifier(item.sub)} ON DOMAIN {quote_name(item.schema, item.name)}"

    def slots(self, item: Id, fact: Any) -> tuple[tuple[str, ...], ...]:
        return (("domain constraint", item.schema, item.name, item.sub),)

    def created_with(self, item: Id, fact: DomainConstraintFact, plan: Plan) -> Id | None:
        domain = Id("domain", item.schema, item.name)
        if domain in plan.swapped:
            return domain
        if domain not in plan.created or fact.definition.endswith("NOT VALID") or plan.stands_apart(item, domain):
            return None
        return domain

    def read_by_validation(self, item: Id, plan: Plan) -> Iterator[Id]:
        for column in plan.stored_in_columns(Id("domain", item.schema, item.name)):
            yield Id("table", column.schema, column.name)

    def cannot_join(self, item: Id, plan: Plan) -> Id | None:
        domain = Id("domain", item.schema, item.name)
        is_kept = domain in plan.base.facts and domain in plan.target.facts
        return domain if is_kept and plan.is_stored_deeper(domain) else None

    def is_told_with(self, item: Id, listed: Container[Id], facts: Facts, *, is_gone: bool) -> bool:
        return Id("domain", item.schema, item.name) in listed

    def dropped_with(self, item: Id, fact: DomainConstraintFact, plan: Plan) -> Id | None:
        domain = Id("domain", item.schema, item.name)
        if domain in plan.swapped:
            return domain
        return domain if domain in plan.dropped and not plan.must_go_first(item, domain) else None

    def create(self, item: Id, fact: DomainConstraintFact, plan: Plan) -> list[Step]:
        prefix, name = f"ALTER DOMAIN {quote_name(item.schema, item.name)}", quote_identifier(item.sub)
        online = None
        if plan.is_stored(Id("domain", item.schema, item.name)) and not fact.definition.endswith("NOT VALID"):
            online = (
                Step(f"{prefix} ADD CONSTRAINT {name} {fact.definition} NOT VALID"),
                Step(f"{prefix} VALIDATE CONSTRAINT {name}", lock=LockMode.SHARE),
            )
        return [
            Step(
                f"{prefix} ADD CONSTRAINT {name} {fact.definition}",
                "reads every table that uses the domain",
                rule="domain-constraint",
                lock=LockMode.SHARE,
                online=online,
                reverse=f"{prefix} DROP CONSTRAINT {name}",
            )
        ]

    def drop(self, item: Id, fact: DomainConstraintFact, plan: Plan) -> list[Step]:
        prefix, name = f"ALTER DOMAIN {quote_name(item.schema, item.name)}", quote_identifier(item.sub)
        return [
            Step(
                f"{prefix} DROP CONSTRAINT IF EXISTS {name}",
                reverse=f"{prefix} ADD CONSTRAINT {name} {fact.definition}",
            )
        ]

    def alter(self, item: Id, old: DomainConstraintFact, new: DomainConstraintFact, plan: Plan) -> list[Step] | None:
        if old.definition == f"{new.definition} NOT VALID":
            return [
                Step(
                    f"ALTER DOMAIN {quote_name(item.schema, item.name)} VALIDATE CONSTRAINT {quote_identifier(item.sub)}",
                    lock=LockMode.SHARE,
                )
            ]
        return None


class Composite(Type):
    name = "composite type"
    has_attributes = True
    has_columns = True
    name_parts = 2
    rename_word = "TYPE"
    is_swappable = True
    is_named_in_bodies = True

    def slots(self, item: Id, fact: Any) -> tuple[tuple[str, ...], ...]:
        return ("type", item.schema, item.name), ("relation", item.schema, item.name)

    def create(self, item: Id, fact: CompositeFact, plan: Plan) -> list[Step]:
        name = quote_name(item.schema, item.name)
        lines = [f"    {_attribute(attribute)}" for attribute in fact.attributes]
        body = "(\n" + ",\n".join(lines) + "\n)" if lines else "()"
        return [Step(f"CREATE TYPE {name} AS {body}", reverse=f"DROP TYPE {name}")]

    def alter(self, item: Id, old: CompositeFact, new: CompositeFact, plan: Plan) -> list[Step] | None:
        before = {attribute[0]: attribute for attribute in old.attributes}
        after = {attribute[0]: attribute for attribute in new.attributes}
        prefix = f"ALTER TYPE {quote_name(item.schema, item.name)}"
        kept = [name for name in before if name in after]
        if kept != [name for name in after if name in before] or [
            *kept,
            *(n for n in after if n not in before),
        ] != list(after):
            return None  # attributes can only be added at the end
        cascade = " CASCADE" if plan.has_typed_tables(item) else ""
        steps = []
        for name in before:
            if name not in after:
                steps.append(
                    Step(
                        f"{prefix} DROP ATTRIBUTE {quote_identifier(name)}{cascade}",
                        f"the values of {name} are lost wherever the type is stored",
                        destructive=True,
                        rule="drop-attribute",
                    )
                )
        for name in kept:
            if before[name] != after[name]:
                if plan.is_stored(item):
                    return None
                type_name, collation = after[name][1:]
                said = f" COLLATE {collation}" if collation else ""
                steps.append(Step(f"{prefix} ALTER ATTRIBUTE {quote_identifier(name)} TYPE {type_name}{said}{cascade}"))
        for name in after:
            if name not in before:
                steps.append(
                    Step(
                        f"{prefix} ADD ATTRIBUTE {_attribute(after[name])}{cascade}",
                        reverse=f"{prefix} DROP ATTRIBUTE {quote_identifier(name)}",
                    )
                )
        return steps


class Range(Type):
    name = "range"
    name_parts = 2
    rename_word = "TYPE"
    is_swappable = True
    is_named_in_bodies = True
    may_stand_twice = False  # its constructor functions have its name

    def create(self, item: Id, fact: RangeFact, plan: Plan) -> list[Step]:
        said = []
        for name, value in fact.options:
            if name == "multirange_type_name":
                if value != _usual_multirange(item.name):
                    said.append(f"{name} = {quote_name(item.schema, value)}")
            else:
                said.append(f"{name} = {value}")
        name = quote_name(item.schema, item.name)
        inner = ",\n    ".join(said)
        return [Step(f"CREATE TYPE {name} AS RANGE (\n    {inner}\n)", reverse=f"DROP TYPE {name}")]


# What ALTER TYPE ... SET can say of a base type (PostgreSQL 13; SUBSCRIPT since 14).
_ALTERABLE = frozenset({"RECEIVE", "SEND", "TYPMOD_IN", "TYPMOD_OUT", "ANALYZE", "SUBSCRIPT", "STORAGE"})


class BaseType(Type):
    name = "base type"

    def shell(self, item: Id, fact: BaseTypeFact) -> Step | None:
        # Its input and output functions need it, and it needs them.
        return Step(f"CREATE TYPE {quote_name(item.schema, item.name)}") if fact.options else None

    def is_stand_in_enough(self, item: Id, dependent: Id, circles: Mapping[Id, Container[Id]], plan: Plan) -> bool:
        return dependent.kind == "routine" and dependent in plan.target.graph.needs.get(item, ())

    def create(self, item: Id, fact: BaseTypeFact, plan: Plan) -> list[Step]:
        name = quote_name(item.schema, item.name)
        if not fact.options:
            return [Step(f"CREATE TYPE {name}")]
        inner = ",\n    ".join(f"{key} = {value}" if value else key for key, value in fact.options)
        return [Step(f"CREATE TYPE {name} (\n    {inner}\n)")]

    def alter(self, item: Id, old: BaseTypeFact, new: BaseTypeFact, plan: Plan) -> list[Step] | None:
        if not old.options:
            return self.create(item, new, plan)  # the shell is filled
        before, after = dict(old.options), dict(new.options)
        differ = [
            key for key in (*before, *(key for key in after if key not in before)) if before.get(key) != after.get(key)
        ]
        if any(key not in _ALTERABLE for key in differ) or (before["STORAGE"] != after["STORAGE"] == "plain"):
            return None
        said = ", ".join(f"{key} = {after.get(key, 'NONE')}" for key in differ)
        return [Step(f"ALTER TYPE {quote_name(item.schema, item.name)} SET ({said})")]

    def drop(self, item: Id, fact: BaseTypeFact, plan: Plan) -> list[Step]:
        # A base type and its input and output functions need each other: they can only go together.
        word = " CASCADE" if fact.options else ""
        return [Step(f"DROP TYPE IF EXISTS {quote_name(item.schema, item.name)}{word}")]


def _usual_multirange(name: str) -> str:
    return name.replace("range", "multirange", 1) if "range" in name else f"{name}_multirange"


def _attribute(attribute: tuple[str, str, str]) -> str:
    name, type_name, collation = attribute
    return f"{quote_identifier(name)} {type_name}" + (f" COLLATE {collation}" if collation else "")


def _literal(text: str) -> str:
    return quote_literal(text).strip()
