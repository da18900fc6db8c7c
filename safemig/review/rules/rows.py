"""What removes or overwrites rows: DELETE, MERGE, UPDATE, upserts, and the system catalogs."""

from __future__ import annotations

import re

# ruff: noqa: S608  (this SQL is shown to people; nothing here runs it)
from collections.abc import Callable, Iterator
from itertools import pairwise
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from safemig.review.reaching import is_column, reaches
from safemig.review.renewed import pinned_columns, unique_keys
from safemig.review.rule import Hit, rule
from safemig.review.scene import SMALL_ROWS, Scene
from safemig.review.severity import Severity
from safemig.review.types import cost_of_change, split_type, type_text
from safemig.sql.clauses import tokens
from safemig.sql.identifiers import quote_identifier
from safemig.sql.names import Name, of_range
from safemig.sql.tree import Tree, constant, holds, is_null, node, strings, walk

_LARGEST_BATCH = 50_000


CATALOGS = ("pg_catalog", "information_schema")


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": eq, "<>": ne, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge,
}  # fmt: skip


def is_always_true(condition: Tree | None) -> bool:
    """Tell whether a WHERE keeps every row: true, 1 = 1, not false, x OR true."""
    if not condition:
        return True
    kind, body = node(condition)
    if kind == "A_Const":
        return constant(condition) is True
    if kind == "TypeCast":
        return str(constant(body.get("arg"))).lower() in ("true", "t", "yes", "on", "1")
    if kind == "A_Expr" and body.get("kind") == "AEXPR_OP":
        left, right = constant(body.get("lexpr")), constant(body.get("rexpr"))
        operator = "".join(strings(body.get("name")))
        if left is None or right is None or operator not in _COMPARE:
            return False
        if type(left) is not type(right):
            return operator in ("<>", "!=")
        return bool(_COMPARE[operator](left, right))
    if kind == "BoolExpr":
        arguments = body.get("args", ())
        if body.get("boolop") == "OR_EXPR":
            return any(is_always_true(argument) for argument in arguments)
        if body.get("boolop") == "AND_EXPR":
            return all(is_always_true(argument) for argument in arguments)
        return all(constant(argument) is False for argument in arguments)
    return False


def is_catalog(name: Name) -> bool:
    """Tell whether the table is one of PostgreSQL's own."""
    return name.schema in CATALOGS or (not name.schema and name.name.startswith("pg_"))


@rule(
    "delete-rows", Severity.DANGEROUS, "Rows are deleted",
    on="DeleteStmt", data_loss=True,
    why="What a migration deletes is gone when it commits; a wrong WHERE shows only afterwards.",
    instead="CREATE TABLE orders_deleted AS SELECT * FROM orders WHERE status = 'draft';\n"
    "-- then delete outside of the migration, in batches, with the copy at hand",
    err=("DELETE FROM users", "DELETE FROM users WHERE id = 1", "WITH gone AS (DELETE FROM users RETURNING *) SELECT * FROM gone"),
    ok=("CREATE TABLE fresh (a int); DELETE FROM fresh", "GRANT DELETE ON users TO app",
        "CREATE TABLE t (id int REFERENCES users ON DELETE CASCADE)", "SELECT 'DELETE FROM users'"),
)  # fmt: skip
def delete_rows(scene: Scene) -> Iterator[Hit]:
    if scene.is_surely_new or is_catalog(scene.table):
        return
    every = is_always_true(scene.tree.get("whereClause"))
    which = "every row" if every and not scene.tree.get("usingClause") else "rows"
    kept = Name(scene.table.schema, f"{scene.table.name}_deleted"[:63])
    safer = f"CREATE TABLE {kept.sql} AS SELECT * FROM {_deleted(scene)};  -- keep them; then delete, many in declared batches"
    yield Hit(str(scene.table), f"deletes {which} of {scene.table}{scene.size}", safer)


