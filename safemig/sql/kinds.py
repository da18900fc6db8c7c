"""What a statement is, in words; which tables it touches; whether PostgreSQL runs it inside a transaction block."""

from __future__ import annotations

import re
from functools import lru_cache

import orjson

from safemig.sql.names import Name, of_object, of_range, of_strings
from safemig.sql.tree import Tree, constant, node, options

# In a file of its own line, after "--": each statement runs by itself, as those that refuse a transaction do.
NO_TRANSACTION = "safemig: no transaction"
_NO_TRANSACTION = re.compile(  # goose, sql-migrate and dbmate have words of their own for it
    rf"^--[ \t]*(?:{NO_TRANSACTION}\b|\+goose[ \t]+NO[ \t]+TRANSACTION\b|\+migrate[ \t]+Up[ \t]+notransaction\b"
    r"|migrate:up\b[^\n]*\btransaction:false\b)",
    re.MULTILINE,
)


_PLAIN = {
    "SelectStmt": "SELECT", "InsertStmt": "INSERT", "UpdateStmt": "UPDATE", "DeleteStmt": "DELETE",
    "MergeStmt": "MERGE", "TruncateStmt": "TRUNCATE", "CopyStmt": "COPY", "CallStmt": "CALL", "DoStmt": "DO",
    "CreateStmt": "CREATE TABLE", "CreateEnumStmt": "CREATE TYPE", "CompositeTypeStmt": "CREATE TYPE",
    "CreateRangeStmt": "CREATE TYPE", "CreateDomainStmt": "CREATE DOMAIN", "AlterDomainStmt": "ALTER DOMAIN",
    "IndexStmt": "CREATE INDEX", "CreateTrigStmt": "CREATE TRIGGER", "CreatePolicyStmt": "CREATE POLICY",
    "AlterPolicyStmt": "ALTER POLICY", "CreateSchemaStmt": "CREATE SCHEMA", "CreateSeqStmt": "CREATE SEQUENCE",
    "AlterSeqStmt": "ALTER SEQUENCE", "CreateExtensionStmt": "CREATE EXTENSION", "ViewStmt": "CREATE VIEW",
    "AlterExtensionStmt": "ALTER EXTENSION", "RuleStmt": "CREATE RULE", "CommentStmt": "COMMENT",
    "VariableSetStmt": "SET", "VariableShowStmt": "SHOW", "LockStmt": "LOCK TABLE", "ReindexStmt": "REINDEX",
    "ClusterStmt": "CLUSTER", "DropOwnedStmt": "DROP OWNED", "ReassignOwnedStmt": "REASSIGN OWNED",
    "CreateRoleStmt": "CREATE ROLE", "AlterRoleStmt": "ALTER ROLE", "AlterRoleSetStmt": "ALTER ROLE … SET",
    "DropRoleStmt": "DROP ROLE", "GrantRoleStmt": "GRANT ROLE",
    "AlterDefaultPrivilegesStmt": "ALTER DEFAULT PRIVILEGES",
    "CreatedbStmt": "CREATE DATABASE", "DropdbStmt": "DROP DATABASE", "AlterDatabaseStmt": "ALTER DATABASE",
    "AlterDatabaseSetStmt": "ALTER DATABASE … SET", "AlterSystemStmt": "ALTER SYSTEM",
    "CreateTableSpaceStmt": "CREATE TABLESPACE", "DropTableSpaceStmt": "DROP TABLESPACE",
    "CreatePublicationStmt": "CREATE PUBLICATION", "AlterPublicationStmt": "ALTER PUBLICATION",
    "CreateSubscriptionStmt": "CREATE SUBSCRIPTION", "AlterSubscriptionStmt": "ALTER SUBSCRIPTION",
    "DropSubscriptionStmt": "DROP SUBSCRIPTION", "CreateEventTrigStmt": "CREATE EVENT TRIGGER",
    "AlterEventTrigStmt": "ALTER EVENT TRIGGER", "PrepareStmt": "PREPARE", "ExecuteStmt": "EXECUTE",
    "DeallocateStmt": "DEALLOCATE", "ExplainStmt": "EXPLAIN", "DeclareCursorStmt": "DECLARE CURSOR",
    "ClosePortalStmt": "CLOSE", "FetchStmt": "FETCH", "NotifyStmt": "NOTIFY", "ListenStmt": "LISTEN",
    "UnlistenStmt": "UNLISTEN", "CheckPointStmt": "CHECKPOINT", "DiscardStmt": "DISCARD", "LoadStmt": "LOAD",
    "RefreshMatViewStmt": "REFRESH MATERIALIZED VIEW", "AlterFunctionStmt": "ALTER FUNCTION",
    "CreateCastStmt": "CREATE CAST", "CreateOpClassStmt": "CREATE OPERATOR CLASS", "CreatePLangStmt": "CREATE LANGUAGE",
    "CreateOpFamilyStmt": "CREATE OPERATOR FAMILY", "CreateConversionStmt": "CREATE CONVERSION",
    "CreateStatsStmt": "CREATE STATISTICS", "AlterStatsStmt": "ALTER STATISTICS",
    "CreateAmStmt": "CREATE ACCESS METHOD",
    "CreateFdwStmt": "CREATE FOREIGN DATA WRAPPER", "CreateForeignServerStmt": "CREATE SERVER",
    "CreateForeignTableStmt": "CREATE FOREIGN TABLE", "CreateUserMappingStmt": "CREATE USER MAPPING",
    "ImportForeignSchemaStmt": "IMPORT FOREIGN SCHEMA", "SecLabelStmt": "SECURITY LABEL",
    "ConstraintsSetStmt": "SET CONSTRAINTS", "CreateTransformStmt": "CREATE TRANSFORM",
    "AlterTableMoveAllStmt": "ALTER TABLE ALL IN TABLESPACE … SET TABLESPACE",
}  # fmt: skip
# Kinds whose words depend on more than their node; they stand below as well.
_SHAPED = frozenset(("SelectStmt", "IndexStmt", "ViewStmt", "VariableSetStmt", "GrantRoleStmt"))
_DEFINED = {"OBJECT_AGGREGATE": "AGGREGATE", "OBJECT_OPERATOR": "OPERATOR", "OBJECT_TYPE": "TYPE",
            "OBJECT_COLLATION": "COLLATION", "OBJECT_TSPARSER": "TEXT SEARCH PARSER",
            "OBJECT_TSDICTIONARY": "TEXT SEARCH DICTIONARY", "OBJECT_TSTEMPLATE": "TEXT SEARCH TEMPLATE",
            "OBJECT_TSCONFIGURATION": "TEXT SEARCH CONFIGURATION"}  # fmt: skip
