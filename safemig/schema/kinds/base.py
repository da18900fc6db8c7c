"""What a kind of object knows: how it is created, dropped and altered, and what it comes and goes with."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safemig.schema.model import RELATION_KINDS, Id
from safemig.sql.identifiers import quote_identifier, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.plan import Plan


@dataclass(frozen=True)
class Step:
    """One statement with what a reader must know of it; `online` is the same in the least blocking form.

    `until` says what a person must do first where the rows have to change before the statement can run.
    """

    sql: str
    why: str = ""
    destructive: bool = False
    rule: str | None = None
    lock: LockMode | None = None
    rewrites: bool = False
    transactional: bool = True
    online: tuple[Step, ...] | None = None
    reverse: str | None = None
    until: str = ""


class Kind:
    """The default answers; a kind of object overrides what is its own.

    `phase` orders what no dependency orders; `keyword` is what stands behind COMMENT ON and OWNER TO.
    """

    name: str
    keyword: str
    phase: int = 50
    drop_phase: int = 15
    grant_letter: str | None = None
    has_owner: bool = False
    rebuildable: bool = True
    takes_tables_along: bool = False  # those that stand on it hold no rows of their own, and can be made again
    alter_waits: bool = True  # what stands on it and is dropped goes before it is altered
    alter_matters: bool = True  # others must wait until it has been altered

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
