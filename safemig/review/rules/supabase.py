"""What Supabase's API exposes: grants, row security, policies, views and functions of the schema `public`.

Asked only where the platform is Supabase. How they stand to Supabase's own advisor: docs/supabase_advisor.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.exposure import API_ROLES, AUTH_USERS, OPEN_ROLES, PUBLIC, Exposed, role_of
from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.identifiers import quote_identifier
from safemig.sql.tree import constant, strings

_ALL = ", ".join(API_ROLES)
_OWN_ROWS = "USING ((SELECT auth.uid()) = user_id)"


def _is_reached(one: Exposed) -> bool:
    return bool(one.granted & OPEN_ROLES)


@rule(
    "table-without-api-grants", Severity.CAUTION, "The API cannot reach a new table",
    on="Made",
    why="Since 2026-10-30 Supabase grants nothing on new tables in public: the API answers 42501 \"permission denied for table\" to anon, "
    "authenticated and service_role alike. Grant what each role needs; row security then says which rows. It is a recommendation where "
    "no target was read, whose default privileges would tell.",
    instead="CREATE TABLE IF NOT EXISTS public.notes (id bigint PRIMARY KEY, user_id uuid);\n"
    "ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY;\n"
    "GRANT SELECT, INSERT, UPDATE, DELETE ON public.notes TO authenticated, service_role;",
    err="CREATE TABLE IF NOT EXISTS public.notes (id bigint PRIMARY KEY)",
    ok=("CREATE TABLE IF NOT EXISTS public.notes (id bigint PRIMARY KEY); GRANT SELECT ON public.notes TO service_role",
        "CREATE TABLE IF NOT EXISTS private.notes (id bigint PRIMARY KEY)",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon; CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY)"),
)  # fmt: skip
def table_without_api_grants(scene: Scene) -> Iterator[Hit]:
    one = _made(scene)
    if one.kind == "function" or one.granted & {*API_ROLES, PUBLIC}:
        return
    name = one.name.sql
    security = (
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;\n" if one.kind == "table" and not one.row_security else ""
    )
    rights = "SELECT, INSERT, UPDATE, DELETE" if one.kind == "table" else "SELECT"
    known = scene.world.target is not None
    yield Hit(
        str(one.name),
        f"{_ALL} have no right on {one.kind} {one.name}: the API answers permission denied (42501)",
        f"{security}GRANT {rights} ON {name} TO authenticated, service_role;  -- and to anon, what visitors may do",
        severity=None if known else Severity.RECOMMENDATION,
    )


@rule(
    "table-without-row-security", Severity.CAUTION, "Everyone with the API's key reads and writes a new table",
    on="Made",
    why="Row security is off when a table is made. What anon and authenticated are granted on a table in public then holds for every row, "
    "for anyone who has the project's public key.",
    instead="ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY;\n"
    f"CREATE POLICY own_rows ON public.notes TO authenticated {_OWN_ROWS};",
    err=("CREATE TABLE IF NOT EXISTS public.notes (id bigint PRIMARY KEY); GRANT ALL ON public.notes TO anon",
         "CREATE TABLE IF NOT EXISTS public.notes (id bigint PRIMARY KEY); CREATE POLICY p ON public.notes USING (id > 0)"),
    ok=("CREATE TABLE IF NOT EXISTS public.notes (id bigint PRIMARY KEY); ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY",
        "CREATE TABLE IF NOT EXISTS private.notes (id bigint PRIMARY KEY)",
        "CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY); GRANT SELECT ON notes TO service_role"),
)  # fmt: skip
def table_without_row_security(scene: Scene) -> Iterator[Hit]:
    one = _made(scene)
    if one.kind != "table" or one.row_security:
        return
    if not _is_reached(one) and not one.policies and one.granted & set(API_ROLES):
        return  # for the server's own key alone, which bypasses row security
    unused = f"; its {_policies(one)} without effect" if one.policies else ""
    if _is_reached(one):
        who = " and ".join(sorted("every role" if role == PUBLIC else role for role in one.granted & OPEN_ROLES))
        said = f"{who} may touch every row of {one.name}: row security is off{unused}"
    else:
        said = f"row security of {one.name} is off{unused}: once granted to the API, every row is open"
    known_closed = scene.world.target is not None and not _is_reached(one) and not one.policies
    yield Hit(str(one.name), said, f"ALTER TABLE {one.name.sql} ENABLE ROW LEVEL SECURITY;",
              severity=Severity.RECOMMENDATION if known_closed else None)  # fmt: skip


def _policies(one: Exposed) -> str:
    shown = ", ".join(sorted(one.policies))
    return f"policy {shown} is" if len(one.policies) == 1 else f"policies {shown} are"


@rule(
    "row-security-without-policy", Severity.RECOMMENDATION, "Row security without a policy",
    on="Made",
    why="With row security on and no policy, anon and authenticated see no row and write none; only service_role does. That may be meant.",
    instead=f"CREATE POLICY own_rows ON public.notes TO authenticated {_OWN_ROWS};",
    err="CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY); ALTER TABLE notes ENABLE ROW LEVEL SECURITY",
    ok="CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY); ALTER TABLE notes ENABLE ROW LEVEL SECURITY; "
       "CREATE POLICY p ON notes TO authenticated USING (id > 0)",
)  # fmt: skip
def row_security_without_policy(scene: Scene) -> Iterator[Hit]:
    one = _made(scene)
    if one.kind == "table" and one.row_security and not one.policies:
        yield Hit(str(one.name), f"{one.name} has row security and no policy: anon and authenticated see no row",
                  f"CREATE POLICY own_rows ON {one.name.sql} TO authenticated {_OWN_ROWS};  -- whose row it is")  # fmt: skip


@rule(
    "view-without-security-invoker", Severity.CAUTION, "A view in the API bypasses row security",
    on="Made",
    why="Unless security_invoker is set (PostgreSQL 15), a view reads its tables with its owner's rights, and row security does not apply "
    "to the owner: through the API everyone who may read the view sees every row behind it.",
    instead="CREATE VIEW public.open_notes WITH (security_invoker = true) AS SELECT id FROM notes;",
    err="CREATE VIEW open_notes AS SELECT id FROM notes",
    ok=("CREATE VIEW open_notes WITH (security_invoker = true) AS SELECT id FROM notes", "CREATE VIEW private.v AS SELECT id FROM notes",
        "CREATE VIEW open_notes AS SELECT id FROM notes; ALTER VIEW open_notes SET (security_invoker = on)"),
)  # fmt: skip
def view_without_security_invoker(scene: Scene) -> Iterator[Hit]:
    one = _made(scene)
    if one.kind == "view" and not one.is_invoker and not one.reads_auth_users:
        yield Hit(str(one.name), f"view {one.name} shows every row of its tables, whatever their policies say",
                  f"ALTER VIEW {one.name.sql} SET (security_invoker = true);")  # fmt: skip


@rule(
    "auth-users-exposed", Severity.DANGEROUS, "auth.users is exposed through the API",
    on=("Made", "GrantStmt"), mark='"auth"',
    why="auth.users holds every user's e-mail address, phone number, sign-ins and metadata. A view or table of it in public, or a "
    "GRANT on it, gives them to anyone who has the API's key.",
    instead="CREATE TABLE public.profiles (id uuid PRIMARY KEY REFERENCES auth.users ON DELETE CASCADE, name text);\n"
    "ALTER TABLE public.profiles ENABLE ROW LEVEL SECURITY;",
    err=("CREATE VIEW public.members AS SELECT id, email FROM auth.users", "GRANT SELECT ON auth.users TO anon",
         "CREATE MATERIALIZED VIEW members AS SELECT u.email FROM notes n JOIN auth.users u ON u.id = n.user_id"),
    ok=("CREATE TABLE IF NOT EXISTS profiles (id uuid PRIMARY KEY REFERENCES auth.users ON DELETE CASCADE)",
        "GRANT SELECT ON auth.users TO service_role", "CREATE VIEW private.members AS SELECT email FROM auth.users"),
)  # fmt: skip
def auth_users_exposed(scene: Scene) -> Iterator[Hit]:
    if scene.node == "GrantStmt":
        roles = {role_of(item.get("RoleSpec", {})) for item in scene.tree.get("grantees", ())} & OPEN_ROLES
        on = [names.of_object(item) for item in scene.tree.get("objects", ())]
        if scene.world.exposure is not None and scene.tree.get("is_grant") and roles and AUTH_USERS in on:
            yield Hit("auth.users", f"{' and '.join(sorted(roles))} may read auth.users")
        return
    one = _made(scene)
    if one.reads_auth_users:
        ends = one.kind == "view" and one.is_invoker
        yield Hit(
            str(one.name),
            f"{one.kind} {one.name} reads auth.users"
            + (" with the caller's rights, who then needs a right on it" if ends else ": its columns are in the API"),
            f"REVOKE ALL ON {one.name.sql} FROM anon, authenticated;",
            severity=Severity.CAUTION if ends else None,
        )


@rule(
    "definer-function-in-api", Severity.CAUTION, "The API calls a SECURITY DEFINER function",
    on="Made",
    why="PostgreSQL grants EXECUTE on a new function to PUBLIC, and the API serves every function of public at /rest/v1/rpc: anyone can "
    "call it with its owner's rights, which bypass row security. A function that policies call is a recommendation: their roles need it.",
    instead="REVOKE EXECUTE ON FUNCTION public.close_month() FROM PUBLIC, anon, authenticated;",
    err="CREATE FUNCTION close_month() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1'",
    ok=("CREATE FUNCTION close_month() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1'; "
        "REVOKE EXECUTE ON FUNCTION close_month() FROM PUBLIC, anon, authenticated",
        "CREATE FUNCTION private.close_month() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1'",
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS 'BEGIN RETURN NEW; END'"),
)  # fmt: skip
def definer_function_in_api(scene: Scene) -> Iterator[Hit]:
    one = _made(scene)
    returns = strings(one.tree.get("returnType", {}).get("names"))[-1:]
    if (
        one.kind != "function"
        or not one.is_definer
        or returns in (["trigger"], ["event_trigger"])
        or not _is_reached(one)
    ):
        return
    helps = scene.world.exposure is not None and one.name.name in scene.world.exposure.called_by_policies
    who = "everyone" if PUBLIC in one.granted else " and ".join(sorted(one.granted & OPEN_ROLES))
    words = "PROCEDURE" if one.tree.get("is_procedure") else "FUNCTION"
    signature = f"{one.name.sql}({', '.join(one.arguments)})"
    keep = "" if not helps else f"\nGRANT EXECUTE ON {words} {signature} TO authenticated;"
    yield Hit(
        str(one.name), f"{who} may call {one.name}() through the API, with its owner's rights",
        f"REVOKE EXECUTE ON {words} {signature} FROM PUBLIC, anon{'' if helps else ', authenticated'};{keep}",
        severity=Severity.RECOMMENDATION if helps else None,
    )  # fmt: skip


@rule(
    "no-row-security-possible", Severity.RECOMMENDATION, "The API reaches what row security cannot protect",
    on="Made",
    why="Materialized views and foreign tables have no row security: every role with a grant reads all rows.",
    instead="CREATE MATERIALIZED VIEW private.totals AS SELECT count(*) FROM notes;",
    err="CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM notes; GRANT SELECT ON totals TO anon",
    ok=("CREATE MATERIALIZED VIEW private.totals AS SELECT count(*) FROM notes",
        "CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM notes; GRANT SELECT ON totals TO service_role"),
)  # fmt: skip
def no_row_security_possible(scene: Scene) -> Iterator[Hit]:
    one = _made(scene)
    if one.kind in ("materialized view", "foreign table") and _is_reached(one) and not one.reads_auth_users:
        yield Hit(str(one.name), f"{one.kind} {one.name} is open to {' and '.join(sorted(one.granted & OPEN_ROLES))}, all rows of it",
                  f"REVOKE ALL ON {one.name.sql} FROM anon, authenticated;")  # fmt: skip


@rule(
    "extension-in-public", Severity.RECOMMENDATION, "An extension's functions come into the API",
    on="CreateExtensionStmt",
    why="In public, every function of the extension can be called through the API.",
    instead="CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA extensions;",
    err="CREATE EXTENSION IF NOT EXISTS pg_trgm", ok="CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA extensions",
)  # fmt: skip
def extension_in_public(scene: Scene) -> Iterator[Hit]:
    extension = str(scene.tree.get("extname", ""))
    given = {
        item["DefElem"].get("defname"): constant(item["DefElem"].get("arg")) for item in scene.tree.get("options", ())
    }
    own_schema = extension in (
        "pg_cron",
        "pg_net",
        "pgmq",
        "pgsodium",
        "supabase_vault",
        "pgtap",
        "plpgsql",
        "pg_graphql",
        "postgis_topology",
    )
    if scene.world.exposure is not None and not own_schema and given.get("schema", scene.world.path) == "public":
        yield Hit(extension, f"{extension} puts its functions into public",
                  f"CREATE EXTENSION IF NOT EXISTS {quote_identifier(extension)} WITH SCHEMA extensions;")  # fmt: skip


def _made(scene: Scene) -> Exposed:
    made: Exposed = scene.tree["made"]
    return made
