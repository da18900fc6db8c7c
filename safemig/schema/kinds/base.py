"""What a kind of object knows: how it is created, dropped and altered, and what it comes and goes with."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safemig.schema.difference import Change
from safemig.schema.model import RELATION_KINDS, Facts, Id
from safemig.sql.identifiers import quote_identifier, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.links import Links
    from safemig.schema.model import Schema
    from safemig.schema.plan import Plan


@dataclass(frozen=True)
class Step:
    """One statement with what a reader must know of it; `online` is the same in the least blocking form.

    `alone`: it may share a transaction, and better does not, for it reads a whole table while it keeps its locks.
    `until` says what a person must do first where the rows have to change before the statement can run.
    """

    sql: str
    why: str = ""
    destructive: bool = False
    rule: str | None = None
    lock: LockMode | None = None
    rewrites: bool = False
    transactional: bool = True
    alone: bool = False
    online: tuple[Step, ...] | None = None
    reverse: str | None = None
    until: str = ""


class Kind:
    """The default answers; a kind of object overrides what is its own.

    `phase` orders what no dependency orders; `keyword` is what stands behind COMMENT ON and OWNER TO. No module of
    `schema/` outside of `kinds/` asks which kind something is of: it asks the kind.
    """

    name: str
    keyword: str
    since: int = 130000  # the first version of PostgreSQL that has it
    query: str = ""  # asks for all of it, for `read`; nothing where `postgres/catalog` reads it with others
    phase: int = 50
    drop_phase: int = 15
    grant_letter: str | None = None
    has_initial_grants: bool = True  # what default privileges give a new one
    is_granted_in_relation: bool = False  # its privileges are those of a relation, for it alone
    has_owner: bool = False
    owner_lock: LockMode | None = None
    rebuildable: bool = True
    takes_tables_along: bool = False  # those that stand on it hold no rows of their own, and can be made again
    alter_waits: bool = True  # what stands on it and is dropped goes before it is altered
    alter_matters: bool = True  # others must wait until it has been altered
    alter_is_needed: bool = False  # and cannot do without
    is_relation: bool = False  # other things live in it, and columns can be read from it
    is_inside: bool = False  # lives in a relation, and goes with it
    name_parts: int = 0  # of its dotted name, where it can be renamed
    rename_word: str = ""  # what ALTER ... RENAME TO calls it
    has_columns: bool = False  # a table, a view, or a type that is made as one
    is_sequence: bool = False  # or what says whose it is
    is_named_after: bool = False  # has the name of what it belongs to, though it is not inside a relation
    is_in_schema_of_table: bool = False
    may_circle: bool = False  # several of it can read each other, and are made by way of stand-ins
    is_named_in_bodies: bool = False  # texts of functions name it
    is_quiet: bool = False  # comes with something else, which says enough
    is_told_with_table: bool = False  # where its table is new, or gone, that says enough
    is_same_thing: bool = False  # has the name of what it belongs to, which says enough
    is_container: bool = False  # what stands in it has nothing to do with each other
    is_its_own_place: bool = False  # what a default or check in it may always name: a table, column or domain
    needs_nothing_here: bool = False  # no way leads from it back to a table
    links_tables: bool = False  # a table to its parent
    may_have_type: bool = False  # made OF a composite type
    has_attributes: bool = False  # a composite type
    may_reference: bool = False  # the columns of another table
    says_values_plainly: bool = False  # without a cast to their type
    may_be_constrained: bool = False  # its values are checked wherever they are stored
    is_swappable: bool = False  # columns are made of it: where it cannot be altered, they are converted to a new one
    may_stand_twice: bool = True  # a second one of another name can be made while it is there
    swap_rule: str = "alter-type-lossy"
    holds_values: bool = False  # of types
    stands_on_types: bool = False  # PostgreSQL does not rebuild it by itself around a column whose type changes
    is_in_column_order: bool = False  # its columns stand in an order that `Schema.column_order` holds
    is_built_online: bool = False  # by statements that cannot share a transaction
    is_built_beside: bool = False  # can be built under another name while the old one is in use, then renamed
    may_be_left_over: bool = False  # by a build that failed

    def read(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Id, Any]]:
        """Yield identity and fact of each object in the rows that `query` gives."""
        raise NotImplementedError(self.name)

    def words(self, item: Id, fact: Any) -> str:
        """What a person calls it."""
        return self.name

    def create(self, item: Id, fact: Any, plan: Plan) -> list[Step]:
        raise NotImplementedError(item)

    def drop(self, item: Id, fact: Any, plan: Plan) -> list[Step]:
        return [Step(f"DROP {self.target(item, fact)}", lock=self.drop_lock)]

    drop_lock: LockMode | None = None

    def alter(self, item: Id, old: Any, new: Any, plan: Plan) -> list[Step] | None:
        """Return the statements that change it in place, or None where it must be dropped and created again."""
        return None

    def target(self, item: Id, fact: Any) -> str:
        """What stands behind COMMENT ON, DROP, and (mostly) GRANT ON."""
        return f"{self.keyword} {quote_name(item.schema, item.name)}"

    def grant_target(self, item: Id, fact: Any) -> str:
        return self.target(item, fact)

    def created_with(self, item: Id, fact: Any, plan: Plan) -> Id | None:
        """The created object whose CREATE makes this one too."""
        return None

    def dropped_with(self, item: Id, fact: Any, plan: Plan) -> Id | None:
        """The dropped object whose DROP takes this one along."""
        return None

    def slots(self, item: Id, fact: Any) -> tuple[tuple[str, ...], ...]:
        """Names that no two objects may hold at once."""
        return ()

    def shell(self, item: Id, fact: Any) -> Step | None:
        """Return what makes its name alone, where others must find that before it can be made itself."""
        return None

    def completion(self, item: Id, fact: Any, plan: Plan) -> list[Step]:
        """Return what is still to be said of `item` when the type that its table is made of has made it."""
        return []

    def has_owner_of_table(self, item: Id, plan: Plan) -> bool:
        """Tell whether it gets its owner with the table that it is linked to, before as after: it has no other way."""
        return False

    def links_owners(self, fact: Any) -> tuple[Id, str] | None:
        """Return the table that what it is named after, of the kind in the second place, must have its owner from."""
        return None

    def whole(self, item: Id) -> Id:
        """Return the table of a column; anything else is a whole."""
        return item

    def primary_key(self, fact: Any) -> tuple[str, ...]:
        """Return the columns of a primary key; nothing of anything else."""
        return ()

    def is_in(self, item: Id, schema: Schema) -> bool:
        """Tell whether `schema` has `item`, so that it can be renamed."""
        return item in schema.facts

    def rename_steps(self, old: Id, new: Id) -> list[Step]:
        """Return what renames it, and moves it to another schema."""
        word, why = self.rename_word, "statements that use the old name fail from now on"
        steps = []
        if old.name != new.name:
            steps.append(
                Step(
                    f"ALTER {word} {quote_name(old.schema, old.name)} RENAME TO {quote_identifier(new.name)}",
                    why,
                    rule="rename-table",
                    lock=LockMode.ACCESS_EXCLUSIVE,
                    reverse=f"ALTER {word} {quote_name(old.schema, new.name)} RENAME TO {quote_identifier(old.name)}",
                )
            )
        if old.schema != new.schema:
            steps.append(
                Step(
                    f"ALTER {word} {quote_name(old.schema, new.name)} SET SCHEMA {quote_identifier(new.schema)}",
                    why,
                    rule="set-schema",
                    lock=LockMode.ACCESS_EXCLUSIVE,
                    reverse=f"ALTER {word} {quote_name(new.schema, new.name)} SET SCHEMA {quote_identifier(old.schema)}",
                )
            )
        return steps

    def renamed_along(self, old: Id, new: Id, base: Schema) -> Mapping[Id, Id]:
        """Return what the rename of `old` to `new` gives new names, by the old ones: it, and its like in child tables."""
        return {old: new}

    def rewritten(self, renamed: Mapping[Id, Id], base: Schema) -> Callable[[Id, Any], Any] | None:
        """Return what any fact of `base` says after a rename, by item and fact; None for an object with a name of its own."""
        return None

    def moved(self, item: Id, renamed: Mapping[Id, Id]) -> Id:
        """Return `item` as it is called after something in a table was renamed."""
        return item

    def table_of_sequence(self, fact: Any) -> Id | None:
        """Return the table that a sequence goes with, of what says so."""
        return None

    def with_sequences_in(self, fact: Any, sequences: Container[tuple[str, str]], schema: str) -> Any:
        """Return the fact as it is once those sequences are moved to `schema`."""
        return fact

    def likely_renames(self, plan: Plan) -> Iterator[tuple[Id, Id]]:
        """Yield (old, new) of what is removed and added, and looks like one that was renamed."""
        return iter(())

    def bearer(self, item: Id) -> Id:
        """Return the fact that `item` comes and goes with: itself, but for what is part of another."""
        return item

    def is_there(self, item: Id, plan: Plan) -> bool:
        """Tell whether `item` will be there, and is seen."""
        bearer = self.bearer(item)
        return bearer in plan.target.facts and bearer not in plan.base.unseen

    def relations(self, fact: Any) -> tuple[tuple[str, str], ...]:
        """Return (schema, name) of the relations that it is made on, where its own name does not say so."""
        return ()

    def writes_body(self, fact: Any) -> bool:
        """Tell whether its CREATE holds a text that is no dependency, and which PostgreSQL would check as it stands now."""
        return False

    def is_verbatim(self, sql: str) -> bool:
        """Tell whether `sql` must be kept to the letter."""
        return False

    def same_thing(self, item: Id) -> Id | None:
        """Return what `item` is one thing with, so that both change together."""
        return None

    def is_leftover(self, fact: Any, schema: Schema) -> bool:
        """Tell whether a build that failed left it behind."""
        return False

    def means_the_same(self, old: Any, new: Any) -> bool:
        """Tell whether what differs means nothing."""
        return False

    def is_no_longer_local(self, old: Any, new: Any) -> bool:
        """Tell whether all that differs is that a child table should have from its parent what is its own: no ALTER says so."""
        return False

    def key_of_parent(self, fact: Any) -> str | None:
        """Return the definition by which it is known where it is a part of its parent's: its name means nothing then."""
        return None

    def is_retyped(self, old: Any, new: Any) -> bool:
        """Tell whether the values in it get another type."""
        return False

    def inner(self, item: Id, plan: Plan) -> Sequence[Id]:
        """Return what is lost with a drop, and so must be created again."""
        return plan.base.children.get(item, ())

    def replaced_as(self, item: Id, plan: Plan) -> Id:
        """Return what must be dropped and created again so that `item` is."""
        return item

    def cannot_join(self, item: Id, plan: Plan) -> Id | None:
        """Return what must be replaced because `item` cannot be created in it as it stands."""
        return None

    def attached_to(self, item: Id, fact: Any, plan: Plan) -> Id | None:
        """Return what of the parent table `item` belongs to, where it cannot be taken from that while both stay."""
        return None

    def is_part(self, fact: Any) -> bool:
        """Tell whether it belongs to the same thing of a parent table, which says enough."""
        return False

    def attached(self, item: Id, plan: Plan) -> Sequence[Id]:
        """Return what of the partitions belongs to `item`, and goes with it."""
        return ()

    def hinders_type_change(self, item: Id, column: Id, plan: Plan) -> bool:
        """Tell whether PostgreSQL refuses to change the type of a column, or breaks `item`, while `item` stands on it."""
        return self.stands_on_types

    def hinders_conversion(self, item: Id, column: Id, plan: Plan) -> bool:
        """Tell the same of a column that is converted to the new form of its type."""
        return self.stands_on_types

    def implied(self, item: Id) -> Sequence[Id]:
        """Return what it needs though pg_depend does not say so."""
        return (Id("schema", "", item.schema),) if item.schema else ()

    def read_by_validation(self, item: Id, plan: Plan) -> Iterable[Id]:
        """Return the tables that VALIDATE reads, other than its own."""
        return ()

    def unique_on(self, item: Id, fact: Any) -> tuple[str, str] | None:
        """Return the table on which it keeps values unique; None where it does not."""
        return None

    def staged_with(self, item: Id) -> Id:
        """Return what is made whole with `item` where it is made in two stages: itself, or what it is part of."""
        return item

    def is_stand_in_enough(self, item: Id, dependent: Id, circles: Mapping[Id, Container[Id]], plan: Plan) -> bool:
        """Tell whether `dependent` needs only the first stage of `item`, because the second needs `dependent`."""
        return False

    # What waits for what, beside what pg_depend says: of all that is dropped, removed for good, given another type,
    # created, or altered. Only kinds that have an answer of their own are asked.

    def join_dropped(self, item: Id, links: Links) -> None: ...

    def join_removed(self, item: Id, links: Links) -> None: ...

    def join_retyped(self, item: Id, links: Links) -> None: ...

    def join_created(self, item: Id, links: Links) -> None: ...

    def join_altered(self, item: Id, links: Links) -> None: ...

    def has_its_own(self, method: str) -> bool:
        """Tell whether the kind answers for itself, so that a loop over all facts may pass over the others."""
        return getattr(type(self), method) is not getattr(Kind, method)

    def changes(self, item: Id, old: Any, new: Any) -> Iterator[Change]:
        """Yield in words how it changes."""
        yield Change(self.words(item, new), item.dotted, "change", self.detail(old, new))

    def is_told_with(self, item: Id, listed: Container[Id], facts: Facts, *, is_gone: bool) -> bool:
        """Tell whether a larger change that is `listed` says enough of what is added to or removed from `facts`."""
        return self.is_told_with_table and Id("table", item.schema, item.name) in listed

    def why_swapped(self, item: Id, old: Any, new: Any) -> tuple[bool, str]:
        """Return whether columns that are converted to its new definition may lose values, and why that is done."""
        return True, f"every column made of {item.dotted} is converted, and the conversion may fail or lose values"

    def detail(self, old: Any, new: Any) -> str:
        """What differs, in words."""
        parts = []
        for name, before, after in zip(new._fields, old, new, strict=True):
            if before != after:
                word = name.replace("_", " ")
                if isinstance(before, bool) and isinstance(after, bool):
                    parts.append(word if after else f"no longer {word}")
                elif (
                    isinstance(before, str | int)
                    and isinstance(after, str | int)
                    and len(str(before) + str(after)) < 80
                ):
                    parts.append(f"{word} {before or 'none'} -> {after or 'none'}")
                else:
                    parts.append(f"{word} changed")
        return "; ".join(parts)


