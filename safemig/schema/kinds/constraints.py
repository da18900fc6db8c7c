"""Table constraints and indexes."""

# ruff: noqa: ARG002 - every kind answers the same questions, few need all that they are told

from __future__ import annotations

from typing import TYPE_CHECKING

from safemig.schema.casts import conversion
from safemig.schema.facts import ConstraintFact, IndexFact
from safemig.schema.kinds.base import InsideRelation, Kind, Step, option_list, option_steps
from safemig.schema.model import Id
from safemig.sql.identifiers import quote_identifier, quote_name
from safemig.sql.locks import LockMode

if TYPE_CHECKING:
    from safemig.schema.links import Links
    from safemig.schema.model import Schema
    from safemig.schema.plan import Plan

_EXCLUSIVE = LockMode.ACCESS_EXCLUSIVE
_WORDS = {"p": "primary key", "u": "unique constraint", "x": "exclusion constraint", "f": "foreign key", "c": "check"}
_RULES = {"p": "add-pk", "u": "add-unique", "x": "add-exclude", "f": "add-fk", "c": "add-check"}
_INDEXED = "pux"


class Constraint(InsideRelation):
    name = "constraint"
    may_reference = True
    keyword = "CONSTRAINT"
    phase = 52
    drop_phase = 14
    is_told_with_table = True
    is_built_online = True
    is_built_beside = True

    def words(self, item: Id, fact: ConstraintFact) -> str:
        return _WORDS[fact.type]

    def slots(self, item: Id, fact: ConstraintFact) -> tuple[tuple[str, ...], ...]:
        own: tuple[str, ...] = ("constraint", item.schema, item.name, item.sub)
        if fact.type == "p":
            return own, ("primary key", item.schema, item.name), ("relation", item.schema, item.sub)
        return (own, ("relation", item.schema, item.sub)) if fact.type in _INDEXED else (own,)

    def is_no_longer_local(self, old: ConstraintFact, new: ConstraintFact) -> bool:
        return (old._replace(is_local=new.is_local) if old.is_local and new.inherited else old) == new

    def key_of_parent(self, fact: ConstraintFact) -> str | None:
        return fact.definition if fact.type == "f" and fact.parent else None

    def attached_to(self, item: Id, fact: ConstraintFact, plan: Plan) -> Id | None:
        return plan.parent_constraint(item, plan.base) if fact.parent and not plan.leaves_parent(item) else None

    def attached(self, item: Id, plan: Plan) -> list[Id]:
        if plan.base.facts[item].type not in _INDEXED:
            return []
        tables = plan.base.descendants(Id("table", item.schema, item.name))
        children = (inner for table in tables for inner in plan.base.children.get(table) if inner.kind == self.name)
        return [
            inner
            for inner in children
            if plan.base.facts[inner].parent == item.sub and plan.parent_constraint(inner, plan.base) == item
        ]

    def primary_key(self, fact: ConstraintFact) -> tuple[str, ...]:
        return fact.columns if fact.type == "p" else ()

    def unique_on(self, item: Id, fact: ConstraintFact) -> tuple[str, str] | None:
        return (item.schema, item.name) if fact.type in _INDEXED else None

    def join_created(self, item: Id, links: Links) -> None:
        plan = links.plan
        over = plan.parent_constraint(item) if plan.target.facts[item].parent else None
        if over is not None and Id("table", over.schema, over.name) not in plan.created:
            links.chain(links.makers(over), links.makers(item), hard=False)

    def hinders_type_change(self, item: Id, column: Id, plan: Plan) -> bool:
        return plan.base.facts[item].type in "fcx" and _cannot_follow(item, column, plan)

    def inline(self, item: Id, fact: ConstraintFact) -> str:
        """Return the constraint as a line of CREATE TABLE."""
        return f"CONSTRAINT {quote_identifier(item.sub)} {self._definition(fact)}"

    def _definition(self, fact: ConstraintFact) -> str:
        definition = fact.definition
        if fact.type not in _INDEXED:
            return definition
        extra = f" WITH ({option_list(fact.options)})" if fact.options else ""
        extra += f" USING INDEX TABLESPACE {quote_identifier(fact.tablespace)}" if fact.tablespace else ""
        if not extra:
            return definition
        end = min(
            (p for p in (definition.find(" DEFERRABLE"), definition.find(" WHERE (")) if p >= 0),
            default=len(definition),
        )
        return definition[:end] + extra + definition[end:]

    def created_with(self, item: Id, fact: ConstraintFact, plan: Plan) -> Id | None:
        table = Id("table", item.schema, item.name)
        parent = plan.parent_constraint(item) if fact.parent or (fact.inherited and not fact.is_local) else None
        if fact.type == "f" and fact.parent:
            # It comes with the partitioned table's own, or with the ATTACH that finds that one there.
            return parent if parent in plan.created else Id("partition", item.schema, item.name)
        not_valid = fact.definition.endswith("NOT VALID")
        if table not in plan.created and plan.attached_anew(item) and not not_valid:
            return None  # ATTACH wants it there already
        if table in plan.created and not (not_valid and fact.type == "c" and parent in plan.created):
            return None if fact.type == "f" or not_valid or plan.stands_apart(item) else table
        return parent if parent in plan.created and fact.type == "c" else None

    def dropped_with(self, item: Id, fact: ConstraintFact, plan: Plan) -> Id | None:
        found = super().dropped_with(item, fact, plan)
        of_parent = bool(fact.parent) and fact.type == "f"
        if found is not None and not of_parent:
            if fact.type == "f" and plan.references_dropped(item, found):
                return None
            return None if plan.must_go_first(item, found) else found
        if (fact.parent or (fact.inherited and not fact.is_local)) and not plan.leaves_parent(item):
            parent = plan.parent_constraint(item, plan.base)
            if parent is not None and parent in plan.dropped:
                return parent
        if found is not None:
            return found
        if item in plan.removed and fact.type != "f":
            for column in fact.columns:
                of = Id("column", item.schema, item.name, column)
                if of in plan.removed:
                    return of
        return None

    def create(self, item: Id, fact: ConstraintFact, plan: Plan) -> list[Step]:
        table, name = quote_name(item.schema, item.name), quote_identifier(item.sub)
        word = plan.table_keyword(item)
        prefix = f"ALTER {word} {table}"
        definition = self._definition(fact)
        sql = f"{prefix} ADD CONSTRAINT {name} {definition}"
        reverse = f"{prefix} DROP CONSTRAINT {name}"
        new_table = Id("table", item.schema, item.name) in plan.created
        ready = None if new_table else index_to_use(item, fact, plan)
        lock = LockMode.SHARE_ROW_EXCLUSIVE if fact.type == "f" else _EXCLUSIVE
        if new_table or fact.definition.endswith("NOT VALID"):
            return [Step(sql, lock=lock, reverse=reverse)]
        if ready is not None:
            word, deferrable = _unique_words(fact), _backing_index(definition)[1]
            using = f"{prefix} ADD CONSTRAINT {name} {word} USING INDEX {quote_identifier(ready.name)}{deferrable}"
            return [Step(using, lock=lock, reverse=reverse)]
        why = {
            "p": "builds its index under a lock that stops reads and writes",
            "u": "builds its index under a lock that stops reads and writes; fails where values repeat",
            "x": "builds its index under a lock that stops reads and writes",
            "f": "reads the whole table while writes wait; fails where a row has no match",
            "c": "reads the whole table under its lock; fails where a row violates it",
        }[fact.type]
        return [
            Step(
                sql,
                why,
                rule=_RULES[fact.type],
                lock=lock,
                alone=fact.type == "f" and "NOT ENFORCED" not in definition,  # a key of partitions goes with theirs
                reverse=reverse,
                online=self._online(item, fact, prefix, name, definition, plan),
            )
        ]

    def _online(
        self, item: Id, fact: ConstraintFact, prefix: str, name: str, definition: str, plan: Plan
    ) -> tuple[Step, ...] | None:
        partitioned = plan.is_partitioned(item)
        validate = Step(f"{prefix} VALIDATE CONSTRAINT {name}", lock=LockMode.SHARE_UPDATE_EXCLUSIVE)
        if fact.type == "c" or (fact.type == "f" and not partitioned):
            if "NOT ENFORCED" in definition:
                return None
            lock = LockMode.SHARE_ROW_EXCLUSIVE if fact.type == "f" else _EXCLUSIVE
            return Step(
                f"{prefix} ADD CONSTRAINT {name} {definition} NOT VALID",
                lock=lock,
                reverse=f"{prefix} DROP CONSTRAINT {name}",
            ), validate
        if partitioned or not _is_plain(fact):
            return None
        index, deferrable = _backing_index(definition)
        return (
            Step(
                f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {quote_name(item.schema, item.name)} {index}",
                lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
                transactional=False,
            ),
            Step(
                f"{prefix} ADD CONSTRAINT {name} {_unique_words(fact)} USING INDEX {name}{deferrable}",
                lock=_EXCLUSIVE,
                reverse=f"{prefix} DROP CONSTRAINT {name}",
            ),
        )

    def drop(self, item: Id, fact: ConstraintFact, plan: Plan) -> list[Step]:
        table, name = quote_name(item.schema, item.name), quote_identifier(item.sub)
        word = plan.table_keyword(item)
        only = "ONLY " if fact.type == "c" and plan.children_keep(item) else ""
        rule = "drop-constraint-fk" if fact.type == "f" else None
        return [
            Step(
                f"ALTER {word} {only}{table} DROP CONSTRAINT IF EXISTS {name}",
                lock=_EXCLUSIVE,
                rule=rule,
                why="both tables are locked" if rule else "",
                reverse=f"ALTER {word} {table} ADD CONSTRAINT {name} {self._definition(fact)}",
            )
        ]

    def alter(self, item: Id, old: ConstraintFact, new: ConstraintFact, plan: Plan) -> list[Step] | None:
        prefix = f"ALTER {plan.table_keyword(item)} {quote_name(item.schema, item.name)}"
        name = quote_identifier(item.sub)
        same = old._replace(
            definition="", options=(), tablespace="", is_local=False, inherited=False, parent=""
        ) == new._replace(definition="", options=(), tablespace="", is_local=False, inherited=False, parent="")
        if not same or (old.parent and not new.parent and not plan.leaves_parent(item)):
            return None
        steps: list[Step] = []
        if old.definition != new.definition:
            if old.definition == f"{new.definition} NOT VALID":
                steps.append(
                    Step(
                        f"{prefix} VALIDATE CONSTRAINT {name}",
                        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
                        rule="validate-constraint",
                        why="reads the whole table without blocking reads or writes",
                    )
                )
            elif new.type == "f" and _without_deferrable(old.definition) == _without_deferrable(new.definition):
                words = _deferrable(new.definition)
                steps.append(
                    Step(
                        f"{prefix} ALTER CONSTRAINT {name} {words}",
                        lock=_EXCLUSIVE,
                        rule="alter-constraint",
                        why="only when the check is made changes",
                    )
                )
            else:
                return None
        index = f"ALTER INDEX {quote_name(item.schema, item.sub)}"
        steps += option_steps(index, old.options, new.options, LockMode.SHARE_UPDATE_EXCLUSIVE)
        if old.tablespace != new.tablespace:
            steps.append(
                Step(
                    f"{index} SET TABLESPACE {quote_identifier(new.tablespace or 'pg_default')}",
                    lock=_EXCLUSIVE,
                    rule="set-tablespace",
                    why="the index's file is copied",
                    rewrites=True,
                )
            )
        if new.type == "c" and new.inherited and old.inherited and new.is_local and not old.is_local:
            steps.append(
                Step(f"{prefix} ADD CONSTRAINT {name} {new.definition}", "merged with its parent's", lock=_EXCLUSIVE)
            )
        if not old.parent and new.parent and new.type in _INDEXED and not plan.attached_anew(item):
            parent = plan.parent_constraint(item)
            if parent is not None and parent not in plan.created:
                steps.append(
                    Step(
                        f"ALTER INDEX {quote_name(parent.schema, parent.sub)}"
                        f" ATTACH PARTITION {quote_name(item.schema, item.sub)}"
                    )
                )
        return steps

    def detail(self, old: ConstraintFact, new: ConstraintFact) -> str:
        if old.definition != new.definition:
            return f"{old.definition} -> {new.definition}"
        return super().detail(old, new)


