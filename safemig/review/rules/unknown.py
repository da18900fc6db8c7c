"""What cannot be read, what no rule knows, an acceptance that accepts nothing."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import Scene, place
from safemig.review.severity import Severity


@rule(
    "cannot-be-read", Severity.DANGEROUS, "The text is not SQL that PostgreSQL can run",
    why="What cannot be read cannot be called safe: psql commands that do something, COPY data without an end, "
    "templates, another database's dialect, a typing error.",
    instead="CREATE TABLE IF NOT EXISTS users (id bigint PRIMARY KEY);",
    err=("CREATE TABEL users (id int)", "\\i other.sql", "SELECT {{ name }}", "DROP TABLE `users`"),
    ok="SELECT '\\set', '{{ name }}'",
)  # fmt: skip
def cannot_be_read(_scene: Scene) -> Iterator[Hit]:
    yield from ()  # the engine makes this finding: there is no statement to look at


@rule(
    "acceptance-without-effect", Severity.CAUTION, "An acceptance in the file that accepts nothing",
    why="An acceptance names a rule, an object and a reason; one that is misspelt would leave people thinking that the danger is known.",
    instead="-- safemig: accept drop-column users.legacy: moved to profiles on 2026-10-02",
    err="-- safemig: accept everything\nSELECT 1",
    ok="-- safemig: accept drop-column users.legacy: moved to profiles\nALTER TABLE users DROP COLUMN legacy",
)  # fmt: skip
def acceptance_without_effect(_scene: Scene) -> Iterator[Hit]:
    yield from ()  # the engine makes this finding


@rule(
    "not-written-as-sql", Severity.CAUTION, "A step that the tool did not write as SQL",
    why="Django's sqlmigrate prints a comment in the place of RunPython and the like. What such a step does to the rows "
    "is not reviewed; the rest is.",
    instead="-- run the command itself on a copy: safemig rehearse --run 'python manage.py migrate'",
    err="ALTER TABLE users ADD COLUMN IF NOT EXISTS slug text;\n-- THIS OPERATION CANNOT BE WRITTEN AS SQL\n",
    ok="ALTER TABLE users ADD COLUMN IF NOT EXISTS slug text;\n-- Add field slug to User\n",
)  # fmt: skip
def not_written_as_sql(_scene: Scene) -> Iterator[Hit]:
    yield from ()  # the engine makes this finding: a comment is no statement


@rule(
    "missing-table", Severity.CAUTION, "A table that the target does not have",
    why="The statement fails, or with IF EXISTS silently does nothing: a typing error, a file that was forgotten, or the wrong database.",
    instead="CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);  -- in this file or one before",
    err=("ALTER TABLE nosuch ADD COLUMN IF NOT EXISTS a int", "CREATE VIEW v AS SELECT a FROM nosuch", "DROP TABLE nosuch",
         "CREATE TABLE IF NOT EXISTS t (a int REFERENCES nosuch (id))", "INSERT INTO nosuch VALUES (1)"),
    ok=("CREATE TABLE IF NOT EXISTS t (a int); ALTER TABLE t ADD COLUMN IF NOT EXISTS b int", "DROP TABLE IF EXISTS nosuch",
        "WITH w AS (SELECT 1) SELECT * FROM w", "SELECT count(*) FROM pg_class"),
)  # fmt: skip
def missing_table(_scene: Scene) -> Iterator[Hit]:
    yield from ()  # the engine makes this finding, where a target was read


# Statement kinds that are looked at by rules of their own, or that harm nothing.
KNOWN = frozenset(
    """
    SelectStmt InsertStmt UpdateStmt DeleteStmt MergeStmt TruncateStmt CopyStmt CallStmt DoStmt CreateStmt CreateEnumStmt
    CompositeTypeStmt CreateRangeStmt CreateDomainStmt AlterDomainStmt AlterEnumStmt IndexStmt CreateTrigStmt CreatePolicyStmt
    AlterPolicyStmt CreateSchemaStmt CreateSeqStmt AlterSeqStmt CreateExtensionStmt AlterExtensionStmt ViewStmt RuleStmt CommentStmt
    VariableSetStmt VariableShowStmt LockStmt ReindexStmt ClusterStmt VacuumStmt DropOwnedStmt ReassignOwnedStmt CreateRoleStmt
    AlterRoleStmt AlterRoleSetStmt DropRoleStmt GrantStmt GrantRoleStmt AlterDefaultPrivilegesStmt DropdbStmt AlterDatabaseStmt
    AlterDatabaseSetStmt AlterSystemStmt CreatePublicationStmt AlterPublicationStmt CreateSubscriptionStmt AlterSubscriptionStmt
    DropSubscriptionStmt CreateEventTrigStmt AlterEventTrigStmt PrepareStmt ExecuteStmt DeallocateStmt ExplainStmt DeclareCursorStmt
    ClosePortalStmt FetchStmt NotifyStmt ListenStmt UnlistenStmt CheckPointStmt DiscardStmt RefreshMatViewStmt AlterTableStmt DropStmt
    RenameStmt AlterObjectSchemaStmt AlterOwnerStmt CreateFunctionStmt AlterFunctionStmt CreateTableAsStmt TransactionStmt DefineStmt
    CreateCastStmt CreateOpClassStmt CreateOpFamilyStmt CreateConversionStmt CreateStatsStmt AlterStatsStmt ConstraintsSetStmt
    CreateForeignTableStmt CreateForeignServerStmt CreateFdwStmt CreateUserMappingStmt ImportForeignSchemaStmt AlterTableMoveAllStmt
    CreateTransformStmt AlterTSDictionaryStmt AlterTSConfigurationStmt SecLabelStmt ReturnStmt PLAssignStmt AlterTypeStmt
    AlterObjectDependsStmt AlterExtensionContentsStmt CreatedbStmt AlterCollationStmt AlterUserMappingStmt
    AlterDatabaseRefreshCollStmt
    """.split()  # noqa: SIM905
)


KNOWN_COMMANDS = frozenset(
    """
    AddColumn DropColumn AlterColumnType SetNotNull DropNotNull ColumnDefault CookedColumnDefault AddConstraint DropConstraint
    ValidateConstraint AlterConstraint EnableRowSecurity DisableRowSecurity ForceRowSecurity NoForceRowSecurity ChangeOwner
    EnableTrig EnableTrigAll EnableTrigUser EnableAlwaysTrig EnableReplicaTrig DisableTrig DisableTrigAll DisableTrigUser
    EnableRule DisableRule EnableAlwaysRule EnableReplicaRule SetLogged SetUnLogged SetAccessMethod SetTableSpace SetStatistics
    SetOptions ResetOptions SetRelOptions ResetRelOptions SetStorage SetCompression ReplicaIdentity AttachPartition DetachPartition
    DetachPartitionFinalize AddInherit DropInherit AddIdentity SetIdentity DropIdentity DropExpression SetExpression ClusterOn
    DropCluster AddOf DropOf GenericOptions AlterColumnGenericOptions
    """.split()  # noqa: SIM905
)


@rule(
    "unknown-statement", Severity.CAUTION, "A kind of statement that no rule knows",
    on=("UnknownStatement", "AlterTableCmd"),
    why="A statement that the review cannot judge is never called safe without saying so.",
    instead="CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);",
    err="LOAD 'auto_explain'", ok="SELECT 1",
)  # fmt: skip
def unknown_statement(scene: Scene) -> Iterator[Hit]:
    where = place(scene)
    if scene.node == "UnknownStatement":
        yield Hit(where, f"no rule knows {scene.tree.get('kind')}")
    elif str(scene.tree.get("subtype", "")).removeprefix("AT_") not in KNOWN_COMMANDS:
        yield Hit(str(scene.table), f"no rule knows {scene.tree.get('subtype')}")