def _deleted(scene: Scene) -> str:
    """Return the rows of a DELETE as a SELECT names them: with its WHERE, where that can stand by itself."""
    tree, whole = scene.tree, scene.table.sql
    alone = tree is node(scene.statement.tree)[1] and not tree.get("usingClause") and not tree.get("withClause")
    parts = {kind for kind, _ in walk(tree.get("whereClause"))}
    if not alone or not tree.get("whereClause") or parts & {"ParamRef", "CurrentOfExpr"}:
        return whole
    text, depth, start, end = scene.statement.sql, 0, 0, 0
    for token in tokens(text):
        word = text[token.start : token.end].upper()
        depth += (word in "([") - (word in ")]") if token.kind == "mark" else 0
        if token.kind == "word" and depth == 0 and word == "WHERE":
            start = token.start
        elif (token.kind == "word" and depth == 0 and word == "RETURNING") or word == ";":
            break
        if token.kind != "comment":
            end = token.end
    alias = tree.get("relation", {}).get("alias", {}).get("aliasname")
    return f"{whole}{f' AS {quote_identifier(alias)}' if alias else ''} {text[start:end]}" if start else whole


@rule(
    "merge-delete", Severity.DANGEROUS, "MERGE deletes rows",
    on="MergeStmt", data_loss=True,
    why="WHEN MATCHED THEN DELETE removes rows as DELETE does, and is easy to overlook.",
    instead="MERGE INTO stock USING delivery ON stock.id = delivery.id\n"
    "WHEN MATCHED THEN UPDATE SET retired = true;",
    err="MERGE INTO stock s USING delivery d ON s.id = d.id WHEN MATCHED THEN DELETE",
    ok="MERGE INTO stock s USING delivery d ON s.id = d.id WHEN NOT MATCHED THEN INSERT VALUES (d.id)",
)  # fmt: skip
def merge_delete(scene: Scene) -> Iterator[Hit]:
    clauses = [item.get("MergeWhenClause", {}) for item in scene.tree.get("mergeWhenClauses", ())]
    if any(clause.get("commandType") == "CMD_DELETE" for clause in clauses) and not scene.is_surely_new:
        yield Hit(str(scene.table), f"MERGE deletes rows of {scene.table}{scene.size}", _kept_before(scene.table))


@rule(
    "merge-update", Severity.CAUTION, "MERGE overwrites rows",
    on="MergeStmt",
    why="WHEN MATCHED THEN UPDATE overwrites the values of rows that exist; the old ones are gone when it commits.",
    instead="MERGE INTO stock USING delivery ON stock.id = delivery.id\nWHEN NOT MATCHED THEN INSERT VALUES (delivery.id);",
    err="MERGE INTO stock s USING delivery d ON s.id = d.id WHEN MATCHED THEN UPDATE SET amount = d.amount",
    ok="MERGE INTO stock s USING delivery d ON s.id = d.id WHEN MATCHED THEN DO NOTHING",
)  # fmt: skip
def merge_update(scene: Scene) -> Iterator[Hit]:
    clauses = [item.get("MergeWhenClause", {}) for item in scene.tree.get("mergeWhenClauses", ())]
    updates = [clause for clause in clauses if clause.get("commandType") == "CMD_UPDATE"]
    if updates and not scene.is_surely_new:
        yield _overwriting(scene, f"MERGE overwrites values of {scene.table}{scene.size}", updates)


def _overwriting(scene: Scene, message: str, clauses: list[Tree]) -> Hit:
    """Return a caution, or a danger where a value is set to NULL: then it is erased rather than replaced."""
    safer = _doing_nothing(scene) if scene.node == "InsertStmt" else _kept_before(scene.table)
    erased = [
        column for clause in clauses for column, value in set_columns(clause) if erases(_proposed(scene.tree, value))
    ]
    if erased:
        said = f"{message}, and erases {', '.join(erased)}"
        return Hit(str(scene.table), said, safer, severity=Severity.DANGEROUS, data_loss=True)
    return Hit(str(scene.table), message, safer)


