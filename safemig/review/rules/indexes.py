"""Indexes, and the commands that write a whole table or index again."""

from __future__ import annotations

import re
from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.rules.constraints import weight
from safemig.review.rules.destruction import dropped
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.kinds import flag
from safemig.sql.locks import LockMode

_CREATE_INDEX = re.compile(r"(?is)\A(\s*create\s+(?:unique\s+)?index)(?:\s+concurrently)?(?:\s+if\s+not\s+exists)?\s+")


def concurrently(text: str, *, named: bool) -> str:
    """Return a CREATE INDEX built CONCURRENTLY (IF NOT EXISTS, where it has a name: PostgreSQL asks for one then)."""
    guard = " IF NOT EXISTS" if named else ""
    return _CREATE_INDEX.sub(rf"\1 CONCURRENTLY{guard} ", text, count=1)


@rule(
    "index-not-concurrent", Severity.CAUTION, "An index is built while writes wait",
    on="IndexStmt",
    why="CREATE INDEX takes SHARE on the table: reads go on, every write waits until the index is built. CONCURRENTLY takes longer, "
    "blocks nobody, and cannot run in a transaction, so it stands in a file of its own.",
    instead="CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email);",
    err=("CREATE INDEX users_email_idx ON users (email)", "CREATE UNIQUE INDEX IF NOT EXISTS i ON users (email)"),
    ok=("CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email)",
        "CREATE TABLE IF NOT EXISTS fresh (a int); CREATE INDEX IF NOT EXISTS i ON fresh (a)"),
)  # fmt: skip
def index_not_concurrent(scene: Scene) -> Iterator[Hit]:
    if scene.tree.get("concurrent") or scene.is_new:
        return
    table = scene.world.tables.get(scene.world.resolve(scene.table))
    name = str(scene.tree.get("idxname", ""))
    if scene.tree.get("if_not_exists") and scene.facts and name in scene.facts.indexes:
        return
    only = not scene.tree.get("relation", {}).get("inh")
    if table and table.is_partitioned:
        if only:
            return  # ON ONLY a partitioned table builds nothing
        yield Hit(
            f"{scene.table}.{name}" if name else str(scene.table),
            f"builds an index on every partition of {scene.table}{scene.size} while writes wait (CONCURRENTLY is not possible here)",
            f"{_on_only(scene.text)};\n-- then, for each partition, CREATE INDEX CONCURRENTLY and ALTER INDEX … ATTACH PARTITION …",
        )
        return
    yield Hit(
        f"{scene.table}.{name}" if name else str(scene.table),
        f"writes to {scene.table}{scene.size} wait until the index is built",
        concurrently(scene.text, named=bool(name)) + ";",
        severity=weight(scene),
        lock=LockMode.SHARE,
    )


def _on_only(text: str) -> str:
    return re.sub(r"(?is)(\son)\s+(?!only\b)", r"\1 ONLY ", text, count=1)


@rule(
    "index-guard-hides-invalid", Severity.RECOMMENDATION, "CONCURRENTLY without IF NOT EXISTS",
    on="IndexStmt",
    why="A build that fails leaves an INVALID index of that name: run again, CREATE INDEX CONCURRENTLY then fails. With IF NOT EXISTS it "
    "is skipped; safemig's own runner looks for the invalid index, drops it and builds it anew.",
    instead="CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email);",
    err="CREATE INDEX CONCURRENTLY users_email_idx ON users (email)",
    ok="CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email)",
)  # fmt: skip
def index_guard(scene: Scene) -> Iterator[Hit]:
    if scene.tree.get("concurrent") and not scene.tree.get("if_not_exists") and scene.tree.get("idxname"):
        yield Hit(
            str(scene.tree["idxname"]),
            "run again after a failure, it fails",
            concurrently(scene.text, named=True) + ";",
        )


@rule(
    "index-invalid", Severity.CAUTION, "An INVALID index of that name is there",
    on="IndexStmt",
    why="An earlier CREATE INDEX CONCURRENTLY failed. IF NOT EXISTS now skips the build without a word; a UNIQUE index that is INVALID "
    "keeps no duplicate out.",
    instead="DROP INDEX CONCURRENTLY users_email_idx;\n-- next file: CREATE INDEX CONCURRENTLY …",
    err=(), ok="CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email)",
)  # fmt: skip
def index_invalid(scene: Scene) -> Iterator[Hit]:
    name = str(scene.tree.get("idxname", ""))
    known = scene.facts.indexes.get(name) if scene.facts else None
    if known and not known.is_valid:
        yield Hit(
            name,
            f"{name} is there and INVALID, so IF NOT EXISTS skips it",
            f"DROP INDEX CONCURRENTLY IF EXISTS {name};",
        )


@rule(
    "drop-index", Severity.CAUTION, "An index is dropped under a lock",
    on="DropStmt",
    why="DROP INDEX takes ACCESS EXCLUSIVE on the table: it waits for every running query and lets nobody in meanwhile. "
    "Queries that used the index become slow; a unique one kept duplicates out.",
    instead="DROP INDEX CONCURRENTLY IF EXISTS users_email_idx;",
    err="DROP INDEX users_email_idx", ok=("DROP INDEX CONCURRENTLY IF EXISTS users_email_idx",
                                          "CREATE TABLE fresh (a int); CREATE INDEX i ON fresh (a); DROP INDEX i"),
)  # fmt: skip
def drop_index(scene: Scene) -> Iterator[Hit]:
    for name in dropped(scene, "OBJECT_INDEX"):
        owner = scene.world.indexes.get(scene.world.resolve(name))
        if scene.world.is_new_object("INDEX", name) or (owner and scene.world.is_new(owner)):
            continue
        facts = scene.facts_of(owner) if owner else None
        index = facts.indexes.get(name.name) if facts else None
        used = f"; used {index.scans:,} times since the statistics began" if index and index.scans else ""
        unique = "; it keeps duplicates out" if index and index.is_unique else ""
        if scene.tree.get("concurrent"):
            if used or unique:
                yield Hit(
                    str(name),
                    f"{name} goes{used}{unique}",
                    severity=Severity.CAUTION if unique else Severity.RECOMMENDATION,
                )
            continue
        yield Hit(
            str(name), f"reads and writes of {owner or 'its table'} wait while {name} is dropped{used}{unique}",
            f"DROP INDEX CONCURRENTLY IF EXISTS {name.sql};", lock=LockMode.ACCESS_EXCLUSIVE,
        )  # fmt: skip


