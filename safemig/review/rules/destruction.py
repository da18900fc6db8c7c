"""What destroys data as such: tables, columns, schemas, sequences, and all that a CASCADE takes along."""

from __future__ import annotations

# ruff: noqa: S608  (this SQL is shown to people; nothing here runs it)
from collections.abc import Iterator

from safemig.review.dropping import CASCADE_TAKES, cascades, dropped
from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.review.users import users_of_column, users_of_table
from safemig.sql import names
from safemig.sql.identifiers import quote_identifier, quote_name
from safemig.sql.kinds import object_words
from safemig.sql.names import Name


def going_along(scene: Scene, name: Name) -> str:
    """Say what CASCADE would take along, from the target's catalogs where they were read."""
    if not cascades(scene.tree):
        return ""
    facts = scene.facts_of(name)
    if facts is None:
        return "; CASCADE takes along whatever needs it (not known without a target)"
    return f"; CASCADE takes along {', '.join(facts.dependents)}" if facts.dependents else ""


def _users(scene: Scene, name: Name) -> str:
    """Say which functions name the table, and what hinders a DROP without CASCADE."""
    facts, used = scene.facts_of(name), users_of_table(scene.world, name)
    of_target = [one for one in facts.dependents if not one.startswith("partition ")] if facts else []
    cascade = cascades(scene.tree)
    bound = [one for one in used.bound if one not in of_target] + ([] if cascade else of_target)
    return used._replace(bound=tuple(sorted(bound))).after_drop(cascade=cascade)


@rule(
    "drop-table", Severity.DANGEROUS, "A table is dropped with all of its rows",
    on="DropStmt", data_loss=True,
    why="DROP TABLE removes every row for good, and takes ACCESS EXCLUSIVE on the table and on each table that it refers to. "
    "An application that still reads it fails at once.",
    instead="ALTER TABLE legacy RENAME TO _deprecated_legacy;\n"
    "-- weeks later, after a backup, in a migration of its own: DROP TABLE _deprecated_legacy;",
    err=("DROP TABLE users", "DROP TABLE IF EXISTS a, b CASCADE", "DROP FOREIGN TABLE IF EXISTS f; DROP TABLE f"),
    ok=("CREATE TABLE fresh (id int); DROP TABLE fresh", "CREATE TEMP TABLE t (a int); DROP TABLE t",
        "COMMENT ON TABLE users IS 'DROP TABLE users'"),
)  # fmt: skip
def drop_table(scene: Scene) -> Iterator[Hit]:
    for name in dropped(scene, "OBJECT_TABLE"):
        if scene.world.is_surely_new(name):
            continue
        facts = scene.facts_of(name)
        rows = "" if facts is None or facts.rows_estimate is None else f" (≈ {facts.rows_estimate:,})"
        kept = Name(name.schema, f"_deprecated_{name.name}"[:63])
        yield Hit(
            str(name),
            f"drops table {name} and all of its rows{rows}{going_along(scene, name)}{_users(scene, name)}",
            f"ALTER TABLE {name.sql} RENAME TO {quote_identifier(kept.name)};\n"
            f"-- when nothing has missed it for a while, and after a backup: DROP TABLE {kept.sql};",
        )


@rule(
    "drop-column", Severity.DANGEROUS, "A column is dropped with all of its values",
    on="AT_DropColumn", data_loss=True,
    why="DROP COLUMN makes every value of the column unreachable at once, and every running query that names it fails.",
    instead="-- stop reading and writing the column first; keep its values until a backup was proven\n"
    "ALTER TABLE users ALTER COLUMN legacy DROP NOT NULL;\n"
    "COMMENT ON COLUMN users.legacy IS 'deprecated: to be dropped';",
    err=("ALTER TABLE users DROP COLUMN legacy", "ALTER TABLE users ADD COLUMN a int, DROP legacy CASCADE"),
    ok=("ALTER TABLE users ADD COLUMN IF NOT EXISTS legacy int", "-- ALTER TABLE users DROP COLUMN legacy;\nSELECT 1",
        "CREATE TABLE fresh (a int, b int); ALTER TABLE fresh DROP COLUMN b"),
)  # fmt: skip
def drop_column(scene: Scene) -> Iterator[Hit]:
    if scene.is_surely_new or scene.parent.get("objtype") == "OBJECT_TYPE":
        return
    column = str(scene.tree.get("name", ""))
    table = scene.known
    known = table.columns.get(column) if table else None
    if known and known.age == "new":
        return
    if table and table.facts is not None and table.is_known and known is None and scene.tree.get("missing_ok"):
        return  # the target has no such column
    used = users_of_column(scene.world, scene.table, column).after_drop(cascade=cascades(scene.tree))
    taken = "" if not cascades(scene.tree) else "; CASCADE takes along the views, keys and columns that need it"
    yield Hit(
        f"{scene.table}.{column}",
        f"drops {scene.table}.{column} and all of its values{scene.size}{taken}{used}",
        f"ALTER TABLE {scene.table.sql} ALTER COLUMN {quote_identifier(column)} DROP NOT NULL;\n"
        f"COMMENT ON COLUMN {quote_name(scene.table.schema, scene.table.name, column)} IS 'deprecated: to be dropped';\n"
        f"-- when nothing has used it for a while, and after a backup:\n"
        f"-- ALTER TABLE {scene.table.sql} DROP COLUMN {quote_identifier(column)};",
    )


