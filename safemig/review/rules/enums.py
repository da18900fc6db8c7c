"""The values of enums: added, renamed, removed, used too early."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.identifiers import quote_literal
from safemig.sql.names import Name
from safemig.sql.tree import constant, walk


@rule(
    "enum-value-removed", Severity.DANGEROUS, "A value is removed from an enum",
    on="AT_AlterColumnType", data_loss=True,
    why="PostgreSQL cannot remove an enum value, so the type is renamed, created again with fewer values, and the column is changed to it: "
    "rows with the missing value make it fail, or are mapped to another value for good. The table is rewritten.",
    instead="ALTER TYPE mood RENAME VALUE 'meh' TO 'deprecated_meh';  -- keep the value, stop using it",
    err="ALTER TYPE mood RENAME TO mood_old; CREATE TYPE mood AS ENUM ('happy'); "
    "ALTER TABLE people ALTER COLUMN m TYPE mood USING m::text::mood; DROP TYPE mood_old",
    ok="ALTER TYPE mood ADD VALUE IF NOT EXISTS 'meh'",
)  # fmt: skip
def enum_value_removed(scene: Scene) -> Iterator[Hit]:
    definition = (scene.tree.get("def") or {}).get("ColumnDef", {})
    new = scene.world.resolve(names.of_strings((definition.get("typeName") or {}).get("names")))
    if new not in scene.world.enums or ("TYPE", new) not in scene.world.new_objects or scene.is_surely_new:
        return
    old = scene.world.renamed_types.get(new) or _old_enum(scene, new)
    if old is not None:
        labels = scene.world.enums.get(old)
    elif new in scene.world.dropped_types:  # dropped and re-created, the column having been text meanwhile
        labels = scene.world.dropped_types[new]
    else:
        return
    kept = scene.world.enums[new]
    gone = [label for label in labels if label not in kept] if labels is not None else []
    if labels is not None and not gone:
        return
    column = scene.tree.get("name", "")
    what = f"{', '.join(gone)} is gone" if gone else "what the old type held besides is not known"
    yield Hit(f"{scene.table}.{column}", f"{scene.table}.{column} gets a type {new} that was created again with {', '.join(kept)}: {what}",
              "-- keep the value and stop using it:\n"
              f"COMMENT ON TYPE {new.sql} IS 'deprecated: {', '.join(gone) or 'old values'}';")  # fmt: skip


def _old_enum(scene: Scene, new: Name) -> Name | None:
    """Return the enum that the column had, where the new type has another name (`mood_new`)."""
    known = scene.column_type(str(scene.tree.get("name", "")))
    if known:
        old = scene.world.resolve(names.of_parts(known.split(".")))
        return old if old in scene.world.enums and old != new else None
    stripped = new.name.removesuffix("_new").removesuffix("_v2")
    return Name(new.schema, stripped) if stripped != new.name else None


@rule(
    "enum-value-renamed", Severity.CAUTION, "An enum's value is renamed",
    on="AlterEnumStmt",
    why="No table is touched, but every application that writes or compares the old name fails from the COMMIT on.",
    instead="ALTER TYPE mood ADD VALUE IF NOT EXISTS 'calm';",
    err="ALTER TYPE mood RENAME VALUE 'meh' TO 'calm'",
    ok=("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'calm'", "CREATE TYPE m AS ENUM ('a'); ALTER TYPE m RENAME VALUE 'a' TO 'b'"),
)  # fmt: skip
def enum_value_renamed(scene: Scene) -> Iterator[Hit]:
    name = names.of_strings(scene.tree.get("typeName"))
    if scene.tree.get("oldVal") and not scene.world.is_new_object("TYPE", name):
        new = scene.tree.get("newVal", "")
        yield Hit(f"{name}.{scene.tree['oldVal']}", f"applications that write {scene.tree['oldVal']} fail from then on",
                  f"ALTER TYPE {name.sql} ADD VALUE IF NOT EXISTS {quote_literal(new)};  -- and move the rows later")  # fmt: skip


@rule(
    "enum-value-used-too-early", Severity.CAUTION, "An enum's new value is used in the transaction that adds it",
    on=("InsertStmt", "UpdateStmt", "AT_ColumnDefault", "AT_AddConstraint", "AT_AddColumn", "CreateStmt", "IndexStmt"),
    why="PostgreSQL refuses it (error 55P04): a new value can be used only after the COMMIT, unless the type itself is new.",
    instead="-- one migration\nALTER TYPE mood ADD VALUE IF NOT EXISTS 'calm';\n-- the next\nUPDATE people SET m = 'calm' WHERE id = 1;",
    err="ALTER TYPE mood ADD VALUE 'calm'; UPDATE people SET m = 'calm' WHERE id = 1",
    ok=("ALTER TYPE mood ADD VALUE 'calm'", "CREATE TYPE m AS ENUM ('a'); ALTER TYPE m ADD VALUE 'b'; INSERT INTO t VALUES ('b'::m)"),
)  # fmt: skip
def enum_value_used_too_early(scene: Scene) -> Iterator[Hit]:
    if not scene.world.labels_of_this_file:
        return
    added = {
        label: name for name, label in scene.world.labels_of_this_file if ("TYPE", name) not in scene.world.new_objects
    }
    if not added:
        return
    for kind, body in walk(scene.tree):
        value = constant({kind: body}) if kind == "A_Const" else None
        if isinstance(value, str) and value in added and not _cannot_hold(scene, added[value]):
            yield Hit(
                f"{added[value]}.{value}",
                f"'{value}' was added to {added[value]} in this file and cannot be used before the COMMIT",
            )
            return


def _cannot_hold(scene: Scene, enum: Name) -> bool:
    """Tell whether the table's columns are known and none of them is of the enum."""
    table = scene.known
    return bool(
        table
        and table.is_known
        and all(column.type.removesuffix("[]") != str(enum) for column in table.columns.values())
    )


@rule(
    "enum-value-without-place", Severity.RECOMMENDATION, "An enum's new value without a place",
    on="AlterEnumStmt",
    why="Without BEFORE or AFTER it sorts last, and the order cannot be changed later.",
    instead="ALTER TYPE mood ADD VALUE IF NOT EXISTS 'calm' BEFORE 'happy';",
    err="ALTER TYPE mood ADD VALUE IF NOT EXISTS 'calm'", ok="ALTER TYPE mood ADD VALUE IF NOT EXISTS 'calm' BEFORE 'happy'",
)  # fmt: skip
def enum_value_without_place(scene: Scene) -> Iterator[Hit]:
    if not scene.tree.get("oldVal") and not scene.tree.get("newValNeighbor"):
        yield Hit(
            f"{names.of_strings(scene.tree.get('typeName'))}.{scene.tree.get('newVal', '')}",
            "it sorts after all others",
        )
