"""What Supabase's advisor warns of beside exposure: policies that add up, queues, buckets, keys into auth, search_path.

Asked only where the platform is Supabase, but for a change of Supabase's own table of buckets.
How they stand to Supabase's own advisor: docs/supabase_advisor.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.exposure import PUBLIC, role_of
from safemig.review.rule import Hit, rule
from safemig.review.rules.access import fixed_search_path
from safemig.review.scene import Scene, columns_made
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.names import Name
from safemig.sql.tree import Tree, constant, node, strings

_BUCKETS = Name("storage", "objects")


@rule(
    "several-permissive-policies", Severity.RECOMMENDATION, "Several permissive policies for one role and command",
    on="CreatePolicyStmt",
    why="PostgreSQL runs every permissive policy of a role and command for each row, and any of them lets the row in: one policy with OR "
    "is faster, and shows at one place who sees what.",
    instead="CREATE POLICY p ON notes FOR SELECT TO authenticated USING (is_public OR (SELECT auth.uid()) = user_id);",
    err="CREATE POLICY a ON notes FOR SELECT USING (x > 1); CREATE POLICY b ON notes USING (y > 1)",
    ok=("CREATE POLICY a ON notes FOR SELECT USING (x > 1); CREATE POLICY b ON notes FOR DELETE USING (y > 1)",
        "CREATE POLICY a ON notes TO anon USING (x > 1); CREATE POLICY b ON notes TO authenticated USING (y > 1)",
        "CREATE POLICY a ON notes USING (x > 1); CREATE POLICY b ON notes AS RESTRICTIVE USING (y > 1)"),
)  # fmt: skip
def several_permissive_policies(scene: Scene) -> Iterator[Hit]:
    if scene.world.exposure is None or not scene.tree.get("permissive"):
        return
    table = str(scene.world.resolve(scene.table))
    mine = str(scene.tree.get("policy_name", ""))
    others = [
        key.name
        for (kind, key), made in scene.world.definitions.items()
        if kind == "POLICY" and key.schema == table and key.name != mine and _is_beside(made, scene.tree)
    ]
    if others:
        yield Hit(
            f"{scene.table}.{mine}",
            f"policy {mine} of {scene.table} adds to {', '.join(others)}, for the same role and command",
        )


def _is_beside(one: Tree, other: Tree) -> bool:
    """Tell whether two policies are permissive, and for one role and one command both."""
    commands = {str(each.get("cmd_name", "all")) for each in (one, other)}
    roles = [{role_of(item.get("RoleSpec", {})) for item in each.get("roles", ())} or {PUBLIC} for each in (one, other)]
    shared = roles[0] & roles[1] or PUBLIC in roles[0] | roles[1]
    return bool(one.get("permissive") and shared and (len(commands) == 1 or "all" in commands))


@rule(
    "function-search-path-mutable", Severity.RECOMMENDATION, "A function finds tables by its caller's search_path",
    on="CreateFunctionStmt",
    why="What the function's names mean depends on who calls it. With the caller's rights (SECURITY INVOKER) no one gains by that; the "
    "advisor warns all the same, for a role with another search_path gets other tables, or an error.",
    instead="CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = '' AS 'SELECT 1';",
    err="CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ok=("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = '' AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END"),
)  # fmt: skip
def function_search_path_mutable(scene: Scene) -> Iterator[Hit]:
    given = [item.get("DefElem", {}) for item in scene.tree.get("options", ())]
    settings = [node(one.get("arg", {}))[1].get("name") for one in given if one.get("defname") == "set"]
    definer = any(one.get("defname") == "security" and constant(one.get("arg")) for one in given)
    name = names.of_strings(scene.tree.get("funcname"))
    if scene.world.exposure is None or "search_path" in settings or "sql_body" in scene.tree or definer:
        return  # SECURITY DEFINER has a rule of its own
    if scene.world.resolve(name) in scene.world.paths_fixed:
        return
    yield Hit(str(name), f"{name}() finds tables by the search_path of its caller", fixed_search_path(scene, name))


@rule(
    "queue-without-row-security", Severity.RECOMMENDATION, "A queue without row security",
    on="FuncCall", mark='"pgmq"',
    why="pgmq makes the queue's table without row security. Where the project exposes its queues (pgmq_public), who has a right on the "
    "table reads and takes every message.",
    instead="SELECT pgmq.create('jobs'); ALTER TABLE pgmq.q_jobs ENABLE ROW LEVEL SECURITY;",
    err="SELECT pgmq.create('jobs')",
    ok=("SELECT pgmq.create('jobs'); ALTER TABLE pgmq.q_jobs ENABLE ROW LEVEL SECURITY", "SELECT pgmq.send('jobs', '{}')"),
)  # fmt: skip
def queue_without_row_security(scene: Scene) -> Iterator[Hit]:
    name = names.of_strings(scene.tree.get("funcname"))
    queue = constant(next(iter(scene.tree.get("args", ())), None))
    if scene.world.exposure is None or name.schema != "pgmq" or not isinstance(queue, str):
        return
    table = Name("pgmq", f"q_{queue.lower()}")
    if name.name in ("create", "create_unlogged", "create_partitioned") and table not in scene.world.secured_later:
        secure = f"ALTER TABLE {table.sql} ENABLE ROW LEVEL SECURITY;"
        yield Hit(str(table), f"queue {queue} has no row security", secure)


@rule(
    "foreign-key-to-auth-unique", Severity.CAUTION, "A foreign key rests on a unique constraint of Supabase's own schema",
    on=("AT_AddConstraint", "CreateStmt", "AT_AddColumn"),
    why="Only the primary keys of auth and storage are Supabase's promise; other unique constraints there may change with an upgrade, "
    "which then fails, or drops the foreign key.",
    instead="ALTER TABLE notes ADD CONSTRAINT notes_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users (id) NOT VALID;",
    err=("ALTER TABLE notes ADD FOREIGN KEY (mail) REFERENCES auth.users (email)",
         "CREATE TABLE notes (mail text REFERENCES auth.users (email))"),
    ok=("CREATE TABLE notes (user_id uuid REFERENCES auth.users (id))", "CREATE TABLE notes (user_id uuid REFERENCES auth.users)",
        "CREATE TABLE notes (a int REFERENCES teams (code))"),
)  # fmt: skip
def foreign_key_to_auth_unique(scene: Scene) -> Iterator[Hit]:
    if scene.world.exposure is None:
        return
    found = [(scene.tree.get("def") or {}).get("Constraint", {})]
    found += [item.get("Constraint", {}) for item in scene.tree.get("tableElts", ())]
    found += [item.get("Constraint", {}) for _, column in columns_made(scene) for item in column.get("constraints", ())]
    for one in found:
        table, keys = names.of_range(one.get("pktable")), strings(one.get("pk_attrs"))
        if table.schema in ("auth", "storage") and keys and keys != ["id"]:
            mine = scene.table if scene.table.name else names.of_range(scene.tree.get("relation"))
            yield Hit(str(mine), f"a foreign key of {mine} needs the unique constraint on {table} ({', '.join(keys)})")


@rule(
    "bucket-made-public", Severity.CAUTION, "A bucket's files become public",
    on="UpdateStmt", mark='"buckets"',
    why="Every file of a public bucket, those that are there already too, is served to anyone who has or guesses its URL.",
    instead="CREATE POLICY mine ON storage.objects FOR SELECT USING (bucket_id = 'avatars' AND owner = (SELECT auth.uid()));",
    err="UPDATE storage.buckets SET public = true WHERE id = 'avatars'",
    ok="UPDATE storage.buckets SET public = false WHERE id = 'avatars'",
)  # fmt: skip
def bucket_made_public(scene: Scene) -> Iterator[Hit]:
    columns = [item.get("ResTarget", {}) for item in scene.tree.get("targetList", ())]
    if scene.table == Name("storage", "buckets") and any(
        one.get("name") == "public" and constant(one.get("val")) is True for one in columns
    ):
        yield Hit(str(scene.table), "files that were private are served to anyone who has their URL")


@rule(
    "bucket-can-be-listed", Severity.RECOMMENDATION, "Everyone can list a bucket's files",
    on="CreatePolicyStmt",
    why="A public bucket serves its files by their URL without any policy. A SELECT policy on storage.objects for the whole bucket also "
    "lets everyone list all their names.",
    instead="DROP POLICY avatars ON storage.objects;  -- a public bucket's files are still served by their URL",
    err="CREATE POLICY p ON storage.objects FOR SELECT USING (bucket_id = 'avatars')",
    ok=("CREATE POLICY p ON storage.objects FOR SELECT USING (bucket_id = 'avatars' AND owner = (SELECT auth.uid()))",
        "CREATE POLICY p ON storage.objects FOR INSERT WITH CHECK (bucket_id = 'avatars')",
        "CREATE POLICY p ON storage.objects FOR SELECT TO authenticated USING (bucket_id = 'avatars')"),
)  # fmt: skip
def bucket_can_be_listed(scene: Scene) -> Iterator[Hit]:
    tree = scene.tree
    roles = {role_of(item.get("RoleSpec", {})) for item in tree.get("roles", ())} or {PUBLIC}
    if (
        scene.world.exposure is None
        or scene.table != _BUCKETS
        or str(tree.get("cmd_name", "all")) not in ("select", "all")
    ):
        return
    kind, body = node(tree.get("qual", {}))
    column = strings(node(body.get("lexpr", {}))[1].get("fields"))[-1:]
    bucket = constant(body.get("rexpr")) if kind == "A_Expr" and strings(body.get("name")) == ["="] else None
    if column == ["bucket_id"] and isinstance(bucket, str) and roles & {PUBLIC, "anon"}:
        policy = str(tree.get("policy_name", ""))
        yield Hit(f"{scene.table}.{policy}", f"everyone can list the files of bucket {bucket}")


@rule(
    "column-stops-upgrade", Severity.RECOMMENDATION, "A column's type stops pg_upgrade",
    on=("CreateStmt", "AT_AddColumn"), mark='"reg',
    why="A reg* type other than regclass, regrole and regtype holds an OID that another cluster gives something else: pg_upgrade refuses "
    "the database (manual, pg_upgrade).",
    instead="CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY, configuration regclass);  -- or text, cast where it is used",
    err=("CREATE TABLE notes (id bigint PRIMARY KEY, f regproc)", "ALTER TABLE notes ADD COLUMN IF NOT EXISTS c regconfig"),
    ok="CREATE TABLE notes (id bigint PRIMARY KEY, t regclass)",
)  # fmt: skip
def column_stops_upgrade(scene: Scene) -> Iterator[Hit]:
    for table, column in columns_made(scene):
        kept = strings(column.get("typeName", {}).get("names"))[-1:]
        if kept and kept[0] in _NOT_UPGRADED:
            yield Hit(
                f"{table}.{column.get('colname', '')}", f"pg_upgrade refuses a database with a column of type {kept[0]}"
            )


_NOT_UPGRADED = frozenset(
    ("regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator", "regproc", "regprocedure")
)