_CONSTRAINTS = {"CONSTR_FOREIGN": "FOREIGN KEY", "CONSTR_CHECK": "CHECK", "CONSTR_UNIQUE": "UNIQUE",
                "CONSTR_PRIMARY": "PRIMARY KEY", "CONSTR_EXCLUSION": "EXCLUDE",
                "CONSTR_NOTNULL": "NOT NULL"}  # fmt: skip
_OBJECT_WORDS = {"MATVIEW": "MATERIALIZED VIEW", "TABCONSTRAINT": "CONSTRAINT", "DOMCONSTRAINT": "CONSTRAINT",
                 "FOREIGN_SERVER": "SERVER", "FDW": "FOREIGN DATA WRAPPER", "STATISTIC_EXT": "STATISTICS",
                 "OPCLASS": "OPERATOR CLASS", "OPFAMILY": "OPERATOR FAMILY"}  # fmt: skip
_TRANSACTION = {"BEGIN": "BEGIN", "START": "START TRANSACTION", "COMMIT": "COMMIT", "ROLLBACK": "ROLLBACK",
                "SAVEPOINT": "SAVEPOINT", "RELEASE": "RELEASE SAVEPOINT", "ROLLBACK_TO": "ROLLBACK TO SAVEPOINT",
                "PREPARE": "PREPARE TRANSACTION", "COMMIT_PREPARED": "COMMIT PREPARED",
                "ROLLBACK_PREPARED": "ROLLBACK PREPARED"}  # fmt: skip


def object_words(object_type: str) -> str:
    """Return `OBJECT_FOREIGN_TABLE` as `FOREIGN TABLE`."""
    bare = object_type.removeprefix("OBJECT_")
    return _OBJECT_WORDS.get(bare, bare.replace("_", " "))


def command_words(command: Tree) -> str:
    """Return what one command of ALTER TABLE does: `ADD COLUMN`, `ALTER COLUMN TYPE`, `ADD FOREIGN KEY`."""
    subtype = command.get("subtype", "")
    if subtype == "AT_AddConstraint":
        return "ADD " + _CONSTRAINTS.get(command["def"]["Constraint"].get("contype", ""), "CONSTRAINT")
    if subtype in ("AT_ColumnDefault", "AT_CookedColumnDefault"):
        return "ALTER COLUMN SET DEFAULT" if command.get("def") else "ALTER COLUMN DROP DEFAULT"
    if subtype == "AT_AlterColumnType":
        return "ALTER COLUMN TYPE"
    if subtype in ("AT_SetNotNull", "AT_DropNotNull", "AT_DropExpression", "AT_SetExpression"):
        return f"ALTER COLUMN {_words(subtype)}"
    return _words(subtype)


