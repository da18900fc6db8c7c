"""What changes columns: added with a rewrite, NOT NULL or not, default and expression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from safemig.review.rule import Hit, rule
from safemig.review.rules.constraints import alter_table
from safemig.review.scene import Scene, weight
from safemig.review.severity import Severity
from safemig.review.types import SERIALS, type_text
from safemig.sql import names
from safemig.sql.builtin_functions import BUILT_IN_FUNCTIONS, VOLATILE_FUNCTIONS
from safemig.sql.clauses import tokens
from safemig.sql.identifiers import quote_identifier
from safemig.sql.tree import Tree, constant, is_null, options, strings, walk

if TYPE_CHECKING:
    from safemig.review.facts import ColumnFacts

# Functions of common extensions that are volatile; others that are not PostgreSQL's own are looked up.
_VOLATILE_OF_EXTENSIONS = frozenset(
    (
        "uuid_generate_v1",
        "uuid_generate_v1mc",
        "uuid_generate_v4",
        "gen_salt",
        "gen_random_bytes",
        "uuidv4",
        "uuidv7",
        "nanoid",
        "ulid",
    )
)


def volatile_call(scene: Scene, expression: Tree | None) -> str | None:
    """Return the name of a volatile function in the expression, if there is one."""
    for kind, body in walk(expression):
        if kind != "FuncCall":
            continue
        name = names.of_strings(body.get("funcname"))
        if name.name in VOLATILE_FUNCTIONS or name.name in _VOLATILE_OF_EXTENSIONS:
            return name.name
        if name.name in BUILT_IN_FUNCTIONS:
            continue
        if any(function.volatility == "volatile" for function in scene.world.functions_named(name) or ()):
            return str(name)
    return None


def column_constraints(definition: Tree) -> dict[str, Tree]:
    """Return a column definition's constraints by contype."""
    found = {}
    for item in definition.get("constraints", ()):
        constraint = item.get("Constraint", {})
        found[constraint.get("contype", "")] = constraint
    return found


def _definition(scene: Scene) -> Tree:
    definition: Tree = (scene.tree.get("def") or {}).get("ColumnDef", {})
    return definition


def _already_there(scene: Scene, column: str) -> bool:
    """Tell whether the target has the column, so that ADD COLUMN IF NOT EXISTS does nothing."""
    facts = scene.facts
    return bool(scene.tree.get("missing_ok") and facts and column in facts.columns)


@rule(
    "add-column-rewrites", Severity.CAUTION, "Adding the column rewrites the table",
    on="AT_AddColumn",
    why="A volatile default (random(), gen_random_uuid(), clock_timestamp()), an identity or serial column, a stored generated column "
    "or a domain with a constraint gives each row a value of its own: the whole table and its indexes are rewritten under "
    "ACCESS EXCLUSIVE. A constant default, now() too, is kept in the catalog and rewrites nothing (PostgreSQL 11 and newer).",
    instead="ALTER TABLE users ADD COLUMN token uuid;\n"
    "ALTER TABLE users ALTER COLUMN token SET DEFAULT gen_random_uuid();\n"
    "-- then fill the old rows in batches, outside of the migration",
    err=("ALTER TABLE users ADD COLUMN token uuid DEFAULT gen_random_uuid()", "ALTER TABLE users ADD COLUMN n bigserial",
         "ALTER TABLE users ADD COLUMN n int GENERATED ALWAYS AS IDENTITY",
         "ALTER TABLE users ADD COLUMN total int GENERATED ALWAYS AS (a + b) STORED"),
    ok=("ALTER TABLE users ADD COLUMN IF NOT EXISTS seen timestamptz DEFAULT now()",
        "ALTER TABLE users ADD COLUMN IF NOT EXISTS points int NOT NULL DEFAULT 0",
        "CREATE TABLE fresh (a int); ALTER TABLE fresh ADD COLUMN id bigserial"),
)  # fmt: skip
def add_column_rewrites(scene: Scene) -> Iterator[Hit]:
    definition = _definition(scene)
    column = str(definition.get("colname", ""))
    if scene.is_new or _already_there(scene, column) or scene.parent.get("objtype") not in (None, "OBJECT_TABLE"):
        return
    constraints = column_constraints(definition)
    kind = type_text(definition.get("typeName"))
    default = constraints.get("CONSTR_DEFAULT", {}).get("raw_expr")
    reason, plain_type = "", kind
    if kind in SERIALS:
        reason = f"{kind} numbers every row"
        plain_type = {"serial": "integer", "bigserial": "bigint", "smallserial": "smallint"}[kind]
    elif "CONSTR_IDENTITY" in constraints:
        reason = "an identity column numbers every row"
    elif "CONSTR_GENERATED" in constraints and constraints["CONSTR_GENERATED"].get("generated_kind", "s") != "v":
        reason = "a stored generated column is computed for every row"
    elif call := volatile_call(scene, default) if default else None:
        reason = f"{call}() is volatile and gives each row its own value"
    elif scene.world.domains and scene.world.domains.get(
        scene.world.resolve(names.of_strings((definition.get("typeName") or {}).get("names")))
    ):
        reason = f"domain {kind} has a constraint, which is checked by writing every row"
    if not reason:
        return
    name = quote_identifier(column)
    safer = [f"ALTER TABLE {scene.table.sql} ADD COLUMN IF NOT EXISTS {name} {plain_type};"]
    if default and volatile_call(scene, default):
        text = _default_text(scene.text)
        safer.append(f"ALTER TABLE {scene.table.sql} ALTER COLUMN {name} SET DEFAULT {text};" if text else "")
    safer.append("-- then fill the old rows in batches, each committed, outside of the migration")
    yield Hit(
        f"{scene.table}.{column}",
        f"{reason}: {scene.table}{scene.size} is rewritten while reads and writes wait",
        "\n".join(line for line in safer if line),
        severity=weight(scene),
    )


