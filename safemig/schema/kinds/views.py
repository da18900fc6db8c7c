"""Views and materialized views."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

from safemig.schema.facts import MaterializedViewFact, Options, ViewFact
from safemig.schema.kinds.base import Kind, Step, option_list, option_steps
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.links import Links
    from safemig.schema.plan import Plan

_EXCLUSIVE = LockMode.ACCESS_EXCLUSIVE

# `FROM orders o(id, total, ...)`: the server names all columns of what is read, so the text fits only these columns;
# and `JOIN ... USING (id)` fits only where no other table on that side has such a column.
_COLUMN_LIST = re.compile(r"""(?:\)|\b[a-z_0-9"]+) [\w"]+\([\w", ]*\)| USING \(""")


def lists_columns(fact: ViewFact | MaterializedViewFact) -> bool:
    """Tell whether a view's text lists all columns of something that it reads."""
    return _COLUMN_LIST.search(fact.definition) is not None


def _join_column_lists(item: Id, links: Links) -> None:
    """A view that lists the columns of what it reads can be made only when that has just these."""
    if lists_columns(links.plan.target.facts[item]):
        others = [
            other for inner in sorted(links.plan.columns_that_come_and_go(item)) for other in links.touching(inner)
        ]
        for own in links.makers(item):
            for other in others:
                own.wait_for(other, hard=other.is_destructive)


class View(Kind):
    name = "view"
    keyword = "VIEW"
    stands_on_types = True
    may_circle = True
    phase = 60
    drop_phase = 12
    name_parts = 2
    rename_word = "VIEW"
    has_columns = True
    is_relation = True
    owner_lock = _EXCLUSIVE
    is_named_in_bodies = True
    grant_letter = "r"
    has_owner = True
    drop_lock = _EXCLUSIVE

    def join_created(self, item: Id, links: Links) -> None:
        _join_column_lists(item, links)

    def is_stand_in_enough(self, item: Id, dependent: Id, circles: Mapping[Id, Container[Id]], plan: Plan) -> bool:
        return item in circles.get(Id(self.name, *dependent[1:3]), ())

    def grant_target(self, item: Id, fact: ViewFact) -> str:
        return f"TABLE {quote_name(item.schema, item.name)}"

    def slots(self, item: Id, fact: ViewFact) -> tuple[tuple[str, ...], ...]:
        return ("relation", item.schema, item.name), ("type", item.schema, item.name)

    def _create(self, item: Id, definition: str, options: Options) -> str:
        said = f" WITH ({option_list(options)})" if options else ""
        return f"CREATE OR REPLACE VIEW {quote_name(item.schema, item.name)}{said} AS\n{definition}"

    def create(self, item: Id, fact: ViewFact, plan: Plan) -> list[Step]:
        return [
            Step(
                self._create(item, fact.definition, fact.options),
                reverse=f"DROP VIEW {quote_name(item.schema, item.name)}",
            )
        ]

    def drop(self, item: Id, fact: ViewFact, plan: Plan) -> list[Step]:
        again = item in plan.replaced
        return [
            Step(
                f"DROP VIEW IF EXISTS {quote_name(item.schema, item.name)}",
                "" if again else "stop reading it first",
                rule=None if again else "drop-view",
                lock=_EXCLUSIVE,
                reverse=self._create(item, fact.definition, fact.options),
            )
        ]

    def alter(self, item: Id, old: ViewFact, new: ViewFact, plan: Plan) -> list[Step] | None:
        steps: list[Step] = []
        if old.definition != new.definition or old.columns != new.columns:
            if new.columns[: len(old.columns)] != old.columns or self._waits_for_columns(item, old, new, plan):
                return None
            return [
                Step(
                    self._create(item, new.definition, new.options),
                    lock=_EXCLUSIVE,
                    reverse=self._create(item, old.definition, old.options) if old.columns == new.columns else None,
                )
            ]
        steps += option_steps(f"ALTER VIEW {quote_name(item.schema, item.name)}", old.options, new.options, _EXCLUSIVE)
        return steps

    def _waits_for_columns(self, item: Id, old: ViewFact, new: ViewFact, plan: Plan) -> bool:
        """Tell whether the text lists the columns of a relation that gets or loses some: it fits only one of the two."""
        if not (lists_columns(old) or lists_columns(new)):
            return False
        return bool(plan.columns_that_come_and_go(item))

    def detail(self, old: ViewFact, new: ViewFact) -> str:
        return "; ".join(
            word
            for word, differs in (
                ("columns changed", old.columns != new.columns),
                ("definition changed", old.definition != new.definition and old.columns == new.columns),
                (f"options {dict(old.options)} -> {dict(new.options)}", old.options != new.options),
            )
            if differs
        )


class MaterializedView(Kind):
    name = "materialized view"
    keyword = "MATERIALIZED VIEW"
    stands_on_types = True
    phase = 61
    drop_phase = 12
    name_parts = 2
    rename_word = "MATERIALIZED VIEW"
    has_columns = True
    is_relation = True
    owner_lock = _EXCLUSIVE
    is_named_in_bodies = True
    grant_letter = "r"
    has_owner = True

    def join_created(self, item: Id, links: Links) -> None:
        _join_column_lists(item, links)

    def grant_target(self, item: Id, fact: MaterializedViewFact) -> str:
        return f"TABLE {quote_name(item.schema, item.name)}"

    def slots(self, item: Id, fact: MaterializedViewFact) -> tuple[tuple[str, ...], ...]:
        return ("relation", item.schema, item.name), ("type", item.schema, item.name)

    def means_the_same(self, old: MaterializedViewFact, new: MaterializedViewFact) -> bool:
        return old._replace(populated=False) == new  # it would be emptied for nothing

    def create(self, item: Id, fact: MaterializedViewFact, plan: Plan) -> list[Step]:
        name = quote_name(item.schema, item.name)
        head = f"CREATE MATERIALIZED VIEW IF NOT EXISTS {name}"
        if fact.access_method:
            head += f"\nUSING {quote_identifier(fact.access_method)}"
        if fact.options:
            head += f"\nWITH ({option_list(fact.options)})"
        if fact.tablespace:
            head += f"\nTABLESPACE {quote_identifier(fact.tablespace)}"
        tail = "" if fact.populated else "\nWITH NO DATA"
        why = "computed again" if item in plan.replaced else ""
        steps = [
            Step(
                f"{head} AS\n{fact.definition}{tail}",
                why,
                rule="refresh-matview" if why else None,
                reverse=f"DROP MATERIALIZED VIEW {name}",
            )
        ]
        for column in plan.target.column_order.get(item, ()):
            inner = Id("column", item.schema, item.name, column)
            from safemig.schema.kinds.columns import column_settings

            steps += column_settings(inner, None, plan.target.facts[inner], plan)
        return steps

    def drop(self, item: Id, fact: MaterializedViewFact, plan: Plan) -> list[Step]:
        again = item in plan.replaced
        return [
            Step(
                f"DROP MATERIALIZED VIEW IF EXISTS {quote_name(item.schema, item.name)}",
                "" if again else "stop reading it first",
                rule=None if again else "drop-view",
                lock=_EXCLUSIVE,
            )
        ]

    def alter(self, item: Id, old: MaterializedViewFact, new: MaterializedViewFact, plan: Plan) -> list[Step] | None:
        if old.definition != new.definition or old.columns != new.columns:
            return None
        if old.access_method != new.access_method and plan.version < 150000:
            return None
        prefix = f"ALTER MATERIALIZED VIEW {quote_name(item.schema, item.name)}"
        steps = option_steps(prefix, old.options, new.options, LockMode.SHARE_UPDATE_EXCLUSIVE)
        if old.access_method != new.access_method:
            steps.append(
                Step(
                    f"{prefix} SET ACCESS METHOD {quote_identifier(new.access_method or 'heap')}",
                    "rewritten",
                    rule="set-access-method",
                    lock=_EXCLUSIVE,
                    rewrites=True,
                )
            )
        if old.tablespace != new.tablespace:
            steps.append(
                Step(
                    f"{prefix} SET TABLESPACE {quote_identifier(new.tablespace or 'pg_default')}",
                    "its file is copied",
                    rule="set-tablespace",
                    lock=_EXCLUSIVE,
                    rewrites=True,
                )
            )
        if new.populated and not old.populated:  # the other way round it would be emptied for nothing
            steps.append(
                Step(
                    f"REFRESH MATERIALIZED VIEW {quote_name(item.schema, item.name)} WITH DATA",
                    "reads wait while it is computed",
                    rule="refresh-matview",
                    lock=_EXCLUSIVE,
                    rewrites=True,
                )
            )
        return steps
