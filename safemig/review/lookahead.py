"""What a file does further down, which a rule wants to know beforehand: whether what is dropped is re-created, and how."""

from __future__ import annotations

from safemig.review.renewed import constraints_added
from safemig.review.world import World
from safemig.sql import names
from safemig.sql.names import Name
from safemig.sql.parsing import ParsedStatement, wrapper_of
from safemig.sql.tree import Tree, node


def look_ahead(world: World, statements: list[ParsedStatement]) -> None:
    """Write into `world` what the statements of a file make, whom they grant something, and whose search_path they fix."""
    made = []
    of_kind: dict[str, list[Tree]] = {}
    for statement in statements:
        kind, body = node(statement.tree)
        of_kind.setdefault(kind, []).append(body)
        if kind in _MAKES:
            made.append((kind, body, statement.sql))
    altered = of_kind.get("AlterTableStmt", [])
    world.made_later = _made_by(made, world)
    world.constraints_later = {}
    for body in altered:
        world.constraints_later.update(constraints_added(world, body))
    world.secured_later = _secured_by(altered, world) if world.exposure else frozenset()
    world.granted_later = _granted_by(of_kind.get("GrantStmt", []), world)
    world.wrapper = (wrapper_of(statements) or ()) if "TransactionStmt" in of_kind else ()
    world.paths_fixed = _paths_fixed_by(of_kind.get("AlterFunctionStmt", []), world)


_MAKES = frozenset(
    (
        "ViewStmt",
        "CreateTableAsStmt",
        "CreateFunctionStmt",
        "CreateTrigStmt",
        "RuleStmt",
        "CreatePolicyStmt",
        "IndexStmt",
    )
)


def _made_by(statements: list[tuple[str, Tree, str]], world: World) -> dict[tuple[str, Name], str]:
    """Return what the statements make of the kinds in `_MAKES`, and the SQL that makes it."""
    found = ((made_by(kind, body, world), sql) for kind, body, sql in statements)
    return {made: sql for made, sql in found if made is not None}


_ON_TABLES = {"CreateTrigStmt": "TRIGGER", "RuleStmt": "RULE", "CreatePolicyStmt": "POLICY", "IndexStmt": "INDEX"}


def made_by(kind: str, body: Tree, world: World) -> tuple[str, Name] | None:
    """Return the view, function, trigger, policy, rule or index that a statement makes: its kind in words, and its name."""
    if kind == "ViewStmt":
        return "VIEW", world.resolve(names.of_range(body.get("view")))
    if kind == "CreateTableAsStmt" and body.get("objtype") == "OBJECT_MATVIEW":
        return "MATERIALIZED VIEW", world.resolve(names.of_range(body.get("into", {}).get("rel")))
    if kind == "CreateFunctionStmt":
        return "FUNCTION", world.resolve(names.of_strings(body.get("funcname")))
    if kind not in _ON_TABLES:
        return None
    table = world.resolve(names.of_range(body.get("relation") or body.get("table")))
    named = (body.get(one) for one in ("trigname", "rulename", "policy_name", "idxname"))
    return _ON_TABLES[kind], Name(str(table), next(filter(None, named), ""))


def _secured_by(altered: list[Tree], world: World) -> frozenset[Name]:
    """Return the tables whose row security the statements switch on."""
    found = set()
    for body in altered:
        commands = body.get("cmds", ())
        if any(one.get("AlterTableCmd", {}).get("subtype") == "AT_EnableRowSecurity" for one in commands):
            found.add(world.resolve(names.of_range(body.get("relation"))))
    return frozenset(found)


def _granted_by(grants: list[Tree], world: World) -> dict[Name, frozenset[str]]:
    """Return the relations and functions on which the statements grant or revoke something, and to or from whom."""
    found: dict[Name, frozenset[str]] = {}
    for body in grants:
        if body.get("targtype") != "ACL_TARGET_OBJECT":
            continue
        roles = frozenset(one["RoleSpec"].get("rolename", "public") for one in body.get("grantees", ()))
        for item in body.get("objects", ()):
            name = world.resolve(names.of_object(item))
            found[name] = found.get(name, frozenset()) | roles
    return found


def _paths_fixed_by(altered: list[Tree], world: World) -> frozenset[Name]:
    """Return the functions whose search_path the statements fix by ALTER FUNCTION."""
    found = set()
    for body in altered:
        options = [one["DefElem"] for one in body.get("actions", ())]
        if any(one.get("arg", {}).get("VariableSetStmt", {}).get("name") == "search_path" for one in options):
            found.add(world.resolve(names.of_strings(body.get("func", {}).get("objname"))))
    return frozenset(found)
