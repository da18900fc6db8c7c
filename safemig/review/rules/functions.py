"""Functions that are defined or called: those that destroy, and those whose code is not known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from safemig.review.functions import function_of, function_statements
from safemig.review.overloads import fits
from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene, shortened
from safemig.review.severity import Severity
from safemig.review.world import World
from safemig.sql import names
from safemig.sql.builtin_functions import BUILT_IN_FUNCTIONS
from safemig.sql.fold import HOLE
from safemig.sql.names import Name
from safemig.sql.tree import Tree, constant, node, options

_DESTRUCTIVE = {
    "lo_unlink": "deletes a large object", "lo_truncate": "cuts a large object", "lo_truncate64": "cuts a large object",
    "lo_put": "overwrites a part of a large object", "lowrite": "overwrites a part of a large object",
    "lo_export": "writes a file on the server", "dblink_exec": "runs SQL on another server", "dblink": "runs SQL on another server",
    "dblink_send_query": "runs SQL on another server", "dblink_open": "runs SQL on another server",
    "pg_file_unlink": "deletes a file on the server", "pg_file_write": "writes a file on the server",
    "pg_file_rename": "renames a file on the server", "pg_drop_replication_slot": "drops a replication slot",
    "drop_chunks": "drops the chunks of a hypertable", "dropgeometrycolumn": "drops a geometry column",
    "dropgeometrytable": "drops a geometry table", "pg_replication_slot_advance": "lets changes of a slot be lost",
    "vacuumlo": "deletes large objects", "lo_manage": "deletes large objects",
    "heap_force_kill": "kills rows", "heap_force_freeze": "changes rows by force",
    "pg_truncate_visibility_map": "truncates a map of the table",
    "pg_promote": "promotes a standby", "pg_wal_replay_pause": "stops a standby", "system": "runs a command on the server",
    "purge_queue": "deletes every message of a queue", "drop_queue": "drops a queue with its messages",
    "add_retention_policy": "drops old chunks of a hypertable from then on",
    "run_command_on_workers": "runs SQL on every node", "run_command_on_all_nodes": "runs SQL on every node",
    "run_command_on_shards": "runs SQL on every shard", "run_command_on_placements": "runs SQL on every shard",
    "run_command_on_colocated_placements": "runs SQL on every shard", "run_command_on_coordinator": "runs SQL on the coordinator",
    "citus_drop_all_shards": "drops the shards of a table", "master_drop_all_shards": "drops the shards of a table",
    "master_modify_multiple_shards": "changes rows of every shard",
    "undistribute_table": "moves a distributed table", "partman_undo": "moves partitions", "undo_partition": "moves partitions",
    "undo_partition_proc": "moves partitions", "run_maintenance": "drops partitions that are past their retention",
    "run_maintenance_proc": "drops partitions that are past their retention", "drop_partition_time": "drops partitions",
    "drop_partition_id": "drops partitions",
    # names that others have too
    "pgmq.delete": "deletes messages of a queue", "pgmq.pop": "deletes a message of a queue",
}  # fmt: skip


@rule(
    "destructive-function", Severity.DANGEROUS, "A built-in function that destroys",
    on="FuncCall", data_loss=True,
    why="lo_unlink deletes a large object, dblink_exec runs SQL elsewhere, pg_drop_replication_slot lets a standby lose its place: "
    "all inside a harmless looking SELECT.",
    instead="SELECT oid FROM pg_largeobject_metadata;  -- look first; delete outside of the migration",
    err=("SELECT lo_unlink(16401)", "SELECT dblink_exec('dbname=x', 'DROP TABLE users')"),
    ok=("SELECT now()", "SELECT 'lo_unlink(1)'"),
)  # fmt: skip
def destructive_function(scene: Scene) -> Iterator[Hit]:
    name = scene.table.name.lower()
    name = name if name in _DESTRUCTIVE else str(scene.table).lower()
    if name in _DESTRUCTIVE and not scene.world.functions_named(scene.table):
        remote = next((str(value) for item in scene.tree.get("args", ())[1:2] if (value := constant(item))), "")
        said = f": {shortened(remote)}" if name.startswith("dblink") and remote else ""
        yield Hit(name, f"{name}() {_DESTRUCTIVE[name]}{said}")


# Functions of common extensions and platforms that read, compute or write only what they are given.
_HARMLESS = frozenset(
    """
    uuid_generate_v1 uuid_generate_v1mc uuid_generate_v3 uuid_generate_v4 uuid_generate_v5 uuid_nil crypt gen_salt digest hmac
    gen_random_bytes armor dearmor pgp_sym_encrypt pgp_sym_decrypt pgp_pub_encrypt unaccent similarity word_similarity
    show_trgm hstore akeys avals each skeys svals slugify levenshtein soundex metaphone dmetaphone uuidv4 uuidv7 nlevel subltree
    uid role jwt email citext regexp_matches crosstab normal_rand earth_distance ll_to_earth
    """.split()  # noqa: SIM905
)


@rule(
    "unknown-function", Severity.CAUTION, "A function is called whose code is not known",
    on="FuncCall",
    why="The function is not PostgreSQL's own and not defined in these migrations, so what it does to the data is not known. "
    "With a target, its code is read and followed.",
    instead="-- review with the target connected, or write the statements themselves\nSELECT count(*) FROM users;",
    err="SELECT archive_old_orders()",
    ok=("SELECT lower('A'), now(), count(*) FROM users",
        "CREATE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT 42'; SELECT answer()"),
)  # fmt: skip
def unknown_function(scene: Scene) -> Iterator[Hit]:
    if (scene.table.schema, scene.table.name) == ("cron", "alter_job") and _only_turns_a_job(scene.tree):
        return
    known = scene.world.functions_named(scene.table) or ()
    # without a target, one that takes other arguments may be there
    another = scene.world.target is None and known and not any(fits(one, scene.tree) for one in known)
    if is_unknown(scene.world, scene.table) or another:
        yield Hit(str(scene.table), f"calls {scene.table}(), whose code is not known here")


def _only_turns_a_job(call: Tree) -> bool:
    """Tell whether a call of cron.alter_job() says only when a job runs, or whether: no other text becomes its command."""
    _, *others = call.get("args", ()) or ({},)
    said = {each.get("NamedArgExpr", {}).get("name") for each in others}
    return bool(said) and said <= {"active", "schedule"}


def is_unknown(world: World, name: Name) -> bool:
    """Tell whether nothing is known of a function of that name: what it would do to the data, or that it does nothing."""
    lowered = name.name.lower()
    if name.schema == "cron" and (name.name.startswith("schedule") or name.name == "unschedule"):
        return False  # the job's text is read
    if name.schema in ("pg_catalog", "information_schema") or world.functions_named(name):
        return False
    if (not name.schema and name.name in BUILT_IN_FUNCTIONS) or lowered in _HARMLESS or lowered in _DESTRUCTIVE:
        return False
    if str(name).lower() in _DESTRUCTIVE:
        return False
    return not lowered.startswith(("st_", "postgis_", "_st_")) and HOLE not in name.name


def _destroys(tree: Tree) -> str | None:
    """Return what a statement of a function's body destroys, in words."""
    kind, body = node(tree)
    if kind == "DropStmt" and body.get("removeType") in ("OBJECT_TABLE", "OBJECT_SCHEMA", "OBJECT_SEQUENCE"):
        return f"drops {names.of_object(body['objects'][0])}"
    if kind == "TruncateStmt":
        return f"truncates {names.of_range(body['relations'][0].get('RangeVar'))}"
    if kind == "AlterTableStmt" and any(
        item.get("AlterTableCmd", {}).get("subtype") == "AT_DropColumn" for item in body.get("cmds", ())
    ):
        return f"drops a column of {names.of_range(body.get('relation'))}"
    return None