class InsideRelation(Kind):
    """A kind that lives in a table or view and goes with it."""

    is_inside = True

    def implied(self, item: Id) -> Sequence[Id]:
        _, schema, name, _ = item
        return (
            Id("schema", "", schema),
            Id("table", schema, name),
            Id("view", schema, name),
            Id("materialized view", schema, name),
        )

    def container(self, item: Id, facts: Any) -> Id | None:
        for kind in RELATION_KINDS:
            found = Id(kind, item.schema, item.name)
            if found in facts:
                return found
        return None

    def dropped_with(self, item: Id, fact: Any, plan: Plan) -> Id | None:
        container = self.container(item, plan.base.facts)
        if container is None or container not in plan.dropped:
            return None
        # Two tables whose policies or rules look at each other: these must go before either can.
        return None if self.name in ("policy", "rule") and plan.references_dropped(item, container) else container

    def target(self, item: Id, fact: Any) -> str:
        return f"{self.keyword} {quote_identifier(item.sub)} ON {quote_name(item.schema, item.name)}"

    def slots(self, item: Id, fact: Any) -> tuple[tuple[str, ...], ...]:
        return ((self.name, item.schema, item.name, item.sub),)


def substitute(fact: Any, word: re.Pattern[str], by: str) -> Any:
    """Return the fact with `word` replaced in each of its texts."""

    def anew(value: Any) -> Any:
        if isinstance(value, str):
            return word.sub(lambda _: by, value)
        return value

    return type(fact)(*(anew(value) for value in fact)) if hasattr(fact, "_fields") else fact


