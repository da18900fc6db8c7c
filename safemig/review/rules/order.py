"""What a file's statements do to each other: locks held on, timeouts, statements that need a file of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from safemig.review.locks import locks
from safemig.review.rule import Hit, rule
from safemig.review.scene import IN_A_JOB, Scene
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.kinds import MAY_REFUSE, refuses_transaction
from safemig.sql.locks import LockMode
from safemig.sql.parsing import ParsedStatement
from safemig.sql.tree import constant, node

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
    why="The runner sets statement_timeout, so that a statement that turns out to take hours ends by itself and lets its locks go. With "
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
    "needs-own-file", Severity.RECOMMENDATION, "A statement that cannot run in a transaction stands among others",
    on="File",
    why="CREATE INDEX CONCURRENTLY, VACUUM and their like cannot run in a transaction. The runner makes ordered steps of such a file, and "
    "what came before is committed when one fails: in a file of its own, all or nothing holds for the rest.",
    instead="-- 20240101000001_users_email_idx.sql\nCREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email);",
    err="ALTER TABLE users ADD COLUMN IF NOT EXISTS a int; CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON users (a)",
    ok="CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON users (a)",
)  # fmt: skip
def needs_own_file(scene: Scene) -> Iterator[Hit]:
    statements: list[ParsedStatement] = scene.tree["statements"]
    kinds: list[str] = scene.tree["kinds"]
    if MAY_REFUSE.isdisjoint(kinds) or len(kinds) - kinds.count("VariableSetStmt") < 2:
        return
    for number, statement in enumerate(statements):
        if kinds[number] in MAY_REFUSE and refuses_transaction(statement.tree):
            where = scene.world.file.rsplit("/", 1)[-1] or "sql"
            yield Hit(
                where, f"{statement.kind} cannot run in a transaction: give it a file of its own", statement=number
            )


@rule(
    "concurrently-in-transaction", Severity.CAUTION, "A statement that cannot run in a transaction stands in one",
    on=("File", "IndexStmt", "DropStmt", "ReindexStmt", "VacuumStmt"),
    why="Between BEGIN and COMMIT, in a DO block or in a function PostgreSQL refuses it (error 25001), and the deployment fails.",
    instead="-- a file of its own, without BEGIN\nCREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email);",
    err=("BEGIN; CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON users (a); COMMIT",
         "DO $$ BEGIN CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON users (a); END $$"),
    ok="CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON users (a)",
)  # fmt: skip
def concurrently_in_transaction(scene: Scene) -> Iterator[Hit]:
    where = scene.world.file.rsplit("/", 1)[-1] or "sql"
    if scene.node != "File":
        if scene.origin not in ("", IN_A_JOB) and refuses_transaction({scene.node: scene.tree}):
            yield Hit(where, "cannot run inside a function or DO block: it fails with error 25001")
        return
    if "TransactionStmt" not in scene.tree["kinds"]:
        return
    inside = False
    for number, statement in enumerate(scene.tree.get("statements", ())):
        kind, body = node(statement.tree)
        if kind == "TransactionStmt":
            inside = body.get("kind", "TRANS_STMT_BEGIN") in ("TRANS_STMT_BEGIN", "TRANS_STMT_START")
        elif inside and refuses_transaction(statement.tree):
            yield Hit(where, f"{statement.kind} between BEGIN and COMMIT fails with error 25001", statement=number)


@rule(
    "concurrently-on-partitioned", Severity.CAUTION, "CONCURRENTLY on a partitioned table",
    on="IndexStmt",
    why="PostgreSQL refuses CREATE INDEX CONCURRENTLY on a partitioned table, and the deployment fails.",
    instead="CREATE INDEX events_at_idx ON ONLY events (at);\n"
    "-- for each partition, in a file of its own: CREATE INDEX CONCURRENTLY ... ; then ALTER INDEX events_at_idx ATTACH PARTITION ...;",
    err="CREATE TABLE e (a int) PARTITION BY LIST (a); CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON e (a)",
    ok="CREATE TABLE e (a int) PARTITION BY LIST (a); CREATE INDEX i ON ONLY e (a)",
)  # fmt: skip
def concurrently_on_partitioned(scene: Scene) -> Iterator[Hit]:
    table = scene.world.tables.get(scene.world.resolve(scene.table))
    if scene.tree.get("concurrent") and table and table.is_partitioned:
        yield Hit(
            f"{scene.table}.{scene.tree.get('idxname', '')}", f"{scene.table} is partitioned: the statement fails"
        )


@rule(
    "work-under-lock", Severity.RECOMMENDATION, "Rows are written while an earlier statement's lock is held",
    on=("UpdateStmt", "InsertStmt"),
    why="A statement before it took ACCESS EXCLUSIVE, which is held until the COMMIT: everybody waits for the rows too.",
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
    yield Hit(str(scene.table), f"reads and writes of {', '.join(held)} wait meanwhile (ACCESS EXCLUSIVE is held until the COMMIT)",
              lock=LockMode.ACCESS_EXCLUSIVE)  # fmt: skip


@rule(
    "alters-can-be-one", Severity.RECOMMENDATION, "Several ALTER TABLE of one table",
    on="File",
    why="Each waits for its lock anew, and each that reads or writes the whole table does so again; joined with commas it is done once.",
    instead="ALTER TABLE users ADD COLUMN IF NOT EXISTS a int, ADD COLUMN IF NOT EXISTS b int;",
    err="ALTER TABLE users ADD COLUMN IF NOT EXISTS a int; ALTER TABLE users ADD COLUMN IF NOT EXISTS b int",
    ok="ALTER TABLE users ADD COLUMN IF NOT EXISTS a int; ALTER TABLE orders ADD COLUMN IF NOT EXISTS b int",
)  # fmt: skip
def alters_can_be_one(scene: Scene) -> Iterator[Hit]:
    if scene.tree["kinds"].count("AlterTableStmt") < 2:
        return
    last: tuple[str, int] | None = None
    said = set()
    for number, statement in enumerate(scene.tree.get("statements", ())):
        kind, body = node(statement.tree)
        if kind != "AlterTableStmt" or body.get("objtype") != "OBJECT_TABLE":
            last = None
            continue
        name = names.of_range(body.get("relation"))
        if last and last[0] == str(name) and str(name) not in said and not scene.world.is_new(name):
            said.add(str(name))
            yield Hit(str(name), f"this and the statement before it can be one ALTER TABLE {name}", statement=number)
        last = (str(name), number)
