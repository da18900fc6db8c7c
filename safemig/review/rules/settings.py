"""Settings and the server: what holds for the session, for every later one, and what acts on the machine."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.sql.tree import constant, options


@rule(
    "replication-role", Severity.DANGEROUS, "Triggers and foreign keys are switched off for the session",
    on="VariableSetStmt",
    why="With session_replication_role = replica no foreign key is checked and no trigger fires: rows can be left that refer to nothing.",
    instead="SET CONSTRAINTS ALL DEFERRED;",
    err="SET session_replication_role = replica", ok=("SET lock_timeout = '2s'", "SET session_replication_role = DEFAULT"),
)  # fmt: skip
def replication_role(scene: Scene) -> Iterator[Hit]:
    if scene.tree.get("name", "").lower() != "session_replication_role":
        return
    values = [str(constant(item)).lower() for item in scene.tree.get("args", ())]
    if values and values != ["origin"]:
        said = "no foreign key is checked and no trigger fires from then on"
        yield Hit("session_replication_role", said, "SET CONSTRAINTS ALL DEFERRED;")


@rule(
    "set-config-hides", Severity.CAUTION, "A setting that changes what the migration may do",
    on=("VariableSetStmt", "FuncCall"),
    why="row_security, zero_damaged_pages, allow_system_table_mods and their like switch guards off.",
    instead="SET lock_timeout = '2s';",
    err=("SET allow_system_table_mods = on", "SELECT set_config('session_replication_role', 'replica', false)"),
    ok=("SET search_path = public", "SELECT set_config('search_path', '', false)"),
)  # fmt: skip
def set_config_hides(scene: Scene) -> Iterator[Hit]:
    if scene.node == "FuncCall":
        arguments = [str(constant(item) or "") for item in scene.tree.get("args", ())]
        if scene.table.name != "set_config" or not arguments:
            return
        if arguments[0].lower() == "session_replication_role" and arguments[1:2] != ["origin"]:
            yield Hit(
                arguments[0], "no foreign key is checked and no trigger fires from then on", severity=Severity.DANGEROUS
            )
            return
        name = arguments[0].lower()
    else:
        name = scene.tree.get("name", "").lower()
    if name in (
        "allow_system_table_mods",
        "zero_damaged_pages",
        "ignore_checksum_failure",
        "ignore_invalid_pages",
        "fsync",
    ):
        yield Hit(name, f"{name} switches a guard of the server off", severity=Severity.DANGEROUS)


@rule(
    "server-settings", Severity.CAUTION, "Settings of the server, a database or a role are changed",
    on=("AlterSystemStmt", "AlterDatabaseSetStmt", "AlterDatabaseStmt", "AlterRoleSetStmt", "CreatedbStmt"),
    why="They hold for every later session, not for this migration, and belong to the server's configuration.",
    instead="SET LOCAL work_mem = '64MB';",
    err=("ALTER SYSTEM SET work_mem = '1GB'", "ALTER DATABASE shop SET search_path = app", "ALTER ROLE app SET statement_timeout = 0"),
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
    severity = Severity.DANGEROUS if off else None
    yield Hit(f"{name}.{setting}", f"{setting} of {name} changes for every later session{said}", severity=severity)


@rule(
    "session-role", Severity.RECOMMENDATION, "The migration changes its role",
    on="VariableSetStmt",
    why="Objects belong to the role that makes them; SET ROLE in a file changes it for all later statements of the transaction.",
    instead="ALTER TABLE users OWNER TO app_owner;",
    err=("SET ROLE app_owner", "SET SESSION AUTHORIZATION bob"), ok="SET search_path = public",
)  # fmt: skip
def session_role(scene: Scene) -> Iterator[Hit]:
    name = scene.tree.get("name", "").lower()
    if name in ("role", "session_authorization") and scene.tree.get("kind", "VAR_SET_VALUE") == "VAR_SET_VALUE":
        yield Hit(name, "later statements run as another role")


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


@rule(
    "autovacuum-off", Severity.CAUTION, "Autovacuum is switched off for a table",
    on="AT_SetRelOptions",
    why="Dead rows are not cleaned up, the planner's statistics grow old, and in the end the server stops to prevent wraparound.",
    instead="ALTER TABLE users SET (autovacuum_vacuum_scale_factor = 0.02);",
    err="ALTER TABLE users SET (autovacuum_enabled = false)", ok="ALTER TABLE users SET (fillfactor = 90)",
)  # fmt: skip
def autovacuum_off(scene: Scene) -> Iterator[Hit]:
    given = options((scene.tree.get("def") or {}).get("List", {}).get("items"))
    if str(constant(given.get("autovacuum_enabled"))).lower() in ("false", "off", "0") and not scene.is_new:
        yield Hit(str(scene.table), f"dead rows of {scene.table} are no longer cleaned up",
                  f"ALTER TABLE {scene.table.sql} RESET (autovacuum_enabled);")  # fmt: skip
