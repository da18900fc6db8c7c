"""Views and functions that are dropped and re-created."""

from __future__ import annotations

import re
from collections.abc import Iterator

from safemig.review.dropping import CODE, cascades
from safemig.review.functions import function_of
from safemig.review.lookahead import made_by
from safemig.review.overloads import same_arguments
from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.review.types import type_text
from safemig.review.world import World
from safemig.sql import names
from safemig.sql.identifiers import quote_literal
from safemig.sql.kinds import object_words
from safemig.sql.names import Name
from safemig.sql.tree import Tree, node, read_trees

_CREATE = re.compile(r"(?i)\Acreate\s+(?:or\s+replace\s+)?")


@rule(
    "made-again-without-grants", Severity.CAUTION, "A view or function is dropped and re-created: its grants do not come back",
    on="DropStmt",
    why="CREATE makes the view or the function alone. The GRANTs on it are gone, so that applications are refused; so are its comment, "
    "a view's triggers and a materialized view's indexes. A function can be called by everyone again, if that had been revoked.",
    instead="CREATE OR REPLACE VIEW active_users AS SELECT id, email FROM users WHERE active;",
    err=("DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT 1 AS a", "DROP MATERIALIZED VIEW m; CREATE MATERIALIZED VIEW m AS SELECT 1 AS a",
         "DROP FUNCTION IF EXISTS f(int); CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    ok=("CREATE OR REPLACE VIEW v AS SELECT 1 AS a", "CREATE VIEW v AS SELECT 1 AS a; DROP VIEW v; CREATE VIEW v AS SELECT 2 AS a",
        "DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT 1 AS a; GRANT SELECT ON v TO reader"),
)  # fmt: skip
def made_again_without_grants(scene: Scene) -> Iterator[Hit]:
    kind = str(scene.tree.get("removeType", ""))
    if kind not in CODE or cascades(scene.tree):
        return
    words = object_words(kind)
    known_as = words if kind in ("OBJECT_VIEW", "OBJECT_MATVIEW") else "FUNCTION"
    for item in scene.tree.get("objects", ()):
        name = names.of_object(item)
        made = scene.world.made_later.get((known_as, scene.world.resolve(name)))
        if made is None or scene.world.is_new_object(known_as, name):
            continue
        extras = _extras(scene, known_as, name, item)
        granted = scene.world.granted_later.get(scene.world.resolve(name), frozenset())
        if extras is None and not granted and _is_ungranted(scene, known_as, name):
            yield Hit(str(name), f"no migration grants anything on {words.lower()} {name}; what was granted on it by hand is gone, "
                      f"and its comment{_and(kind)}", _replacing(made, name, kind, item), severity=Severity.RECOMMENDATION)  # fmt: skip
        elif extras is None and not granted:
            yield Hit(str(name), f"what was granted on {words.lower()} {name} is gone, and its comment{_and(kind)}: "
                      f"CREATE does not bring them back", _replacing(made, name, kind, item))  # fmt: skip
        elif left := [one for one in extras or () if not _is_given_back(one, granted, scene.world)]:
            yield Hit(str(name), f"{words.lower()} {name} loses what CREATE does not bring back: {' '.join(left)}",
                      "\n".join(["-- after the CREATE, in the same file:", *left]))  # fmt: skip


def _extras(scene: Scene, known_as: str, name: Name, item: Tree) -> tuple[str, ...] | None:
    """Return what the target says that CREATE does not bring back; None where no target was read."""
    if scene.world.target is None:
        return None
    if known_as != "FUNCTION":
        return scene.world.view_extras.get(scene.world.resolve(name), ())
    return tuple(
        extra
        for one in scene.world.functions_named(name) or ()
        if _is_meant(item, one.arguments)
        for extra in one.extras
    )


def _is_ungranted(scene: Scene, known_as: str, name: Name) -> bool:
    """Tell whether the migrations made the object, or none of them did, and none grants or revokes anything on it."""
    world, full = scene.world, scene.world.resolve(name)
    is_made = bool(world.functions_named(name)) if known_as == "FUNCTION" else full in world.views
    if not is_made and scene.tree.get(
        "missing_ok"
    ):  # DROP IF EXISTS of what no earlier migration made: it clears the way
        is_made = any(one.is_known and one.age == "existing" for one in world.tables.values())
    return is_made and full not in world.granted and Name(full.schema, "*") not in world.granted


def _is_meant(item: Tree, arguments: tuple[str, ...]) -> bool:
    """Tell whether a DROP FUNCTION's item, `f` or `f(int)`, is about the function with these arguments."""
    body = item.get("ObjectWithArgs", {})
    named = [type_text(one.get("TypeName")) for one in body.get("objargs", ())]
    return bool(body.get("args_unspecified")) or same_arguments(named, arguments)


def _is_given_back(extra: str, granted: frozenset[str], world: World) -> bool:
    """Tell whether the file grants something to the role of a GRANT or REVOKE, or makes the index or trigger again."""
    [item] = read_trees(extra)
    kind, body = node(item["stmt"])
    roles = {one["RoleSpec"].get("rolename", "public") for one in body.get("grantees", ())}
    return roles <= granted if kind == "GrantStmt" else made_by(kind, body, world) in world.made_later


def _and(kind: str) -> str:
    return {"OBJECT_VIEW": ", and its triggers", "OBJECT_MATVIEW": ", and its indexes"}.get(kind, "")


def _replacing(made: str, name: Name, kind: str, item: Tree) -> str:
    """Return the CREATE as CREATE OR REPLACE; where that is none, or another function, where to look first."""
    if kind == "OBJECT_MATVIEW":
        return (
            f"SELECT relacl FROM pg_class WHERE oid = {quote_literal(name.sql)}::regclass;  -- GRANT the same after the CREATE\n"  # noqa: S608
            f"SELECT indexdef FROM pg_indexes WHERE tablename = {quote_literal(name.name)};  -- and CREATE the same"
        )
    if kind != "OBJECT_VIEW":
        [created] = read_trees(made)
        if not _is_meant(item, function_of(node(created["stmt"])[1], made).arguments):
            return f"SELECT proacl FROM pg_proc WHERE proname = {quote_literal(name.name)};  -- GRANT the same after the CREATE"  # noqa: S608
    return f"{_CREATE.sub('CREATE OR REPLACE ', made, count=1)};"