@lru_cache(maxsize=256)
def _words(subtype: str) -> str:
    return " ".join(re.findall("[A-Z][a-z]+", subtype.removeprefix("AT_"))).upper()


def kind(tree: Tree) -> str:
    """Return what the statement is, in PostgreSQL's own words; a statement of several commands names each once."""
    name, body = node(tree)
    if name in _PLAIN and name not in _SHAPED:
        return _PLAIN[name]
    if name == "AlterTableStmt":
        of = object_words(body.get("objtype", "OBJECT_TABLE"))
        commands = dict.fromkeys([command_words(item["AlterTableCmd"]) for item in body.get("cmds", ())])
        return f"ALTER {of} … {', '.join(commands)}"
    if name == "DropStmt":
        words = f"DROP {object_words(body.get('removeType', ''))}"
        return f"{words} CONCURRENTLY" if body.get("concurrent") else words
    if name == "IndexStmt":
        unique = "UNIQUE " if body.get("unique") else ""
        return f"CREATE {unique}INDEX{' CONCURRENTLY' if body.get('concurrent') else ''}"
    if name == "RenameStmt":
        of = body.get("renameType", "")
        if of in ("OBJECT_COLUMN", "OBJECT_TABCONSTRAINT", "OBJECT_ATTRIBUTE", "OBJECT_DOMCONSTRAINT"):
            parent = object_words(body.get("relationType", "OBJECT_TABLE"))
            return f"ALTER {parent} … RENAME {object_words(of)}"
        return f"ALTER {object_words(of)} … RENAME"
    if name == "CreateFunctionStmt":
        replace = "OR REPLACE " if body.get("replace") else ""
        return f"CREATE {replace}{'PROCEDURE' if body.get('is_procedure') else 'FUNCTION'}"
    if name == "CreateTableAsStmt":
        if body.get("objtype") == "OBJECT_MATVIEW":
            return "CREATE MATERIALIZED VIEW"
        return "CREATE TABLE AS"
    if name == "SelectStmt" and body.get("intoClause"):
        return "SELECT INTO"
    if name == "AlterEnumStmt":
        return "ALTER TYPE … RENAME VALUE" if body.get("oldVal") else "ALTER TYPE … ADD VALUE"
    if name == "GrantStmt":
        return "GRANT" if body.get("is_grant") else "REVOKE"
    if name == "GrantRoleStmt":
        return "GRANT ROLE" if body.get("is_grant") else "REVOKE ROLE"
    if name == "TransactionStmt":
        return _TRANSACTION.get(body.get("kind", "").removeprefix("TRANS_STMT_"), "TRANSACTION")
    if name == "VacuumStmt":
        return "VACUUM" if body.get("is_vacuumcmd") else "ANALYZE"
    if name == "AlterObjectSchemaStmt":
        return f"ALTER {object_words(body.get('objectType', ''))} … SET SCHEMA"
    if name == "AlterOwnerStmt":
        return f"ALTER {object_words(body.get('objectType', ''))} … OWNER TO"
    if name == "DefineStmt":
        return f"CREATE {_DEFINED.get(body.get('kind', ''), object_words(body.get('kind', '')))}"
    if name == "ViewStmt" and body.get("replace"):
        return "CREATE OR REPLACE VIEW"
    if name == "VariableSetStmt" and str(body.get("kind", "")).startswith("VAR_RESET"):
        return "RESET"
    if known := _PLAIN.get(name):
        return known
    return " ".join(re.findall("[A-Z][a-z]*", name.removesuffix("Stmt"))).upper()


def flag(params: list[Tree] | None, wanted: str) -> bool:
    """Tell whether a list of options switches `wanted` on (`concurrently`, `full`, `analyze`)."""
    found = options(params)
    if wanted not in found:
        return False
    value = constant(found[wanted])
    return value is None or str(value).lower() in ("true", "on", "1", "yes")


_REFUSES = frozenset(("CreatedbStmt", "DropdbStmt", "CreateTableSpaceStmt", "DropTableSpaceStmt", "AlterSystemStmt",
                      "DropSubscriptionStmt"))  # fmt: skip
MAY_REFUSE = _REFUSES | {"IndexStmt", "DropStmt", "ReindexStmt", "VacuumStmt", "ClusterStmt", "AlterTableStmt", "AlterDatabaseStmt",
                          "DiscardStmt", "CreateSubscriptionStmt", "AlterSubscriptionStmt", "TransactionStmt"}  # fmt: skip


