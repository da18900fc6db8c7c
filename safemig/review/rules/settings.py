"""Settings that hold for the session or a table."""

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
        if scene.table.name != "set_config":
            return
        arguments = [str(constant(item) or "") for item in scene.tree.get("args", ())] or [""]
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
