"""Drops that lose no rows, but take away what an application uses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from safemig.review.functions import function_of
from safemig.review.overloads import same_arguments
from safemig.review.rule import Hit, rule
from safemig.review.rules.destruction import cascades, dropped
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.review.types import type_text
from safemig.sql import names
from safemig.sql.identifiers import quote_identifier, quote_literal
from safemig.sql.kinds import object_words
from safemig.sql.names import Name
from safemig.sql.tree import Tree, node, read_trees, strings

_CREATE = re.compile(r"(?i)\Acreate\s+(?:or\s+replace\s+)?")
_ELSEWHERE = frozenset(  # other rules say these
    ("OBJECT_TABLE", "OBJECT_SCHEMA", "OBJECT_SEQUENCE", "OBJECT_INDEX", "OBJECT_FOREIGN_TABLE", "OBJECT_PUBLICATION")
)
_CODE = frozenset(
    ("OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_AGGREGATE")
)


@rule(
    "drop-code", Severity.CAUTION, "Something that applications call or read is dropped",
    on="DropStmt",
    why="A view, function or materialized view loses no rows, yet whatever uses it fails at once. CREATE OR REPLACE keeps it, its "
    "grants and what depends on it.",
    instead="CREATE OR REPLACE VIEW active_users AS SELECT id, email FROM users WHERE active;",
    err=("DROP VIEW active_users", "DROP FUNCTION f(int)", "DROP MATERIALIZED VIEW sales"),
    ok=("CREATE VIEW v AS SELECT 1 AS a; DROP VIEW v", "DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT 1 AS a"),
)  # fmt: skip
def drop_code(scene: Scene) -> Iterator[Hit]:
    kind = str(scene.tree.get("removeType", ""))
    if kind not in _CODE:
        return
    words = object_words(kind)
    known_as = "FUNCTION" if kind in ("OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_AGGREGATE") else words
    for name in dropped(scene, kind):
        made_again = scene.world.comes_again(known_as, name) and not cascades(scene.tree)
        if scene.world.is_new_object(known_as, name) or scene.world.is_surely_new(name) or made_again:
            continue
        if cascades(scene.tree) and kind in ("OBJECT_FUNCTION", "OBJECT_ROUTINE", "OBJECT_AGGREGATE"):
            continue  # drop-cascade says it
        also = "; CASCADE drops what needs it too" if cascades(scene.tree) else ""
        yield Hit(str(name), f"whatever uses {words.lower()} {name} fails from then on{also}",
                  f"CREATE OR REPLACE {words} {name.sql} …" if kind in ("OBJECT_VIEW", "OBJECT_FUNCTION") else "")  # fmt: skip


@rule(
    "made-again-without-grants", Severity.CAUTION, "A view or function is dropped and made again: its grants do not come back",
    on="DropStmt",
    why="CREATE makes the view or the function alone. The GRANTs on it are gone, so that applications are refused; so are its comment, "
    "a view's triggers and a materialized view's indexes. A function can be called by everybody again, if that had been revoked.",
    instead="CREATE OR REPLACE VIEW active_users AS SELECT id, email FROM users WHERE active;",
    err=("DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT 1 AS a", "DROP MATERIALIZED VIEW m; CREATE MATERIALIZED VIEW m AS SELECT 1 AS a",
         "DROP FUNCTION IF EXISTS f(int); CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    ok=("CREATE OR REPLACE VIEW v AS SELECT 1 AS a", "CREATE VIEW v AS SELECT 1 AS a; DROP VIEW v; CREATE VIEW v AS SELECT 2 AS a",
        "DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT 1 AS a; GRANT SELECT ON v TO reader"),
)  # fmt: skip
def made_again_without_grants(scene: Scene) -> Iterator[Hit]:
    kind = str(scene.tree.get("removeType", ""))
    if kind not in _CODE or cascades(scene.tree):
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
        if extras is None and not granted:
            yield Hit(str(name), f"what was granted on {words.lower()} {name} is gone, and its comment{_and(kind)}: "
                      f"CREATE does not bring them back", _replacing(made, name, kind, item))  # fmt: skip
        elif left := [one for one in extras or () if not _is_given_back(one, granted)]:
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


def _is_meant(item: Tree, arguments: tuple[str, ...]) -> bool:
    """Tell whether a DROP FUNCTION's item, `f` or `f(int)`, is about the function with these arguments."""
    body = item.get("ObjectWithArgs", {})
    named = [type_text(one.get("TypeName")) for one in body.get("objargs", ())]
    return bool(body.get("args_unspecified")) or same_arguments(named, arguments)


