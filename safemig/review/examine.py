"""Look at one statement and at everything that runs because of it: CTEs, DO bodies, EXECUTE, functions, triggers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pglast.parser import ParseError

from safemig.review import history
from safemig.review.fired import below, cascades, fires_at, view_table
from safemig.review.functions import calls_in, default_calls
from safemig.review.held_statements import note_results
from safemig.review.locks import DML, changes_inside, locks
from safemig.review.may_run_code import may_call
from safemig.review.overloads import called
from safemig.review.registry import rules_for
from safemig.review.rule import Hit, Rule
from safemig.review.rules.functions import is_unknown
from safemig.review.rules.unknown import KNOWN
from safemig.review.scene import IN_A_JOB, Scene, clause_span
from safemig.review.types import type_text
from safemig.review.world import Function, World
from safemig.sql import names
from safemig.sql.fold import Hole, Pieces, fold, skeleton, without_holes
from safemig.sql.kinds import flag
from safemig.sql.kinds import kind as statement_kind
from safemig.sql.locks import LockMode
from safemig.sql.names import NO_NAME, Name
from safemig.sql.parsing import ParsedStatement
from safemig.sql.plpgsql import UnreadableBody, read_body
from safemig.sql.tree import Tree, constant, node, options, read_trees, strings, walk

_EVENT = {"InsertStmt": ("insert",), "UpdateStmt": ("update",), "DeleteStmt": ("delete",),
          "MergeStmt": ("insert", "update", "delete"), "CopyStmt": ("insert",)}  # fmt: skip
# What evaluates the expressions that it holds, rather than keeping them for later.
_RUNS = DML | {"SelectStmt", "CallStmt", "CreateTableAsStmt", "CopyStmt", "DeclareCursorStmt", "RefreshMatViewStmt"}
# What holds queries for later, or none at all.
_KEEPS = frozenset(
    {"ViewStmt", "CreateFunctionStmt", "RuleStmt", "PrepareStmt", "DoStmt", "ExplainStmt", "ExecuteStmt"}
)
_NO_DDL = _RUNS - {"CreateTableAsStmt"} | {"VariableSetStmt", "VariableShowStmt", "ExplainStmt", "DoStmt", "PrepareStmt", "ExecuteStmt",
                                          "TransactionStmt", "CreateEventTrigStmt", "LockStmt"}  # fmt: skip
_RESHAPES = frozenset(("AlterTableStmt", "RenameStmt", "ViewStmt", "CreateFunctionStmt"))
# Functions that run SQL which they are given as text, and which argument that is.
_RUNS_TEXT = {"query_to_xml": 0, "query_to_xmlschema": 0, "query_to_xml_and_xmlschema": 0, "ts_stat": 0, "crosstab": 0,
              "crosstab2": 0, "crosstab3": 0, "crosstab4": 0}  # fmt: skip
# The same of pg_cron, whose jobs run without anyone calling them: by their number of arguments.
_JOBS = {("schedule", 2): 1, ("schedule", 3): 2} | {("schedule_in_database", count): 2 for count in (4, 5, 6)}
_DEEPEST = 12


class Placed(NamedTuple):
    """A hit, and where it stands in the file."""

    rule: Rule
    hit: Hit
    origin: str
    line: int
    column: int
    clause: tuple[int, int] | None = None


@dataclass(slots=True)
class Examination:
    """One statement of a file, under review. `placed` is what was found."""

    world: World
    statement: ParsedStatement
    placed: list[Placed] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)  # the functions that are being read, outermost first
    line: int = 0
    column: int = 0
    locks: dict[Name, LockMode] = field(default_factory=dict)  # what the hidden statements take on older tables
    asks: bool = True  # False where only what the statement changes is of interest
    visited: set[object] = field(default_factory=set)  # the functions, views, policies and rules that were looked into
    later: list[tuple[Name, Function, str, str]] = field(default_factory=list)  # functions too deep to go into at once

    def run(self) -> list[Placed]:
        """Look at the statement, and return what was found."""
        self.line, self.column = self.statement.line, self.statement.column
        version = self.world.version
        if self.world.settings:
            self.ask("Statement", {"tree": self.statement.tree}, self.statement.sql, NO_NAME, "")
        self.look(self.statement.tree, self.statement.sql, "")
        while self.later:
            name, function, text, origin = self.later.pop()
            self.read(name, function, text, origin)
        is_quiet = self.asks and not self.locks and not any(one.origin for one in self.placed)
        if is_quiet and self.visited and self.world.version == version:
            self.world.harmless |= self.visited
        return self.placed

    def is_first(self, key: object) -> bool:
        """Tell whether what has this key was not looked into yet: not for this statement, nor without a finding before it.

        Each is looked into once in a state of the world, so that the time stays linear however they call each other.
        """
        if key in self.visited or key in self.world.harmless:
            return False
        self.visited.add(key)
        return True

    def look(self, tree: Tree, text: str, origin: str) -> None:
        """Ask the rules about one statement, about what it runs, and note what it changes."""
        kind, body = node(tree)
        if origin:
            for name, mode in locks(tree, self.world).items():
                known = self.locks.get(name)
                if not self.world.is_new(name) and (known is None or known.strength < mode.strength):
                    self.locks[name] = mode
        self.ask(kind, body, text, names.of_range(_main_relation(kind, body)), origin)
        if kind not in KNOWN:
            self.ask("UnknownStatement", {"kind": statement_kind(tree)}, text, NO_NAME, origin)
        if kind == "AlterTableStmt":
            self.commands(body, text, origin)
        if kind == "CreateSchemaStmt":
            for item in body.get("schemaElts", ()):
                self.look(item, text, origin)
        if len(self.inside) <= _DEEPEST:
            self.running(kind, body, text, origin)
            if self.world.event_triggers and kind not in _NO_DDL:
                for fired, acts in list(self.world.event_triggers.items()):
                    if fires_at(acts, tree):
                        self.named((acts.function,), text, origin, f"which event trigger {fired} runs")
        if kind in _RESHAPES and self.asks:
            note_results(self.world, tree)
        history.apply(self.world, tree, text, conditional=bool(origin))
        if self.world.exposure is not None:
            self.world.exposure.note(self.world, tree, self.statement, is_reported=self.asks)

    def ask(
        self,
        kind: str,
        body: Tree,
        text: str,
        table: Name,
        origin: str,
        parent: Tree | None = None,
        clause: tuple[int, int] | None = None,
    ) -> None:
        """Call each rule that looks at `kind`, and place what it finds."""
        asked = rules_for(kind)
        if not asked or not self.asks:
            return
        scene = Scene(kind, body, self.world, self.statement, text, table, origin, parent or {}, clause)
        json = "" if origin else self.statement.json
        for rule in asked:
            if json and rule.mark not in json:
                continue
            for hit in rule.check(scene) if rule.check else ():
                self.place(rule, hit, scene)

    def place(self, rule: Rule, hit: Hit, scene: Scene) -> None:
        line, column = self.line, self.column
        if scene.clause and scene.clause[1] > 1 and not scene.origin:
            at, _ = clause_span(scene.whole, *scene.clause)
            before = self.statement.sql[:at]
            line = self.statement.line + before.count("\n")
            column = at - before.rfind("\n") if "\n" in before else self.statement.column + at
        self.placed.append(Placed(rule, hit, scene.origin, line, column, scene.clause))

    def commands(self, body: Tree, text: str, origin: str) -> None:
        """Ask about each command of an ALTER TABLE."""
        items = [item.get("AlterTableCmd", {}) for item in body.get("cmds", ())]
        table = names.of_range(body.get("relation"))
        for number, item in enumerate(items):
            clause = (number, len(items))
            self.ask(item.get("subtype", ""), item, text, table, origin, body, clause)
            self.ask("AlterTableCmd", item, text, table, origin, body, clause)

    def running(self, kind: str, body: Tree, text: str, origin: str) -> None:
        """Look at what the statement runs."""
        if kind == "DoStmt":
            self.do(body, text, origin)
        elif kind == "ExplainStmt":
            inner = body.get("query", {})
            if flag(body.get("options"), "analyze"):
                self.look(inner, text, origin or "in EXPLAIN ANALYZE, which runs it")
        elif kind == "ExecuteStmt":
            self.calls({"params": body.get("params", ())}, text, origin)
            prepared = self.world.prepared.get(body.get("name", ""))
            if prepared:
                self.look(prepared, text, f"in {body.get('name')}, which was prepared earlier and is run here")
            else:
                self.ask("UnknownPrepared", body, text, NO_NAME, origin)
        elif kind == "TruncateStmt":
            for item in body.get("relations", ()):
                self.triggers(names.of_range(item.get("RangeVar")), ("truncate",), text, origin)
        elif kind in _RUNS:
            if kind in DML or (kind == "CopyStmt" and body.get("is_from")):
                self.fires(kind, body, text, origin)
            json = self.json_of(body)
            for inner, part in changes_inside({kind: body}, json):
                self.ask(inner, part, text, names.of_range(part.get("relation")), origin or "in a CTE")
                self.fires(inner, part, text, origin)
            if kind == "CallStmt":
                self.call(body.get("funccall", {}), text, origin)
            if "ExecuteStmt" in body.get("query", ()):  # CREATE TABLE ... AS EXECUTE
                self.running("ExecuteStmt", body["query"]["ExecuteStmt"], text, origin)
            if json is None or may_call(self.world, json):
                self.calls(body, text, origin)
        elif kind not in _KEEPS:
            self.defined(kind, body, text, origin)

    def defined(self, kind: str, body: Tree, text: str, origin: str) -> None:
        """Look at the expressions that a change of schema evaluates for rows that exist already."""
        json = self.json_of(body)
        if kind == "AlterDomainStmt" and not body.get("def", {}).get("Constraint", {}).get("skip_validation"):
            self.calls(body.get("def", {}), text, origin)
        self.calls(body.get("partbound", {}), text, origin)
        if kind not in ("AlterTableStmt", "IndexStmt") or (json is not None and not may_call(self.world, json)):
            return
        table = names.of_range(body.get("relation"))
        if self.world.is_surely_new(
            table
        ):  # it may hold rows of this sequence, but what is not known is not asked about
            for call in calls_in(body):
                name = names.of_strings(call.get("funcname"))
                self.named((name,), text, origin, "which this calls")
        else:
            for inner in body.get("cmds", ()):
                command = inner.get("AlterTableCmd", {})
                if command.get("subtype") in (
                    "AT_AddColumn",
                    "AT_AlterColumnType",
                    "AT_AddConstraint",
                    "AT_AttachPartition",
                ):
                    self.calls(command, text, origin)
            if kind == "IndexStmt":
                self.calls(body, text, origin)

    def json_of(self, body: Tree) -> str | None:
        """Return the JSON that the statement was read from; None for one that it runs, of which only the tree is there."""
        return self.statement.json if body is node(self.statement.tree)[1] else None

    def calls(self, tree: Tree, text: str, origin: str) -> None:
        """Look at each function that the expressions below `tree` call, and at the views that they read."""
        for kind, part in walk(tree):
            if kind == "FuncCall":
                self.call(part, text, origin)
            elif kind == "A_Expr" and self.world.operators:
                for operator in strings(part.get("name"))[-1:]:
                    self.named(self.world.operators.get(operator, ()), text, origin, f"which operator {operator} runs")
            elif kind == "TypeCast" and (self.world.casts or self.world.domain_calls):
                target = type_text(part.get("typeName"))
                self.named(self.world.casts.get(target, ()), text, origin, f"which the cast to {target} runs")
                for call in self.world.domain_calls.get(target, ()):
                    self.call(call, text, origin)
            elif kind == "ColumnRef" and self.world.attributes:
                self.attribute(part, text, origin)
            elif kind == "RangeVar":
                name = self.world.resolve(names.of_range(part))
                self.policies(name, text, origin)
                view = self.world.views.get(name)
                if view and self.is_first(("view", name)):
                    self.calls(view, text, origin or f"in view {name}, which this reads")

    def attribute(self, reference: Tree, text: str, origin: str) -> None:
        """Look at the function that `t.name` calls where t has no column of that name."""
        fields = strings(reference.get("fields"))
        if len(fields) > 1 and fields[-1] in self.world.attributes:
            for full in [full for full in self.world.functions if full.name == fields[-1]]:
                self.named((full,), text, origin, f"which {'.'.join(fields)} calls")

    def policies(self, table: Name, text: str, origin: str) -> None:
        """Look at the functions that a table's policies call for each row that is read or written.

        Those whose code is not known are left out: they run for every application already.
        """
        found = self.world.tables.get(table)
        if not found or not found.policies or not self.is_first(("policies", table)):
            return
        for call in [call for calls in found.policies.values() for call in calls]:
            if not is_unknown(self.world, names.of_strings(call.get("funcname"))):
                self.call(call, text, origin or f"in a policy of {table}")

    def call(self, body: Tree, text: str, origin: str) -> None:
        name = names.of_strings(body.get("funcname"))
        self.ask("FuncCall", body, text, name, origin)
        for function in called(self.world.functions_named(name) or (), body):
            self.function(name, function, text, origin, "which this calls")
        arguments = body.get("args", ())
        which = _RUNS_TEXT.get(name.name) if name.schema != "cron" else _JOBS.get((name.name, len(arguments)))
        if which is not None and len(arguments) > which and self.world.functions_named(name) is None:
            where = origin or (IN_A_JOB if name.schema == "cron" else f"in the text that {name.name}() runs")
            for inner, sql in self.dynamic(fold(arguments[which], {}), text, where):
                self.look(inner, sql, where)

    def named(self, functions: Iterable[Name], text: str, origin: str, how: str) -> None:
        """Look into the functions of these names, as far as they are known."""
        for name in functions:
            for function in self.world.functions_named(name) or ():
                self.function(name, function, text, origin, how)

    def function(self, name: Name, function: Function, text: str, origin: str, how: str) -> None:
        """Look into a function's body, now or, where it is called from deep within others, when these were read."""
        if not self.is_first(id(function)):
            return
        where = f"in function {name}(), {how}" if not origin else f"{_cut(origin)}, through function {name}()"
        if len(self.inside) >= _DEEPEST:
            self.later.append((name, function, text, where))
        else:
            self.read(name, function, text, where)

    def read(self, name: Name, function: Function, text: str, where: str) -> None:
        """Look at the statements of a function's body, and at what the defaults of its arguments call."""
        self.inside.append(str(name))
        try:
            for call in default_calls(function):
                self.call(call, text, where)
            for inner, sql in self.body(function, text, where):
                self.look(inner, sql, where)
        finally:
            self.inside.pop()

    def body(self, function: Function, text: str, origin: str) -> Iterator[tuple[Tree, str]]:
        """Yield the statements of a function's body; what cannot be read is asked about instead."""
        if function.statements:
            yield from ((statement, function.definition) for statement in function.statements)
        elif function.language == "sql":
            try:
                for item in read_trees(function.source):
                    yield item["stmt"], function.source
            except (ParseError, RecursionError) as problem:
                self.ask("UnreadableBody", {"why": str(problem.args[0])}, text, NO_NAME, origin)
        elif function.language == "plpgsql":
            yield from self.embedded(function.definition, text, origin)
        elif function.language != "internal":
            self.ask("OtherLanguage", {"language": function.language}, text, NO_NAME, origin)

    def do(self, body: Tree, text: str, origin: str) -> None:
        found = options(body.get("args"))
        language = str(constant(found.get("language")) or "plpgsql").lower()
        where = origin or "in a DO block"
        if language != "plpgsql":
            self.ask("OtherLanguage", {"language": language}, text, NO_NAME, where)
            return
        start = _body_offset(text)
        for inner, sql in self.embedded(
            text, text, where, body_line=text.count("\n", 0, start) if not origin else None
        ):
            self.look(inner, sql, where)

    def embedded(
        self, definition: str, text: str, origin: str, body_line: int | None = None
    ) -> Iterator[tuple[Tree, str]]:
        """Yield the statements in a PL/pgSQL body; the finding's line is the statement's own for a DO block."""
        try:
            pieces = read_body(definition)
        except UnreadableBody as problem:
            self.ask("UnreadableBody", {"why": str(problem)}, text, NO_NAME, origin)
            return
        before = self.line, self.column
        for piece in pieces:
            if body_line is not None:
                self.line, self.column = self.statement.line + body_line + piece.line - 1, 1
            if piece.form == "control":
                self.ask("TransactionInBody", {"kind": piece.text}, text, NO_NAME, origin)
                continue
            if piece.form == "dynamic":
                yield from self.dynamic(piece.pieces, piece.text, origin)
                continue
            sql = piece.text if piece.form == "statement" else f"SELECT {piece.text}"
            try:
                for item in read_trees(sql):
                    yield item["stmt"], piece.text
            except (ParseError, RecursionError) as problem:
                self.ask("UnreadableBody", {"why": str(problem.args[0])}, piece.text, NO_NAME, origin)
        self.line, self.column = before

    def dynamic(self, pieces: Pieces, text: str, origin: str) -> Iterator[tuple[Tree, str]]:
        """Yield the statements that an EXECUTE runs, as far as their text is known."""
        holes = [piece for piece in pieces if isinstance(piece, Hole)]
        sql = skeleton(pieces)
        try:
            found = [item["stmt"] for item in read_trees(sql)]
        except (ParseError, RecursionError):
            found = []
        free = [hole for hole in holes if hole.kind == "text"]
        if not found:
            self.ask("DynamicSql", {"text": text, "known": "" if free else sql}, text, NO_NAME, origin)
            return
        if holes:
            self.ask("PartlyDynamicSql", {"text": text, "free": bool(free), "tree": found}, text, NO_NAME, origin)
        for one in found:
            yield one, without_holes(sql) if holes else sql

    def fires(self, kind: str, body: Tree, text: str, origin: str) -> None:
        """Look at the triggers and rules that a change of rows fires, and at the defaults that it evaluates."""
        name = names.of_range(body.get("relation"))
        table = self.world.tables.get(self.world.resolve(name))
        view = self.world.views.get(self.world.resolve(name))
        if view and (behind := view_table(view)) and self.is_first(("through", name, kind)):
            self.calls(view, text, origin or f"in view {name}, through which this writes")
            self.fires(kind, {**body, "relation": behind, "targetList": []}, text, origin or f"through view {name}")
        if table is None:
            return
        changed = frozenset(
            item["ResTarget"].get("name", "") for item in body.get("targetList", ()) if "ResTarget" in item
        )
        self.triggers(name, _events(kind, body), text, origin, changed if kind == "UpdateStmt" else frozenset())
        self.policies(table.name, text, origin)
        if kind != "DeleteStmt":
            for call in table.calls:
                self.call(call, text, origin)
            if kind != "UpdateStmt":
                for call in [call for column in table.columns.values() for call in column.calls]:
                    self.call(call, text, origin)
            for column in table.columns.values() if self.world.casts else ():
                self.named(self.world.casts.get(column.type, ()), text, origin, f"which the cast to {column.type} runs")
            for column in table.columns.values() if self.world.domain_calls else ():
                for call in self.world.domain_calls.get(column.type, ()):
                    self.call(call, text, origin)

    def triggers(
        self, name: Name, events: Iterable[str], text: str, origin: str, columns: frozenset[str] = frozenset()
    ) -> None:
        """Look at the triggers and rules that the events on a table fire, on its partitions and by its foreign keys too."""
        for event in events:
            for child in below(self.world, name, event):
                self.triggers(child, (event,), text, origin, columns)
            for child, reaction in cascades(self.world, name, event):
                if self.is_first(("cascade", child, reaction)):
                    where = origin or f"by a foreign key of {child} that refers to {name}"
                    self.triggers(child, (reaction,), text, where)
            for trigger_name, trigger in list(self.world.triggers_on(name, event, columns)):
                for call in trigger.calls:
                    self.call(call, text, origin or f"in the WHEN of trigger {trigger_name} on {name}")
                if trigger.function is not None:
                    self.named((trigger.function,), text, origin, f"which trigger {trigger_name} on {name} runs")
                if trigger.actions and self.is_first(("rule", trigger_name, name, event)):
                    for action in trigger.actions:
                        self.look(action, text, origin or f"in rule {trigger_name} on {name}, which this fires")


def _cut(origin: str) -> str:
    """Return the way to a function without its middle, where it is long."""
    steps = origin.split(", through ")
    return origin if len(steps) <= _DEEPEST else ", through ".join([*steps[:2], "others", *steps[-2:]])


def _events(kind: str, body: Tree) -> Iterable[str]:
    if kind == "InsertStmt" and body.get("onConflictClause", {}).get("action") == "ONCONFLICT_UPDATE":
        return ("insert", "update")
    return _EVENT[kind]


def _main_relation(kind: str, body: Tree) -> Tree | None:
    if kind in ("CreatePolicyStmt", "AlterPolicyStmt"):
        return body.get("table")
    if kind == "ViewStmt":
        return body.get("view")
    relation: Tree | None = body.get("relation")
    return relation if isinstance(relation, dict) else None


def _body_offset(text: str) -> int:
    """Return where the body of a DO starts in its text."""
    from safemig.sql.clauses import tokens

    for token in tokens(text):
        if token.kind in ("dollar", "string"):
            return token.start
    return 0
