"""Tables of every sort."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from safemig.schema.facts import (
    ClusterFact,
    ColumnFact,
    Options,
    ReplicaIdentityFact,
    TableFact,
)
from safemig.schema.kinds.base import InsideRelation, Kind, Step, option_list, option_steps
from safemig.schema.kinds.columns import column_definition, column_settings
from safemig.schema.kinds.not_null import not_null_clause
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_literal, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.links import Links
    from safemig.schema.plan import Plan

_EXCLUSIVE = LockMode.ACCESS_EXCLUSIVE


class Table(Kind):
    name = "table"
    phase = 45
    drop_phase = 82
    grant_letter = "r"
    has_owner = True
    rebuildable = False
    alter_matters = False
    name_parts = 2
    rename_word = "TABLE"
    has_columns = True
    is_its_own_place = True
    may_have_type = True
    is_relation = True
    owner_lock = _EXCLUSIVE
    is_named_in_bodies = True
    is_in_column_order = True

    def join_altered(self, item: Id, links: Links) -> None:
        """ALTER TABLE ... OF wants the columns as the type has them; only after NOT OF may they become others."""
        plan = links.plan
        if plan.base.facts[item].of_type == plan.target.facts[item].of_type:
            return
        columns = {
            inner
            for schema in (plan.base, plan.target)
            for inner in schema.children.get(item)
            if inner.kind == "column"
        }
        others = [other for inner in sorted(columns) for other in links.touching(inner)]
        if plan.target.facts[item].of_type:
            links.chain(links.makers(item), others, hard=True)
        else:
            links.chain(others, links.makers(item), hard=True)

    def likely_renames(self, plan: Plan) -> Iterator[tuple[Id, Id]]:
        removed = sorted(item for item in plan.removed if item.kind == self.name) if plan.added else []
        added = sorted(item for item in plan.added if item.kind == self.name) if removed else []
        for gone in removed:
            before = set(plan.base.column_order.get(gone, ()))
            for item in added:
                after = set(plan.target.column_order.get(item, ()))
                if before and 3 * len(before & after) >= 2 * len(before | after):
                    yield gone, item

    def words(self, item: Id, fact: TableFact) -> str:
        return {"p": "partitioned table", "f": "foreign table"}.get(fact.relkind, "table")

    def target(self, item: Id, fact: TableFact) -> str:
        return f"{'FOREIGN TABLE' if fact.relkind == 'f' else 'TABLE'} {quote_name(item.schema, item.name)}"

    def grant_target(self, item: Id, fact: TableFact) -> str:
        return f"TABLE {quote_name(item.schema, item.name)}"

    def slots(self, item: Id, fact: TableFact) -> tuple[tuple[str, ...], ...]:
        return ("relation", item.schema, item.name), ("type", item.schema, item.name)

    def create(self, item: Id, fact: TableFact, plan: Plan) -> list[Step]:
        name = quote_name(item.schema, item.name)
        lines, later = self._columns(item, fact, plan)
        lines += self._constraints(item, plan)
        words = {"u": "UNLOGGED "}.get(fact.persistence, "") + ("FOREIGN TABLE" if fact.relkind == "f" else "TABLE")
        body = "(\n    " + ",\n    ".join(lines) + "\n)" if lines else "()"
        head = f"CREATE {words} IF NOT EXISTS {name} "
        if fact.of_type:
            head += f"OF {fact.of_type} " + (body if lines else "")
        else:
            head += body
        sql = head.rstrip() + self._tail(item, fact, plan)
        steps = [Step(sql, reverse=f"DROP {self.target(item, fact)}"), *later]
        if fact.row_security:
            steps.append(
                Step(
                    f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
                    lock=_EXCLUSIVE,
                    reverse=f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY",
                )
            )
        if fact.force_row_security:
            steps.append(
                Step(
                    f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
                    lock=_EXCLUSIVE,
                    reverse=f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY",
                )
            )
        return steps

    def _columns(self, item: Id, fact: TableFact, plan: Plan) -> tuple[list[str], list[Step]]:
        lines: list[str] = []
        later: list[Step] = []
        partition = Id("partition", item.schema, item.name) in plan.target.facts
        for name in plan.target.column_order.get(item, ()):
            column = Id("column", item.schema, item.name, name)
            definition: ColumnFact = plan.target.facts[column]
            comes_by_itself = (definition.inherited and not definition.is_local and not partition) or fact.of_type
            if comes_by_itself:
                later += self._inherited(column, definition, plan, lines, typed=bool(fact.of_type))
            else:
                lines.append(column_definition(column, definition, plan, partition=partition))
            later += column_settings(column, None, definition, plan)
        return lines, later

    def _inherited(self, column: Id, fact: ColumnFact, plan: Plan, lines: list[str], *, typed: bool) -> list[Step]:
        """What an inherited or typed column has beyond what it gets by itself."""
        default = Id("default", *column[1:])
        expression = plan.target.facts[default].expression if default in plan.target.facts else None
        if typed:
            parts = []
            if expression is not None and plan.created_by(default) == plan.created_by(column):
                parts.append(f"DEFAULT {expression}")
            if fact.not_null:
                parts.append("NOT NULL")
            if parts:
                lines.append(f"{quote_identifier(column.sub)} WITH OPTIONS {' '.join(parts)}")
            return []
        parents = plan.parent_columns(column, plan.target)
        table, name = quote_name(column.schema, column.name), quote_identifier(column.sub)
        steps = []
        inherited = {
            plan.target.facts[d].expression if (d := Id("default", *parent[1:])) in plan.target.facts else None
            for parent in parents
        }
        if (
            not fact.generated
            and inherited != {expression}
            and (expression is None or plan.created_by(default) == plan.created_by(column))
        ):
            steps.append(
                Step(
                    f"ALTER TABLE {table} ALTER COLUMN {name} "
                    + (f"SET DEFAULT {expression}" if expression is not None else "DROP DEFAULT"),
                    lock=_EXCLUSIVE,
                )
            )
        from_parent = any(plan.target.facts[parent].not_null for parent in parents)
        if plan.version >= 180000 and fact.not_null_local and not fact.not_null_not_valid:
            from_parent = False  # it is the child's own as well, by a name of its own
        if fact.not_null and not from_parent:
            if plan.version >= 180000:
                lines.append(not_null_clause(column, fact))
            else:
                steps.append(Step(f"ALTER TABLE {table} ALTER COLUMN {name} SET NOT NULL", lock=_EXCLUSIVE))
        return steps

    def _constraints(self, item: Id, plan: Plan) -> list[str]:
        found = [
            inner
            for inner in plan.target.children.get(item, ())
            if inner.kind == "constraint" and plan.created_by(inner) == plan.created_by(item)
        ]
        order = {"p": 0, "u": 1, "x": 2, "c": 3}
        found.sort(key=lambda inner: (order.get(plan.target.facts[inner].type, 9), inner.sub))
        lines = []
        for inner in found:
            fact = plan.target.facts[inner]
            if (
                fact.inherited
                and not fact.is_local
                and Id("partition", item.schema, item.name) not in plan.target.facts
            ):
                continue
            lines.append(plan.kinds["constraint"].inline(inner, fact))  # type: ignore[attr-defined]
        return lines

    def _tail(self, item: Id, fact: TableFact, plan: Plan) -> str:
        parts = []
        parents = [
            inner
            for inner in plan.target.children.get(item, ())
            if inner.kind == "inheritance" and plan.created_by(inner) == plan.created_by(item)
        ]
        parents.sort(key=lambda inner: plan.target.facts[inner].position)
        if parents:
            names = (quote_name(plan.target.facts[p].parent_schema, plan.target.facts[p].parent) for p in parents)
            parts.append(f"INHERITS ({', '.join(names)})")
        if fact.partition_key:
            parts.append(f"PARTITION BY {fact.partition_key}")
        if fact.server:
            parts.append(f"SERVER {quote_identifier(fact.server)}")
            if fact.foreign_options:
                parts.append(f"OPTIONS ({generic_options(fact.foreign_options)})")
        if fact.access_method and not fact.server:
            parts.append(f"USING {quote_identifier(fact.access_method)}")
        if fact.options:
            parts.append(f"WITH ({option_list(fact.options)})")
        if fact.tablespace:
            parts.append(f"TABLESPACE {quote_identifier(fact.tablespace)}")
        return "".join(f"\n{part}" for part in parts)

    def drop(self, item: Id, fact: TableFact, plan: Plan) -> list[Step]:
        sql = f"DROP {self.target(item, fact).replace('TABLE ', 'TABLE IF EXISTS ', 1)}"
        if fact.relkind == "f":
            return [Step(sql, "the foreign table's definition; its rows live elsewhere", lock=_EXCLUSIVE)]
        why = f"all rows of {item.dotted} are lost"
        if item in plan.replaced:
            why += " (it cannot be altered into its new form, so it is created again, empty)"
            if fact.relkind == "p":
                why += ", except those in partitions that are detached before and attached again"
        return [Step(sql, why, destructive=True, rule="drop-table", lock=_EXCLUSIVE)]

    def alter(self, item: Id, old: TableFact, new: TableFact, plan: Plan) -> list[Step] | None:
        if old.relkind != new.relkind or old.partition_key != new.partition_key or old.server != new.server:
            return None
        if old.access_method != new.access_method and plan.version < 150000:
            return None
        name = f"ALTER TABLE {quote_name(item.schema, item.name)}"
        steps: list[Step] = []
        if old.of_type != new.of_type:
            if old.of_type:
                steps.append(Step(f"{name} NOT OF", lock=_EXCLUSIVE))
            if new.of_type:
                steps.append(Step(f"{name} OF {new.of_type}", lock=_EXCLUSIVE))
        if old.persistence != new.persistence:
            word = "UNLOGGED" if new.persistence == "u" else "LOGGED"
            why = "the table is rewritten" + (
                "; after a crash an unlogged table is empty" if word == "UNLOGGED" else ""
            )
            steps.append(Step(f"{name} SET {word}", why, rule="set-logged-unlogged", lock=_EXCLUSIVE, rewrites=True))
        if old.access_method != new.access_method:
            method = quote_identifier(new.access_method or "heap")
            steps.append(
                Step(
                    f"{name} SET ACCESS METHOD {method}",
                    "the table is rewritten",
                    rule="set-access-method",
                    lock=_EXCLUSIVE,
                    rewrites=True,
                )
            )
        if old.tablespace != new.tablespace:
            space = quote_identifier(new.tablespace or "pg_default")
            steps.append(
                Step(
                    f"{name} SET TABLESPACE {space}",
                    "the table's files are copied",
                    rule="set-tablespace",
                    lock=_EXCLUSIVE,
                    rewrites=True,
                )
            )
        steps += option_steps(name, old.options, new.options, LockMode.SHARE_UPDATE_EXCLUSIVE)
        if old.row_security != new.row_security:
            word = "ENABLE" if new.row_security else "DISABLE"
            steps.append(
                Step(
                    f"{name} {word} ROW LEVEL SECURITY", rule="rls", lock=_EXCLUSIVE, why="changes who sees which rows"
                )
            )
        if old.force_row_security != new.force_row_security:
            word = "FORCE" if new.force_row_security else "NO FORCE"
            steps.append(
                Step(
                    f"{name} {word} ROW LEVEL SECURITY", rule="rls", lock=_EXCLUSIVE, why="changes who sees which rows"
                )
            )
        if old.foreign_options != new.foreign_options:
            steps.append(
                Step(
                    f"ALTER FOREIGN TABLE {quote_name(item.schema, item.name)}"
                    f" OPTIONS ({generic_changes(old.foreign_options, new.foreign_options)})",
                    lock=_EXCLUSIVE,
                )
            )
        return steps


class ReplicaIdentity(InsideRelation):
    name = "replica identity"
    phase = 57
    drop_phase = 12
    is_told_with_table = True

    def slots(self, item: Id, fact: ReplicaIdentityFact) -> tuple[tuple[str, ...], ...]:
        return ()

    def _say(self, item: Id, words: str) -> Step:
        return Step(
            f"ALTER TABLE {quote_name(item.schema, item.name)} REPLICA IDENTITY {words}",
            rule="replica-identity",
            lock=_EXCLUSIVE,
            why="what logical replication sends for updates and deletes changes",
        )

    def create(self, item: Id, fact: ReplicaIdentityFact, plan: Plan) -> list[Step]:
        words = {"n": "NOTHING", "f": "FULL", "i": f"USING INDEX {quote_identifier(fact.by)}"}[fact.mode]
        return [self._say(item, words)]

    def drop(self, item: Id, fact: ReplicaIdentityFact, plan: Plan) -> list[Step]:
        return [self._say(item, "DEFAULT")]

    def alter(self, item: Id, old: ReplicaIdentityFact, new: ReplicaIdentityFact, plan: Plan) -> list[Step] | None:
        return None if old.mode == "i" else self.create(item, new, plan)


class Cluster(InsideRelation):
    name = "cluster"
    phase = 57
    drop_phase = 12
    is_told_with_table = True

    def slots(self, item: Id, fact: ClusterFact) -> tuple[tuple[str, ...], ...]:
        return ()

    def _alter(self, item: Id, plan: Plan) -> str:
        kind = "MATERIALIZED VIEW" if plan.is_materialized_view(item) else "TABLE"
        return f"ALTER {kind} {quote_name(item.schema, item.name)}"

    def create(self, item: Id, fact: ClusterFact, plan: Plan) -> list[Step]:
        return [
            Step(
                f"{self._alter(item, plan)} CLUSTER ON {quote_identifier(fact.by)}",
                lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
            )
        ]

    def drop(self, item: Id, fact: ClusterFact, plan: Plan) -> list[Step]:
        return [Step(f"{self._alter(item, plan)} SET WITHOUT CLUSTER", lock=LockMode.SHARE_UPDATE_EXCLUSIVE)]


def generic_options(options: Options) -> str:
    """Return the options of a foreign object: `host 'db', port '5432'`."""
    return ", ".join(f"{quote_identifier(name)} {quote_literal(value).strip()}" for name, value in options)


def generic_changes(old: Options, new: Options) -> str:
    """Return what stands in OPTIONS (...) to turn `old` into `new`."""
    before, after = dict(old), dict(new)
    parts = [f"DROP {quote_identifier(name)}" for name in before if name not in after]
    for name, value in new:
        if name not in before:
            parts.append(f"ADD {quote_identifier(name)} {quote_literal(value).strip()}")
        elif before[name] != value:
            parts.append(f"SET {quote_identifier(name)} {quote_literal(value).strip()}")
    return ", ".join(parts)