def _is_given_back(extra: str, granted: frozenset[str]) -> bool:
    """Tell whether the file grants something to the role of a GRANT, or revokes something from that of a REVOKE."""
    [item] = read_trees(extra)
    kind, body = node(item["stmt"])
    roles = {one["RoleSpec"].get("rolename", "public") for one in body.get("grantees", ())}
    return kind == "GrantStmt" and roles <= granted


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


@rule(
    "drop-trigger", Severity.CAUTION, "A trigger, policy or rule of a table is dropped",
    on="DropStmt",
    why="DROP TRIGGER and DROP POLICY take ACCESS EXCLUSIVE on the table (measured), and what they did or guarded is no longer done.",
    instead="CREATE OR REPLACE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();",
    err=("DROP TRIGGER touch ON users", "DROP POLICY own ON users", "DROP RULE r ON users"),
    ok=("CREATE TABLE fresh (a int); CREATE POLICY p ON fresh USING (true); DROP POLICY p ON fresh",
        "CREATE TABLE fresh (a int); DROP POLICY IF EXISTS p ON fresh"),
)  # fmt: skip
def drop_trigger(scene: Scene) -> Iterator[Hit]:
    kind = str(scene.tree.get("removeType", ""))
    if kind not in ("OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"):
        return
    for item in scene.tree.get("objects", ()):
        parts = strings(item.get("List", {}).get("items"))
        table = names.of_parts(parts[:-1])
        words = object_words(kind)
        again = scene.world.comes_again(words, Name(str(scene.world.resolve(table)), parts[-1]))
        if scene.world.is_new(table) or again:
            continue
        disabled = (
            f"ALTER TABLE {table.sql} DISABLE {words} {quote_identifier(parts[-1])};  -- one ENABLE brings it back"
        )
        yield Hit(f"{table}.{parts[-1]}", f"{words.lower()} {parts[-1]} of {table} no longer acts",
                  disabled if kind != "OBJECT_POLICY" else "")  # fmt: skip


@rule(
    "drop-other", Severity.CAUTION, "An object of the schema is dropped",
    on="DropStmt",
    why="Without CASCADE the statement fails where something needs the object; what uses it by name only fails later.",
    instead="DROP TYPE IF EXISTS mood;  -- in the release after the one that stopped using it",
    err=("DROP TYPE mood", "DROP EXTENSION hstore", "DROP EVENT TRIGGER guard"),
    ok=("CREATE TYPE t AS ENUM ('a'); DROP TYPE t", "DROP STATISTICS IF EXISTS users_stats"),
)  # fmt: skip
def drop_other(scene: Scene) -> Iterator[Hit]:
    kind = str(scene.tree.get("removeType", ""))
    if kind in _ELSEWHERE | _CODE or kind in ("OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE", "OBJECT_STATISTIC_EXT"):
        return
    from safemig.review.rules.destruction import _CASCADE_TAKES

    if cascades(scene.tree) and kind in _CASCADE_TAKES:
        return
    words = object_words(kind)
    for name in dropped(scene, kind):
        if scene.world.is_new_object(words, name):
            continue
        if kind == "OBJECT_TYPE" and _is_left_by_rebuild(scene, name):
            continue  # enum-value-removed says it at the change of type
        yield Hit(
            str(name),
            f"drops {words.lower()} {name}{'; CASCADE drops what needs it too' if cascades(scene.tree) else ''}",
        )


