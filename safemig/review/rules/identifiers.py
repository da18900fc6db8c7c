"""Names: renamed in use, or longer than PostgreSQL keeps."""

from __future__ import annotations

import re

# ruff: noqa: S608  (this SQL is shown to people; nothing here runs it)
from collections.abc import Iterator
from functools import lru_cache

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene
from safemig.review.severity import Severity
from safemig.review.users import users_of_column, users_of_function, users_of_table
from safemig.sql import names
from safemig.sql.clauses import tokens
from safemig.sql.identifiers import quote_identifier
from safemig.sql.names import Name


@rule(
    "rename-in-use", Severity.CAUTION, "What an application names is renamed or moved",
    on=("RenameStmt", "AlterObjectSchemaStmt"),
    why="From the COMMIT on, every statement that uses the old name fails, until each running copy of the application is replaced.",
    instead="ALTER TABLE users ADD COLUMN IF NOT EXISTS full_name text;  -- write both, move the readers, drop the old one later",
    err=("ALTER TABLE users RENAME COLUMN name TO full_name", "ALTER TABLE users RENAME TO people",
         "ALTER TABLE users SET SCHEMA app", "ALTER FUNCTION f(int) RENAME TO g"),
    ok=("CREATE TABLE fresh (a int); ALTER TABLE fresh RENAME a TO b", "ALTER INDEX users_idx RENAME TO users_email_idx",
        "ALTER TABLE users RENAME CONSTRAINT a TO b"),
)  # fmt: skip
def rename_in_use(scene: Scene) -> Iterator[Hit]:
    moved = scene.node == "AlterObjectSchemaStmt"
    kind = str(scene.tree.get("objectType" if moved else "renameType", "")).removeprefix("OBJECT_")
    if (
        kind
        in ("TABCONSTRAINT", "INDEX", "TRIGGER", "POLICY", "RULE", "DOMCONSTRAINT", "STATISTIC_EXT", "EVENT_TRIGGER")
        and not moved
    ):
        return
    if "relation" in scene.tree:
        name = names.of_range(scene.tree.get("relation"))
        if scene.world.is_new(name) or scene.world.is_new_object(kind.replace("MATVIEW", "MATERIALIZED VIEW"), name):
            return
    else:
        name = names.of_object(scene.tree.get("object", {}))
        if kind == "SCHEMA":
            name = Name("", str(scene.tree.get("subname", "")))
        if scene.world.is_new_object("FUNCTION" if kind in ("PROCEDURE", "ROUTINE") else kind, name):
            return
    column = scene.tree.get("subname") if kind in ("COLUMN", "ATTRIBUTE") else None
    new = scene.tree.get("newschema" if moved else "newname", "")
    what = f"{name}.{column}" if column else str(name)
    verb = f"moves {what} to schema {new}" if moved else f"renames {what} to {new}"
    safer = ""
    if kind == "TABLE" and not moved:
        safer = (
            f"ALTER TABLE {name.sql} RENAME TO {quote_identifier(new)};\n"
            f"CREATE VIEW {name.sql} AS SELECT * FROM {Name(name.schema, new).sql};  -- the old name keeps working, writes too"
        )
    elif kind == "TABLE":
        safer = (
            f"ALTER TABLE {name.sql} SET SCHEMA {quote_identifier(new)};\n"
            f"CREATE VIEW {scene.world.resolve(name).sql} AS SELECT * FROM {Name(new, name.name).sql};  -- the old name keeps working"
        )
    elif kind == "COLUMN":
        safer = (
            f"ALTER TABLE {name.sql} ADD COLUMN IF NOT EXISTS {quote_identifier(new)} {scene.column_type(str(column)) or '…'};\n"
            "-- write both columns, move the readers, drop the old one in a later release"
        )
    yield Hit(
        what,
        f"{verb}: every statement that uses the old name fails from then on{_users(scene, kind, name, column)}",
        safer,
    )


def _users(scene: Scene, kind: str, name: Name, column: str | None) -> str:
    if kind == "COLUMN" and column:
        return users_of_column(scene.world, name, column).after_rename()
    if kind in ("FUNCTION", "PROCEDURE", "ROUTINE"):
        return users_of_function(scene.world, name).after_rename()
    return users_of_table(scene.world, name).after_rename() if kind in ("TABLE", "VIEW", "MATVIEW") else ""


@rule(
    "identifier-too-long", Severity.CAUTION, "A name that PostgreSQL cuts",
    on=("CreateStmt", "AT_AddColumn", "IndexStmt", "RenameStmt", "AT_AddConstraint", "CreateTrigStmt", "ViewStmt", "CreateFunctionStmt",
        "CreatePolicyStmt", "CreateEnumStmt"),
    why="Names have at most 63 bytes; a longer one is cut with a NOTICE only, so the schema does not hold what the file says, and two "
    "names can become one.",
    instead="CREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email);",
    err=f"CREATE TABLE IF NOT EXISTS {'a' * 64} (id bigint PRIMARY KEY)",
    ok=f"CREATE TABLE IF NOT EXISTS {'a' * 63} (id bigint PRIMARY KEY)",
)  # fmt: skip
def identifier_too_long(scene: Scene) -> Iterator[Hit]:
    # libpg_query cuts names as the server does, so the text is what shows it
    for word in _long_words(scene.text) if _long_words(scene.whole) else ():
        yield Hit(word[:63], f"{word} has more than 63 bytes and is cut")


# A name in quotes may hold blanks; where letters of several bytes are about, 16 of them (of four each) can be too many.
_MAYBE_LONG = re.compile(r'(?<![A-Za-z0-9_$])[A-Za-z0-9_$]{64}|"[^"]{64}')


@lru_cache(maxsize=4)  # each command of an ALTER TABLE asks of the whole
def _long_words(text: str) -> list[str]:
    if len(text) < 16 or (text.isascii() and not _MAYBE_LONG.search(text)):
        return []
    found = []
    for token in tokens(text):
        if token.kind in ("word", "quoted") and token.end - token.start > 15:
            word = text[token.start : token.end].strip('"')
            if len(word.encode("utf-8", "replace")) > 63:
                found.append(word)
    return list(dict.fromkeys(found))