def _proposed(insert: Tree, value: Tree) -> Tree:
    """Return what `excluded.c` is where the INSERT selects it; the value itself where it does not, as in the VALUES of a seed."""
    fields = strings(node(value)[1].get("fields")) if "ColumnRef" in value else []
    columns = [item.get("ResTarget", {}).get("name") for item in insert.get("cols", ())]
    selected = _selected({"subselect": insert.get("selectStmt", {})})
    known = fields[:1] == ["excluded"] and fields[-1] in columns and len(selected) == len(columns)
    return selected[columns.index(fields[-1])] if known else value


def _kept_before(table: Name) -> str:
    before = Name(table.schema, f"{table.name}_before"[:63])
    return f"CREATE TABLE {before.sql} AS SELECT * FROM {table.sql};  -- keep the rows first"


def _doing_nothing(scene: Scene) -> str:
    """Return an INSERT ... ON CONFLICT DO UPDATE that leaves alone the rows that are there."""
    text = scene.text if scene.tree is node(scene.statement.tree)[1] else ""
    words = [token for token in tokens(text) if token.kind != "comment"]
    for one, other in pairwise(words):
        if (text[one.start : one.end].lower(), text[other.start : other.end].lower()) == ("do", "update"):
            return f"{text[: one.start]}DO NOTHING;"
    return ""


def set_columns(tree: Tree) -> list[tuple[str, Tree]]:
    """Return the columns that an UPDATE sets, with their new values."""
    return [
        (item["ResTarget"].get("name", ""), item["ResTarget"].get("val", {}))
        for item in tree.get("targetList", ())
        if "ResTarget" in item
    ]


def erases(value: Tree, column: str = "") -> bool:
    """Tell whether the new value is nothing, whatever the column held: NULL, empty, or what always comes to it."""
    if "MultiAssignRef" in value:  # SET (a, b) = (NULL, NULL), or = (SELECT NULL, NULL)
        part = value["MultiAssignRef"]
        kind, source = node(part.get("source", {}))
        items = source.get("args", ()) if kind == "RowExpr" else _selected(source) if kind == "SubLink" else ()
        number = int(part.get("colno", 1)) - 1
        return number < len(items) and erases(items[number])
    kind, body = node(value)
    if kind == "CaseExpr":
        branches = [item.get("CaseWhen", {}) for item in body.get("args", ())]
        if not body.get("arg") and is_always_true(branches[0].get("expr")):
            return erases(branches[0].get("result", {}))
        if any(erases(one.get("result", {})) and not (column and _pinned(one.get("expr"), column)) for one in branches):
            return not body.get("arg")
        return all(erases(branch.get("result", {})) for branch in branches) and erases(body.get("defresult", _NULL))
    if kind == "SubLink" and body.get("subLinkType") == "EXPR_SUBLINK":
        return [erases(item) for item in _selected(body)] == [True]
    if kind == "A_Expr" and body.get("kind") == "AEXPR_NULLIF":
        return _words(body.get("lexpr")) == _words(body.get("rexpr")) != []
    if kind == "A_Expr" and body.get("kind") == "AEXPR_OP" and strings(body.get("name"))[-1:] in _STRICT:
        return is_null(body.get("lexpr")) or is_null(body.get("rexpr"))
    if kind == "CoalesceExpr":
        return all(is_null(argument) for argument in body.get("args", ()))
    if kind == "TypeCast" and not is_null(value) and constant(value) is None:
        return erases(body.get("arg", {}), column)
    if kind == "A_ArrayExpr":
        return not body.get("elements")
    if kind == "FuncCall" and strings(body.get("funcname"))[-1:] in _MAKERS:
        return all(erases(argument) for argument in body.get("args", ()))
    if kind == "FuncCall" and strings(body.get("funcname"))[-1:] == ["regexp_replace"]:
        pattern, by = (constant(argument) for argument in body.get("args", (_NULL,) * 3)[1:3])
        return by == "" and isinstance(pattern, str) and pattern.strip("^$()") in (".*", ".+")
    return is_null(value) or "SetToDefault" in value or constant(value) in ("", "{}", "[]", "null")