@rule(
    "drop-schema", Severity.DANGEROUS, "A schema is dropped with what is in it",
    on="DropStmt", data_loss=True,
    why="DROP SCHEMA ... CASCADE removes every table in the schema, and takes ACCESS EXCLUSIVE on each.",
    instead="-- list what is in it, then drop each object by name, each in its own review\n"
    "SELECT relname, relkind, reltuples FROM pg_class WHERE relnamespace = 'old'::regnamespace;",
    err=("DROP SCHEMA app CASCADE", "DROP SCHEMA IF EXISTS old"),
    ok=("CREATE SCHEMA IF NOT EXISTS app", "CREATE SCHEMA s; DROP SCHEMA s"),
)  # fmt: skip
def drop_schema(scene: Scene) -> Iterator[Hit]:
    for name in dropped(scene, "OBJECT_SCHEMA"):
        if scene.world.is_new_object("SCHEMA", name):
            continue
        tables = [str(table) for table in scene.world.tables if table.schema == name.name]
        what = f": {', '.join(sorted(tables)[:8])}{' …' if len(tables) > 8 else ''}" if tables else ""
        yield Hit(
            name.name,
            f"drops schema {name.name}{' and everything in it' if cascades(scene.tree) else ''}{what}",
            "SELECT relname, relkind, reltuples FROM pg_class "
            f"WHERE relnamespace = to_regnamespace('{name.name.replace(chr(39), chr(39) * 2)}');",
        )


@rule(
    "drop-database", Severity.DANGEROUS, "A whole database is dropped",
    on="DropdbStmt", data_loss=True,
    why="No migration has a reason to drop a database; it cannot run in a transaction, and nothing brings it back but a backup.",
    instead="ALTER DATABASE old RENAME TO old_retired;",
    err="DROP DATABASE shop", ok="CREATE SCHEMA IF NOT EXISTS shop",
)  # fmt: skip
def drop_database(scene: Scene) -> Iterator[Hit]:
    name = str(scene.tree.get("dbname", ""))
    safer = f"ALTER DATABASE {quote_identifier(name)} RENAME TO {quote_identifier(name + '_retired')};"
    yield Hit(name, f"drops database {name} with everything in it", safer)


@rule(
    "drop-owned", Severity.DANGEROUS, "Everything that a role owns is dropped",
    on="DropOwnedStmt", data_loss=True,
    why="DROP OWNED drops all tables of the role in this database, named nowhere in the migration.",
    instead="REASSIGN OWNED BY leaver TO app_owner;",
    err="DROP OWNED BY leaver", ok="GRANT SELECT ON users TO reader",
)  # fmt: skip
def drop_owned(scene: Scene) -> Iterator[Hit]:
    for item in scene.tree.get("roles", ()):
        role = item.get("RoleSpec", {}).get("rolename", "current_user")
        yield Hit(
            role, f"drops every object that {role} owns", f"REASSIGN OWNED BY {quote_identifier(role)} TO CURRENT_USER;"
        )


_TAKES_COLUMNS = ("OBJECT_TYPE", "OBJECT_DOMAIN", "OBJECT_EXTENSION", "OBJECT_COLLATION", "OBJECT_FUNCTION",
                  "OBJECT_ROUTINE", "OBJECT_LANGUAGE", "OBJECT_ACCESS_METHOD", "OBJECT_FOREIGN_SERVER", "OBJECT_FDW")  # fmt: skip


