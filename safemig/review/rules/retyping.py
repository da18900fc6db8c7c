"""Columns that get another type: what is rewritten, and what is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.rules.rows import cuts, erases
from safemig.review.scene import Scene, weight
from safemig.review.severity import Severity
from safemig.review.types import cost_of_change, split_type, type_text
from safemig.sql.identifiers import quote_identifier
from safemig.sql.tree import Tree, constant, is_null, node, strings, walk


@rule(
    "alter-column-type", Severity.CAUTION, "A column's type is changed",
    on="AT_AlterColumnType",
    why="Most changes of type rewrite the whole table and its indexes under ACCESS EXCLUSIVE; only a few touch the catalog alone "
    "(a wider varchar, varchar to text, a wider numeric of the same scale). Some change values silently: see alter-type-loses-data.",
    instead="ALTER TABLE users ADD COLUMN IF NOT EXISTS id_new bigint;\n"
    "-- write both columns, fill the old rows in batches, then swap the names",
    err=("ALTER TABLE users ALTER COLUMN id TYPE bigint", "ALTER TABLE users ALTER COLUMN a TYPE int USING a::int"),
    ok=("CREATE TABLE fresh (a int); ALTER TABLE fresh ALTER COLUMN a TYPE bigint",
        "CREATE TABLE fresh (a int); ALTER TABLE fresh ALTER a SET DATA TYPE text"),
)  # fmt: skip
def alter_column_type(scene: Scene) -> Iterator[Hit]:
    if scene.is_new or scene.parent.get("objtype") == "OBJECT_TYPE":
        return
    column, old, new, using = _change(scene)
    if _lossy(scene):
        return  # alter-type-loses-data says it
    cost = "unknown" if using and not _is_cast(using, column, new) else cost_of_change(old, new, utc=scene.is_utc)
    copy = f"{column}_new"[:63]
    safer = (
        f"ALTER TABLE {scene.table.sql} ADD COLUMN IF NOT EXISTS {quote_identifier(copy)} {new};\n"
        "-- write both, fill the old rows in batches, then swap the names in one short transaction"
    )
    if cost == "free":
        yield Hit(
            f"{scene.table}.{column}", f"{old} to {new} touches the catalog only; ACCESS EXCLUSIVE for a moment",
            severity=Severity.RECOMMENDATION,
        )  # fmt: skip
    else:
        from_old = f"from {old} " if old else ""
        what = "writes" if cost == "rewrite" else "may write"
        risk = "" if old else "; whether values can change depends on the old type, which is not known"
        yield Hit(
            f"{scene.table}.{column}",
            f"changing {scene.table}.{column} {from_old}to {new} {what} all of {scene.table}{scene.size} again "
            f"while reads and writes wait{risk}",
            safer,
            severity=weight(scene) if old and not using else None,
        )


def _change(scene: Scene) -> tuple[str, str, str, Tree | None]:
    definition: Tree = (scene.tree.get("def") or {}).get("ColumnDef", {})
    column = str(scene.tree.get("name", ""))
    return column, scene.column_type(column), type_text(definition.get("typeName")), definition.get("raw_default")


def _is_cast(using: Tree, column: str, new: str) -> bool:
    kind, body = node(using)
    if kind == "ColumnRef":
        return strings(body.get("fields"))[-1:] == [column]
    return kind == "TypeCast" and type_text(body.get("typeName")) == new and _is_cast(body.get("arg", {}), column, new)


_CUTTING = frozenset(
    ("left", "right", "substr", "substring", "round", "trunc", "floor", "ceil", "ceiling", "date_trunc", "split_part", "md5",
     "extract", "date_part", "trim", "btrim", "rtrim", "ltrim", "regexp_replace", "overlay", "abs", "sign", "length", "hashtext")
)  # fmt: skip


def _lossy(scene: Scene) -> str:
    """Return how the change of type loses values, or nothing."""
    column, old, new, using = _change(scene)
    if not old and (using is None or _is_cast(using, column, new)):
        base, modifiers = split_type(new)
        if using is None and base in ("integer", "smallint"):
            return f"a change to {new} rounds silently where the column holds fractions, and its type is not known"
        if using is not None and base in ("character", "bit") and modifiers:  # varchar: Django writes the cast always
            return f"an explicit cast to {new} cuts longer values silently"
    if using is None:
        if cost_of_change(old, new) == "lossy":
            return f"{old} to {new} rounds or cuts values silently"
        return ""
    if is_null(using) or constant(using) is not None or erases(using):
        return f"USING {_using_text(scene.text)} replaces every value by one"
    if not any(kind == "ColumnRef" and strings(body.get("fields"))[-1:] == [column] for kind, body in walk(using)):
        return f"USING {_using_text(scene.text)} does not read {column}"
    for kind, body in walk({"using": using}):
        if kind == "FuncCall" and strings(body.get("funcname"))[-1:] and strings(body.get("funcname"))[-1] in _CUTTING:
            return f"USING {_using_text(scene.text)} keeps less than the value"
        if kind == "A_Expr" and strings(body.get("name")) in (["->"], ["->>"], ["#>"], ["#>>"]):
            return f"USING {_using_text(scene.text)} keeps one part of the value"
        if kind == "A_Indirection" or (kind == "ColumnRef" and len(body.get("fields", ())) > 2):
            return f"USING {_using_text(scene.text)} keeps one part of the value"
    if cuts(using, column):
        return f"USING {_using_text(scene.text)} keeps less than the value"
    if new == "boolean" and old != "boolean" and _is_question(using):
        return f"USING {_using_text(scene.text)} keeps yes or no of the value"
    base_new, mods = split_type(new)
    base_old, mods_old = split_type(old)
    if _is_cast(using, column, new) and node(using)[0] == "TypeCast" and old:
        if (
            base_new in ("character varying", "character")
            and mods
            and base_old in ("text", "character varying", "character")
        ):
            if base_old == "text" or not mods_old or mods[0] < mods_old[0]:
                return f"an explicit cast from {old} to {new} cuts longer values silently"
        elif cost_of_change(old, new) == "lossy":
            return f"{old} to {new} rounds or cuts values silently"
    return ""


def _is_question(using: Tree) -> bool:
    kind, body = node(using)
    if kind == "A_Expr":
        return body.get("kind") in ("AEXPR_OP", "AEXPR_IN", "AEXPR_OP_ANY", "AEXPR_LIKE", "AEXPR_ILIKE")
    return kind in ("NullTest", "BoolExpr")


def _using_text(clause: str) -> str:
    at = clause.lower().rfind("using")
    return clause[at + 5 :].strip()[:80] if at >= 0 else ""


@rule(
    "alter-type-loses-data", Severity.DANGEROUS, "A change of type loses values",
    on="AT_AlterColumnType", data_loss=True,
    why="USING left(c, 3), round(c) or NULL keeps less than the value; numeric to integer rounds, timestamp to date cuts, "
    "text::varchar(10) truncates, each without an error. After the COMMIT the old values exist in a backup only.",
    instead="ALTER TABLE users ADD COLUMN IF NOT EXISTS code_short varchar(3);\n-- fill it, and keep the old column until it is proven",
    err=("ALTER TABLE users ALTER COLUMN code TYPE varchar(3) USING left(code, 3)",
         "ALTER TABLE users ALTER COLUMN price TYPE int USING round(price)",
         "ALTER TABLE users ALTER COLUMN note TYPE int USING NULL", "ALTER TABLE users ALTER data TYPE text USING data->>'name'",
         "ALTER TABLE users ALTER COLUMN tags TYPE text USING tags[1]"),
    ok=("CREATE TABLE fresh (a text); ALTER TABLE fresh ALTER COLUMN a TYPE varchar(3) USING left(a, 3)",
        "ALTER TABLE users ADD COLUMN IF NOT EXISTS code_short varchar(3)"),
)  # fmt: skip
def alter_type_loses_data(scene: Scene) -> Iterator[Hit]:
    if scene.is_surely_new or scene.parent.get("objtype") == "OBJECT_TYPE":
        return
    how = _lossy(scene)
    if how:
        column, _, new, _ = _change(scene)
        kept = f"{column}_new"[:63]
        yield Hit(
            f"{scene.table}.{column}", f"{how}; {scene.table}{scene.size} is rewritten",
            f"ALTER TABLE {scene.table.sql} ADD COLUMN IF NOT EXISTS {quote_identifier(kept)} {new};\n"
            f"-- fill {kept}, and keep {column} until it is proven",
        )  # fmt: skip