_NULL: Tree = {"A_Const": {"isnull": True}}
_MAKERS = (
    ["concat"],
    ["concat_ws"],
    ["jsonb_build_object"],
    ["json_build_object"],
    ["jsonb_build_array"],
    ["json_build_array"],
)
_STRICT = (["||"], ["+"], ["-"], ["*"], ["/"], ["%"])  # give NULL for NULL


# What keeps less than it is given; trim() and lower() are left out, which tidy up.
_CUTTING = frozenset(("left", "right", "substr", "substring", "round", "trunc", "floor", "ceil", "ceiling", "date_trunc",
                      "split_part", "overlay", "md5", "sha224", "sha256", "sha384", "sha512", "hashtext", "array_remove", "trim_array",
                      "length", "char_length", "octet_length", "ascii", "sign", "mod", "extract", "date_part", "cardinality",
                      "array_length", "jsonb_array_length", "jsonb_typeof", "translate"))  # fmt: skip


_REMOVING = (["-"], ["#-"])


def _words(expression: Tree | None) -> list[str]:
    kind, body = node(expression or {})
    return strings(body.get("fields")) if kind == "ColumnRef" else []


def cuts(value: Tree, column: str) -> bool:
    """Tell whether the new value is a part of the column's old one: left(c, 3), round(c), data - 'key', tags[1:2]."""
    if _mentions(value.get("A_Indirection", {}).get("arg"), column):
        return True
    for kind, body in walk({"value": value}):
        if kind == "FuncCall" and strings(body.get("funcname"))[-1:] and strings(body["funcname"])[-1] in _CUTTING:
            if any(_mentions(argument, column) for argument in body.get("args", ())):
                return True
        elif kind == "FuncCall" and strings(body.get("funcname"))[-1:] in (["jsonb_set"], ["array_replace"]):
            if erases((*body.get("args", ()), {}, {}, {})[2]):
                return True
        elif kind == "A_Expr" and strings(body.get("name")) in _REMOVING and is_column(body.get("lexpr"), column):
            right = body.get("rexpr", {})
            if isinstance(constant(right), str) or "A_ArrayExpr" in right or "TypeCast" in right:
                return not _is_interval(right)
    return False


def _is_for_nothing(value: Tree, column: str) -> bool:
    """Tell whether the new value names the column and does not depend on it: nobody writes that to fill a column."""
    return _mentions(value, column) and not reaches(value, column)


_NARROW = ("smallint", "integer", "bigint", "date", "real", "boolean")  # nobody casts a column to the type that it has


def _narrows(scene: Scene, value: Tree, column: str) -> bool:
    """Tell whether the new value is the old one in a type that holds less of it: total::int, at::date, note::varchar(10)."""
    old = scene.column_type(column)
    for kind, body in walk(value):
        if kind == "TypeCast" and is_column(body.get("arg"), column):
            new = type_text(body.get("typeName"))
            cost = cost_of_change(old, new) if old else ""
            base, modifiers = split_type(new)
            if cost == "lossy" or (not old and base in _NARROW):
                return True
            if base in ("character", "character varying", "bit") and modifiers and cost != "free":
                return True
    return False


def _is_interval(expression: Tree) -> bool:
    kind, body = node(expression)
    return kind == "TypeCast" and strings(body.get("typeName", {}).get("names"))[-1:] == ["interval"]


def _selected(link: Tree) -> list[Tree]:
    select = link.get("subselect", {}).get("SelectStmt", {})
    return [item.get("ResTarget", {}).get("val", {}) for item in select.get("targetList", ())]


def _pinned(condition: Tree | None, column: str) -> bool:
    """Tell whether the WHERE says which value `column` had: then the old value can be told from the statement."""
    kind, body = node(condition or {})
    if kind == "BoolExpr" and body.get("boolop") == "AND_EXPR":
        return any(_pinned(argument, column) for argument in body.get("args", ()))
    if kind == "NullTest":
        return body.get("nulltesttype") == "IS_NULL" and is_column(body.get("arg"), column)
    if kind == "A_Expr" and strings(body.get("name")) == ["="] and body.get("kind") in ("AEXPR_OP", "AEXPR_IN"):
        right = body.get("rexpr")
        known = constant(right) is not None or "List" in (right or {}) or isinstance(right, list)
        return known and _mentions(body.get("lexpr"), column)
    return False


