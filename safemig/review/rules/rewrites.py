"""What rewrites whole tables under a lock."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene, weight
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.kinds import flag
from safemig.sql.locks import LockMode


@rule(
    "vacuum-full", Severity.CAUTION, "A table is rewritten under a lock",
    on=("VacuumStmt", "ClusterStmt"),
    why="VACUUM FULL and CLUSTER copy the whole table under ACCESS EXCLUSIVE.",
    instead="VACUUM (ANALYZE) users;",
    err=("VACUUM FULL users", "CLUSTER users USING users_pkey"), ok=("VACUUM ANALYZE users", "ANALYZE users"),
)  # fmt: skip
def vacuum_full(scene: Scene) -> Iterator[Hit]:
    if scene.node == "VacuumStmt" and not (flag(scene.tree.get("options"), "full") and scene.tree.get("is_vacuumcmd")):
        return
    if scene.node == "ClusterStmt" and scene.is_new:
        return
    rels = [names.of_range(item.get("VacuumRelation", {}).get("relation")) for item in scene.tree.get("rels", ())]
    for name in rels or [scene.table]:
        safer = f"VACUUM (ANALYZE) {name.sql};" if name.name else "VACUUM (ANALYZE);"
        yield Hit(str(name), f"writes {name if name.name else 'every table'} again while reads and writes wait",
                  safer, lock=LockMode.ACCESS_EXCLUSIVE)  # fmt: skip


_REWRITES = {
    "AT_SetLogged": "SET LOGGED rewrites the table", "AT_SetUnLogged": "SET UNLOGGED rewrites the table, and a crash empties it",
    "AT_SetAccessMethod": "SET ACCESS METHOD rewrites the table", "AT_SetTableSpace": "SET TABLESPACE copies the table's files",
}  # fmt: skip


@rule(
    "table-rewrite", Severity.CAUTION, "A table is rewritten under a lock",
    on=tuple(_REWRITES),
    why="These forms copy every row (or file) under ACCESS EXCLUSIVE; an UNLOGGED table is emptied by a crash, and standbys do "
    "not have it.",
    instead="CREATE TABLE users_new (LIKE users INCLUDING ALL) TABLESPACE fast;  -- copy in batches, then swap the names",
    err=("ALTER TABLE users SET UNLOGGED", "ALTER TABLE users SET TABLESPACE fast", "ALTER TABLE users SET ACCESS METHOD heap2"),
    ok="CREATE TABLE fresh (a int); ALTER TABLE fresh SET UNLOGGED",
)  # fmt: skip
def table_rewrite(scene: Scene) -> Iterator[Hit]:
    if not scene.is_new:
        severity = None if scene.node == "AT_SetUnLogged" else weight(scene)
        yield Hit(
            str(scene.table), f"{_REWRITES[scene.node]}{scene.size}, and reads and writes wait", severity=severity
        )


@rule(
    "tablespace-move-all", Severity.CAUTION, "Every table of a tablespace is moved",
    on="AlterTableMoveAllStmt",
    why="Each table is copied under ACCESS EXCLUSIVE, in one transaction.",
    instead="ALTER TABLE users SET TABLESPACE fast;  -- one table per migration, off-peak",
    err="ALTER TABLE ALL IN TABLESPACE slow SET TABLESPACE fast", ok="CREATE TABLE IF NOT EXISTS t (a int) TABLESPACE fast",
)  # fmt: skip
def tablespace_move_all(scene: Scene) -> Iterator[Hit]:
    name = str(scene.tree.get("orig_tablespacename", ""))
    yield Hit(
        name, f"moves every table of tablespace {name} while reads and writes wait", lock=LockMode.ACCESS_EXCLUSIVE
    )
