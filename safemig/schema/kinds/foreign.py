"""Foreign data wrappers, servers and user mappings."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safemig.schema.facts import (
    ServerFact,
    UserMappingFact,
    WrapperFact,
)
from safemig.schema.kinds.base import Kind, Step
from safemig.schema.kinds.tables import generic_changes, generic_options
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_literal

if TYPE_CHECKING:
    from safemig.schema.plan import Plan


class Wrapper(Kind):
    name = "foreign data wrapper"
    keyword = "FOREIGN DATA WRAPPER"
    phase = 43
    drop_phase = 90
    grant_letter = "F"
    has_owner = True
    rebuildable = False
    alter_matters = False

    def grant_target(self, item: Id, fact: Any) -> str:
        return f"FOREIGN DATA WRAPPER {quote_identifier(item.name)}"

    def create(self, item: Id, fact: WrapperFact, plan: Plan) -> list[Step]:
        sql = f"CREATE FOREIGN DATA WRAPPER {quote_identifier(item.name)}"
        sql += f" HANDLER {fact.handler}" if fact.handler else ""
        sql += f" VALIDATOR {fact.validator}" if fact.validator else ""
        sql += f" OPTIONS ({generic_options(fact.options)})" if fact.options else ""
        return [Step(sql, reverse=f"DROP FOREIGN DATA WRAPPER {quote_identifier(item.name)}")]

    def alter(self, item: Id, old: WrapperFact, new: WrapperFact, plan: Plan) -> list[Step] | None:
        parts = []
        if old.handler != new.handler:
            parts.append(f"HANDLER {new.handler}" if new.handler else "NO HANDLER")
        if old.validator != new.validator:
            parts.append(f"VALIDATOR {new.validator}" if new.validator else "NO VALIDATOR")
        if old.options != new.options:
            parts.append(f"OPTIONS ({generic_changes(old.options, new.options)})")
        return [Step(f"ALTER FOREIGN DATA WRAPPER {quote_identifier(item.name)} {' '.join(parts)}")]


class Server(Kind):
    name = "server"
    keyword = "SERVER"
    phase = 44
    drop_phase = 89
    grant_letter = "s"
    has_owner = True
    rebuildable = False
    takes_tables_along = True
    alter_matters = False

    def grant_target(self, item: Id, fact: Any) -> str:
        return f"FOREIGN SERVER {quote_identifier(item.name)}"

    def create(self, item: Id, fact: ServerFact, plan: Plan) -> list[Step]:
        sql = f"CREATE SERVER IF NOT EXISTS {quote_identifier(item.name)}"
        sql += f" TYPE {quote_literal(fact.type).strip()}" if fact.type else ""
        sql += f" VERSION {quote_literal(fact.version).strip()}" if fact.version else ""
        sql += f" FOREIGN DATA WRAPPER {quote_identifier(fact.wrapper)}"
        sql += f" OPTIONS ({generic_options(fact.options)})" if fact.options else ""
        return [Step(sql, reverse=f"DROP SERVER {quote_identifier(item.name)}")]

    def alter(self, item: Id, old: ServerFact, new: ServerFact, plan: Plan) -> list[Step] | None:
        if (old.wrapper, old.type) != (new.wrapper, new.type) or (old.version and not new.version):
            return None
        sql = f"ALTER SERVER {quote_identifier(item.name)}"
        sql += f" VERSION {quote_literal(new.version).strip()}" if old.version != new.version else ""
        sql += f" OPTIONS ({generic_changes(old.options, new.options)})" if old.options != new.options else ""
        return [Step(sql)]


class UserMapping(Kind):
    name = "user mapping"
    phase = 45
    drop_phase = 7

    def _on(self, item: Id) -> str:
        return f"FOR {quote_identifier(item.sub) if item.sub else 'PUBLIC'} SERVER {quote_identifier(item.name)}"

    def create(self, item: Id, fact: UserMappingFact, plan: Plan) -> list[Step]:
        said = f" OPTIONS ({generic_options(fact.options)})" if fact.options else ""
        return [
            Step(
                f"CREATE USER MAPPING IF NOT EXISTS {self._on(item)}{said}",
                reverse=f"DROP USER MAPPING {self._on(item)}",
            )
        ]

    def drop(self, item: Id, fact: UserMappingFact, plan: Plan) -> list[Step]:
        return [Step(f"DROP USER MAPPING IF EXISTS {self._on(item)}")]

    def alter(self, item: Id, old: UserMappingFact, new: UserMappingFact, plan: Plan) -> list[Step] | None:
        return [Step(f"ALTER USER MAPPING {self._on(item)} OPTIONS ({generic_changes(old.options, new.options)})")]

    def detail(self, old: UserMappingFact, new: UserMappingFact) -> str:
        return "options changed"  # they hold passwords
