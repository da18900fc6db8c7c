"""Locks that are taken or kept longer than need be: explicit ones, timeouts switched off, work under an earlier lock."""

from __future__ import annotations

import re
from collections.abc import Iterator

from safemig.review.locks import locks
from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.locks import LockMode
from safemig.sql.tree import constant

_OFF = ("0", "default", "0s", "0ms", "0min", "-1")


_TIME = re.compile(r"\s*(?P<number>\d+)\s*(?P<unit>us|ms|s|min|h|d)?\s*")


_IN_MS = {"us": 0.001, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


def milliseconds(setting: str) -> float | None:
    """Return a timeout's length; None where it cannot be read."""
    found = _TIME.fullmatch(setting)
    return None if not found else int(found["number"]) * _IN_MS[found["unit"] or "ms"]


@rule(
    "lock-timeout-off", Severity.CAUTION, "The file switches lock_timeout off before it takes a lock",
    on="Statement",
    why="The runner sets lock_timeout, so that a statement that has to wait for its lock gives up and lets the queue behind it go. With "
    "lock_timeout 0 (or longer than a minute) it waits, and every query on the table waits behind it.",
    instead="SET lock_timeout = '3s';",
    err=("SET lock_timeout = 0; ALTER TABLE users ADD COLUMN IF NOT EXISTS a int",
         "SET lock_timeout = '10min'; ALTER TABLE users ADD COLUMN IF NOT EXISTS a int",
         "RESET lock_timeout; ALTER TABLE users ADD COLUMN IF NOT EXISTS a int"),
    ok=("SET lock_timeout = '2s'; ALTER TABLE users ADD COLUMN IF NOT EXISTS a int",
        "SET lock_timeout = 0; CREATE TABLE IF NOT EXISTS t (id bigint PRIMARY KEY)"),
)  # fmt: skip
def lock_timeout_off(scene: Scene) -> Iterator[Hit]:
    setting = scene.world.settings.get("lock_timeout")
    if setting is None:
        return
    length = milliseconds(setting)
    if setting not in _OFF and (length is None or 0 < length <= 60_000):
        return
    for name, mode in locks(scene.tree["tree"], scene.world).items():
        if mode.blocks_writes and not scene.world.is_new(name):
            words = "is off" if setting in _OFF or not length else f"is {setting}"
            yield Hit(
                str(name),
                f"lock_timeout {words} while {mode.value} on {name} is waited for",
                "SET lock_timeout = '3s';",
                lock=mode,
            )
            return


@rule(
    "statement-timeout-off", Severity.RECOMMENDATION, "The file switches statement_timeout off before work under a lock",
    on="Statement",
    why="The runner sets statement_timeout, so that a statement that turns out to take hours is cancelled and releases its locks. With "
    "statement_timeout 0 only a person ends it.",
    instead="SET statement_timeout = '10min';",
    err="SET statement_timeout = 0; ALTER TABLE users ADD COLUMN IF NOT EXISTS a int",
    ok=("SET statement_timeout = '1h'; ALTER TABLE users ADD COLUMN IF NOT EXISTS a int",
        "SET statement_timeout = 0; CREATE TABLE IF NOT EXISTS t (id bigint PRIMARY KEY)"),
)  # fmt: skip
def statement_timeout_off(scene: Scene) -> Iterator[Hit]:
    if scene.world.settings.get("statement_timeout") not in _OFF:
        return
    for name, mode in locks(scene.tree["tree"], scene.world).items():
        if mode.blocks_writes and not scene.world.is_new(name):
            said = f"statement_timeout is off while {mode.value} on {name} is held"
            yield Hit(str(name), said, "SET statement_timeout = '10min';", lock=mode)
            return


@rule(
    "work-under-lock", Severity.RECOMMENDATION, "Rows are written while an earlier statement's lock is held",
    on=("UpdateStmt", "InsertStmt"),
    why="A statement before it took ACCESS EXCLUSIVE, which is held until the COMMIT: everyone waits for the rows too.",
    instead="-- one migration for the change of schema, the next for the rows",
    err="ALTER TABLE users ADD COLUMN IF NOT EXISTS a int; INSERT INTO log SELECT * FROM users",
    ok="ALTER TABLE users ADD COLUMN IF NOT EXISTS a int; INSERT INTO log VALUES (1)",
)  # fmt: skip
def work_under_lock(scene: Scene) -> Iterator[Hit]:
    if not scene.world.exclusive or (scene.is_new and scene.node == "UpdateStmt"):
        return
    if scene.node == "InsertStmt":
        source = scene.tree.get("selectStmt", {}).get("SelectStmt", {})
        if not source.get("fromClause"):
            return
    if scene.node == "UpdateStmt" and scene.tree.get("whereClause") and not scene.tree.get("fromClause"):
        value = scene.tree["whereClause"].get("A_Expr", {})
        if constant(value.get("rexpr")) is not None:
            return
    held = sorted(str(name) for name in scene.world.exclusive)
    yield Hit(str(scene.table), f"reads and writes of {', '.join(held)} are blocked (ACCESS EXCLUSIVE is held until the COMMIT)",
              lock=LockMode.ACCESS_EXCLUSIVE)  # fmt: skip


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