def _cannot_follow(item: Id, column: Id, plan: Plan) -> bool:
    """Tell whether PostgreSQL cannot rebuild a constraint or index by itself while its columns change one by one."""
    old, new = plan.base.facts[column], plan.target.facts[column]
    several = sum(needed in plan.retyped for needed in plan.base.graph.needs.get(item, ())) > 1
    return several or conversion(old.type, new.type).using is not None


def _closing(text: str) -> int:
    """Return where the first parenthesis closes, quoted identifiers skipped."""
    depth, quoted = 0, False
    for position, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif not quoted and letter == "(":
            depth += 1
        elif not quoted and letter == ")":
            depth -= 1
            if depth == 0:
                return position
    return len(text) - 1


def _without_deferrable(definition: str) -> str:
    return definition.replace(" DEFERRABLE", "").replace(" INITIALLY DEFERRED", "")


def _deferrable(definition: str) -> str:
    if " INITIALLY DEFERRED" in definition:
        return "DEFERRABLE INITIALLY DEFERRED"
    return "DEFERRABLE INITIALLY IMMEDIATE" if " DEFERRABLE" in definition else "NOT DEFERRABLE"


def index_to_use(item: Id, fact: ConstraintFact, plan: Plan) -> Id | None:
    """Return the unique index that goes and is just what the constraint needs: it becomes the constraint's."""
    if not _is_plain(fact) or fact.options or fact.tablespace or plan.is_partitioned(item):
        return None
    wanted, _ = _backing_index(fact.definition)
    table = quote_name(item.schema, item.name)
    for index in plan.indexes_of(Id("table", item.schema, item.name), plan.base):
        old = plan.base.facts[index]
        bare = not (old.parent or old.tablespace or old.statistics or index in plan.base.comments)
        definition = f"CREATE UNIQUE INDEX {quote_identifier(index.name)} ON {table} {wanted}"
        used = plan.base.graph.needed_by.get(index, ())
        if index in plan.removed and old.is_valid and bare and not used and old.definition == definition:
            return index
    return None


