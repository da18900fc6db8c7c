"""Partitions and inheritance."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.identifiers import quote_identifier
from safemig.sql.locks import LockMode
from safemig.sql.names import Name
from safemig.sql.tree import Tree


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
    on="CreateStmt", mark='"partbound":{',
    why="CREATE TABLE ... PARTITION OF takes ACCESS EXCLUSIVE on the parent (measured) and reads its DEFAULT partition. Made alone "
    "and then attached, the parent is under SHARE UPDATE EXCLUSIVE only, which blocks no writes.",
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
    "concurrently-on-partitioned", Severity.CAUTION, "CONCURRENTLY on a partitioned table",
    on="IndexStmt", mark='"concurrent":true',
    why="PostgreSQL refuses CREATE INDEX CONCURRENTLY on a partitioned table, and the deployment fails.",
    instead="CREATE INDEX events_at_idx ON ONLY events (at);\n"
    "-- for each partition, in a file of its own: CREATE INDEX CONCURRENTLY ... ; then ALTER INDEX events_at_idx ATTACH PARTITION ...;",
    err="CREATE TABLE e (a int) PARTITION BY LIST (a); CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON e (a)",
    ok="CREATE TABLE e (a int) PARTITION BY LIST (a); CREATE INDEX i ON ONLY e (a)",
)  # fmt: skip
def concurrently_on_partitioned(scene: Scene) -> Iterator[Hit]:
    table = scene.known
    if scene.tree.get("concurrent") and table and table.is_partitioned:
        yield Hit(
            f"{scene.table}.{scene.tree.get('idxname', '')}", f"{scene.table} is partitioned: the statement fails"
        )
