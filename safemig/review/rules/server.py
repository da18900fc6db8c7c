"""What acts on the server, or needs a newer one."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.tree import Tree, constant, walk


@rule(
    "server-settings", Severity.CAUTION, "Settings of the server, a database or a role are changed",
    on=("AlterSystemStmt", "AlterDatabaseSetStmt", "AlterDatabaseStmt", "AlterRoleSetStmt", "CreatedbStmt"),
    why="They hold for every later session, not for this migration, and belong to the server's configuration.",
    instead="SET LOCAL work_mem = '64MB';",
    err=("ALTER SYSTEM SET fsync = off",
         "ALTER SYSTEM SET work_mem = '1GB'", "ALTER DATABASE shop SET search_path = app", "ALTER ROLE app SET statement_timeout = 0"),
    ok="SET work_mem = '64MB'",
)  # fmt: skip
def server_settings(scene: Scene) -> Iterator[Hit]:
    if scene.node == "CreatedbStmt":
        yield Hit(
            str(scene.tree.get("dbname", "")),
            "a database is made, which belongs to the cluster and not to this database's schema",
        )
        return
    setting = (scene.tree.get("setstmt") or {}).get("name", "settings")
    name = scene.tree.get("dbname") or (scene.tree.get("role") or {}).get("rolename") or "server"
    off = setting.lower() == "session_replication_role" and "args" in scene.tree["setstmt"]
    said = ": no foreign key is checked and no trigger fires in it" if off else ""
    values = [str(constant(item)).lower() for item in (scene.tree.get("setstmt") or {}).get("args", ())]
    if setting.lower() in ("fsync", "full_page_writes") and values in (["off"], ["false"], ["0"], ["no"]):
        off, said = True, ": a crash then leaves a damaged database"
    severity = Severity.DANGEROUS if off else None
    yield Hit(f"{name}.{setting}", f"{setting} of {name} changes for every later session{said}", severity=severity)


@rule(
    "server-function", Severity.CAUTION, "A function that acts on the server or waits",
    on="FuncCall",
    why="Ending other sessions, reloading settings, reading files and sleeping under a lock are an operator's work, not a migration's.",
    instead="SELECT pid, state, query FROM pg_stat_activity;",
    err=("SELECT pg_terminate_backend(4711)", "SELECT pg_sleep(60)", "SELECT pg_read_file('/etc/passwd')"),
    ok=("SELECT pg_backend_pid()", "SELECT pg_advisory_xact_lock(1)"),
)  # fmt: skip
def server_function(scene: Scene) -> Iterator[Hit]:
    name = scene.table.name.lower()
    if name in _SERVER_FUNCTIONS and scene.world.functions_named(scene.table) is None:
        yield Hit(name, f"{name}() {_SERVER_FUNCTIONS[name]}")


_SERVER_FUNCTIONS = {
    "pg_terminate_backend": "ends another session", "pg_cancel_backend": "cancels another session's statement",
    "pg_reload_conf": "reloads the server's settings", "pg_rotate_logfile": "rotates the server's log",
    "pg_switch_wal": "switches the WAL file", "pg_sleep": "waits with every lock held", "pg_sleep_for": "waits with every lock held",
    "pg_sleep_until": "waits with every lock held", "pg_read_file": "reads a file of the server's machine",
    "pg_read_binary_file": "reads a file of the server's machine", "pg_ls_dir": "reads a folder of the server's machine",
    "lo_import": "reads a file of the server's machine", "pg_stat_reset": "resets the statistics",
    "pg_advisory_lock": "takes a lock that outlives the transaction",
    "pg_create_logical_replication_slot": "makes a replication slot, which keeps WAL until it is read",
    "pg_create_physical_replication_slot": "makes a replication slot, which keeps WAL until it is read",
}  # fmt: skip


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