def refuses_transaction(tree: Tree) -> bool:
    """Tell whether PostgreSQL refuses the statement inside a transaction block (error 25001).

    Source: `PreventInTransactionBlock` in PostgreSQL's source, as of version 18.
    """
    name, body = node(tree)
    if name not in MAY_REFUSE:
        return False
    if name in ("IndexStmt", "DropStmt"):
        return bool(body.get("concurrent"))
    if name == "ReindexStmt":
        whole = body.get("kind") in ("REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_DATABASE")
        return whole or flag(body.get("params"), "concurrently")
    if name == "VacuumStmt":
        return bool(body.get("is_vacuumcmd"))
    if name == "ClusterStmt":
        return not body.get("relation")
    if name == "AlterTableStmt":
        return any(
            item["AlterTableCmd"].get("subtype") == "AT_DetachPartition"
            and item["AlterTableCmd"].get("def", {}).get("PartitionCmd", {}).get("concurrent")
            for item in body.get("cmds", ())
        )
    if name == "AlterDatabaseStmt":
        return "tablespace" in options(body.get("options"))
    if name == "DiscardStmt":
        return str(body.get("target", "DISCARD_ALL")) == "DISCARD_ALL"
    if name == "CreateSubscriptionStmt":
        found = options(body.get("options"))
        values = [str(constant(found.get(key))).lower() for key in ("connect", "create_slot")]
        return not any(value in ("false", "off", "0") for value in values)
    if name == "AlterSubscriptionStmt":
        publications = ("SET_PUBLICATION", "ADD_PUBLICATION", "DROP_PUBLICATION")
        return str(body.get("kind")).removeprefix("ALTER_SUBSCRIPTION_") in ("REFRESH", *publications)
    if name == "TransactionStmt":
        return body.get("kind") in ("TRANS_STMT_COMMIT_PREPARED", "TRANS_STMT_ROLLBACK_PREPARED")
    return name in _REFUSES


# What stands in libpg_query's JSON before a table's name, and before a CTE's.
_TABLE, _COMMON = '"relname":"', '"ctename":"'
# A table in that JSON, for names with a quote or a backslash in them.
_RELATION = re.compile(r'(?:"schemaname":"((?:[^"\\]|\\.)+)",)?"relname":"((?:[^"\\]|\\.)+)"')


def relations(json: str) -> list[Name]:
    """Return the relations that a statement's JSON names, in the order of the text, CTEs' names too."""
    found: list[Name] = []
    # In a string of the statement's own each of these quotes would be escaped.
    before, *parts = json.split(_TABLE)
    for part in parts:
        name = part[: part.index('"')]
        at = before.rfind('"schemaname":"') if before.endswith('",') else -1
        schema = before[at + 14 : -2] if at >= 0 else ""
        before = part
        if "\\" in name or "\\" in schema:
            return [Name(*(str(orjson.loads(f'"{one}"')) for one in pair)) for pair in _RELATION.findall(json)]
        found.append(Name(schema if '"' not in schema else "", name))
    return found


def tables(tree: Tree, json: str) -> tuple[str, ...]:
    """Return the dotted names of the relations that a statement names, each once; a CTE's name is none.

    `json` is the text that the tree was read from.
    """
    name, body = node(tree)
    if name in ("DropStmt", "CommentStmt"):  # they name everything by lists of words
        return tuple(dict.fromkeys(str(one) for one in _by_words(name, body) if one.name))
    if name == "CompositeTypeStmt":  # names its type as if it were a relation
        return ()
    count = json.count(_TABLE)
    if count == 0:
        return ()
    if count == 1 and "relation" in body:
        return (str(of_range(body["relation"])),)
    found = relations(json)
    if _COMMON in json:
        common = {part[: part.index('"')] for part in json.split(_COMMON)[1:]}
        found = [one for one in found if one.schema or one.name not in common]
    return tuple(dict.fromkeys(map(str, found)))


def _by_words(name: str, body: Tree) -> list[Name]:
    if name == "CommentStmt":
        parts = body.get("object", {}).get("List", {}).get("items", ())
        if body.get("objtype") == "OBJECT_COLUMN":
            return [of_strings(list(parts[:-1]))]
        return [of_strings(list(parts))] if body.get("objtype") in ("OBJECT_TABLE", "OBJECT_VIEW") else []
    kind_of = body.get("removeType")
    if kind_of in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"):
        return [of_object(item) for item in body.get("objects", ())]
    if kind_of in ("OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE"):
        return [of_strings(list(item["List"]["items"][:-1])) for item in body.get("objects", ())]
    return []


def says_no_transaction(text: str) -> bool:
    """Tell whether a migration file asks that each of its statements runs by itself."""
    return _NO_TRANSACTION.search(text) is not None