def _mentions(expression: Tree | None, column: str) -> bool:
    return any(kind == "ColumnRef" and strings(body.get("fields"))[-1:] == [column] for kind, body in walk(expression))


@rule(
    "update-erases", Severity.DANGEROUS, "Values are erased by an UPDATE",
    on="UpdateStmt", data_loss=True,
    why="SET column = NULL (or '' or DEFAULT) does to the values what DROP COLUMN does; left(), round() and data - 'key' leave a part.",
    instead="CREATE TABLE users_phone_kept AS SELECT id, phone FROM users WHERE phone IS NOT NULL;",
    err=("UPDATE users SET phone = NULL", "UPDATE users SET (phone, name) = (NULL, 'x')", "UPDATE users SET phone = '' WHERE active",
         "UPDATE users SET phone = CASE WHEN id > 0 THEN NULL ELSE phone END", "UPDATE users SET phone = (SELECT NULL::text)",
         "UPDATE users SET tags = tags[1:1]", "UPDATE users SET data = jsonb_set(data, '{address}', 'null')",
         "UPDATE users SET phone = phone || NULL", "UPDATE users SET name = lower(repeat(name, 0))",
         "UPDATE users SET total = total * 0 + 1",
         "UPDATE users SET name = name::varchar(3)", "UPDATE users SET phone = coalesce('none', phone)",
         "UPDATE users SET phone = v.p FROM (VALUES (NULL::text)) AS v (p)",
         "UPDATE users SET name = left(name, 10)", "UPDATE users SET data = data - 'address'"),
    ok=("ALTER TABLE users ADD COLUMN IF NOT EXISTS score int; UPDATE users SET score = NULL",
        "UPDATE users SET phone = CASE WHEN phone = '' THEN NULL ELSE phone END",
        "UPDATE users SET phone = NULL WHERE phone = ''", "UPDATE users SET day = date_trunc('day', at) WHERE id = 1"),
)  # fmt: skip
def update_erases(scene: Scene) -> Iterator[Hit]:
    if scene.is_surely_new or is_catalog(scene.table):
        return
    condition = scene.tree.get("whereClause")
    for column, value in set_columns(scene.tree):
        is_erased = erases(_behind(scene.tree, value), column) or _is_for_nothing(value, column)
        if (
            not (is_erased or cuts(value, column) or _narrows(scene, value, column))
            or _is_new_column(scene, column)
            or _pinned(condition, column)
        ):
            continue
        kept = Name(scene.table.schema, f"{scene.table.name}_{column}_kept"[:63])
        yield Hit(
            f"{scene.table}.{column}",
            f"{'erases the values' if is_erased else 'keeps a part only of the values'} of {scene.table}.{column} "
            f"in {'every row' if is_always_true(condition) else 'some rows'}{scene.size}",
            f"CREATE TABLE {kept.sql} AS SELECT * FROM {scene.table.sql} WHERE {quote_identifier(column)} IS NOT NULL;",
        )


def _behind(tree: Tree, value: Tree) -> Tree:
    """Return what `o.x` is where FROM says it: the expression that the sub-select o calls x; else the value itself."""
    fields = strings(node(value)[1].get("fields")) if "ColumnRef" in value else []
    for item in tree.get("fromClause", ()) if fields else ():
        source = item.get("RangeSubselect", {})
        if source.get("alias", {}).get("aliasname") in (
            *fields[:-1],
            None if fields[:-1] else source.get("alias", {}).get("aliasname"),
        ):
            select = source.get("subquery", {}).get("SelectStmt", {})
            columns = strings(source.get("alias", {}).get("colnames"))
            if fields[-1] in columns:  # (VALUES (1, NULL), (2, 'x')) AS v (id, phone)
                rows = [row["List"]["items"] for row in select.get("valuesLists", ())]
                given = [items[columns.index(fields[-1])] for items in rows if len(items) >= len(columns)]
                return next((one for one in given if erases(one)), value)
            for target in select.get("targetList", ()):
                if target.get("ResTarget", {}).get("name") == fields[-1]:
                    return target["ResTarget"].get("val", value)  # type: ignore[no-any-return]
    return value


