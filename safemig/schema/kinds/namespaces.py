"""Schemas, extensions and sequences."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safemig.schema.facts import ExtensionFact, SchemaFact, SequenceFact, SequenceOwnerFact
from safemig.schema.kinds.base import Kind, Step
from safemig.schema.kinds.columns import keep_in_range, sequence_changes, sequence_options, start_after_rows
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.plan import Plan


class SchemaKind(Kind):
    name = "schema"
    keyword = "SCHEMA"
    phase = 20
    drop_phase = 94
    grant_letter = "n"
    has_owner = True
    rebuildable = False
    alter_matters = False
    is_container = True

    def create(self, item: Id, fact: SchemaFact, plan: Plan) -> list[Step]:
        name = quote_identifier(item.name)
        return [Step(f"CREATE SCHEMA IF NOT EXISTS {name}", reverse=f"DROP SCHEMA {name}")]

    def drop(self, item: Id, fact: SchemaFact, plan: Plan) -> list[Step]:
        name = quote_identifier(item.name)
        return [
            Step(
                f"DROP SCHEMA IF EXISTS {name}",
                "the schema is dropped, with everything unmanaged in it",
                destructive=True,
                rule="drop-schema",
                reverse=f"CREATE SCHEMA {name}",
            )
        ]


class Extension(Kind):
    name = "extension"
    needs_nothing_here = True
    keyword = "EXTENSION"
    phase = 22
    drop_phase = 92
    rebuildable = False
    alter_matters = False

    def create(self, item: Id, fact: ExtensionFact, plan: Plan) -> list[Step]:
        name = quote_identifier(item.name)
        return [
            Step(
                f"CREATE EXTENSION IF NOT EXISTS {name} WITH SCHEMA {quote_identifier(fact.schema)}",
                reverse=f"DROP EXTENSION {name}",
            )
        ]

    def drop(self, item: Id, fact: ExtensionFact, plan: Plan) -> list[Step]:
        return [
            Step(
                f"DROP EXTENSION IF EXISTS {quote_identifier(item.name)}",
                "what the extension brought, and any data that it keeps, is lost",
                destructive=True,
                rule="drop-extension",
            )
        ]

    def alter(self, item: Id, old: ExtensionFact, new: ExtensionFact, plan: Plan) -> list[Step] | None:
        if old.schema == new.schema:
            return []
        if not old.relocatable:
            return None
        return [Step(f"ALTER EXTENSION {quote_identifier(item.name)} SET SCHEMA {quote_identifier(new.schema)}")]


class Sequence(Kind):
    name = "sequence"
    needs_nothing_here = True
    is_sequence = True
    name_parts = 2
    rename_word = "SEQUENCE"
    is_named_in_bodies = True
    owner_lock = LockMode.ACCESS_EXCLUSIVE

    def has_owner_of_table(self, item: Id, plan: Plan) -> bool:
        link = Id("sequence owner", item.schema, item.name)
        if link not in plan.target.facts:
            return False
        fact = plan.target.facts[link]
        table = Id("table", fact.table_schema, fact.table)
        return link in plan.base.facts or (item in plan.created and table in plan.created)

    keyword = "SEQUENCE"
    phase = 40
    drop_phase = 84
    grant_letter = "S"
    has_owner = True
    rebuildable = False
    alter_matters = False

    def slots(self, item: Id, fact: SequenceFact) -> tuple[tuple[str, ...], ...]:
        return (("relation", item.schema, item.name),)

    def create(self, item: Id, fact: SequenceFact, plan: Plan) -> list[Step]:
        name = quote_name(item.schema, item.name)
        unlogged = "UNLOGGED " if fact.persistence == "u" else ""
        said = "".join(f"\n    {part}" for part in sequence_options(fact.options))
        return [Step(f"CREATE {unlogged}SEQUENCE IF NOT EXISTS {name}{said}", reverse=f"DROP SEQUENCE {name}")]

    def drop(self, item: Id, fact: SequenceFact, plan: Plan) -> list[Step]:
        return [
            Step(
                f"DROP SEQUENCE IF EXISTS {quote_name(item.schema, item.name)}",
                f"the last value that {item.dotted} gave out is lost",
                destructive=True,
                rule="drop-sequence",
                lock=LockMode.ACCESS_EXCLUSIVE,
            )
        ]

    def dropped_with(self, item: Id, fact: SequenceFact, plan: Plan) -> Id | None:
        owner = plan.base.facts.get(Id("sequence owner", item.schema, item.name))
        if owner is None:
            return None
        column = Id("column", owner.table_schema, owner.table, owner.column)
        return column if column in plan.dropped else None

    def alter(self, item: Id, old: SequenceFact, new: SequenceFact, plan: Plan) -> list[Step] | None:
        name = quote_name(item.schema, item.name)
        steps = []
        if old.persistence != new.persistence:
            steps.append(Step(f"ALTER SEQUENCE {name} SET {'UNLOGGED' if new.persistence == 'u' else 'LOGGED'}"))
        said = sequence_changes(old.options, new.options)
        if said:
            back = sequence_changes(new.options, old.options)
            moves, restart = keep_in_range(item.schema, item.name, old.options, new.options)
            steps += moves
            said += [restart] if restart else []
            steps.append(
                Step(
                    f"ALTER SEQUENCE {name} {' '.join(said)}",
                    lock=LockMode.SHARE_ROW_EXCLUSIVE,
                    reverse=f"ALTER SEQUENCE {name} {' '.join(back)}",
                )
            )
        return steps


class SequenceOwner(Kind):
    """ALTER SEQUENCE ... OWNED BY, apart from the sequence, for column and sequence need each other."""

    name = "sequence owner"
    is_sequence = True
    is_named_after = True
    phase = 49
    drop_phase = 13
    is_quiet = True

    def table_of_sequence(self, fact: SequenceOwnerFact) -> Id:
        return Id("table", fact.table_schema, fact.table)

    def links_owners(self, fact: SequenceOwnerFact) -> tuple[Id, str]:
        return Id("table", fact.table_schema, fact.table), "sequence"

    def dropped_with(self, item: Id, fact: SequenceOwnerFact, plan: Plan) -> Id | None:
        sequence = Id("sequence", item.schema, item.name)
        return sequence if sequence in plan.removed else None

    def create(self, item: Id, fact: SequenceOwnerFact, plan: Plan) -> list[Step]:
        column = quote_name(fact.table_schema, fact.table, fact.column)
        owned = Step(f"ALTER SEQUENCE {quote_name(item.schema, item.name)} OWNED BY {column}")
        sequence = Id("sequence", item.schema, item.name)
        of = Id("column", fact.table_schema, fact.table, fact.column)
        if sequence in plan.created and of in plan.base.facts and of not in plan.created:
            return [owned, start_after_rows(of, item.schema, item.name, plan.target.facts[sequence].options)]
        return [owned]

    def drop(self, item: Id, fact: SequenceOwnerFact, plan: Plan) -> list[Step]:
        return [Step(f"ALTER SEQUENCE {quote_name(item.schema, item.name)} OWNED BY NONE")]

    def alter(self, item: Id, old: SequenceOwnerFact, new: SequenceOwnerFact, plan: Plan) -> list[Step] | None:
        gone = Id("column", old.table_schema, old.table, old.column) in plan.dropped
        return None if gone else self.create(item, new, plan)


class IdentitySequence(Kind):
    """The sequence behind an identity column: made and dropped with it, but with privileges and a comment of its own."""

    name = "identity sequence"
    is_sequence = True
    keyword = "SEQUENCE"
    grant_letter = "S"
    is_quiet = True

    def slots(self, item: Id, fact: Any) -> tuple[tuple[str, ...], ...]:
        return (("relation", item.schema, item.name),)

    def table_of_sequence(self, fact: SequenceOwnerFact) -> Id:
        return Id("table", fact.table_schema, fact.table)

    def created_with(self, item: Id, fact: SequenceOwnerFact, plan: Plan) -> Id | None:
        return Id("column", fact.table_schema, fact.table, fact.column)

    def dropped_with(self, item: Id, fact: SequenceOwnerFact, plan: Plan) -> Id | None:
        return Id("column", fact.table_schema, fact.table, fact.column)

    def alter(self, item: Id, old: SequenceOwnerFact, new: SequenceOwnerFact, plan: Plan) -> list[Step] | None:
        # One name, another column: the old one must be gone first.
        return [] if old == new else None
