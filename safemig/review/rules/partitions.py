"""Partitions, inheritance, enums and other traps of a type or a tree of tables."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.identifiers import quote_identifier, quote_literal
from safemig.sql.locks import LockMode
from safemig.sql.names import Name
from safemig.sql.tree import Tree, constant, walk


def _partition(scene: Scene) -> tuple[Name, Tree]:
    command: Tree = (scene.tree.get("def") or {}).get("PartitionCmd", {})
    return names.of_range(command.get("name")), command


@rule(
    "attach-partition-scans", Severity.CAUTION, "ATTACH PARTITION reads the table that is attached",
    on="AT_AttachPartition",
    why="Every row is checked against the partition's bounds under ACCESS EXCLUSIVE on the attached table, and the DEFAULT partition is "
    "locked and read too (measured). A validated CHECK that says the same as the bounds makes it instant.",
    instead="ALTER TABLE events_2025 ADD CONSTRAINT bounds CHECK (at >= '2025-01-01' AND at < '2026-01-01') NOT VALID;\n"
    "-- in a migration of its own:\nALTER TABLE events_2025 VALIDATE CONSTRAINT bounds;\n"
    "-- in a migration of its own:\nALTER TABLE events ATTACH PARTITION events_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');",
    err="ALTER TABLE events ATTACH PARTITION events_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
    ok=("CREATE TABLE e (a int); ALTER TABLE events ATTACH PARTITION e FOR VALUES IN (1)",
        "ALTER INDEX i ATTACH PARTITION j"),
)  # fmt: skip
def attach_partition_scans(scene: Scene) -> Iterator[Hit]:
    child, command = _partition(scene)
    if scene.parent.get("objtype") == "OBJECT_INDEX" or scene.world.is_new(child):
        return
    table = scene.world.tables.get(scene.world.resolve(child))
    if table and any(
        one.kind == "c" and one.is_validated and one.file != scene.world.file for one in table.constraints.values()
    ):
        return  # a validated CHECK is there; whether it says the same as the bounds, the rehearsal shows
    default = (command.get("bound") or {}).get("is_default")
    what = "attaches it as DEFAULT" if default else "checks every row against the bounds"
    yield Hit(
        f"{scene.table}.{child}", f"{what} while reads and writes of {child} wait; the DEFAULT partition of {scene.table} is read too",
        f"ALTER TABLE {child.sql} ADD CONSTRAINT {quote_identifier(child.name + '_bounds')} CHECK (…) NOT VALID;\n"
        f"-- in a migration of its own:\nALTER TABLE {child.sql} VALIDATE CONSTRAINT {quote_identifier(child.name + '_bounds')};\n"
        f"-- in a migration of its own:\n{scene.statement.sql};",
        lock=LockMode.ACCESS_EXCLUSIVE,
    )  # fmt: skip


@rule(
    "partition-of-locks-parent", Severity.CAUTION, "A partition is made in a table in use",
    on="CreateStmt",
    why="CREATE TABLE ... PARTITION OF takes ACCESS EXCLUSIVE on the parent (measured) and reads its DEFAULT partition. Made alone "
    "and then attached, the parent is under SHARE UPDATE EXCLUSIVE only, which blocks nobody.",
    instead="CREATE TABLE events_2026 (LIKE events INCLUDING ALL);\n"
    "ALTER TABLE events ATTACH PARTITION events_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');",
    err="CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    ok=("CREATE TABLE e (a int) PARTITION BY LIST (a); CREATE TABLE e1 PARTITION OF e FOR VALUES IN (1)",
        "CREATE TABLE e1 (LIKE e INCLUDING ALL); ALTER TABLE e ATTACH PARTITION e1 FOR VALUES IN (1)"),
)  # fmt: skip
def partition_of_locks_parent(scene: Scene) -> Iterator[Hit]:
    if not scene.tree.get("partbound"):
        return
    for item in scene.tree.get("inhRelations", ()):
        parent = names.of_range(item.get("RangeVar"))
        if scene.world.is_new(parent):
            continue
        child = names.of_range(scene.tree.get("relation"))
        at = scene.text.lower().find("for values")
        bounds = scene.text[at:].split(" PARTITION BY ")[0] if at >= 0 else "DEFAULT"
        yield Hit(
            f"{parent}.{child}", f"reads and writes of {parent} wait for a moment, longer where it has a DEFAULT partition with rows",
            f"CREATE TABLE {child.sql} (LIKE {parent.sql} INCLUDING ALL);\n"
            f"ALTER TABLE {parent.sql} ATTACH PARTITION {child.sql} {bounds};",
            lock=LockMode.ACCESS_EXCLUSIVE,
        )  # fmt: skip


@rule(
    "detach-partition-blocks", Severity.CAUTION, "A partition leaves its table",
    on="AT_DetachPartition",
    why="Its rows are gone for every query of the parent; without CONCURRENTLY (PostgreSQL 14) it takes ACCESS EXCLUSIVE on both. "
    "CONCURRENTLY leaves a "
    "CHECK that says the old bounds on the partition, and is not possible beside a DEFAULT partition.",
    instead="ALTER TABLE events DETACH PARTITION events_2020 CONCURRENTLY;",
    err="ALTER TABLE events DETACH PARTITION events_2020",
    ok=("ALTER TABLE events DETACH PARTITION events_2020 CONCURRENTLY",
        "CREATE TABLE e (a int) PARTITION BY LIST (a); ALTER TABLE e DETACH PARTITION e1"),
)  # fmt: skip
def detach_partition_blocks(scene: Scene) -> Iterator[Hit]:
    child, command = _partition(scene)
    if not command.get("concurrent") and not scene.is_new:
        yield Hit(f"{scene.table}.{child}", f"reads and writes of {scene.table} wait, and the rows of {child} are no longer in it",
                  f"ALTER TABLE {scene.table.sql} DETACH PARTITION {child.sql} CONCURRENTLY;", lock=LockMode.ACCESS_EXCLUSIVE)  # fmt: skip


@rule(
    "inheritance-changed", Severity.CAUTION, "A table joins or leaves another by inheritance",
    on=("AT_AddInherit", "AT_DropInherit"),
    why="Every query of the parent sees the child's rows from then on (or no longer does); ACCESS EXCLUSIVE on the child.",
    instead="CREATE VIEW all_people AS SELECT id FROM people UNION ALL SELECT id FROM users;",
    err=("ALTER TABLE users INHERIT people", "ALTER TABLE users NO INHERIT people"),
    ok="CREATE TABLE fresh (a int); ALTER TABLE fresh INHERIT people",
)  # fmt: skip
def inheritance_changed(scene: Scene) -> Iterator[Hit]:
    if not scene.is_new:
        parent = names.of_range((scene.tree.get("def") or {}).get("RangeVar"))
        verb = "show" if scene.node == "AT_AddInherit" else "no longer show"
        yield Hit(f"{scene.table}.{parent}", f"the rows of {scene.table} {verb} in queries of {parent}")


@rule(
    "column-expression-dropped", Severity.CAUTION, "A column is no longer computed or numbered",
    on=("AT_DropExpression", "AT_DropIdentity", "AT_SetExpression", "AT_AddIdentity"),
    why="Without its expression or identity, INSERTs must give the value; SET EXPRESSION writes the table again.",
    instead="ALTER TABLE users ALTER COLUMN id SET DEFAULT nextval('users_id_seq');",
    err=("ALTER TABLE users ALTER COLUMN total DROP EXPRESSION", "ALTER TABLE users ALTER COLUMN id DROP IDENTITY"),
    ok="CREATE TABLE fresh (id int GENERATED ALWAYS AS IDENTITY); ALTER TABLE fresh ALTER id DROP IDENTITY",
)  # fmt: skip
def column_expression_dropped(scene: Scene) -> Iterator[Hit]:
    if scene.is_new:
        return
    column = scene.tree.get("name", "")
    said = {
        "AT_DropExpression": "is no longer computed", "AT_DropIdentity": "is no longer numbered by itself",
        "AT_SetExpression": "is computed anew for every row, by writing the table again",
        "AT_AddIdentity": "is numbered by itself from 1 on, whatever numbers are there",
    }[scene.node]  # fmt: skip
    yield Hit(f"{scene.table}.{column}", f"{scene.table}.{column} {said}")


@rule(
    "composite-attribute-changed", Severity.CAUTION, "An attribute of a composite type is changed",
    on="AT_AlterColumnType",
    why="Tables of the type (typed tables) are written again; a column of the type makes the statement fail.",
    instead="CREATE TYPE address_v2 AS (street text, zip integer);",
    err="ALTER TYPE address ALTER ATTRIBUTE zip TYPE int", ok="ALTER TYPE address ADD ATTRIBUTE zip text",
)  # fmt: skip
def composite_attribute_changed(scene: Scene) -> Iterator[Hit]:
    if scene.parent.get("objtype") == "OBJECT_TYPE" and not scene.world.is_new_object("TYPE", scene.table):
        yield Hit(f"{scene.table}.{scene.tree.get('name', '')}", f"every table of type {scene.table} is written again")


@rule(
    "enum-value-renamed", Severity.CAUTION, "An enum's value gets another name",
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
    table = scene.world.tables.get(scene.world.resolve(scene.table))
    return bool(
        table
        and table.is_known
        and all(column.type.removesuffix("[]") != str(enum) for column in table.columns.values())
    )


@rule(
    "extension-update", Severity.CAUTION, "An extension is updated",
    on=("AlterExtensionStmt", "AlterExtensionContentsStmt"),
    why="Its update script may change types and functions, rewrite tables, or need a REINDEX; the extension's own notes say so.",
    instead="SELECT name, default_version, installed_version FROM pg_available_extensions;",
    err="ALTER EXTENSION postgis UPDATE", ok="CREATE EXTENSION IF NOT EXISTS postgis",
)  # fmt: skip
def extension_update(scene: Scene) -> Iterator[Hit]:
    name = str(scene.tree.get("extname", ""))
    yield Hit(name, f"{name} runs its own update script")


@rule(
    "unlogged-table", Severity.CAUTION, "A table whose rows do not survive a crash",
    on=("CreateStmt", "CreateTableAsStmt"),
    why="An UNLOGGED table is emptied after a crash, and standbys do not have its rows.",
    instead="CREATE TABLE IF NOT EXISTS cache (key text PRIMARY KEY, value jsonb);",
    err="CREATE UNLOGGED TABLE cache (a int)", ok=("CREATE TABLE IF NOT EXISTS cache (a int)", "CREATE TEMP TABLE t (a int)"),
)  # fmt: skip
def unlogged_table(scene: Scene) -> Iterator[Hit]:
    relation = scene.tree.get("relation") or (scene.tree.get("into") or {}).get("rel", {})
    if relation.get("relpersistence") == "u":
        yield Hit(str(names.of_range(relation)), "a crash empties it, and standbys do not have its rows")


@rule(
    "create-skipped", Severity.CAUTION, "CREATE TABLE IF NOT EXISTS finds another table of that name",
    on="CreateStmt",
    why="The statement is skipped without a word: columns that it names and the table lacks are not made.",
    instead="ALTER TABLE users ADD COLUMN IF NOT EXISTS email text;",
    err=(), ok="CREATE TABLE IF NOT EXISTS users (id int)",
)  # fmt: skip
def create_skipped(scene: Scene) -> Iterator[Hit]:
    name = names.of_range(scene.tree.get("relation"))
    table = scene.world.tables.get(scene.world.resolve(name))
    if not scene.tree.get("if_not_exists") or table is None or not table.is_known:
        return
    wanted = [item["ColumnDef"].get("colname", "") for item in scene.tree.get("tableElts", ()) if "ColumnDef" in item]
    missing = [column for column in wanted if column not in table.columns]
    if missing:
        adds = "\n".join(
            f"ALTER TABLE {name.sql} ADD COLUMN IF NOT EXISTS {quote_identifier(column)} …;" for column in missing
        )
        yield Hit(str(name), f"{name} is there already, without {', '.join(missing)}: the statement is skipped", adds)


def _newer_than(node_name: str, tree: Tree) -> tuple[int, str] | None:
    """Return the major version that a statement needs, and for what; the highest one first."""
    if node_name == "MergeStmt":
        clauses = [item.get("MergeWhenClause", {}) for item in tree.get("mergeWhenClauses", ())]
        by_source = any(clause.get("matchKind") == "MERGE_WHEN_NOT_MATCHED_BY_SOURCE" for clause in clauses)
        if by_source or "returningClause" in tree or "returningList" in tree:
            return 17, "MERGE ... RETURNING or BY SOURCE"
        return 15, "MERGE"
    if node_name == "CreateTrigStmt" and tree.get("replace"):
        return 14, "CREATE OR REPLACE TRIGGER"
    if node_name == "AT_DetachPartition" and (tree.get("def") or {}).get("PartitionCmd", {}).get("concurrent"):
        return 14, "DETACH ... CONCURRENTLY"
    if node_name == "AT_SetExpression":
        return 17, "SET EXPRESSION"
    if node_name == "IndexStmt" and tree.get("nulls_not_distinct"):
        return 15, "NULLS NOT DISTINCT"
    return None


@rule(
    "needs-newer-server", Severity.CAUTION, "The server is too old for the statement",
    on=("MergeStmt", "CreateTrigStmt", "AT_DetachPartition", "AT_SetExpression", "IndexStmt", "AT_AddColumn", "AT_AddConstraint",
        "CreateStmt"),
    why="The statement fails on this server, and the deployment is rolled back.",
    instead="CREATE TABLE IF NOT EXISTS totals (a int, b int GENERATED ALWAYS AS (a * 2) STORED);",
    err=(), ok="CREATE TABLE IF NOT EXISTS t (a int)",
)  # fmt: skip
def needs_newer_server(scene: Scene) -> Iterator[Hit]:
    if scene.world.server_version is None:
        return
    major = scene.world.server_version // 10000
    where = str(scene.table) or str(names.of_range(scene.tree.get("relation")))
    needed = _newer_than(scene.node, scene.tree)
    if needed and major < needed[0]:
        yield Hit(where, f"{needed[1]} needs PostgreSQL {needed[0]}, and the server is {major}")
        return
    if scene.node in ("AT_AddColumn", "AT_AddConstraint", "CreateStmt") and major < 18:
        for kind, body in walk(scene.tree):
            if kind != "Constraint":
                continue
            contype = body.get("contype")
            words = ""
            if contype == "CONSTR_GENERATED" and body.get("generated_kind") == "v":
                words = "GENERATED ... VIRTUAL"
            elif contype in ("CONSTR_CHECK", "CONSTR_FOREIGN") and not body.get("is_enforced"):
                words = "NOT ENFORCED"
            elif contype == "CONSTR_NOTNULL" and (body.get("skip_validation") or scene.node == "AT_AddConstraint"):
                words = "NOT NULL as a table constraint"
            if words:
                yield Hit(where, f"{words} needs PostgreSQL 18, and the server is {major}")
                return