def _is_plain(fact: ConstraintFact) -> bool:
    plain = fact.type in "pu" and fact.definition.startswith(("UNIQUE (", "PRIMARY KEY ("))
    return plain and "WITHOUT OVERLAPS" not in fact.definition and "NULLS NOT" not in fact.definition


def _unique_words(fact: ConstraintFact) -> str:
    return "PRIMARY KEY" if fact.type == "p" else "UNIQUE"


def _backing_index(definition: str) -> tuple[str, str]:
    """Return what stands behind the table's name in CREATE INDEX, and whether the constraint is deferrable."""
    close = _closing(definition)
    columns, rest = definition[definition.index("(") : close + 1], definition[close + 1 :]
    include = ""
    if rest.startswith(" INCLUDE ("):
        end = _closing(rest)
        include, rest = rest[: end + 1], rest[end + 1 :]
    settings = rest.split(" DEFERRABLE")[0]
    deferrable = rest[len(settings) :]
    settings = settings.replace(" USING INDEX TABLESPACE", " TABLESPACE")
    return f"USING btree {columns}{include}{settings}", deferrable


class Index(Kind):
    name = "index"
    is_in_schema_of_table = True
    name_parts = 2
    rename_word = "INDEX"
    keyword = "INDEX"
    phase = 50
    drop_phase = 16
    drop_lock = _EXCLUSIVE
    is_built_online = True
    is_built_beside = True
    may_be_left_over = True

    def is_part(self, fact: IndexFact) -> bool:
        return bool(fact.parent)

    def attached_to(self, item: Id, fact: IndexFact, plan: Plan) -> Id | None:
        leaves = fact.parent and plan.leaves_parent(Id("index", fact.table_schema, fact.table))
        return Id("index", fact.parent_schema, fact.parent) if fact.parent and not leaves else None

    def attached(self, item: Id, plan: Plan) -> list[Id]:
        return plan.attached_indexes(item, plan.base)

    def hinders_type_change(self, item: Id, column: Id, plan: Plan) -> bool:
        definition = plan.base.facts[item].definition
        return (" WHERE " in definition or "((" in definition) and _cannot_follow(item, column, plan)

    def unique_on(self, item: Id, fact: IndexFact) -> tuple[str, str] | None:
        return (fact.table_schema, fact.table) if fact.definition.startswith("CREATE UNIQUE INDEX ") else None

    def join_created(self, item: Id, links: Links) -> None:
        plan = links.plan
        fact = plan.target.facts[item]
        if not fact.is_valid:  # made for the parent alone, when its partitions are in place
            for other in plan.target.partitions.get((fact.table_schema, fact.table), ()):
                links.chain(links.makers(item), links.makers(other), hard=False)
        if fact.parent:
            parent = Id("index", fact.parent_schema, fact.parent)
            links.chain((one for one in links.makers(parent) if parent in one.creates), links.makers(item), hard=False)

    def relations(self, fact: IndexFact) -> tuple[tuple[str, str], ...]:
        return ((fact.table_schema, fact.table),)

    def is_leftover(self, fact: IndexFact, schema: Schema) -> bool:
        table = schema.facts.get(Id("table", fact.table_schema, fact.table))
        return not fact.is_valid and (table is None or table.relkind != "p")

    def slots(self, item: Id, fact: IndexFact) -> tuple[tuple[str, ...], ...]:
        return (("relation", item.schema, item.name),)

    def create(self, item: Id, fact: IndexFact, plan: Plan) -> list[Step]:
        unique = fact.definition.startswith("CREATE UNIQUE INDEX ")
        head = "CREATE UNIQUE INDEX " if unique else "CREATE INDEX "
        definition = fact.definition.removeprefix(head)
        if fact.tablespace:
            where = definition.find(" WHERE ")
            where = len(definition) if where < 0 else where
            definition = f"{definition[:where]} TABLESPACE {quote_identifier(fact.tablespace)}{definition[where:]}"
        table = plan.target.relation(fact.table_schema, fact.table)
        fresh = table is None or table in plan.created
        reverse = f"DROP INDEX {quote_name(item.schema, item.name)}"
        if not fact.is_valid:
            definition = definition.replace(" ON ", " ON ONLY ", 1)  # its partitions' indexes are attached one by one
        plain = f"{head}IF NOT EXISTS {definition}"
        if fresh:
            steps = [Step(plain, reverse=reverse)]
        else:
            online = None
            if not plan.is_partitioned_index(fact):
                online = (
                    Step(
                        f"{head}CONCURRENTLY IF NOT EXISTS {definition}",
                        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
                        transactional=False,
                        reverse=f"DROP INDEX CONCURRENTLY IF EXISTS {quote_name(item.schema, item.name)}",
                    ),
                )
            why = f"writes to {fact.table} wait while the index is built"
            if plan.attached_indexes(item):
                why = f"joins the indexes that the partitions of {fact.table} have by now; what is missing is built while writes wait"
            steps = [
                Step(
                    plain,
                    why,
                    rule="create-index",
                    lock=LockMode.SHARE,
                    online=online,
                    reverse=reverse,
                )
            ]
        steps += [self._target_step(item, number, target) for number, target in fact.statistics]
        if not fact.is_valid:
            steps += [
                Step(
                    f"ALTER INDEX {quote_name(item.schema, item.name)} ATTACH PARTITION {quote_name(child.schema, child.name)}"
                )
                for child in plan.attached_indexes(item)
            ]
        if (
            fact.parent
            and table not in plan.created
            and not plan.attached_anew(Id("table", fact.table_schema, fact.table))
        ):
            parent = Id("index", fact.parent_schema, fact.parent)
            if parent in plan.base.facts and parent not in plan.created:
                steps.append(
                    Step(
                        f"ALTER INDEX {quote_name(fact.parent_schema, fact.parent)} ATTACH PARTITION"
                        f" {quote_name(item.schema, item.name)}",
                        lock=_EXCLUSIVE,
                    )
                )
        return steps

    def _target_step(self, item: Id, number: int, target: int) -> Step:
        return Step(
            f"ALTER INDEX {quote_name(item.schema, item.name)} ALTER COLUMN {number} SET STATISTICS {target}",
            lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        )

    def drop(self, item: Id, fact: IndexFact, plan: Plan) -> list[Step]:
        name = quote_name(item.schema, item.name)
        online = None
        if not plan.is_partitioned_index(fact, plan.base) and not fact.parent:
            online = (
                Step(
                    f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
                    lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
                    transactional=False,
                    reverse=fact.definition,
                ),
            )
        return [
            Step(
                f"DROP INDEX IF EXISTS {name}",
                "queries that use it become slow",
                rule="drop-index",
                lock=_EXCLUSIVE,
                reverse=fact.definition,
                online=online,
            )
        ]

    def dropped_with(self, item: Id, fact: IndexFact, plan: Plan) -> Id | None:
        if fact.parent and not plan.leaves_parent(Id("index", fact.table_schema, fact.table)):
            parent = Id("index", fact.parent_schema, fact.parent)
            if parent in plan.dropped:
                return parent
        table = plan.base.relation(fact.table_schema, fact.table)
        if table is not None and table in plan.dropped:
            return table
        if item in plan.removed:
            for other in plan.base.graph.needs.get(item, ()):
                if other.kind == "column" and other in plan.removed:
                    return other
            if table is not None and fact.definition.startswith("CREATE UNIQUE INDEX "):
                constraints = plan.target.children.get(Id("table", *table[1:3]), ())
                made = [inner for inner in constraints if inner.kind == "constraint" and inner in plan.created]
                return next((one for one in made if index_to_use(one, plan.target.facts[one], plan) == item), None)
        return None

    def alter(self, item: Id, old: IndexFact, new: IndexFact, plan: Plan) -> list[Step] | None:
        if (old.table, old.table_schema) != (new.table, new.table_schema):
            return None
        name = quote_name(item.schema, item.name)
        steps: list[Step] = []
        if old.definition != new.definition:
            before, after = _split_options(old.definition), _split_options(new.definition)
            if before[0] != after[0]:
                return None
            steps += option_steps(f"ALTER INDEX {name}", before[1], after[1], LockMode.SHARE_UPDATE_EXCLUSIVE)
        if old.is_valid != new.is_valid and not (new.is_valid and plan.is_partitioned_index(new)):
            return None
        if old.tablespace != new.tablespace:
            steps.append(
                Step(
                    f"ALTER INDEX {name} SET TABLESPACE {quote_identifier(new.tablespace or 'pg_default')}",
                    "the index's file is copied",
                    rule="set-tablespace",
                    lock=_EXCLUSIVE,
                    rewrites=True,
                )
            )
        if old.statistics != new.statistics:
            targets = dict(new.statistics)
            for number in sorted({number for number, _ in old.statistics} | set(targets)):
                if dict(old.statistics).get(number) != targets.get(number):
                    steps.append(self._target_step(item, number, targets.get(number, -1)))
        if (old.parent_schema, old.parent) != (new.parent_schema, new.parent):
            if old.parent and not new.parent:
                return steps if plan.detached(Id("table", new.table_schema, new.table)) else None
            if new.parent and not old.parent and not plan.attached_anew(Id("table", new.table_schema, new.table)):
                parent = Id("index", new.parent_schema, new.parent)
                if parent in plan.base.facts and parent not in plan.created:
                    steps.append(
                        Step(
                            f"ALTER INDEX {quote_name(new.parent_schema, new.parent)} ATTACH PARTITION {name}",
                            lock=_EXCLUSIVE,
                        )
                    )
        return steps

    def detail(self, old: IndexFact, new: IndexFact) -> str:
        if old.is_valid != new.is_valid:
            return "invalid -> valid" if new.is_valid else "valid -> invalid"
        return super().detail(old, new)


def _split_options(definition: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the definition without its WITH (...), and the options in there."""
    start = definition.find(" WITH (")
    if start < 0:
        return definition, ()
    end = definition.index(")", start)
    inner = definition[start + 7 : end]
    pairs = []
    for part in inner.split(", "):
        name, _, value = part.partition("=")
        pairs.append((name.strip('"'), value.strip("'")))
    return definition[:start] + definition[end + 1 :], tuple(pairs)