def _is_new_column(scene: Scene, column: str) -> bool:
    found = scene.known
    return bool(found and column in found.columns and found.columns[column].age != "existing")


@rule(
    "update-many-rows", Severity.CAUTION, "An UPDATE of the whole table",
    on="UpdateStmt",
    why="One UPDATE of every row locks every row until it commits, doubles the table's size, and overwrites what was there. "
    "In a migration it also keeps the locks of the statements before it.",
    instead="-- safemig: batches of 10000 by users.id, pause 100 ms\n"
    "UPDATE users SET active = true WHERE active IS NULL AND id BETWEEN $1 AND $2;",
    err=("UPDATE users SET active = true", "UPDATE users SET active = true WHERE 1 = 1",
         "DO $do$ BEGIN EXECUTE 'UPDATE users SET active = true WHERE id BETWEEN $1 AND $2' USING 1, 9999999; END $do$",
         "UPDATE users SET name = trim(name) WHERE name IS NOT NULL", "UPDATE orders SET state = 'closed' WHERE state = 'done'"),
    ok=("CREATE TABLE fresh (a int); UPDATE fresh SET a = 1", "UPDATE app_version SET schema_version = 86",
        "UPDATE settings SET value = '2' WHERE key = 'version'",
        "UPDATE users SET active = true WHERE id BETWEEN 1 AND 10000", "UPDATE users SET active = true WHERE id = ANY(ARRAY[1, 2])",
        "-- safemig: batches of 10000 by users.id\nUPDATE users SET active = true WHERE active IS NULL AND id BETWEEN $1 AND $2"),
)  # fmt: skip
def update_many_rows(scene: Scene) -> Iterator[Hit]:
    if scene.is_new or is_catalog(scene.table) or scene.is_small or _counts_a_version(scene):
        return
    condition = scene.tree.get("whereClause")
    few = _names_few(condition) or _is_keyed(scene, condition) or _is_batch(scene)
    if few and not scene.tree.get("fromClause"):
        return
    every = is_always_true(condition) and not scene.tree.get("fromClause")
    columns = ", ".join(column for column, _ in set_columns(scene.tree))
    batch = f"UPDATE {scene.table.sql} SET … WHERE … AND id BETWEEN $1 AND $2;"
    yield Hit(
        str(scene.table),
        f"updates {columns} in {'every row' if every else 'many rows, perhaps,'} of {scene.table}{scene.size} in one transaction",
        f"-- safemig: batches of 10000 by {scene.table}.id, pause 100 ms\n-- {batch}",
    )


def _is_keyed(scene: Scene, condition: Tree | None) -> bool:
    """Tell whether the WHERE gives constants for all columns of a key, so that each names one row at most."""
    keys = unique_keys(scene.world, scene.table)
    return bool(keys) and any(key <= pinned_columns(condition) for key in keys)


# The one row in which an application keeps the version of its schema: by its table, or by its column in an application's own table.
_VERSION_TABLE = re.compile(r"(?i)version|(schema|db|alembic)_?version|schema_(info|revision)")
_VERSION_COLUMN = re.compile(r"(?i)schema_?(version|revision)|db_?version|version_?(id|num)")


def _counts_a_version(scene: Scene) -> bool:
    """Tell whether the UPDATE writes down which version the schema has now."""
    columns = list(set_columns(scene.tree))
    if len(columns) != 1 or constant(columns[0][1]) is None or scene.tree.get("fromClause"):
        return False
    table, column = scene.table.name, columns[0][0]
    of_application = table.lower().endswith("_version") and _VERSION_COLUMN.fullmatch(column) is not None
    return of_application or (_VERSION_TABLE.fullmatch(table) is not None and "value" not in column.lower())