@rule(
    "function-destroys", Severity.CAUTION, "A function is defined that drops or empties tables",
    on="CreateFunctionStmt",
    why="Defining it harms nothing yet; each call of it, or of its trigger, loses rows.",
    instead="CREATE OR REPLACE FUNCTION purge_audit(before timestamptz) RETURNS void LANGUAGE sql\n"
    "AS 'DELETE FROM audit WHERE at < before';",
    err="CREATE FUNCTION purge() RETURNS void LANGUAGE sql AS 'TRUNCATE audit'",
    ok=("CREATE OR REPLACE FUNCTION purge(d date) RETURNS void LANGUAGE sql AS 'DELETE FROM audit WHERE at < d'",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"),
)  # fmt: skip
def function_destroys(scene: Scene) -> Iterator[Hit]:
    function = function_of(scene.tree, scene.text)
    name = names.of_strings(scene.tree.get("funcname"))
    said = [what for statement in function_statements(function) if (what := _destroys(statement))]
    severity = Severity.RECOMMENDATION if scene.tree.get("replace") and _destroyed_before(scene, name) else None
    if said:
        yield Hit(str(name), f"{name}() {said[0]} when it is called", severity=severity)


def _destroyed_before(scene: Scene, name: Name) -> bool:
    """Tell whether the function that is replaced is known, and destroys as well."""
    known = scene.world.functions_named(name) or ()
    return any(_destroys(statement) for one in known for statement in function_statements(one))


@rule(
    "function-made-immutable", Severity.CAUTION, "A function is declared IMMUTABLE",
    on="AlterFunctionStmt",
    why="PostgreSQL believes it: the results are kept in indexes and generated columns and computed at planning time. Where they depend "
    "on anything but the arguments, an index that uses the function gives wrong answers, without an error.",
    instead="ALTER FUNCTION label(text) STABLE;",
    err="ALTER FUNCTION label(text) IMMUTABLE",
    ok=("ALTER FUNCTION label(text) STABLE",
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT a'; ALTER FUNCTION f(int) IMMUTABLE"),
)  # fmt: skip
def function_made_immutable(scene: Scene) -> Iterator[Hit]:
    name = names.of_strings(scene.tree.get("func", {}).get("objname"))
    made = constant(options(scene.tree.get("actions")).get("volatility")) == "immutable"
    if made and not scene.world.is_new_object("FUNCTION", name):
        users = [str(table) for table, known in scene.world.tables.items() if _uses(known.calls, name)]
        said = f"; used by {', '.join(users)}" if users else ""
        yield Hit(str(name), f"indexes and plans take the results of {name}() as fixed from then on{said}",
                  f"ALTER FUNCTION {name.sql} STABLE;")  # fmt: skip


def _uses(calls: Iterable[Tree], name: Name) -> bool:
    return any(names.of_strings(call.get("funcname")).name == name.name for call in calls)
