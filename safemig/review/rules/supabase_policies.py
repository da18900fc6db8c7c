"""Policies of a Supabase project that let in more people than they seem to, or that are slow.

Asked only where the platform is Supabase. How they stand to Supabase's own advisor: docs/supabase_advisor.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.exposure import OPEN_ROLES, PUBLIC, role_of
from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.sql import names
from safemig.sql.identifiers import quote_identifier
from safemig.sql.names import Name
from safemig.sql.tree import Tree, constant, node, strings, walk

_OWN_ROWS = "USING ((SELECT auth.uid()) = user_id)"


@rule(
    "policy-always-true", Severity.CAUTION, "A policy that lets everyone write every row",
    on=("CreatePolicyStmt", "AlterPolicyStmt"),
    why="USING (true) and WITH CHECK (true) switch row security off for the roles of the policy, which are all roles where none is named. "
    "That everyone reads may be meant, and is a recommendation; that everyone writes rarely is.",
    instead=f"CREATE POLICY own_rows ON public.notes TO authenticated {_OWN_ROWS} WITH CHECK ((SELECT auth.uid()) = user_id);",
    err=("CREATE POLICY p ON notes USING (true)", "CREATE POLICY p ON notes FOR INSERT TO anon WITH CHECK (1 = 1)",
         "CREATE POLICY p ON notes FOR UPDATE TO authenticated USING (id > 0 OR true)"),
    ok=(f"CREATE POLICY p ON notes TO authenticated {_OWN_ROWS}", "CREATE POLICY p ON notes TO service_role USING (true)",
        "CREATE POLICY p ON notes AS RESTRICTIVE USING (true)", "CREATE POLICY p ON notes FOR SELECT USING (true)"),
)  # fmt: skip
def policy_always_true(scene: Scene) -> Iterator[Hit]:
    if scene.world.exposure is None:
        return
    tree = scene.tree
    roles = {role_of(item.get("RoleSpec", {})) for item in tree.get("roles", ())} or {PUBLIC}
    if not roles & OPEN_ROLES or (scene.node == "CreatePolicyStmt" and not tree.get("permissive")):
        return
    if scene.world.resolve(scene.table).schema != "public":
        return
    command = str(tree.get("cmd_name", "all"))
    parts = [words for key, words in (("qual", "USING"), ("with_check", "WITH CHECK")) if _is_true(tree.get(key))]
    if not parts:
        return
    reads_only = command == "select"
    does = (
        "reads"
        if reads_only
        else "writes"
        if command == "all"
        else {"insert": "adds rows to", "update": "changes", "delete": "deletes"}[command]
    )
    what = str(scene.table) if command == "insert" else f"every row of {scene.table}"
    who = " and ".join(sorted("everyone" if role == PUBLIC else role for role in roles & OPEN_ROLES))
    policy = str(tree.get("policy_name", ""))
    clauses = " ".join(f"{words} ((SELECT auth.uid()) = user_id)" for words in parts)
    yield Hit(f"{scene.table}.{policy}", f"{' and '.join(parts)} is always true: {who} {does} {what}",
              f"ALTER POLICY {quote_identifier(policy)} ON {scene.table.sql} {clauses};  -- the column that says whose row it is",
              severity=Severity.RECOMMENDATION if reads_only else None)  # fmt: skip


def _is_true(expression: Tree | None) -> bool:
    """Tell whether a condition holds whatever the row is, as far as its form shows it."""
    kind, body = node(expression or {})
    if kind == "BoolExpr":
        arms = [_is_true(argument) for argument in body.get("args", ())]
        return {"OR_EXPR": any(arms), "AND_EXPR": all(arms)}.get(str(body.get("boolop")), False)
    if kind == "A_Expr" and strings(body.get("name")) == ["="]:
        left, right = constant(body.get("lexpr")), constant(body.get("rexpr"))
        return left is not None and left == right
    if kind == "SubLink":
        selected = body.get("subselect", {}).get("SelectStmt", {})
        targets = selected.get("targetList", ())
        return (
            set(selected) <= {"targetList", "limitOption", "op"}
            and len(targets) == 1
            and _is_true(targets[0]["ResTarget"].get("val"))
        )
    return constant(expression) is True


@rule(
    "policy-trusts-user-metadata", Severity.CAUTION, "A policy rests on what users can change themselves",
    on=("CreatePolicyStmt", "AlterPolicyStmt"),
    why="user_metadata (raw_user_meta_data) is set by the user with updateUser(): a user who is kept out can grant himself access. "
    "app_metadata is not.",
    instead="CREATE POLICY p ON notes USING ((SELECT auth.jwt()) -> 'app_metadata' ->> 'role' = 'admin');",
    err=("CREATE POLICY p ON notes USING ((auth.jwt() -> 'user_metadata' ->> 'admin')::bool)",
         "CREATE POLICY p ON notes USING (EXISTS (SELECT FROM auth.users u WHERE u.raw_user_meta_data ->> 'a' = 'b'))"),
    ok="CREATE POLICY p ON notes USING ((SELECT auth.jwt()) -> 'app_metadata' ->> 'role' = 'admin')",
)  # fmt: skip
def policy_trusts_user_metadata(scene: Scene) -> Iterator[Hit]:
    if scene.world.exposure is None:
        return
    for kind, part in walk([scene.tree.get("qual"), scene.tree.get("with_check")]):
        column = strings(part.get("fields"))[-1:] if kind == "ColumnRef" else []
        if column == ["raw_user_meta_data"] or (
            kind == "A_Const" and part.get("sval", {}).get("sval") == "user_metadata"
        ):
            policy = scene.tree.get("policy_name", "")
            yield Hit(
                f"{scene.table}.{policy}",
                f"policy {policy} of {scene.table} reads user_metadata, which each user writes for himself",
            )
            return


@rule(
    "policy-calls-per-row", Severity.RECOMMENDATION, "A policy calls a function for each row",
    on=("CreatePolicyStmt", "AlterPolicyStmt"),
    why="auth.uid(), auth.jwt(), auth.role() and current_setting() give the same for a whole query; in (SELECT ...) they are called once, "
    "not for every row.",
    instead=f"CREATE POLICY own_rows ON public.notes TO authenticated {_OWN_ROWS};",
    err="CREATE POLICY p ON notes USING (auth.uid() = user_id)", ok=f"CREATE POLICY p ON notes {_OWN_ROWS}",
)  # fmt: skip
def policy_calls_per_row(scene: Scene) -> Iterator[Hit]:
    if scene.world.exposure is None:
        return
    found = list(dict.fromkeys(_called_per_row([scene.tree.get("qual"), scene.tree.get("with_check")])))
    if found:
        policy = scene.tree.get("policy_name", "")
        calls = ", ".join(f"(SELECT {name}())" if "auth" in name else f"(SELECT {name}(...))" for name in found)
        yield Hit(
            f"{scene.table}.{policy}",
            f"policy {policy} calls {', '.join(found)} for each row of {scene.table}: write {calls}",
        )


def _called_per_row(tree: object) -> Iterator[str]:
    """Yield the calls of the session's functions that no sub-select surrounds."""
    if isinstance(tree, list):
        for item in tree:
            yield from _called_per_row(item)
    elif isinstance(tree, dict):
        for kind, body in tree.items():
            if kind == "SubLink":
                continue
            if kind == "FuncCall":
                name = names.of_strings(body.get("funcname"))
                if (name.schema == "auth" and name.name in ("uid", "jwt", "role", "email")) or name == Name(
                    "", "current_setting"
                ):
                    yield f"{name.schema}.{name.name}" if name.schema else name.name
            yield from _called_per_row(body)