def _is_batch(scene: Scene) -> bool:
    """Tell whether a range of keys is filled in: by declared batches, for nothing else does it in a file's own statement."""
    if not holds(scene.statement.json, "ParamRef") or scene.tree is not node(scene.statement.tree)[1]:
        return False
    return {body.get("number") for kind, body in walk(scene.tree) if kind == "ParamRef"} == {1, 2}


def _names_few(condition: Tree | None) -> bool:
    """Tell whether a WHERE pins a key to constants: a few known rows, as settings and seeds do."""
    kind, body = node(condition or {})
    if kind == "BoolExpr":
        arguments = body.get("args", ())
        if body.get("boolop") == "AND_EXPR":
            return any(_names_few(argument) for argument in arguments)
        return body.get("boolop") == "OR_EXPR" and all(_names_few(argument) for argument in arguments)
    if kind == "A_Expr" and body.get("kind") == "AEXPR_BETWEEN":  # a batch by its key
        ends = [constant(item) for item in body.get("rexpr", {}).get("List", {}).get("items", ())]
        low, high = (*ends, None, None)[:2]
        return isinstance(low, int) and isinstance(high, int) and high - low <= _LARGEST_BATCH
    if kind == "A_Expr" and strings(body.get("name")) == ["="]:
        left, reference = node(body.get("lexpr", {}))
        if left != "ColumnRef" or not _KEY.search((strings(reference.get("fields")) or [""])[-1]):
            return False
        if body.get("kind") == "AEXPR_OP_ANY":
            return "A_ArrayExpr" in body.get("rexpr", {})
        return body.get("kind") == "AEXPR_IN" or (
            body.get("kind") == "AEXPR_OP" and constant(body.get("rexpr")) is not None
        )
    return False


# What tells rows apart by its name; state = 'done', kind = 2 or active = true may hold for millions of them.
_KEY = re.compile(
    r"(?i)(\A|_)(id|uuid|guid|key|k|name|code|slug|e?mail|version|login|username|token|path|url|no|num|number)\Z|[a-z]Id\Z"
)


@rule(
    "column-set-twice", Severity.CAUTION, "One UPDATE sets a column twice",
    on="UpdateStmt",
    why="PostgreSQL refuses it (42601, multiple assignments to same column). Only one of the values was meant.",
    instead="UPDATE users SET active = true WHERE id = 1;",
    err="UPDATE users SET active = true, active = false WHERE id = 1",
    ok=("UPDATE users SET active = true, name = 'x' WHERE id = 1", "UPDATE users SET tags[1] = 'a', tags[2] = 'b' WHERE id = 1"),
)  # fmt: skip
def column_set_twice(scene: Scene) -> Iterator[Hit]:
    whole = [item["ResTarget"] for item in scene.tree.get("targetList", ()) if "ResTarget" in item]
    columns = [str(one.get("name", "")) for one in whole if "indirection" not in one]  # tags[1] is a part
    for column in dict.fromkeys(column for column in columns if columns.count(column) > 1):
        yield Hit(f"{scene.table}.{column}", f"fails: {column} is set {columns.count(column)} times")


@rule(
    "upsert-overwrites", Severity.CAUTION, "An INSERT overwrites rows that exist",
    on="InsertStmt", mark='"ONCONFLICT_UPDATE"',
    why="ON CONFLICT DO UPDATE replaces values that may have been changed since.",
    instead="INSERT INTO settings (key, value) VALUES ('version', '2') ON CONFLICT (key) DO NOTHING;",
    err="INSERT INTO settings (key, value) VALUES ('a', '1') ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    ok="INSERT INTO settings (key, value) VALUES ('a', '1') ON CONFLICT (key) DO NOTHING",
)  # fmt: skip
def upsert_overwrites(scene: Scene) -> Iterator[Hit]:
    clause = scene.tree.get("onConflictClause", {})
    if clause.get("action") != "ONCONFLICT_UPDATE" or scene.is_new:
        return
    if sets_a_configuration_row(scene):
        said = f"sets a row of {scene.table}, which is configuration here: what it holds is replaced"
        yield Hit(str(scene.table), said, severity=Severity.RECOMMENDATION)
    else:
        yield _overwriting(scene, f"overwrites rows of {scene.table} that have the same key", [clause])