@rule(
    "drop-cascade", Severity.DANGEROUS, "CASCADE drops what is not named",
    on="DropStmt", data_loss=True,
    why="DROP TYPE ... CASCADE drops the columns of that type with their values (measured); the same holds for domains, "
    "extensions and functions behind generated columns. Without CASCADE the statement fails instead, and says what is in the way.",
    instead="DROP TYPE mood;  -- fails and lists what needs it; move those columns first",
    err=("DROP TYPE mood CASCADE", "DROP DOMAIN email CASCADE", "DROP EXTENSION hstore CASCADE", "DROP FUNCTION f() CASCADE"),
    ok=("CREATE TYPE t AS ENUM ('a'); DROP TYPE t CASCADE", "CREATE TABLE fresh (id int); DROP TABLE fresh CASCADE"),
)  # fmt: skip
def drop_cascade(scene: Scene) -> Iterator[Hit]:
    kind = str(scene.tree.get("removeType", ""))
    if not cascades(scene.tree) or kind not in CASCADE_TAKES:
        return
    for name in dropped(scene, kind):
        words = object_words(kind)
        if scene.world.is_new_object("FUNCTION" if kind == "OBJECT_ROUTINE" else words, name):
            continue
        loses = kind in _TAKES_COLUMNS
        yield Hit(
            str(name),
            f"drops {words.lower()} {name} and, by CASCADE, {CASCADE_TAKES[kind]}",
            f"DROP {words} {name.sql};  -- without CASCADE: fails and lists what needs it",
            severity=Severity.DANGEROUS if loses else Severity.CAUTION,
            data_loss=loses,
        )


@rule(
    "drop-sequence", Severity.DANGEROUS, "A sequence is dropped with its position",
    on="DropStmt", data_loss=True,
    why="The next number is lost, and a default that calls nextval() on it fails; with CASCADE such defaults go too.",
    instead="SELECT last_value FROM order_number;  -- keep it, and the sequence until nothing calls it",
    err="DROP SEQUENCE order_number", ok="CREATE SEQUENCE s; DROP SEQUENCE s",
)  # fmt: skip
def drop_sequence(scene: Scene) -> Iterator[Hit]:
    for name in dropped(scene, "OBJECT_SEQUENCE"):
        if not scene.world.is_new_object("SEQUENCE", name):
            safer = f"ALTER SEQUENCE {name.sql} RENAME TO {quote_identifier('_deprecated_' + name.name)};"
            yield Hit(str(name), f"drops sequence {name} and the number that it has come to", safer)


@rule(
    "drop-attribute", Severity.DANGEROUS, "An attribute of a composite type is dropped",
    on="AT_DropColumn", data_loss=True,
    why="Every stored value of the type loses the attribute.",
    instead="-- make a new type, add a column of it, copy, and drop the old one later\nCREATE TYPE address_v2 AS (street text);",
    err="ALTER TYPE address DROP ATTRIBUTE zip", ok="ALTER TYPE address ADD ATTRIBUTE zip text",
)  # fmt: skip
def drop_attribute(scene: Scene) -> Iterator[Hit]:
    if scene.parent.get("objtype") == "OBJECT_TYPE" and not scene.world.is_new_object("TYPE", scene.table):
        attribute = scene.tree.get("name", "")
        yield Hit(
            f"{scene.table}.{attribute}",
            f"drops attribute {attribute} of type {scene.table} from every stored value",
            f"COMMENT ON COLUMN {scene.table.sql}.{quote_identifier(attribute)} IS 'deprecated: to be dropped';",
        )


@rule(
    "truncate", Severity.DANGEROUS, "A table is emptied",
    on="TruncateStmt", data_loss=True,
    why="TRUNCATE removes every row at once under ACCESS EXCLUSIVE; with CASCADE also of every table that refers to it.",
    instead="CREATE TABLE audit_kept AS TABLE audit;  -- and empty it outside of a migration, in batches",
    err=("TRUNCATE audit", "TRUNCATE TABLE audit CASCADE"),
    ok=("CREATE TABLE fresh (a int); TRUNCATE fresh", "GRANT TRUNCATE ON audit TO janitor"),
)  # fmt: skip
def truncate(scene: Scene) -> Iterator[Hit]:
    all_new = all(
        scene.world.is_surely_new(names.of_range(item.get("RangeVar"))) for item in scene.tree.get("relations", ())
    )
    for item in scene.tree.get("relations", ()):
        name = names.of_range(item.get("RangeVar"))
        if all_new or scene.world.is_surely_new(name):
            continue
        kept = Name(name.schema, f"{name.name}_kept"[:63])
        yield Hit(
            str(name),
            f"removes every row of {name}{going_along(scene, name)}",
            f"CREATE TABLE {kept.sql} AS TABLE {name.sql};  -- a copy first, if it must be emptied",
        )
