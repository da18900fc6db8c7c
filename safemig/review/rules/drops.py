"""Drops that lose no rows, but take away what an application uses."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.dropping import CASCADE_TAKES, CODE, cascades, dropped
from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.review.users import users_of_function, users_of_table
from safemig.sql import names
from safemig.sql.identifiers import quote_identifier
from safemig.sql.kinds import object_words
from safemig.sql.names import Name
from safemig.sql.tree import strings

_ELSEWHERE = frozenset(  # other rules say these
    ("OBJECT_TABLE", "OBJECT_SCHEMA", "OBJECT_SEQUENCE", "OBJECT_INDEX", "OBJECT_FOREIGN_TABLE", "OBJECT_PUBLICATION")
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
    if kind not in CODE:
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
        used = users_of_function(scene.world, name) if known_as == "FUNCTION" else users_of_table(scene.world, name)
        named = used.after_drop(cascade=cascades(scene.tree))
        yield Hit(str(name), f"whatever uses {words.lower()} {name} fails from then on{also}{named}",
                  f"CREATE OR REPLACE {words} {name.sql} …" if kind in ("OBJECT_VIEW", "OBJECT_FUNCTION") else "")  # fmt: skip


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
    if kind in _ELSEWHERE | CODE or kind in ("OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE", "OBJECT_STATISTIC_EXT"):
        return
    if cascades(scene.tree) and kind in CASCADE_TAKES:
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
    "drop-foreign-table", Severity.CAUTION, "A foreign table is dropped",
    on="DropStmt",
    why="The remote rows stay, but every query that names the foreign table fails.",
    instead="ALTER FOREIGN TABLE remote RENAME TO _deprecated_remote;",
    err="DROP FOREIGN TABLE remote", ok="IMPORT FOREIGN SCHEMA public FROM SERVER s INTO app",
)  # fmt: skip
def drop_foreign_table(scene: Scene) -> Iterator[Hit]:
    for name in dropped(scene, "OBJECT_FOREIGN_TABLE"):
        yield Hit(str(name), f"drops foreign table {name}; the remote rows stay", "")
