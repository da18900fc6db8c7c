"""Functions, procedures, aggregates, triggers, rules, policies and event triggers."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from typing import TYPE_CHECKING

from safemig.schema.facts import EventTriggerFact, PolicyFact, RoutineFact, RuleFact, TriggerFact, TriggerStateFact
from safemig.schema.kinds.base import InsideRelation, Kind, Step
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_literal, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.plan import Plan

_EXCLUSIVE = LockMode.ACCESS_EXCLUSIVE
_WORDS = {"f": "function", "p": "procedure", "a": "aggregate", "w": "window function"}
_BODIES = frozenset({"sql", "plpgsql"})  # the languages whose functions PostgreSQL checks as they are made
_KEYWORDS = {"f": "FUNCTION", "p": "PROCEDURE", "a": "AGGREGATE", "w": "FUNCTION"}


class Routine(Kind):
    name = "routine"
    is_named_in_bodies = True
    stands_on_types = True
    phase = 42
    drop_phase = 18
    grant_letter = "f"
    has_owner = True

    def words(self, item: Id, fact: RoutineFact) -> str:
        return _WORDS[fact.routine]

    def writes_body(self, fact: RoutineFact) -> bool:
        return fact.language in _BODIES and fact.routine != "a"

    def is_verbatim(self, sql: str) -> bool:
        return "\nAS $" in sql

    def target(self, item: Id, fact: RoutineFact) -> str:
        arguments = (fact.identity_arguments or "*") if fact.routine == "a" else item.sub
        return f"{_KEYWORDS[fact.routine]} {quote_name(item.schema, item.name)}({arguments})"

    def grant_target(self, item: Id, fact: RoutineFact) -> str:
        word = "PROCEDURE" if fact.routine == "p" else "FUNCTION"
        return f"{word} {quote_name(item.schema, item.name)}({item.sub})"

    def dropped_with(self, item: Id, fact: RoutineFact, plan: Plan) -> Id | None:
        for type_ in plan.base.graph.needs.get(item, ()):
            if type_.kind == "base type" and type_ in plan.dropped and item in plan.base.graph.needs.get(type_, ()):
                return type_  # its input or output function
        return None

    def hinders_type_change(self, item: Id, column: Id, plan: Plan) -> bool:
        return bool(plan.base.facts[item].language == "sql")

    def create(self, item: Id, fact: RoutineFact, plan: Plan) -> list[Step]:
        steps = [Step(fact.definition, reverse=f"DROP {self.target(item, fact)}")]
        return steps + self._extensions(item, (), fact)

    def _extensions(self, item: Id, old: tuple[str, ...], fact: RoutineFact) -> list[Step]:
        head = f"ALTER {self.target(item, fact)}"
        gone = [
            f"{head} NO DEPENDS ON EXTENSION {quote_identifier(e)}" for e in old if e not in fact.depends_on_extensions
        ]
        fresh = [
            f"{head} DEPENDS ON EXTENSION {quote_identifier(e)}" for e in fact.depends_on_extensions if e not in old
        ]
        return [Step(sql) for sql in gone + fresh]

    def drop(self, item: Id, fact: RoutineFact, plan: Plan) -> list[Step]:
        again = item in plan.replaced
        sql = f"DROP {self.target(item, fact)}"
        word = _KEYWORDS[fact.routine]
        sql = sql.replace(f"DROP {word} ", f"DROP {word} IF EXISTS ", 1)
        return [
            Step(
                sql,
                "" if again else "stop calling it first",
                rule=None if again else "drop-function",
                reverse=fact.definition,
            )
        ]

    def alter(self, item: Id, old: RoutineFact, new: RoutineFact, plan: Plan) -> list[Step] | None:
        if not self._replaceable(old, new):
            return None
        steps = []
        if old.definition != new.definition:
            steps.append(Step(new.definition, reverse=old.definition if self._replaceable(new, old) else None))
        return steps + self._extensions(item, old.depends_on_extensions, new)

    def _replaceable(self, old: RoutineFact, new: RoutineFact) -> bool:
        """Tell whether OR REPLACE may do it: same result, no argument renamed, no default taken away."""
        if (old.routine, old.result, old.argument_modes) != (new.routine, new.result, new.argument_modes):
            return False
        if old.routine == "a" or new.defaults < old.defaults:
            # CREATE OR REPLACE AGGREGATE may not change the state type; dropping is always right.
            return old.definition == new.definition
        before = old.argument_names + ("",) * max(0, len(new.argument_names) - len(old.argument_names))
        after = new.argument_names + ("",) * max(0, len(old.argument_names) - len(new.argument_names))
        return all(not was or was == now for was, now in zip(before, after, strict=True))

    def detail(self, old: RoutineFact, new: RoutineFact) -> str:
        if old.result != new.result:
            return f"result {old.result} -> {new.result}"
        return "definition changed" if old.definition != new.definition else super().detail(old, new)


_ENABLED = {"O": "ENABLE", "D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}


class Trigger(InsideRelation):
    name = "trigger"
    keyword = "TRIGGER"
    stands_on_types = True
    phase = 66
    drop_phase = 10
    drop_lock = _EXCLUSIVE

    def _or_replace(self, fact: TriggerFact, plan: Plan) -> str:
        if fact.constraint or plan.version < 140000:
            return fact.definition
        return fact.definition.replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER", 1)

    def _enabled(self, item: Id, fact: TriggerFact) -> Step:
        table = quote_name(item.schema, item.name)
        return Step(
            f"ALTER TABLE {table} {_ENABLED[fact.enabled]} TRIGGER {quote_identifier(item.sub)}",
            rule="disable-trigger" if fact.enabled == "D" else None,
            lock=LockMode.SHARE_ROW_EXCLUSIVE,
            why="the trigger no longer fires" if fact.enabled == "D" else "",
        )

    def create(self, item: Id, fact: TriggerFact, plan: Plan) -> list[Step]:
        steps = [
            Step(
                self._or_replace(fact, plan),
                lock=LockMode.SHARE_ROW_EXCLUSIVE,
                reverse=f"DROP {self.target(item, fact)}",
            )
        ]
        return [*steps, self._enabled(item, fact)] if fact.enabled != "O" else steps

    def drop(self, item: Id, fact: TriggerFact, plan: Plan) -> list[Step]:
        sql = f"DROP {self.target(item, fact)}".replace("DROP TRIGGER", "DROP TRIGGER IF EXISTS", 1)
        return [Step(sql, lock=_EXCLUSIVE, reverse=fact.definition)]

    def alter(self, item: Id, old: TriggerFact, new: TriggerFact, plan: Plan) -> list[Step] | None:
        steps = []
        if old.definition != new.definition:
            if new.constraint or old.constraint or plan.version < 140000:
                return None
            steps.append(
                Step(
                    self._or_replace(new, plan), lock=LockMode.SHARE_ROW_EXCLUSIVE, reverse=self._or_replace(old, plan)
                )
            )
        if old.enabled != new.enabled or (steps and new.enabled != "O"):
            steps.append(self._enabled(item, new))
        return steps


class TriggerState(InsideRelation):
    """A partition's trigger that is on or off otherwise than its parent's."""

    name = "trigger state"
    phase = 67
    drop_phase = 9

    def _say(self, item: Id, state: str) -> list[Step]:
        return [
            Step(
                f"ALTER TABLE {quote_name(item.schema, item.name)} {_ENABLED[state]} TRIGGER {quote_identifier(item.sub)}",
                lock=LockMode.SHARE_ROW_EXCLUSIVE,
            )
        ]

    def dropped_with(self, item: Id, fact: TriggerStateFact, plan: Plan) -> Id | None:
        if item in plan.removed:
            for needed in plan.base.graph.needs.get(item, ()):
                if needed.kind in ("trigger", "partition") and needed in plan.dropped:
                    return needed
        return super().dropped_with(item, fact, plan)

    def create(self, item: Id, fact: TriggerStateFact, plan: Plan) -> list[Step]:
        return self._say(item, fact.enabled)

    def drop(self, item: Id, fact: TriggerStateFact, plan: Plan) -> list[Step]:
        return self._say(item, fact.usual)

    def alter(self, item: Id, old: TriggerStateFact, new: TriggerStateFact, plan: Plan) -> list[Step] | None:
        return self._say(item, new.enabled)


class Rule(InsideRelation):
    name = "rule"
    keyword = "RULE"
    stands_on_types = True
    phase = 64
    drop_phase = 11

    def _enabled(self, item: Id, fact: RuleFact) -> Step:
        return Step(
            f"ALTER TABLE {quote_name(item.schema, item.name)} {_ENABLED[fact.enabled]} RULE {quote_identifier(item.sub)}",
            lock=_EXCLUSIVE,
        )

    def _create(self, fact: RuleFact) -> str:
        return fact.definition.replace("CREATE RULE", "CREATE OR REPLACE RULE", 1)

    def create(self, item: Id, fact: RuleFact, plan: Plan) -> list[Step]:
        steps = [Step(self._create(fact), lock=_EXCLUSIVE, reverse=f"DROP {self.target(item, fact)}")]
        return [*steps, self._enabled(item, fact)] if fact.enabled != "O" else steps

    def drop(self, item: Id, fact: RuleFact, plan: Plan) -> list[Step]:
        return [Step(f"DROP {self.target(item, fact)}", lock=_EXCLUSIVE, reverse=fact.definition)]

    def alter(self, item: Id, old: RuleFact, new: RuleFact, plan: Plan) -> list[Step] | None:
        steps = (
            []
            if old.definition == new.definition
            else [Step(self._create(new), lock=_EXCLUSIVE, reverse=self._create(old))]
        )
        return [*steps, self._enabled(item, new)] if old.enabled != new.enabled else steps


_COMMANDS = {"*": "ALL", "r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}


class Policy(InsideRelation):
    name = "policy"
    keyword = "POLICY"
    stands_on_types = True
    phase = 68
    drop_phase = 10

    def _roles(self, fact: PolicyFact) -> str:
        return ", ".join(quote_identifier(role) if role else "PUBLIC" for role in fact.roles)

    def create(self, item: Id, fact: PolicyFact, plan: Plan) -> list[Step]:
        parts = [f"CREATE POLICY {quote_identifier(item.sub)} ON {quote_name(item.schema, item.name)}"]
        if not fact.permissive:
            parts.append("AS RESTRICTIVE")
        if fact.command != "*":
            parts.append(f"FOR {_COMMANDS[fact.command]}")
        if fact.roles != ("",):
            parts.append(f"TO {self._roles(fact)}")
        if fact.using is not None:
            parts.append(f"USING ({fact.using})")
        if fact.check is not None:
            parts.append(f"WITH CHECK ({fact.check})")
        return [
            Step(
                parts[0] + "".join(f"\n    {part}" for part in parts[1:]),
                lock=_EXCLUSIVE,
                reverse=f"DROP {self.target(item, fact)}",
            )
        ]

    def drop(self, item: Id, fact: PolicyFact, plan: Plan) -> list[Step]:
        sql = f"DROP {self.target(item, fact)}".replace("DROP POLICY", "DROP POLICY IF EXISTS", 1)
        again = item in plan.replaced
        return [
            Step(sql, "" if again else "changes who sees which rows", rule=None if again else "rls", lock=_EXCLUSIVE)
        ]

    def alter(self, item: Id, old: PolicyFact, new: PolicyFact, plan: Plan) -> list[Step] | None:
        if (old.command, old.permissive) != (new.command, new.permissive):
            return None
        if (old.using is not None and new.using is None) or (old.check is not None and new.check is None):
            return None
        sql = f"ALTER POLICY {quote_identifier(item.sub)} ON {quote_name(item.schema, item.name)}"
        if old.roles != new.roles:
            sql += f" TO {self._roles(new)}"
        if old.using != new.using:
            sql += f" USING ({new.using})"
        if old.check != new.check:
            sql += f" WITH CHECK ({new.check})"
        return [Step(sql, "changes who sees which rows", rule="rls", lock=_EXCLUSIVE)]


class EventTrigger(Kind):
    name = "event trigger"
    keyword = "EVENT TRIGGER"
    phase = 98
    drop_phase = 1
    has_owner = True

    def create(self, item: Id, fact: EventTriggerFact, plan: Plan) -> list[Step]:
        tags = ", ".join(quote_literal(tag).strip() for tag in fact.tags)
        when = f"\n    WHEN TAG IN ({tags})" if tags else ""
        steps = [
            Step(
                f"CREATE EVENT TRIGGER {quote_identifier(item.name)} ON {fact.event}{when}\n"
                f"    EXECUTE FUNCTION {fact.function}()",
                rule="event-trigger",
                why="runs at every such statement from now on",
            )
        ]
        return [*steps, self._enabled(item, fact)] if fact.enabled != "O" else steps

    def _enabled(self, item: Id, fact: EventTriggerFact) -> Step:
        return Step(f"ALTER EVENT TRIGGER {quote_identifier(item.name)} {_ENABLED[fact.enabled]}")

    def alter(self, item: Id, old: EventTriggerFact, new: EventTriggerFact, plan: Plan) -> list[Step] | None:
        return [self._enabled(item, new)] if old._replace(enabled="") == new._replace(enabled="") else None