def comes_with_relation(item: Id, listed: Container[Id], facts: Facts) -> bool:
    """Tell whether a column's relation is `listed`, or is a view, whose text says what columns it has."""
    views = (Id(kind, item.schema, item.name) for kind in ("view", "materialized view"))
    return Id("table", item.schema, item.name) in listed or any(view in listed or view in facts for view in views)


def option_list(options: tuple[tuple[str, str], ...]) -> str:
    """Return storage parameters as SQL: `fillfactor='70', autovacuum_enabled='false'`."""
    return ", ".join(f"{_option_name(name)}={_quoted(value)}" for name, value in options)


def option_names(options: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(_option_name(name) for name, _ in options)


def option_steps(
    prefix: str, old: tuple[tuple[str, str], ...], new: tuple[tuple[str, str], ...], lock: LockMode | None
) -> list[Step]:
    """Return the RESET and SET that turn `old` into `new`; `prefix` is ALTER with the object."""
    names = {name for name, _ in new}
    gone = tuple(pair for pair in old if pair[0] not in names)
    fresh = tuple(pair for pair in new if pair not in old)
    set_anew = {name for name, _ in fresh}
    if (*(pair for pair in old if pair[0] in names and pair[0] not in set_anew), *fresh) != new:
        gone, fresh = old, new  # only so do they come out in the same order
    steps = []
    if gone:
        steps.append(Step(f"{prefix} RESET ({option_names(gone)})", lock=lock))
    if fresh:
        steps.append(Step(f"{prefix} SET ({option_list(fresh)})", lock=lock))
    return steps


def _option_name(name: str) -> str:
    return ".".join(quote_identifier(part) for part in name.split(".", 1))


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