def _default_text(clause: str) -> str:
    """Return the text of a clause's DEFAULT expression; empty where more follows it that cannot be told apart."""
    found = [token for token in tokens(clause) if token.kind != "comment"]
    depth, begin = 0, None
    for token in found:
        word = clause[token.start : token.end].lower()
        if begin is not None and depth == 0 and token.kind == "word" and word in (
            "not", "null", "check", "unique", "primary", "references", "constraint", "collate", "generated"
        ):  # fmt: skip
            return clause[begin : token.start].strip()
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(word, 0)
        if begin is None and token.kind == "word" and word == "default":
            begin = token.end
    return "" if begin is None else clause[begin:].strip()


@rule(
    "add-column-not-null", Severity.CAUTION, "A NOT NULL column is added without a default",
    on="AT_AddColumn", mark='"constraints":[',
    why="It fails on a table that holds rows; on an empty one, an application that does not know the column yet fails at its next INSERT.",
    instead="ALTER TABLE users ADD COLUMN IF NOT EXISTS country text NOT NULL DEFAULT '';",
    err="ALTER TABLE users ADD COLUMN country text NOT NULL",
    ok=("ALTER TABLE users ADD COLUMN IF NOT EXISTS country text NOT NULL DEFAULT 'no'",
        "ALTER TABLE users ADD COLUMN IF NOT EXISTS country text"),
)  # fmt: skip
def add_column_not_null(scene: Scene) -> Iterator[Hit]:
    definition = _definition(scene)
    if "constraints" not in definition:
        return
    column = str(definition.get("colname", ""))
    constraints = column_constraints(definition)
    fills = {"CONSTR_DEFAULT", "CONSTR_IDENTITY", "CONSTR_GENERATED"} & set(constraints)
    default = constraints.get("CONSTR_DEFAULT", {}).get("raw_expr")
    required = "CONSTR_NOTNULL" in constraints or "CONSTR_PRIMARY" in constraints
    if not required or (fills and not is_null(default)) or scene.is_new or _already_there(scene, column):
        return
    if type_text(definition.get("typeName")) in SERIALS:
        return
    kind = type_text(definition.get("typeName"))
    yield Hit(
        f"{scene.table}.{column}",
        f"fails when {scene.table}{scene.size} holds a row, and INSERTs that do not name {column} fail afterwards",
        f"ALTER TABLE {scene.table.sql} ADD COLUMN IF NOT EXISTS {quote_identifier(column)} {kind};\n"
        "-- fill it in batches; then a CHECK (... IS NOT NULL) NOT VALID, VALIDATE, and SET NOT NULL",
    )


