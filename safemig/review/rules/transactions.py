"""What a transaction cannot hold, and what would end the transaction of the runner."""

from __future__ import annotations

from collections.abc import Iterator

from safemig.review.rule import Hit, rule
from safemig.review.scene import IN_A_JOB, Scene, place
from safemig.review.severity import Severity
from safemig.sql.kinds import MAY_REFUSE, refuses_transaction, says_no_transaction
from safemig.sql.parsing import ParsedStatement
from safemig.sql.tree import node


@rule(
    "transaction-control", Severity.CAUTION, "The file ends or undoes the runner's transaction",
    on=("TransactionStmt", "TransactionInBody"),
    why="The runner wraps the migrations in one transaction: COMMIT in a file ends it half-way, ROLLBACK undoes what came before while "
    "the history says that it was applied.",
    instead="CREATE TABLE IF NOT EXISTS notes (id bigint PRIMARY KEY);  -- without BEGIN and COMMIT",
    err=("BEGIN; CREATE TABLE IF NOT EXISTS t (a int); COMMIT", "ROLLBACK", "DO $$ BEGIN COMMIT; END $$"),
    ok="CREATE TABLE IF NOT EXISTS t (a int)",
)  # fmt: skip
def transaction_control(scene: Scene) -> Iterator[Hit]:
    kind = str(scene.tree.get("kind", "")).removeprefix("TRANS_STMT_").replace("_", " ")
    wrapper = scene.world.wrapper
    if not scene.origin and scene.world.statement in wrapper:
        if scene.world.statement == wrapper[0]:
            blocks = len(wrapper) // 2  # a ROLLBACK at the end counts for nothing
            said = (
                f"the {blocks} transactions of the file run as one: the runner takes their BEGIN and COMMIT off"
                if blocks > 1
                else "BEGIN and COMMIT around the file are taken off by the runner, whose own transaction is around it"
            )
            yield Hit(place(scene), said, severity=Severity.RECOMMENDATION)
        return
    severity = Severity.DANGEROUS if kind in ("ROLLBACK PREPARED", "COMMIT PREPARED", "PREPARE") else None
    yield Hit(
        place(scene),
        f"{kind} does not belong in a migration file: the runner's transaction is the only one",
        severity=severity,
    )


@rule(
    "needs-own-file", Severity.RECOMMENDATION, "A statement that cannot run in a transaction stands among others",
    on="File",
    why="CREATE INDEX CONCURRENTLY, VACUUM and their like cannot run in a transaction. The runner makes ordered steps of such a file, and "
    "what came before is committed when one fails: in a file of its own, all or nothing holds for the rest.",
    instead="-- 20240101000001_users_email_idx.sql\nCREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email);",
    err="ALTER TABLE users ADD COLUMN IF NOT EXISTS a int; CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON users (a)",
    ok=("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON users (a)",
        "-- safemig: no transaction\nALTER TABLE t VALIDATE CONSTRAINT c; CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON users (a)"),
)  # fmt: skip
def needs_own_file(scene: Scene) -> Iterator[Hit]:
    statements: list[ParsedStatement] = scene.tree["statements"]
    kinds: list[str] = scene.tree["kinds"]
    if MAY_REFUSE.isdisjoint(kinds) or len(kinds) - kinds.count("VariableSetStmt") < 2:
        return
    if says_no_transaction(scene.whole):
        return
    for number, statement in enumerate(statements):
        if kinds[number] in MAY_REFUSE and refuses_transaction(statement.tree):
            where = place(scene)
            yield Hit(
                where, f"{statement.kind} cannot run in a transaction: give it a file of its own", statement=number
            )


@rule(
    "concurrently-in-transaction", Severity.CAUTION, "A statement that cannot run in a transaction stands in one",
    on=("File", "IndexStmt", "DropStmt", "ReindexStmt", "VacuumStmt"),
    why="Between BEGIN and COMMIT, in a DO block or in a function PostgreSQL refuses it (error 25001), and the deployment fails.",
    instead="-- a file of its own, without BEGIN\nCREATE INDEX CONCURRENTLY IF NOT EXISTS users_email_idx ON users (email);",
    err=("BEGIN; CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON users (a); COMMIT",
         "DO $$ BEGIN CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON users (a); END $$"),
    ok="CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON users (a)",
)  # fmt: skip
def concurrently_in_transaction(scene: Scene) -> Iterator[Hit]:
    where = place(scene)
    if scene.node != "File":
        if scene.origin not in ("", IN_A_JOB) and refuses_transaction({scene.node: scene.tree}):
            yield Hit(where, "cannot run inside a function or DO block: it fails with error 25001")
        return
    if "TransactionStmt" not in scene.tree["kinds"]:
        return
    inside = False
    for number, statement in enumerate(scene.tree.get("statements", ())):
        kind, body = node(statement.tree)
        if kind == "TransactionStmt":
            inside = body.get("kind", "TRANS_STMT_BEGIN") in ("TRANS_STMT_BEGIN", "TRANS_STMT_START")
        elif inside and refuses_transaction(statement.tree):
            yield Hit(where, f"{statement.kind} between BEGIN and COMMIT fails with error 25001", statement=number)