def sets_a_configuration_row(scene: Scene) -> bool:
    """Tell whether an upsert is the form in which generate writes a row of a table of `configuration_rows`.

    One row of constants, whose own values are set: nothing but that row changes, and running it twice is once.
    """
    target = scene.world.target
    if target is None or (scene.table.schema or "public", scene.table.name) not in target.configuration_tables:
        return False
    lists = scene.tree.get("selectStmt", {}).get("SelectStmt", {}).get("valuesLists", ())
    clause = scene.tree["onConflictClause"]
    values = lists[0].get("List", {}).get("items", ()) if len(lists) == 1 else ()
    sets = [item["ResTarget"] for item in clause.get("targetList", ()) if "ResTarget" in item]
    return (
        bool(values)
        and all(constant(each) is not None or is_null(each) for each in values)
        and not clause.get("whereClause")
        and all(
            strings(each.get("val", {}).get("ColumnRef", {}).get("fields")) == ["excluded", each.get("name")]
            for each in sets
        )
    )


@rule(
    "insert-from-query", Severity.RECOMMENDATION, "As many rows are written as a query gives",
    on="InsertStmt", mark='"fromClause":[',
    why="One INSERT ... SELECT from a large table writes it all in one transaction, with every index, and holds what the statements "
    "before it locked.",
    instead="INSERT INTO archive SELECT * FROM orders WHERE id BETWEEN 1 AND 10000;  -- in batches, each committed",
    err="INSERT INTO archive SELECT * FROM orders",
    ok=("INSERT INTO archive VALUES (1)", "INSERT INTO archive SELECT * FROM orders LIMIT 100",
        "CREATE TABLE fresh (a int); INSERT INTO archive SELECT a FROM fresh"),
)  # fmt: skip
def insert_from_query(scene: Scene) -> Iterator[Hit]:
    source = scene.tree.get("selectStmt", {}).get("SelectStmt", {})
    read = [of_range(item["RangeVar"]) for item in source.get("fromClause", ()) if "RangeVar" in item]
    if source.get("limitCount") or _names_few(source.get("whereClause")):
        return
    for name in read:
        facts = scene.facts_of(name)
        few = facts is not None and facts.rows_estimate is not None and facts.rows_estimate <= SMALL_ROWS
        if not scene.world.is_new(name) and not is_catalog(name) and not few:
            yield Hit(str(scene.table), f"writes as many rows as {name} holds in one transaction")
            return


@rule(
    "catalog-change", Severity.DANGEROUS, "A system catalog is changed by hand",
    on=("DeleteStmt", "UpdateStmt", "InsertStmt", "MergeStmt", "TruncateStmt"), data_loss=True,
    why="PostgreSQL checks nothing when its catalogs are written to: DELETE FROM pg_enum leaves rows whose value can no longer be read.",
    instead="ALTER TYPE mood RENAME VALUE 'meh' TO 'fine';",
    err=("DELETE FROM pg_enum WHERE enumlabel = 'meh'", "UPDATE pg_catalog.pg_attribute SET attnotnull = false"),
    ok="SELECT * FROM pg_catalog.pg_class",
)  # fmt: skip
def catalog_change(scene: Scene) -> Iterator[Hit]:
    if is_catalog(scene.table) and not scene.world.is_new(scene.table):
        what = " (this is how an enum's value is removed by hand: rows that hold it become unreadable)"
        enum = what if scene.table.name == "pg_enum" else ""
        yield Hit(str(scene.table), f"writes to PostgreSQL's own {scene.table.name}{enum}")