@rule(
    "add-column-constraint", Severity.CAUTION, "A column is added with a constraint that is checked at once",
    on="AT_AddColumn", mark='"constraints":[',
    why="CHECK reads the whole table, UNIQUE and PRIMARY KEY build an index, all under the ACCESS EXCLUSIVE lock of ADD COLUMN. "
    "A foreign key on a new column without a default has nothing to check, but locks the other table too (SHARE ROW EXCLUSIVE).",
    instead="ALTER TABLE users ADD COLUMN IF NOT EXISTS age int;\n"
    "ALTER TABLE users ADD CONSTRAINT users_age_check CHECK (age > 0) NOT VALID;\n"
    "-- in a migration of its own: ALTER TABLE users VALIDATE CONSTRAINT users_age_check;",
    err=("ALTER TABLE users ADD COLUMN age int CHECK (age > 0)", "ALTER TABLE users ADD COLUMN code text UNIQUE",
         "ALTER TABLE users ADD COLUMN team int REFERENCES teams"),
    ok=("CREATE TABLE fresh (a int); ALTER TABLE fresh ADD COLUMN b int UNIQUE",
        "ALTER TABLE users ADD COLUMN IF NOT EXISTS age int"),
)  # fmt: skip
def add_column_constraint(scene: Scene) -> Iterator[Hit]:
    definition = _definition(scene)
    column = str(definition.get("colname", ""))
    if "constraints" not in definition or scene.is_new or _already_there(scene, column):
        return
    constraints = column_constraints(definition)
    add = f"ALTER TABLE {scene.table.sql} ADD COLUMN IF NOT EXISTS {quote_identifier(column)} {type_text(definition.get('typeName'))};"
    if "CONSTR_CHECK" in constraints:
        name = constraints["CONSTR_CHECK"].get("conname") or f"{scene.table.name}_{column}_check"
        yield Hit(
            f"{scene.table}.{column}", f"the CHECK reads all of {scene.table}{scene.size} while reads and writes wait",
            f"{add}\nALTER TABLE {scene.table.sql} ADD CONSTRAINT {quote_identifier(name)} CHECK (…) NOT VALID;\n"
            f"-- in a migration of its own: ALTER TABLE {scene.table.sql} VALIDATE CONSTRAINT {quote_identifier(name)};",
            severity=weight(scene),
        )  # fmt: skip
    for contype, words in (("CONSTR_UNIQUE", "UNIQUE"), ("CONSTR_PRIMARY", "PRIMARY KEY")):
        if contype in constraints:
            index = f"{scene.table.name}_{column}_key"
            yield Hit(
                f"{scene.table}.{column}", f"{words} builds an index on {scene.table}{scene.size} while reads and writes wait",
                f"{add}\n-- in a file of its own:\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {quote_identifier(index)} "
                f"ON {scene.table.sql} ({quote_identifier(column)});",
                severity=weight(scene),
            )  # fmt: skip
    if "CONSTR_FOREIGN" in constraints:
        foreign = constraints["CONSTR_FOREIGN"]
        parent = names.of_range(foreign.get("pktable"))
        default = constraints.get("CONSTR_DEFAULT", {}).get("raw_expr")
        checked = bool(default) and not is_null(default)
        if scene.world.is_new(parent) and not checked:
            return
        keys = strings(foreign.get("pk_attrs"))
        name = foreign.get("conname") or f"{scene.table.name}_{column}_fkey"
        references = f"{parent.sql}{' (' + ', '.join(map(quote_identifier, keys)) + ')' if keys else ''}"
        yield Hit(
            f"{scene.table}.{column}",
            f"the foreign key locks {parent} against writes (SHARE ROW EXCLUSIVE) while {scene.table} is locked"
            f"{' and checks every row' if checked else ''}",
            f"{add}\nALTER TABLE {scene.table.sql} ADD CONSTRAINT {quote_identifier(name)} FOREIGN KEY ({quote_identifier(column)}) "
            f"REFERENCES {references} NOT VALID;\n"
            f"-- in a migration of its own: ALTER TABLE {scene.table.sql} VALIDATE CONSTRAINT {quote_identifier(name)};",
            severity=weight(scene),
        )


@rule(
    "set-not-null", Severity.CAUTION, "SET NOT NULL reads the whole table under a lock",
    on="AT_SetNotNull",
    why="It reads every row under ACCESS EXCLUSIVE, and fails on the first NULL. Behind a validated CHECK (column IS NOT NULL) "
    "PostgreSQL 12 and newer skip the reading.",
    instead="ALTER TABLE users ADD CONSTRAINT users_email_is_not_null CHECK (email IS NOT NULL) NOT VALID;\n"
    "-- next migration:\nALTER TABLE users VALIDATE CONSTRAINT users_email_is_not_null;\n"
    "-- next migration:\nALTER TABLE users ALTER COLUMN email SET NOT NULL;\n"
    "ALTER TABLE users DROP CONSTRAINT users_email_is_not_null;",
    err="ALTER TABLE users ALTER COLUMN email SET NOT NULL",
    ok=("CREATE TABLE fresh (a int); ALTER TABLE fresh ALTER COLUMN a SET NOT NULL",
        "ALTER TABLE users ALTER COLUMN email DROP NOT NULL"),
)  # fmt: skip
def set_not_null(scene: Scene) -> Iterator[Hit]:
    column = str(scene.tree.get("name", ""))
    if scene.is_new or scene.world.has_not_null_check(scene.table, column):
        return
    known = scene.facts.columns.get(column) if scene.facts else None
    if known and known.not_null:
        return
    name = quote_identifier(
        f"{scene.table.name}_{column}_is_not_null"[:63]
    )  # _not_null is what PostgreSQL 18 calls its own
    alter, quoted = alter_table(scene), quote_identifier(column)
    yield Hit(
        f"{scene.table}.{column}",
        f"reads all of {scene.table}{scene.size} while reads and writes wait, and fails on a NULL{_share_of_nulls(known)}",
        f"{alter} ADD CONSTRAINT {name} CHECK ({quoted} IS NOT NULL) NOT VALID;\n"
        f"-- in a migration of its own:\n{alter} VALIDATE CONSTRAINT {name};\n"
        f"-- in a migration of its own:\n{alter} ALTER COLUMN {quoted} SET NOT NULL;\n"
        f"{alter} DROP CONSTRAINT {name};",
        severity=weight(scene),
    )