@rule(
    "reindex", Severity.CAUTION, "An index is rebuilt under a lock",
    on="ReindexStmt",
    why="REINDEX takes SHARE on the table and ACCESS EXCLUSIVE on each index (measured): writes wait, and so does each read that "
    "would use it.",
    instead="REINDEX INDEX CONCURRENTLY users_email_idx;",
    err=("REINDEX TABLE users", "REINDEX INDEX users_email_idx"), ok="REINDEX INDEX CONCURRENTLY users_email_idx",
)  # fmt: skip
def reindex(scene: Scene) -> Iterator[Hit]:
    if not flag(scene.tree.get("params"), "concurrently") and not scene.is_new:
        name = str(scene.table) if scene.table.name else str(scene.tree.get("name", ""))
        safer = re.sub(r"(?is)\A(reindex\s+(?:\([^)]*\)\s*)?\w+)", r"\1 CONCURRENTLY", scene.text, count=1)
        yield Hit(
            name,
            f"writes wait, and reads that use the index, until {name} is rebuilt",
            safer + ";",
            lock=LockMode.SHARE,
        )


@rule(
    "vacuum-full", Severity.CAUTION, "A table is written again under a lock",
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
        yield Hit(str(name), f"writes {name or 'every table'} again while reads and writes wait",
                  f"VACUUM (ANALYZE) {name.sql};", lock=LockMode.ACCESS_EXCLUSIVE)  # fmt: skip


_REWRITES = {
    "AT_SetLogged": "SET LOGGED writes the table again", "AT_SetUnLogged": "SET UNLOGGED writes the table again, and a crash empties it",
    "AT_SetAccessMethod": "SET ACCESS METHOD writes the table again", "AT_SetTableSpace": "SET TABLESPACE copies the table's files",
}  # fmt: skip


@rule(
    "table-rewrite", Severity.CAUTION, "A table is written again under a lock",
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
    instead="ALTER TABLE users SET TABLESPACE fast;  -- one table a migration, in a quiet hour",
    err="ALTER TABLE ALL IN TABLESPACE slow SET TABLESPACE fast", ok="CREATE TABLE IF NOT EXISTS t (a int) TABLESPACE fast",
)  # fmt: skip
def tablespace_move_all(scene: Scene) -> Iterator[Hit]:
    name = str(scene.tree.get("orig_tablespacename", ""))
    yield Hit(
        name, f"moves every table of tablespace {name} while reads and writes wait", lock=LockMode.ACCESS_EXCLUSIVE
    )


@rule(
    "refresh-blocks-reads", Severity.CAUTION, "A materialized view cannot be read while it is refreshed",
    on="RefreshMatViewStmt",
    why="REFRESH takes ACCESS EXCLUSIVE on the materialized view; CONCURRENTLY takes EXCLUSIVE, lets reads go on, and needs a "
    "unique index.",
    instead="REFRESH MATERIALIZED VIEW CONCURRENTLY sales_by_day;",
    err="REFRESH MATERIALIZED VIEW sales_by_day",
    ok=("REFRESH MATERIALIZED VIEW CONCURRENTLY sales_by_day",
        "CREATE MATERIALIZED VIEW v AS SELECT 1 AS a; REFRESH MATERIALIZED VIEW v"),
)  # fmt: skip
def refresh_blocks_reads(scene: Scene) -> Iterator[Hit]:
    if not scene.tree.get("concurrent") and not scene.world.is_new(scene.table) and not scene.tree.get("skipData"):
        yield Hit(str(scene.table), f"reads of {scene.table} wait until it is refreshed",
                  f"REFRESH MATERIALIZED VIEW CONCURRENTLY {scene.table.sql};", lock=LockMode.ACCESS_EXCLUSIVE)  # fmt: skip
    elif scene.tree.get("skipData") and not scene.world.is_new(scene.table):
        yield Hit(str(scene.table), f"WITH NO DATA empties {scene.table}: reading it fails until the next refresh")


@rule(
    "lock-table", Severity.CAUTION, "A table is locked explicitly",
    on="LockStmt",
    why="The lock is held until the transaction ends; without a mode it is ACCESS EXCLUSIVE, which stops reads too.",
    instead="LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE NOWAIT;",
    err="LOCK TABLE users", ok=("CREATE TABLE fresh (a int); LOCK TABLE fresh", "LOCK TABLE users IN ACCESS SHARE MODE"),
)  # fmt: skip
def lock_table(scene: Scene) -> Iterator[Hit]:
    mode = tuple(LockMode)[int(scene.tree.get("mode", 8)) - 1]
    for item in scene.tree.get("relations", ()):
        name = names.of_range(item.get("RangeVar"))
        if mode.blocks_writes and not scene.world.is_new(name):
            weaker = min(mode, LockMode.SHARE_ROW_EXCLUSIVE, key=lambda one: one.strength)
            yield Hit(str(name), f"{mode.blocks} of {name} wait until this migration commits",
                      f"LOCK TABLE {name.sql} IN {weaker.value} MODE NOWAIT;", lock=mode)  # fmt: skip
