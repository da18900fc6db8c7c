"""What lets a dump of the database not restore: functions that run while rows are loaded and indexes built."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pglast.parser import ParseError

from safemig.review.functions import calls_in, function_statements
from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.review.world import Function
from safemig.sql import names
from safemig.sql.builtin_functions import BUILT_IN_FUNCTIONS
from safemig.sql.identifiers import quote_identifier
from safemig.sql.names import Name
from safemig.sql.plpgsql import UnreadableBody, read_body
from safemig.sql.tree import Tree, read_trees, walk

_MADE_BY_CALLS = re.compile(
    '"(?:CONSTR_CHECK|CONSTR_GENERATED|IndexElem)"'
)  # what in a table's JSON a restore evaluates
_FIXES_ITS_PATH = re.compile(r"\bSET\s+search_path\b", re.IGNORECASE)


@rule(
    "unrestorable-function", Severity.CAUTION, "A function that finds nothing when a dump is restored",
    on=("CreateStmt", "AT_AddConstraint", "AT_AddColumn", "IndexStmt", "CreateTableAsStmt"), mark='"FuncCall":{',
    why="pg_dump restores with an empty search_path, and from 17 on REINDEX, CREATE INDEX and REFRESH take none of the session's. "
    "A check, generated column, index or materialized view that calls a function whose body names something without its "
    "schema then fails, and with it the restore: of a backup, an upgrade, a copy for a rehearsal.",
    instead="ALTER FUNCTION public.norm(text) SET search_path = public, pg_temp;  -- or write the schema into its body",
    err=("CREATE FUNCTION norm(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT unaccent($1)'; "
         "CREATE INDEX users_norm ON users (norm(email))",
         "CREATE FUNCTION listed(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS "
         "$$ BEGIN RETURN EXISTS (SELECT FROM words w WHERE w.word = $1); END $$; "
         "CREATE TABLE t (word text CHECK (listed(word)))"),
    ok=("CREATE FUNCTION norm(text) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = public AS 'SELECT unaccent($1)'; "
        "CREATE TABLE t (word text CHECK (norm(word) <> ''))",
        "CREATE FUNCTION low(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(public.unaccent($1))'; "
        "CREATE TABLE t (word text, low text GENERATED ALWAYS AS (low(word)) STORED)",
        "CREATE FUNCTION norm(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT unaccent($1)'; "
        "CREATE TABLE t (word text DEFAULT norm('a'))"),
)  # fmt: skip
def unrestorable_function(scene: Scene) -> Iterator[Hit]:
    said: set[Name] = set()
    for expression in _run_by_a_restore(scene) if scene.world.functions else ():
        for call in calls_in(expression):
            name = scene.world.resolve(names.of_strings(call.get("funcname")))
            if name in said or name in scene.world.paths_fixed:
                continue
            for function in scene.world.functions.get(name) or ():
                if function.statements or _FIXES_ITS_PATH.search(function.definition.replace(function.source, "")):
                    continue  # BEGIN ATOMIC is resolved when it is made
                if bare := next(_bare_names(function), None):
                    said.add(name)
                    schema = quote_identifier(name.schema)
                    yield Hit(
                        str(name),
                        f"{name}() names {bare} without a schema: a restore, whose search_path is empty, does not find it",
                        f"ALTER FUNCTION {schema}.{quote_identifier(name.name)}({', '.join(function.arguments)}) "
                        f"SET search_path = {schema}, pg_temp;",
                    )
                    break


def _run_by_a_restore(scene: Scene) -> Iterator[object]:
    if scene.node == "CreateTableAsStmt":
        if scene.tree.get("objtype") == "OBJECT_MATVIEW":
            yield scene.tree.get("query")
        return
    if scene.node == "IndexStmt":
        yield scene.tree.get("whereClause")
    elif not scene.origin and not _MADE_BY_CALLS.search(scene.statement.json):
        return
    for kind, body in walk(scene.tree):
        if kind == "Constraint" and body.get("contype") in ("CONSTR_CHECK", "CONSTR_GENERATED"):
            yield body.get("raw_expr")
        elif kind == "IndexElem":
            yield body.get("expr")


def _bare_names(function: Function) -> Iterator[str]:
    """Yield what a function's body names without a schema, and PostgreSQL itself does not have."""
    trees: list[Tree] = function_statements(function)
    if function.language == "plpgsql":
        try:
            pieces = [piece.text for piece in read_body(function.definition) if piece.form == "expression"]
        except UnreadableBody:
            pieces = []
        for text in pieces:
            try:
                trees += [item["stmt"] for item in read_trees(f"SELECT {text}")]
            except (ParseError, RecursionError):
                continue
    for tree in trees:
        nodes = list(walk(tree))
        own = {body.get("ctename") for kind, body in nodes if kind == "CommonTableExpr"}
        for kind, body in nodes:
            if kind == "FuncCall":
                name = names.of_strings(body.get("funcname"))
                if not name.schema and name.name not in BUILT_IN_FUNCTIONS:
                    yield f"{name.name}()"
            elif kind == "RangeVar":
                name = names.of_range(body)
                if not name.schema and name.name not in own and not name.name.startswith("pg_"):
                    yield name.name