def _share_of_nulls(column: ColumnFacts | None) -> str:
    share = column.null_fraction if column else None
    return (
        ""
        if share is None
        else f"; by the statistics {share:.0%} of the rows have one"
        if share
        else "; the statistics know of none"
    )


@rule(
    "nullable-again", Severity.RECOMMENDATION, "A column may be NULL again",
    on="AT_DropNotNull",
    why="Readers that never met a NULL in it may fail.",
    instead="ALTER TABLE users ALTER COLUMN email SET DEFAULT '';",
    err="ALTER TABLE users ALTER COLUMN email DROP NOT NULL",
    ok="CREATE TABLE IF NOT EXISTS t (a int NOT NULL PRIMARY KEY); ALTER TABLE t ALTER a DROP NOT NULL",
)  # fmt: skip
def nullable_again(scene: Scene) -> Iterator[Hit]:
    if not scene.is_new:
        yield Hit(f"{scene.table}.{scene.tree.get('name', '')}", "deploy readers that know NULL first")


@rule(
    "default-dropped", Severity.RECOMMENDATION, "A column loses its default",
    on="AT_ColumnDefault",
    why="INSERTs that do not name the column write NULL from then on, or fail where it is NOT NULL.",
    instead="ALTER TABLE users ALTER COLUMN email SET DEFAULT '';  -- keep it until the application names the column",
    err="ALTER TABLE users ALTER COLUMN email DROP DEFAULT",
    ok=("ALTER TABLE users ALTER COLUMN email SET DEFAULT ''",
        "CREATE TABLE IF NOT EXISTS t (a int DEFAULT 1 PRIMARY KEY); ALTER TABLE t ALTER a DROP DEFAULT"),
)  # fmt: skip
def default_dropped(scene: Scene) -> Iterator[Hit]:
    if "def" not in scene.tree and not scene.is_new:
        column = scene.tree.get("name", "")
        yield Hit(f"{scene.table}.{column}", f"INSERTs that do not name {column} rely on its default")


@rule(
    "column-expression-dropped", Severity.CAUTION, "A column is no longer computed or numbered",
    on=("AT_DropExpression", "AT_DropIdentity", "AT_SetExpression", "AT_AddIdentity", "AT_SetIdentity"),
    why="Without its expression or identity, INSERTs must give the value; SET EXPRESSION rewrites the table; with GENERATED ALWAYS, "
    "INSERTs that give the value are refused (428C9).",
    instead="ALTER TABLE users ALTER COLUMN id SET DEFAULT nextval('users_id_seq');",
    err=("ALTER TABLE users ALTER COLUMN total DROP EXPRESSION", "ALTER TABLE users ALTER COLUMN id DROP IDENTITY",
         "ALTER TABLE users ALTER COLUMN id SET GENERATED ALWAYS"),
    ok="CREATE TABLE fresh (id int GENERATED ALWAYS AS IDENTITY); ALTER TABLE fresh ALTER id DROP IDENTITY",
)  # fmt: skip
def column_expression_dropped(scene: Scene) -> Iterator[Hit]:
    if scene.is_new:
        return
    column = scene.tree.get("name", "")
    given = options((scene.tree.get("def") or {}).get("List", {}).get("items"))
    if scene.node == "AT_SetIdentity" and constant(given.get("generated")) != ord("a"):  # ATTRIBUTE_IDENTITY_ALWAYS
        return
    said = {
        "AT_SetIdentity": "is numbered ALWAYS: INSERTs that give it a value are refused",
        "AT_DropExpression": "is no longer computed", "AT_DropIdentity": "is no longer numbered by itself",
        "AT_SetExpression": "is computed again for every row, by rewriting the table",
        "AT_AddIdentity": "is numbered by itself from 1 on, whatever numbers are there",
    }[scene.node]  # fmt: skip
    yield Hit(f"{scene.table}.{column}", f"{scene.table}.{column} {said}")