def _is_left_by_rebuild(scene: Scene, name: Name) -> bool:
    return scene.world.resolve(name) in scene.world.renamed_types.values()


@rule(
    "drop-role", Severity.CAUTION, "A role is dropped or changed",
    on=("DropRoleStmt", "ReassignOwnedStmt"),
    why="Roles belong to the whole cluster: other databases use them too.",
    instead="ALTER ROLE leaver NOLOGIN;",
    err=("DROP ROLE leaver", "REASSIGN OWNED BY leaver TO app"), ok="GRANT SELECT ON users TO reader",
)  # fmt: skip
def drop_role(scene: Scene) -> Iterator[Hit]:
    for item in scene.tree.get("roles", ()):
        role = str(item.get("RoleSpec", {}).get("rolename", ""))
        verb = "drops role" if scene.node == "DropRoleStmt" else "gives away everything owned by"
        yield Hit(
            role,
            f"{verb} {role}",
            f"ALTER ROLE {names.Name('', role).sql} NOLOGIN;" if scene.node == "DropRoleStmt" else "",
        )


@rule(
    "enum-value-removed", Severity.DANGEROUS, "A value is removed from an enum",
    on="AT_AlterColumnType", data_loss=True,
    why="PostgreSQL cannot remove an enum's value, so the type is renamed, made anew with fewer values, and the column is changed to it: "
    "rows with the missing value make it fail, or are mapped to another value for good. The table is written again.",
    instead="ALTER TYPE mood RENAME VALUE 'meh' TO 'deprecated_meh';  -- keep the value, stop using it",
    err="ALTER TYPE mood RENAME TO mood_old; CREATE TYPE mood AS ENUM ('happy'); "
    "ALTER TABLE people ALTER COLUMN m TYPE mood USING m::text::mood; DROP TYPE mood_old",
    ok="ALTER TYPE mood ADD VALUE IF NOT EXISTS 'meh'",
)  # fmt: skip
def enum_value_removed(scene: Scene) -> Iterator[Hit]:
    definition = (scene.tree.get("def") or {}).get("ColumnDef", {})
    new = scene.world.resolve(names.of_strings((definition.get("typeName") or {}).get("names")))
    if new not in scene.world.enums or ("TYPE", new) not in scene.world.new_objects or scene.is_surely_new:
        return
    old = scene.world.renamed_types.get(new) or _old_enum(scene, new)
    if old is not None:
        labels = scene.world.enums.get(old)
    elif new in scene.world.dropped_types:  # dropped and made anew, the column having been text meanwhile
        labels = scene.world.dropped_types[new]
    else:
        return
    kept = scene.world.enums[new]
    gone = [label for label in labels if label not in kept] if labels is not None else []
    if labels is not None and not gone:
        return
    column = scene.tree.get("name", "")
    what = f"{', '.join(gone)} is gone" if gone else "what the old type held besides is not known"
    yield Hit(f"{scene.table}.{column}", f"{scene.table}.{column} gets a type {new} that was made anew with {', '.join(kept)}: {what}",
              "-- keep the value and stop using it:\n"
              f"COMMENT ON TYPE {new.sql} IS 'deprecated: {', '.join(gone) or 'old values'}';")  # fmt: skip


def _old_enum(scene: Scene, new: Name) -> Name | None:
    """Return the enum that the column had, where the new type has another name (`mood_new`)."""
    known = scene.column_type(str(scene.tree.get("name", "")))
    if known:
        old = scene.world.resolve(names.of_parts(known.split(".")))
        return old if old in scene.world.enums and old != new else None
    stripped = new.name.removesuffix("_new").removesuffix("_v2")
    return Name(new.schema, stripped) if stripped != new.name else None
