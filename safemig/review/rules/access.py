"""Who may do what: grants, row security, policies, roles, owners, passwords."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.functions import function_of
from safemig.review.renewed import is_as_before
from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.fold import HOLE
from safemig.sql.identifiers import quote_identifier
from safemig.sql.names import Name
from safemig.sql.tree import Tree, constant, node, options


@rule(
    "row-security", Severity.CAUTION, "Row security of a table in use is changed",
    on=("AT_EnableRowSecurity", "AT_DisableRowSecurity", "AT_ForceRowSecurity", "AT_NoForceRowSecurity"),
    why="Enabled without policies, only the owner sees rows; disabled, every role with a grant sees all rows.",
    instead="CREATE POLICY own_rows ON users USING (id = auth.uid());\nALTER TABLE users ENABLE ROW LEVEL SECURITY;",
    err=("ALTER TABLE users ENABLE ROW LEVEL SECURITY", "ALTER TABLE users DISABLE ROW LEVEL SECURITY"),
    ok="CREATE TABLE fresh (a int); ALTER TABLE fresh ENABLE ROW LEVEL SECURITY",
)  # fmt: skip
def row_security(scene: Scene) -> Iterator[Hit]:
    if scene.is_new:
        return
    said = {
        "AT_EnableRowSecurity": "only rows that a policy allows are seen from then on",
        "AT_DisableRowSecurity": "from then on, every role with a grant sees all rows",
        "AT_ForceRowSecurity": "the owner too sees only rows that a policy allows",
        "AT_NoForceRowSecurity": "the owner sees every row again",
    }[scene.node]
    yield Hit(str(scene.table), f"{scene.table}: {said}")


@rule(
    "policy-on-existing-table", Severity.CAUTION, "A policy of a table in use is made or changed",
    on=("CreatePolicyStmt", "AlterPolicyStmt"),
    why="A permissive policy opens rows to more people, a restrictive one hides them; ACCESS EXCLUSIVE for a moment (measured).",
    instead="CREATE POLICY own_rows ON users FOR SELECT TO app USING (id = current_setting('app.user')::int);",
    err=("CREATE POLICY p ON users USING (true)", "ALTER POLICY p ON users USING (true)"),
    ok="CREATE TABLE fresh (a int); CREATE POLICY p ON fresh USING (a > 0)",
)  # fmt: skip
def policy_on_existing_table(scene: Scene) -> Iterator[Hit]:
    as_before = is_as_before(
        scene.world, "POLICY", scene.world.resolve(scene.table), scene.tree.get("policy_name", ""), scene.tree
    )
    if not scene.is_new and not as_before:
        opens = constant(scene.tree.get("qual")) is True
        what = "opens every row" if opens else "changes which rows are seen"
        policy = scene.tree.get("policy_name", "")
        yield Hit(f"{scene.table}.{policy}", f"policy {policy} {what} of {scene.table}")


@rule(
    "grant-to-public", Severity.CAUTION, "Everyone gets a right",
    on=("GrantStmt", "AlterDefaultPrivilegesStmt"),
    why="PUBLIC is every role of the cluster, also those that are made later.",
    instead="GRANT SELECT ON users TO reader;",
    err=("GRANT SELECT ON users TO PUBLIC", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC"),
    ok=("GRANT SELECT, DELETE ON users TO app", "REVOKE ALL ON users FROM PUBLIC"),
)  # fmt: skip
def grant_to_public(scene: Scene) -> Iterator[Hit]:
    grant = scene.tree.get("action", {}) if scene.node == "AlterDefaultPrivilegesStmt" else scene.tree
    grantees = [item.get("RoleSpec", {}) for item in grant.get("grantees", ())]
    if not grant.get("is_grant") or not any(role.get("roletype") == "ROLESPEC_PUBLIC" for role in grantees):
        return
    objects = [names.of_object(item) for item in grant.get("objects", ())] or [Name("", "default privileges")]
    rights = ", ".join(item.get("AccessPriv", {}).get("priv_name", "") for item in grant.get("privileges", ())) or "ALL"
    if rights.upper() in ("USAGE", "EXECUTE"):
        return  # what PUBLIC has on new types, languages and functions anyway
    for name in objects:
        one_table = scene.node == "GrantStmt" and grant.get("targtype", "ACL_TARGET_OBJECT") == "ACL_TARGET_OBJECT"
        safer = (
            f"GRANT {rights.upper()} ON {name.sql} TO app;"
            if one_table and grant.get("objtype") == "OBJECT_TABLE"
            else ""
        )
        yield Hit(str(name), f"every role gets {rights.upper()} on {name}", safer)


@rule(
    "revoke", Severity.CAUTION, "A right is taken away",
    on=("GrantStmt", "GrantRoleStmt"),
    why="An application that relies on the right fails at its next statement.",
    instead="GRANT SELECT ON users TO app_v2;  -- let the new role work first",
    err=("REVOKE SELECT ON users FROM app", "REVOKE admin FROM bob", "REVOKE CONNECT ON DATABASE shop FROM PUBLIC",
         "REVOKE USAGE ON SCHEMA public FROM PUBLIC", "REVOKE ALL ON users FROM PUBLIC"),
    ok=("REVOKE ALL ON FUNCTION f() FROM PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "CREATE TABLE fresh (a int); REVOKE ALL ON fresh FROM app"),
)  # fmt: skip
def revoke(scene: Scene) -> Iterator[Hit]:
    if scene.tree.get("is_grant"):
        return
    if scene.node == "GrantRoleStmt":
        roles = [item.get("AccessPriv", {}).get("priv_name", "") for item in scene.tree.get("granted_roles", ())]
        yield Hit(", ".join(roles), f"takes role {', '.join(roles)} away")
        return
    grantees = [item.get("RoleSpec", {}) for item in scene.tree.get("grantees", ())]
    kind = str(scene.tree.get("objtype", "OBJECT_TABLE")).removeprefix("OBJECT_")
    if all(role.get("roletype") == "ROLESPEC_PUBLIC" for role in grantees) and not _is_relied_on(scene.tree, kind):
        return  # the usual hardening
    for item in scene.tree.get("objects", ()):
        name = Name("", names.of_object(item).name) if kind in ("SCHEMA", "DATABASE") else names.of_object(item)
        known_as = "FUNCTION" if "ObjectWithArgs" in item else kind
        if not (scene.world.is_new(name) if kind == "TABLE" else scene.world.is_new_object(known_as, name)):
            yield Hit(str(name), f"rights on {name} are taken away")


def _is_relied_on(tree: Tree, kind: str) -> bool:
    """Tell whether PUBLIC loses what applications commonly have through it, rather than what hardening takes from it."""
    rights = {item.get("AccessPriv", {}).get("priv_name", "").lower() for item in tree.get("privileges", ())}
    everyday = {"DATABASE": {"connect", "temporary", "temp"}, "SCHEMA": {"usage"}}
    return kind == "TABLE" or (kind in everyday and (not rights or bool(rights & everyday[kind])))


@rule(
    "view-ignores-row-security", Severity.CAUTION, "A view bypasses the row security of its tables",
    on=("AT_SetRelOptions", "AT_ResetRelOptions"),
    why="Without security_invoker a view reads its tables as its owner does: anyone who may read the view sees rows that the "
    "tables' policies hide from that role.",
    instead="ALTER VIEW paid_orders SET (security_invoker = true);",
    err=("ALTER VIEW paid_orders SET (security_invoker = false)", "ALTER VIEW paid_orders RESET (security_invoker)",
         "ALTER VIEW paid_orders SET (security_barrier = false)"),
    ok="ALTER VIEW paid_orders SET (security_invoker = true)",
)  # fmt: skip
def view_ignores_row_security(scene: Scene) -> Iterator[Hit]:
    if scene.parent.get("objtype") != "OBJECT_VIEW" or scene.world.is_new_object("VIEW", scene.table):
        return
    given = options((scene.tree.get("def") or {}).get("List", {}).get("items"))
    for option, said in (
        ("security_invoker", "reads its tables with its owner's rights from then on"),
        ("security_barrier", "lets a function in a query's WHERE see the rows that it hides"),
    ):
        value = str(constant(given.get(option))).lower()
        if option in given and (scene.node == "AT_ResetRelOptions" or value in ("false", "off", "0", "no")):
            yield Hit(str(scene.table), f"{scene.table} {said}", f"ALTER VIEW {scene.table.sql} SET ({option} = true);")


# The superuser as initdb names it, and the roles that providers give in its place.
_SUPERUSERS = frozenset(("postgres", "rds_superuser", "cloudsqlsuperuser", "alloydbsuperuser", "azure_pg_admin", "neon_superuser",
                         "supabase_admin"))  # fmt: skip


@rule(
    "role-power", Severity.CAUTION, "A role gets far-reaching powers",
    on=("CreateRoleStmt", "AlterRoleStmt", "GrantRoleStmt"),
    why="SUPERUSER, BYPASSRLS, CREATEROLE, REPLICATION and the pg_* roles bypass every other guard, in every database of the cluster.",
    instead="CREATE ROLE app LOGIN NOSUPERUSER NOBYPASSRLS;",
    err=("ALTER ROLE app SUPERUSER", "CREATE ROLE r BYPASSRLS", "GRANT pg_execute_server_program TO app",
         "GRANT postgres TO app"),
    ok=("CREATE ROLE reader NOLOGIN", "GRANT reader TO app"),
)  # fmt: skip
def role_power(scene: Scene) -> Iterator[Hit]:
    if scene.node == "GrantRoleStmt":
        for item in scene.tree.get("granted_roles", ()):
            role = item.get("AccessPriv", {}).get("priv_name", "")
            if (role.startswith("pg_") or role in _SUPERUSERS) and scene.tree.get("is_grant"):
                yield Hit(role, f"gives the powers of {role}")
        return
    role = scene.tree.get("role")
    role = role if isinstance(role, str) else (role or {}).get("rolename", "")
    given = options(scene.tree.get("options"))
    powers = {
        "superuser": "SUPERUSER",
        "bypassrls": "BYPASSRLS",
        "createrole": "CREATEROLE",
        "isreplication": "REPLICATION",
    }
    for key, words in powers.items():
        if key in given and constant(given[key]) not in (False, 0):
            yield Hit(str(role), f"{role} gets {words}")


@rule(
    "owner-change", Severity.CAUTION, "The owner of an object is changed",
    on=("AT_ChangeOwner", "AlterOwnerStmt"),
    why="The old owner loses every privilege that it had as owner, and row security applies to it.",
    instead="GRANT ALL ON users TO new_owner;",
    err=("ALTER TABLE users OWNER TO app", "ALTER SCHEMA app OWNER TO bob"),
    ok=("CREATE TABLE fresh (a int); ALTER TABLE fresh OWNER TO app",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION f() OWNER TO app"),
)  # fmt: skip
def owner_change(scene: Scene) -> Iterator[Hit]:
    if scene.node == "AT_ChangeOwner":
        kind = scene.parent.get("objtype", "OBJECT_TABLE").removeprefix("OBJECT_")
        if not scene.is_new and not scene.world.is_new_object(
            kind.replace("MATVIEW", "MATERIALIZED VIEW"), scene.table
        ):
            yield Hit(str(scene.table), f"the owner of {scene.table} is changed")
        return
    name = names.of_object(scene.tree.get("object", {}))
    kind = str(scene.tree.get("objectType", "")).removeprefix("OBJECT_")
    if not scene.world.is_new_object("FUNCTION" if kind == "PROCEDURE" else kind, name):
        yield Hit(str(name), f"the owner of {name} is changed")


@rule(
    "security-definer-path", Severity.CAUTION, "SECURITY DEFINER without a fixed search_path",
    on=("CreateFunctionStmt", "AlterFunctionStmt"), mark='"security"',
    why="The function runs with its owner's rights and finds tables by the caller's search_path: the caller can put his own in front.",
    instead="CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1';",
    err=("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'", "ALTER FUNCTION f() SECURITY DEFINER"),
    ok=("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; ALTER FUNCTION f() SET search_path = public, pg_temp",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
)  # fmt: skip
def security_definer_path(scene: Scene) -> Iterator[Hit]:
    definer = fixed = False
    for item in scene.tree.get("options") or scene.tree.get("actions") or ():
        option = item.get("DefElem", {})
        kind, argument = node(option.get("arg", {}))
        definer = definer or (option.get("defname") == "security" and bool(argument.get("boolval")))
        fixed = fixed or (
            option.get("defname") == "set" and kind == "VariableSetStmt" and argument.get("name") == "search_path"
        )
    name = names.of_strings(scene.tree.get("funcname") or scene.tree.get("func", {}).get("objname"))
    if definer and not fixed and scene.world.resolve(name) not in scene.world.paths_fixed:
        if scene.node == "AlterFunctionStmt":
            yield Hit(
                str(name),
                f"{name}() runs with its owner's rights from then on; whether its search_path is fixed is not known",
            )
            return
        said = f"{name}() runs with its owner's rights and the caller's search_path"
        yield Hit(str(name), said, fixed_search_path(scene, name))


def fixed_search_path(scene: Scene, name: Name) -> str:
    """Return the statement that fixes the search_path of the function that the scene makes."""
    words = "PROCEDURE" if scene.tree.get("is_procedure") else "FUNCTION"
    parameters = ", ".join(function_of(scene.tree, "").arguments)
    # its body may name tables without their schema; '' is stricter, where it names all with theirs
    path = quote_identifier(scene.world.resolve(name).schema)
    return f"ALTER {words} {name.sql}({parameters}) SET search_path = {path}, pg_temp;"


@rule(
    "password-in-file", Severity.CAUTION, "A password stands in the migration",
    on=("CreateRoleStmt", "AlterRoleStmt", "CreateUserMappingStmt", "AlterUserMappingStmt", "CreateSubscriptionStmt"),
    why="The file is kept in version control and in the history table, where many can read it.",
    instead="ALTER ROLE app LOGIN;  -- and set the password with \\password, or by the secrets of the platform",
    err=("ALTER ROLE app PASSWORD 'secret'", "CREATE USER app PASSWORD 'secret'",
         "CREATE SUBSCRIPTION s CONNECTION 'host=a password=secret' PUBLICATION p"),
    ok=("ALTER ROLE app LOGIN", "ALTER ROLE app PASSWORD NULL"),
)  # fmt: skip
def password_in_file(scene: Scene) -> Iterator[Hit]:
    given = options(scene.tree.get("options"))
    if scene.node == "CreateSubscriptionStmt":
        if "password=" in str(scene.tree.get("conninfo", "")).replace(" ", ""):
            yield Hit(str(scene.tree.get("subname", "")), "the connection's password stands in the file")
        return
    role = scene.tree.get("role") or scene.tree.get("user") or ""
    name = role if isinstance(role, str) else str(role.get("rolename", ""))
    written = constant(given.get("password"))
    if isinstance(written, str) and HOLE not in written:  # what is put together at run time does not stand in the file
        yield Hit(name, f"the password of {name} stands in the file")
