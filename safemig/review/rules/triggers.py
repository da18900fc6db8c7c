"""What runs by itself: triggers, event triggers, rewrite rules."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.renewed import is_as_before
from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.review.touching import only_fills_the_row
from safemig.sql import names
from safemig.sql.identifiers import quote_identifier
from safemig.sql.locks import LockMode


@rule(
    "trigger-on-existing-table", Severity.CAUTION, "A trigger is put on a table in use",
    on="CreateTrigStmt",
    why="CREATE TRIGGER takes SHARE ROW EXCLUSIVE on the table for a moment, and every write does more from then on.",
    instead="CREATE TABLE IF NOT EXISTS audit (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT now());",
    err="CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch()",
    ok="CREATE TABLE fresh (a int); CREATE TRIGGER t BEFORE UPDATE ON fresh FOR EACH ROW EXECUTE FUNCTION touch()",
)  # fmt: skip
def trigger_on_existing_table(scene: Scene) -> Iterator[Hit]:
    if not scene.is_new and ("VIEW", scene.world.resolve(scene.table)) not in scene.world.new_objects:
        name = scene.tree.get("trigname", "")
        function = names.of_strings(scene.tree.get("funcname"))
        if is_as_before(scene.world, "TRIGGER", scene.world.resolve(scene.table), name, scene.tree):
            return
        message = f"every write to {scene.table} runs {function}() from then on"
        fills = only_fills_the_row(scene.world, function, int(scene.tree.get("timing", 0)))
        said = f"{message}, which only fills columns of the row or sends a notice" if fills else message
        severity = Severity.RECOMMENDATION if fills else None
        yield Hit(f"{scene.table}.{name}", said, lock=LockMode.SHARE_ROW_EXCLUSIVE, severity=severity)


@rule(
    "disable-trigger", Severity.CAUTION, "Triggers are switched off",
    on=("AT_DisableTrig", "AT_DisableTrigAll", "AT_DisableTrigUser", "AT_DisableRule"),
    why="What the triggers enforce is not enforced until they are enabled again; DISABLE TRIGGER ALL switches foreign keys off too.",
    instead="ALTER TABLE users ENABLE TRIGGER ALL;  -- in the same file, right after",
    err=("ALTER TABLE users DISABLE TRIGGER ALL", "ALTER TABLE users DISABLE TRIGGER touch"),
    ok="CREATE TABLE fresh (a int); ALTER TABLE fresh DISABLE TRIGGER USER",
)  # fmt: skip
def disable_trigger(scene: Scene) -> Iterator[Hit]:
    if not scene.is_new:
        name = str(scene.tree.get("name", ""))
        every = "all triggers, foreign keys too," if scene.node == "AT_DisableTrigAll" else "the triggers"
        safer = f"ALTER TABLE {scene.table.sql} ENABLE TRIGGER {quote_identifier(name) if name else 'ALL'};"
        yield Hit(f"{scene.table}.{name or 'all'}", f"{name or every} of {scene.table} no longer act", safer)


@rule(
    "create-rule", Severity.CAUTION, "A rewrite rule is put on a table",
    on="RuleStmt",
    why="A rule silently changes what INSERT, UPDATE and DELETE on the table do, under ACCESS EXCLUSIVE; DO INSTEAD can lose every write.",
    instead="CREATE TRIGGER keep BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION keep();",
    err="CREATE RULE r AS ON INSERT TO users DO INSTEAD DELETE FROM users", ok="CREATE VIEW v AS SELECT 1 AS a",
)  # fmt: skip
def create_rule(scene: Scene) -> Iterator[Hit]:
    name = scene.tree.get("rulename", "")
    event = str(scene.tree.get("event", "")).removeprefix("CMD_")
    yield Hit(f"{scene.table}.{name}", f"{event} on {scene.table} does something else from then on")


@rule(
    "event-trigger", Severity.CAUTION, "An event trigger acts on every later change of schema",
    on=("CreateEventTrigStmt", "AlterEventTrigStmt"),
    why="It runs for each DDL statement of each migration to come, and can make them fail.",
    instead="CREATE TABLE IF NOT EXISTS schema_log (at timestamptz DEFAULT now(), command text);",
    err="CREATE EVENT TRIGGER guard ON ddl_command_start EXECUTE FUNCTION refuse()", ok="SELECT evtname FROM pg_event_trigger",
)  # fmt: skip
def event_trigger(scene: Scene) -> Iterator[Hit]:
    name = str(scene.tree.get("trigname", ""))
    yield Hit(name, f"{name} runs at every later change of schema")
